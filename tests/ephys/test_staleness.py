"""A file that changes, comes or goes makes the rows stale that were made from it, and `refresh` repairs no others."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from pipeline import behavior, ephys, ephys_analysis
from pipeline.electrophysiology import clusterings
from pipeline.provenance import staleness
from tests.ephys import trees
from tests.ingest.tree import ingest

pytestmark = pytest.mark.slow

SESSION = {"lab": "lab", "subject": "mouse", "session_date": "2024-05-01", "session_number": 1}
OTHER = "lab/Subjects/mouse/2024-05-02/001"
MARK = -1  # written into the rows that are there; a row that is made again has lost it
TABLES = (behavior.TrialSet, ephys.ClusterSet, ephys_analysis.UnitMetrics, ephys_analysis.DriftMap, ephys_analysis.Peth)


def compute() -> None:
    for table in TABLES:
        table.populate()


def mark() -> None:
    """Write the mark into all rows of UnitMetrics and Peth."""
    for table, name in ((ephys_analysis.UnitMetrics, "metrics_duration"), (ephys_analysis.Peth, "n_responsive")):
        for key in table.proj().to_dicts():
            table.update1(key | {name: MARK})


def made_again() -> tuple[set, set]:
    """Clusterings of which the metrics, and of which PETHs, were made since `mark`, with the day of the session."""
    return tuple(
        {(row["session_date"].day, row["clustering"]) for row in (table & f"{name} <> {MARK}").to_dicts()}
        for table, name in ((ephys_analysis.UnitMetrics, "metrics_duration"), (ephys_analysis.Peth, "n_responsive"))
    )


def repaired(root) -> tuple[dict, tuple[set, set]]:
    """What is stale after the files were registered, and what has been made again after `refresh`."""
    ingest(root)
    stale = {
        label: {(key["session_date"].day, key.get("clustering")) for key in keys}
        for label, keys in staleness.find().keys.items()
    }
    staleness.refresh()
    compute()
    assert not staleness.find().n_rows
    again = made_again()
    mark()
    return stale, again


@pytest.fixture
def root(database, tmp_path):
    """Two sessions with trials; the first has two probes, of which one is sorted twice."""
    trees.write(tmp_path, trees.sorting())
    trees.write(tmp_path, trees.sorting(1), "alf/probe00/pykilosort")
    bare = {name: values for name, values in trees.sorting(2).items() if name != "spikes.depths"}
    trees.write(tmp_path, bare, "alf/probe01")
    trees.write(tmp_path, trees.sorting(3), session=OTHER)
    for session in (trees.SESSION, OTHER):
        trees.trials(tmp_path, session)
    ingest(tmp_path)
    compute()
    mark()
    return tmp_path


def test_only_what_changed_is_made_again(root):
    """Replaced, added and removed files; trials; a revision, a curation and a sorter that come and go."""
    probe00, sorter, probe01 = (1, "probe00"), (1, "probe00/pykilosort"), (1, "probe01")
    assert repaired(root) == ({}, (set(), set()))
    pid = (ephys.ProbeInsertion & SESSION & {"probe_label": "probe00"}).fetch1("pid")

    first = ephys.spikes(pid, clusters=4).times
    trees.write(root, {"spikes.clusters": trees.sorting(1)["spikes.clusters"][::-1]}, "alf/probe00/pykilosort")
    assert repaired(root) == ({"ephys.ClusterSet": {sorter}}, ({sorter}, {sorter}))
    assert not np.array_equal(ephys.spikes(pid, clusters=4).times, first), "the grouped copy is a new one, too"

    trees.write(root, {"spikes.depths": trees.sorting(2)["spikes.depths"]}, "alf/probe01")
    assert ephys_analysis.DriftMap.to_arrays("drift_missing").tolist().count("there is no spikes.depths") == 1
    assert repaired(root) == ({"ephys.ClusterSet": {probe01}}, ({probe01}, {probe01}))
    assert not any(ephys_analysis.DriftMap.to_arrays("drift_missing")), "depths have come"

    (root / trees.SESSION / "alf/probe00/clusters.depths.npy").unlink()
    assert repaired(root)[0] == {"ephys.ClusterSet": {probe00}}

    trees.trials(root, feedback_times=5.5 + np.arange(40.0))
    stale, (metrics, peths) = repaired(root)
    assert stale == {"behavior.TrialSet": {(1, None)}}
    assert metrics == set() and peths == {probe00, sorter, probe01}, "the other session's PETHs stay"

    revision, curation = "probe00/pykilosort/#2025-01-01#", "probe00/pykilosort/curated"
    trees.write(root, {"spikes.times": trees.sorting(1)["spikes.times"] + 0.5}, f"alf/{revision}")
    trees.write(root, trees.sorting(4), f"alf/{curation}")
    new = {(1, revision), (1, curation)}
    assert repaired(root) == ({}, (new, new)), "what is new makes nothing stale"
    assert clusterings.find(pid)["clustering"] == revision
    later = trees.sorting(1)["spikes.times"][0] + 0.5
    assert ephys.spikes(pid).times[0] == later and ephys.spikes(pid, clustering="probe00").times[0] != later
    clusterings.choose(pid, curation)
    assert clusterings.find(pid)["clustering"] == curation and not staleness.find().n_rows, "a choice computes nothing"

    shutil.rmtree(root / trees.SESSION / "alf/probe00/pykilosort")
    stale, again = repaired(root)
    assert stale == {"ephys.ClusterSet": {sorter, *new}} and again == (set(), set())
    assert sorted(ephys.ClusterSet.to_arrays("clustering")) == ["probe00", "probe00", "probe01"]
    assert clusterings.find(pid)["clustering"] == "probe00", "the default is what is left"
