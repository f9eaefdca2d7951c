"""Protects the door for writing: what is refused, what is written, that it is audited and can be taken back."""

from __future__ import annotations

import datetime

import pytest

from ingest import register
from pipeline import entry
from pipeline.alf import identity
from pipeline.entry import ConflictingEntry, InvalidEntry
from pipeline.errors import ConflictError, NotFoundError
from pipeline.schemas import acquisition, action, audit, data, lab, subject
from tests.ingest.tree import write

pytestmark = pytest.mark.slow

ANIMAL = {"lab": "mylab", "subject": "m1"}
BY = {"user": "ada", "source": "test"}
TIME = datetime.datetime(2023, 7, 3, 11)


@pytest.fixture
def animal(database):
    entry.write("lab.Lab", [{"lab": "mylab", "time_zone": "Europe/London"}], **BY)
    uuid = "604e1da8-1e3d-41c4-a29e-21d573a0b84c"
    row = ANIMAL | {"subject_uuid": uuid, "birth_date": "2023-01-01", "death_date": "2023-12-01"}
    entry.write("subject.Subject", [row], **BY)
    return database


def errors_of(table, rows, **options):
    with pytest.raises(InvalidEntry) as caught:
        entry.write(table, rows, **(BY | options))
    return [(error.row, error.column, error.message) for error in caught.value.errors]


def weighing(when="2023-07-03T12:00:00", weight="22.5", **more):
    return ANIMAL | {"weighing_time": when, "weight": weight} | more


def test_a_row_is_written_with_its_audit(animal):
    written = entry.write("action.Weighing", [weighing()], **BY)
    assert (written.created, written.keys) == (1, [ANIMAL | {"weighing_time": TIME}])
    assert action.Weighing.fetch1("weight") == 22.5
    edit = (audit.Edit & {"edit_batch": written.batch}).fetch1()
    assert (edit["edit_action"], edit["edit_user"], edit["edit_source"]) == ("create", "ada", "test")
    assert (edit["edit_before"], edit["edit_after"]) == (None, {"weight": 22.5})
    assert edit["edit_key"] == ANIMAL | {"weighing_time": "2023-07-03T11:00:00"}


def test_a_change_keeps_what_was_before_and_an_equal_row_changes_nothing(animal):
    entry.write("action.Weighing", [weighing()], **BY)
    written = entry.write("action.Weighing", [weighing(weight=23)], **BY)
    assert (written.created, written.updated) == (0, 1)
    edit = (audit.Edit & {"edit_batch": written.batch}).fetch1()
    assert (edit["edit_before"], edit["edit_after"]) == ({"weight": 22.5}, {"weight": 23.0})
    assert "weight: 22.5 -> 23.0" in (data.Change & {"change_action": "replaced"}).fetch1("change_detail")
    n_edits = len(audit.Edit())
    assert entry.write("action.Weighing", [weighing(weight=23)], **BY).unchanged == 1
    assert len(audit.Edit()) == n_edits


def test_nothing_is_written_where_one_row_is_wrong(animal):
    errors = errors_of("action.Weighing", [weighing(), weighing("2023-07-04", "-5"), weighing("2023-07-05", "25000")])
    assert errors == [
        (1, "weight", "-5 is not between 0.1 and 2000 g"),
        (2, "weight", "25000 is not between 0.1 and 2000 g"),
    ]
    assert not action.Weighing()
    written = entry.write("action.Weighing", [weighing(), weighing("2023-07-04", "-5")], on_error="skip_row", **BY)
    assert (written.created, len(written.errors), written.keys[1]) == (1, 1, None)


def test_a_value_that_cannot_be_used_may_cost_only_itself(animal):
    row = ANIMAL | {"sex": "X", "cage": "c1", "colour": "brown"}
    written = entry.write("subject.Subject", [row], on_error="skip_value", **BY)
    assert {error.column for error in written.errors} == {"sex", "colour"} and written.updated == 1
    assert subject.Subject.fetch1("cage", "sex") == ("c1", "U")


@pytest.mark.parametrize(
    ("table", "row", "column", "message"),
    [
        ("action.Weighing", weighing("2024-01-01"), "weighing_time", "is after the death of m1 on 2023-12-01"),
        ("action.Weighing", weighing("2022-01-01"), "weighing_time", "is before the birth of m1 on 2023-01-01"),
        ("subject.Subject", ANIMAL | {"death_date": "2022-01-01"}, "death_date", "is before birth date 2023-01-01"),
        (
            "action.WaterRestriction",
            ANIMAL | {"restriction_start": "2023-07-03", "restriction_end": "2023-07-02"},
            "restriction_end",
            "is before restriction start",
        ),
        (
            "acquisition.Session",
            ANIMAL | {"session_date": "2023-12-02", "session_number": 1, "eid": "604e1da8-1e3d-41c4-a29e-21d573a0b84d"},
            "session_date",
            "after the death",
        ),
        (
            "action.WaterAdministration",
            ANIMAL | {"administration_time": "2023-07-03T12:00:00", "water_volume": "-3"},
            "water_volume",
            "-3 is not between 0.001 and 50 mL",
        ),
        ("lab.Lab", {"lab": "mylab", "time_zone": "Mars/Phobos"}, "time_zone", "'Mars/Phobos' is no time zone"),
        ("lab.Lab", {"lab": "mylab", "reference_weight_pct": 85}, "reference_weight_pct", "write 85 % as 0.85"),
        ("action.Weighing", weighing(subject="m2"), "subject", "there is no animal 'm2' of mylab"),
        ("action.Weighing", weighing(weighing_user="eve"), "weighing_user", "there is no person 'eve'"),
        ("action.Weighing", weighing(colour="red"), "colour", "is not a column of a weighing"),
        ("action.Weighing", ANIMAL | {"weight": 3}, "weighing_time", "a value is needed here"),
        ("action.Weighing", ANIMAL | {"weighing_time": TIME}, "weight", "a value is needed here"),
    ],
)
def test_what_is_wrong_is_refused_with_its_column(animal, table, row, column, message):
    before = len(audit.Edit())
    [result] = errors_of(table, [row])
    assert result[1] == column and message in result[2]
    assert len(audit.Edit()) == before


def test_a_death_is_not_before_what_was_done_with_the_animal(animal):
    entry.write("action.Weighing", [weighing("2023-07-03T12:00:00")], **BY)
    [result] = errors_of("subject.Subject", [ANIMAL | {"death_date": "2023-07-02"}])
    assert result[1:] == ("death_date", "m1 has a weighing on 2023-07-03, after 2023-07-02: correct one of the two")
    entry.write("subject.Subject", [ANIMAL | {"death_date": "2023-07-03"}], **BY)


def test_a_uuid_belongs_to_one_animal(animal):
    row = {"lab": "mylab", "subject": "m2", "subject_uuid": "604e1da8-1e3d-41c4-a29e-21d573a0b84c"}
    [result] = errors_of("subject.Subject", [row])
    assert result[1] == "subject_uuid" and "mylab/m1" in result[2]


def test_a_uuid_that_is_emptied_becomes_the_derived_one(animal):
    entry.write("subject.Subject", [ANIMAL | {"subject_uuid": None}], **BY)
    assert subject.Subject.fetch1("subject_uuid") == identity.subject_uuid("mylab", "m1")


def test_names_are_found_in_any_case_and_created_if_asked_for(animal):
    entry.write("lab.LabMember", [{"user_name": "Ada"}], **BY)
    written = entry.write("action.Weighing", [weighing(weighing_user="ada")], **BY)
    assert action.Weighing.fetch1("weighing_user") == "Ada" and written.respelled == {("ada", "Ada")}
    row = ANIMAL | {"line": "Ai95", "strain": "c57bl/6j"}
    written = entry.write("subject.Subject", [row], create_missing=True, **BY)
    assert subject.Subject.fetch1("line", "strain") == ("Ai95", "C57BL/6J")
    tables = (audit.Edit & {"edit_batch": written.batch}).to_arrays("edit_table")
    assert sorted(tables) == ["subject.Line", "subject.Subject"]


def test_a_row_that_is_refused_creates_no_names(animal):
    rows = [weighing(lab="elsewhere", weighing_user="eve"), weighing(weight=-1, weighing_user="bob")]
    assert len(entry.write("action.Weighing", rows, create_missing=True, on_error="skip_value", **BY).errors) == 2
    assert not lab.LabMember() and len(lab.Lab()) == 1


def test_rows_of_one_key_must_agree(animal):
    [result] = errors_of("action.Weighing", [weighing(), weighing(weight=23)])
    assert result == (1, "weight", "row 1 says 22.5 of the same weighing: correct one")


def test_creating_what_exists_and_changing_what_was_changed_is_a_conflict(animal):
    entry.write("action.Weighing", [weighing()], **BY)
    with pytest.raises(ConflictingEntry, match="exists already"):
        entry.write("action.Weighing", [weighing()], action="create", **BY)
    with pytest.raises(ConflictError, match="weight is 22.5 by now"):
        entry.write("action.Weighing", [weighing(weight=24)], expected=[{"weight": 21.0}], **BY)
    entry.write("action.Weighing", [weighing(weight=24)], expected=[{"weight": 22.5}], **BY)


def test_none_empties_a_column(animal):
    entry.write("subject.Subject", [ANIMAL | {"cage": "c1", "wean_date": "2023-02-01"}], **BY)
    entry.write("subject.Subject", [ANIMAL | {"cage": None, "wean_date": None, "sex": None}], **BY)
    assert subject.Subject.fetch1("cage", "wean_date", "sex") == ("", None, "U")


def test_many_rows_are_written_at_once(animal):
    rows = [weighing(TIME + datetime.timedelta(hours=n), 20 + n / 100) for n in range(300)]
    assert entry.write("action.Weighing", rows, **BY).created == 300
    assert entry.write("action.Weighing", rows, **BY).unchanged == 300
    changed = [row | {"weight": 30} for row in rows]
    assert entry.write("action.Weighing", changed, **BY).updated == 300
    assert set(action.Weighing.to_arrays("weight")) == {30.0}


def contents():
    tables = (lab.Lab, lab.LabMember, subject.Subject, action.Weighing, acquisition.Session, acquisition.SessionUser)
    return [sorted(map(repr, table.to_dicts())) for table in tables]


@pytest.mark.slow
def test_every_write_can_be_taken_back_and_that_too(animal):
    before = contents()
    batches = [
        entry.write("action.Weighing", [weighing(), weighing("2023-07-04")], create_missing=True, **BY).batch,
        entry.write("action.Weighing", [weighing(weight=23, weighing_user="eve")], create_missing=True, **BY).batch,
        entry.write("subject.Subject", [ANIMAL | {"cage": "c2", "subject_json": {"a": [1]}}], **BY).batch,
        entry.remove("subject.Subject", [ANIMAL], **BY).batch,
    ]
    assert not action.Weighing()
    for batch in reversed(batches):
        undone = entry.undo(batch, user="ada")
        with pytest.raises(ConflictError, match="undone already"):
            entry.undo(batch, user="ada")
    assert contents() == before
    entry.undo(undone.batch, user="ada")
    assert len(action.Weighing()) == 2
    with pytest.raises(NotFoundError):
        entry.undo("nothing", user="ada")


def test_what_was_changed_since_is_not_taken_back(animal):
    first = entry.write("action.Weighing", [weighing()], **BY).batch
    entry.write("action.Weighing", [weighing(weight=23)], **BY)
    with pytest.raises(ConflictError, match="changed since"):
        entry.undo(first, user="ada")
    session = ANIMAL | {
        "session_date": "2023-07-03",
        "session_number": 1,
        "eid": "604e1da8-1e3d-41c4-a29e-21d573a0b84d",
    }
    batch = entry.write("acquisition.Session", [session], **BY).batch
    entry.write_list("acquisition.SessionUser", entry_key(session), "user_name", ["bob"], create_missing=True, **BY)
    with pytest.raises(ConflictError, match="dependent rows: 1 rows of acquisition.SessionUser"):
        entry.undo(batch, user="ada")


def entry_key(session):
    return {name: session[name] for name in ("lab", "subject", "session_number")} | {
        "session_date": datetime.date.fromisoformat(session["session_date"])
    }


def test_a_list_becomes_what_it_is_said_to_be(animal):
    session = ANIMAL | {
        "session_date": "2023-07-03",
        "session_number": 1,
        "eid": "604e1da8-1e3d-41c4-a29e-21d573a0b84d",
    }
    entry.write("acquisition.Session", [session], **BY)
    for names in (["ada", "bob"], ["bob", "cyd", "bob"], []):
        entry.write_list("acquisition.SessionUser", entry_key(session), "user_name", names, create_missing=True, **BY)
        assert set(acquisition.SessionUser.to_arrays("user_name")) == set(names)


def test_a_zone_that_is_unknown_costs_the_times_that_need_it(animal):
    lab.Lab.update1({"lab": "mylab", "time_zone": "Mars/Phobos"})
    [result] = errors_of("action.Weighing", [weighing()])
    assert (
        result[1] == "weighing_time"
        and "'Mars/Phobos' of the lab is unknown: write the time with its offset" in result[2]
    )
    assert entry.write("action.Weighing", [weighing("2023-07-03T12:00:00+01:00")], **BY).created == 1
    entry.write("lab.Lab", [{"lab": "mylab", "time_zone": "Europe/London"}], **BY)


def test_a_dry_run_counts_and_writes_nothing(animal):
    written = entry.write("action.Weighing", [weighing(weighing_user="new")], create_missing=True, dry_run=True, **BY)
    assert written.created == 1 and not action.Weighing() and not lab.LabMember()


def test_an_animal_is_not_made_again_in_other_letters(animal):
    """`M1` beside `m1`: one folder on Windows and macOS, one key on MySQL, and most often a slip of the hand."""
    [(_, column, said)] = errors_of("subject.Subject", [{"lab": "mylab", "subject": "M1"}])
    assert column == "subject" and "there is m1" in said
    twice = [{"lab": "mylab", "subject": name} for name in ("K-7", "k-7")]
    assert [column for _, column, _ in errors_of("subject.Subject", twice)] == ["subject"]
    entry.write("lab.Lab", [{"lab": "other", "time_zone": "UTC"}], **BY)
    assert entry.write("subject.Subject", [{"lab": "other", "subject": "M1"}], **BY).created == 1
    assert entry.write("subject.Subject", [ANIMAL | {"cage": "c2"}], **BY).updated == 1


def test_what_has_no_default_cannot_be_emptied(database, tmp_path):
    """The column, not the description alone, says that it needs a value."""
    write(tmp_path, "mylab/Subjects/m1/2020-01-01/001")
    register(tmp_path, repository="r", processes=1)
    key = data.Dataset.keys(limit=1)[0]
    with pytest.raises(InvalidEntry, match="default_dataset: it is empty: a value is needed here"):
        entry.write("data.Dataset", [key | {"default_dataset": None}], action="update", **BY)
