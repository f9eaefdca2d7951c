"""Activity on request equals a direct count, is computed once for equal content, and follows the files."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline import behavior, ephys, selection, settings
from pipeline.electrophysiology import clusterings
from pipeline.electrophysiology.peths import unit_peths
from pipeline.errors import NeurojointError
from pipeline.provenance import staleness
from pipeline.queries import activity, signals
from pipeline.schemas.inputs import events
from tests.ephys import trees
from tests.ingest.tree import ingest

pytestmark = pytest.mark.slow

KEY = {"lab": "lab", "subject": "mouse", "session_date": "2024-05-01", "session_number": 1, "probe_label": "probe00"}
START = 5.0 + np.arange(40.0)  # s, the events of trees.trials
RIGHT = np.arange(40) % 2 == 1


@pytest.fixture
def home(database, tmp_path):
    """A home of its own, so that nothing is in the cache."""
    with settings.override(**{**settings.settings().model_dump(exclude_unset=True), "home": tmp_path / "home"}):
        yield tmp_path / "home"


@pytest.fixture
def files(home, tmp_path):
    """The spikes of a session with trials, ready to be asked."""
    made = trees.tuned(tmp_path / "root")
    trees.trials(tmp_path / "root")
    ingest(tmp_path / "root")
    behavior.TrialSet.populate()
    return made


def kept(home) -> int:
    return len(list((home / "cache/peths").glob("*/complete")))


def test_peths_of_any_split(files, home):
    """Each condition is the direct count over its trials; a second call reads what the first one computed."""
    asked = {"clusters": [2, 0], "window": (-0.2, 0.4), "bin_size": 0.1, "smoothing": 0}
    peths = unit_peths(KEY, "stim_on", ["side", "choice"], **asked)
    assert peths.conditions == ["left left", "left right", "right left", "right right"]
    own = files["spikes.times"][files["spikes.clusters"] == 2]
    events = START[RIGHT & (np.arange(40) % 4 < 2)]
    counts = [np.histogram(own - event, np.linspace(-0.2, 0.4, 7))[0] for event in events]
    np.testing.assert_allclose(peths.mean[0, 2], np.mean(counts, axis=0) / 0.1, rtol=1e-5)
    np.testing.assert_allclose(peths.population, peths.mean.mean(axis=0))
    again = unit_peths(KEY, "stim_on", ["side", "choice"], **asked)
    assert isinstance(again.mean, np.memmap) and kept(home) == 1
    np.testing.assert_array_equal(again.mean, peths.mean)
    for labels, conditions, n in (
        (np.where(np.arange(40) < 10, "early", ""), ["early"], [10]),
        (RIGHT, ["False", "True"], [20, 20]),
        (np.where(np.arange(40) < 30, np.arange(40) % 3, np.nan), ["0", "1", "2"], [10, 10, 10]),
        ("contrast", ["-100", "25"], [20, 20]),
        ("probability", ["0.2", "0.8"], [20, 20]),
    ):
        peths = unit_peths(KEY, "go_cue_times", labels)
        assert (peths.conditions, peths.n.tolist()) == (conditions, n)
    for wrong, message in (
        ({"event": "lunch"}, "no event"),
        ({"split": "colour"}, "not split by"),
        ({"split": np.arange(3)}, "labels for 40 trials"),
    ):
        with pytest.raises(NeurojointError, match=message):
            unit_peths(KEY, **wrong)


def test_what_is_kept_follows_trials_and_spikes(files, home, tmp_path):
    """Equal content is computed once; other trials or other spikes are other content."""
    before = unit_peths(KEY, split="feedback")
    assert before.conditions == ["correct", "error"] and kept(home) == 1
    trees.write(tmp_path / "root", {"clusters.depths": np.arange(5.0)})
    ingest(tmp_path / "root")
    unit_peths(KEY, split="feedback")
    assert kept(home) == 1, "depths of clusters change no PETH"
    trees.trials(tmp_path / "root", feedbackType=np.ones(40))
    ingest(tmp_path / "root")
    staleness.refresh()
    behavior.TrialSet.populate()
    assert unit_peths(KEY, split="feedback").conditions == ["correct"] and kept(home) == 2
    trees.write(tmp_path / "root", {"spikes.clusters": (files["spikes.clusters"] + 1) % 5})
    ingest(tmp_path / "root")
    after = unit_peths(KEY)
    np.testing.assert_array_equal(after.mean[3], unit_peths(KEY, split="feedback").mean[3])
    np.testing.assert_array_equal(after.cluster_ids, before.cluster_ids)
    assert after.mean[3, 0].max() > 2 * after.mean[2, 0].max(), "the tuned unit is number 3 now"
    with settings.override(**{**settings.settings().model_dump(exclude_unset=True), "cache_size": 0.0}):
        unit_peths(KEY, "feedback")
    assert kept(home) == 1, "the cache keeps within its size"


def test_a_raster_is_the_spikes_around_each_event(files):
    own = files["spikes.times"][files["spikes.clusters"] == 2]
    drawn = activity.raster(KEY, 2, "stim_on", "side", window=(-0.1, 0.3))
    assert drawn.conditions.tolist() == ["left", "right"] * 20
    for trial, event in enumerate(START):
        expected = own[(own >= event - 0.1) & (own < event + 0.3)] - event
        np.testing.assert_allclose(drawn.times[drawn.trials == trial], expected)
    some = activity.raster(KEY, 2, split=np.where(RIGHT, "right", ""))
    assert set(some.trials) <= set(np.flatnonzero(RIGHT)) and set(some.conditions) == {"", "right"}
    assert not len(activity.raster(KEY, 77).times), "a unit without spikes"


def test_a_condition_chooses_the_trials_of_peths_and_rasters(files):
    asked = {"clusters": [2], "window": (-0.2, 0.4), "bin_size": 0.1, "smoothing": 0}
    labels = np.where(RIGHT, "right", "")
    expected = unit_peths(KEY, "stim_on", labels, **asked)
    peths = unit_peths(KEY, "stim_on", condition="contrast_right != missing", **asked)
    np.testing.assert_array_equal(peths.mean[0], expected.mean[0])
    assert peths.n.tolist() == [20]
    some = activity.raster(KEY, 2, condition="contrast_right != missing")
    assert set(some.trials) <= set(np.flatnonzero(RIGHT))
    with pytest.raises(NeurojointError, match="no column contrast"):
        unit_peths(KEY, condition="contrast > 1")


def test_cross_correlograms_count_all_pairs(files):
    times, units = files["spikes.times"], files["spikes.clusters"]
    ids, result = activity.cross_correlograms(KEY, 1, window=0.05, bin_size=0.005)
    assert ids.tolist() == [0, 1, 2, 3, 4]
    for row, other in enumerate(ids):
        lags = (times[units == other][None, :] - times[units == 1][:, None]).ravel()
        expected = np.histogram(lags[lags != 0] if other == 1 else lags, np.linspace(-0.05, 0.05, 21))[0]
        np.testing.assert_array_equal(result.counts[row], expected)
    ids, one = activity.cross_correlograms(KEY, 1, [4], window=0.05, bin_size=0.005)
    np.testing.assert_array_equal(one.counts[0], result.counts[4])
    with pytest.raises(NeurojointError, match="unit 9 has no spikes"):
        activity.cross_correlograms(KEY, 9)


def test_population_rate(files):
    times, rate = activity.population_rate(KEY, 1.0)
    spikes = files["spikes.times"]
    assert rate[3] == np.sum((spikes >= spikes[0] + 3) & (spikes < spikes[0] + 4)) and times[0] == spikes[0] + 0.5


def test_modulated_units_by_region(files, tmp_path):
    """Fractions and p-values are of the default clustering, and follow it when another one is chosen."""
    where = {"channels.brainLocationIds_ccf_2017": np.repeat([382, 672, 997], 4), "channels.rawInd": np.arange(12)}
    where |= {"channels.mlapdv": np.zeros((12, 3))}
    trees.write(tmp_path / "root", where)
    trees.write(tmp_path / "root", trees.sorting(1) | where, "alf/probe00/other")
    trees.bring_up_to_date(tmp_path / "root")
    pid = ephys.ProbeInsertion.fetch1("pid")
    other = activity.task_modulated_by_region().to_pylist()
    assert {row["acronym"]: row["n_modulated"] for row in other} == {"CA1": 0, "CP": 0}, "a named sorter goes first"
    assert clusterings.choose(pid, "probe00") == "probe00"
    table = activity.task_modulated_by_region().to_pydict()
    assert table["acronym"] == ["CA1", "CP"] and table["n_units"] == [4, 1] and table["fraction"] == [0.25, 0.0]
    assert table["p_value"] == pytest.approx([1 - 0.95**4, 1.0]), "one of four, each by chance at 0.05"
    assert table["p_corrected"] == pytest.approx([2 * (1 - 0.95**4), 1.0])
    own = files["spikes.times"][files["spikes.clusters"] == 2]
    np.testing.assert_array_equal(ephys.spikes(pid, clusters=2).times, own)
    cosmos = activity.task_modulated_by_region(modulation="side", parcellation="cosmos", min_units=2)
    assert cosmos["acronym"].to_pylist() == ["HPF"] and cosmos["n_modulated"].to_pylist() == [1]
    assert activity.task_modulated_by_region(restriction={"subject": "nobody"}).num_rows == 0
    for wrong in ({"event": "lunch"}, {"modulation": "colour"}, {"parcellation": "fine"}):
        with pytest.raises(NeurojointError, match="there is no"):
            activity.task_modulated_by_region(**wrong)


def test_any_object_with_times_is_aligned_to(files, tmp_path):
    """Licks, intervals of a laser and a trial-like table: rows of the object stand for the trials, with all columns."""
    root = tmp_path / "root"
    power = np.repeat([1.0, 5.0], 20)
    trees.write(root, {"opto.intervals": np.column_stack([START, START + 0.5]), "opto.power": power}, "alf")
    trees.write(root, {"licks.times": np.array([10.0, 11.0, 12.5])}, "alf")
    table = pd.DataFrame({"odourOn_times": START[:4], "odour": ["mint", "rose", None, "mint"]})
    table.to_parquet(root / trees.SESSION / "alf" / "_lab_odourTrials.table.pqt")
    ingest(root)
    names = ["licks.times", "odourTrials.odourOn_times", "opto.intervals"]
    assert events.series_of(KEY) == names
    assert events.rows_of(KEY, "odourTrials")["odour"].tolist() == ["mint", "rose", None, "mint"]
    assert events.rows_of(KEY, "opto").keys() == {"intervals_0", "intervals_1", "power"}

    asked = {"clusters": [2], "window": (-0.2, 0.4), "bin_size": 0.1, "smoothing": 0}
    same = unit_peths(KEY, "stim_on", power, **asked)
    peths = unit_peths(KEY, "opto.intervals", "power", **asked)
    assert peths.conditions == ["1", "5"] and peths.n.tolist() == [20, 20]
    np.testing.assert_array_equal(peths.mean, same.mean)
    chosen = unit_peths(KEY, "opto.intervals", condition="power > 2", **asked)
    np.testing.assert_array_equal(chosen.mean[:, 0], peths.mean[:, 1])
    odours = unit_peths(KEY, "odourTrials.odourOn_times", "odour", **asked)
    assert odours.conditions == ["mint", "rose"] and odours.n.tolist() == [2, 1]
    assert len(set(activity.raster(KEY, 2, "licks.times").trials)) <= 3
    with pytest.raises(NeurojointError, match="it has: licks.times"):
        unit_peths(KEY, "puffs.times")


def test_units_that_tell_conditions_apart_in_a_period(files):
    """Unit 2 fires after stimuli on the right, in the part of the trial that the period names and in no other."""
    selection.TrialCondition.define("right_side", "contrast_right > 0")
    selection.Period.define("stimulus", "stim_on_times", "stim_on_times", (0.04, 0.3))
    selection.Period.define("later", "stim_on_times", "stim_on_times", (0.5, 0.9))
    selective = activity.selectivity(KEY, "contrast_left > 0", "right_side", "stimulus")
    assert (selective.n_0, selective.n_1) == (20, 20)
    assert selective.cluster_ids[selective.selective].tolist() == [2] and selective.index[2] > 0.8
    own = files["spikes.times"][files["spikes.clusters"] == 2]
    counts = [np.sum((own >= event + 0.04) & (own < event + 0.3)) for event in START[RIGHT]]
    assert selective.rate_1[2] == pytest.approx(np.mean(counts) / 0.26)
    assert not activity.selectivity(KEY, "contrast_left > 0", "right_side", "later", [2]).selective.any()
    with pytest.raises(NeurojointError, match="no period"):
        activity.selectivity(KEY, "choice == 1", "choice == -1", "delay")


def test_a_signal_is_averaged_around_events(files, tmp_path):
    """A channel and a feature of a camera whose unlikely positions are not known."""
    root = tmp_path / "root"
    times = np.arange(0, 60, 0.01)
    phase = (times - 5.0) % 1.0  # events are at whole seconds from 5 s
    trees.write(root, {"breathing.voltage": phase, "breathing.times": times}, "alf")
    tracked = pd.DataFrame({"nose_x": 100 * phase, "nose_likelihood": np.where(phase < 0.5, 0.99, 0.2)})
    tracked.to_parquet(root / trees.SESSION / "alf" / "_ibl_leftCamera.dlc.pqt")
    trees.write(root, {"_ibl_leftCamera.times": times}, "alf")
    ingest(root)
    averaged = signals.signal_average(KEY, "breathing.voltage", "stim_on", "side", (0.1, 0.4), 0.1)
    assert averaged.conditions == ["left", "right"]
    np.testing.assert_allclose(averaged.mean, [[0.1, 0.2, 0.3, 0.4]] * 2, atol=1e-6)
    assert (averaged.n == 20).all()
    nose = signals.signal_average(KEY, "leftCamera.dlc.nose_x", "stim_on", window=(0.2, 0.8), step=0.2)
    np.testing.assert_allclose(nose.mean[0, :2], [20, 40], atol=1e-4)
    assert np.isnan(nose.mean[0, 2:]).all()
    with pytest.raises(NeurojointError, match="nose_x"):
        signals.signal_average(KEY, "leftCamera.dlc.paw_x")
    assert signals.list_signals(KEY) == ["leftCamera.dlc.nose_x", "breathing.voltage"]
    rows = signals.signal_trials(KEY, "leftCamera.dlc.nose_x", split="side", window=(0.2, 0.8), step=0.2,
                                 condition="contrast_right > 0")  # fmt: skip
    assert rows.values.shape == (40, 4) and (rows.conditions == np.where(RIGHT, "right", "")).all()
    np.testing.assert_allclose(rows.values[RIGHT, :2], [[20, 40]] * 20, atol=1e-4)
    assert np.isnan(rows.values[~RIGHT]).all(), "trials that are not chosen"
