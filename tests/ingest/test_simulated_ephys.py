"""A simulated insertion holds what its units say: counts, intervals, gaps, responses, losses, places, raw samples."""

import json
import uuid

import numpy as np
import pyarrow.parquet as pq
import pytest
from cbin.spikeglx import read_meta
from hypothesis import given, settings
from hypothesis import strategies as st
from one.alf.spec import is_valid

from ingest.simulate import Psychometric, SessionParams, simulate_trials, write_lab
from ingest.simulate import damage as lab_damage
from ingest.simulate.ephys import (
    TRACKS,
    Response,
    Unit,
    damage,
    draw_units,
    simulate_insertion,
    write_insertion,
    write_recording,
)
from ingest.simulate.ephys.trains import poisson, rate_steps, simulate_train, without_short_intervals
from pipeline.alf.reasons import REASONS

BLOCKS = {0.5: Psychometric(), 0.2: Psychometric(-9), 0.8: Psychometric(9)}


@pytest.fixture(scope="module")
def trials():
    return simulate_trials(SessionParams(n_trials=500, blocks=BLOCKS, no_go_rate=0.0), seed=2)


@pytest.fixture(scope="module")
def insertion(trials):
    return simulate_insertion(trials, n_units=40, seed=3, drift=20.0)


def train_of(unit, trials=None, duration=3000.0, seed=0):
    train = simulate_train(unit, trials, duration, 30_000.0, np.random.default_rng(seed))
    return train.samples / 30_000, train


units = st.builds(
    Unit,
    depth=st.just(500.0),
    rate=st.floats(0.1, 60),
    refractory=st.floats(0.0005, 0.004),
    contamination=st.floats(0, 1),
    gaps=st.lists(st.floats(0, 300), min_size=2, max_size=2).map(lambda pair: (tuple(sorted(pair)),)),
    missed=st.floats(0, 0.5),
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(unit=units, seed=st.integers(0, 2**31))
def test_number_of_spikes_is_the_stated_one_and_gaps_are_silent(unit, seed):
    """Within 5 standard deviations of a Poisson count; a refractory period only makes it more regular."""
    times, train = train_of(unit, duration=300.0, seed=seed)
    edges, rates = rate_steps(unit, None, 300.0)
    expected = np.sum(np.diff(edges) * rates)
    assert abs(len(times) - expected) < 5 * np.sqrt(expected) + 5
    begin, end = unit.gaps[0]
    # a sample is counted from the edge before a spike
    assert not np.any((times > begin) & (times < end - 1 / 30_000))
    assert np.all(np.diff(train.samples) >= 0)
    own = train.samples[~train.foreign]
    assert np.all(np.diff(own) >= round(unit.refractory * 30_000))


def test_spikes_of_other_neurons_are_the_stated_fraction():
    unit = Unit(depth=0, rate=20, contamination=0.3, missed=0.2)
    times, train = train_of(unit)
    assert train.foreign.mean() == pytest.approx(0.3, abs=0.01)
    assert len(times) / 3000 == pytest.approx(20, rel=0.02)


@pytest.mark.parametrize("contamination", [0.0, 0.1, 0.5, 1.0])
def test_violations_are_those_of_random_contamination(contamination):
    """Expected: N^2 tau / T * (2 f - f^2), Llobet et al. 2022, within 5 standard deviations."""
    unit = Unit(depth=0, rate=20, refractory=0.0025, contamination=contamination)
    _, train = train_of(unit, seed=4)
    samples, n, f = train.samples, len(train.samples), contamination
    expected = n**2 * 0.0025 / 3000 * (2 * f - f**2)
    pairs = sum(int(np.sum(samples[k:] - samples[:-k] < 75)) for k in range(1, 6))
    assert abs(pairs - expected) <= 5 * np.sqrt(expected)


def test_lost_spikes_are_the_smallest():
    _, all_of_them = train_of(Unit(depth=0, rate=30, amplitude_sd=0.1))
    _, result = train_of(Unit(depth=0, rate=30, amplitude_sd=0.1, missed=0.25))
    assert np.quantile(all_of_them.scale, 0.25) == pytest.approx(result.scale.min(), abs=0.005)


@pytest.mark.parametrize(
    ("by", "preferred", "column", "value"),
    [
        ("side", -1.0, "contrast_left", None),
        ("choice", 1.0, "choice", 1),
        ("feedback", -1.0, "feedback_type", -1),
        ("block", 0.8, "probability_left", 0.8),
    ],
)
def test_response_is_where_it_is_said_to_be(trials, by, preferred, column, value):
    """Counts in the window of preferred trials are those of the raised rate, of the others those of the base rate."""
    response = Response("feedback", 0.05, 0.2, 3.0, by, preferred)
    times, _ = train_of(Unit(depth=0, rate=10, responses=(response,)), trials, trials["intervals_1"][-1], seed=5)
    begin = trials["feedback_times"] + 0.05
    counts = np.searchsorted(times, begin + 0.2) - np.searchsorted(times, begin)
    chosen = ~np.isnan(trials[column]) if value is None else trials[column] == value
    for where, rate in ((chosen, 40.0), (~chosen, 10.0)):
        expected = rate * 0.2 * where.sum()
        assert abs(counts[where].sum() - expected) < 4 * np.sqrt(expected)
    before = np.searchsorted(times, begin) - np.searchsorted(times, begin - 0.04)
    assert before.sum() / (0.04 * len(begin)) == pytest.approx(10, rel=0.25)


def test_response_grows_with_contrast(trials):
    response = Response("stim_on", 0.06, 0.15, 4.0, "contrast")
    times, _ = train_of(Unit(depth=0, rate=20, responses=(response,)), trials, trials["intervals_1"][-1])
    on = trials["stim_on_times"]
    seen = ~np.isnan(on)
    counts = np.searchsorted(times, on[seen] + 0.21) - np.searchsorted(times, on[seen] + 0.06)
    contrast = np.fmax(trials["contrast_left"], trials["contrast_right"])[seen]
    for level in (0.0, 0.25, 1.0):
        expected = 20 * (1 + 4 * level) * 0.15 * (contrast == level).sum()
        assert abs(counts[contrast == level].sum() - expected) < 4 * np.sqrt(expected)


def test_a_response_must_name_a_known_event_and_condition():
    for event, by in (("stimulus", ""), ("stim_on", "colour")):
        with pytest.raises(ValueError, match="must be of"):
            Response(event, 0.1, 0.1, 1.0, by)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 200), max_size=60), st.integers(0, 20))
def test_dead_time_keeps_the_spikes_that_a_detector_would(samples, dead):
    """The plain loop over spikes is the reference."""
    samples = np.sort(np.array(samples, np.int64))
    kept: list[int] = []
    for sample in samples.tolist():
        if not kept or sample - kept[-1] >= dead:
            kept.append(sample)
    assert without_short_intervals(samples, dead).tolist() == kept


def test_poisson_times_follow_the_steps():
    times = poisson(np.array([0.0, 10, 20, 30]), np.array([100.0, 0, 300]), np.random.default_rng(1))
    counts = np.histogram(times, [0, 10, 20, 30])[0]
    assert counts[1] == 0
    assert abs(counts[0] - 1000) < 150
    assert abs(counts[2] - 3000) < 250
    assert np.all(np.diff(times) >= 0)


def test_arrays_agree_with_each_other_and_with_the_truth(insertion):
    objects, truth = insertion.objects, insertion.truth
    n_clusters = len(insertion.units) + truth["n_silent"]
    assert {len(values) for values in objects["spikes"].values()} == {truth["n_spikes"]}
    assert {len(values) for values in objects["clusters"].values()} == {n_clusters}
    assert {len(values) for values in objects["channels"].values()} == {384}
    spikes = objects["spikes"]
    assert np.all(np.diff(spikes["times"]) >= 0)
    assert spikes["times"][-1] <= truth["duration"]
    assert np.array_equal(np.round(spikes["times"] * 30_000).astype(int), spikes["samples"])
    assert spikes["clusters"].max() == len(insertion.units) - 1
    counts = np.bincount(spikes["clusters"], minlength=n_clusters)
    assert counts.tolist() == [unit["n_spikes"] for unit in truth["units"]] + [0]
    assert insertion.metrics["spike_count"].tolist() == counts.tolist()
    assert {uuid.UUID(item).version for item in insertion.uuids} == {4}
    assert len(set(insertion.uuids)) == n_clusters
    json.dumps(truth)


def test_amplitudes_depths_and_widths_are_the_units(insertion):
    clusters, units = insertion.objects["clusters"], insertion.units
    for number, unit in enumerate(units):
        waveform = clusters["waveforms"][number]
        assert np.ptp(waveform[:, 0]) == pytest.approx(1e-6 * unit.amplitude, rel=1e-5)
        assert np.all(np.diff(np.ptp(waveform, axis=0)) <= 1e-9), "best channel first"
        if not unit.missed and not unit.gaps:
            assert clusters["amps"][number] == pytest.approx(1e-6 * unit.amplitude, rel=0.02)
            assert clusters["depths"][number] == pytest.approx(unit.depth, abs=1.0)
        assert clusters["peakToTrough"][number] == pytest.approx(unit.width, abs=0.08)


def test_depths_move_with_the_drift(insertion):
    spikes, truth = insertion.objects["spikes"], insertion.truth
    depth = np.array([unit.depth for unit in insertion.units])[spikes["clusters"]]
    slope = np.polyfit(spikes["times"] / 3600, spikes["depths"] - depth, 1)[0]
    assert truth["drift"] == 20
    assert slope == pytest.approx(20, abs=0.3)


def test_amplitudes_drift_too():
    insertion = simulate_insertion(units=[Unit(depth=500, rate=20, amplitude=100, amplitude_drift=-0.2)], duration=3600)
    spikes = insertion.objects["spikes"]
    slope = np.polyfit(spikes["times"] / 3600, 1e6 * spikes["amps"], 1)[0]
    assert slope == pytest.approx(-20, abs=0.7)


def test_sites_lie_along_the_track_in_its_regions(insertion):
    channels = insertion.objects["channels"]
    steps = np.diff(channels["mlapdv"][::2], axis=0)
    assert np.linalg.norm(steps, axis=1) == pytest.approx(20, abs=0.2)
    assert np.all(channels["mlapdv"][1:, 2] >= channels["mlapdv"][:-1, 2]), "the tip is the lowest"
    ids = channels["brainLocationIds_ccf_2017"]
    assert ids[0] == 1020, "PO at the tip"
    assert set(ids) <= {layer[2] for layer in TRACKS["posterior"].layers}
    assert len(set(ids)) >= 12
    changes = np.flatnonzero(np.diff(ids))
    assert len(changes) == len(set(ids)) - 1, "every region once"


def test_regions_are_those_of_the_allen_atlas():
    """The ids and acronyms of the tracks, against the ontology that iblatlas carries."""
    regions = pytest.importorskip("iblatlas.regions", reason="iblatlas is not installed")
    atlas = regions.BrainRegions()
    for track in TRACKS.values():
        for _, acronym, number in track.layers:
            assert atlas.id2acronym(number).tolist() == [acronym]


def test_the_same_seed_gives_the_same_arrays(trials):
    first, second, other = (simulate_insertion(trials, 5, seed) for seed in (1, 1, 2))
    assert first.truth == second.truth
    assert first.uuids == second.uuids
    assert np.array_equal(first.objects["spikes"]["amps"], second.objects["spikes"]["amps"])
    assert first.truth != other.truth


def test_an_insertion_may_hold_no_unit_at_all():
    empty = simulate_insertion(n_units=0, duration=10.0, n_silent=0)
    assert len(empty.objects["spikes"]["times"]) == 0
    assert empty.objects["clusters"]["waveforms"].shape == (0, 82, 32)


def test_files_are_alf_and_hold_the_arrays(tmp_path, insertion):
    session = tmp_path / "lab" / "Subjects" / "mouse" / "2024-01-01" / "001"
    folder = write_insertion(session, insertion)
    assert folder == session / "alf" / "probe00"
    names = sorted(path.name for path in folder.iterdir())
    assert all(is_valid(name) for name in names)
    assert "channels.brainLocationIds_ccf_2017.npy" in names
    for name in names:
        if name.endswith(".npy"):
            _, attribute, _ = name.split(".")
            values = insertion.objects[name.split(".")[0]][attribute]
            assert np.array_equal(np.load(folder / name, allow_pickle=False), values)
    metrics = pq.read_table(folder / "clusters.metrics.pqt")
    assert metrics["ks2_label"].to_pylist()[-1] == "noise"
    assert (folder / "clusters.uuids.csv").read_text().split() == ["uuids", *insertion.uuids]


@pytest.mark.slow
def test_raw_samples_hold_the_waveforms_at_the_spikes(tmp_path):
    """The average around the spikes of a unit is its waveform, to the error that the noise leaves."""
    units = [Unit(depth=100, rate=20, amplitude=150, amplitude_sd=0.01), Unit(depth=280, rate=15, amplitude=90)]
    insertion = simulate_insertion(units=units, duration=20.0, n_sites=32)
    path = write_recording(tmp_path, insertion, seconds=20.0, noise=5.0)
    assert path.name == "_spikeglx_ephysData_g0_t0.imec0.ap.bin"
    meta = read_meta(path)
    assert (meta.n_channels, meta.sample_rate, meta.n_samples) == (33, 30_000, 600_000)
    raw = np.fromfile(path, np.int16).reshape(-1, 33)
    assert meta.volts_per_bit[0] * 1e6 * raw[:, :-1].std(axis=0).min() == pytest.approx(5, rel=0.1)
    spikes, clusters = insertion.objects["spikes"], insertion.objects["clusters"]
    for number, unit in enumerate(units):
        at = spikes["samples"][spikes["clusters"] == number]
        at = at[(at > 100) & (at < 599_900)]
        channels = clusters["waveformsChannels"][number]
        cut = raw[at[:, None] + np.arange(-30, 52)][:, :, channels].mean(axis=0) * meta.volts_per_bit[0]
        error = 5e-6 / np.sqrt(len(at))
        assert np.abs(cut - clusters["waveforms"][number]).max() < 6 * error + 3e-2 * 1e-6 * unit.amplitude
    assert set(np.unique(raw[:, -1])) == {0, 64}


def test_a_recording_may_begin_anywhere(tmp_path):
    """Two halves are the whole but for the noise: spikes across the seam are in both."""
    insertion = simulate_insertion(units=[Unit(depth=60, rate=100)], duration=2.0, n_sites=8, seed=1)
    parts = [
        np.fromfile(write_recording(tmp_path / str(k), insertion, s, noise=0.0, start=b), np.int16).reshape(-1, 9)
        for k, (s, b) in enumerate([(2.0, 0.0), (1.0, 0.0), (1.0, 1.0)])
    ]
    assert np.array_equal(parts[0], np.concatenate(parts[1:]))
    assert parts[0][:, :-1].min() < -20


@pytest.mark.slow
def test_lf_band_has_its_rhythm_in_the_hippocampus(tmp_path, insertion):
    path = write_recording(tmp_path, insertion, seconds=4.0, band="lf", probe="probe01")
    assert path.name.endswith(".imec1.lf.bin")
    meta = read_meta(path)
    assert (meta.band, meta.sample_rate, meta.n_channels) == ("lf", 2500, 385)
    assert meta.volts_per_bit[0] * 1e6 == pytest.approx(4.6875)
    volts = np.fromfile(path, np.int16).reshape(-1, 385)[:, :-1] * meta.volts_per_bit[0]
    power = np.abs(np.fft.rfft(volts, axis=0)) ** 2
    frequency = np.fft.rfftfreq(len(volts), 1 / 2500)
    inside = np.flatnonzero(insertion.objects["channels"]["brainLocationIds_ccf_2017"] == 382)
    assert frequency[power[1:, inside].mean(axis=1).argmax() + 1] == 8
    assert power[:, inside].mean(axis=1)[32] > 20 * power[:, :20].mean(axis=1)[32]


def test_drawn_populations_have_all_kinds(trials):
    units = draw_units(300, np.random.default_rng(0), 3000.0)
    assert 0.35 < np.mean([bool(unit.responses) for unit in units]) < 0.65
    assert 0.2 < np.mean([unit.label == "mua" for unit in units]) < 0.4
    assert {response.event for unit in units for response in unit.responses} == {
        "stim_on",
        "first_movement",
        "feedback",
    }
    assert all(0 <= begin < end <= 3000 for unit in units for begin, end in unit.gaps)


@pytest.mark.parametrize("kind", damage.KINDS)
def test_damage_is_one_file_of_the_insertion(tmp_path, kind):
    """Only the named file differs from the valid session, nothing was executed, and its path is below the root."""
    folders = [tmp_path / name / "simlab" / "Subjects" / "mouse" / "2023-09-04" / "001" for name in ("good", "bad")]
    for folder in folders:
        damage.write_valid(folder)
    (entry,) = damage.KINDS[kind](folders[1])
    contents = [
        {path.relative_to(folder.parents[4]).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}
        for folder in folders
    ]
    assert {path for path in contents[1] if contents[0][path] != contents[1][path]} == {entry.path}
    assert entry.reason in REASONS
    assert not lab_damage.marker(folders[1]).exists()


@pytest.mark.slow
def test_a_lab_has_probes_in_its_first_ephys_sessions(tmp_path):
    """Two in the first with raw samples, one in the next; mice and trials are those of a lab without probes."""
    with_probes = json.loads(write_lab(tmp_path / "a", 1, 20, wheel=False, ephys=2, n_units=5).read_text())
    without = json.loads(write_lab(tmp_path / "b", 1, 20, wheel=False).read_text())
    assert with_probes["sessions"] == without["sessions"]
    assert not without["insertions"]
    ephys = [item["path"] for item in without["sessions"] if item["stage"] == "ephys"]
    collected = [(item["path"], item["probe"]) for item in with_probes["insertions"]]
    assert collected == [(ephys[0], "probe00"), (ephys[0], "probe01"), (ephys[1], "probe00")]
    for item in with_probes["insertions"]:
        times = np.load(tmp_path / "a" / item["path"] / "alf" / item["probe"] / "spikes.times.npy")
        assert len(times) == item["n_spikes"] == sum(unit["n_spikes"] for unit in item["units"])
        assert len(item["units"]) == 5
    raw = sorted(path.name for path in (tmp_path / "a").rglob("*.bin"))
    assert raw == [f"_spikeglx_ephysData_g0_t0.imec0.{band}.bin" for band in ("ap", "lf")]
    session = tmp_path / "a" / ephys[0]
    described = json.loads((session / "alf" / "probes.description.json").read_text())
    meta = read_meta(next(session.rglob("*.ap.bin")))
    assert [item["label"] for item in described] == ["probe00", "probe01"]
    assert str(described[0]["serial"]) == meta.serial
    (planned, _) = json.loads((session / "alf" / "probes.trajectory.json").read_text())
    assert planned["theta"] == 15
