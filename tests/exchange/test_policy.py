"""A marker stands in every text that may not leave, and in nothing that leaves."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from dashboard import links
from dashboard.queries import session as files_of_sessions
from dashboard.server.app import find_pages
from dashboard.site import PUBLIC, Site
from exchange.nwb.export import Options
from exchange.nwb.export import export as nwb_export
from exchange.public_copy import snapshot
from exchange.releases import build, frozen
from one_bridge import cache
from pipeline import entry, policy, settings, worker
from pipeline.database import registry
from pipeline.database.bulk import insert_many
from pipeline.policy import columns, pseudonyms
from pipeline.schemas import acquisition, action, behavior, data, lab, subject
from pipeline.web.accounts import Users
from pipeline.web.threads import Database
from tests.dashboard.test_real_ephys import made
from tests.exchange.releases import lab as small

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["postgresql"], indirect=True)]

MARK = "Zz"
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


def found_in(folder: Path) -> set[str]:
    """Files below a folder, their names included, in which the marker stands."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path) for path in paths if MARK.encode() + b"_" in path.read_bytes() or f"{MARK}_" in path.name}


def test_no_marker_leaves(database, tmp_path):
    fill(tmp_path / f"{MARK}_root")
    marked = mark_every_text(database)
    for column in ("subject.Subject.cage", "subject.Line.line_description", "acquisition.Session.session_narrative"):
        assert column in marked
    for column in ("lab.LabMember.email", "action.Note.note_text", "acquisition.Session.rig"):
        assert column in marked
    with settings.override(publication={"subjects": "pseudonym"}):
        release, _ = frozen.create("paper", "paper")
        build.build(release, tmp_path / "release")
        cache.export(tmp_path / "cache", "paper", public=True)
        results = nwb_export(acquisition.Session().keys(), tmp_path / "nwb", Options(dandi=True))
        assert {result.state for result in results} == {"written"}, results
        taken = snapshot.take("paper", policy.current())
    for folder in ("release", "cache", "nwb"):
        assert any((tmp_path / folder).rglob("*")) and found_in(tmp_path / folder) == set()
        pages = public_pages(database, tmp_path)
    assert [name for name, text in pages.items() if f"{MARK}_" in text] == []
    said = {label: str(rows.to_pylist()) for label, rows in taken.tables.items()}
    assert [label for label, text in said.items() if f"{MARK}_" in text] == []
    assert not any("'m1'" in text or "'m2'" in text for text in said.values())
    assert taken.tables["acquisition.Session"].num_rows == 3 and taken.tables["action.Weighing"].num_rows == 1


def public_pages(connection, folder: Path) -> dict[str, str]:
    """Address -> content, of every page that those see who are not signed in."""
    shared = Database(connection)
    site = Site(shared, Users(folder / "users.sqlite"), settings.settings(), public=True)
    key = (acquisition.Session & {"subject": "m1"}).keys(order_by="session_date")[0]
    mouse = (key["lab"], site.name(key["lab"], "m1", PUBLIC))
    session = (*mouse, str(key["session_date"]), key["session_number"])
    addresses = [links.mouse(*mouse), links.session(*session), links.notebook(*mouse), links.region("root"),
                 links.daily(date="2020-01-01")]  # fmt: skip
    addresses += [f"{links.overview().rstrip('/')}/{name}" for name, one in find_pages().items() if one.PAGE.in_menu]
    try:
        return {item: made(site, item, PUBLIC) for item in dict.fromkeys([links.overview(), *addresses])}
    finally:
        shared.close()


def test_the_public_is_told_nothing_of_an_animal_under_embargo(database, tmp_path):
    fill(tmp_path / "root")
    dataset_admin_public()
    worker.drain([behavior.TrialSet])
    secret = pseudonyms.subject("mylab", "m2", settings.settings().home / "dashboard")
    chosen = (data.Dataset & {"subject": "m2"}).to_arrays("dataset_id")[0]
    assert secret in "".join(public_pages(database, tmp_path).values())
    assert files_of_sessions.file(chosen, public=True) is not None
    entry.write("publication.Embargo", [{"lab": "mylab", "subject": "m2", "embargo_until": "2199-01-01"}],
                user="ada", source="command")  # fmt: skip
    assert secret not in "".join(public_pages(database, tmp_path).values())
    assert files_of_sessions.file(chosen, public=True) is None
    assert files_of_sessions.file(chosen, public=False) is not None


def test_what_is_asked_to_stay_or_go_does(database, tmp_path):
    fill(tmp_path / "root")
    subject.Line.update1({"line": "L1", "line_description": "shown"})
    asked = {"keep": ["subject.Line.line_description"], "drop": ["subject.Subject.birth_date", "line"]}
    with settings.override(publication=asked):
        dataset_admin_public()
        taken = snapshot.take("paper", policy.current())
    assert taken.tables["subject.Line"]["line_description"].to_pylist() == ["shown"]
    assert set(taken.tables["subject.Subject"]["birth_date"].to_pylist()) == {None}


def dataset_admin_public() -> None:
    from one_bridge import dataset_admin

    dataset_admin.define_tag("paper", public=True)
