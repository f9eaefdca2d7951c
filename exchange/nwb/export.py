"""Sessions to NWB files: each appears whole or not at all, and what is there and equal is passed over."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from exchange.nwb import packing, rules, session, source
from exchange.nwb import rows as surrounding_rows
from exchange.nwb.containers import Builder
from pipeline import policy
from pipeline.errors import NeurojointError, explain, is_connection_error
from pipeline.schemas import behavior, ephys, ephys_analysis, histology
from pipeline.unfinished import unfinished

Progress = Callable[[str, int, int], None]
"""Called with the name of the session, bytes of its files that are done, and those there are."""

GZIP = 1
CHUNK = 1 << 16  # values of a chunk of a column
LARGE = 1 << 22  # byte; larger arrays are packed with all cores
UNPACKED = 1 << 14  # byte; smaller arrays are not compressed


@dataclass
class Result:
    """What became of one session.

    Attributes:
        state: `written`, `equal` (was there) or `failed`.
        path: of the NWB file.
        left_out: path of a file of the session -> why its content is not in the NWB file.
        notes: what else people should know.
    """

    name: str
    state: str
    path: Path | None = None
    size: int = 0
    seconds: float = 0.0
    left_out: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problem: str = ""


@dataclass(frozen=True)
class Options:
    """How files are written.

    Attributes:
        raw: with the raw recordings.
        dandi: named and laid out as DANDI wants, without what only the lab needs.
        incomplete: also where birth date, species or start time are not known.
        backend: `hdf5` or `zarr`.
    """

    raw: bool = False
    dandi: bool = False
    incomplete: bool = False
    backend: str = "hdf5"


def export(
    keys: Iterable[Mapping[str, Any] | str], out: Path | str, options: Options | None = None,
    progress: Progress | None = None, again: bool = False,
) -> list[Result]:  # fmt: skip
    """Write sessions as NWB files below a folder; needs `pipeline.connect()` before.

    Stopped anywhere, the next call goes on: a file is there only when it is complete. What goes wrong with one session
    is in its result and does not stop the others.

    Parameters
    ----------
    keys : primary keys, or eids.
    out : folder; it is made.
    again : write also what is there and equal.

    Raises
    ------
    NeurojointError : the folder cannot be made, or the backend is not installed.
    """
    options, out = options or Options(), Path(out)
    _check_backend(options)
    out.mkdir(parents=True, exist_ok=True)
    results = []
    for key in keys:
        began = time.monotonic()
        name = key if isinstance(key, str) else "/".join(str(part) for part in key.values())
        try:
            session_source = source.read({"eid": key} if isinstance(key, str) else key)
            name = session_source.name
            result = _export_one(session_source, out, options, progress, again)
        except Exception as error:
            if is_connection_error(error):
                raise
            result = Result(name, "failed", problem=explain(error))
        result.seconds = time.monotonic() - began
        results.append(result)
    return results


def file_name(session_source: source.Source, options: Options, modalities: Iterable[str] = ()) -> str:
    """Path of the file below the folder.

    >>> file_name.__name__
    'file_name'
    """
    ending = ".nwb" if options.backend == "hdf5" else ".nwb.zarr"
    if not options.dandi:
        key = session_source.key
        return f"{key['lab']}_{key['subject']}_{key['session_date']}_{key['session_number']:03d}{ending}"
    subject = dandi_label(session_source.under(policy.current()).shown_subject)
    what = "+".join(sorted(modalities)) or "behavior"
    return f"sub-{subject}/sub-{subject}_ses-{session_source.session['eid']}_{what}{ending}"


def dandi_label(name: str) -> str:
    """A subject's name as it may stand in the name of a file on DANDI.

    >>> dandi_label("fast_001"), dandi_label("a b/c")
    ('fast-001', 'a-b-c')
    """
    return "".join(item if item.isalnum() else "-" for item in name)


def _export_one(
    session_source: source.Source, out: Path, options: Options, progress: Progress | None, again: bool
) -> Result:
    """Write one session, unless an equal file is there."""
    mark = fingerprint(session_source, options)
    there = _written_before(out, session_source, options)
    if there is not None and not again and _mark_of(there) == mark:
        return Result(session_source.name, "equal", there, there.stat().st_size if there.is_file() else 0)
    store = Store(options, session_source.name, sum(file.size for file in session_source.files if file.path), progress)
    builder = session.build(
        session_source, raw=options.raw, public=options.dandi, incomplete=options.incomplete, wrap=store.wrap,
        samples=store.samples,
    )  # fmt: skip
    session.add_mark(builder, mark)
    path = out / file_name(session_source, options, _modalities(builder))
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.parent / f"{path.name.removesuffix('.zarr').removesuffix('.nwb')}_videos"
    part = path.with_name(f".{uuid.uuid4().hex[:8]}.part.{path.name}")
    try:
        _copy_videos(builder, beside)
        store.write(builder, part)
        if path.is_dir():
            shutil.rmtree(path)
        part.replace(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)
        raise
    if there is not None and there != path:
        there.unlink() if there.is_file() else shutil.rmtree(there)
    left = {name: form.why for name, form in builder.forms.items() if form.kind == "absent"}
    size = (
        path.stat().st_size
        if path.is_file()
        else sum(item.stat().st_size for item in path.rglob("*") if item.is_file())
    )
    notes = [*builder.notes]
    if people := session.metadata.people_without_names(session_source):
        notes.append(f"no full name is entered for {', '.join(people)}: the account stands for it")
    return Result(session_source.name, "written", path, size, left_out=left, notes=notes)


def fingerprint(session_source: source.Source, options: Options) -> str:
    """Stands for all that goes into a file: equal for equal content, options and version of this program."""
    digest = hashlib.md5(usedforsecurity=False)
    for file in session_source.files:
        digest.update(f"{file.rel_path}\0{file.dataset_id}\0{file.md5}\0{file.path is not None}\n".encode())
    digest.update(surrounding_rows.dumped(surrounding_rows.collect(session_source.key)).encode())
    digest.update(json.dumps(_computed(session_source.key), sort_keys=True, default=str).encode())
    said = [version("neurojoint"), rules.FORMAT, options.raw, options.dandi, options.backend]
    digest.update(json.dumps(said).encode())
    return digest.hexdigest()


def _computed(key: Mapping[str, Any]) -> list[Any]:
    """What of the computed tables is in the file, by when it was computed from what."""
    computed: list[Any] = []
    for table in (ephys.SessionClock, behavior.WheelMoveSet, ephys.ClusterSet, ephys_analysis.UnitMetrics,
                  histology.ChannelLocation, histology.ClusterLocation, ephys_analysis.UnitSelection):  # fmt: skip
        names = [*table.primary_key, *([table.fingerprint] if hasattr(table, "fingerprint") else [])]
        computed.append(
            sorted(str(sorted(row.items())) for row in (table & key).proj(*names[len(table.primary_key) :]).to_dicts())
        )
    return computed


def _written_before(out: Path, session_source: source.Source, options: Options) -> Path | None:
    path = out / file_name(session_source, options)
    if not options.dandi:
        return path if path.exists() else None
    start = path.name[: path.name.index("_ses-")] + f"_ses-{session_source.session['eid']}_"
    ending = ".nwb" if options.backend == "hdf5" else ".nwb.zarr"
    return (
        next((item for item in sorted(path.parent.glob(f"{start}*{ending}"))), None) if path.parent.is_dir() else None
    )


def _mark_of(path: Path) -> str:
    """The fingerprint that a file of ours holds; empty where it has none."""
    import h5py

    try:
        if path.is_dir():
            return (path / ".neurojoint").read_text()
        with h5py.File(path, "r") as file:
            return bytes(file[f"scratch/{rules.SCRATCH}"][()].tobytes()).decode().split("\n")[0]
    except (OSError, KeyError, ValueError, AttributeError):
        return ""


def _modalities(builder: Builder) -> list[str]:
    """The words that DANDI's organizer puts into a name for what the file holds."""
    nwbfile = builder.nwbfile
    words = {"behavior"} if "behavior" in nwbfile.processing or nwbfile.trials is not None else set()
    if nwbfile.units is not None or nwbfile.electrodes is not None:
        words.add("ecephys")
    if builder.videos:
        words.add("image")
    return sorted(words)


def _copy_videos(builder: Builder, folder: Path) -> None:
    """Put the videos beside the file, as hard links where the disk can, and let the series name them."""
    for name, file in builder.videos.items():
        folder.mkdir(exist_ok=True)
        target = folder / name
        if file.path is None:
            continue
        if not target.exists() or target.stat().st_size != file.size:
            with unfinished(target) as partial:
                shutil.copyfile(file.path, partial)
                partial.replace(target)
        series = next(
            item
            for item in builder.nwbfile.acquisition.values()
            if getattr(item, "external_file", None) and item.external_file[0] == name
        )
        series.fields["external_file"] = [f"./{folder.name}/{name}"]


def _check_backend(options: Options) -> None:
    if options.backend == "zarr":
        try:
            import hdmf_zarr  # noqa: F401
        except ImportError as error:
            raise NeurojointError(
                f"Zarr files cannot be written here ({error})", 'pip install "hdmf-zarr>=0.13" (it needs zarr 2)'
            ) from error


class Store:
    """How arrays and samples reach the file, and how far that is."""

    def __init__(self, options: Options, name: str, total: int, progress: Progress | None) -> None:
        self.options, self.name, self.total, self.done = options, name, max(total, 1), 0
        self.progress = progress
        self._later: list[tuple[Any, Callable[[], Iterable[tuple[int, np.ndarray]]]]] = []

    def tell(self, n_bytes: int) -> None:
        """Count what is done."""
        self.done = min(self.done + n_bytes, self.total)
        if self.progress is not None:
            self.progress(self.name, self.done, self.total)

    def wrap(self, values: np.ndarray) -> Any:
        """Compress what is large."""
        if self.options.backend == "zarr" or values.dtype == object or values.nbytes < UNPACKED:
            return values
        width = max(1, values.size // max(1, len(values)))
        rows = min(len(values), max(1, CHUNK // width))
        if values.nbytes < LARGE or values.dtype.kind not in "iuf":
            from hdmf.backends.hdf5.h5_utils import H5DataIO

            chunks = (rows, *values.shape[1:])
            return H5DataIO(values, compression="gzip", compression_opts=GZIP, shuffle=True, chunks=chunks)
        return self._put_off(values.shape, values.dtype, (rows, *values.shape[1:]), lambda: packing.rows(values))

    def samples(self, samples: Any, name: str) -> Any:
        """Samples of a recording, which are read while they are written."""
        if self.options.backend == "zarr":
            return samples
        return self._put_off(samples.shape, samples.dtype, packing.chunk_shape(samples.shape), samples.pieces)

    def _put_off(self, shape: tuple[int, ...], kind: Any, chunks: tuple[int, ...], pieces: Any) -> Any:
        """A dataset that is filled once the file has all its objects."""
        from hdmf.backends.hdf5.h5_utils import H5DataIO

        made = H5DataIO(
            shape=shape, dtype=kind, chunks=chunks, maxshape=shape, compression="gzip", compression_opts=GZIP,
            shuffle=True,
        )  # fmt: skip
        self._later.append((made, pieces))
        return made

    def write(self, builder: Builder, path: Path) -> None:
        """Write the file, flushed to the disk."""
        if self.options.backend == "zarr":
            from hdmf_zarr import NWBZarrIO

            with NWBZarrIO(str(path), "w") as io:
                io.write(builder.nwbfile)
            (path / ".neurojoint").write_text(builder.mark)
            self.tell(self.total)
            return
        from pynwb import NWBHDF5IO

        with NWBHDF5IO(path, "w") as io:
            io.write(builder.nwbfile)
            waiting = sum(int(np.prod(made.dataset.shape)) * made.dataset.dtype.itemsize for made, _ in self._later)
            self.tell(self.total - min(waiting, self.total))
            for made, pieces in self._later:
                packing.fill(made.dataset, pieces(), self.tell)
        self.tell(self.total)
        with path.open("rb+") as opened:
            os.fsync(opened.fileno())
