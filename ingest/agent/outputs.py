"""What tasks made, on the central machine: paths are checked against the kind, files put into place and registered."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datajoint as dj

from ingest.files import copying
from ingest.files.scan import SessionKey
from ingest.one_session import register_session
from ingest.rows import layouts
from ingest.rows.announced import Announced, announce
from ingest.rows.repository import repository_of
from ingest.rows.writing import Writer
from pipeline import entry
from pipeline.alf import columns, identity
from pipeline.alf.columns import raw_form
from pipeline.errors import ConflictError, UserError
from pipeline.schemas import data, task
from pipeline.tasks.kinds import kinds
from pipeline.tasks.plan import matching

SESSION = ("lab", "subject", "session_date", "session_number")
MOST_FILES = 20_000
_MD5 = re.compile(r"[0-9a-f]{32}")


class Outputs:
    """The outputs of tasks.

    Parameters
    ----------
    root : the data root of this machine, where uploaded files go; None: there is none.
    staging : folder in which uploaded files wait until their task is done.
    """

    def __init__(self, root: Path | None, staging: Path) -> None:
        self.root, self.staging = root, staging

    def receive(self, row: Mapping[str, Any], path: str, blocks: Iterable[bytes], md5: str) -> None:
        """Keep an uploaded file until its task is done.

        Raises
        ------
        UserError : the path is none of the task's outputs, or what arrived is not what was sent.
        """
        path = self.checked_path(row, path)
        target = self._staged(row["task_uuid"], path)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
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

    def forget(self, task_uuid: str) -> None:
        """Remove what was uploaded for a task that has ended."""
        shutil.rmtree(self.staging / task_uuid, ignore_errors=True)

    def _staged(self, task_uuid: str, path: str) -> Path:
        """Where an uploaded file waits."""
        return self.staging / task_uuid / hashlib.md5(path.encode(), usedforsecurity=False).hexdigest()

    def checked_path(self, row: Mapping[str, Any], path: str) -> str:
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

    def checked(self, row: Mapping[str, Any], listed: Any) -> list[dict[str, Any]]:
        if not isinstance(listed, list) or len(listed) > MOST_FILES or not all(isinstance(o, dict) for o in listed):
            raise UserError("outputs is no list of files", "see docs/lab-server.md")
        if not listed:
            return []
        outputs = []
        for item in listed:
            size, modified = item.get("size"), item.get("modified_ns", 0)
            if not _MD5.fullmatch(str(item.get("md5"))) or type(size) is not int or type(modified) is not int:
                raise UserError("an output has md5, size and modified_ns", "see docs/lab-server.md")
            path = self.checked_path(row, str(item.get("path")))
            outputs.append({"path": path, "md5": item["md5"], "size": size, "modified_ns": modified,
                          "uploaded": item.get("uploaded") is True,
                          "qc": "WARNING" if item.get("qc") == "WARNING" else ""})  # fmt: skip
        clash = self.protected(row, [item["path"] for item in outputs], {item["path"]: item["md5"] for item in outputs})
        if clash:
            raise ConflictError(f"{sorted(clash)[0]} is protected", "write another revision of it")
        return outputs

    def protected(
        self, row: Mapping[str, Any], paths: Sequence[str], hashes: Mapping[str, str] | None = None
    ) -> set[str]:
        key = {name: row[name] for name in SESSION}
        tags = data.DatasetTag & (data.Tag & {"tag_protected": True}).proj()
        known = (data.Dataset & key).proj("rel_path", "dataset_hash") & tags.proj()
        there = {raw_form(item["rel_path"]): item["dataset_hash"].strip() for item in known.to_dicts()}
        return {
            path for path in paths
            if raw_form(path) in there and (hashes is None or there[raw_form(path)] != hashes[path])
        }  # fmt: skip

    def register(self, row: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]]) -> None:
        """Files that are on this machine are read and registered as all are; of others their record is written."""
        key = SessionKey(row["lab"], row["subject"], str(row["session_date"]), row["session_number"])
        here = [output for output in outputs if output["uploaded"] or not row["task_repository"]]
        there = [output for output in outputs if not output["uploaded"] and row["task_repository"]]
        if there:
            register_elsewhere(key, row["task_repository"], there)
        if not here:
            return
        if self.root is None:
            raise UserError("this server has no data root, so files cannot be sent to it", "neurojoint serve --root …")
        repository, base = repository_of(self.root.resolve(), None)
        place = layouts.registered_places(repository, [key]).get(key) or identity.session_path(*key)
        for item in here:
            if item["uploaded"]:
                self._settle(row["task_uuid"], base / place, item)
        register_session(repository, base, key, place, required=[item["path"] for item in here])

    def note_doubts(self, row: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]], user: str) -> None:
        """Outputs of which the task says that nothing proves them have the QC WARNING, unless it is worse."""
        doubted = {output["path"] for output in outputs if output["qc"]}
        if not doubted:
            return
        key = {name: row[name] for name in SESSION}
        rows = (data.Dataset & key & "dataset_qc IN ('NOT_SET', 'PASS')").proj("rel_path").to_dicts()
        changed = [{"dataset_id": item["dataset_id"], "dataset_qc": "WARNING"} for item in rows
                   if raw_form(item["rel_path"]) in doubted]  # fmt: skip
        if changed:
            entry.write("data.Dataset", changed, user=user, source="agent", action="update")

    def _settle(self, task_uuid: str, folder: Path, one: Mapping[str, Any]) -> None:
        """Put an uploaded file into its place."""
        target = folder / one["path"]
        staged = self._staged(task_uuid, one["path"])
        if not staged.exists():
            if target.is_file() and copying.hash_of(target) == one["md5"]:
                return  # an earlier report came so far
            raise UserError(f"{one['path']} was not sent", "send it, then report again")
        if not (folder.resolve() / one["path"]).parent.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{one['path']} leads out of the session folder", "remove the link")
        copying.copy(staged, target, mark=task_uuid[:8], expected=one["md5"])


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
        announce(writer, key, [Announced(output["path"], output["md5"], output["size"]) for output in outputs])
        rows = {raw_form(item["rel_path"]): item for item in (data.Dataset & session).to_dicts()}
        for output in outputs:
            row = rows[raw_form(output["path"])]
            if (row["dataset_hash"].strip(), row["rel_path"]) != (output["md5"], output["path"]):
                others = data.FileRecord & {"dataset_id": row["dataset_id"], "file_state": "online"}
                others = others & dj.Not({"repository": repository})
                if others and row["dataset_hash"].strip() != output["md5"] and row["rel_path"] == output["path"]:
                    raise ConflictError(
                        f"another {output['path']} is registered, of which there are copies elsewhere",
                        "write another revision of it",
                    )
                name = columns.parse_name(output["path"].rpartition("/")[2])
                data.Dataset.update1({
                    "dataset_id": row["dataset_id"], "dataset_hash": output["md5"], "file_size": output["size"],
                    "rel_path": output["path"], "extension": name.extension if name else row["extension"],
                })  # fmt: skip
                writer.change("replaced", f"{root}/{output['path']}", "", row["dataset_hash"].strip(), output["md5"])
            record = {
                "dataset_id": row["dataset_id"], "repository": repository, "file_path": f"{root}/{output['path']}",
                "file_state": "online", "record_size": output["size"], "record_hash": output["md5"],
                "modified_ns": output["modified_ns"], "verified": writer.now,
            }  # fmt: skip
            data.FileRecord.insert1(record, skip_duplicates=True)
            data.FileRecord.update1(record)
        ids = [{"dataset_id": rows[raw_form(output["path"])]["dataset_id"]} for output in outputs]
        data.note_online(data.Dataset & ids)
        writer.flush_changes()
