"""Light: its trials, its effect on performance, units that answer to it; comparisons, good periods, cell types."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from plotly.utils import PlotlyJSONEncoder

from dashboard.pages import _cell_details, _insertion_units, _session_groups
from dashboard.queries import insertion as insertions
from dashboard.queries import session as sessions
from neurojoint.cli import main
from pipeline import behavior, entry, ephys, ephys_analysis, photostimulation, selection, task_analysis, worker
from pipeline.analysis.cell_types import BROAD, NARROW
from pipeline.electrophysiology.peths import unit_peths
from pipeline.errors import UserError
from pipeline.provenance import staleness
from pipeline.queries import activity, search
from pipeline.queries.sessions import find_sessions
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


PEAKS = np.array([5, 7, 11, 13, 20])  # samples at 30 kHz from trough to peak: 0.17, 0.23, 0.37, 0.43, 0.67 ms


def shapes() -> np.ndarray:
    """Templates of the five units on four channels, V: a trough, and a smaller peak after it."""
    made = np.zeros((5, 82, 4), np.float32)
    made[:, 30, 1] = -1e-4
    made[np.arange(5), 30 + PEAKS, 1] = 4e-5
    return made


def test_kinds_of_units_on_the_site_and_in_find(files):
    """Types by the templates, units that follow light, and those that tell the groups of a comparison apart."""
    trees.write(files, {"templates.waveforms": shapes(), "templates.waveformsChannels": np.tile(np.arange(4), (5, 1))})
    ingest(files)
    selection.Period.define("early", "stim_on_times", "stim_on_times", (0.0, 0.3))
    selection.Comparison.define("side", "contrast_left != missing", "contrast_right != missing", "early")
    selection.Comparison.define("reward", "feedback_type == -1", "feedback_type == 1")
    drain([*TABLES, ephys_analysis.CellType, ephys_analysis.UnitSelectivity, task_analysis.TrialComparison])
    drain([photostimulation.StimulationSet, photostimulation.StimulationEffect, photostimulation.OptoTagging])
    width = dict(zip(*ephys_analysis.UnitMetrics.Unit.to_arrays("cluster_id", "spike_width"), strict=True))
    assert [width[one] for one in range(5)] == pytest.approx(PEAKS / 30, abs=0.02)
    types = dict(zip(*ephys_analysis.CellType.Unit.to_arrays("cluster_id", "cell_type"), strict=True))
    assert types == {one: NARROW if PEAKS[one] < 12 else BROAD for one in range(5)}
    assert ephys_analysis.CellType.fetch1("n_fast_spiking", "n_regular_spiking") == (3, 2)

    def found(**asked):
        return search.find_units(**asked)["cluster_id"].to_pylist()

    assert found(cell_type=NARROW) == [0, 1, 2] and found(cell_type=f"{BROAD}:width_0.4") == [3, 4]
    selective = (ephys_analysis.UnitSelectivity.Unit & "is_selective = TRUE").to_arrays("cluster_id").tolist()
    assert found(tagged=True) == [4] and found(selective="side") == sorted(selective) and 2 in selective
    assert found(cell_type=NARROW, selective="side:1") == [one for one in sorted(selective) if one < 3]
    assert search.find_insertions(tagged=True)["n_units"].to_pylist() == [1]
    assert find_sessions(light=True).num_rows == 1
    for wrong, words in (({"cell_type": "large"}, "fast-spiking"), ({"cell_type": f"{NARROW}:mine"}, "width_0.4"),
                         ({"selective": "smell"}, "side"), ({"selective": "side:2"}, "side")):  # fmt: skip
        with pytest.raises(UserError) as refused:
            search.find_units(**wrong)
        assert words in refused.value.remedy
    assert CliRunner().invoke(main, ["find", "units", "--cell-type", BROAD, "--tagged"]).output.count("1 unit") == 2

    pages_show_them()


def pages_show_them():
    """Of the insertion, of a cell and of the session."""
    probe = insertions.insertion(PROBE)
    assert dict(_insertion_units.kinds(probe)) == {"Fast-spiking": "3", "Regular-spiking": "2", "Follow light": "1"}
    table = json.dumps(_insertion_units.comparisons(probe), cls=PlotlyJSONEncoder)
    assert "contrast_left != missing" in table and "20 and 20" in table and " of 5" in table
    assert "reward" not in table, "which compares the animal only"
    words = json.dumps(_cell_details.comparisons(probe.kinds, 2), cls=PlotlyJSONEncoder)
    assert "early" in words and '"yes"' in words
    chip = json.dumps(_cell_details._chip_of_light(probe.kinds, 4), cls=PlotlyJSONEncoder)
    assert "in 100 % of the pulses, after 3.0 ms" in chip
    session = sessions.session(behavior.TrialSet.fetch1("KEY"), "ibl_pipeline_2021")
    light = json.dumps(_session_groups.light(session), cls=PlotlyJSONEncoder)
    assert "any site" in light and "100 % \\u2192 0 %" in light
    groups = json.dumps(_session_groups.comparisons(session), cls=PlotlyJSONEncoder)
    assert "reward" in groups and "10 \\u2192 30" in groups and "0 % \\u2192 100 %" in groups
