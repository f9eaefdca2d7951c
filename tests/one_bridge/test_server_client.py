"""The unmodified ONE client from PyPI, end to end against a running server: it finds the same as what was put there."""

from __future__ import annotations

import datetime
import json
import shutil
import uuid
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import requests
from one.alf.exceptions import ALFObjectNotFound, AlyxSubjectNotFound
from one.api import ONE as ClientONE
from one.registration import RegistrationClient

from one_bridge import client_config
from pipeline.database.bulk import insert_many
from pipeline.schemas import acquisition, action, data, ephys, subject
from tests.one_bridge.remote import FIRST, SECOND, SESSIONS, THIRD
from tests.one_bridge.serving import PASSWORD
from tests.one_bridge.trees import dataset_id

pytestmark = pytest.mark.slow


def test_configured_client_needs_no_password(served, tmp_path):
    client_config.configure(served.url, "mia", served.token(), tmp_path / "own", make_default=True)
    ClientONE.cache_clear()
    one = ClientONE(base_url=served.url, silent=True)
    assert [str(eid) for eid in one.search(subject="ZM_1")] == [str(THIRD.eid)]
    assert one.alyx.user == "mia"


def test_search_terms_and_details(one):
    eids = {name: str(session.eid) for name, session in zip(("first", "second", "third"), SESSIONS, strict=True)}
    assert [str(eid) for eid in one.search()] == [eids["third"], eids["second"], eids["first"]]
    assert [str(eid) for eid in one.search(subject="KS014", date_range=["2020-01-02", "2020-01-03"])] == [
        eids["second"]
    ]
    assert [str(eid) for eid in one.search(task_protocol="TRAINING")] == [eids["first"]]
    assert [str(eid) for eid in one.search(projects="alpha")] == [eids["first"]]
    assert [str(eid) for eid in one.search(number=2)] == [eids["third"]]
    assert [str(eid) for eid in one.search(datasets=["spikes.times.npy", "_ibl_trials.choice.npy"])] == [eids["first"]]
    assert one.search(lab="nowhere") == []
    result, details = one.search(subject="KS014", details=True)
    assert details[0]["date"] == datetime.date(2020, 1, 2)
    assert details[1]["projects"] == ["alpha", "beta"]


def test_a_dataset_without_a_copy_has_no_address_and_is_not_there(one):
    """The client takes `data_url` of a record before it looks at the copies; Alyx gives it inside sessions only."""
    one.load_cache()
    (there,) = one.alyx.rest("datasets", "list", session=str(SECOND.eid))
    (absent,) = one.alyx.rest("datasets", "list", session=str(THIRD.eid))
    assert "data_url" not in there and "data_url" not in absent and absent["file_records"] == []
    assert Path(one._download_dataset(there)).is_file()
    assert one._download_dataset(absent) is None
    assert not one._cache.datasets.loc[(slice(None), uuid.UUID(absent["id"])), "exists"].any()
    assert one.alyx.rest("sessions", "read", SECOND.eid)["data_dataset_session_related"][0]["data_url"]


def test_lists_mean_or(one):
    """Against Alyx the same calls find nothing, or end in an error 400."""
    assert len(one.search(subject=["KS014", "ZM_1"])) == 3
    assert len(one.search(number=[1, 2])) == 3
    assert len(one.search(task_protocol=["training", "ephys"])) == 2
    assert len(one.search(projects=["alpha", "nothing"])) == 1


def test_unknown_term_is_refused_by_the_client(one):
    with pytest.raises(ValueError):
        one.search(colour="red")


def test_datasets_of_a_session(one):
    eid = FIRST.eid
    names = {file.rel_path for file in FIRST.files}
    assert set(one.list_datasets(eid)) == names
    assert set(one.list_datasets(eid, collection="alf/probe00")) == {
        "alf/probe00/spikes.times.npy", "alf/probe00/spikes.clusters.npy"}  # fmt: skip
    frame = one.list_datasets(eid, details=True)
    row = frame[frame["rel_path"] == "alf/probe00/spikes.times.npy"].iloc[0]
    path = FIRST.path + "/alf/probe00/spikes.times.npy"
    assert row["file_size"] == (Path(one.cache_dir).parents[1] / "data" / path).stat().st_size
    assert list(one.list_collections(eid)) == ["alf", "alf/probe00", "raw_behavior_data"]
    assert "2020-02-02" in one.list_revisions(eid)


def test_loads_what_is_in_the_files(one):
    eid = FIRST.eid
    trials = one.load_object(eid, "trials", collection="alf")
    np.testing.assert_array_equal(trials["choice"], [1, 1, 0])  # the default revision
    np.testing.assert_array_equal(trials["feedbackType"], [1, -1, -1])
    old = one.load_dataset(eid, "_ibl_trials.choice.npy", collection="alf", revision="2020-01-01")
    np.testing.assert_array_equal(old, [1, -1, 0])
    np.testing.assert_array_equal(one.load_dataset(eid, "spikes.clusters.npy"), np.arange(50))
    collection = one.load_collection(eid, "alf/probe00")
    assert set(collection["spikes"]) == {"times", "clusters"}
    with pytest.raises(ALFObjectNotFound):
        one.load_object(eid, "licks")
    assert one.load_dataset_from_id(dataset_id(FIRST, "alf/probe00/spikes.times.npy")).size == 50


def test_missing_files_are_not_offered(one):
    """A dataset that has no copy online is in no session record, so nothing tries to download it."""
    assert list(one.list_datasets(THIRD.eid)) == []


def test_identifiers(one):
    eid, path = FIRST.eid, FIRST.path
    assert str(one.eid2path(eid)).endswith(path)
    assert str(one.path2eid(one.eid2path(eid))) == str(eid)
    assert one.eid2ref(eid, as_dict=False) == "2020-01-01_1_KS014"
    assert str(one.ref2eid("2020-01-01_1_KS014")) == str(eid)
    pids, names = one.eid2pid(eid)
    assert sorted(names) == ["probe00", "probe01"]
    assert one.pid2eid(pids[0])[0] == eid
    assert one.get_details(eid)["subject"] == "KS014"
    assert one.get_details(eid, full=True)["qc"] == "NOT_SET"


def test_search_insertions(one):
    assert len(one.search_insertions(subject="KS014")) == 2
    pids, rows = one.search_insertions(name="probe01", details=True)
    assert rows[0]["session_info"]["subject"] == "KS014"
    assert len(one.search_insertions(dataset="spikes")) == 2
    assert one.search_insertions(lab="nowhere") == []


def test_descriptions(one, database, capsys):
    data.Revision.insert1({"revision": "2020-02-02", "revision_description": "mended"})
    one.describe_revision("2020-02-02")
    assert "mended" in capsys.readouterr().out
    assert "choice" in one.describe_dataset("trials.choice")["name"]
    assert one.list_aggregates("subjects").empty


def test_remote_search_terms_are_alyx_names(one):
    """Auto-completion goes by these names; `dataset` is one of ours, for the page "Loading data" says it so."""
    terms = one.search_terms(query_type="remote")
    alyx = {"subject", "laboratory", "date_range", "datasets", "dataset_types", "dataset_qc_lte", "projects", "tag"}
    assert alyx <= set(terms)
    assert list(one.search(dataset="spikes.times")) == [FIRST.eid]


def test_pages(one, database):
    """More records than a page: the client fetches them as they are looked at."""
    n = 620
    insert_many(
        acquisition.Session,
        {"lab": "simlab", "subject": "ZM_1", "session_date": datetime.date(2021, 1, 1),
         "session_number": list(range(1, n + 1)), "eid": [str(uuid.uuid4()) for _ in range(n)]},
    )  # fmt: skip
    records = one.alyx.rest("sessions", "list", subject="ZM_1", date_range=["2021-01-01", "2021-01-01"])
    assert len(records) == n
    assert sorted(record["number"] for record in records) == list(range(1, n + 1))
    assert len({str(eid) for eid in one.search(subject="ZM_1")}) == n + 1


def test_cache_tables(one, database):
    data.Tag.insert1({"tag": "release", "tag_public": True})
    data.DatasetTag.insert1({"dataset_id": str(dataset_id(SECOND, "alf/_ibl_trials.choice.npy")), "tag": "release"})
    one.load_cache()
    assert len(one._cache["sessions"]) == 3
    assert [str(eid) for eid in one.search(subject="ZM_1", query_type="local")] == [str(THIRD.eid)]
    one.load_cache(tag="release")
    assert list(one._cache["sessions"].index) == [SECOND.eid]
    assert [str(eid) for eid in one.search(datasets="_ibl_trials.choice.npy", query_type="local")] == [str(SECOND.eid)]


def test_json_fields(one):
    for endpoint, name, identifier in (
        ("sessions", "json", str(FIRST.eid)),
        ("sessions", "extended_qc", str(FIRST.eid)),
        ("subjects", "json", "KS014"),
        ("insertions", "json", one.eid2pid(FIRST.eid)[0][0]),
    ):
        write = {"a": {"b": [1, 2]}, "ä": "ö"}
        assert one.alyx.json_field_write(endpoint, identifier, name, write) == write
        assert one.alyx.json_field_update(endpoint, identifier, name, {"c": None, "x": 2.5})["x"] == 2.5
        assert "x" not in one.alyx.json_field_remove_key(endpoint, identifier, name, key="x")
        one.alyx.json_field_delete(endpoint, identifier, name)
        assert one.alyx.rest(endpoint, "read", id=identifier)[name] is None


def test_json_filters(one):
    one.alyx.rest("sessions", "partial_update", id=str(FIRST.eid), data={"extended_qc": {"drift": 0.9, "good": True}})
    assert len(one.alyx.rest("sessions", "list", extended_qc="drift__gte;0.5")) == 1
    assert len(one.alyx.rest("sessions", "list", extended_qc="drift__gte;0.95")) == 0
    assert len(one.alyx.rest("sessions", "list", django="extended_qc__good,True")) == 1
    assert len(one.alyx.rest("sessions", "list", django="~extended_qc__good,True")) == 2


def test_notes_with_pictures(one, tmp_path):
    png = b"\x89PNG\r\n\x1a\n" + bytes(100)
    picture = tmp_path / "brain.png"
    picture.write_bytes(png)
    note = {"user": "mia", "content_type": "session", "object_id": str(FIRST.eid), "text": "cosy",
            "json": json.dumps({"tag": "## report ##", "name": "raster"})}  # fmt: skip
    with picture.open("rb") as file:
        made = one.alyx.rest("notes", "create", data=note, files={"image": file})
    assert made["text"] == "cosy" and made["image"].startswith(one.alyx.base_url)
    assert made["content_type"] == "actions.session" and made["json"] == {"tag": "## report ##", "name": "raster"}
    query = (
        f"object_id,{FIRST.eid},text,cosy,json__name,raster"  # ibllib's plots look for the picture that they replace
    )
    assert [item["id"] for item in one.alyx.rest("notes", "list", django=query)] == [made["id"]]
    answer = requests.get(made["image"], headers=one.alyx._headers, timeout=10)
    assert answer.content == png
    assert [item["text"] for item in one.alyx.rest("sessions", "read", id=str(FIRST.eid))["notes"]] == ["cosy"]
    text_only = one.alyx.rest("notes", "create", data=note)
    assert text_only["image"] is None
    with pytest.raises(requests.HTTPError) as error, (tmp_path / "page.html").open("wb+") as file:
        file.write(b"<script>")
        file.seek(0)
        one.alyx.rest("notes", "create", data=note, files={"image": file})
    assert error.value.response.status_code == 400


def test_registers_sessions_and_files(one, served, tmp_path):
    client = RegistrationClient(one)
    more = {"projects": ["alpha"], "users": "mia", "task_protocol": "habituation", "lab": "simlab"}
    root = served.root / "simlab" / "Subjects"
    path, eid = client.create_new_session("ZM_1", session_root=root, date="2022-03-04T10:11:12", **more)
    row = (acquisition.Session & {"eid": str(eid)}).fetch1()
    assert (row["subject"], str(row["session_date"]), row["session_number"]) == ("ZM_1", "2022-03-04", 1)
    assert (acquisition.SessionUser & {"session_date": "2022-03-04"}).fetch1("user_name") == "mia"
    folder = Path(path) / "alf"
    folder.mkdir()
    np.save(folder / "_ibl_trials.choice.npy", np.array([1.0, -1.0]))
    np.save(folder / "spikes.times.npy", np.arange(3.0))
    files = [folder / "spikes.times.npy", folder / "_ibl_trials.choice.npy"]
    records = client.register_files(files)
    assert [record["name"] for record in records] == ["spikes.times.npy", "_ibl_trials.choice.npy"]
    assert records[0]["file_records"][0]["exists"] and records[0]["session"] == str(eid)
    again = client.register_files(files)
    assert [record["id"] for record in again] == [record["id"] for record in records]
    np.testing.assert_array_equal(one.load_dataset(eid, "spikes.times.npy"), np.arange(3.0))
    one.alyx.rest("sessions", "partial_update", id=str(eid), data={"start_time": "2022-03-04T10:11:12"})
    session, _ = client.register_session(path, file_list=False)
    assert session["url"].endswith(str(eid))
    assert session["start_time"] == "2022-03-04T10:11:12"  # not the midnight that the client sends


def test_protected_datasets_get_a_revision(one, served):
    """The client is told 403, moves the files into a new revision, and both versions stay."""
    folder = served.root / SECOND.path / "alf"
    data.Tag.insert1({"tag": "paper", "tag_protected": True})
    data.DatasetTag.insert1({"dataset_id": str(dataset_id(SECOND, "alf/_ibl_trials.choice.npy")), "tag": "paper"})
    client = RegistrationClient(one)
    checked = client.check_protected_files([folder / "_ibl_trials.choice.npy"])
    assert checked[0]["status_code"] == 403
    before = (folder / "_ibl_trials.choice.npy").read_bytes()
    np.save(folder / "_ibl_trials.choice.npy", np.array([5.0]))
    (record,) = client.register_files([folder / "_ibl_trials.choice.npy"])
    assert record["revision"] == datetime.date.today().isoformat()
    (folder / "_ibl_trials.choice.npy").write_bytes(before)
    rows = (data.Dataset & {"subject": "KS014", "session_date": SECOND.date}).to_dicts()
    assert {row["dataset_revision"] for row in rows} == {"", record["revision"]}


def test_registers_weights_and_water(one):
    client = RegistrationClient(one)
    weight = client.register_weight("KS014", 23.456, date_time="2020-01-01T08:00:00")
    assert weight["weight"] == 23.46
    assert action.Weighing().fetch1("weight") == 23.46
    water = client.register_water_administration("KS014", 0.8, session=FIRST.eid)
    assert water["session"] == str(FIRST.eid)
    assert acquisition.SessionWater().fetch1("session_number") == 1
    record = one.alyx.rest("sessions", "read", id=str(FIRST.eid))
    assert record["wateradmin_session_related"][0]["water_administered"] == 0.8
    with pytest.raises(AlyxSubjectNotFound):
        client.register_weight("nobody", 20)


def test_every_verb(one):
    """What is created can be read, changed, listed and deleted, and is then gone."""
    admin = {
        "projects": ("gamma", {"name": "gamma"}, {"description": "new"}),
        "tags": ("t1", {"name": "t1", "protected": False}, {"public": True}),
        "revisions": ("r1", {"name": "r1"}, {"description": "x"}),
        "procedures": ("Cuddling", {"name": "Cuddling"}, {"description": "soft"}),
        "dataset-types": ("my.type", {"name": "my.type"}, {"description": "y"}),
    }
    one.alyx.authenticate(username="max", password=PASSWORD, force=True)
    for endpoint, (identifier, record, change) in admin.items():
        made = one.alyx.rest(endpoint, "create", data=record)
        assert made["name"] == identifier
        changed = one.alyx.rest(endpoint, "partial_update", id=identifier, data=change)
        assert changed | change == changed
        assert identifier in [result["name"] for result in one.alyx.rest(endpoint, "list", name=identifier)]
        one.alyx.rest(endpoint, "delete", id=identifier)
        with pytest.raises(requests.HTTPError) as error:
            one.alyx.rest(endpoint, "read", id=identifier)
        assert error.value.response.status_code == 404


def test_records_of_animals(one):
    one.alyx.authenticate(username="max", password=PASSWORD, force=True)
    born = {"nickname": "new_1", "lab": "simlab", "sex": "F", "birth_date": "2020-01-01"}
    mouse = one.alyx.rest("subjects", "create", data=born | {"projects": ["alpha"], "responsible_user": "mia"})
    assert mouse["nickname"] == "new_1" and mouse["projects"] == ["alpha"] and mouse["alive"]
    assert one.alyx.rest("subjects", "read", id=mouse["id"])["nickname"] == "new_1"
    assert [result["nickname"] for result in one.alyx.rest("subjects", "list", responsible_user="mia")] == ["new_1"]
    operated = {"subject": "new_1", "start_time": "2020-03-01T10:00:00", "users": ["mia"], "narrative": "ü"}
    surgery = one.alyx.rest("surgeries", "create", data=operated | {"procedures": ["Headplate implant"]})
    assert surgery["procedures"] == ["Headplate implant"] and surgery["users"] == ["mia"]
    changed = one.alyx.rest("surgeries", "partial_update", id=surgery["id"], data={"procedures": []})
    assert changed["procedures"] == []
    restriction = one.alyx.rest(
        "water-restriction", "create", data={"subject": "new_1", "start_time": "2020-04-01T00:00:00"}
    )
    assert restriction["end_time"] is None
    weight = one.alyx.rest(
        "weighings", "create", data={"subject": "new_1", "date_time": "2020-03-01T10:00:00", "weight": 20}
    )
    assert weight["user"] == "max"
    result = one.alyx.rest("weighings", "read", id=weight["url"])
    assert result["weight"] == 20
    assert len(one.alyx.rest("weighings", "list", nickname="new_1", date_range=["2020-03-01", "2020-03-01"])) == 1
    one.alyx.rest("weighings", "delete", id=weight["url"].rsplit("/", 1)[-1])
    one.alyx.rest("subjects", "delete", id="new_1")
    assert not subject.Subject & {"subject": "new_1"} and not action.Surgery()


def test_insertions_can_be_made(one):
    probe = {"session": str(SECOND.eid), "name": "probe00", "model": "NP1", "serial": "123", "json": {"qc": "good"}}
    made = one.alyx.rest("insertions", "create", data=probe)
    assert made["model"] == "NP1" and made["session_info"]["subject"] == "KS014"
    assert [row["id"] for row in one.alyx.rest("insertions", "list", model="NP1")] == [made["id"]]
    assert len(one.alyx.rest("insertions", "list", django="json__qc,good")) == 1
    assert ephys.Probe().fetch1("probe_serial") == "123"


def test_mismatching_files_are_marked(one):
    """The client marks a file record whose download does not match; the mark comes back."""
    did = str(dataset_id(SECOND, "alf/_ibl_trials.choice.npy"))
    (record,) = one.alyx.rest("files", "list", django=f"dataset,{did},data_repository__globus_is_personal,False")
    one.alyx.rest(
        "files", "partial_update", id=record["url"][-len(record["id"]) :], data={"json": {"mismatch_hash": True}}
    )
    assert one.alyx.rest("files", "read", id=record["id"])["json"] == {"mismatch_hash": True}


def test_archive_is_a_zip(served, tmp_path):
    answer = served.session().get(f"{served.url}/cache.zip", timeout=30)
    (tmp_path / "cache.zip").write_bytes(answer.content)
    with zipfile.ZipFile(tmp_path / "cache.zip") as archive:
        assert set(archive.namelist()) == {"sessions.pqt", "datasets.pqt", "insertions.pqt", "cache_info.json"}


def test_wrong_password_is_an_error_at_once(served, tmp_path):
    ClientONE.cache_clear()
    with pytest.raises(requests.HTTPError, match="authentication failed"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ClientONE(base_url=served.url, username="mia", password="wrong", silent=True)
    shutil.rmtree(tmp_path / ".one", ignore_errors=True)


def test_other_programs_keep_json_with_a_dataset(one):
    """As ibllib's checks of a task do for each column of a table of trials."""
    did = str(dataset_id(FIRST, "alf/_ibl_trials.feedbackType.npy"))
    assert one.alyx.rest("datasets", "read", id=did)["json"] is None
    told = {"qc": "PASS", "extended_qc": {"_task_goCue_delays": 0.98}}
    assert one.alyx.json_field_update("datasets", did, "json", told) == told
    kept = one.alyx.json_field_update("datasets", did, "json", {"qc": "FAIL"})
    assert kept == told | {"qc": "FAIL"} == one.alyx.rest("datasets", "read", id=did)["json"]
    (result,) = one.alyx.rest("datasets", "list", django="json__extended_qc___task_goCue_delays__gt,0.9")
    assert result["url"].endswith(did)
