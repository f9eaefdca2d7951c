"""Protects the registration over HTTP: it knows its session, writes all or nothing, and takes what rigs send."""

from __future__ import annotations

import datetime
import hashlib

import numpy as np
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest import register
from one_bridge import query
from pipeline.database.bulk import insert_many
from pipeline.schemas import acquisition, data, lab, subject
from tests.ingest.tree import rows
from tests.one_bridge.serving import Served

pytestmark = pytest.mark.slow

DAY = "2024-12-10"
FOLDER = f"S/{DAY}/001"


@pytest.fixture
def rig(serve, tmp_path) -> tuple[Served, requests.Session]:
    """A server on a root named demo, with the lab simlab, the subject S and one session without files."""
    insert_many(lab.Lab, {"lab": ["simlab"]})
    insert_many(subject.Subject, {"lab": ["simlab"], "subject": "S", "subject_uuid": SUBJECT})
    (tmp_path / "demo" / "simlab" / "Subjects").mkdir(parents=True)
    served = serve(tmp_path / "demo")
    http = served.session()
    body = {"subject": "S", "lab": "simlab", "start_time": f"{DAY}T10:00:00", "number": 1}
    assert http.post(f"{served.url}/sessions", json=body, timeout=30).status_code == 201
    return served, http


SUBJECT = "7b4ab8f0-5b0c-4d0e-8d8d-111111111111"


def put(served: Served, path: str, values: np.ndarray | None = None) -> None:
    file = served.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, np.arange(5.0) if values is None else values)


def post(served: Served, http: requests.Session, **body) -> requests.Response:
    return http.post(f"{served.url}/register-file", json=body, timeout=60)


def named() -> dict[str, list[tuple]]:
    """The labs, subjects and sessions there are."""
    return {
        "labs": rows(lab.Lab, "lab"),
        "subjects": rows(subject.Subject, "lab", "subject"),
        "sessions": rows(acquisition.Session, "lab", "subject", "session_date", "session_number", "eid"),
    }


def tables() -> dict[str, list[tuple]]:
    """What a registration writes; runs are not compared."""
    return named() | {
        "datasets": rows(data.Dataset, "lab", "subject", "rel_path", "dataset_hash", "dataset_online"),
        "records": rows(data.FileRecord, "dataset_id", "file_path", "file_state"),
        "scans": rows(data.SessionScan, "lab", "subject", "scan_signature"),
        "quarantine": rows(data.Quarantine, "quarantine_path", "reason"),
    }


@pytest.mark.parametrize("below", ["simlab/Subjects/", "Subjects/", ""])
def test_files_belong_to_the_session_that_the_request_names(rig, below):
    served, http = rig
    before = named()
    put(served, f"{below}{FOLDER}/alf/spikes.times.npy")
    answer = post(served, http, path=FOLDER, filenames=["alf/spikes.times.npy"])
    assert answer.status_code == 201, answer.text
    assert named() == before
    assert data.Dataset.fetch1("lab", "rel_path") == ("simlab", "alf/spikes.times.npy")
    # where it was registered, it stays: the walk over the root finds it there
    summary = register(served.root, lab="simlab", processes=1)
    assert (summary.sessions, summary.sessions_new, summary.sessions_vanished, summary.files_missing) == (1, 0, 0, 0)
    assert named() == before and data.FileRecord.fetch1("file_state") == "online"
    assert not data.Quarantine & "reason <> 'no_probe'"


def test_a_refused_file_leaves_no_trace(rig):
    served, http = rig
    put(served, f"Subjects/{FOLDER}/alf/spikes.times.npy")
    (served.root / "Subjects" / FOLDER / "alf" / "spikes.clusters.npy").write_bytes(b"no array")
    before = tables()
    answer = post(served, http, path=FOLDER, filenames=["alf/spikes.times.npy", "alf/spikes.clusters.npy"])
    assert answer.status_code == 400 and "spikes.clusters.npy" in answer.text and "Remedy" in answer.text
    assert tables() == before and not data.IngestRun()
    assert post(served, http, path=FOLDER, filenames=["alf/spikes.times.npy"]).status_code == 201


@pytest.mark.parametrize(
    ("path", "filename"),
    [
        (f"{FOLDER}/alf", "spikes.times.npy"),
        (FOLDER.replace("/", "\\"), "alf\\spikes.times.npy"),
        (f"simlab/Subjects/{FOLDER}", "alf/spikes.times.npy"),
        (f"/{FOLDER}/", "alf/spikes.times.npy"),
        (f"S/{DAY}/1", "alf/spikes.times.npy"),
    ],
)
def test_paths_as_rigs_write_them(rig, path, filename):
    served, http = rig
    put(served, f"simlab/Subjects/{FOLDER}/alf/spikes.times.npy")
    answer = post(served, http, path=path, filenames=[filename])
    assert answer.status_code == 201, answer.text
    assert data.Dataset.fetch1("rel_path") == "alf/spikes.times.npy"


def test_a_stray_empty_folder_changes_nothing(rig):
    served, http = rig
    (served.root / "Subjects").mkdir()
    put(served, f"simlab/Subjects/{FOLDER}/alf/licks.times.npy", np.arange(50.0))
    assert post(served, http, path=FOLDER, filenames=["alf/licks.times.npy"]).status_code == 201
    summary = register(served.root, processes=1, dry_run=True)
    assert (summary.subjects, summary.withheld, summary.sessions_vanished) == (1, 0, 0)


def test_files_that_come_later_are_announced(rig):
    served, http = rig
    content = np.arange(7.0)
    path = f"simlab/Subjects/{FOLDER}/alf/spikes.times.npy"
    put(served, path, content)
    file = (served.root / path).read_bytes()
    (served.root / path).unlink()
    told = {"hashes": [hashlib.md5(file, usedforsecurity=False).hexdigest()], "filesizes": [len(file)]}
    body = {"path": FOLDER, "filenames": ["alf/spikes.times.npy"], "exists": False} | told
    (record,) = post(served, http, **body).json()
    assert record["file_size"] == len(file) and not record["file_records"] and record["default"]
    assert not data.Dataset.fetch1("dataset_online")
    assert post(served, http, **body).json()[0]["id"] == record["id"]  # said twice, entered once
    put(served, path, content)
    (there,) = post(served, http, path=FOLDER, filenames=["alf/spikes.times.npy"], **told).json()
    assert there["id"] == record["id"] and there["file_records"][0]["exists"]


@pytest.mark.parametrize(
    "told",
    [
        {"filesizes": [-4]},
        {"filesizes": [1 << 62]},
        {"filesizes": ["4 kB"]},
        {"hashes": ["x" * 32]},
        {"hashes": "12ab"},
    ],
)
def test_sizes_and_hashes_that_no_file_has_are_refused(rig, told):
    served, http = rig
    before = tables()
    body = {"path": FOLDER, "filenames": ["alf/spikes.times.npy"], "exists": False} | told
    assert post(served, http, **body).status_code == 400
    assert tables() == before


def test_a_size_that_no_file_has_does_not_keep_others_from_the_cache_tables(rig):
    """As it may stand in a database to which somebody has written before the server checked it."""
    served, http = rig
    post(served, http, path=FOLDER, filenames=["alf/spikes.times.npy"], exists=False)
    data.Dataset.update1(data.Dataset.fetch1("KEY") | {"file_size": -4})
    assert query.dataset_rows()["file_size"].to_pylist() == [0]
    assert http.get(f"{served.url}/cache/info", timeout=60).status_code == 200


def test_a_session_has_one_folder_in_a_repository(rig):
    """Another folder of the same session does not make the files of the first one missing."""
    served, http = rig
    put(served, f"simlab/Subjects/{FOLDER}/alf/spikes.times.npy")
    assert post(served, http, path=FOLDER, filenames=["alf/spikes.times.npy"]).status_code == 201
    put(served, f"{FOLDER}/alf/spikes.clusters.npy")
    before = tables()
    answer = post(served, http, path=FOLDER, filenames=["alf/spikes.clusters.npy"])
    assert answer.status_code == 400 and f"simlab/Subjects/{FOLDER}" in answer.text
    assert tables() == before


def test_a_folder_without_lab_is_of_one_session(rig):
    served, http = rig
    insert_many(lab.Lab, {"lab": ["other"]})
    other = {"lab": ["other"], "subject": "S", "subject_uuid": SUBJECT.replace("1" * 12, "2" * 12)}
    insert_many(subject.Subject, other)
    body = {"subject": other["subject_uuid"], "lab": "other", "start_time": f"{DAY}T10:00:00", "number": 1}
    day = {"lab": "other", "subject": "S", "session_date": datetime.date.fromisoformat(DAY), "session_number": 1}
    acquisition.Session.insert1(day | {"eid": body["subject"]})
    put(served, f"{FOLDER}/alf/spikes.times.npy")
    files = {"path": FOLDER, "filenames": ["alf/spikes.times.npy"]}
    assert "say which" in post(served, http, **files).text
    assert post(served, http, labs="simlab", **files).status_code == 201
    answer = post(served, http, labs="other", **files)
    assert answer.status_code == 400 and "simlab" in answer.text
    assert data.Dataset.fetch1("lab") == "simlab"


def test_the_repository_that_holds_the_files_is_found(rig, tmp_path):
    served, http = rig
    other = tmp_path / "second"
    data.Repository.insert1({"repository": "second", "repository_kind": "local", "repository_root": str(other)})
    put(served, f"simlab/Subjects/{FOLDER}/alf/spikes.times.npy")
    (other / "simlab/Subjects" / FOLDER / "alf").mkdir(parents=True)
    np.save(other / "simlab/Subjects" / FOLDER / "alf" / "spikes.depths.npy", np.arange(3.0))
    assert post(served, http, path=FOLDER, filenames=["alf/spikes.depths.npy"]).status_code == 201
    assert data.FileRecord.fetch1("repository") == "second"
    files = {"path": FOLDER, "filenames": ["alf/spikes.times.npy"]}
    assert post(served, http, name="second", **files).status_code == 400
    assert post(served, http, name="demo", **files).status_code == 201


def test_files_of_an_animal(rig):
    """ONE registers files over many sessions with the kind and the uuid of the object that they are of."""
    served, http = rig
    put(served, "aggregates/Subjects/simlab/S/trials.choice.npy")
    body = {"path": "Subjects/simlab/S", "filenames": ["trials.choice.npy"], "content_type": "subject"}
    (record,) = post(served, http, object_id=SUBJECT, **body).json()
    assert record["name"] == "trials.choice.npy" and record["session"] is None
    assert data.Aggregate.fetch1("aggregate_identifier") == "simlab/S"
    before = rows(data.Aggregate, "aggregate_id")
    assert post(served, http, object_id=SUBJECT[:-1] + "9", **body).status_code == 400
    assert post(served, http, **body | {"path": "Subjects/simlab/T"}).status_code == 400
    assert post(served, http, **body | {"path": "../Subjects/simlab/S"}).status_code == 400
    assert rows(data.Aggregate, "aggregate_id") == before
    assert not acquisition.Session() & {"subject": "T"}


def test_protection_can_be_asked_for_in_the_address(rig):
    served, http = rig
    query = {"path": FOLDER, "filenames": "alf/spikes.times.npy,alf/spikes.clusters.npy"}
    answer = http.get(f"{served.url}/check-protected", params=query, timeout=30)
    assert answer.json() == {
        "status_code": 200,
        "details": [{"alf/spikes.times.npy": []}, {"alf/spikes.clusters.npy": []}],
    }


PLACES = ("simlab/Subjects/S", "Subjects/S", "S", "other/Subjects/S", "simlab/Subjects/T", "stray", "Subjects")
NAMES = ("alf/spikes.times.npy", "alf/spikes.clusters.npy", "no alf.txt", "alf/#2027-01-01#/spikes.times.npy")


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(NAMES), st.booleans()), max_size=6),
    path=st.sampled_from((FOLDER, f"{FOLDER}/alf", f"S/{DAY}/2", f"T/{DAY}/001", f"other/Subjects/{FOLDER}", "..")),
    wanted=st.lists(st.sampled_from((*NAMES, "spikes.times.npy", "../x.y.npy")), min_size=1, max_size=3),
    more=st.sampled_from(({}, {"exists": False}, {"labs": "other"}, {"name": "demo"}, {"content_type": "subject"})),
)
def test_any_request_leaves_the_tables_as_before_or_after(rig, files, path, wanted, more):
    """Random folders and requests: no lab, subject or session appears, and a refused request writes nothing."""
    import shutil

    served, http = rig
    data.FileRecord().delete_quick()
    data.SessionScan().delete_quick()
    data.Dataset().delete_quick()
    for folder in served.root.iterdir():
        shutil.rmtree(folder)
    for place, name, is_sound in files:
        file = served.root / place / DAY / "001" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, np.arange(4.0)) if is_sound and name.endswith("npy") else file.write_bytes(b"?")
    before = tables()
    answer = post(served, http, path=path, filenames=wanted, **more)
    after = tables()
    assert answer.status_code in (201, 400, 403), answer.text
    assert {name: after[name] for name in named()} == {name: before[name] for name in named()}
    if answer.status_code == 201:
        assert len(answer.json()) == len(wanted) and after["datasets"]
    else:
        assert after == before
