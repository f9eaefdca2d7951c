"""Protects how values of records are made from rows: addresses, local times, names of files."""

from __future__ import annotations

import datetime

from one_bridge.server import field_getters as getters

EID, DID = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
SESSION = {
    "lab": "a lab", "subject": "KS014", "session_date": datetime.date(2020, 1, 31), "session_number": 2, "eid": EID,
    "start_time": datetime.datetime(2020, 1, 31, 23, 30), "_zone": "Europe/London", "task_protocol": "training",
}  # fmt: skip
DATASET = SESSION | {
    "rel_path": "alf/#2024-01-01#/spikes.times.npy", "dataset_id": DID, "collection": "alf/probe00",
    "file_state": "online",
}  # fmt: skip


def test_a_session_starts_on_the_date_of_its_path():
    assert getters.session_start(SESSION) == "2020-01-31T23:30:00"
    assert getters.session_start(SESSION | {"_zone": "Asia/Tokyo"}) == "2020-01-31T00:00:00"
    assert getters.session_start(SESSION | {"start_time": None}) == "2020-01-31T00:00:00"
    info = getters.session_info(SESSION | {"_projects": ["p"]})
    assert (info["id"], info["number"], info["projects"]) == (EID, 2, ["p"])
    assert getters.session_url(SESSION) == f"/sessions/{EID}"


def test_addresses_of_files_hold_the_uuid():
    address = f"/data/a lab/Subjects/KS014/2020-01-31/002/alf/#2024-01-01#/spikes.times.{DID}.npy"
    assert getters.data_url(DATASET) == getters.record_url(DATASET) == address
    assert getters.record_url(DATASET | {"file_state": "missing"}) is None and getters.is_online(DATASET)
    assert getters.dataset_url(DATASET) == f"/datasets/{DID}"
    aggregate = {"aggregate_path": "aggregates/Subjects/KS014/#1#/a.table.pqt", "aggregate_id": DID}
    assert getters.aggregate_url(aggregate) == f"/data/aggregates/Subjects/KS014/#1#/a.table.{DID}.pqt"
    assert getters.folder_of_aggregate(aggregate) == "aggregates/Subjects/KS014"
    assert getters.image_url({"note_image": "notes/a b.png"}) == "/uploaded/a%20b.png"
    assert getters.image_url({"note_image": ""}) is None


def test_addresses_and_identifiers_of_records():
    assert getters.url("labs", ["lab"])({"lab": "a lab"}).startswith("/labs/a%")
    assert getters.token(["lab"])({"lab": "a"}) == "a"


def test_columns_as_they_are_shown():
    row = {"a": "x  ", "b": "", "n": None, "yes": 1, "extension": "ap.cbin", "file_extension": ".npy", "list": [1]}
    assert getters.column("a")(row) == "x  " and getters.stripped("a")(row) == "x"
    assert getters.or_none("b")(row) is None and getters.stripped("b")(row) is None
    assert getters.as_text("yes")(row) == "True" and getters.as_text("n")(row) == "False"
    assert getters.is_null("n")(row) and not getters.is_null("a")(row) and getters.has("list")(row)
    assert (getters.nothing(row), getters.nothing_text(row), getters.nothing_list(row)) == (None, "", [])
    assert getters.true(row) and not getters.false(row)
    assert getters.data_format(row) == "cbin" and getters.dotted(row) == ".npy"
    assert getters.time("start_time")(SESSION) == "2020-01-31T23:30:00"
    assert getters.last_part("rel_path")(DATASET) == "spikes.times.npy"


def test_a_collection_of_globus_and_the_folders_of_a_probe():
    repository = {"repository_host": "abc", "repository_kind": "globus"}
    assert getters.globus_collection(repository) == "abc"
    assert getters.globus_collection(repository | {"repository_kind": "http"}) is None
    assert getters.is_of_probe({"probe_label": "probe00"}, DATASET)
    assert not getters.is_of_probe({"probe_label": "probe0"}, DATASET)


def test_sql_of_both_databases():
    assert "REGEXP_REPLACE" in getters.last_part_sql("p")("postgresql")
    assert getters.last_part_sql("p")("mysql") == "SUBSTRING_INDEX(p, '/', -1)"
    assert "[.]" in getters.last_suffix_sql("p")("postgresql")
    assert getters.last_suffix_sql("p")("mysql") == "SUBSTRING_INDEX(p, '.', -1)"
