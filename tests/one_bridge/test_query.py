"""Search terms mean what ONE and Alyx say they mean, bad ones are refused in words, and no text of a person is SQL."""

from __future__ import annotations

import datetime
import uuid

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from one_bridge import query
from one_bridge.matching import InvalidQuery, Reading, matching, one_of, qc_up_to, truth, values_of
from pipeline.database.bulk import insert_many
from pipeline.schemas import acquisition, data, ephys, lab
from tests.one_bridge.trees import NOW, File, Session, build, dataset_id, keys, locate

ALYX = Reading("alyx")
ALL = ["KS014", "KS0145", "ks014"]
TREE = [
    Session(
        subject="KS014", projects=("brainwide", "ibl_main"), protocol="_iblrig_trainingChoiceWorld",
        probes=("probe00",),
        files=[
            File("alf/spikes.times.npy", np.ones(1), "PASS"), File("alf/spikes.clusters.npy", np.ones(1), "FAIL"),
        ],
    ),
    Session(subject="ks014", number=2, files=[File("alf/spikes.times.npy", np.ones(1), "CRITICAL")]),
    Session(subject="KS0145", date="2020-02-29", lab="otherlab", probes=("probe00", "probe01"),
            files=[File("alf/spikes.times.npy"), File("alf/#r1#/spikes.times.npy", np.ones(1))]),
]  # fmt: skip


@pytest.fixture
def tree(database, tmp_path):
    build(tmp_path / "data", TREE)
    insert_many(lab.LabMember, {"user_name": ["anna", "ben"]})
    both = keys([TREE[0], TREE[0], TREE[1]])
    insert_many(acquisition.SessionUser, both | {"user_name": ["anna", "ben", "anna"]})
    return database


def found(terms: dict, reading: Reading | None = None) -> list[str]:
    return sorted(query.session_rows(query.sessions(terms, reading), projects=False)["subject"].to_pylist())


@pytest.mark.parametrize(
    ("terms", "one", "alyx"),
    [
        ({"subject": "KS014"}, ["KS014", "KS0145"], ["KS014", "ks014"]),
        ({"subject": ["KS014", "nobody"]}, ["KS014", "KS0145"], ["KS014", "ks014"]),
        ({"subject": "KS014,KS0145"}, [], ALL),
        ({"lab": "lab"}, ALL, []),
        ({"lab": "SIMLAB"}, [], ["KS014", "ks014"]),
        ({"task_protocol": "TRAINING"}, [], ["KS014"]),
        ({"projects": "ibl"}, ["KS014"], ["KS014"]),
        ({"projects": "^$"}, ["KS0145", "ks014"], []),
        ({"number": [1, "002"]}, ALL, ALL),
        ({"number": "1"}, ["KS014", "KS0145"], ["KS014", "KS0145"]),
        ({"date_range": ["2020-02-01", "2020-02-29"]}, ["KS0145"], ["KS0145"]),
        ({"datasets": "spikes.times.npy"}, ["KS014", "KS0145"], ["KS014", "KS0145"]),
        ({"datasets": "spikes.*"}, ["KS014", "KS0145"], []),
        ({"datasets": ["spikes.times.npy", "spikes.clusters.npy"]}, ["KS014"], ["KS014"]),
        ({"datasets": ["spikes.times.npy", "spikes.clusters.npy"], "dataset_qc_lte": "WARNING"}, [], []),
        ({"datasets": "spikes.times.npy", "dataset_qc_lte": 50}, ALL, ALL),
        ({"dataset_qc_lte": "PASS"}, ["KS014", "KS0145"], ["KS014", "KS0145"]),
        ({"users": "anna"}, ["KS014", "ks014"], ["KS014", "ks014"]),
        ({"users": ["anna", "ben"]}, ["KS014"], ["KS014"]),
        ({"qc": "NOT_SET"}, ALL, ALL),
        ({"location": "rig"}, [], []),
        ({"type": "Experiment"}, ALL, ALL),
        ({"tag": "x"}, [], []),
        ({"procedures": "x"}, [], []),
        ({"session": [str(TREE[0].eid), TREE[1].eid]}, ["KS014", "ks014"], ["KS014", "ks014"]),
        ({"performance_gte": 70}, [], []),
    ],
)  # fmt: skip
def test_terms_of_sessions(tree, terms, one, alyx):
    assert found(terms) == one
    assert found(terms, ALYX) == alyx


def test_a_range_of_dates_as_text(tree):
    assert found({"date_range": "2020-01-01,2020-01-31"}, ALYX) == ["KS014", "ks014"]
    assert found({"date_range": ",2020-01-31"}, ALYX) == ["KS014", "ks014"]


@pytest.mark.parametrize(
    "terms",
    [
        {"nonsense": 1}, {"number": "x"}, {"number": None}, {"date_range": "2020-99-99"}, {"date_range": "-549"},
        {"date_range": [1, 2, 3]},
        {"dataset_qc_lte": "GOOD"}, {"dataset_qc_lte": "99"}, {"session": "x"}, {"performance_gte": "much"},
        {"atlas_acronym": "CA99"}, {"atlas_id": "TH"}, {"datasets": "spikes.(npy"}, {"subject": "(KS"},
    ],
)  # fmt: skip
def test_bad_terms_are_refused_in_words(tree, terms):
    with pytest.raises(InvalidQuery) as error:
        query.sessions(terms)
    assert error.value.remedy
    assert isinstance(error.value, ValueError)


def test_terms_of_insertions(tree):
    serials = {"probe_serial": ["18005"], "probe_model": ["3A"]}
    insert_many(ephys.Probe, serials)
    ephys.ProbeInsertion.update1((ephys.ProbeInsertion & {"subject": "KS014"}).keys()[0] | {"probe_serial": "18005"})

    def labels(terms: dict) -> list[str]:
        return query.insertion_rows(query.insertions(terms))["name"].to_pylist()

    assert sorted(labels({})) == ["probe00", "probe00", "probe01"]
    assert labels({"name": "probe01"}) == ["probe01"]
    assert labels({"model": "3A"}) == labels({"serial": "18005"}) == ["probe00"]
    assert labels({"dataset": "clusters"}) == ["probe00"]
    assert labels({"dataset": "clusters", "dataset_qc_lte": "PASS"}) == []
    assert labels({"lab": "otherlab", "name": "probe00"}) == ["probe00"]
    assert labels({"pid": uuid.uuid3(TREE[0].eid, "probe00")}) == ["probe00"]
    row = query.insertion_rows(query.insertions({"serial": "18005"})).to_pylist()[0]
    assert (row["model"], row["serial"], row["eid"]) == ("3A", "18005", str(TREE[0].eid))


def test_a_region_is_all_that_lies_within_it(tree):
    """VPM and PO lie in the thalamus (TH, 549); an insertion is found by its own channels, a session by any of them."""
    locate(TREE[0], "probe00", ["VPM", "PO", None])
    locate(TREE[2], "probe01", ["CA1", "VPM"])

    def insertions(reading: Reading | None = None, **terms) -> list[str]:
        rows = query.insertion_rows(query.insertions(terms, reading)).to_pylist()
        return sorted(row["id"] for row in rows)

    first, second = str(uuid.uuid3(TREE[0].eid, "probe00")), str(uuid.uuid3(TREE[2].eid, "probe01"))
    both = sorted((first, second))
    assert insertions(atlas_acronym="TH") == insertions(atlas_acronym="VPM") == both
    assert insertions(atlas_acronym="PO") == [first]
    assert insertions(atlas_acronym=["PO", "CA1"]) == insertions(ALYX, atlas_acronym="PO,CA1") == both
    assert insertions(atlas_acronym="HPF", lab="simlab") == []
    assert insertions(atlas_id=549) == insertions(atlas_id=["549", 382]) == insertions(ALYX, atlas_id="549") == both
    assert insertions(atlas_name="field ca1") == [second]
    assert insertions(atlas_name="nowhere") == []
    assert found({"atlas_acronym": "TH"}) == found({"atlas_acronym": "TH"}, ALYX) == ["KS014", "KS0145"]
    assert found({"atlas_acronym": "HPF", "datasets": "spikes.times.npy"}) == ["KS0145"]
    with pytest.raises(InvalidQuery, match="did you mean"):
        query.insertions({"atlas_acronym": "VPN"})


def test_terms_of_datasets(tree):
    insert_many(data.Tag, {"tag": ["release"], "tag_protected": [True]})
    tagged = str(dataset_id(TREE[0], "alf/spikes.times.npy"))
    insert_many(data.DatasetTag, {"dataset_id": [tagged], "tag": "release"})

    def paths(terms: dict) -> list[str]:
        return sorted(query.dataset_rows(query.datasets(terms, ALYX))["rel_path"].to_pylist())

    assert len(paths({})) == 5
    assert paths({"subject": "KS0145"}) == ["alf/#r1#/spikes.times.npy", "alf/spikes.times.npy"]
    assert paths({"revision": "r1"}) == ["alf/#r1#/spikes.times.npy"]
    assert paths({"name": "spikes.clusters.npy"}) == ["alf/spikes.clusters.npy"]
    assert paths({"exists": "False"}) == ["alf/spikes.times.npy"]
    assert len(paths({"exists": True})) == 4
    assert paths({"tag": "release"}) == paths({"protected": "true"}) == ["alf/spikes.times.npy"]
    assert len(paths({"protected": False})) == 4
    assert paths({"public": True}) == []
    assert paths({"dataset_id": tagged}) == ["alf/spikes.times.npy"]
    assert len(paths({"collection": "ALF", "data_format": "npy"})) == 5
    assert paths({"dataset_qc": "FAIL"}) == ["alf/spikes.clusters.npy"]
    assert paths({"dataset_type": "spikes.times"}) == []


def test_rows_have_ones_names_and_order(tree):
    rows = query.session_rows().to_pylist()
    assert [row["subject"] for row in rows] == ["KS0145", "ks014", "KS014"]
    assert rows[2] == {
        "eid": str(TREE[0].eid), "lab": "simlab", "subject": "KS014", "date": datetime.date(2020, 1, 1), "number": 1,
        "task_protocol": "_iblrig_trainingChoiceWorld", "projects": "brainwide,ibl_main",
    }  # fmt: skip
    extra = query.session_rows(query.sessions({"subject": "^KS014$"}), extra=("session_qc",)).to_pylist()
    assert extra[0]["session_qc"] == "NOT_SET"
    datasets = query.dataset_rows().to_pylist()
    assert [(row["eid"], row["id"]) for row in datasets] == sorted((row["eid"], row["id"]) for row in datasets)
    assert sum(row["exists"] for row in datasets) == 4


def test_a_copy_that_is_missing_does_not_exist(tree):
    missing = {"dataset_id": str(dataset_id(TREE[0], "alf/spikes.times.npy")), "repository": "local"}
    data.FileRecord.update1(missing | {"file_state": "missing"})
    data.note_online(data.Dataset())
    assert found({"datasets": "spikes.times.npy"}) == ["KS0145"]
    insert_many(data.Repository, {"repository": ["far"], "repository_kind": "http", "repository_root": "https://x.org"})
    record = {"dataset_id": [missing["dataset_id"]], "repository": "far", "file_path": "a/b", "file_state": "online"}
    insert_many(
        data.FileRecord, record | {"record_size": 1, "record_hash": "0" * 32, "modified_ns": 0, "verified": NOW}
    )
    data.note_online(data.Dataset())
    assert found({"datasets": "spikes.times.npy"}) == ["KS014", "KS0145"]


@given(st.text(max_size=20))
def test_any_text_is_a_subject_that_may_not_be_there(text):
    for reading in (Reading(wildcards=False), ALYX):
        for value in values_of(text, reading):
            assert set(matching(["KS014", "ks014"], [value], reading, whole=True)) <= {"KS014", "ks014"}


@pytest.mark.parametrize("text", ["'", "'; DROP TABLE x; --", "\\", "\\'", "%", "a%%b", '"', "`", "é", ""])
def test_values_from_the_tables_are_quoted(tree, text):
    insert_many(lab.Project, {"project": [text + "x"]})
    session = {name: values[0] for name, values in keys(TREE).items()}
    insert_many(acquisition.SessionProject, session | {"project": [text + "x"]})
    assert found({"projects": [text + "x"]}, Reading(wildcards=False)) == ["KS014"]
    assert len(lab.Project() & one_of("project", [text + "x"])) == 1


AWKWARD = st.lists(st.sampled_from(["\\", "'", '"', "`", "%", "{", "x", "project", " ", "é", "\n"]), max_size=8).map(
    "".join
)


@settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(text=AWKWARD, other=AWKWARD)
def test_any_text_is_found_as_it_is_and_nothing_else(database, text, other):
    """Alone, beside others, and below another restriction; over DataJoint, in bulk and on the server's way."""
    lab.Project.delete_quick()
    lab.Project.insert([{"project": "a", "project_description": text}, {"project": "b", "project_description": "-"}])
    wanted = lab.Project() & one_of("project_description", [text, other + "?"])
    for item in (wanted, lab.Project() & wanted.proj(), lab.Project() & [one_of("project_description", [text])]):
        assert [row["project"] for row in item.to_dicts()] == ["a"]
        assert query.fetch_columns(item, "project")["project"].to_pylist() == ["a"]


def test_words_for_truth_and_qc():
    assert truth("TRUE")
    assert not truth(0)
    assert qc_up_to("30") == ["NOT_SET", "PASS", "WARNING"]
    with pytest.raises(InvalidQuery):
        truth("maybe")
