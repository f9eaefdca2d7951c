"""Light: its trials, its effect on performance, units that answer to it; comparisons, good periods, cell types."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline import behavior, entry, ephys, ephys_analysis, photostimulation, selection, task_analysis, worker
from pipeline.analysis.cell_types import BROAD, NARROW
from pipeline.electrophysiology.peths import unit_peths
from pipeline.errors import UserError
from pipeline.provenance import staleness
from pipeline.queries import activity
from tests.ephys import trees
from tests.ingest.tree import ingest


def drain(tables):
    worker.drain(tables)
    failed = [row["error_message"] for table in tables for row in table().jobs.errors.to_dicts()]
    assert not failed, failed


pytestmark = [pytest.mark.slow, pytest.mark.one_database]

KEY = {"lab": "lab", "subject": "mouse", "session_date": "2024-05-01", "session_number": 1}
PROBE = KEY | {"probe_label": "probe00"}
START = 5.0 + np.arange(40.0)  # s, the events of trees.trials
LIT = np.arange(40) % 4 == 0
ONSETS = (START[LIT][:, None] + (0.3, 0.35, 0.4)).ravel()  # a train of three pulses
TABLES = (behavior.TrialSet, ephys.ClusterSet, ephys_analysis.UnitMetrics)


@pytest.fixture
def files(database, tmp_path):
    """40 trials, in ten of them three pulses of light, which unit 4 follows by 3 ms, and which make the animal fail."""
    made = trees.tuned(tmp_path)
    onsets = ONSETS
    times = np.concatenate([made["spikes.times"], onsets + 0.003, onsets + 0.006])
    units = np.concatenate([made["spikes.clusters"], np.full(60, 4)])
    order = np.argsort(times, kind="stable")
    amps, depths = (np.append(made[f"spikes.{name}"], np.full(60, value))[order] for name, value in
                    (("amps", 1e-4), ("depths", 1000.0)))  # fmt: skip
    columns = {"times": times[order], "clusters": units[order], "amps": amps, "depths": depths}
    trees.write(tmp_path, {f"spikes.{name}": values for name, values in columns.items()})
    trees.trials(tmp_path, feedbackType=np.where(LIT, -1, 1))
    alf = tmp_path / "lab" / "Subjects" / "mouse" / "2024-05-01" / "001" / "alf"
    np.save(alf / "_lab_opto.intervals.npy", np.column_stack([onsets, onsets + 0.02]))
    np.save(alf / "_lab_opto.power.npy", np.full(30, 2.5))
    ingest(tmp_path)
    return tmp_path


def test_light_and_what_it_does(files):
    drain([*TABLES, photostimulation.StimulationSet, photostimulation.StimulationEffect, photostimulation.OptoTagging])
    events = photostimulation.StimulationSet.Event.to_dicts(order_by="stimulation_id")
    assert [round(row["stimulation_onset"], 6) for row in events] == ONSETS.round(6).tolist()
    assert {(round(row["stimulation_offset"] - row["stimulation_onset"], 6), row["event_power"]) for row in events} == {
        (0.02, 2.5)
    }
    lit, count = photostimulation.StimulationEffect.Trial.to_arrays(
        "trial_id", "trial_n_stimulations", order_by="trial_id"
    )
    assert lit.tolist() == np.flatnonzero(LIT).tolist() and set(count) == {3}
    effect = photostimulation.StimulationEffect.Site.fetch1()
    assert (effect["effect_site"], effect["n_light"]) == ("all", 10)
    assert (effect["performance_light"], effect["performance_dark"]) == (0, 1) and effect["performance_effect_p"] < 1e-6
    tagged = photostimulation.OptoTagging.Unit & "is_tagged = TRUE"
    assert tagged.to_arrays("cluster_id").tolist() == [4]
    unit = tagged.fetch1()
    assert unit["light_reliability"] == 1 and unit["light_latency"] == pytest.approx(0.003, abs=1e-3)


def test_people_enter_with_what_light_was_given(files):
    def write(table, row):
        return entry.write(f"photostimulation.{table}", [row], user="ada", source="test")

    write("StimulationDevice", {"lab": "lab", "device_name": "blue", "device_wavelength": "473 nm"})
    shape = {"waveform_shape": "pulses", "waveform_frequency": "20 Hz", "pulse_duration": 0.01}
    write("StimulationWaveform", {"lab": "lab", "waveform_name": "train"} | shape)
    write("StimulationSite", {"lab": "lab", "site_name": "ALM", "site_hemisphere": "left", "stimulated_ml": -1500})
    used = {"device_name": "blue", "waveform_name": "train", "stimulation_power": "2.5 mW"}
    assert write("SessionStimulation", KEY | used).created == 1
    with pytest.raises(entry.InvalidEntry, match="red"):
        write("SessionStimulation", KEY | used | {"device_name": "red"})


def test_comparisons_of_trials_by_behavior_and_by_units(files):
    selection.Period.define("early", "stim_on_times", "stim_on_times", (0.0, 0.3))
    selection.TrialCondition.define("right", "contrast_right != missing")
    assert selection.Comparison.define("side", "contrast_left != missing", "right", "early") == 1
    assert selection.Comparison.define("side", "contrast_left != missing", "right", "early") == 1
    assert selection.Comparison.define("reward", "feedback_type == -1", "feedback_type == 1") == 1
    drain([*TABLES, ephys_analysis.UnitSelectivity, task_analysis.TrialComparison])
    assert len(ephys_analysis.UnitSelectivity()) == 1, "a comparison without a period is of the animal only"
    rows = ephys_analysis.UnitSelectivity.Unit.to_dicts(order_by="cluster_id")
    direct = activity.selectivity(PROBE, "contrast_left != missing", "right", "early")
    np.testing.assert_allclose([row["second_rate"] for row in rows], direct.rate_1)
    assert [bool(row["is_selective"]) for row in rows] == direct.selective.tolist() and direct.selective.any()
    reward = (task_analysis.TrialComparison & {"comparison_name": "reward"}).fetch1()
    assert (reward["n_first"], reward["first_performance"], reward["second_performance"]) == (10, 0, 1)
    with pytest.raises(UserError, match="no column odour"):
        selection.Comparison.define("smell", 'odour == "mint"', "choice == 1")


def test_only_good_periods_are_analysed(files):
    """Entering one makes what was computed without it stale; rates around events follow at once."""
    selection.Period.define("early", "stim_on_times", "stim_on_times", (0.0, 0.3))
    selection.Comparison.define("side", "contrast_left != missing", "contrast_right != missing", "early")
    drain([*TABLES, ephys_analysis.UnitSelectivity])
    before = ephys_analysis.UnitSelectivity.fetch1()
    assert not staleness.find([ephys_analysis.UnitSelectivity]).keys
    assert unit_peths(PROBE, window=(-0.1, 0.1)).n.tolist() == [40]
    row = PROBE | {"good_period": 0, "good_start": 4.0, "good_end": 24.5}
    entry.write("ephys.GoodPeriod", [row], user="ada", source="test")
    assert unit_peths(PROBE, window=(-0.1, 0.1)).n.tolist() == [20]
    assert (activity.raster(PROBE, 2).conditions == "all").sum() == 20
    assert staleness.find([ephys_analysis.UnitSelectivity]).n_rows == 1
    staleness.refresh([ephys_analysis.UnitSelectivity])
    drain([ephys_analysis.UnitSelectivity])
    after = ephys_analysis.UnitSelectivity.fetch1()
    assert (before["n_first_trials"], after["n_first_trials"]) == (20, 10)


def test_cell_types_by_width(files):
    drain([*TABLES, ephys_analysis.CellType])
    widths = dict(zip(*ephys_analysis.UnitMetrics.Unit.to_arrays("cluster_id", "spike_width"), strict=True))
    types = dict(zip(*ephys_analysis.CellType.Unit.to_arrays("cluster_id", "cell_type"), strict=True))
    expected = {
        one: NARROW if width < 0.4 else BROAD for one, width in widths.items() if width is not None and width == width
    }
    assert types == expected
