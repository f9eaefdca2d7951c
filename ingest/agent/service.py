"""What agents ask of the central machine: plans, claims, heartbeats, logs, files, reports. Needs the database, no HTTP.

The server answers its requests with it, and an agent on the central machine calls it directly.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datajoint as dj

from ingest import registration
from ingest.files.scan import SessionKey
from ingest.rows import layouts
from ingest.rows.announced import Announced, announce
from ingest.rows.repository import repository_of
from ingest.rows.writing import Writer
from pipeline import entry
from pipeline.alf import columns, identity, names
from pipeline.alf.columns import raw_form
from pipeline.errors import ConflictError, InvalidData, PermissionDenied, UserError
from pipeline.schemas import acquisition, data, subject, task
from pipeline.tasks import description as descriptions
from pipeline.tasks import submit
from pipeline.tasks.kinds import kinds
from pipeline.tasks.plan import matching
from pipeline.tasks.queue import Capability, LeaseLost, Outcome, Queue

SESSION = ("lab", "subject", "session_date", "session_number")
MOST_FILES = 20_000
_MD5 = re.compile(r"[0-9a-f]{32}")


class TaskService:
    """The tasks as one account may work on them.

    Parameters
    ----------
    user : name of the account.
    labs : whose tasks it may have; None: all.
    root : the data root of this machine, where uploaded files go; None: there is none.
    staging : folder in which uploaded files wait until their task is done.
    """

    def __init__(self, user: str, labs: Sequence[str] | None, root: Path | None, staging: Path) -> None:
        self.user, self.labs, self.root, self.staging = user, None if labs is None else tuple(labs), root, staging
        self.queue = Queue()

    # --- sessions -----------------------------------------------------------------------------------------------

    def plan(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """Enter a session that a lab server found, and the tasks that it needs.

        Parameters
        ----------
        report : `lab`, `subject`, `date`, `number`; `files` (path -> byte); `description`, `protocol`, `start_time`,
            `end_time`, `host`, `repository` where they are known.

        Raises
        ------
        UserError : the report cannot be used, or the animal is not in the tables.
        PermissionDenied : the session is of another lab.
        """
        key = self._key(report)
        self.check_lab(key["lab"])
        files = _sizes(report.get("files"))
        description = report.get("description") or None
        if description is not None and not isinstance(description, Mapping):
            raise UserError("the description is no mapping of names to values", "send the content of the file")
        if description is not None:
            try:
                descriptions.read(description)
            except InvalidData as error:
                raise UserError(str(error)) from None
        repository = self._repository(report.get("repository"))
        if not (subject.Subject & {name: key[name] for name in ("lab", "subject")}):
            raise UserError(
                f"there is no subject {key['subject']} of the lab {key['lab']}",
                "add it first (neurojoint ingest, or POST /subjects); the agent tries again",
            )
        if not (acquisition.Session & key):
            told = {"start_time": report.get("start_time"), "end_time": report.get("end_time"),
                    "task_protocol": str(report.get("protocol") or "")[:255]}  # fmt: skip
            row = key | {name: value for name, value in told.items() if value}
            entry.write("acquisition.Session", [row], user=self.user, source="agent", create_missing=True)
        found = submit.submit(
            self.queue, (acquisition.Session & key).fetch1("KEY"), description, files,
            protocol=str(report.get("protocol") or ""), host=str(report.get("host") or ""), repository=repository,
        )  # fmt: skip
        return {"session": (acquisition.Session & key).fetch1("eid").strip(), "tasks": found}

    # --- tasks --------------------------------------------------------------------------------------------------

    def claim(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The next task for a computer, or `{}`."""
        known = request.get("kinds")
        environments = request.get("environments") or []
        if not isinstance(known, list | dict) or not all(isinstance(one, str) for one in [*known, *environments]):
            raise UserError("kinds and environments are lists of names", "see docs/lab-server.md")
        can = Capability(
            _text(request.get("host") or "unknown", 64), tuple(known)[:500], tuple(environments)[:100],
            _whole(request, "cores", 1), _whole(request, "gpus", 0), _whole(request, "memory", 4096),
            _whole(request, "scratch", 1 << 62), _whole(request, "io", 100), self.labs,
            self._repository(request.get("repository")),
        )  # fmt: skip
        row = self.queue.claim(can, str(request.get("token") or ""))
        return {} if row is None else self.record(row)

    def record(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A claimed task as an agent gets it: names and numbers, nothing that could be run."""
        session = {}
        if row["lab"] is not None:
            key = {name: row[name] for name in SESSION}
            session = {"lab": key["lab"], "subject": key["subject"], "date": str(key["session_date"]),
                       "number": key["session_number"]}  # fmt: skip
        return {
            "id": row["task_uuid"], "name": row["task_name"], "kind": row["kind_name"], "version": row["task_version"],
            "arguments": row["task_arguments"] or {}, "session": session, "attempt": row["task_attempts"],
            "token": row["lease_token"], "lease": self.queue.lease, "environment": row["task_environment"],
            "cores": row["task_cores"], "memory": row["task_memory"], "gpus": row["task_gpus"], "io": row["task_io"],
            "scratch": row["task_scratch"], "time_limit": row["task_time_limit"],
        }  # fmt: skip

    def heartbeat(self, task_uuid: str, token: str, progress: Any = None, activity: Any = "") -> dict[str, Any]:
        """Keep a lease."""
        self._check_task(task_uuid)
        done = float(progress) if isinstance(progress, int | float) and not isinstance(progress, bool) else None
        self.queue.heartbeat(task_uuid, token, done, _text(activity, 255))
        return {"lease": self.queue.lease}

    def log(self, task_uuid: str, token: str, piece: Any, text: Any) -> dict[str, Any]:
        """Add a piece to the log of a task."""
        if type(piece) is not int or not isinstance(text, str):
            raise UserError("piece is a whole number, text is text", "see docs/lab-server.md")
        self._check_task(task_uuid)
        self.queue.log(task_uuid, token, piece, text)
        return {}

    def release(self, task_uuid: str, token: str) -> dict[str, Any]:
        """Give a task back."""
        self._check_task(task_uuid)
        self.queue.release(task_uuid, token)
        return {}

    def finish(self, task_uuid: str, token: str, report: Mapping[str, Any]) -> dict[str, Any]:
        """End a task: its outputs are checked against its kind and registered, then it counts as done, once.

        Parameters
        ----------
        report : `state`, `exit`, `message`, `elapsed`, `version`, `inputs` (md5), and `outputs`: a list of `path`,
            `md5`, `size`, `modified_ns`, `uploaded`.

        Raises
        ------
        LeaseLost : others have the task.
        UserError : an output that its kind does not have, or that is missing.
        ConflictError : an output would replace a protected file.
        """
        row = self._held(task_uuid, token)
        elapsed = report.get("elapsed")
        outcome = Outcome(
            str(report.get("state")), str(report.get("exit") or "ok"), str(report.get("message") or "")[:1000],
            float(elapsed) if isinstance(elapsed, int | float) else None, str(report.get("version") or "")[:64],
        )  # fmt: skip
        if row["task_state"] == "Started" or row["task_exit"] == "lost":
            outputs = self._outputs(row, report.get("outputs") or [])
            if outputs:
                self.queue.heartbeat(task_uuid, token, None, "registering")
                self._register(row, outputs)
                inputs = str(report.get("inputs") or "")[:32]
                self.queue.note_outputs(task_uuid, outputs, outcome.version, inputs)
        state = self.queue.finish(task_uuid, token, outcome)
        shutil.rmtree(self.staging / task_uuid, ignore_errors=True)
        return {"state": state}

    def receive(self, task_uuid: str, token: str, path: str, blocks: Iterable[bytes], md5: str) -> dict[str, Any]:
        """A small output, sent to this machine: it waits until its task is done.

        Raises
        ------
        UserError : the path is none of the task's outputs, or what arrived is not what was sent.
        """
        row = self._held(task_uuid, token)
        path = self._checked_path(row, path)
        folder = self.staging / task_uuid
        target = folder / hashlib.md5(path.encode(), usedforsecurity=False).hexdigest()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        digest = hashlib.md5(usedforsecurity=False)
        part = target.with_suffix(".part")
        with part.open("wb") as file:
            for block in blocks:
                digest.update(block)
                file.write(block)
        if digest.hexdigest() != md5:
            part.unlink()
            raise UserError(f"{path} arrived with another md5", "send it again")
        part.replace(target)
        return {"md5": md5}

    def protected(self, task_uuid: str, token: str, paths: Sequence[str]) -> list[str]:
        """Which outputs would replace protected files."""
        row = self._held(task_uuid, token)
        return sorted(self._protected(row, [self._checked_path(row, str(path)) for path in paths]))

    def health(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """Note what a computer says of itself; answers with the time of the database, by which its clock is judged."""
        host = _text(report.get("host"), 64)
        if not host:
            raise UserError("the name of the host is missing", "send `host`")
        now = self.queue.now()
        offset = report.get("clock_offset")
        row = {
            "host_name": host, "host_user": self.user[:64], "host_labs": ",".join(self.labs or ())[:500],
            "host_repository": str(report.get("repository") or "")[:64],
            "host_kinds": _mapping(report, "kinds"), "host_environments": _mapping(report, "environments"),
            "host_cores": _whole(report, "cores", 1), "host_memory": _whole(report, "memory", 0),
            "host_gpus": _whole(report, "gpus", 0), "host_version": str(report.get("version") or "")[:64],
            "host_health": _mapping(report, "health"), "host_seen": now,
            "host_clock_offset": float(offset) if isinstance(offset, int | float) else None,
        }  # fmt: skip
        known = task.TaskHost & {"host_name": host}
        if known and known.fetch1("host_user") not in ("", self.user) and self.labs is not None:
            raise PermissionDenied(f"the host {host} belongs to another account: choose another name (--name)")
        task.TaskHost.insert1(row, skip_duplicates=True)
        task.TaskHost.update1(row)
        return {"time": now.isoformat()}

    # --- inside -------------------------------------------------------------------------------------------------

    def check_lab(self, lab: str | None) -> None:
        """Refuse what is of another lab.

        Raises
        ------
        PermissionDenied
        """
        if self.labs is not None and lab not in self.labs:
            raise PermissionDenied(f"this token is for {', '.join(self.labs) or 'no lab'}, not for {lab or 'all labs'}")

    def _check_task(self, task_uuid: str) -> None:
        if self.labs is not None:
            self.check_lab(self.queue.get(task_uuid)["lab"])

    def _held(self, task_uuid: str, token: str) -> dict[str, Any]:
        row = self.queue.get(task_uuid)
        self.check_lab(row["lab"])
        if not token or row["lease_token"] != token:
            raise LeaseLost(task_uuid)
        return row

    def _key(self, report: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return {
                "lab": names.check(report.get("lab"), "lab"), "subject": names.check(report.get("subject"), "subject"),
                "session_date": _date(report.get("date")), "session_number": _number(report.get("number")),
            }  # fmt: skip
        except (ValueError, TypeError) as error:
            raise UserError(f"this is no session: {error}", "send lab, subject, date and number") from None

    def _repository(self, name: Any) -> str:
        if not name:
            return ""
        if not isinstance(name, str) or not (data.Repository & {"repository": name}):
            raise UserError(f"there is no repository {name!r}", "neurojoint repository define NAME …")
        return name

    def _checked_path(self, row: Mapping[str, Any], path: str) -> str:
        """A path below the session folder that the kind of a task may write.

        Raises
        ------
        UserError
        """
        parts = path.split("/")
        folder, _, name = path.rpartition("/")
        inside = not path.startswith("/") and not any(part in ("", ".", "..") for part in parts)
        if not inside or not path.isprintable() or len(path) > 255 or "\\" in path:
            raise UserError(f"{path[:80]!r} is no path below the session folder", "send the path of an output")
        if columns.parse_name(name) is None or columns.parse_folder(folder) is None:
            raise UserError(f"{path[:80]!r} is no ALF name", "send the path of an output")
        kind = kinds().get(row["kind_name"])
        if kind is None:
            raise UserError(f"there is no task kind {row['kind_name']!r} here", "install the module that registers it")
        arguments = row["task_arguments"] or {}
        plain = re.sub(r"#[^/]*#/", "", path)
        if not any(matching(pattern, arguments, [plain]) for pattern in kind.outputs):
            raise UserError(f"{kind.name} does not make {path[:80]}", f"its outputs are {', '.join(kind.outputs)}")
        return path

    def _outputs(self, row: Mapping[str, Any], listed: Any) -> list[dict[str, Any]]:
        if not isinstance(listed, list) or len(listed) > MOST_FILES or not all(isinstance(o, dict) for o in listed):
            raise UserError("outputs is no list of files", "see docs/lab-server.md")
        found = []
        for one in listed:
            size, modified = one.get("size"), one.get("modified_ns", 0)
            if not _MD5.fullmatch(str(one.get("md5"))) or type(size) is not int or type(modified) is not int:
                raise UserError("an output has md5, size and modified_ns", "see docs/lab-server.md")
            path = self._checked_path(row, str(one.get("path")))
            found.append({"path": path, "md5": one["md5"], "size": size, "modified_ns": modified,
                          "uploaded": one.get("uploaded") is True})  # fmt: skip
        clash = self._protected(row, [one["path"] for one in found], {one["path"]: one["md5"] for one in found})
        if clash:
            raise ConflictError(f"{sorted(clash)[0]} is protected", "write another revision of it")
        return found

    def _protected(
        self, row: Mapping[str, Any], paths: Sequence[str], hashes: Mapping[str, str] | None = None
    ) -> set[str]:
        key = {name: row[name] for name in SESSION}
        tags = data.DatasetTag & (data.Tag & {"tag_protected": True}).proj()
        known = (data.Dataset & key).proj("rel_path", "dataset_hash") & tags.proj()
        there = {raw_form(one["rel_path"]): one["dataset_hash"].strip() for one in known.to_dicts()}
        return {
            path for path in paths
            if raw_form(path) in there and (hashes is None or there[raw_form(path)] != hashes[path])
        }  # fmt: skip

    def _register(self, row: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]]) -> None:
        """Files that are on this machine are read and registered as all are; of others their record is written."""
        key = SessionKey(row["lab"], row["subject"], str(row["session_date"]), row["session_number"])
        here = [one for one in outputs if one["uploaded"] or not row["task_repository"]]
        there = [one for one in outputs if not one["uploaded"] and row["task_repository"]]
        if there:
            register_elsewhere(key, row["task_repository"], there)
        if not here:
            return
        if self.root is None:
            raise UserError("this server has no data root, so files cannot be sent to it", "neurojoint serve --root …")
        repository, base = repository_of(self.root.resolve(), None)
        place = layouts.registered_places(repository, [key]).get(key) or identity.session_path(*key)
        for one in here:
            if one["uploaded"]:
                self._settle(row["task_uuid"], base / place, one)
        registration.register_session(repository, base, key, place, required=[one["path"] for one in here])

    def _settle(self, task_uuid: str, folder: Path, one: Mapping[str, Any]) -> None:
        """Put an uploaded file into its place."""
        target = folder / one["path"]
        staged = self.staging / task_uuid / hashlib.md5(one["path"].encode(), usedforsecurity=False).hexdigest()
        if not staged.exists():
            if target.is_file() and _md5(target) == one["md5"]:
                return  # an earlier report came so far
            raise UserError(f"{one['path']} was not sent", "send it, then report again")
        if not (folder.resolve() / one["path"]).parent.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{one['path']} leads out of the session folder", "remove the link")
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{task_uuid[:8]}.part")
        shutil.copyfile(staged, part)
        if _md5(part) != one["md5"]:
            part.unlink()
            raise UserError(f"{one['path']} is not what was reported", "send it again")
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(target)


def register_elsewhere(key: SessionKey, repository: str, outputs: Sequence[Mapping[str, Any]]) -> None:
    """Write datasets and records of files that are in a repository of another computer, which read and hashed them.

    Raises
    ------
    ConflictError : another content is registered, and a copy of that is online elsewhere.
    """
    connection = task.Task().connection
    writer = Writer(connection, dry_run=False)
    session = dict(zip(SESSION, key, strict=True))
    root = identity.session_path(*key)
    with connection.transaction:
        announce(writer, key, [Announced(one["path"], one["md5"], one["size"]) for one in outputs])
        rows = {raw_form(one["rel_path"]): one for one in (data.Dataset & session).to_dicts()}
        for one in outputs:
            row = rows[raw_form(one["path"])]
            if (row["dataset_hash"].strip(), row["rel_path"]) != (one["md5"], one["path"]):
                others = data.FileRecord & {"dataset_id": row["dataset_id"], "file_state": "online"}
                others = others & dj.Not({"repository": repository})
                if others and row["dataset_hash"].strip() != one["md5"] and row["rel_path"] == one["path"]:
                    raise ConflictError(
                        f"another {one['path']} is registered, of which there are copies elsewhere",
                        "write another revision of it",
                    )
                name = columns.parse_name(one["path"].rpartition("/")[2])
                data.Dataset.update1({
                    "dataset_id": row["dataset_id"], "dataset_hash": one["md5"], "file_size": one["size"],
                    "rel_path": one["path"], "extension": name.extension if name else row["extension"],
                })  # fmt: skip
                writer.change("replaced", f"{root}/{one['path']}", "", row["dataset_hash"].strip(), one["md5"])
            record = {
                "dataset_id": row["dataset_id"], "repository": repository, "file_path": f"{root}/{one['path']}",
                "file_state": "online", "record_size": one["size"], "record_hash": one["md5"],
                "modified_ns": one["modified_ns"], "verified": writer.now,
            }  # fmt: skip
            data.FileRecord.insert1(record, skip_duplicates=True)
            data.FileRecord.update1(record)
        ids = [{"dataset_id": rows[raw_form(one["path"])]["dataset_id"]} for one in outputs]
        data.note_online(data.Dataset & ids)
        writer.flush_changes()


def _text(value: Any, longest: int) -> str:
    """A word of a client, on one line."""
    return "".join(sign if sign.isprintable() else " " for sign in str(value or ""))[:longest].strip()


def _sizes(files: Any) -> dict[str, int]:
    if not isinstance(files, Mapping) or len(files) > MOST_FILES:
        raise UserError("files is no mapping of paths to sizes", f"send at most {MOST_FILES} files below the session")
    for path, size in files.items():
        good = isinstance(path, str) and path.isprintable() and 0 < len(path) <= 255 and not path.startswith("/")
        if not good or ".." in path.split("/") or type(size) is not int or size < 0:
            raise UserError(f"{str(path)[:80]!r} is no file below the session", "send paths and sizes in byte")
    return dict(files)


def _whole(request: Mapping[str, Any], name: str, default: int) -> int:
    value = request.get(name, default)
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise UserError(f"{name} is no whole number", "send a number from 0")
    return (
        min(value, 32767) if name in ("cores", "gpus", "io") else min(value, 1 << 31) - 1 if name == "memory" else value
    )


def _mapping(report: Mapping[str, Any], name: str) -> dict[str, Any]:
    import json

    found = report.get(name) or {}
    if not isinstance(found, Mapping) or len(json.dumps(found, default=str)) > 20_000:
        raise UserError(f"{name} is no mapping of at most 20,000 characters", "send less")
    return dict(found)


def _date(value: Any) -> Any:
    import datetime

    return datetime.date.fromisoformat(str(value))


def _number(value: Any) -> int:
    found = int(str(value))
    if not 0 <= found < 1000:
        raise ValueError(f"{value!r} is no number of a session")
    return found


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
