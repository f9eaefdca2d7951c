"""Protects that a column has one rule, whoever writes: metadata files, REST and entry.write agree to the word."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.metadata.files import FILES, read_files
from ingest.rows.metadata_rows import MetadataRows
from ingest.rows.sources import Sources
from ingest.rows.writing import Writer
from one_bridge.server.endpoints import ENDPOINTS
from pipeline import entry
from pipeline.entry.reversal import from_json
from pipeline.entry.tables import TABLES, class_of
from pipeline.schemas import audit

BY = {"user": "ada", "source": "test"}
MOUSE = {"lab": "simlab", "subject": "m1"}
DOORS = {  # table: metadata file, endpoint, a row that everybody accepts
    "lab.Lab": ("labs", "labs", {"lab": "newlab"}),
    "subject.Subject": ("subjects", "subjects", {"lab": "simlab", "subject": "m2"}),
    "action.Weighing": ("weighings", "weighings", MOUSE | {"weighing_time": "2023-07-03T12:00:00", "weight": "20"}),
    "action.WaterAdministration": (
        "water", "water-administrations", MOUSE | {"administration_time": "2023-07-03T12:00:00", "water_volume": "1"},
    ),
    "action.WaterRestriction": (
        "restrictions", "water-restriction", MOUSE | {"restriction_start": "2023-07-03T12:00:00"},
    ),
}  # fmt: skip
COLUMNS = [
    (table, column.name)
    for table, (kind, endpoint, _) in DOORS.items()
    for column in FILES[kind]
    if any(field.column == column.name and field.write for field in ENDPOINTS[endpoint].fields)
]

KNOWN = (
    "-5", "25000", "-3", "85", "85 %", "0.85", "22,5", "1,200", "22.5 g", "22.5 kg", "nan", "inf", "1e9", "0", "m1",
    "m9", "Mars/Phobos",
    "Europe/London", "=1+1", "@x", "../x", "con", "a/b", "a%b", "x.", "F", "female", "X", "yes", "2",
    "true",
    "2023-07-03", "2023-13-01", "1850-01-01", "2024-05-01", "2022-01-01T00:00:00", "2023-03-26T01:30:00",
    "2023-10-29T01:30:00", "2023-10-29T01:30:00+00:00", "03/07/2023", "noon", "604e1da8-1e3d-41c4-a29e-21d573a0b84c",
    "604e1da8-1e3d-11c4-a29e-21d573a0b84c", "x" * 300, "x" * 2000, "ada", "C57BL/6J", "Water 10% Sucrose", "simlab",
)  # fmt: skip
VALUES = (
    st.sampled_from(KNOWN)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1, max_size=40)
    | st.floats(-1e5, 1e5).map(str)
    | st.integers(-100, 5000).map(str)
    | st.dates().map(str)
    | st.datetimes().map(lambda when: when.isoformat())
).filter(lambda text: text.strip())


def by_entry(table, row, column, create_missing):
    try:
        entry.write(table, [row], action="create", create_missing=create_missing, dry_run=True, **BY)
    except entry.InvalidEntry as error:
        return sorted(item.message for item in error.errors if item.column == column) or [
            element.message for element in error.errors
        ]
    return []


def by_file(folder, kind, row, column, connection):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(row), quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writeheader()
    writer.writerow(row)
    path = folder / f"{kind}.csv"
    path.write_text(text.getvalue(), encoding="utf-8")
    metadata = read_files([path], folder, None, {"simlab": "Europe/London"})
    run = Writer(connection, dry_run=True)
    rows = MetadataRows(run, metadata, Sources(run, "simlab"))
    for table, (name, _, _) in DOORS.items():
        if name == kind:
            own = {field.column for field in TABLES[table].fields}
            sources = metadata.rows[kind]
            rows.write(table, [{name: row[name] for name in row if name in own} for row in sources], sources)
    collected = {where: [message for _, message in messages] for (_, where), messages in metadata._found.items()}
    return sorted(collected.get(column, [])) or [message for messages in collected.values() for message in messages]


def by_rest(session, url, endpoint, row, column):
    names = {field.column: field.name for field in ENDPOINTS[endpoint].fields if field.write and field.column}
    body = {names[name]: value for name, value in row.items()}
    made = session.post(f"{url}/{endpoint}", json=body, timeout=20)
    if made.status_code == 201:
        (latest,) = audit.Edit.to_dicts(order_by="edit_time DESC, edit_number DESC", limit=1)
        (class_of(latest["edit_table"])() & from_json(latest["edit_table"], latest["edit_key"])).delete_quick()
        return []
    assert made.status_code == 400, made.text
    problems = made.json()
    problems.pop("status_code")
    return sorted(problems.get(names[column], [])) or [message for problem in problems.values() for message in problem]


@pytest.fixture
def lab_with_a_mouse(serve, database, tmp_path):
    entry.write("lab.Lab", [{"lab": "simlab", "time_zone": "Europe/London"}], **BY)
    life = {"birth_date": "2023-01-01", "death_date": "2023-12-01"}
    entry.write("subject.Subject", [MOUSE | life], create_missing=True, **BY)
    (tmp_path / "data").mkdir()
    return serve(tmp_path / "data")


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_every_door_accepts_and_refuses_alike_with_the_same_sentence(lab_with_a_mouse, database, tmp_path):
    session, url = lab_with_a_mouse.session("ada"), lab_with_a_mouse.url

    def compare(table, column, value):
        kind, endpoint, base = DOORS[table]
        row = base | {column: value}
        strict, open_ = (by_entry(table, row, column, create) for create in (False, True))
        assert by_rest(session, url, endpoint, row, column) == strict, (table, column, value)
        assert by_file(tmp_path, kind, row, column, database) == open_, (table, column, value)
        if not TABLES[table].field(column).to:
            assert strict == open_

    for table, column in COLUMNS:
        compare(table, column, "=1+1")

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(COLUMNS), VALUES)
    def anything(place, value):
        compare(*place, value)

    anything()


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("action.Weighing", "weight", "-5"),
        ("action.Weighing", "weight", "25000"),
        ("action.WaterAdministration", "water_volume", "-3"),
        ("lab.Lab", "reference_weight_pct", "85"),
        ("lab.Lab", "time_zone", "Mars/Phobos"),
        ("action.Weighing", "weighing_time", "2024-01-01"),
        ("action.WaterRestriction", "restriction_end", "2023-07-01"),
    ],
)
def test_what_used_to_pass_over_http_is_refused_by_all(lab_with_a_mouse, database, tmp_path, table, column, value):
    kind, endpoint, base = DOORS[table]
    row = base | {column: value}
    outcome = by_entry(table, row, column, create_missing=False)
    assert outcome
    session, url = lab_with_a_mouse.session("ada"), lab_with_a_mouse.url
    assert by_rest(session, url, endpoint, row, column) == outcome
    assert by_file(tmp_path, kind, row, column, database) == outcome


BY_HOOKS = {  # column: the table of its own where a hook writes it, or finds the record that it names
    "eid": "acquisition.Session", "pid": "ephys.ProbeInsertion", "probe_model": "ephys.Probe",
    "chronic_id": "ephys.ChronicRecording", "fov_uuid": "imaging.FieldOfView", "implant_weight": "subject.Implant",
    "region_description": "histology.RegionDescription", "water_type": "action.WaterRestriction.Water",
}  # fmt: skip


def test_every_writable_field_of_rest_is_described_once():
    for endpoint in ENDPOINTS.values():
        if not {"create", "update"} & set(endpoint.verbs):
            continue
        described = TABLES.get(endpoint.table)
        columns = {field.column for field in endpoint.fields if field.write and field.column}
        others = [name for name in columns if described is None or described.field(name) is None]
        assert not [name for name in others if name not in BY_HOOKS or TABLES[BY_HOOKS[name]].field(name) is None], (
            endpoint.name
        )
        assert {item.table for item in endpoint.many if item.write and not item.single} <= TABLES.keys()


SESSION = MOUSE | {"session_date": "2023-07-03", "session_number": "1"}
EID = "6c84fb90-12c4-4c9f-8e9b-5a1f3cbb4d50"
PID = "0d3e1c1c-9a0a-4a8b-8f3f-0e0a5d6b7c11"
STACK = "3f0b6f6e-3a77-4b3f-9a9f-1b4c0b8b1a22"
REST_ROWS = {  # endpoint: a record that it accepts, and the same row for `entry`
    "sessions": (
        {"subject": "m1", "lab": "simlab", "start_time": "2023-07-04T10:00:00", "number": 2, "type": "Experiment"},
        MOUSE | {"session_date": "2023-07-04", "session_number": "2", "start_time": "2023-07-04T10:00:00"},
    ),
    "insertions": ({"session": EID, "name": "probe01"}, SESSION | {"probe_label": "probe01"}),
    "trajectories": (
        {"probe_insertion": PID, "provenance": "Planned", "x": 1, "y": 1, "z": 1, "depth": 2000, "theta": 1, "phi": 1},
        SESSION | {"probe_label": "probe00", "provenance": "Planned"}
        | dict.fromkeys(("entry_ml", "entry_ap", "entry_dv", "theta", "phi"), "1") | {"insertion_depth": "2000"},
    ),
    "imaging-type": ({"name": "new"}, {"imaging_type": "new"}),
    "imaging-stack": ({"name": "new"}, {"stack_id": STACK, "stack_name": "new"}),
    "culls": ({"subject": "m1", "lab": "simlab", "date": "2023-12-01"}, MOUSE | {"cull_date": "2023-12-01"}),
    "genotype-tests": (
        {"subject": "m1", "lab": "simlab", "sequence": "Cre", "date": "2023-07-01", "test_result": "Present"},
        MOUSE | {"sequence": "Cre", "genotype_test_date": "2023-07-01", "test_result": "Present"},
    ),
    "implants": (
        {"subject": "m1", "lab": "simlab", "date": "2023-07-01", "implant_weight": 1},
        MOUSE | {"implant_date": "2023-07-01", "implant_weight": "1"},
    ),
    "cull-methods": ({"name": "new"}, {"cull_method": "new"}),
    "cull-reasons": ({"name": "new"}, {"cull_reason": "new"}),
    "surgeries": (
        {"subject": "m1", "lab": "simlab", "start_time": "2023-07-01T10:00:00"},
        MOUSE | {"surgery_start": "2023-07-01T10:00"},
    ),
    "users": ({"username": "new"}, {"user_name": "new"}),
    "locations": ({"name": "new", "lab": "simlab"}, {"lab": "simlab", "location": "new"}),
    "projects": ({"name": "new"}, {"project": "new"}),
    "procedures": ({"name": "new"}, {"procedure_type": "new"}),
    "water-type": ({"name": "new"}, {"water_type": "new"}),
    "dataset-types": ({"name": "new.thing"}, {"dataset_type": "new.thing"}),
    "data-formats": (
        {"name": "new", "file_extension": ".new"}, {"data_format": "new", "file_extension": ".new"},
    ),
    "data-repository": (
        {"name": "new", "repository_type": "local", "globus_path": "/srv/new"},
        {"repository": "new", "repository_kind": "local", "repository_root": "/srv/new"},
    ),
    "revisions": ({"name": "2023-07-01"}, {"revision": "2023-07-01"}),
    "tags": ({"name": "new"}, {"tag": "new"}),
}  # fmt: skip
REST_FIELDS = [
    (endpoint, field)
    for endpoint in REST_ROWS
    for field in ENDPOINTS[endpoint].fields
    if field.write and field.column and field.column not in {*BY_HOOKS, "probe_serial"}  # REST enters the probe
    if TABLES[ENDPOINTS[endpoint].table].field(field.column)
]


@pytest.fixture
def lab_with_a_recording(lab_with_a_mouse):
    entry.write("acquisition.Session", [SESSION | {"eid": EID, "start_time": "2023-07-03T10:00:00"}], **BY)
    entry.write("ephys.ProbeInsertion", [SESSION | {"probe_label": "probe00", "pid": PID}], **BY)
    entry.write("subject.Sequence", [{"sequence": "Cre"}], **BY)
    return lab_with_a_mouse


def answer_of(session, url, endpoint, field, value):
    """What REST says of one value in a record; a record that was made is deleted again."""
    made = session.post(f"{url}/{endpoint}", json=REST_ROWS[endpoint][0] | {field.name: value}, timeout=20)
    if made.status_code == 201:
        table = ENDPOINTS[endpoint].table
        edits = audit.Edit & {"edit_table": table}
        (latest,) = edits.to_dicts(order_by="edit_time DESC, edit_number DESC", limit=1)
        (class_of(table)() & from_json(table, latest["edit_key"])).delete(prompt=False)
        return []
    assert made.status_code == 400, made.text
    problems = made.json()
    problems.pop("status_code")
    return sorted(problems.get(field.name, [])) or [message for problem in problems.values() for message in problem]


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_every_field_that_rest_writes_has_the_rule_of_entry(lab_with_a_recording):
    session, url = lab_with_a_recording.session("ada"), lab_with_a_recording.url

    def compare(endpoint, field, value):
        row = REST_ROWS[endpoint][1] | {field.column: value}
        expected = by_entry(ENDPOINTS[endpoint].table, row, field.column, create_missing=False)
        assert answer_of(session, url, endpoint, field, value) == expected, (endpoint, field.name, value)

    for endpoint, field in REST_FIELDS:
        compare(endpoint, field, "=1+1")

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(REST_FIELDS), VALUES)
    def anything(place, value):
        compare(*place, value)

    anything()
