"""A lab in whose every text that may not leave stands a marker, and the search for it in what leaves."""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.database import registry
from pipeline.database.bulk import insert_many
from pipeline.policy import columns
from pipeline.schemas import acquisition, action, lab, subject
from tests.exchange.releases import lab as small

MARK = "Zzq"
NEEDED = {
    "repository_root", "repository_kind", "file_path", "record_hash", "time_zone", "layout", "scan_signature",
    "dataset_revision", "migration_name", "migration_checksum",
}  # fmt: skip
"""Columns that the files could not be found without, or that are the database's own. The root has the marker anyway."""


def mark_every_text(connection) -> set[str]:
    """Write a marker into each text column that may not leave, of all rows; returns the columns."""
    quote, marked = connection.adapter.quote_identifier, set()
    for master in registry.tables():
        if registry.label(master).startswith(("task.", "histology.BrainRegion")):
            continue
        for table in (master, *registry.parts(master)):
            query = table()
            foreign = {
                name for _, info in query.parents(as_objects=False, foreign_key_info=True) for name in info["attr_map"]
            }
            for name in query.heading.names:
                kind = query.heading[name].type
                is_text = kind.startswith(("varchar", "char(")) or "json" in kind
                if not is_text or name in columns.TEXT | NEEDED | foreign or name in query.primary_key:
                    continue
                if "fingerprint" in name or name.endswith("_hash"):
                    continue
                text = f"{MARK}_{registry.label(table)}.{name}"
                if "json" in kind:
                    value = '{"' + text + '": "x"}'
                else:
                    value = text[: int(kind[kind.index("(") + 1 : -1])]
                connection.query(f"UPDATE {query.full_table_name} SET {quote(name)} = %s", (value,))
                marked.add(f"{registry.label(table)}.{name}")
    return marked


def fill(root: Path) -> None:
    """A lab in which people, notes, surgeries, cages and implants have rows."""
    small.build(root)
    now = datetime.datetime(2020, 1, 1, 9)
    mouse, session = {"lab": "mylab", "subject": "m1"}, {"session_date": now.date(), "session_number": 1}
    person = f"{MARK}_person"
    insert_many(lab.LabMember, {"user_name": [person], "full_name": [f"{MARK} {MARK}_name"]})
    insert_many(lab.Project, {"project": ["p1"]})
    insert_many(lab.LabLocation, {"lab": ["mylab"], "location": [f"{MARK}_rig"]})
    insert_many(subject.Species, {"species": ["Mus spretus"]})
    insert_many(subject.Line, {"line": ["L1"], "species": ["Mus spretus"]})
    for animal in ("m1", "m2"):
        subject.Subject.update1(
            {"lab": "mylab", "subject": animal, "line": "L1", "responsible_user": person, "birth_date": "2019-10-01",
             "species": "Mus musculus", "subject_json": {"a": 1}}
        )  # fmt: skip
    for row in acquisition.Session.proj().to_dicts():
        acquisition.Session.update1(row | {"start_time": now, "location": f"{MARK}_rig", "session_json": {"b": 2}})
    acquisition.SessionUser.insert1(mouse | session | {"user_name": person})
    acquisition.SessionProject.insert1(mouse | session | {"project": "p1"})
    action.Weighing.insert1(mouse | {"weighing_time": now, "weight": 20.0, "weighing_user": person})
    action.Surgery.insert1(mouse | {"surgery_start": now, "surgery_location": f"{MARK}_rig"})
    action.Surgery.Surgeon.insert1(mouse | {"surgery_start": now, "user_name": person})
    subject.Implant.insert1(mouse | {"implant_date": now.date(), "implant_weight": 1.0})
    action.Note.insert1({"note_id": "0" * 36, "note_time": now, "note_object": "x", "note_object_id": "0" * 36})


def _named_contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The files below a folder; of an archive what is packed in it: compressed bytes hide text, and look like any."""
    for path in (path for path in folder.rglob("*") if path.is_file()):
        if not zipfile.is_zipfile(path):
            yield str(path), path.read_bytes()
            continue
        with zipfile.ZipFile(path) as archive:
            yield from ((f"{path}/{name}", archive.read(name)) for name in archive.namelist())


def found_in(folder: Path) -> set[str]:
    """Files below a folder, their names included, in which the marker stands."""
    named = ((name.removeprefix(str(folder)), content) for name, content in _named_contents(folder))
    return {name for name, content in named if f"{MARK}_".encode() in content or f"{MARK}_" in name}
