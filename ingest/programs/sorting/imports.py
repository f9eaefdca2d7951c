"""Takes sortings that exist already: a folder of Kilosort, phy, SpikeInterface or iblsorter becomes ALF files and rows.

The folder stays as it is. Imported again after a curation it becomes a new revision, with what the curation changed.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from ingest.one_session import register_session
from ingest.programs.sorting import (
    alf_files,
    curation,
    foreign,
    imported_arrays,
    measures,
    results,
    runs,
    several_probes,
    sorted_file,
    versions,
)
from ingest.programs.sorting.failures import FAULTS, Failure, reason_of
from ingest.programs.sorting.foreign import Beside
from ingest.programs.sorting.results import Sorted
from ingest.programs.sorting.runs import Item
from ingest.programs.sorting.sessions import probe_of, session_of
from ingest.programs.sorting.work import Tell
from ingest.rows.repository import existing
from pipeline.analysis import spikes
from pipeline.errors import NeurojointError
from pipeline.schemas import ephys
from pipeline.schemas.inputs import files

_UNLIMITED = 1 << 62
SLOWEST, FASTEST = 1e3, 1e6
"""Sampling rates (Hz) beyond which one is in kHz, or none."""


@dataclass
class Imported:
    """What became of one folder of results."""

    source: Path
    folder: Path | None = None  # of the ALF files; None where nothing was new
    n_units: int = 0
    n_spikes: int = 0
    n_dropped: int = 0
    changes: dict[str, Any] = field(default_factory=dict)  # since the last import, see `curation.difference`
    notes: list[str] = field(default_factory=list)


def import_folder(
    folder: Path | str,
    *,
    session: Path | str | None = None,
    probe: str | None = None,
    sorter: str | None = None,
    dry_run: bool = False,
    tell: Tell | None = None,
    failed: list[Failure] | None = None,
) -> list[Imported]:
    """Import the results of sorters in a folder, or below it, as ALF files beside them, and register these.

    Parameters
    ----------
    folder : of Kilosort, phy, SpikeInterface or iblsorter; or one that holds several of these.
    session : the session folder, where `folder` does not lie in it.
    probe : label of the insertion, where no part of the path is called so and the session has several.
    sorter : what the clustering is called; by default the sorter that the files tell, else the name of the folder.
    dry_run : write nothing.
    tell : called with a line at each step.
    failed : gets the folders that cannot be imported, with the reason, where it is given; the others are imported.

    Raises
    ------
    NeurojointError : there are no results, or they cannot be assigned to a session, a probe and a sampling rate.
    """
    source = existing(Path(folder))
    session = Path(session) if session else None
    folders = places(source)
    together = [
        item for item in [source, *sorted(p for p in source.rglob("*") if p.is_dir())] if several_probes.is_such(item)
    ]
    if not folders and not together:
        known = "Kilosort, phy, SpikeInterface, iblsorter"
        raise NeurojointError(f"there are no results of a sorter in {source}", f"name a folder as {known} write it")
    done: list[Imported] = []
    for item in together + folders:
        try:
            if item in together:
                done += _import_several(item, session, dry_run, tell)
            else:
                done.append(_Import(item, session, probe, sorter, tell or _silent).run(dry_run))
        except FAULTS as error:
            reason = reason_of(item, error)
            if failed is None:
                raise reason from error
            failed.append((item, reason))
    return done


def import_below(root: Path | str, tell: Tell | None = None) -> tuple[list[Imported], list[Failure]]:
    """Import all results of sorters in the session folders below a root; what goes wrong with one stops no other.

    Returns
    -------
    What was imported, or was before; and the folders that could not be, with the reason.
    """
    done: list[Imported] = []
    failed: list[Failure] = []
    folder = existing(Path(root))
    several = {path.parent for path in folder.rglob("clusters.probes*.npy")}
    for place in [*sorted(item for item in several if several_probes.is_such(item)), *places(folder)]:
        try:
            done += import_folder(place, tell=tell, failed=failed)
        except NeurojointError as error:
            failed.append((place, error))
    return done, failed


def _silent(line: str) -> None:
    """Tell nobody."""


def _import_several(source: Path, session: Path | None, dry_run: bool, tell: Tell | None) -> list[Imported]:
    """Spikes of several probes in one folder become a folder for each probe."""
    repository, base, path, key = session_of(existing(session) if session else source)
    digest = hashlib.md5(usedforsecurity=False)
    for name in ("spikes.times", "spikes.clusters", "clusters.probes"):
        for file in sorted(source.glob(f"{name}*.npy")):
            with file.open("rb") as opened:
                digest.update(f"{name}\0{hashlib.file_digest(opened, 'md5').hexdigest()}\n".encode())
    content, done = digest.hexdigest(), []
    for part in several_probes.split(source):
        made = Imported(source, None, len(part.numbers), int(part.counts.sum()), notes=list(part.notes))
        place = base / path / "alf" / part.label
        before = versions.last_import(place)
        done.append(made)
        if before is not None and before[1].get("content_hash") == content:
            made.notes.append(f"imported before: {before[0].relative_to(base / path)}")
            continue
        if dry_run:
            continue
        says = {
            "sorter": "", "source": str(source), "content_hash": content, "n_units": made.n_units,
            "n_spikes": made.n_spikes, "notes": made.notes,
            "identity": f"{'/'.join(map(str, key))}/{part.label}/{content}",
        }  # fmt: skip
        unfinished = alf_files.unfinished(place)
        try:
            alf_files.write_arrays(unfinished, part.arrays, part.numbers, part.counts, part.labels, says)
            made.folder = alf_files.publish(unfinished, place)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    if any(made.folder is not None for made in done):
        (tell or _silent)(f"{source}: registering")
        register_session(repository, base, key, path, {})
    return done


def places(folder: Path) -> list[Path]:
    """The folders at or below `folder` that hold results, not those within another one's."""
    names = ("spike_times.npy", "numpysorting_info.json", "sorting_cached.npz", "firings.npz", "times_*.mat")
    folders = {path.parent for name in names for path in folder.rglob(name)}
    for name in (".zattrs", "zarr.json"):
        folders |= {path.parents[1] for path in folder.rglob(name) if path.parent.name == "sorting"}
    folders |= {
        path.parent for path in folder.glob("*.nwb")
    }  # only where the folder is named: NWB files may be anything
    below = sorted(folders)
    return [item for item in below if not any(other in item.parents for other in below)]


class _Import:
    """One folder of results."""

    def __init__(self, source: Path, session: Path | None, probe: str | None, sorter: str | None, tell: Tell) -> None:
        self.source, self.tell = source, tell
        self.repository, self.base, self.path, self.session = session_of(existing(session) if session else source)
        recordings = [
            item for item in runs.items(self.repository, f"{self.path}/", None) if item.folder == self.path
        ]  # fmt: skip
        self.probe = probe or probe_of(source.relative_to(source.anchor), {recording.probe for recording in recordings})
        self.all = [recording for recording in recordings if recording.probe == self.probe]
        self.all.sort(key=lambda one: sorted_file.in_order(one.path))
        self.recordings: list[Item] = []
        self.sorter = sorter and foreign.plain(sorter)

    def run(self, dry_run: bool) -> Imported:
        """Import, unless the folder is as it was."""
        made = Imported(self.source)
        content = versions.content_hash(self.source)
        self.recordings = sorted_file.recordings_of(sorted_file.find(self.source), self.all, made.notes)
        n_samples = sum(recording.n_samples for recording in self.recordings) or _UNLIMITED
        result = results.read(self.source, n_samples)
        beside = foreign.read(result, self.sorter)
        place = self.base / self.path / "alf" / self.probe / beside.sorter
        before = versions.last_import(place)
        clock = runs.clock_hash(self.recordings)
        if before is not None and before[1].get("content_hash") == content:
            if before[1].get("clock_hash", clock) == clock:
                made.notes.append(f"imported before: {before[0].relative_to(self.base / self.path)}")
                return made
            made.notes.append("the recording or its clock is another one than when it was imported before")
        made.notes += [*result.notes, *beside.notes]
        numbers, clusters, counts = spikes.number(result.clusters)
        made.n_units, made.n_spikes, made.n_dropped = len(numbers), len(result.samples), result.n_dropped
        if result.n_dropped:
            made.notes.append(f"{result.n_dropped:,} spikes outside of the recording or of no unit were dropped")
        if before is not None:
            made.changes = _changes(before[0], result)
        if dry_run:
            return made
        arrays = self.arrays(result, beside, clusters, counts, made.notes)
        says = {
            "sorter": beside.sorter, "version": result.version, "source": str(self.source),
            "content_hash": content, "clock_hash": clock, "n_units": len(numbers), "n_spikes": len(result.samples),
            "n_dropped": result.n_dropped, "notes": made.notes, "changes": made.changes,
            "identity": f"{'/'.join(map(str, self.session))}/{self.probe}/{beside.sorter}/{content}",
        }  # fmt: skip
        unfinished = alf_files.unfinished(place)
        try:
            alf_files.write_arrays(unfinished, arrays, numbers, counts, result.labels, says, result.names)
            made.folder = alf_files.publish(unfinished, place)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        self.tell(f"{self.source}: registering {made.folder.relative_to(self.base / self.path)}")
        register_session(self.repository, self.base, self.session, self.path, {})
        return made

    def arrays(
        self, result: Sorted, beside: Beside, clusters: np.ndarray, counts: np.ndarray, notes: list[str]
    ) -> dict[str, np.ndarray]:
        """The ALF arrays of a result, as far as the folder and the raw recording give them."""
        arrays = {"spikes.times": self.times(result, beside, notes), "spikes.clusters": clusters}
        if result.times is None or result.sampling_rate is not None:
            arrays["spikes.samples"] = result.samples
        if beside.templates is not None:
            arrays["spikes.templates"] = np.asarray(beside.templates).astype(np.int32)
        there = runs.geometry(self.recordings[0].dataset_id) if self.recordings else None
        beside = imported_arrays.in_um(beside, there, notes)
        positions, raw, shanks = imported_arrays.of_channels(beside, there, notes)
        if positions is not None:
            arrays["channels.localCoordinates"] = positions
        if raw is not None:
            arrays["channels.rawInd"] = raw
        if shanks is not None:
            arrays["channels.shanks"] = shanks
        if beside.depths is not None:
            arrays["spikes.depths"] = beside.depths
            depths, of, n = beside.depths, clusters, counts
            if not np.isfinite(depths).all():
                known = np.isfinite(depths)
                depths, of = depths[known], clusters[known]
                n = np.bincount(of, minlength=len(counts))
            sums = np.bincount(of, depths, len(counts))
            arrays["clusters.depths"] = np.divide(sums, n, out=np.full(len(counts), np.nan), where=n > 0)
        measured = self.measured(result, beside, clusters, positions, raw, there, notes)
        by_templates = None
        if beside.best is not None and beside.templates is not None:
            by_templates = imported_arrays.commonest(clusters, beside.templates, beside.best, len(counts))
        if measured is not None and (doubt := measures.doubt(measured, by_templates, positions)):
            notes.append(doubt)
            measured = None
        if measured is not None:
            arrays |= imported_arrays.from_waveforms(measured, beside, clusters, counts)
        elif by_templates is not None:
            arrays["clusters.channels"] = by_templates
        if "clusters.depths" not in arrays and positions is not None and "clusters.channels" in arrays:
            arrays["clusters.depths"] = positions[arrays["clusters.channels"], 1]
        return arrays

    def times(self, result: Sorted, beside: Beside, notes: list[str]) -> np.ndarray:
        """Times of the spikes, s from session start."""
        if result.times is not None:
            notes.append("times are those of the file, s from its start")
            return result.times
        if self.recordings:
            if len(self.recordings) > 1:
                names = ", ".join(recording.path.rpartition("/")[2] for recording in self.recordings)
                notes.append(f"samples are counted through all recordings of {self.probe} in this order: {names}")
            sorted_file.refuse_ms(self.source, result.samples, result.clusters, self.recordings)
            times = runs.session_times(self.recordings, result.samples)
            ids = [{"dataset_id": recording.dataset_id} for recording in self.recordings]
            if ephys.SessionClock.Stream & ids & {"clock_source": "unaligned"}:
                notes.append(f"the clock of {self.probe} is not aligned with the session: times are those of the probe")
            return times
        rate = beside.sampling_rate
        if rate is None:
            raise NeurojointError(
                f"the sampling rate of {self.source} is not known",
                "put its params.py beside it, with a line `sample_rate = NUMBER` (Hz), or ingest the raw recording of "
                "the probe first",
            )
        if not SLOWEST <= rate <= FASTEST:
            raise NeurojointError(
                f"{self.source} states a sampling rate of {rate:.10g} Hz, with which no spikes are sorted",
                "write it in Hz (`sample_rate` in params.py), then import the folder again",
            )
        start = f"times are samples over {rate:.10g} Hz from the first sample on"
        notes.append(f"no raw recording of {self.probe}: {start}")
        return result.samples / rate

    def measured(
        self,
        result: Sorted,
        beside: Beside,
        clusters: np.ndarray,
        positions: np.ndarray | None,
        raw: np.ndarray | None,
        there: dict[str, list] | None,
        notes: list[str],
    ) -> measures.Waveforms | None:
        """Mean waveforms from the raw recording; None where that is not here, or not one, or without gain or places."""
        if len(self.recordings) != 1 or positions is None or raw is None or there is None:
            notes.append("waveforms and amplitudes were not measured: that needs one raw recording with its .meta")
            return None
        one = self.recordings[0]
        if raw.max(initial=0) >= len(there["volts_per_bit"]):
            notes.append(
                "waveforms and amplitudes were not measured: channel_map.npy names channels that are not there"
            )
            return None
        gains = np.asarray(there["volts_per_bit"], np.float32)[raw]
        self.tell(f"{self.source}: measuring waveforms of {int(clusters.max()) + 1} units")
        with files.open_recording({"dataset_id": one.dataset_id}) as opened:
            recording = measures.Recording(
                lambda first, last: opened[first:last][:, raw] * gains, one.n_samples, one.sampling_rate, positions
            )
            return measures.mean_waveforms(recording, result.samples, clusters)


def _changes(before: Path, result: Sorted) -> dict[str, Any]:
    """What the result has changed since it was imported; units by the sorter's numbers."""
    table = pq.read_table(before / "clusters.metrics.pqt")
    numbers = table["sorter_cluster_id"].to_numpy()
    labels = (
        dict(zip(numbers.tolist(), table["ks2_label"].to_pylist(), strict=True))
        if "ks2_label" in table.column_names
        else {}
    )
    load: Callable[[str], np.ndarray] = lambda name: np.load(before / name, allow_pickle=False)  # noqa: E731
    clusters = numbers[load("spikes.clusters.npy")]
    if result.times is not None:  # of files without samples; compared to a microsecond
        samples, now = (np.round(item * 1e6).astype(np.int64) for item in (load("spikes.times.npy"), result.times))
    else:
        samples, now = load("spikes.samples.npy"), result.samples
    difference = curation.difference(
        (samples, clusters), (now, result.clusters),
        {number: label for number, label in labels.items() if label}, result.labels,
    )  # fmt: skip
    return {} if curation.is_empty(difference) else {name: value for name, value in difference.items() if value}
