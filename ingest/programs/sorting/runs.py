"""Which recordings there are to sort, and the tasks of those that were."""

from __future__ import annotations

import hashlib
import json
import platform
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ingest.files.scan import SessionKey
from ingest.rows.recordings import SESSION
from pipeline.alf.columns import compressed_form, raw_form
from pipeline.database.bulk import fetch_columns, json_column
from pipeline.errors import ConflictError
from pipeline.schemas import data, ephys, task
from pipeline.schemas.inputs.recordings import clock
from pipeline.tasks import get
from pipeline.tasks.plan import unique
from pipeline.tasks.queue import New, Outcome, Queue

KIND = "sort_spikes"


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
    listed = []
    for row in sorted(fetch_columns(query).to_pylist(), key=lambda row: row["file_path"]):
        if not row["file_path"].startswith(scope) or (probe and row["label"] != probe) or not row["label"]:
            continue
        folder = row["file_path"].rsplit("/", row["rel_path"].count("/") + 1)[0]
        session = SessionKey(row["lab"], row["subject"], str(row["session_date"]), row["session_number"])
        listed.append(
            Item(
                row["dataset_id"], session, folder, row["file_path"], (row["record_size"], row["modified_ns"]),
                raw_hashes.get(row["dataset_id"], row["record_hash"]), row["label"], row["sampling_rate"],
                row["n_channels"], row["n_samples"],
            )
        )  # fmt: skip
    return listed


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
    bounds = np.cumsum([0, *(item.n_samples for item in items)])
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
    for item in items:
        own = clock({"dataset_id": item.dataset_id})
        for values in (own.source, own.target):
            digest.update(np.round(np.asarray(values, np.float64), 6).tobytes())
        digest.update(item.dataset_id.encode())
    return digest.hexdigest()


def geometry(dataset_id: str) -> dict[str, list] | None:
    """`lateral`, `axial` (um), `shank` and `volts_per_bit` of each neural channel; None where no header gave them."""
    names = {"lateral": "map_lateral", "axial": "map_axial", "shank": "map_shank", "volts_per_bit": "map_volts_per_bit"}
    rows = fetch_columns(ephys.ChannelMap & {"dataset_id": dataset_id}, *names.values())
    return {name: json_column(rows, column)[0] for name, column in names.items()} if rows.num_rows else None


class Run:
    """The task of the kind `sort_spikes` for one recording, one sorter and one set of parameters.

    Who works on it holds a lease, as the agents of lab servers do. It is tried once: what failed is sorted again by the
    next call, or where a person restarts the task and a computer has a program for the environment `sorting`.
    """

    def __init__(self, one: Item, repository: str, sorter: str, parameters_hash: str) -> None:
        self.item, self.repository, self.queue = one, repository, Queue()
        self.session = dict(zip(SESSION, one.session, strict=True))
        self.name = f"{KIND}_{one.probe}_{sorter}"[:64]
        self.what = {
            "label": one.probe, "dataset_id": one.dataset_id, "sorter": sorter, "parameters_hash": parameters_hash,
        }  # fmt: skip
        self.id, self.token, self.began = "", "", 0.0

    def is_done(self) -> bool:
        """Was this recording, as it is now, sorted so?"""
        row = self._row()
        return (
            row is not None
            and row["task_state"] == "Complete"
            and row["task_arguments"].get("recording_hash") == self.item.recording_hash
        )

    def begin(self, parameters: Mapping[str, Any]) -> None:
        """Take the task, which is added if it is not there; what another process left of it is taken over."""
        with self.queue.transaction():
            self._take(parameters)

    def _take(self, parameters: Mapping[str, Any]) -> None:
        row = self._row()
        folder = self.item.path.rpartition("/")[0].removeprefix(f"{self.item.folder}/")
        arguments = self.what | {
            "folder": folder, "parameters": dict(parameters), "recording_hash": self.item.recording_hash,
        }  # fmt: skip
        if row is None:
            needs, place = get(KIND).needs, "/".join(map(str, self.item.session))
            mark = unique(place, self.name, self.what)
            columns = {
                "task_environment": needs.environment, "task_most_attempts": 1, "task_repository": self.repository,
                "task_cores": needs.cores, "task_memory": needs.memory, "task_version": get(KIND).version,
            }  # fmt: skip
            new = New(self.name, KIND, arguments, (), mark, -100, 0, columns)
            (self.id,) = self.queue.add([new], self.session).values()
        else:
            self.id = row["task_uuid"]
            if row["task_state"] == "Started":  # of a process that is gone: the lock of the recording is ours
                self.queue.abandon([self.id])
            attempts = row["task_attempts"]
            self.queue.restart([self.id])
            self.queue.update(self.id, {"task_arguments": json.dumps(arguments), "task_attempts": attempts})
        self.token, self.began = str(uuid.uuid4()), time.monotonic()
        if not self.queue.take(self.id, platform.node(), self.token):
            raise ConflictError(f"{self.item.path} is sorted by another computer", "wait for it")

    def keep(self, activity: str) -> None:
        """Keep the lease, and say what is done now."""
        self.queue.heartbeat(self.id, self.token, None, activity)

    def log(self, text: str) -> None:
        """What the program said last."""
        self.queue.log(self.id, self.token, 0, text)

    def done(self, folder: str, words: str) -> None:
        """Enter that it is done, with the registered files in its folder, and what was found."""
        made = [
            {"path": row["rel_path"], "md5": row["dataset_hash"].strip(), "size": row["file_size"]}
            for row in (data.Dataset & self.session).to_dicts()
            if row["dataset_hash"] and row["rel_path"].rpartition("/")[0] == folder
        ]
        version = get(KIND).version
        self.queue.note_outputs(self.id, made, version, self.item.recording_hash)
        self.keep(words)
        seconds = time.monotonic() - self.began
        self.queue.finish(self.id, self.token, Outcome("Complete", elapsed=seconds, version=version))

    def failed(self, problem: str) -> None:
        """Enter why it failed."""
        seconds = time.monotonic() - self.began
        self.queue.finish(self.id, self.token, Outcome("Errored", "program", problem[:1000], seconds))

    def _row(self) -> dict[str, Any] | None:
        for row in (task.Task & self.session & {"kind_name": KIND}).to_dicts():
            told = row["task_arguments"]
            told = json.loads(told) if isinstance(told, str) else told or {}
            if all(told.get(name) == value for name, value in self.what.items()):
                return row | {"task_arguments": told}
        return None


def below(folder: Path, base: Path) -> str:
    """The path of a folder below a base, with a slash; empty for the base itself."""
    return "" if folder == base else f"{folder.relative_to(base).as_posix()}/"
