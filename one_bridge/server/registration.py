"""`register-file` and `check-protected`: files that a rig has put below the data root become rows, by ingest's own way.

The server reads the files itself: hashes and sizes that a client states are compared with what is there. The session is
looked up first and handed down, and everything is written in one transaction, or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ingest.files.scan import SessionKey
from ingest.one_session import register_session
from ingest.rows import aggregates
from ingest.rows.announced import Announced, announce
from ingest.rows.writing import Writer
from one_bridge.server import registration_request as requested
from one_bridge.server import values
from one_bridge.server.endpoint_model import BadInput, Refused, table
from one_bridge.server.endpoints import AGGREGATES, DATASETS
from one_bridge.server.files import Roots
from one_bridge.server.record_hooks import SESSION
from one_bridge.server.registration_places import Place, Places
from one_bridge.server.registration_request import RequestedFile, without_uuid
from one_bridge.server.serialise import Serialiser
from one_bridge.server.writing import body_text
from pipeline.alf.columns import raw_form
from pipeline.errors import InvalidData
from pipeline.web.threads import Database

_RECORD = (
    "id", "name", "file_size", "hash", "created_by", "created_datetime", "dataset_type", "data_format", "collection",
    "revision", "default_dataset", "qc", "file_records", "version", "url",
)  # fmt: skip
_SESSIONS = ("", "session", "actions.session")


class Registration:
    """Registers files.

    Parameters
    ----------
    database, serialiser : Database, Serialiser
        The tables, and how records are made of them.
    roots : Roots
        The folders of this computer that hold files.
    """

    def __init__(self, database: Database, serialiser: Serialiser, roots: Roots) -> None:
        self.database, self.serialiser, self.roots = database, serialiser, roots
        self.places = Places(database, roots)

    def check_protected(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Which of the files are protected: `{"status_code": 200 or 403, "details": …}`."""
        if body_text(body, "content_type") not in _SESSIONS:  # tags protect datasets of sessions only
            return {"status_code": 200, "details": [{file.path: []} for file in requested.files(body)]}
        key, files = self._named(body)
        details = self._versions(key, [file.path for file in files])
        if not _any_protected(details):
            return {"status_code": 200, "details": details}
        return {"status_code": 403, "error": "One or more datasets is protected", "details": details}

    def register(self, body: Mapping[str, Any], root: str) -> list[dict[str, Any]]:
        """Register files of one session, or of one animal; returns their records in the order of the request.

        Raises
        ------
        BadInput
            No such session, a file that is not there, is no ALF file, or is not as the client says.
        Refused
            A protected dataset would be overwritten.
        """
        if body_text(body, "content_type") not in _SESSIONS:
            return self._register_aggregates(body, root)
        key, files = self._named(body)
        if requested.flag(body, "check_protected"):
            details = self._versions(key, [file.path for file in files])
            if _any_protected(details):
                raise Refused("One or more datasets is protected", _protected_body(details))
        if requested.flag(body, "exists"):
            names = [file.path for file in files]
            place = self.places.find(key, names, body_text(body, "name"), body_text(body, "hostname"))
            for file in files:
                self._compare(key, place.folder, file)
            self._register_folder(key, place, names)
        else:
            self._announce(key, files)
        return self._records(key, files, root, body)

    def _register_folder(self, key: Mapping[str, Any], place: Place, names: Sequence[str]) -> None:
        """Bring the tables up to the folder; nothing is written if one of the files is refused."""
        with self.database.working():
            try:
                register_session(place.repository, place.root, _session_key(key), place.path, required=names)
            except InvalidData as error:
                raise BadInput(
                    "filenames", f"{error.path} is refused: {error.detail}. Remedy: {error.remedy}."
                ) from None

    def _announce(self, key: Mapping[str, Any], files: Sequence[RequestedFile]) -> None:
        """Enter datasets whose files come later; the registration that finds the files completes the rows."""
        with self.database.writing() as connection:
            writer = Writer(connection, dry_run=False)
            try:
                announce(writer, _session_key(key), [Announced(f.path, f.md5 or "", f.size or 0) for f in files])
            except ValueError as error:
                raise BadInput("filenames", f"{error}.") from None
            writer.flush_changes()

    def _register_aggregates(self, body: Mapping[str, Any], root: str) -> list[dict[str, Any]]:
        """Register files over many sessions, e.g. of an animal, in the folder `aggregates` of a data root."""
        relation = body_text(body, "content_type").rpartition(".")[2]
        folder = requested.aggregate_folder(body, relation)
        self._check_object(relation, folder, body)
        files = requested.files(body)
        paths = [f"{folder}/{file.path}" for file in files]
        roots = {name: path.resolve() for name, path in self.roots.local().items()}
        wanted = body_text(body, "name")
        place = next(
            (
                Place(name, path, "")
                for name, path in roots.items()
                if wanted in ("", name) and all(Place(name, path, "").holds(item) for item in paths)
            ),
            None,
        )
        if place is None:
            raise BadInput("path", f"Copy the files below the data root of the server first, to {folder}.")
        for one, path in zip(files, paths, strict=True):
            _compare_file(place.root / path, one)
        with self.database.writing() as connection:
            writer = Writer(connection, dry_run=False)
            problems = {item.path: item for item in aggregates.register(writer, place.repository, place.root)}
            for path in paths:
                if path in problems:
                    raise BadInput("filenames", f"{path} is refused: {problems[path].detail}.")
            writer.flush_changes()
        rows = table("data.Aggregate") & values.key_condition(
            ["aggregate_path"], [[path] for path in paths], self.database.backend
        )
        records = {record["relative_path"]: record for record in self.serialiser.records(AGGREGATES, rows, root, True)}
        return [records[path] | {"created_by": body_text(body, "created_by")} for path in paths]

    def _check_object(self, relation: str, folder: str, body: Mapping[str, Any]) -> None:
        """The object that the files are of must be the one that their folder names."""
        identifier = body_text(body, "object_id")
        if relation != "subject" or not identifier:
            return
        rows = self.database.select(
            table("subject.Subject")
            & values.key_condition(["subject_uuid"], [[identifier.lower()]], self.database.backend)
        )
        if not rows:
            raise BadInput("object_id", f"There is no subject {identifier}.")
        if rows[0]["subject"] not in folder.split("/"):
            raise BadInput("path", f"{folder} is no folder of the subject {rows[0]['subject']}.")

    def _named(self, body: Mapping[str, Any]) -> tuple[dict[str, Any], list[RequestedFile]]:
        """The session and the files below its folder that a body names."""
        named = requested.session_folder(body)
        wanted = {"subject": named.subject, "session_date": named.date, "session_number": named.number}
        condition = values.key_condition(list(wanted), [list(wanted.values())], self.database.backend)
        rows = self.database.select(table("acquisition.Session") & condition, [*SESSION, "eid"])
        rows = [row for row in rows if not named.labs or row["lab"] in named.labs]
        if not rows:
            raise BadInput("path", f"There is no session {named.text}: create it first (POST /sessions).")
        if len(rows) > 1:
            labs = ", ".join(sorted(row["lab"] for row in rows))
            raise BadInput("labs", f"Several labs have a session {named.text} ({labs}): say which.")
        return rows[0], requested.files(body, named.collection)

    def _versions(self, key: Mapping[str, Any], files: list[str]) -> list[dict[str, list[dict[str, bool]]]]:
        """Per file the versions of it that are registered, newest revision first: `{path: [{revision: protected}]}`."""
        datasets = table("data.Dataset") & values.key_condition(
            SESSION, [[key[name] for name in SESSION]], self.database.backend
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

    def _compare(self, key: Mapping[str, Any], folder: Path, file: RequestedFile) -> None:
        """Is the file what the client says? A protected version must not differ."""
        known = table("data.Dataset") & values.key_condition(
            [*SESSION, "rel_path"], [[*(key[n] for n in SESSION), without_uuid(file.path)]], self.database.backend
        )
        rows = self.database.select(known, ["dataset_id", "dataset_hash"])
        is_protected = bool(rows) and _any_protected_id(self.database, rows[0]["dataset_id"])
        _compare_file(folder / file.path, file)
        if is_protected and rows[0]["dataset_hash"].strip() != _md5(folder / file.path):
            raise Refused("One or more datasets is protected", _protected_body(self._versions(key, [file.path])))

    def _records(
        self, key: Mapping[str, Any], files: Sequence[RequestedFile], root: str, body: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        of_session = values.key_condition(SESSION, [[key[name] for name in SESSION]], self.database.backend)
        there = table("data.Dataset") & of_session
        paths = {row["dataset_id"]: row["rel_path"] for row in self.database.select(there, ["dataset_id", "rel_path"])}
        wanted = {raw_form(without_uuid(file.path)) for file in files}
        ids = [[one] for one, path in paths.items() if raw_form(path) in wanted]
        rows = DATASETS.base() & values.key_condition(["dataset_id"], ids, self.database.backend)
        by_path = {
            raw_form(paths[record["id"]]): record
            for record in self.serialiser.records(DATASETS, rows, root, True, _RECORD)
        }
        (session,) = self.database.select(table("acquisition.Session") & of_session, ["eid"])
        users = self.database.select(table("acquisition.SessionUser") & of_session, ["user_name"])
        more = {
            "subject": key["subject"],
            "session": session["eid"],
            "session_number": key["session_number"],
            "session_users": ",".join(row["user_name"] for row in users),
            "session_start_time": f"{key['session_date']}",
            "created_by": body_text(body, "created_by"),
        }
        datasets = [by_path[raw_form(without_uuid(file.path))] for file in files]
        return [record | {"default": record["default_dataset"]} | more for record in datasets]


def _session_key(key: Mapping[str, Any]) -> SessionKey:
    return SessionKey(key["lab"], key["subject"], f"{key['session_date']}", key["session_number"])


def _compare_file(path: Path, file: RequestedFile) -> None:
    """Has the file the size and the md5 that the client says?"""
    size = path.stat().st_size
    if file.size is not None and file.size != size:
        raise BadInput("filesizes", f"{file.path} has {size} bytes on the server.")
    if file.md5 is not None and file.md5 != (there := _md5(path)):
        raise BadInput("hashes", f"{file.path} has the md5 {there} on the server.")


def _without_revision(path: str) -> str:
    return re.sub(r"#[^/]*#/", "", path)


def _any_protected(details: list[dict[str, list[dict[str, bool]]]]) -> bool:
    return any(True in version.values() for detail in details for versions in detail.values() for version in versions)


def _any_protected_id(database: Database, dataset_id: str) -> bool:
    tags = table("data.DatasetTag") & (table("data.Tag") & {"tag_protected": True}).proj()
    return bool(database.count(tags & values.key_condition(["dataset_id"], [[dataset_id]], database.backend)))


def _protected_body(details: list) -> dict[str, Any]:
    return {"status_code": 403, "error": "One or more datasets is protected", "details": details}


def _md5(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
