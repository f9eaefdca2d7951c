"""Datasets that a rig names before their files are copied: rows without a copy, which the registration completes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ingest.files.inspect_session import too_long
from ingest.files.report import without_revision
from ingest.files.scan import SessionKey
from ingest.rows.registrar import DATASET
from ingest.rows.session_keys import keys_of
from ingest.rows.writing import Writer
from pipeline.alf import columns, identity
from pipeline.alf.columns import raw_form
from pipeline.alf.dataset_types import dataset_type
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import data


class Announced(NamedTuple):
    """A file that is said to come: its path below the session folder, md5 and size (byte), empty and 0 if not known."""

    path: str
    md5: str
    size: int


def announce(writer: Writer, key: SessionKey, files: Sequence[Announced]) -> None:
    """Enter the datasets that are not there yet, within a transaction of the caller; others stay as they are.

    Parameters
    ----------
    writer : Writer
        Of this run.
    key : SessionKey
        A session that is in the tables.
    files : sequence of Announced
        With ALF names.
    """
    rows = fetch_columns(data.Dataset & keys_of([key]), "rel_path", "dataset_revision").to_pylist()
    there = {raw_form(row["rel_path"]) for row in rows}
    path = identity.session_path(*key)
    versions = [(without_revision(r["rel_path"], r["dataset_revision"]), r["dataset_revision"]) for r in rows]
    given = [
        {"dataset_id": name.uuid}
        for item in files
        if (name := columns.parse_name(item.path.rpartition("/")[2])) and name.uuid
    ]
    taken = set(fetch_columns(data.Dataset & given, "dataset_id")["dataset_id"].to_pylist()) if given else set()
    new = []
    for file in files:
        folder, _, file_name = file.path.rpartition("/")
        name, place = columns.parse_name(file_name), columns.parse_folder(folder)
        if name is None or place is None:
            raise ValueError(f"{file.path} is no ALF name")
        if excess := too_long(name, *place):
            raise ValueError(f"the {excess} of {file.path} is too long")
        rel_path = f"{folder}/{name.dataset}" if folder else name.dataset
        if raw_form(rel_path) in there:
            continue
        there.add(raw_form(rel_path))
        plain = without_revision(rel_path, place[1])
        dataset_id = name.uuid if name.uuid and name.uuid not in taken else identity.dataset_id(path, rel_path)
        taken.add(dataset_id)
        is_default = all(known != plain for known, _ in versions)  # else decided when the file is there
        new.append(
            (
                dataset_id, *key, rel_path, place[0], name.alf_object,
                name.attribute, name.extension, place[1], dataset_type(name), file.md5, file.size,
                is_default, "NOT_SET", writer.now, False,
            )
        )  # fmt: skip
        writer.change("announced", f"{path}/{rel_path}", "", "", file.md5)
    revisions = {(row[DATASET.index("dataset_revision")],) for row in new}
    writer.ensure(data.Revision, {revision for revision in revisions if revision[0]})
    writer.put(data.Dataset, DATASET, new)
