"""The class answers as the client's own class does on the exported tables, for any tree, and repairs its defects."""

from __future__ import annotations

import logging
import uuid
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from one.alf.exceptions import ALFMultipleObjectsFound, ALFObjectNotFound
from one.api import One

from one_bridge import ONE, cache, dataset_admin, file_locations
from pipeline.errors import InvalidData, NeurojointError
from pipeline.schemas import acquisition, data
from tests.conftest import empty_tables
from tests.one_bridge.drawn import equal, outcome, trees
from tests.one_bridge.trees import File, Session, build, dataset_id, locate, over_sessions

pytestmark = pytest.mark.slow

SEARCHES = (
    {}, {"subject": "KS014"}, {"subject": "^KS014$"}, {"subj": ["KS0145", "Mouse"]}, {"subject": "ks.014"},
    {"lab": "lab"}, {"laboratory": "simlab"}, {"date": "2020-01-01"}, {"date_range": ["2020-01-01", None]},
    {"date_range": [None, "2019-12-31"]}, {"date_range": ["2019-01-01", "2020-01-01 12:00"]}, {"number": 2},
    {"number": ["1", 3]}, {"task": "training"}, {"task_protocol": ["ephys", "^$"]}, {"projects": "ibl"},
    {"project": ["x.y", "main$"]}, {"projects": "brainwide,ibl_main"}, {"subject": "KS", "number": 1},
    {"datasets": "spikes.times.npy"}, {"datasets": ["spikes.times.npy", "spikes.clusters.npy"]},
    {"datasets": "spikes.times"}, {"datasets": "spikes.*", "dataset_qc_lte": "PASS"}, {"nonsense": 1}, {"d": 1},
    {"number": "x"}, {"date": "yesterday or so"}, {"datasets": "x.y.z", "subject": "KS"},
)  # fmt: skip
LISTINGS = (
    {}, {"filename": "*trials*"}, {"filename": {"object": "spikes"}}, {"filename": ["spikes.times.npy", "*choice*"]},
    {"collection": "alf"}, {"collection": "alf*"}, {"collection": ""}, {"revision": "2020*"}, {"qc": "PASS"},
    {"qc": "CRITICAL", "ignore_qc_not_set": True}, {"default_revisions_only": True},
    {"filename": {"object": "trials", "namespace": "ibl"}},
)  # fmt: skip
LOADS = (
    ("load_object", "trials", {}), ("load_object", "spikes", {"collection": "alf/probe00"}),
    ("load_object", "spikes", {"attribute": "times"}), ("load_object", "trials", {"revision": "2020-06-01"}),
    ("load_object", "my_obj", {}), ("load_object", "trials", {"namespace": "ibl"}),
    ("load_dataset", "spikes.times.npy", {}), ("load_dataset", "spikes.times", {"collection": "alf"}),
    ("load_dataset", "_ibl_trials.choice.npy", {"revision": "2021-01-01"}),
    ("load_dataset", "alf/#2020-01-01#/spikes.times.npy", {}), ("load_dataset", {"object": "my_obj"}, {}),
    ("load_datasets", ["spikes.times.npy", "spikes.clusters.npy"], {"assert_present": False}),
    ("load_datasets", ["trials.choice.npy"], {}), ("load_collection", "alf", {}),
    ("load_collection", "alf*", {"object": "spikes"}),
)  # fmt: skip


def check(database, folder: Path, tree: list[Session], random, n_calls: int) -> None:
    """Build the tree and compare the answers to some of all calls."""
    empty_tables(database)
    build(folder, tree)
    cache.export(folder)
    ours, theirs = ONE(), One(folder)
    if theirs._cache["datasets"].empty:  # a parquet file without rows cannot hold the categories of QC
        theirs._cache["datasets"] = ours._cache["datasets"]
    possible = calls(folder, tree)
    for method, args, options in random.sample(possible, min(n_calls, len(possible))):
        same(ours, theirs, method, *args, **options)


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(tree=trees(), random=st.randoms(use_true_random=False))
def test_any_tree_gives_the_answers_of_the_clients_class(database, tmp_path_factory, tree, random):
    check(database, tmp_path_factory.mktemp("tree"), tree, random, 60)


@pytest.mark.soak
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(tree=trees(), random=st.randoms(use_true_random=False))
def test_any_tree_gives_the_answers_of_the_clients_class_at_length(database, tmp_path_factory, tree, random):
    check(database, tmp_path_factory.mktemp("tree"), tree, random, 200)


def calls(root: Path, tree: list[Session]) -> list[tuple[str, tuple, dict]]:
    """Everything that is compared."""
    collected: list[tuple[str, tuple, dict]] = [("list_subjects", (), {})]
    mixed = any(len({"/" in file.rel_path for file in item.files}) > 1 for item in tree)
    for terms in SEARCHES:
        if "datasets" in terms and mixed:
            continue  # the client overlooks files in the session folder itself when there are others below
        collected += [("search", (), terms), ("search", (), {"details": True} | terms)]
    for eid in [None, *(item.eid for item in tree), uuid.UUID(int=0, version=4)]:
        for filters in LISTINGS:
            collected += [("list_datasets", (eid,), filters), ("list_datasets", (eid,), {"details": True} | filters)]
            if not {"qc", "default_revisions_only"} & filters.keys():
                collected += [("list_collections", (eid,), filters), ("list_revisions", (eid,), filters)]
        collected.append(("list_collections", (eid,), {"details": True}))
        collected.append(("list_datasets", (eid,), {"details": True, "keep_eid_index": True}))
        if eid is None:
            continue
        collected += [(method, (eid,), {}) for method in ("get_details", "eid2path", "eid2ref")]
        if any(item.files for item in tree):
            collected.append(("get_details", (eid,), {"full": True}))
        for method, what, options in LOADS:
            collected += [(method, (eid, what), options), (method, (eid, what), {"download_only": True} | options)]
    for item in tree:
        collected.append(("path2eid", (root / item.path,), {}))
        collected.append(("path2eid", (f"{item.subject}/{item.date}/{item.number}/alf/x.y.npy",), {}))
        collected.append(("path2record", (root / item.path,), {}))
        collected.append(("ref2eid", (f"{item.date}_{item.number}_{item.subject}",), {}))
        for file in item.files:
            collected.append(("load_dataset_from_id", (dataset_id(item, file.rel_path),), {"details": True}))
            if file.qc != "CRITICAL":
                collected.append(("path2record", (root / item.path / file.rel_path,), {}))
    return collected


def same(ours: ONE, theirs: One, method: str, *args: object, **options: object) -> None:
    """Both give equal results, or raise errors of one class."""
    result, error = outcome(ours, method, args, options)
    expected, expected_error = outcome(theirs, method, args, options)
    call = f"{method}{args}{options}: {error!r} instead of {expected_error!r}, {result!r} instead of {expected!r}"
    if expected_error is not None:
        kind = ValueError if isinstance(expected_error, ValueError) else type(expected_error)
        assert isinstance(error, kind), call
        return
    assert error is None, call
    assert equal(result, expected), call


# --- what the client's class does otherwise, or not at all


def trials(n: int = 5, **options: object) -> list[File]:
    return [
        File("alf/_ibl_trials.choice.npy", np.ones(n), **options),
        File("alf/_ibl_trials.intervals.npy", np.ones((n, 2))),
    ]


def test_construction_loads_no_rows(database, tmp_path):
    build(tmp_path / "data", [Session(files=trials())])
    one = ONE()
    assert [name for name in one._cache if not name.startswith("_")] == []
    assert one.cache_dir == tmp_path / "data"


def test_an_unchanged_file_is_not_read_to_check_its_hash(database, tmp_path, monkeypatch, caplog):
    session = Session(files=trials())
    build(tmp_path / "data", [session])
    read = []
    monkeypatch.setattr(file_locations, "_md5", lambda path, *_: read.append(path) or "0" * 32)
    one = ONE()
    one.load_object(session.eid, "trials")
    assert not read
    path = tmp_path / "data" / session.path / "alf/_ibl_trials.choice.npy"
    path.touch()  # a time of change that was not registered
    with caplog.at_level(logging.WARNING):
        one.load_object(session.eid, "trials")
    assert read == [path]
    assert "local md5 mismatch" in caplog.text


def test_a_file_changed_in_place_is_found_by_its_hash_once(database, tmp_path, caplog):
    session = Session(files=trials())
    build(tmp_path / "data", [session])
    path = tmp_path / "data" / session.path / "alf/_ibl_trials.choice.npy"
    np.save(path, np.zeros(5))
    with caplog.at_level(logging.WARNING):
        ONE().load_dataset(session.eid, "_ibl_trials.choice.npy")
    assert (
        "local md5 mismatch on dataset: simlab/Subjects/KS014/2020-01-01/001/alf/_ibl_trials.choice.npy" in caplog.text
    )


@pytest.mark.parametrize(
    "how", ["load_object", "load_dataset", "load_datasets", "load_collection", "load_dataset_from_id"]
)
def test_pickles_are_refused(database, tmp_path, how):
    evil = np.array([Evil(tmp_path / "ran")], dtype=object)
    session = Session(files=[File("alf/spikes.times.npy", evil)])
    build(tmp_path / "data", [session])
    one, eid = ONE(), session.eid
    calls = {
        "load_object": lambda: one.load_object(eid, "spikes"),
        "load_dataset": lambda: one.load_dataset(eid, "spikes.times.npy"),
        "load_datasets": lambda: one.load_datasets(eid, ["spikes.times.npy"]),
        "load_collection": lambda: one.load_collection(eid, "alf"),
        "load_dataset_from_id": lambda: one.load_dataset_from_id(dataset_id(session, "alf/spikes.times.npy")),
    }
    with pytest.raises(InvalidData) as error:
        calls[how]()
    assert error.value.reason == "object_array"
    assert not (tmp_path / "ran").exists()


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_qc_alone_finds_sessions_with_any_dataset_that_good(database, tmp_path):
    good, bad = Session(files=trials(qc="PASS")[:1]), Session(number=2, files=trials(qc="FAIL")[:1])
    build(tmp_path / "data", [good, bad, Session(number=3)])
    assert ONE().search(dataset_qc_lte="PASS") == [good.eid]
    assert ONE().search(dataset_qc_lte="FAIL") == [bad.eid, good.eid]


def test_files_in_the_session_folder_itself_are_found_beside_others(database, tmp_path):
    session = Session(files=[*trials(), File("_iblrig_task.settings.raw.json", b"{}")])
    build(tmp_path / "data", [session])
    assert ONE().search(datasets="_iblrig_task.settings.raw.json") == [session.eid]


def test_a_collection_is_loaded_in_an_older_revision(database, tmp_path):
    files = [
        File("alf/spikes.times.npy", np.zeros(2), default=False),
        File("alf/#2021-01-01#/spikes.times.npy", np.ones(2)),
    ]
    session = Session(files=files)
    build(tmp_path / "data", [session])
    one = ONE()
    assert one.load_collection(session.eid, "alf").spikes.times.tolist() == [1, 1]
    assert one.load_collection(session.eid, "alf", revision="2020").spikes.times.tolist() == [0, 0]


def test_session_folders_of_one_digit_are_found(database, tmp_path):
    session = Session(folder="1", files=trials())
    build(tmp_path / "data", [session])
    one = ONE()
    path = tmp_path / "data/simlab/Subjects/KS014/2020-01-01/1"
    assert one.eid2path(session.eid) == path
    assert one.path2eid(path) == session.eid
    assert len(one.load_object(session.eid, "trials").choice) == 5


def test_lists_of_sessions_become_lists(database, tmp_path):
    sessions = [Session(number=n, files=trials()) for n in (1, 2)]
    build(tmp_path / "data", sessions)
    one, eids = ONE(), [session.eid for session in sessions]
    assert one.eid2path(eids) == [tmp_path / "data" / session.path for session in sessions]
    assert one.path2eid(one.eid2path(eids)) == eids
    assert [details["number"] for details in one.get_details(eids)] == [1, 2]
    assert one.ref2eid(one.eid2ref(eids)) == eids


def test_two_labs_with_the_same_mouse_and_day_are_told_apart_by_the_path(database, tmp_path):
    one_lab, other = Session(files=trials()), Session(lab="otherlab", files=trials())
    build(tmp_path / "data", [one_lab, other])
    assert ONE().path2eid(tmp_path / "data" / other.path) == other.eid
    with pytest.raises(ALFMultipleObjectsFound):
        ONE().path2eid("KS014/2020-01-01/001")


def test_insertions_are_searched_and_converted(database, tmp_path):
    two = Session(probes=("probe00", "probe01"), files=[File("alf/probe00/spikes.times.npy", np.ones(1))])
    later = Session(date="2021-01-01", subject="KS015", probes=("probe00",))
    build(tmp_path / "data", [two, later])
    one = ONE()
    pid = {(s.subject, label): uuid.uuid3(s.eid, label) for s in (two, later) for label in s.probes}
    assert one.search_insertions() == [pid["KS015", "probe00"], pid["KS014", "probe01"], pid["KS014", "probe00"]]
    assert one.search_insertions(name="probe01") == [pid["KS014", "probe01"]]
    assert one.search_insertions(subject="KS014", name="probe00") == [pid["KS014", "probe00"]]
    assert len(one.search_insertions(dataset="spikes.times")) == 2
    assert one.search_insertions(session=later.eid) == [pid["KS015", "probe00"]]
    pids, records = one.search_insertions(date="2021-01-01", details=True)
    assert pids == [pid["KS015", "probe00"]]
    assert records[0]["subject"] == "KS015"
    assert one.search_insertions(subject="nobody", details=True) == ([], None)
    assert one.eid2pid(two.eid) == ([pid["KS014", "probe00"], pid["KS014", "probe01"]], ["probe00", "probe01"])
    assert one.pid2eid(str(pid["KS014", "probe01"])) == (two.eid, "probe01")
    assert one.eid2pid(uuid.UUID(int=0, version=4)) == (None, None)
    assert one.pid2eid(uuid.UUID(int=0, version=4)) == (None, None)
    locate(two, "probe01", ["VPM", "CA1"])
    assert one.search_insertions(atlas_acronym="TH") == [pid["KS014", "probe01"]]
    assert one.search_insertions(atlas_acronym=["CA1", "CA3"], subject="KS015") == []
    assert one.search(atlas_name="hippocampal") == [two.eid]
    with pytest.raises(NeurojointError, match="did you mean"):
        one.search_insertions(atlas_acronym="CA11")


def test_a_tag_shows_only_what_belongs_to_it(database, tmp_path):
    sessions = [Session(number=n, files=trials(), probes=("probe00",)) for n in (1, 2)]
    build(tmp_path / "data", sessions)
    dataset_admin.define_tag("2026_release", protected=True)
    chosen = data.Dataset & {"alf_attribute": "choice", "session_number": 2}
    assert dataset_admin.tag("2026_release", chosen) == 1
    one = ONE()
    assert len(one.search()) == 2
    assert one.search(tag="release") == [sessions[1].eid]
    one.load_cache(tag="2026_release")
    assert one.search() == [sessions[1].eid]
    assert one.list_datasets(sessions[1].eid) == ["alf/_ibl_trials.choice.npy"]
    assert len(one.search_insertions()) == 1
    assert one.list_subjects() == ["KS014"]
    with pytest.raises(NeurojointError, match="2026_release"):
        one.load_cache(tag="nonsense")
    with pytest.raises(ALFObjectNotFound):
        one.load_object(sessions[0].eid, "trials")


def test_the_first_papers_calls_work(database, tmp_path):
    session = Session(files=trials())
    build(tmp_path / "data", [session])
    data.Dataset.update1(
        {"dataset_id": str(dataset_id(session, "alf/_ibl_trials.choice.npy")), "dataset_type": "trials.choice"}
    )
    one = ONE()
    assert one.search(dataset_types="trials.choice", date_range=["2020-01-01", "2020-12-31"]) == [session.eid]
    assert one.search(dataset_types=["trials.choice", "wheel.position"]) == []
    assert one.list(session.eid) == ["trials.choice", "trials.intervals"]
    assert one.list(None, "labs") == ["simlab"]
    choice, nothing = one.load(session.eid, dataset_types=["trials.choice", "wheel.position"])
    assert choice.tolist() == [1] * 5
    assert nothing is None
    assert one.type2datasets(session.eid, "trials.choice").tolist() == ["alf/_ibl_trials.choice.npy"]
    assert one.dataset2type("_ibl_trials.choice.npy") == "trials.choice"


def test_descriptions_are_printed_and_returned(database, tmp_path, capsys):
    data.Revision.insert1({"revision": "2021-01-01", "revision_description": "spikes sorted again"})
    one = ONE(tmp_path)
    assert one.describe_revision("2021-01-01", full=True) == {
        "name": "2021-01-01",
        "description": "spikes sorted again",
    }
    assert one.describe_revision("x") is None
    assert one.describe_dataset("trials.choice")["name"] == "trials.choice"
    depths = one.describe_dataset("_ibl_spikes.depths")
    assert (depths["name"], depths["shape"], depths["unit"]) == ("spikes.depths", "(n_spikes,)", "um")
    assert "depth of each spike" in depths["description"]
    assert "spikes sorted again" in (printed := capsys.readouterr().out)
    assert 'revision "x" not found' in printed
    assert {"trials.choice", "wheel.position"} <= {row["name"] for row in one.describe_dataset()}


def test_tables_and_sessions_meet(database, tmp_path):
    session, other = Session(projects=("a",), files=trials()), Session(number=2, files=trials())
    build(tmp_path / "data", [session, other])
    one = ONE()
    assert len(one.table("acquisition.SessionProject", session.eid)) == 1
    assert len(one.table("data.Dataset", tmp_path / "data" / session.path)) == 2
    assert len(one.table("data.FileRecord", session.eid)) == 2
    assert len(one.table("data.Dataset", [session.eid, other.eid])) == 4
    assert len(one.table("subject.Subject", session.eid)) == 1
    assert len(one.table("behavior.TrialSet.Trial", session.eid)) == 0
    assert len(one.table("data.Dataset")) == 4
    assert one.eids(acquisition.SessionProject()) == [session.eid]
    with pytest.raises(NeurojointError, match="behavior.TrialSet"):
        one.table("behavior.Trialset", session.eid)
    with pytest.raises(NeurojointError, match="belong to no session"):
        one.table("data.Tag", session.eid)
    with pytest.raises(ValueError, match="may not exist"):
        one.table("data.Dataset", uuid.UUID(int=0, version=4))


def test_aggregates_are_files_of_the_data_root(database, tmp_path, caplog):
    build(tmp_path / "data", [Session()])
    over_sessions(tmp_path / "data")
    one = ONE()
    newest = "aggregates/Subjects/simlab/KS014/#2022-01-01#/_ibl_subjectTraining.table.pqt"
    assert one.list_aggregates("SUBJECTS", "KS014")["rel_path"].tolist() == [newest]
    assert one.load_aggregate("subjects", "KS014", "_ibl_subjectTraining.table")["day"].tolist() == [12]
    assert one.load_aggregate("subjects", "KS014", "_ibl_subjectTraining.table", "2021")["day"].tolist() == [0]
    for identifier in ("KS099", "simlab/KS014$x"):
        with pytest.raises(ALFObjectNotFound):
            one.load_aggregate("subjects", identifier, "_ibl_subjectTraining.table")
    (tmp_path / "data" / newest).write_bytes(b"other")
    with caplog.at_level(logging.WARNING):
        one.load_aggregate("subjects", "KS014", download_only=True)
    assert f"local file size mismatch on dataset: {newest}" in caplog.text
    (tmp_path / "data" / newest).unlink()
    with pytest.raises(ALFObjectNotFound, match="on disk"):
        one.load_aggregate("subjects", "KS014")


def test_what_was_loaded_is_recorded(database, tmp_path, monkeypatch):
    session = Session(files=trials())
    build(tmp_path / "data", [session])
    monkeypatch.chdir(tmp_path)
    one = ONE()
    one.record_loaded = True
    one.load_object(session.eid, "trials")
    ids, file = one.save_loaded_ids(sessions_only=True, clear_list=False)
    assert ids.tolist() == [session.eid]
    assert len(one.save_loaded_ids()[0]) == 2
    assert file.read_text().splitlines() == ["session_uuid", str(session.eid)]


def test_a_mirror_of_the_repositories_is_looked_in_first(database, tmp_path):
    session = Session(files=trials())
    build(tmp_path / "data", [session])
    (tmp_path / "data").rename(tmp_path / "mounted")
    assert ONE(tmp_path / "mounted").load_object(session.eid, "trials").choice.tolist() == [1] * 5
    with pytest.raises(ALFObjectNotFound):
        ONE().load_object(session.eid, "trials")
