"""The class answers as the client's own class does on the exported tables, for any tree, and repairs its defects."""

from __future__ import annotations

import uuid
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from one.api import One

from one_bridge import ONE, cache
from tests.conftest import _empty
from tests.one_bridge.trees import File, Session, build, dataset_id

NAMES = (
    "_ibl_trials.choice.npy", "trials.choice.npy", "_ibl_trials.intervals.npy", "spikes.times.npy",
    "spikes.clusters.npy", "_ibl_wheel.timestamps.npy", "_ibl_trials.goCue_times_bpod.npy", "my_obj.attr.raw.json",
    "channels.brainLocationIds_ccf_2017.npy",
)  # fmt: skip
COLLECTIONS = ("", "alf", "alf/probe00", "raw_behavior_data", "alf/probe.01")
REVISIONS = ("", "2020-01-01", "2021-06-06a", "test")
QC = ("NOT_SET", "PASS", "WARNING", "FAIL", "CRITICAL")


@st.composite
def files(draw: st.DrawFn) -> list[File]:
    found = {}
    for _ in range(draw(st.integers(0, 6))):
        folder, name = draw(st.sampled_from(COLLECTIONS)), draw(st.sampled_from(NAMES))
        revision = draw(st.sampled_from(REVISIONS))
        path = "/".join(filter(None, (folder, f"#{revision}#" if revision else "", name)))
        content = np.arange(draw(st.integers(1, 3)), dtype=float) if name.endswith("npy") else b'{"a": 1}'
        found[path] = File(
            path,
            draw(st.sampled_from((content, content, content, None))),
            draw(st.sampled_from(QC)),
            draw(st.booleans()),
            draw(st.sampled_from((True, True, False))),
        )
    return list(found.values())


@st.composite
def trees(draw: st.DrawFn) -> list[Session]:
    found = {}
    for _ in range(draw(st.integers(1, 5))):
        one = Session(
            draw(st.sampled_from(("simlab", "other_lab"))),
            draw(st.sampled_from(("KS014", "ks.014-b", "KS0145", "Mouse_7"))),
            draw(st.sampled_from(("2019-12-31", "2020-01-01", "2020-02-29"))),
            draw(st.integers(1, 3)),
            draw(st.sampled_from(("", "_iblrig_tasks_training6.4.2", "ephysChoiceWorld"))),
            tuple(draw(st.sets(st.sampled_from(("ibl_main", "brainwide", "x.y"))))),
            draw(files()),
        )
        found[one.subject, one.date, one.number] = one
    return list(found.values())


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
    _empty(database)
    build(folder, tree)
    cache.export(folder)
    ours, theirs = ONE(), One(folder)
    if theirs._cache["datasets"].empty:  # a parquet file without rows cannot hold the categories of QC
        theirs._cache["datasets"] = ours._cache["datasets"]
    possible = calls(folder, tree)
    for method, args, options in random.sample(possible, min(n_calls, len(possible))):
        same(ours, theirs, method, *args, **options)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(tree=trees(), random=st.randoms(use_true_random=False))
def test_any_tree_gives_the_answers_of_the_clients_class(database, tmp_path_factory, tree, random):
    check(database, tmp_path_factory.mktemp("tree"), tree, random, 60)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(tree=trees(), random=st.randoms(use_true_random=False))
def test_any_tree_gives_the_answers_of_the_clients_class_at_length(database, tmp_path_factory, tree, random):
    check(database, tmp_path_factory.mktemp("tree"), tree, random, 200)


def calls(root: Path, tree: list[Session]) -> list[tuple[str, tuple, dict]]:
    """Everything that is compared."""
    found: list[tuple[str, tuple, dict]] = [("list_subjects", (), {})]
    mixed = any(len({"/" in file.rel_path for file in one.files}) > 1 for one in tree)
    for terms in SEARCHES:
        if "datasets" in terms and mixed:
            continue  # the client overlooks files in the session folder itself when there are others below
        found += [("search", (), terms), ("search", (), {"details": True} | terms)]
    for eid in [None, *(one.eid for one in tree), uuid.UUID(int=0, version=4)]:
        for filters in LISTINGS:
            found += [("list_datasets", (eid,), filters), ("list_datasets", (eid,), {"details": True} | filters)]
            if not {"qc", "default_revisions_only"} & filters.keys():
                found += [("list_collections", (eid,), filters), ("list_revisions", (eid,), filters)]
        found.append(("list_collections", (eid,), {"details": True}))
        found.append(("list_datasets", (eid,), {"details": True, "keep_eid_index": True}))
        if eid is None:
            continue
        found += [(method, (eid,), {}) for method in ("get_details", "eid2path", "eid2ref")]
        if any(one.files for one in tree):
            found.append(("get_details", (eid,), {"full": True}))
        for method, what, options in LOADS:
            found += [(method, (eid, what), options), (method, (eid, what), {"download_only": True} | options)]
    for one in tree:
        found.append(("path2eid", (root / one.path,), {}))
        found.append(("path2eid", (f"{one.subject}/{one.date}/{one.number}/alf/x.y.npy",), {}))
        found.append(("path2record", (root / one.path,), {}))
        found.append(("ref2eid", (f"{one.date}_{one.number}_{one.subject}",), {}))
        for file in one.files:
            found.append(("load_dataset_from_id", (dataset_id(one, file.rel_path),), {"details": True}))
            if file.qc != "CRITICAL":
                found.append(("path2record", (root / one.path / file.rel_path,), {}))
    return found


def same(ours: ONE, theirs: One, method: str, *args: object, **options: object) -> None:
    """Both give equal results, or raise errors of one class."""
    found, error = outcome(ours, method, args, options)
    expected, expected_error = outcome(theirs, method, args, options)
    call = f"{method}{args}{options}: {error!r} instead of {expected_error!r}, {found!r} instead of {expected!r}"
    if expected_error is not None:
        kind = ValueError if isinstance(expected_error, ValueError) else type(expected_error)
        assert isinstance(error, kind), call
        return
    assert error is None, call
    assert equal(found, expected), call


def outcome(one: One, method: str, args: tuple, options: dict) -> tuple[object, Exception | None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return getattr(one, method)(*args, **options), None
        except Exception as error:
            return None, error


def equal(a: object, b: object) -> bool:
    if isinstance(b, pd.DataFrame | pd.Series):
        check = pd.testing.assert_frame_equal if isinstance(b, pd.DataFrame) else pd.testing.assert_series_equal
        if len(b) or isinstance(b, pd.Series):
            check(a, b)
            return True
        return isinstance(a, pd.DataFrame) and a.empty and list(a.columns) == list(b.columns)
    if isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in b)
    if isinstance(b, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    if isinstance(b, float) and b != b:
        return a != a
    return a == b and isinstance(a, type(b))
