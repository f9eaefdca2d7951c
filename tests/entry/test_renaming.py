"""Protects renaming, merging and moving: everything an animal has follows it, nothing else changes, undo restores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from ingest.simulate import write_lab
from neurojoint.cli import main
from pipeline import worker
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns
from pipeline.entry import key_changes, renaming
from pipeline.errors import NeurojointError
from pipeline.schemas import acquisition, action, audit, behavior, data, identity, lab, subject
from tests.ingest.tree import ingest, write

pytestmark = pytest.mark.slow

RECORDS = {
    "data.Change",
    "data.IngestRun",
    "identity.KeyChange",
    "identity.RecordId",
    "identity.FormerSubject",
    "identity.FormerSession",
    "audit.Edit",
}


def everything(but: frozenset[str] = frozenset()) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables but the records of what was done, in order of their keys."""
    ordered = {}
    for table in registry.tables():
        for part in (table, *registry.parts(table)):
            label = registry.label(part)
            if label in RECORDS or any(label == name or label.startswith(f"{name}.") for name in but):
                continue
            query = part()
            names = [name for name in query.heading.names if not query.heading[name].codec]
            rows = fetch_columns(query, *names).to_pylist()
            ordered[label] = sorted(rows, key=repr)
    return ordered


def renamed(tables: dict[str, list[dict[str, Any]]], old: tuple[str, str], new: tuple[str, str]) -> dict:
    """The rows as they should be when an animal has another key."""
    result = {}
    for label, rows in tables.items():
        table = [
            row | dict(zip(("lab", "subject"), new, strict=True))
            if (row.get("lab"), row.get("subject")) == old
            else row
            for row in rows
        ]
        result[label] = sorted(table, key=repr)
    return result


@pytest.fixture
def simulated(database, tmp_path: Path) -> Path:
    """A root with two populated mice."""
    write_lab(tmp_path, n_mice=2, n_sessions=3, seed=5, wheel=False, ephys=1, n_units=3)
    ingest(tmp_path, metadata=[tmp_path])
    worker.drain(registry.populated_tables())
    return tmp_path


def animals() -> list[tuple[str, str]]:
    return sorted((row["lab"], row["subject"]) for row in subject.Subject.proj().to_dicts())


@pytest.mark.slow
def test_a_rename_changes_the_name_everywhere_and_nothing_else(simulated):
    before = everything()
    first, second = animals()
    change = renaming.rename_subject(*first, "new-name")
    counts = change.preview()
    assert counts["acquisition.Session"] == 3 and counts["behavior.TrialSet.Trial"] > 100
    assert everything() == before  # a preview changes nothing
    change_id = change.apply(user="ada")
    assert everything() == renamed(before, first, (first[0], "new-name"))
    assert set((data.Change & "change_user = 'ada'").to_arrays("change_path")) == {"/".join(first)}
    edit = (audit.Edit & {"edit_batch": change_id}).fetch1()
    assert (edit["edit_before"], edit["edit_after"]) == ({"subject": first[1]}, {"subject": "new-name"})

    worker.drain(registry.populated_tables())
    assert everything() == renamed(before, first, (first[0], "new-name")), "nothing has to be computed again"
    key_changes.undo(change_id)
    assert everything() == before
    assert not identity.FormerSubject() and not identity.RecordId()
    with pytest.raises(NeurojointError, match="undone before"):
        key_changes.undo(change_id)


@pytest.mark.slow
def test_an_animal_moves_to_another_lab_with_its_rooms(simulated):
    first, _ = animals()
    lab.Lab.insert1({"lab": "other"})
    lab.LabLocation.insert1({"lab": first[0], "location": "rig1"})
    key = (acquisition.Session & dict(zip(("lab", "subject"), first, strict=True))).keys()[0]
    acquisition.Session.update1(key | {"location": "rig1"})
    before = everything()
    change_id = renaming.move_subject(*first, "other").apply()
    expected = renamed(before, first, ("other", first[1]))
    expected["lab.LabLocation"] = everything()["lab.LabLocation"]
    assert everything() == expected
    assert (lab.LabLocation & {"lab": "other"}).fetch1("location") == "rig1"
    key_changes.undo(change_id)
    assert everything() | {"lab.LabLocation": []} == before | {"lab.LabLocation": []}


@pytest.mark.slow
def test_merged_animals_have_the_sessions_of_both_and_can_be_parted_again(database, tmp_path):
    for name, day in (("m1", 1), ("m1", 2), ("m2", 3)):
        write(tmp_path, f"mylab/Subjects/{name}/2020-01-{day:02d}/001")
    (tmp_path / "weighings.csv").write_text(
        "lab,subject,weighing_time,weight\nmylab,m1,2020-01-01T10:00,20\nmylab,m2,2020-01-03T10:00,21\n"
    )
    ingest(tmp_path, metadata=[tmp_path / "weighings.csv"])
    worker.drain(registry.populated_tables())
    before = everything()
    eids = set(acquisition.Session.to_arrays("eid"))
    uuid = (subject.Subject & {"subject": "m2"}).fetch1("subject_uuid")
    change_id = renaming.merge_subjects("mylab", "m1", "mylab", "m2").apply()
    assert set(acquisition.Session.to_arrays("eid")) == eids
    assert set(acquisition.Session.to_arrays("subject")) == {"m2"}
    assert subject.Subject.fetch1("subject_uuid") == uuid
    assert len(action.Weighing & {"subject": "m2"}) == 2
    worker.drain(registry.populated_tables())
    assert len(behavior.TrialSet & {"subject": "m2"}) == 3

    key_changes.undo(change_id)
    worker.drain(registry.populated_tables())
    assert everything() == before


def test_two_sessions_of_one_day_stand_in_the_way_of_a_merge(database, tmp_path):
    for name, reward in (("m1", 1.5), ("m2", 3.0)):
        write(tmp_path, f"mylab/Subjects/{name}/2020-01-01/001", rewardVolume=np.full(6, reward))
    ingest(tmp_path)
    worker.drain([behavior.TrialSet])
    before = everything()
    change = renaming.merge_subjects("mylab", "m1", "mylab", "m2")
    (line,) = change.conflicts()
    assert "neurojoint session move mylab/Subjects/m1/2020-01-01/001" in line, "and no line for each of its trials"
    with pytest.raises(NeurojointError, match="both have a row"):
        change.apply()
    assert everything() == before
    renaming.move_session("mylab/Subjects/m1/2020-01-01/001", "mylab/Subjects/m1/2020-01-01/002").apply()
    renaming.merge_subjects("mylab", "m1", "mylab", "m2").apply()
    assert sorted(acquisition.Session.to_arrays("session_number")) == [1, 2]


def test_a_moved_session_takes_its_water_along(database, tmp_path):
    for name in ("m1", "m2"):
        write(tmp_path, f"mylab/Subjects/{name}/2020-01-0{name[1]}/001")
    (tmp_path / "water.csv").write_text(
        "lab,subject,administration_time,volume,session_number\nmylab,m1,2020-01-01T10:00,0.9,1\n"
    )
    ingest(tmp_path, metadata=[tmp_path / "water.csv"])
    before = everything()
    eid = (acquisition.Session & {"subject": "m1"}).fetch1("eid")
    change_id = renaming.move_session("mylab/Subjects/m1/2020-01-01/001", "mylab/Subjects/m2/2020-01-01/001").apply()
    assert (acquisition.Session & {"eid": eid}).fetch1("subject") == "m2"
    assert action.WaterAdministration.fetch1("subject", "water_volume") == ("m2", 0.9)
    assert acquisition.SessionWater.fetch1("subject") == "m2"
    assert len(data.Dataset & {"subject": "m2", "session_date": "2020-01-01"}) == 4
    key_changes.undo(change_id)
    again = everything()
    assert again.pop("data.SessionScan") != before.pop("data.SessionScan")  # the folder is read again
    assert again == before


def test_merged_sessions_have_the_files_of_both(database, tmp_path):
    first = write(tmp_path, "mylab/Subjects/m1/2020-01-01/001", choice=None)
    second = write(tmp_path, "mylab/Subjects/m1/2020-01-01/002")
    with_both = tmp_path / "mylab/Subjects/m1/2020-01-01/001/alf"
    for path in (second / "alf").glob("*"):
        if "choice" not in path.name:
            path.unlink()
    assert with_both.is_dir() and first.is_dir()
    ingest(tmp_path)
    path = "mylab/Subjects/m1/2020-01-01/00"
    change_id = renaming.merge_sessions(f"{path}2", f"{path}1").apply()
    assert len(data.Dataset & {"session_number": 1}) == 4 and len(acquisition.Session()) == 1
    key_changes.undo(change_id)
    assert len(data.Dataset & {"session_number": 2}) == 1 and len(acquisition.Session()) == 2


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: renaming.rename_subject("mylab", "nobody", "x"), "no animal mylab/nobody; mylab has m1, m2"),
        (lambda: renaming.rename_subject("mylab", "m1", "m2"), "neurojoint subject merge mylab/m1 mylab/m2"),
        (lambda: renaming.rename_subject("mylab", "m1", "a/b"), "m"),
        (lambda: renaming.merge_subjects("mylab", "m1", "mylab", "m1"), "itself"),
        (lambda: renaming.move_subject("mylab", "m1", "nolab"), "no lab nolab"),
        (lambda: renaming.move_session("m1", "m2"), "LAB/Subjects/SUBJECT"),
        (lambda: key_changes.undo("x"), "no change x"),
    ],
)
def test_what_cannot_be_done_says_why_and_what_to_do(database, tmp_path, call, said):
    for name in ("m1", "m2"):
        write(tmp_path, f"mylab/Subjects/{name}/2020-01-01/001")
    ingest(tmp_path)
    with pytest.raises(NeurojointError) as raised:
        call()
    assert said in f"{raised.value} {getattr(raised.value, 'remedy', '')} {raised.value.args}"


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_the_commands_preview_change_list_and_undo(database, tmp_path):
    write(tmp_path, "mylab/Subjects/m1/2020-01-01/001")
    ingest(tmp_path)

    def run(*words: str) -> str:
        result = CliRunner().invoke(main, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    assert "1 acquisition.Session" in run("subject", "rename", "mylab/m1", "m2", "--dry-run")
    assert animals() == [("mylab", "m1")]
    said = run("subject", "rename", "mylab/m1", "m2", "--yes")
    change_id = said.partition("neurojoint subject undo ")[2].split()[0]
    assert animals() == [("mylab", "m2")]
    assert f"{change_id}" in (listed := run("subject", "changes")) and "mylab/m1 -> mylab/m2" in listed
    run("subject", "undo", change_id)
    assert animals() == [("mylab", "m1")]
    path = "mylab/Subjects/m1/2020-01-01/00"
    moved = run("session", "move", f"{path}1", f"{path}2", "--yes")
    assert acquisition.Session.fetch1("session_number") == 2
    run("session", "undo", moved.partition("neurojoint session undo ")[2].split()[0])
    assert acquisition.Session.fetch1("session_number") == 1
