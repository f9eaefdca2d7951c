"""From recordings to rows: probes, insertions, ephys.Recording, ephys.Compression with the history of both forms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ingest.files.report import Recording
from ingest.files.scan import SessionKey
from ingest.rows import insertions as insertion_rows
from ingest.rows.insertions import Insertion
from ingest.rows.writing import Writer
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import ephys

SESSION = ("lab", "subject", "session_date", "session_number")
RECORDING = (
    "dataset_id", *SESSION, "probe_label", "band", "sampling_rate", "n_channels", "n_samples", "duration",
    "volts_per_bit",
)  # fmt: skip
CHANNEL_MAP = (
    "dataset_id", "map_channels", "map_lateral", "map_axial", "map_shank", "map_volts_per_bit",
)  # fmt: skip
COMPRESSION = (
    "dataset_id", "raw_path", "raw_size", "raw_hash", "raw_sha1", "raw_repository", "raw_modified_ns",
    "compressed_hash", "compressed_size", "compressed_sha1", "compression_ratio", "compression_layout",
    "compression_encoder", "compression_seconds", "compression_speed", "compressed_at", "raw_removed",
)  # fmt: skip


class Registered(NamedTuple):
    """A recording and the dataset that it is."""

    session: SessionKey
    folder: str  # of the session, below the root
    dataset_id: str
    md5: str  # of the dataset's file
    size: int  # byte
    recording: Recording


def write(writer: Writer, repository: str, recordings: Sequence[Registered]) -> None:
    """Bring the tables up to the recordings of some sessions."""
    if not recordings:
        return
    described = [(item.session, item.recording) for item in recordings]
    insertion_rows.write(writer, [Insertion(s, r.probe_label, r.probe_serial, r.probe_model) for s, r in described])
    rows = [_recording_row(item) for item in recordings]
    there = _rows(ephys.Recording, RECORDING, [item.dataset_id for item in recordings])
    writer.put(ephys.Recording, RECORDING, [row for row in rows if there.get(row[0]) != row], "update")
    maps = [
        (item.dataset_id, *vars(item.recording.channel_map).values())
        for item in recordings
        if item.recording.channel_map
    ]
    writer.put(ephys.ChannelMap, CHANNEL_MAP, maps, "update")
    _compressions(writer, repository, recordings)


def raw_files(dataset_ids: Iterable[str], repository: str) -> dict[str, tuple[str, int, int, str, str]]:
    """dataset -> path below the session, size (byte), time (ns), md5 and SHA-1 of the raw file beside it."""
    ids = list(dataset_ids)
    if not ids:
        return {}
    query = ephys.Compression & {"raw_repository": repository} & [{"dataset_id": id_} for id_ in ids]
    names = ("raw_path", "raw_size", "raw_modified_ns", "raw_hash", "raw_sha1")
    rows = fetch_columns(query, "dataset_id", *names).to_pylist()
    return {row["dataset_id"]: tuple(row[name] for name in names) for row in rows}


def raw_hashes(dataset_ids: Iterable[str]) -> dict[str, str]:
    """dataset -> md5 of the raw file from which it was compressed, where that is known."""
    ids = [{"dataset_id": dataset_id_} for dataset_id_ in dataset_ids]
    rows = fetch_columns(ephys.Compression & ids, "dataset_id", "raw_hash").to_pylist() if ids else []
    return {row["dataset_id"]: row["raw_hash"] for row in rows if row["raw_hash"]}


def _recording_row(one: Registered) -> tuple:
    r = one.recording
    insertion = (*one.session, r.probe_label) if r.probe_label else (None,) * 5
    duration = r.n_samples / r.sampling_rate
    return (
        one.dataset_id, *insertion, r.band, r.sampling_rate, r.n_channels, r.n_samples, duration, r.volts_per_bit,
    )  # fmt: skip


def _compressions(writer: Writer, repository: str, recordings: Sequence[Registered]) -> None:
    there = _rows(ephys.Compression, COMPRESSION, [item.dataset_id for item in recordings])
    raw_again = [
        item.dataset_id for item in recordings if item.recording.compressed is None and item.dataset_id in there
    ]
    if raw_again and not writer.dry_run:
        (ephys.Compression & [{"dataset_id": item} for item in raw_again]).delete_quick()
    changed = []
    for item in recordings:
        if item.recording.compressed is None:
            continue
        before = dict(zip(COMPRESSION, there[item.dataset_id], strict=True)) if item.dataset_id in there else None
        row = _compression_row(writer, repository, item, before)
        if before is None or row != before:
            changed.append(tuple(row[name] for name in COMPRESSION))
    writer.put(ephys.Compression, COMPRESSION, changed, "update")


def _compression_row(writer: Writer, repository: str, one: Registered, before: dict | None) -> dict[str, Any]:
    """The row of a compressed recording; `before` adds what the files do not say any more."""
    form = one.recording.compressed
    if form is None:
        raise AssertionError("the recording is compressed")
    row: dict[str, Any] = dict.fromkeys(COMPRESSION) | {
        "dataset_id": one.dataset_id, "raw_path": form.raw_path, "raw_size": form.raw_size, "raw_hash": form.raw_md5,
        "raw_sha1": form.raw_sha1, "raw_repository": "", "compressed_hash": one.md5, "compressed_size": one.size,
        "compressed_sha1": form.compressed_sha1, "compression_ratio": form.raw_size / one.size,
        "compression_layout": form.layout, "compression_encoder": form.encoder,
    }  # fmt: skip
    if form.raw_modified_ns is not None:
        row |= {"raw_repository": repository, "raw_modified_ns": form.raw_modified_ns}
    if before is not None and before["compressed_hash"] == one.md5:
        kept = ["compression_seconds", "compression_speed", "compressed_at"]
        if form.raw_modified_ns is None:
            kept += ["raw_path", "raw_hash", "raw_sha1", "raw_removed"]
            if before["raw_repository"] not in ("", repository):  # it lies beside the copy in another repository
                kept += ["raw_repository", "raw_modified_ns"]
        row |= {name: before[name] for name in kept}
        if form.raw_modified_ns is None and before["raw_repository"] == repository:
            row["raw_removed"] = writer.now
            path = f"{one.folder}/{before['raw_path']}"
            writer.change("removed", path, "the raw file; its compressed form stays", before["raw_hash"], one.md5)
    if form.seconds is not None:
        speed = form.raw_size / 1e6 / max(form.seconds, 1e-9)
        row |= {"compression_seconds": form.seconds, "compression_speed": speed, "compressed_at": writer.now}
    return row


def _rows(table: Any, names: Sequence[str], ids: Sequence[str]) -> dict[str, tuple]:
    rows = fetch_columns(table & [{"dataset_id": id_} for id_ in ids], *names).to_pylist()
    by_dataset = {}
    for row in rows:
        if row.get("session_date") is not None:
            row["session_date"] = str(row["session_date"])
        by_dataset[row["dataset_id"]] = tuple(row[name] for name in names)
    return by_dataset
