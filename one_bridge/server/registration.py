"""`register-file` and `check-protected`: files that a rig has put below the data root become rows, by ingest's own way.

The server reads the files itself: hashes and sizes that a client states are compared with what is there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from one_bridge.server import values
from one_bridge.server.endpoint_model import BadInput, Field, Refused, table
from one_bridge.server.endpoints import DATASETS
from one_bridge.server.files import Roots
from one_bridge.server.record_hooks import SESSION
from one_bridge.server.serialise import Serialiser
from one_bridge.server.writing import body_text
from pipeline.alf import columns, identity
from pipeline.web.threads import Database

MOST_FILES = 5000
_PATH = re.compile(r"(?P<subject>[\w.-]+)/(?P<date>\d{4}-\d{2}-\d{2})/(?P<number>\d{1,3})", re.ASCII)
_RECORD = (
    "id", "name", "file_size", "hash", "created_by", "created_datetime", "dataset_type", "data_format", "collection",
    "revision", "default_dataset", "qc", "file_records", "version", "url",
)  # fmt: skip


class Registration:
    """Registers files.

    Parameters
    ----------
    database, serialiser : the tables, and how records are made of them.
    roots : the folders of this computer that hold files.
    """

    def __init__(self, database: Database, serialiser: Serialiser, roots: Roots) -> None:
        self.database, self.serialiser, self.roots = database, serialiser, roots

    def check_protected(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Which of the files are protected: `{"status_code": 200 or 403, "details": …}`."""
        key, files = self._named(body)
        details = self._versions(key, files)
        if not _any_protected(details):
            return {"status_code": 200, "details": details}
        return {"status_code": 403, "error": "One or more datasets is protected", "details": details}

    def register(self, body: Mapping[str, Any], root: str) -> list[dict[str, Any]]:
        """Register files of one session; returns their records in the order of the request.

        Raises
        ------
        BadInput : no such session, a file that is not there, is no ALF file, or is not as the client says.
        Refused : a protected dataset would be overwritten.
        """
        key, files = self._named(body)
        if body.get("content_type") not in (None, "", "session"):
            raise BadInput("content_type", "Only files of sessions can be registered.")
        hashes, sizes = _aligned(body, "hashes", files), _aligned(body, "filesizes", files)
        details = self._versions(key, files)
        checked = _flag(body, "check_protected")
        if checked and _any_protected(details):
            raise Refused("One or more datasets is protected", _protected_body(details))
        if not _flag(body, "exists"):
            raise BadInput("exists", "Copy the files below the data root of the server first.")
        folder, repository = self._folder(key, body_text(body, "name"))
        for name, md5, size in zip(files, hashes, sizes, strict=True):
            self._compare(key, folder, name, md5, size)
        with self.database.working():
            import ingest

            ingest.register(folder, repository=repository, processes=1)
        return self._records(key, files, root, body)

    def _named(self, body: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The session and the paths below its folder that a body names."""
        match = _PATH.fullmatch(body_text(body, "path").strip("/"))
        if match is None:
            raise BadInput("path", "Write it as subject/YYYY-MM-DD/NNN.")
        date = values.parse(Field("path", kind="date"), match["date"])
        wanted = {"subject": match["subject"], "session_date": date, "session_number": int(match["number"])}
        labs = body.get("labs")
        lab = values.parse(Field("labs"), labs[0] if isinstance(labs, list) and labs else labs or None)
        condition = values.key_condition(list(wanted), [list(wanted.values())], self.database.backend)
        rows = self.database.select(table("acquisition.Session") & condition, [*SESSION, "eid"])
        rows = [row for row in rows if not lab or row["lab"] in lab.split(",")]
        if len(rows) != 1:
            raise BadInput("path", f"{'Several labs have' if rows else 'There is no'} session {match[0]}.")
        names = body.get("filenames")
        names = names.split(",") if isinstance(names, str) else names
        if not isinstance(names, list) or not names or len(names) > MOST_FILES:
            raise BadInput("filenames", f"Expected a list of 1 to {MOST_FILES} paths below the session folder.")
        return rows[0], [_checked_name(one) for one in names]

    def _versions(self, key: Mapping[str, Any], files: list[str]) -> list[dict[str, list[dict[str, bool]]]]:
        """Per file the versions of it that are registered, newest revision first: `{path: [{revision: protected}]}`."""
        datasets = (table("data.Dataset") * table("acquisition.Session").proj("eid")) & values.key_condition(
            ["eid"], [[key["eid"]]], self.database.backend
        )
        rows = self.database.select(datasets, ["dataset_id", "rel_path", "dataset_revision"])
        tags = table("data.DatasetTag") & (table("data.Tag") & {"tag_protected": True}).proj()
        protected = {row["dataset_id"] for row in self.database.select(tags & datasets.proj(), ["dataset_id"])}
        versions: dict[str, list[tuple[str, bool]]] = {}
        for row in rows:
            plain = _without_revision(row["rel_path"])
            versions.setdefault(plain, []).append((row["dataset_revision"], row["dataset_id"] in protected))
        return [
            {name: [{revision: is_protected} for revision, is_protected in sorted(
                versions.get(_without_revision(name), []), reverse=True)]}
            for name in files
        ]  # fmt: skip

    def _folder(self, key: Mapping[str, Any], repository: str) -> tuple[Path, str]:
        """The folder of a session on this computer, and the repository that it is in."""
        path = identity.session_path(*(key[name] for name in SESSION)).split("/")
        roots = self.roots.local()
        if repository and repository not in roots:
            raise BadInput("name", f"There is no repository {repository} on this server.")
        for name, root in roots.items():
            if repository and name != repository:
                continue
            for start in (path, path[1:], path[2:]):  # lab/Subjects/…, Subjects/…, or the subjects themselves
                for number in (f"{key['session_number']:03d}", str(key["session_number"])):
                    folder = root.joinpath(*start[:-1], number)
                    if folder.is_dir() and folder.resolve().is_relative_to(root.resolve()):
                        return folder, name
        raise BadInput(
            "path", "The session has no folder below the data root of the server: copy the files there first."
        )

    def _compare(self, key: Mapping[str, Any], folder: Path, name: str, md5: Any, size: Any) -> None:
        """Is the file there, and is it what the client says? A protected version must not differ."""
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            raise BadInput("filenames", f"{name} is not below the data root of the server: copy it there first.")
        found = path.stat().st_size
        if size is not None and values.parse(Field("filesizes", kind="int"), size) != found:
            raise BadInput("filesizes", f"{name} has {found} bytes on the server.")
        known = (table("data.Dataset") * table("acquisition.Session").proj("eid")) & values.key_condition(
            ["eid", "rel_path"], [[key["eid"], _without_uuid(name)]], self.database.backend
        )
        rows = self.database.select(known, ["dataset_id", "dataset_hash"])
        is_protected = bool(rows) and _any_protected_id(self.database, rows[0]["dataset_id"])
        if md5 is None and not is_protected:
            return
        there = _md5(path)
        if md5 is not None and str(md5).replace("-", "").lower() != there:
            raise BadInput("hashes", f"{name} has the md5 {there} on the server.")
        if is_protected and rows[0]["dataset_hash"].strip() != there:
            raise Refused("One or more datasets is protected", _protected_body(self._versions(key, [name])))

    def _records(
        self, key: Mapping[str, Any], files: list[str], root: str, body: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        rows = (table("data.Dataset") * table("acquisition.Session").proj("eid")) & values.key_condition(
            ["eid", "rel_path"], [[key["eid"], _without_uuid(name)] for name in files], self.database.backend
        )
        found = {row["dataset_id"]: row["rel_path"] for row in self.database.select(rows, ["dataset_id", "rel_path"])}
        records = self.serialiser.records(DATASETS, rows, root, True, _RECORD)
        by_path = {found[record["id"]]: record for record in records}
        users = self.database.select(
            (table("acquisition.SessionUser") * table("acquisition.Session").proj("eid"))
            & values.key_condition(["eid"], [[key["eid"]]], self.database.backend),
            ["user_name"],
        )
        answer = []
        for name in files:
            record = by_path.get(_without_uuid(name))
            if record is None:
                raise BadInput("filenames", f"{name} was refused: see `neurojoint quarantine`.")
            answer.append(
                record
                | {
                    "default": record["default_dataset"],
                    "subject": key["subject"],
                    "session": key["eid"],
                    "session_number": key["session_number"],
                    "session_users": ",".join(row["user_name"] for row in users),
                    "session_start_time": f"{key['session_date']}",
                    "created_by": body_text(body, "created_by"),
                }
            )
        return answer


def _aligned(body: Mapping[str, Any], name: str, files: list[str]) -> list[Any]:
    """One value a file; nothing said means None for each."""
    given = body.get(name)
    given = given.split(",") if isinstance(given, str) else given
    if given is None:
        return [None] * len(files)
    if not isinstance(given, list) or len(given) != len(files):
        raise BadInput(name, "Expected one value for each file.")
    return given


def _checked_name(name: Any) -> str:
    """A path below a session folder that ALF allows."""
    if not isinstance(name, str) or len(name) > 255:
        raise BadInput("filenames", "A path of at most 255 characters is required.")
    folder, _, file_name = name.rpartition("/")
    parts = name.split("/")
    if name.startswith("/") or any(part in ("", ".", "..") for part in parts) or "\\" in name or not name.isprintable():
        raise BadInput("filenames", f"{name[:80]!r} is no path below the session folder.")
    if columns.parse_name(file_name) is None or columns.parse_folder(folder) is None:
        raise BadInput("filenames", f"{name[:80]!r} is no ALF name.")
    return name


def _without_revision(path: str) -> str:
    return re.sub(r"#[^/]*#/", "", path)


def _without_uuid(path: str) -> str:
    folder, _, name = path.rpartition("/")
    parsed = columns.parse_name(name)
    plain = parsed.dataset if parsed else name
    return f"{folder}/{plain}" if folder else plain


def _flag(body: Mapping[str, Any], name: str) -> bool:
    """A yes or no that is yes where nothing is said."""
    return True if body.get(name) is None else values.parse(Field(name, kind="bool"), body[name])


def _any_protected(details: list[dict[str, list[dict[str, bool]]]]) -> bool:
    return any(True in version.values() for one in details for versions in one.values() for version in versions)


def _any_protected_id(database: Database, dataset_id: str) -> bool:
    tags = table("data.DatasetTag") & (table("data.Tag") & {"tag_protected": True}).proj()
    return bool(database.count(tags & values.key_condition(["dataset_id"], [[dataset_id]], database.backend)))


def _protected_body(details: list) -> dict[str, Any]:
    return {"status_code": 403, "error": "One or more datasets is protected", "details": details}


def _md5(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
