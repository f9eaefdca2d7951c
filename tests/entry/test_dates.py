"""What has happened cannot lie in the future, at no door; what is planned can."""

from __future__ import annotations

import datetime

import pytest

from ingest import register
from pipeline import entry
from pipeline.alf.dates import AHEAD
from pipeline.entry.tables import TABLES
from pipeline.schemas import acquisition, action, data
from tests.ingest.tree import write

pytestmark = pytest.mark.slow

BY = {"user": "ada", "source": "test"}
MOUSE = {"lab": "mylab", "subject": "m1"}
SOON = datetime.datetime.now(datetime.UTC).replace(tzinfo=None, microsecond=0)


@pytest.fixture
def mouse(database):
    entry.write("lab.Lab", [{"lab": "mylab", "time_zone": "Pacific/Auckland"}], **BY)
    entry.write("subject.Subject", [MOUSE], **BY)


def refused(table, row):
    with pytest.raises(entry.InvalidEntry) as error:
        entry.write(table, [MOUSE | row], create_missing=True, **BY)
    return str(error.value)


def test_nothing_happened_in_the_future(mouse):
    later, far = SOON + datetime.timedelta(days=2), datetime.date(SOON.year + 30, 1, 1)
    for table, row in {
        "action.Weighing": {"weighing_time": later, "weight": 20},
        "action.WaterAdministration": {"administration_time": f"{far}T12:00:00+00:00", "water_volume": 1},
        "action.WaterRestriction": {"restriction_start": later},
        "action.Surgery": {"surgery_start": later},
        "action.OtherAction": {"action_start": SOON - AHEAD, "action_end": later},
        "acquisition.Session": {"session_date": far, "session_number": 1},
        "subject.Subject": {"birth_date": str(far)},
        "subject.Cull": {"cull_date": later.date(), "cull_method": "CO2"},
        "subject.Housing": {"housing_start": far, "cage_name": "c1"},
    }.items():
        assert "in the future" in refused(table, row), table
    assert not len(action.Weighing()) and not len(acquisition.Session())


def test_clocks_and_time_zones_may_differ(mouse):
    time = SOON + AHEAD - datetime.timedelta(minutes=15)
    entry.write("action.Weighing", [MOUSE | {"weighing_time": time, "weight": 20}], **BY)
    assert action.Weighing.fetch1("weighing_time") == time


@pytest.mark.parametrize("day", ["1900-01-01", "1904-01-01", "1969-12-31", "0001-01-01", "2200-01-01"])
def test_days_that_no_clock_says_are_refused(mouse, day):
    assert "is not between" in refused("action.Weighing", {"weighing_time": f"{day}T12:00:00Z", "weight": 20})
    assert "is not between" in refused("subject.Subject", {"birth_date": day})


def test_what_is_planned_may_come(mouse):
    later = SOON + datetime.timedelta(days=40)
    row = {"restriction_start": SOON - AHEAD, "restriction_end": later}
    entry.write("action.WaterRestriction", [MOUSE | row], **BY)
    entry.write("publication.Embargo", [MOUSE | {"embargo_until": later.date()}], **BY)
    planned = {(table.table, field.column) for table in TABLES.values() for field in table.fields if field.planned}
    assert ("action.Weighing", "weighing_time") not in planned and (
        "acquisition.Session",
        "session_date",
    ) not in planned


def test_a_folder_of_a_day_to_come_is_no_session(database, tmp_path):
    far = f"mylab/Subjects/m1/{SOON.year + 2}-01-01/001"
    for path in ("mylab/Subjects/m1/2020-01-01/001", "mylab/Subjects/m1/1904-01-01/001", far):
        write(tmp_path, path)
    summary = register(tmp_path, repository="r", processes=1)
    assert summary.reasons == {"bad_session_path": 2}
    assert acquisition.Session.fetch1("session_date") == datetime.date(2020, 1, 1)
    assert any("in the future" in to_array for to_array in data.Quarantine.to_arrays("detail"))
