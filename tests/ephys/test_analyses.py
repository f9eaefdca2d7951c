"""The tables of units and responses hold what the files say, and follow them when they change."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from pipeline import acquisition, behavior, ephys, ephys_analysis, histology
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns
from pipeline.errors import NeurojointError
from tests.conftest import empty_tables
from tests.ephys import trees
from tests.ingest.tree import ingest

KEY = {"lab": "lab", "subject": "mouse", "session_date": "2024-05-01", "session_number": 1, "probe_label": "probe00"}


def computed() -> dict[str, list]:
    """All rows of ephys and its analyses, arrays as bytes (NaN equals NaN)."""
    found = {}
    for table in registry.populated_tables():
        if not registry.label(table).startswith(("ephys", "behavior.")):
            continue
        for one in (table, *registry.parts(table)):
            rows = one().to_dicts(order_by=one().primary_key)
            found[registry.label(one)] = [
                {k: (v.shape, v.tobytes()) if isinstance(v, np.ndarray) else v for k, v in row.items()} for row in rows
            ]
    return found


def tuned(root) -> dict:
    """Five units, of which unit 2 also fires after stimuli on the right and unit 4 before none."""
    files = trees.sorting(3)
    extra = np.concatenate([6.0 + 2 * np.arange(20) + delay for delay in np.linspace(0.05, 0.25, 9)])
    rows = np.searchsorted(files["spikes.times"], extra)
    for name, values in {"times": extra, "clusters": 2, "amps": 1e-4, "depths": 600.0}.items():
        files[f"spikes.{name}"] = np.insert(files[f"spikes.{name}"], rows, values)
    order = np.argsort(files["spikes.times"], kind="stable")
    for name in ("times", "clusters", "amps", "depths"):
        files[f"spikes.{name}"] = files[f"spikes.{name}"][order]
    trees.write(root, files)
    return files


def test_all_tables_of_a_session(database, tmp_path):
    """Counts, rates, responses and maps are those of the generated spikes."""
    files = tuned(tmp_path)
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
    "columns",
    [
        {"stimOn_times": np.full(40, np.nan)},
        {"stimOn_times": None},
        {"stimOn_times": np.arange(40.0) + 1000},
        {"contrastLeft": None, "probabilityLeft": None, "feedbackType": None},
    ],
    ids=["all NaN", "no column", "outside the recording", "few columns"],
)
def test_sessions_that_lack_something(database, tmp_path, columns):
    """No job fails; the row says that there are no events, or has no column for what is not known."""
    files = trees.sorting(n_units=1)
    trees.write(tmp_path, {"spikes.times": files["spikes.times"], "spikes.clusters": files["spikes.clusters"]})
    trees.trials(tmp_path, **columns)
    trees.bring_up_to_date(tmp_path)
    row = (ephys_analysis.Peth & {"event": "stim_on"}).fetch1()
    has_events = "contrastLeft" in columns
    assert row["n_events"] == (40 if has_events else 0) and (row["peth_mean"] is not None) == has_events
    if has_events:
        answer = (ephys_analysis.Peth.Response & {"event": "stim_on"}).fetch1()
        assert answer["side_p"] is None and answer["choice_p"] is not None
    assert ephys_analysis.DriftMap.fetch1("drift_rates") is None, "no depths"
    assert ephys_analysis.UnitMetrics.Unit.fetch1("amp_median") is None


def test_no_trials_no_spikes(database, tmp_path):
    """Without trials there are no PETHs and no errors; without spikes there are rows without arrays."""
    trees.write(tmp_path, trees.sorting())
    trees.write(tmp_path, {"spikes.times": np.empty(0), "spikes.clusters": np.empty(0, int)}, "alf/probe01")
    trees.bring_up_to_date(tmp_path)
    assert not len(ephys_analysis.Peth()) and len(ephys_analysis.UnitMetrics()) == 2
    with pytest.raises(NeurojointError, match="no trials"):
        ephys_analysis.unit_peths(KEY)
    trees.trials(tmp_path)
    trees.bring_up_to_date(tmp_path)
    events = (ephys_analysis.Peth & {"probe_label": "probe01"}).to_arrays("n_events")
    assert events.tolist() == [0] * 5
    assert (ephys_analysis.Peth & KEY & "n_events = 40").to_arrays("event").size == 5


def test_peths_of_any_split(database, tmp_path):
    """Each condition is the direct count over its trials; a second call reads what the first one computed."""
    files = tuned(tmp_path)
    trees.trials(tmp_path)
    ingest(tmp_path)
    behavior.TrialSet.populate()
    found = ephys_analysis.unit_peths(
        KEY, "stim_on", ["side", "choice"], clusters=[2, 0], window=(-0.2, 0.4), bin_size=0.1, smoothing=0
    )
    assert found.conditions == ["left left", "left right", "right left", "right right"]
    start, right = 5.0 + np.arange(40.0), np.arange(40) % 2 == 1
    chose_left = np.arange(40) % 4 < 2
    events = start[right & chose_left]
    own = files["spikes.times"][files["spikes.clusters"] == 2]
    counts = [np.histogram(own - event, np.linspace(-0.2, 0.4, 7))[0] for event in events]
    np.testing.assert_allclose(found.mean[0, 2], np.mean(counts, axis=0) / 0.1, rtol=1e-5)
    again = ephys_analysis.unit_peths(
        KEY, "stim_on", ["side", "choice"], clusters=[2, 0], window=(-0.2, 0.4), bin_size=0.1, smoothing=0
    )
    assert isinstance(again.mean, np.memmap) or isinstance(again.mean.base, np.memmap)
    np.testing.assert_array_equal(again.mean, found.mean)
    labels = np.where(np.arange(40) < 10, "early", "")
    assert ephys_analysis.unit_peths(KEY, "go_cue_times", labels).n.tolist() == [10]
    for wrong, message in (({"event": "lunch"}, "no event"), ({"split": "colour"}, "not split by")):
        with pytest.raises(NeurojointError, match=message):
            ephys_analysis.unit_peths(KEY, **wrong)


def test_regions_of_units_that_respond(database, tmp_path):
    tuned(tmp_path)
    where = {"channels.brainLocationIds_ccf_2017": np.repeat([382, 672, 997], 4), "channels.rawInd": np.arange(12)}
    trees.write(tmp_path, where | {"channels.mlapdv": np.zeros((12, 3))})
    trees.trials(tmp_path)
    trees.bring_up_to_date(tmp_path)
    assert len(histology.ClusterLocation.Cluster()) == 5
    table = ephys_analysis.task_modulated_by_region().to_pydict()
    assert dict(zip(table["acronym"], table["fraction"], strict=True)) == {"CA1": 0.25, "CP": 0.0}
    assert ephys_analysis.task_modulated_by_region(min_units=2)["acronym"].to_pylist() == ["CA1"]
    _, rate = ephys_analysis.population_rate(KEY, 1.0)
    assert rate.mean() == pytest.approx(33, rel=0.1)


def test_files_that_change_end_as_a_fresh_database(database, tmp_path):
    """Spikes replaced, a revision added, a sorter deleted: what hangs on them is made again, no more is left."""
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
    found = ephys_analysis.unit_peths(pid, split=groups.astype(str), window=(-0.25, 0.5), bin_size=0.025, smoothing=0)
    assert found.n.sum() == 18
    edges = np.arange(-10, 21) * 0.025
    for group, name in enumerate(found.conditions):
        chosen = events[groups.astype(str) == name]
        for unit in range(0, 289, 12):
            own = times[units == ids[unit]]
            bins = [np.floor((own - event) / 0.025 + 1e-9).astype(int) for event in chosen]
            direct = np.zeros(len(edges) - 1)
            for one in bins:
                inside = one[(one >= -10) & (one < 20)] + 10
                np.add.at(direct, inside, 1)
            np.testing.assert_allclose(found.mean[unit, group], direct / len(chosen) / 0.025, atol=1e-3)
