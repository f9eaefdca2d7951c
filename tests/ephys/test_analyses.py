"""The tables of units and responses hold what the files say, and follow them when they change."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from pipeline import acquisition, ephys, ephys_analysis
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns
from pipeline.electrophysiology.peths import unit_peths
from pipeline.errors import NeurojointError
from tests.conftest import empty_tables
from tests.ephys import trees

pytestmark = pytest.mark.slow

KEY = {"lab": "lab", "subject": "mouse", "session_date": "2024-05-01", "session_number": 1, "probe_label": "probe00"}


def computed() -> dict[str, list]:
    """All rows of ephys and its analyses, arrays as bytes (NaN equals NaN)."""
    collected = {}
    for table in registry.populated_tables():
        if not registry.label(table).startswith(("ephys", "behavior.")):
            continue
        for part in (table, *registry.parts(table)):
            rows = part().to_dicts(order_by=part().primary_key)
            collected[registry.label(part)] = [
                {k: (v.shape, v.tobytes()) if isinstance(v, np.ndarray) else v for k, v in row.items()} for row in rows
            ]
    return collected


def test_all_tables_of_a_session(database, tmp_path):
    """Counts, rates, responses and maps are those of the generated spikes."""
    files = trees.tuned(tmp_path)
    trees.trials(tmp_path)
    trees.bring_up_to_date(tmp_path)
    times, units = files["spikes.times"], files["spikes.clusters"]
    clusters = fetch_columns(ephys.ClusterSet.Cluster, order_by="cluster_id").to_pydict()
    assert clusters["cluster_n_spikes"] == np.bincount(units).tolist()
    assert clusters["cluster_amp"] == pytest.approx([60, 80, 100, 120, 140])
    assert clusters["peak_to_trough"] == pytest.approx([0.3, 0.4, 0.5, 0.6, 0.7])
    metrics = fetch_columns(ephys_analysis.UnitMetrics.Unit, order_by="cluster_id").to_pydict()
    assert metrics["firing_rate"] == pytest.approx(np.bincount(units) / np.ptp(times), rel=1e-3)
    selected = (ephys_analysis.UnitSelection.Unit & {"unit_criteria": "basic"}).to_arrays("cluster_id")
    assert len(selected) == (ephys_analysis.UnitSelection & {"unit_criteria": "basic"}).fetch1("n_selected")

    row = (ephys_analysis.Peth & {"event": "stim_on"}).fetch1()
    assert row["n_events"] == 40 and row["peth_mean"].shape == (5, 75) and row["peth_sem"].shape == (5, 75)
    assert row["condition_names"][:2] == ["side_left", "side_right"] and row["condition_n"][:2] == [20, 20]
    after = (row["peth_times"] > 0.05) & (row["peth_times"] < 0.25)
    left, right = row["condition_mean"][:2, 2][:, after].mean(axis=1)
    assert right - left == pytest.approx(9 / 0.2, rel=0.3)
    np.testing.assert_allclose(row["population_rate"], row["peth_mean"].mean(axis=0), rtol=1e-5)
    answers = fetch_columns(ephys_analysis.Peth.Response & {"event": "stim_on"}, order_by="cluster_id").to_pydict()
    assert answers["is_responsive"] == [False, False, True, False, False]
    assert answers["side_selectivity"][2] > 0.9 and answers["side_p"][2] < 1e-4

    drift = ephys_analysis.DriftMap.fetch1()
    assert drift["drift_rates"].sum() == pytest.approx(len(times), rel=1e-3)
    acg = ephys_analysis.Autocorrelogram.fetch1()
    one = times[units == 0]
    lags = (one[:, None] - one[None, :]).ravel()
    assert acg["acg_counts"][0].sum() == ((lags > 0) & (lags < 0.05)).sum()
    depth = (ephys_analysis.DepthPeth & {"event": "stim_on"}).fetch1()
    at = np.argmin(abs(depth["depth_peth_depths"] - 600))
    assert depth["depth_peth"][at][after].mean() > 2 * depth["depth_baseline"][at]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"stimOn_times": np.full(40, np.nan)}, "no stim_on_times lies between the first and the last spike"),
        ({"stimOn_times": None}, "the trials have no stim_on_times"),
        ({"stimOn_times": np.arange(40.0) + 1000}, "no stim_on_times lies between the first and the last spike"),
        ({"contrastLeft": None, "probabilityLeft": None, "feedbackType": None},
         "no split by side; no split by feedback; no split by block"),
    ],
    ids=["all NaN", "no column", "outside the recording", "few columns"],
)  # fmt: skip
def test_sessions_that_lack_something(database, tmp_path, columns, reason):
    """No job fails; the row says what is not there, in words, or has no column for what is not known."""
    files = trees.sorting(n_units=1)
    trees.write(tmp_path, {"spikes.times": files["spikes.times"], "spikes.clusters": files["spikes.clusters"]})
    trees.trials(tmp_path, **columns)
    trees.bring_up_to_date(tmp_path)
    row = (ephys_analysis.Peth & {"event": "stim_on"}).fetch1()
    assert row["peth_missing"] == reason
    has_events = "contrastLeft" in columns
    assert row["n_events"] == (40 if has_events else 0) and (row["peth_mean"] is not None) == has_events
    if has_events:
        answer = (ephys_analysis.Peth.Response & {"event": "stim_on"}).fetch1()
        assert answer["side_p"] is None and answer["choice_p"] is not None
    if columns.get("stimOn_times", 0) is None:
        lacking = (ephys_analysis.Peth & {"event": "feedback"}).fetch1("peth_missing")
        assert lacking == "the trials have no stim_on_times: no baseline and no response"
        answer = (ephys_analysis.Peth.Response & {"event": "feedback"}).fetch1()
        assert answer["is_responsive"] is None and answer["response_rate"] is None and answer["choice_p"] is not None
    assert ephys_analysis.DriftMap.fetch1("drift_rates", "drift_missing") == (None, "there is no spikes.depths")
    assert ephys_analysis.UnitMetrics.Unit.fetch1("amp_median", "drift", "spike_width") == (None, None, None)
    assert ephys_analysis.UnitMetrics.fetch1("metrics_missing").split("; ") == [
        "there is no spikes.amps: amplitudes, cutoffs, missed_spikes and ibl_label are null",
        "there is no spikes.depths: drift and drift_ptp are null",
        "there are no clusters.waveforms and no templates.waveforms: spike_width is null",
    ]
    cluster = ephys.ClusterSet.Cluster.fetch1()
    assert [cluster[name] for name in ("cluster_channel", "cluster_depth", "cluster_amp")] == [None] * 3


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_what_is_in_quarantine_is_named_where_it_is_missed(database, server, tmp_path):
    files = trees.sorting(n_units=1)
    shapes = np.random.default_rng(0).normal(0, 1e-5, (1, 82, 4))
    shapes[0, 30, 1], shapes[0, 48, 1] = -1e-3, 1e-3  # trough and peak, 18 samples apart
    files |= {"spikes.depths": files["spikes.depths"][:-1], "spikes.amps": files["spikes.amps"] * 1e6}
    files |= {"clusters.waveforms": shapes, "spikes.samples": np.round(files["spikes.times"] * 20_000).astype(int)}
    trees.write(tmp_path, files)
    trees.trials(tmp_path)
    trees.bring_up_to_date(tmp_path)
    missing = ephys_analysis.UnitMetrics.fetch1("metrics_missing")
    assert "spikes.amps is in quarantine (value_range)" in missing and "waveforms" not in missing
    assert ephys_analysis.DriftMap.fetch1("drift_missing") == "spikes.depths is in quarantine (unequal_length)"
    depth = (ephys_analysis.DepthPeth & {"event": "stim_on"}).fetch1()
    assert (
        depth["depth_peth"] is None and depth["depth_peth_missing"] == "spikes.depths is in quarantine (unequal_length)"
    )
    width = ephys_analysis.UnitMetrics.Unit.fetch1("spike_width")
    assert width == pytest.approx(18 / 20, rel=1e-3), "18 samples of a probe that was sampled at 20 kHz, ms"


def test_no_trials_no_spikes(database, tmp_path):
    """Without trials there are no PETHs and no errors; without spikes there are rows without arrays."""
    trees.write(tmp_path, trees.sorting())
    trees.write(tmp_path, {"spikes.times": np.empty(0), "spikes.clusters": np.empty(0, int)}, "alf/probe01")
    trees.bring_up_to_date(tmp_path)
    assert not len(ephys_analysis.Peth()) and len(ephys_analysis.UnitMetrics()) == 2
    with pytest.raises(NeurojointError, match="no trials"):
        unit_peths(KEY)
    trees.trials(tmp_path)
    trees.bring_up_to_date(tmp_path)
    events = (ephys_analysis.Peth & {"probe_label": "probe01"}).to_arrays("n_events")
    assert events.tolist() == [0] * 5
    assert (ephys_analysis.Peth & KEY & "n_events = 40").to_arrays("event").size == 5


def test_files_that_change_end_as_a_fresh_database(database, tmp_path):
    """Spikes replaced, a revision added, a sorter deleted: dependent rows are made again, no more is left."""
    trees.write(tmp_path, trees.sorting())
    trees.write(tmp_path, trees.sorting(1), "alf/probe00/pykilosort")
    trees.trials(tmp_path)
    trees.bring_up_to_date(tmp_path)
    files = trees.sorting()
    trees.write(tmp_path, {"spikes.clusters": files["spikes.clusters"][::-1]})
    trees.bring_up_to_date(tmp_path)
    trees.write(tmp_path, {"spikes.times": trees.sorting()["spikes.times"] + 0.5}, "alf/probe00/#2025-01-01#")
    trees.bring_up_to_date(tmp_path)
    assert len(ephys.ClusterSet()) == 3
    shutil.rmtree(tmp_path / trees.SESSION / "alf/probe00/pykilosort")
    trees.bring_up_to_date(tmp_path)
    grown = computed()
    empty_tables(database)
    trees.bring_up_to_date(tmp_path)
    assert computed() == grown
    assert len(grown["ephys.ClusterSet"]) == 2 and len(grown["ephys_analysis.Peth"]) == 10


def test_real_recording(database, tmp_path, real_data):
    """289 units, ids with gaps, of a real recording; PETHs around its 18 events equal a direct count."""
    source = real_data / "ibllib_fixtures/Subjects/ephys_test/2020-02-01/001"
    session = tmp_path / trees.SESSION
    shutil.copytree(source / "alf", session / "alf")
    events, groups = (np.load(source / f"event_{name}.npy") for name in ("times", "groups"))
    np.save(session / "alf/_ibl_trials.stimOn_times.npy", events)
    trees.bring_up_to_date(tmp_path)
    times = np.load(source / "alf/probe00/spikes.times.npy").ravel()
    units = np.load(source / "alf/probe00/spikes.clusters.npy").ravel()
    ids, counts = np.unique(units, return_counts=True)
    assert (len(ids), len(units)) == (289, 124_905) and len(ids) < ids.max()
    row = ephys.ClusterSet.fetch1()
    assert (row["n_clusters"], row["n_spikes"]) == (289, 124_905)
    stored = fetch_columns(ephys_analysis.UnitMetrics.Unit, "cluster_id", "unit_n_spikes", order_by="cluster_id")
    assert stored["cluster_id"].to_pylist() == ids.tolist() and stored["unit_n_spikes"].to_pylist() == counts.tolist()
    assert (ephys_analysis.Peth & {"event": "stim_on"}).fetch1("n_events") == 18
    pid = (ephys.ProbeInsertion & acquisition.Session).fetch1("pid")
    peths = unit_peths(pid, split=groups.astype(str), window=(-0.25, 0.5), bin_size=0.025, smoothing=0)
    assert peths.n.sum() == 18
    edges = np.arange(-10, 21) * 0.025
    for group, name in enumerate(peths.conditions):
        chosen = events[groups.astype(str) == name]
        for unit, one in enumerate(ids):
            own = times[units == one]
            direct = np.diff(np.searchsorted(own, chosen[:, None] + edges), axis=1).sum(axis=0)
            np.testing.assert_allclose(peths.mean[unit, group], direct / len(chosen) / 0.025, atol=1e-3)
