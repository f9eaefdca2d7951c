"""What `task.SortingRun` knows, and which recordings there are to sort."""

from __future__ import annotations

import datetime
import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ingest.files.scan import SessionKey
from ingest.rows.recordings import SESSION
from pipeline.alf.columns import compressed_form, raw_form
from pipeline.database.bulk import fetch_columns, insert_many, json_column
from pipeline.schemas import data, ephys, task
from pipeline.schemas.inputs.recordings import clock


@dataclass(frozen=True)
class Item:
    """A registered recording of the AP band."""

    dataset_id: str
    session: SessionKey
    folder: str  # of the session, below the root of the repository
    path: str  # of the file, below the root of the repository
    modified: tuple[int, int]  # size (byte) and time of last change (ns since 1970) when it was registered
    recording_hash: str  # md5, of the raw samples where it is known
    probe: str
    sampling_rate: float  # Hz
    n_channels: int
    n_samples: int

    @property
    def is_compressed(self) -> bool:
        return raw_form(self.path) != self.path

    @property
    def is_multiplexed(self) -> bool:
        """Whether its file is nothing but int16 samples, channels fastest."""
        return compressed_form(self.path) != self.path


def items(repository: str, scope: str, probe: str | None) -> list[Item]:
    """The AP recordings of a repository that are online below the folder `scope`, by path."""
    records = (data.FileRecord & {"repository": repository, "file_state": "online"}).proj(
        "file_path", "record_size", "modified_ns", "record_hash"
    )
    recordings = (ephys.Recording & {"band": "ap"}).proj(
        "sampling_rate", "n_channels", "n_samples", label="probe_label"
    )
    query = recordings * data.Dataset.proj(*SESSION, "rel_path") * records
    raw = fetch_columns(ephys.Compression & query.proj(), "dataset_id", "raw_hash").to_pylist()
    raw_hashes = {row["dataset_id"]: row["raw_hash"] for row in raw if row["raw_hash"]}
    found = []
    for row in sorted(fetch_columns(query).to_pylist(), key=lambda row: row["file_path"]):
        if not row["file_path"].startswith(scope) or (probe and row["label"] != probe) or not row["label"]:
            continue
        folder = row["file_path"].rsplit("/", row["rel_path"].count("/") + 1)[0]
        session = SessionKey(row["lab"], row["subject"], str(row["session_date"]), row["session_number"])
        found.append(
            Item(
                row["dataset_id"], session, folder, row["file_path"], (row["record_size"], row["modified_ns"]),
                raw_hashes.get(row["dataset_id"], row["record_hash"]), row["label"], row["sampling_rate"],
                row["n_channels"], row["n_samples"],
            )
        )  # fmt: skip
    return found


def session_times(items: Sequence[Item], samples: np.ndarray) -> np.ndarray:
    """Times of samples of a recording, s from session start, by the clock of the recording.

    The clocks of the session are computed if they are not yet: spikes and raw samples must not have different zeros.

    Parameters
    ----------
    items : the recording, or its pieces (gates, triggers) in order: the samples count through all of them.
    samples : (n,) from 0.
    """
    key = dict(zip(SESSION, items[0].session, strict=True))
    if not ephys.SessionClock & key:
        ephys.SessionClock.populate(key)
    bounds = np.cumsum([0, *(one.n_samples for one in items)])
    piece = np.searchsorted(bounds[1:-1], samples, side="right")
    times = np.empty(len(samples))
    for number, one in enumerate(items):
        own = piece == number
        times[own] = clock({"dataset_id": one.dataset_id}).convert(samples[own] - bounds[number])
    return times


def clock_hash(items: Sequence[Item]) -> str:
    """md5 of the clocks of recordings, which are computed if they are not yet; empty without recordings."""
    if not items:
        return ""
    key = dict(zip(SESSION, items[0].session, strict=True))
    if not ephys.SessionClock & key:
        ephys.SessionClock.populate(key)
    digest = hashlib.md5(usedforsecurity=False)
    for one in items:
        own = clock({"dataset_id": one.dataset_id})
        for values in (own.source, own.target):
            digest.update(np.round(np.asarray(values, np.float64), 6).tobytes())
        digest.update(one.dataset_id.encode())
    return digest.hexdigest()


def geometry(dataset_id: str) -> dict[str, list] | None:
    """`lateral`, `axial` (um), `shank` and `volts_per_bit` of each neural channel; None where no header gave them."""
    names = {"lateral": "map_lateral", "axial": "map_axial", "shank": "map_shank", "volts_per_bit": "map_volts_per_bit"}
    rows = fetch_columns(ephys.ChannelMap & {"dataset_id": dataset_id}, *names.values())
    return {name: json_column(rows, column)[0] for name, column in names.items()} if rows.num_rows else None


class Run:
    """One row of `task.SortingRun`."""

    def __init__(self, one: Item, sorter: str, parameters_hash: str) -> None:
        self.item = one
        self.key = {
            "dataset_id": one.dataset_id, "sorting_sorter": sorter, "parameters_hash": parameters_hash,
        }  # fmt: skip

    def is_done(self) -> bool:
        """Was this recording, as it is now, sorted so?"""
        done = {"sorting_state": "done", "recording_hash": self.item.recording_hash}
        return bool(task.SortingRun & self.key & done)

    def begin(self, parameters: Mapping[str, Any], version: str, command: list[str]) -> None:
        """Enter that it begins now."""
        before = fetch_columns(task.SortingRun & self.key, "sorting_attempts")["sorting_attempts"].to_pylist()
        row = {
            "sorting_state": "running", "sorting_parameters": dict(parameters), "sorting_version": version,
            "sorting_command": command, "sorting_host": platform.node()[:255],
            "sorting_attempts": 1 + sum(before), "sorting_start": _now(), "sorting_end": None,
            "sorting_duration": None, "sorting_exit_code": None, "sorting_problem": "", "sorting_log": "",
            "recording_hash": self.item.recording_hash, "sorting_folder": "", "n_sorted_units": None,
            "n_sorted_spikes": None,
        }  # fmt: skip
        insert_many(task.SortingRun, {name: [value] for name, value in (self.key | row).items()}, "update")

    def end(self, state: str, **values: Any) -> None:
        """Enter how it ended."""
        task.SortingRun.update1(self.key | {"sorting_state": state, "sorting_end": _now()} | values)


def below(folder: Path, base: Path) -> str:
    """The path of a folder below a base, with a slash; empty for the base itself."""
    return "" if folder == base else f"{folder.relative_to(base).as_posix()}/"


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
