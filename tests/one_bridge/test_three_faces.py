"""One tree, three faces: the class on the tables, the unmodified client over HTTP, and the client on the cache tables
give the same answers."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from one.api import ONE as ClientONE
from one.api import One

from one_bridge import ONE, cache, client_config
from tests.conftest import empty_tables
from tests.one_bridge.drawn import equal, outcome, trees
from tests.one_bridge.serving import PASSWORD
from tests.one_bridge.trees import Session, build, locate

pytestmark = pytest.mark.slow

SEARCHES: tuple[tuple[dict, dict], ...] = (
    ({}, {}), ({"subject": "^KS014$"}, {"subject": "KS014"}), ({"subject": r"^ks\.014-b$"}, {"subject": "ks.014-b"}),
    ({"subject": ["^KS0145$", "^Mouse_7$"]}, {"subject": ["KS0145", "Mouse_7"]}),
    ({"lab": "^simlab$"}, {"lab": "simlab"}),
    ({"date_range": ["2019-12-31", "2020-01-01"]},) * 2, ({"number": 2},) * 2, ({"number": [1, 3]},) * 2,
    ({"task_protocol": "training"},) * 2, ({"task_protocol": ["ephys", "6.4.2"]},) * 2, ({"projects": "ibl"},) * 2,
    ({"projects": ["x.y", "brainwide"]},) * 2, ({"datasets": "spikes.times.npy"},) * 2,
    ({"datasets": ["spikes.times.npy", "spikes.clusters.npy"]},) * 2,
    ({"datasets": "_ibl_trials.choice.npy", "dataset_qc_lte": "PASS"},) * 2,
    ({"lab": "^other_lab$", "number": 1},  {"lab": "other_lab", "number": 1}),
)  # fmt: skip
"""The same question as text is read in Python (regular expressions, case counts) and over HTTP (whole names)."""
INSERTIONS = (
    {}, {"name": "probe01"}, {"number": 1}, {"lab": "simlab", "name": "probe00"}, {"dataset": "spikes"},
    {"datasets": "spikes.times.npy"}, {"atlas_acronym": "TH"}, {"atlas_acronym": ["CA1", "PO"]}, {"atlas_id": 549},
    {"atlas_name": "hippocampal region"}, {"task_protocol": "training"},
)  # fmt: skip
OF_SESSION = (
    ("list_datasets", {}), ("list_datasets", {"filename": "*trials*"}), ("list_datasets", {"collection": "alf"}),
    ("list_datasets", {"revision": "2020*"}), ("list_datasets", {"qc": "PASS"}), ("list_collections", {}),
    ("list_collections", {"filename": "*spikes*"}), ("list_revisions", {}), ("eid2ref", {}), ("eid2pid", {}),
)  # fmt: skip
LOADS = (
    ("load_object", "trials", {}), ("load_object", "spikes", {"collection": "alf/probe00"}),
    ("load_object", "trials", {"collection": "alf", "revision": "2020-06-01"}), ("load_object", "my_obj", {}),
    ("load_dataset", "spikes.times.npy", {}), ("load_dataset", "_ibl_trials.choice.npy", {"revision": "2021-01-01"}),
    ("load_collection", "alf", {}),
)  # fmt: skip
QUICK = settings(
    deadline=None, database=None, phases=[Phase.generate], report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
"""Shrinking a tree takes minutes; the failure says which call differs."""
REGIONS = st.lists(st.sampled_from(["VPM", "PO", "CA1", "DG", None]), min_size=1, max_size=3)


class Faces:
    """The class, the client over HTTP and the client on cache tables, each asked in its own words."""

    def __init__(self, serve, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        served = serve(folder / "data", folder)
        cache.export(folder / "data")
        monkeypatch.setenv("HOME", str(folder))
        client_config.configure(served.url, "mia", served.token("mia"), folder / "downloads")
        ClientONE.cache_clear()
        self.ours, self.local = ONE(), One(folder / "data")
        self.remote = ClientONE(base_url=served.url, username="mia", password=PASSWORD, silent=True)
        self.remote.alyx.cache_mode = ""

    def searches(self, mixed: bool) -> None:
        """`mixed`: files in a session folder beside others below, which the client on its tables overlooks."""
        for ours, http in SEARCHES:
            pids = self.ours.search(**ours)
            assert list(self.remote.search(**http)) == pids, http
            if not (mixed and "datasets" in ours):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    assert list(self.local.search(**ours)) == pids, ours
        for terms in INSERTIONS:
            pids = self.ours.search_insertions(**terms)
            assert sorted(map(str, self.remote.search_insertions(**terms))) == sorted(map(str, pids)), terms

    def session(self, one: Session) -> None:
        for method, options in OF_SESSION:
            result, error = outcome(self.ours, method, (one.eid,), options)
            remote, remote_error = outcome(self.remote, method, (one.eid,), options)
            assert type(error) is type(remote_error), (method, options, error, remote_error)
            assert _plain(result) == _plain(remote), (method, options)
        path = self.ours.eid2path(one.eid)
        assert self.remote.eid2path(one.eid).as_posix().endswith(one.path) and path.as_posix().endswith(one.path)
        assert self.remote.path2eid(path) == self.ours.path2eid(path) == self.local.path2eid(path) == one.eid
        details, remote = dict(self.ours.get_details(one.eid)), self.remote.get_details(one.eid)
        for name in ("lab", "subject", "number", "task_protocol", "projects"):
            assert remote[name] == details[name], name
        self._datasets(one)
        for method, what, options in LOADS:
            result, error = outcome(self.ours, method, (one.eid, what), options)
            remote, remote_error = outcome(self.remote, method, (one.eid, what), options)
            assert type(error) is type(remote_error), (method, what, options, error, remote_error)
            assert error or equal(remote, result), (method, what, options)

    def _datasets(self, one: Session) -> None:
        datasets = self.ours.list_datasets(one.eid, details=True, qc="CRITICAL")
        remote = self.remote.list_datasets(one.eid, details=True, qc="CRITICAL")
        local = self.local.list_datasets(one.eid, details=True, qc="CRITICAL")
        columns = ["rel_path", "file_size", "exists", "qc", "default_revision"]
        assert len(datasets) == len(remote) == len(local) == len(one.files)
        if one.files:
            pd.testing.assert_frame_equal(remote.sort_index()[columns], datasets[columns], check_dtype=False)
            pd.testing.assert_frame_equal(local[columns], datasets[columns])
            assert remote.sort_index()["hash"].fillna("").tolist() == datasets["hash"].fillna("").tolist()


def check(database, serve, folder: Path, tree: list[Session], regions: list) -> None:
    for one in tree:  # what is registered but not there is in no record over HTTP, as in Alyx
        one.files = [file for file in one.files if file.content is not None]
    empty_tables(database)
    build(folder / "data", tree)
    for one, acronyms in zip([item for item in tree if item.probes], regions, strict=False):
        locate(one, one.probes[0], acronyms)
    with pytest.MonkeyPatch.context() as monkeypatch:
        faces = Faces(serve, folder, monkeypatch)
        faces.searches(any(len({"/" in file.rel_path for file in item.files}) > 1 for item in tree))
        for item in tree[:2]:
            faces.session(item)


@settings(QUICK, max_examples=5)
@given(tree=trees(), regions=st.lists(REGIONS, max_size=3))
def test_any_tree_looks_the_same_from_all_sides(database, serve, tmp_path_factory, tree, regions):
    check(database, serve, tmp_path_factory.mktemp("tree"), tree, regions)


@pytest.mark.soak
@settings(QUICK, max_examples=12)
@given(tree=trees(), regions=st.lists(REGIONS, max_size=3))
def test_any_tree_looks_the_same_from_all_sides_at_length(database, serve, tmp_path_factory, tree, regions):
    check(database, serve, tmp_path_factory.mktemp("tree"), tree, regions)


def _plain(result: object) -> object:
    """Lists in lists, whatever kinds of sequences the faces give; an empty table is an empty list."""
    if isinstance(result, pd.DataFrame) and result.empty:
        return []
    if isinstance(result, str | dict) or not hasattr(result, "__iter__"):
        return result if isinstance(result, dict) or result is None else str(result)
    return sorted(map(str, map(_plain, result)))
