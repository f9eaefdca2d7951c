"""From simulated probes through all tables: metrics, responses and places are those that generated the spikes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ingest
from ingest.simulate import Psychometric, SessionParams, simulate_trials
from ingest.simulate.ephys import Response, Unit, simulate_insertion, write_insertion
from ingest.simulate.ephys.insertion import DEPTH_JITTER
from ingest.simulate.files import write_trials
from pipeline import data, ephys, ephys_analysis, histology, worker
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns, to_numpy

pytestmark = pytest.mark.slow

SESSION = "mylab/Subjects/m1/2024-01-01/001"
DRIFT = 150.0  # um/h
EVENTS = {"stim_on": (0.05, 0.2), "first_movement": (-0.08, 0.2), "feedback": (0.06, 0.3)}


def tuned(event: str, gain: float, by: str = "", preferred: float = 0.0) -> Unit:
    latency, duration = EVENTS[event]
    return Unit(depth=0, rate=8, responses=(Response(event, latency, duration, gain, by, preferred),))


KINDS: dict[str, list[Unit]] = {
    "plain": [Unit(depth=0, rate=rate) for rate in np.geomspace(1, 25, 30)],
    "contaminated": [Unit(depth=0, rate=20, contamination=f) for f in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)],
    "gone": [Unit(depth=0, rate=10, gaps=(gap,)) for gap in ((0.0, 600.0), (300.0, 1000.0), (400.0, 500.0))],
    "missed": [Unit(depth=0, rate=20, missed=f, amplitude_sd=0.15) for f in (0.1, 0.2, 0.3)],
    "responds": [tuned(event, gain) for event in EVENTS for gain in (1.5, 3.0, -0.8)],
    "side": [tuned("stim_on", 3.0, "side", side) for side in (-1.0, 1.0)],
    "choice": [tuned("first_movement", 3.0, "choice", choice) for choice in (-1.0, 1.0)],
    "feedback": [tuned("feedback", 3.0, "feedback", outcome) for outcome in (-1.0, 1.0)],
    "block": [tuned("stim_on", 2.0, "block", prior) for prior in (0.2, 0.8)],
}


def population() -> tuple[list[Unit], dict[str, np.ndarray]]:
    """All units, spread over the probe, and which of them are of each kind."""
    units = [unit for kind in KINDS.values() for unit in kind]
    depths = np.random.default_rng(0).permutation(np.linspace(60, 3800, len(units))).round(1)
    ends = np.cumsum([len(kind) for kind in KINDS.values()])
    which = {name: np.arange(end - len(kind), end) for (name, kind), end in zip(KINDS.items(), ends, strict=True)}
    amplitudes = np.linspace(90, 250, len(units)).round()
    spread = zip(units, depths.tolist(), amplitudes.tolist(), strict=True)
    return [Unit(**(vars(unit) | {"depth": d, "amplitude": a})) for unit, d, a in spread], which


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict, dict]]:
    """A session with one probe on disk, what generated it, and the kinds of its units."""
    root = tmp_path_factory.mktemp("probes")
    blocks = {0.5: Psychometric(0, 15, 0.15, 0.15), 0.2: Psychometric(-9), 0.8: Psychometric(9)}
    trials = simulate_trials(SessionParams(n_trials=450, blocks=blocks), seed=4)
    write_trials(root / SESSION / "alf", trials)
    units, which = population()
    insertion = simulate_insertion(trials, units=units, drift=DRIFT, seed=6)
    write_insertion(root / SESSION, insertion)
    return root, insertion.truth, which


@pytest.fixture
def truth(database, simulated) -> tuple[dict, dict]:
    """That session in the tables."""
    root, truth, which = simulated
    ingest.register(root, processes=1)
    assert len(data.Quarantine()) == 0
    later = ("behavior_analysis.", "action.")
    tables = [table for table in registry.populated_tables() if not registry.label(table).startswith(later)]
    worker.drain(tables)
    for table in tables:
        assert len(table().jobs.errors) == 0, registry.label(table)
    return truth, which


def test_the_tables_hold_the_truth_about_the_units(truth):
    """One test, since the insertion is populated once for all of it."""
    truth, which = truth
    units = truth["units"]
    metrics = to_numpy(fetch_columns(ephys_analysis.UnitMetrics.Unit(), order_by="cluster_id"))
    assert metrics["cluster_id"].tolist() == list(range(len(units)))
    names_and_places(units)
    rates_and_presence(truth, metrics, which)
    contamination(units, metrics, which)
    amplitudes(units, metrics, which)
    drift(truth, metrics, which)
    responsive(which)
    selective(which)
    responses_have_their_size(units, which)


def names_and_places(units: list[dict]) -> None:
    """Exact: identifiers, channels, regions, and the region's ancestors."""
    clusters = fetch_columns(ephys.ClusterSet.Cluster(), order_by="cluster_id").to_pylist()
    located = fetch_columns(histology.ClusterLocation.Cluster(), order_by="cluster_id").to_pylist()
    for unit, cluster, place in zip(units, clusters, located, strict=False):
        assert cluster["cluster_uuid"] == unit["cluster_uuid"]
        assert cluster["cluster_channel"] == unit["channel"]
        assert cluster["cluster_n_spikes"] == unit["n_spikes"]
        assert place["region_id"] == unit["region_id"]
        assert [place["cluster_ml"], place["cluster_ap"], place["cluster_dv"]] == pytest.approx(unit["mlapdv"], abs=0.1)
    assert len(clusters) == len(units) + 1, "one without spikes"
    thalamus = (histology.BrainRegion & "acronym = 'TH'").fetch1("region_id")
    below = (histology.BrainRegion.Ancestor & {"ancestor_id": thalamus}).to_arrays("region_id")
    inside = [unit["region_id"] in below for unit in units]
    assert inside == [unit["region"] in ("LP", "PO") for unit in units]
    assert sum(inside) > 5


def rates_and_presence(truth: dict, metrics: dict, which: dict) -> None:
    """Rates to 4 standard deviations of a count; presence ratio to a bin or two."""
    expected = np.array([unit["n_expected"] for unit in truth["units"]])
    rate = metrics["firing_rate"] * truth["duration"]
    assert np.all(np.abs(rate - expected) < 4 * np.sqrt(expected) + 0.01 * expected)
    present = np.array([unit["present"] for unit in truth["units"]])
    assert metrics["presence_ratio"][which["gone"]] == pytest.approx(present[which["gone"]], abs=0.06)
    assert metrics["presence_ratio"][which["plain"]].min() > 0.95


def contamination(units: list[dict], metrics: dict, which: dict) -> None:
    """Clean units have no violation and pass; others have the stated fraction, where Llobet's formula is exact."""
    plain, dirty = which["plain"], which["contaminated"]
    assert np.all(metrics["n_spikes_below_2ms"][plain] == 0)
    assert np.all(metrics["isi_violations_llobet"][plain] == 0)
    true = np.array([units[number]["contamination"] for number in dirty])
    result = metrics["isi_violations_llobet"][dirty]
    assert result == pytest.approx(true, abs=0.06)
    assert np.all(np.diff(metrics["isi_violations_hill"][dirty]) > 0)
    rate = np.array([units[number]["rate"] for number in plain])
    passes = metrics["refractory_pass"].astype(bool)
    assert passes[plain[rate > 5]].all()
    assert not passes[dirty[true >= 0.2]].any()


def amplitudes(units: list[dict], metrics: dict, which: dict) -> None:
    true = np.array([unit["amplitude"] for unit in units])
    whole = np.setdiff1d(np.arange(len(units)), which["missed"])
    assert metrics["amp_median"][whole] == pytest.approx(true[whole], rel=0.02)
    missed = np.array([units[number]["missed"] for number in which["missed"]])
    assert metrics["amplitude_cutoff"][which["missed"]] == pytest.approx(missed, abs=0.1)
    assert np.median(metrics["amplitude_cutoff"][which["plain"]]) < 0.03
    width = np.array([unit["peak_to_trough"] for unit in units])
    assert metrics["spike_width"] == pytest.approx(width, abs=0.04)


def drift(truth: dict, metrics: dict, which: dict) -> None:
    """The range of depths is that of the drift between the middles of the first and the last minute.

    IBL's `drift` is the way from spike to spike, hence the jitter of single depths: 2 sd / sqrt(pi) for each spike.
    """
    many = which["plain"][-8:]
    between = truth["duration"] / 3600 - 1 / 60
    assert truth["drift"] == DRIFT
    assert np.median(metrics["drift_ptp"][many]) == pytest.approx(DRIFT * between, rel=0.05)
    way = metrics["unit_n_spikes"] * 2 * DEPTH_JITTER / np.sqrt(np.pi) / truth["duration"] * 3600
    assert metrics["drift"][many] == pytest.approx(way[many], rel=0.03)
    assert len(ephys_analysis.DriftMap()) == 1


def response_rows(event: str) -> dict[str, np.ndarray]:
    query = ephys_analysis.Peth.Response & {"event": event}
    return to_numpy(fetch_columns(query, order_by="cluster_id"))


def responsive(which: dict) -> None:
    """Units are found at their event; of all that are found, about as few are plain as the correction promises."""
    false = result = 0
    for number, event in enumerate(EVENTS):
        rows = response_rows(event)
        yes = rows["is_responsive"].astype(bool)
        own = which["responds"][3 * number : 3 * number + 3]
        assert yes[own].all(), event
        rises = rows["response_rate"][own] > rows["baseline_rate"][own]
        assert rises.tolist() == [True, True, False]
        quiet = np.concatenate([which["plain"], which["contaminated"]])
        false += yes[quiet].sum()
        result += yes.sum()
    assert result > 30
    assert false <= max(0.05 * result + 3 * np.sqrt(0.05 * result), 3)


def selective(which: dict) -> None:
    """Positive for right, reward and a prior for right; plain units are not selective."""
    for name, event, signs in (
        ("side", "stim_on", [-1, 1]), ("choice", "first_movement", [1, -1]), ("feedback", "feedback", [-1, 1]),
        ("block", "stim_on", [1, -1]),
    ):  # fmt: skip
        rows = response_rows(event)
        assert np.all(rows[f"{name}_p"][which[name]] < 0.05), name
        assert np.sign(rows[f"{name}_selectivity"][which[name]]).tolist() == signs, name
        selected = rows[f"{name}_p"] < 0.05
        assert selected[which["plain"]].sum() <= 2, name


def responses_have_their_size(units: list[dict], which: dict) -> None:
    """The mean rate in the window of the response is (1 + gain) times the unit's rate, to 4 standard errors."""
    for number, event in enumerate(EVENTS):
        row = (ephys_analysis.Peth & {"event": event}).fetch1()
        latency, duration = EVENTS[event]
        inside = (row["peth_times"] > latency + 0.06) & (row["peth_times"] < latency + duration - 0.06)
        for unit in which["responds"][3 * number : 3 * number + 3].tolist():
            expected = units[unit]["rate"] * (1 + units[unit]["responses"][0]["gain"])
            error = np.sqrt(expected / (row["n_events"] * 0.02 * inside.sum()))
            assert abs(row["peth_mean"][unit][inside].mean() - expected) < 4 * error + 0.02 * expected, (event, unit)
