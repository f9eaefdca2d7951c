"""Raw recordings in session folders: what their headers say, and which raw and compressed files are one recording."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cbin
from cbin import CbinError, TruncatedFile
from cbin.format import check_size, header_path, read_header
from cbin.spikeglx import read_meta

from ingest.files import channel_maps, probe_layouts
from ingest.files.report import Compressed, Found, Known, Recording, Report
from ingest.files.scan import File, Problem, printable
from pipeline.alf.columns import raw_form
from pipeline.alf.reasons import refuse
from pipeline.electrophysiology import raw_formats
from pipeline.errors import InvalidData

if TYPE_CHECKING:
    from cbin.format import Header
    from cbin.spikeglx import Meta


SAMPLE_BYTES = 2
"""SpikeGLX writes int16."""
_BAND = re.compile(r"\.(ap|lf|nidq|obx)\.(?:c?bin)$")
_CHUNK = 1 << 20  # byte


def band_of(path: str) -> str | None:
    """Which band a raw recording of this name holds, in either form; None where it is no raw recording.

    >>> band_of("raw_ephys_data/probe00/r_g0_t0.imec0.ap.cbin"), band_of("r_g0_t0.nidq.bin"), band_of("r.ap.meta")
    ('ap', 'nidq', None)
    """
    match = _BAND.search(path)
    return match[1] if match else None


def is_recording(path: str) -> bool:
    """Whether a file below the session is a raw recording of a system that is known, in either form.

    >>> is_recording("raw_ephys_data/r_g0_t0.imec0.ap.cbin"), is_recording("raw_ephys_data/probe00/a_240501.rhd")
    (True, True)
    """
    return band_of(path) is not None or raw_formats.format_of(path) is not None


def probe_label(collection: str, attribute: str) -> str:
    """The name of a probe: its folder, or else its number in the file name.

    >>> probe_label("raw_ephys_data/probe01", "imec0"), probe_label("raw_ephys_data", "imec1"), probe_label("", "imec")
    ('probe01', 'probe01', 'probe00')
    """
    folder = collection.rpartition("/")[2]
    if folder.startswith("probe"):
        return folder[:32]
    number = re.fullmatch(r"imec(\d*)", attribute)
    return f"probe{int(number[1] or 0):02d}"[:32] if number else (folder or attribute)[:32]


def set_aside(
    root: Path, session: str, listed: list[File], names: Mapping[str, tuple]
) -> tuple[list[File], dict[str, File]]:
    """The files to examine, and the raw files that lie beside their compressed form, by the path of that dataset.

    A whole compressed recording goes before its raw file, which is then no dataset of its own. A .ch without its .cbin
    beside a raw file is what an interrupted compression left.
    """
    by_dataset = {names[file.path][3]: file for file in listed}
    beside: dict[str, File] = {}
    left_out: set[str] = set()
    for rel_path, file in by_dataset.items():
        if not is_recording(rel_path):
            continue
        raw = raw_form(rel_path)
        if raw != rel_path:
            if raw in by_dataset and _is_whole(root / session / file.path, file.size):
                beside[rel_path] = by_dataset[raw]
                left_out.add(by_dataset[raw].path)
        elif f"{rel_path[:-4]}.cbin" not in by_dataset and (index := by_dataset.get(f"{rel_path[:-4]}.ch")):
            left_out.add(index.path)
    return [file for file in listed if file.path not in left_out], beside


def examine(root: Path, report: Report, beside: Mapping[str, File], known: Known) -> None:
    """Fill `report.recordings`; drop the recordings that cannot be read from its files, with the reason."""
    for file in [file for file in report.files if is_recording(file.rel_path)]:
        path, raw = root / file.file_path, beside.get(file.rel_path)
        try:
            one = _compressed(path, file) if raw_form(file.rel_path) != file.rel_path else _raw(path, file)
        except InvalidData as error:
            report.problems.append(Problem(file.file_path, error.reason, printable(error.detail)[:1000]))
            report.files.remove(file)
            continue
        if any(other != file and raw_form(file.rel_path) == other.rel_path for other in report.files):
            report.files.remove(file)  # it became whole since the folder was listed: next time
            report.folder = report.folder._replace(signature="")
            continue
        if raw is not None and one.compressed is not None:
            try:
                one = replace(one, compressed=_with_raw(root / report.folder.path, path, raw, one.compressed, known))
            except InvalidData as error:
                where = printable(f"{report.folder.path}/{raw.path}")
                report.problems.append(Problem(where, error.reason, printable(error.detail)[:1000]))
        report.recordings.append(one)
        if one.probe_label and (wrong := _wrong_probe_file(path, file, one)) and wrong not in report.problems:
            report.problems.append(wrong)


def _wrong_probe_file(path: Path, file: Found, one: Recording) -> Problem | None:
    """The probe file of a recording, where it gives no places or not those of all channels."""
    beside = channel_maps.probe_file(path)
    if beside is None:
        return None
    places = channel_maps.contacts(beside)
    if places is None:
        detail = "it holds no contacts with finite places in um, mm or m, as probeinterface writes them: it is not used"
    elif one.channel_map is None or (
        raw_formats.format_of(file.rel_path) and not set(one.channel_map.channels) <= places.keys()
    ):
        detail = f"it has no contact for some of the channels that {path.name} records: it is not used"
    else:
        return None
    return Problem(printable(f"{file.file_path.rpartition('/')[0]}/{beside.name}"), "unreadable_file", detail)


def md5_and_sha1(path: Path) -> tuple[str, str]:
    """Both hashes of a file, read once."""
    md5, sha1 = hashlib.md5(usedforsecurity=False), hashlib.sha1(usedforsecurity=False)
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_CHUNK):
            md5.update(piece)
            sha1.update(piece)
    return md5.hexdigest(), sha1.hexdigest()


def layout_text(order: str, chunk_seconds: float, time_diff: bool, spatial_diff: bool) -> str:
    """How the samples of a compressed recording lie, in words.

    >>> layout_text("C", 0.1, True, False)
    'samples first, chunks of 0.1 s, time differences'
    """
    differences = [name for name, on in (("time", time_diff), ("channel", spatial_diff)) if on]
    order = "samples first" if order == "C" else "channels first"
    return f"{order}, chunks of {chunk_seconds:g} s, {' and '.join(differences) or 'no'} differences"


def _raw(path: Path, file: Found) -> Recording:
    """A raw file, by its .meta, or by what another system than SpikeGLX wrote beside it or into it."""
    if raw_formats.format_of(file.rel_path):
        return _of_other_system(path, file)
    meta = _meta(path)
    row = SAMPLE_BYTES * meta.n_channels
    if meta.file_size and file.size < meta.file_size:
        detail = f"{file.size} of the {meta.file_size} bytes that the .meta states"
        raise refuse(file.rel_path, "truncated", detail)
    if file.size % row:
        detail = f"{file.size} bytes are no multiple of {row} ({meta.n_channels} channels of int16)"
        raise refuse(file.rel_path, "truncated", detail)
    return _described(path, file, meta, meta.n_channels, meta.sample_rate, file.size // row)


def _compressed(path: Path, file: Found) -> Recording:
    """A compressed file, by its .ch; the .meta adds gain and probe where it is there."""
    header = _header(path, file.size)
    if raw_formats.format_of(file.rel_path):
        one = _of_other_system(path, file)
    else:
        try:
            meta = _meta(path)
        except InvalidData:
            meta = None
        one = _described(path, file, meta, header.n_channels, header.sample_rate, header.n_samples)
    layout = layout_text(header.order, header.chunk_seconds, header.time_diff, header.spatial_diff)
    return replace(
        one,
        compressed=Compressed(
            raw_form(file.rel_path), header.raw_bytes, header.sha1_uncompressed or "", header.sha1_compressed or "",
            layout, printable(str(header.extra.get("encoder", "")))[:64],
        ),
    )  # fmt: skip


def _with_raw(session: Path, path: Path, raw: File, one: Compressed, known: Known) -> Compressed:
    """The same with what is known of the raw file beside it, which must be the same recording.

    Raises
    ------
    InvalidData
        It is another one, or cannot be read.
    """
    if raw.size != one.raw_size:
        detail = f"it has {raw.size} bytes, but {path.name} was made from {one.raw_size}"
        raise refuse(raw.path, "forms_differ", detail)
    before = known.get(raw.path, ())
    if before[:2] == (raw.size, raw.modified_ns) and len(before) > 3:
        md5, sha1 = before[2:4]
    else:
        try:
            md5, sha1 = md5_and_sha1(session / raw.path)
        except FileNotFoundError:
            raise refuse(raw.path, "vanished", "it was there when the folder was listed") from None
        except PermissionError as error:
            raise refuse(raw.path, "permission_denied", error.strerror or "permission denied") from None
        except OSError as error:
            raise refuse(raw.path, "read_error", error.strerror or str(error)) from None
    if one.raw_sha1 and sha1 != one.raw_sha1:
        detail = f"its SHA-1 is {sha1}, but {path.name} was made from {one.raw_sha1}"
        raise refuse(raw.path, "forms_differ", detail)
    if not one.raw_sha1:
        _compare(path, session / raw.path)
    return replace(one, raw_path=raw.path, raw_sha1=sha1, raw_md5=md5, raw_modified_ns=raw.modified_ns)


def _compare(path: Path, raw: Path) -> None:
    """Compare all samples, where the .ch holds no hash to compare with."""
    try:
        cbin.compare_with_raw(path, header_path(path), raw)
    except cbin.CbinError as error:
        raise refuse(raw.name, "forms_differ", error.problem) from None


def _described(path: Path, file: Found, meta: Meta | None, n_channels: int, rate: float, n_samples: int) -> Recording:
    band = band_of(file.rel_path) or ""
    label = "" if band in ("nidq", "obx") else probe_label(file.collection, file.attribute)
    gain = float(meta.volts_per_bit[0]) if meta is not None else None
    serial = printable(meta.serial)[:64] if meta is not None and meta.serial and label else None
    model = printable(meta.probe_name)[:64] if meta is not None and meta.probe_name and label else None
    has_map = meta is not None and label and meta.n_channels == n_channels
    places = channel_maps.beside(path, meta) if has_map and meta is not None else None
    return Recording(
        file.rel_path, band, label, float(rate), n_channels, n_samples, gain, serial, model, channel_map=places
    )


def _of_other_system(path: Path, file: Found) -> Recording:
    """A recording of Open Ephys, Intan, …; the probe is that of its folder, else the one that its files suggest."""
    told = raw_formats.describe(path, file.rel_path)
    folders = [part for part in file.collection.split("/") if part.startswith("probe")]
    label = "" if told.band in ("nidq", "obx") else (folders[-1] if folders else told.probe or "probe00")[:32]
    gain = float(told.volts_per_bit[0]) if len(told.volts_per_bit) else None
    model = told.model or (told.part_number and probe_layouts.model_of(told.part_number))
    return Recording(
        file.rel_path, told.band, label, told.sampling_rate, told.n_channels, told.n_samples, gain,
        printable(told.serial)[:64] if told.serial and label else None,
        printable(model)[:64] if model and label else None,
        channel_map=channel_maps.of_description(path, told) if label else None,
    )  # fmt: skip


def _meta(path: Path) -> Meta:
    try:
        return read_meta(path)
    except CbinError as error:
        raise refuse(path.name, "bad_header", str(error).replace(f"{path.parent}{os.sep}", "")) from None


def _header(path: Path, size: int) -> Header:
    try:
        header = read_header(header_path(path))
        check_size(header, size, path)
    except CbinError as error:
        reason = "truncated" if isinstance(error, TruncatedFile) else "bad_header"
        raise refuse(path.name, reason, str(error).replace(f"{path.parent}{os.sep}", "")) from None
    except OSError as error:
        raise refuse(path.name, "bad_header", error.strerror or str(error)) from None
    return header


def _is_whole(path: Path, size: int) -> bool:
    try:
        _header(path, size)
    except InvalidData:
        return False
    return True
