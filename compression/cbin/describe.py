"""What a recording is, and what was done with it, as plain values and as lines of text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .archive import header_of, is_archive
from .archive_reader import ArchiveReader
from .errors import CbinError
from .reader import Reader
from .reader import open as open_recording
from .recording import Recording


def describe(path: Path, meta: Path | None = None, **shape: Any) -> dict[str, Any]:
    """Kind, size, layout, gains and probe of a raw file, `.cbin` or archive; every value fits into JSON.

    Raises
    ------
    CbinError
    """
    shape = {name: value for name, value in shape.items() if value is not None}
    with open_recording(path, meta, **shape) as recording:
        stored = recording.path.stat().st_size
        facts = {
            "path": str(recording.path),
            "kind": _kind(recording),
            "n_samples": recording.n_samples,
            "n_channels": recording.n_channels,
            "sample_rate": recording.sample_rate,
            "seconds": recording.duration,
            "dtype": str(recording.dtype),
            "raw_bytes": recording.nbytes,
            "stored_bytes": stored,
            "ratio": recording.nbytes / stored if stored else None,
            "n_chunks": recording.n_chunks,
            "chunk_seconds": _chunk_seconds(recording),
        }
        if isinstance(recording, Reader):
            header = recording.header
            facts |= {
                "order": header.order,
                "time_diff": header.time_diff,
                "spatial_diff": header.spatial_diff,
                "sha1_raw": header.sha1_uncompressed,
                "sha1_compressed": header.sha1_compressed,
                "unfinished": header.in_progress,
            }
        elif isinstance(recording, ArchiveReader):
            facts["sha1_raw"] = recording.sha1
        return facts | _probe(recording)


def lines(facts: dict[str, Any]) -> str:
    """The facts of `describe`, one to a line."""
    if "kind" not in facts:
        return ""
    rows = {
        "file": f"{facts['path']} ({facts['kind']})",
        "samples": f"{facts['n_samples']:,} x {facts['n_channels']} channels, {facts['dtype']}",
        "rate": f"{facts['sample_rate']:g} Hz, {duration(facts['seconds'])}",
        "size": f"{size(facts['stored_bytes'])}, raw {size(facts['raw_bytes'])}"
        + (f", ratio {facts['ratio']:.3f}" if facts["ratio"] else ""),
    }
    if facts["kind"] != "raw":
        rows["chunks"] = f"{facts['n_chunks']:,} of {facts['chunk_seconds']:g} s"
    if "order" in facts:
        order = {"F": "channel after channel", "C": "sample after sample"}[facts["order"]]
        kinds = [kind for kind in ("time", "space") if facts["time_diff" if kind == "time" else "spatial_diff"]]
        rows["layout"] = f"{order}, differences in {' and '.join(kinds)}" if kinds else f"{order}, no differences"
    if facts.get("unfinished"):
        rows["state"] = "still being written"
    if facts.get("probe"):
        rows["probe"] = f"{facts['probe']}" + (f", serial {facts['serial']}" if facts.get("serial") else "")
    if facts.get("microvolts_per_bit"):
        rows["gain"] = f"{facts['microvolts_per_bit']:g} uV per bit (first channel)"
    if facts.get("header_problem"):
        rows["header"] = facts["header_problem"]
    if facts.get("sha1_raw"):
        rows["sha1"] = f"{facts['sha1_raw']} (raw)"
    return "\n".join(f"{name:8s} {text}" for name, text in rows.items())


def summary(result: dict[str, Any]) -> str:
    """What a command did with a file, in one line."""
    if result.get("skipped"):
        return f"{result['path']}: {result['skipped']}"
    if "errors" in result and result.get("ok") is False:
        return f"{result['path']}: FAILED" if "n_chunks" in result else ""
    stored = result.get("archive_bytes") or result["compressed_bytes"]
    seconds = max(result["seconds"], 1e-9)
    parts = [f"{size(result['raw_bytes'])} raw, {size(stored)} compressed", f"ratio {result['raw_bytes'] / stored:.3f}"]
    parts.append(f"{duration(seconds)} ({result['raw_bytes'] / 1e6 / seconds:.0f} MB/s)")
    if result.get("ok"):
        parts.insert(0, "sound" if result.get("hashes_compared", True) else "sound, but its header has no hashes")
    for name, text in (("raw_removed", "raw file removed"), ("source_removed", "input removed")):
        if result.get(name):
            parts.append(text)
    if result.get("resumed_chunks"):
        parts.append(f"{result['resumed_chunks']} chunks were there already")
    return f"{result['output'] if result.get('output') else result['path']}: {', '.join(parts)}"


def size(n: float) -> str:
    """Bytes for people.

    Examples
    --------
    >>> size(69_300_000), size(12)
    ('69.3 MB', '12 B')
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if n < 1000 or unit == "TB":
            break
        n /= 1000
    return f"{n:.0f} {unit}" if unit == "B" or n >= 100 else f"{n:.3g} {unit}"


def duration(seconds: float) -> str:
    """Seconds for people.

    Examples
    --------
    >>> duration(0.25), duration(3725)
    ('0.25 s', '1:02:05')
    """
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    hours = f"{whole // 3600}:{whole // 60 % 60:02d}" if whole >= 3600 else f"{whole // 60}"
    return f"{hours}:{whole % 60:02d}"


def _kind(recording: Recording) -> str:
    return "compressed" if isinstance(recording, Reader) else "archive" if is_archive(recording.path) else "raw"


def _chunk_seconds(recording: Recording) -> float:
    bounds = recording.chunk_bounds
    return (bounds[1] - bounds[0]) / recording.sample_rate if len(bounds) > 1 else 0.0


def _probe(recording: Recording) -> dict[str, Any]:
    """What the SpikeGLX header adds; a header that cannot be read is told, and no reason to fail."""
    try:
        meta = header_of(recording)
        gains = recording.volts_per_bit
    except CbinError as error:
        return {"header_problem": str(error)}
    facts: dict[str, Any] = (
        {} if meta is None else {"probe": meta.probe_name or meta.kind, "serial": meta.serial, "band": meta.band}
    )
    if meta is not None:
        facts["sync_channels"] = list(meta.sync_channels)
    if gains is not None:
        facts["microvolts_per_bit"] = float(np.float64(gains[0]) * 1e6)
    return facts
