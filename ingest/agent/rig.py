"""The rig's side: a session folder with its description, and its safe copy to the lab's server.

A copy is read back and compared by hash on both sides before it counts; the flag that lets the server's agent begin
is written last. What a crash left unsent is picked up by the next `send`, which sends only what differs.
"""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ingest.agent.sessions import FLAG
from ingest.files import copying
from pipeline.alf import names
from pipeline.errors import ConflictError, UserError
from pipeline.tasks import description as descriptions
from pipeline.unfinished import unfinished

STATE = ".neurojoint_rig.json"
QUIET_S = 300.0
HASH = "blake2b"


@dataclass
class Sent:
    """What one run sent."""

    sessions: list[str] = field(default_factory=list)
    files: int = 0
    size: int = 0
    waiting: list[str] = field(default_factory=list)
    """Sessions whose files changed a moment ago."""
    problems: dict[str, str] = field(default_factory=dict)


def describe(
    tasks: Sequence[str] = (), cameras: Sequence[str] = (), probes: Sequence[str] = (), microphone: bool = False,
    sync: str = "bpod", projects: Sequence[str] = (), procedures: Sequence[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """An experiment description, as the agent and the published programs read it."""
    devices: dict[str, Any] = {}
    if cameras:
        devices["cameras"] = {camera: {"collection": "raw_video_data", "sync_label": None} for camera in cameras}
    if probes:
        devices["neuropixel"] = {
            probe: {"collection": f"raw_ephys_data/{probe}", "sync_label": "imec_sync"} for probe in probes
        }
    if microphone:
        devices["microphone"] = {"microphone": {"collection": "raw_task_data_00", "sync_label": None}}
    folder = "raw_ephys_data" if sync == "nidq" else "raw_task_data_00"
    return {
        "version": "1.0.0", "devices": devices, "projects": list(projects), "procedures": list(procedures),
        "sync": {sync: {"collection": folder}},
        "tasks": [{one: {"collection": f"raw_task_data_{i:02d}", "sync_label": "bpod"}} for i, one in enumerate(tasks)],
    }  # fmt: skip


def new(
    root: Path, lab: str, subject: str, content: dict[str, Any], date: datetime.date | None = None,
    number: int | None = None,
) -> Path:  # fmt: skip
    """Make a session folder with its description and the folders of its devices; returns it.

    Raises
    ------
    UserError : a name that cannot be used.
    ConflictError : the session is there already.
    InvalidData : a description that cannot be read again.
    """
    try:
        names.check(lab, "lab")
        names.check(subject, "subject")
    except ValueError as error:
        raise UserError(str(error)) from None
    read = descriptions.read(content)
    day = root / lab / "Subjects" / subject / (date or datetime.date.today()).isoformat()  # noqa: DTZ011 - at the rig
    day.mkdir(parents=True, exist_ok=True)
    taken = {int(path.name) for path in day.iterdir() if path.name.isdigit()}
    chosen = number if number is not None else max(taken, default=0) + 1
    folder = day / f"{chosen:03d}"
    try:
        folder.mkdir()
    except FileExistsError:
        raise ConflictError(f"{folder} is there already", "choose another number") from None
    for name in [*(device.folder for device in read.devices), *(task.folder for task in read.tasks)]:
        (folder / name).mkdir(parents=True, exist_ok=True)
    _write(folder / descriptions.FILE, yaml.safe_dump(content, sort_keys=False))
    _write(folder / STATE, json.dumps({"state": "recording", "since": time.time()}))
    return folder


def unsent(root: Path) -> list[Path]:
    """The sessions of a rig that `new` made and that have not been sent."""
    return sorted(file.parent for file in root.glob(f"*/Subjects/*/*/*/{STATE}") if _state(file.parent) != "sent")


def send(
    root: Path, destination: Path, quiet: float = QUIET_S, only: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Sent:  # fmt: skip
    """Copy the unsent sessions to the server's root, verify each file on both sides, and flag them.

    Parameters
    ----------
    quiet : s without change after which a session counts as recorded.
    only : this session, whether it is quiet or not.

    Raises
    ------
    ConflictError : another program sends from this root.
    """
    if not destination.is_dir():
        raise UserError(f"{destination} is no folder", "check that the server's disk is mounted")
    sent = Sent()
    with (root / ".neurojoint_send.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConflictError(f"another program sends from {root}", "wait for it") from None
        for folder in unsent(root) if only is None else [only]:
            place = folder.relative_to(root).as_posix()
            files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
            newest = max((path.stat().st_mtime for path in files), default=0.0)
            if only is None and time.time() - newest < quiet:
                sent.waiting.append(place)
                continue
            try:
                for path in files:
                    tell(f"{place}/{path.relative_to(folder).as_posix()}")
                    if _copy(path, destination / path.relative_to(root)):
                        sent.files += 1
                        sent.size += path.stat().st_size
            except (OSError, ConflictError) as error:
                sent.problems[place] = str(error)
                continue
            (destination / place / FLAG).touch()
            _write(folder / STATE, json.dumps({"state": "sent", "to": str(destination), "at": time.time()}))
            sent.sessions.append(place)
    return sent


def _copy(source: Path, target: Path) -> bool:
    """Copy one file unless the same is there; whether it was copied."""
    before = source.stat()
    digest = copying.hash_of(source, HASH)
    if target.is_file():
        if target.stat().st_size == before.st_size and copying.hash_of(target, HASH) == digest:
            return False
        raise ConflictError(f"another {target} is there", "compare both, and move one away")
    copying.copy(source, target, expected=digest, kind=HASH)
    return True


def _state(folder: Path) -> str:
    try:
        return str(json.loads((folder / STATE).read_text()).get("state"))
    except (OSError, ValueError):
        return "unknown"


def _write(path: Path, text: str) -> None:
    with unfinished(path) as partial:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
