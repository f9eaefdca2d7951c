"""Rows by the thousand: what goes in comes out, with the checks and errors of DataJoint's insert, on both backends."""

from __future__ import annotations

import datetime

import datajoint as dj
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline import acquisition, behavior, data, ephys_analysis, lab, subject
from pipeline.database import bulk
from pipeline.database.bulk import fetch_columns, insert_many, json_column, to_numpy
from pipeline.database.prepared import Prepared
from pipeline.worker import transactions

pytestmark = pytest.mark.slow

EID = "00000000-0000-4000-8000-%012d"


@pytest.fixture
def session(database: dj.Connection) -> dict:
    """The key of one session."""
    lab.Lab.insert1({"lab": "lab"})
    subject.Subject.insert1({"lab": "lab", "subject": "mouse", "subject_uuid": EID % 0})
    key = {"lab": "lab", "subject": "mouse", "session_date": datetime.date(2026, 1, 5), "session_number": 1}
    acquisition.Session.insert1(key | {"eid": EID % 1})
    return key


def sessions(session: dict, numbers: list[int], **columns) -> dict:
    return session | {"session_number": numbers, "eid": [EID % n for n in numbers]} | columns


def test_columns_come_back_as_they_went_in(session):
    """Every type that the tables use, with NULL in each column that may be null."""
    start = np.array(["2026-01-05T10:00:00.123456", "NaT"], "datetime64[us]")
    insert_many(acquisition.Session, sessions(session, [2, 3], start_time=start, rig=["a,\"b\"\n'c'\\", ""]))
    table = fetch_columns(acquisition.Session & "session_number > 1", order_by="session_number")
    assert table["session_number"].to_pylist() == [2, 3]
    assert table["session_date"].to_pylist() == [session["session_date"]] * 2
    assert table["start_time"].to_pylist() == [datetime.datetime(2026, 1, 5, 10, 0, 0, 123456), None]
    assert table["rig"].to_pylist() == ["a,\"b\"\n'c'\\", ""], "text with quotes, and empty text that is not NULL"
    assert table["session_qc"].to_pylist() == ["NOT_SET"] * 2, "a column that is not given has its default"


def test_json_columns_hold_lists_and_dicts(session):
    objects = {"object_collection": "alf", "object_name": ["a", "b"], "object_fingerprint": "0" * 32}
    refused = [{"choice": "value_range", "n": np.int64(3), "x": float("nan")}, {}]
    insert_many(data.AlfObject, session | objects | {"accepted_columns": ",a,", "refused_columns": refused})
    table = fetch_columns(data.AlfObject, "refused_columns", order_by="object_name")
    assert json_column(table, "refused_columns") == [{"choice": "value_range", "n": 3, "x": None}, {}]
    assert (data.AlfObject & {"object_name": "b"}).fetch1("refused_columns") == {}


def test_a_value_of_megabytes_comes_back(session):
    """Also among others: it is larger than the blocks in which rows are parsed."""
    objects = {"object_collection": "alf", "object_name": ["a", "b", "c"], "object_fingerprint": "0" * 32}
    refused = [{}, {"column": "x" * 3_000_000}, {}]
    insert_many(data.AlfObject, session | objects | {"accepted_columns": ",a,", "refused_columns": refused})
    table = fetch_columns(data.AlfObject, "object_name", "refused_columns", order_by="object_name")
    assert json_column(table, "refused_columns") == refused


def test_a_blob_is_refused_in_words(database):
    with pytest.raises(dj.DataJointError, match="to_dicts"):
        fetch_columns(ephys_analysis.DriftMap, "drift_rates")


TASK = {"task_collection": "alf"}
floats = st.floats(allow_nan=True, allow_infinity=False, width=64)


@hypothesis_settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(floats, st.none() | st.booleans(), st.integers(-(2**31), 2**31 - 1)), min_size=1))
def test_numbers_survive_to_the_last_bit(session, rows):
    """Floats come back bit for bit, NaN as NULL; booleans and integers as they were."""
    behavior.TrialSet.Trial().delete_quick()
    behavior.TrialSet().delete_quick()
    trial_set(session, len(rows))
    times, included, numbers = zip(*rows, strict=True)
    columns = {"trial_id": np.arange(len(rows)), "response_times": times, "included": included, "rep_num": numbers}
    insert_many(behavior.TrialSet.Trial, session | TASK | columns)
    table = fetch_columns(behavior.TrialSet.Trial, *columns, order_by="trial_id")
    assert table["included"].to_pylist() == list(included)
    assert table["rep_num"].to_pylist() == list(numbers)
    np.testing.assert_array_equal(to_numpy(table)["response_times"], np.array(times))


def trial_set(session: dict, n_trials: int) -> None:
    empty = {name: [] for name in ("columns_present", "columns_absent", "columns_other")}
    row = {"trials_fingerprint": "0" * 32, "n_trials": n_trials, "trials_complete": False}
    acquisition.SessionTask.insert1(session | TASK | {"task_number": 0}, skip_duplicates=True)
    behavior.TrialSet.insert1(session | TASK | row | empty | {"columns_refused": {}}, allow_direct_insert=True)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"lab": "nowhere"}, dj.errors.IntegrityError),
        ({"session_number": [1, 2]}, dj.errors.DuplicateError),
        ({"eid": None}, dj.errors.MissingAttributeError),
        ({"no_such_column": 1}, KeyError),
    ],
    ids=["foreign key", "duplicate key", "required column", "unknown column"],
)
def test_errors_are_those_of_datajoint(session, change, error):
    """The same wrong rows raise the same class from DataJoint's insert, and neither leaves a row behind."""
    columns = sessions(session, [2, 3]) | change
    rows = [{name: value[i] if isinstance(value, list) else value for name, value in columns.items()} for i in range(2)]
    for insert in (lambda: insert_many(acquisition.Session, columns), lambda: acquisition.Session.insert(rows)):
        with pytest.raises(error):
            insert()
    assert len(acquisition.Session()) == 1


@pytest.mark.parametrize("value", [5.7, 2**40, "five"])
def test_a_value_that_does_not_fit_its_column_is_refused(session, value):
    """MySQL alone would round 5.7 to 6 in silence."""
    with pytest.raises(dj.DataJointError, match="session_number"):
        insert_many(acquisition.Session, session | {"session_number": [value], "eid": EID % 2})


def test_columns_of_unequal_length_are_refused(session):
    with pytest.raises(dj.DataJointError, match="unequal length"):
        insert_many(acquisition.Session, session | {"session_number": [2, 3], "eid": [EID % 2]})


def test_populated_tables_take_rows_from_make_only(session):
    class Guarded(type(behavior.TrialSet())):
        _allow_insert = False

    with pytest.raises(dj.DataJointError, match=r"make\(\) only"):
        insert_many(Guarded(), session)


def test_duplicates_are_skipped_or_updated_on_request(session):
    insert_many(acquisition.Session, sessions(session, [2], rig="old"))
    insert_many(acquisition.Session, sessions(session, [2, 3], rig="new"), on_duplicate="skip")
    rigs = acquisition.Session.proj("rig") & "session_number > 1"
    assert fetch_columns(rigs, "rig", order_by="session_number")["rig"].to_pylist() == ["old", "new"]
    insert_many(acquisition.Session, sessions(session, [2, 4], rig="newest"), on_duplicate="update")
    assert fetch_columns(rigs, "rig", order_by="session_number")["rig"].to_pylist() == ["newest", "new", "newest"]


def test_rows_belong_to_the_open_transaction(session, database):
    with pytest.raises(RuntimeError, match="rolled back"), database.transaction:
        insert_many(acquisition.Session, sessions(session, [2]))
        insert_many(acquisition.Session, sessions(session, [2, 3]), on_duplicate="skip")
        assert len(acquisition.Session()) == 3
        raise RuntimeError("rolled back")
    assert len(acquisition.Session()) == 1


def test_restrictions_with_percent_signs_and_computed_columns_are_fetched(session):
    insert_many(acquisition.Session, sessions(session, [2, 3], rig=["100%", "50%"]))
    table = fetch_columns(acquisition.Session & "rig LIKE '100%%'", "rig")
    assert table["rig"].to_pylist() == ["100%"]
    counted = subject.Subject.aggr(acquisition.Session, n="count(session_number)")
    assert [int(n) for n in fetch_columns(counted, "n")["n"].to_pylist()] == [3]


def test_no_rows_are_no_error(session):
    assert insert_many(acquisition.Session, sessions(session, [])) == 0
    table = fetch_columns(acquisition.Session & "session_number > 9", "eid", "start_time")
    assert table.num_rows == 0
    assert table.schema.field("start_time").type == pa.timestamp("us")


def test_an_arrow_table_can_be_inserted_as_it_was_fetched(session):
    """Backup and copy: what `fetch_columns` gives, `insert_many` takes."""
    insert_many(acquisition.Session, sessions(session, [2, 3]))
    rows = fetch_columns(acquisition.Session)
    acquisition.Session().delete_quick()
    insert_many(acquisition.Session, rows)
    assert fetch_columns(acquisition.Session, order_by="session_number").equals(rows.sort_by("session_number"))


def test_a_single_column_keeps_its_nulls(session):
    """A row of one null is an empty line of COPY, which a reader of CSV may take for no row."""
    ends = np.array(["2026-01-05T11:00:00", "NaT"], "datetime64[us]")
    insert_many(acquisition.Session, sessions(session, [2, 3], end_time=ends))
    table = fetch_columns(acquisition.Session, "end_time", order_by="session_number")
    assert table["end_time"].to_pylist() == [None, datetime.datetime(2026, 1, 5, 11), None]


def test_rows_of_a_part_need_their_master(session, database):
    """Many rows of one master are checked at once: where it is absent, that is an error; then each is checked again."""
    trial_set(session, 0)
    trials = session | {"task_collection": "alf", "trial_id": np.arange(200), "choice": 1}
    insert_many(behavior.TrialSet.Trial, trials)
    assert len(behavior.TrialSet.Trial()) == 200
    with pytest.raises(dj.errors.IntegrityError):
        insert_many(behavior.TrialSet.Trial, trials | {"session_number": 2})
    with pytest.raises(dj.errors.DuplicateError):
        insert_many(behavior.TrialSet.Trial, trials)
    with pytest.raises(dj.errors.IntegrityError):
        insert_many(behavior.TrialSet.Trial, trials | {"session_number": [2] * 200})
    assert len(behavior.TrialSet.Trial()) == 200


def test_a_prepared_query_answers_as_the_query_that_it_was_composed_of(session):
    insert_many(acquisition.Session, sessions(session, [2, 3], rig=["a'; --", "100 %"]))
    asked = Prepared(
        lambda: acquisition.Session.proj("eid", "rig") & "session_number < 3", order_by="session_number DESC"
    )
    animal = {"lab": "lab", "subject": "mouse"}
    expected = (acquisition.Session.proj("eid", "rig") & animal & "session_number < 3").to_dicts(
        order_by="session_number DESC"
    )
    assert asked.rows(animal) == expected and len(expected) == 2
    assert asked.columns(animal).to_pylist() == expected
    assert asked.rows({"rig": ["a'; --", "100 %"]}) == expected[:1]
    assert asked.rows({"session_number": np.int64(1), "rig": ""}) == expected[1:]
    assert asked.rows({"session_number": []}) == []
    with pytest.raises(dj.errors.UnknownAttributeError, match="eyed"):
        asked.rows({"eyed": "x"})


def test_an_error_that_datajoint_has_no_name_for_is_not_its_own_cause(session):
    """Whoever follows such a chain, as a worker does that looks for a conflict, would never come to its end."""
    with pytest.raises(Exception, match="(?i)too long") as raised:
        insert_many(acquisition.Session, session | {"session_number": [2], "eid": EID % 2, "rig": "x" * 5000})
    assert raised.value.__cause__ is not raised.value
    assert not transactions.is_conflict(raised.value)


def test_nan_is_null_in_whatever_it_comes(session):
    nan = float("nan")
    for number, values in enumerate(
        ([nan, 1], np.array([nan, 1]), np.array([nan, 1], np.float32), [np.float32(nan), 1], pa.array([nan, 1.0]),
         np.array([np.float32(nan), None], object)), start=1,
    ):  # fmt: skip
        insert_many(acquisition.Session, sessions(session, [10 * number, 10 * number + 1], start_delay=values))
    assert len(acquisition.Session & "start_delay IS NULL") == 1 + 7


@pytest.mark.parametrize("n_rows", [6_000, 25_000])
def test_rows_in_binary_are_those_in_text(session, database, monkeypatch, n_rows):
    """Text of all lengths, empty and not, dates, numbers and NULL; also more rows than are made ready at once."""
    if database.adapter.backend != "postgresql":
        pytest.skip("MySQL takes no COPY")
    numbers = np.arange(2, n_rows + 2, dtype=np.int16)
    texts = ["", "é\t\\N\"',\n", "x" * 128, " "]
    columns = sessions(session, numbers.tolist()) | {
        "session_date": [datetime.date(1969 + n % 90, 1 + n % 12, 1 + n % 28) for n in numbers.tolist()],
        "rig": [texts[n % 4] for n in numbers.tolist()],
        "start_delay": np.where(numbers % 3 == 0, np.nan, numbers / 7 - 100),
    }
    written = []
    for is_text in (False, True):
        if is_text:
            monkeypatch.setattr(bulk, "binary_rows", lambda *_: None)
        insert_many(acquisition.Session, columns)
        new = acquisition.Session & "session_number > 1"
        written.append(fetch_columns(new, *new.heading.names[:5], "rig", "start_delay", order_by="eid"))
        new.delete_quick()
    assert written[0].num_rows == n_rows
    assert written[0] == written[1]
