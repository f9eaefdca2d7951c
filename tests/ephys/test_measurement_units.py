"""Arrays in other units of measurement than those of ALF are converted where that is proven, refused otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.electrophysiology import array_rules, sorting
from pipeline.electrophysiology import measurement_units as mu
from pipeline.electrophysiology.reading import Reading, Recorded
from tests.ephys import trees

RATE = 30_000.0
HOUR = Recorded(RATE, 3600.0, int(3600 * RATE))


def train(n: int = 5000, seconds: float = 3000.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times (s), units and samples of random spikes."""
    chance = np.random.default_rng(seed)
    samples = np.sort(chance.integers(0, int(seconds * RATE), n))
    return samples / RATE, chance.integers(0, 5, n), samples


def test_spike_times_in_s_are_left_alone():
    times, units, samples = train()
    for recorded in (None, HOUR):
        assert mu.spike_times(times, units, samples, recorded) == mu.Verdict()
    assert mu.spike_times(times - 10, units, None, HOUR) == mu.Verdict(), "before the session"
    assert mu.spike_times(np.arange(0, 900.0, 0.2), np.zeros(4500, int), None, None) == mu.Verdict(), (
        "one clocklike unit"
    )


@pytest.mark.parametrize("kind", [np.uint64, np.int32, np.float64])
def test_samples_become_seconds_where_the_rate_is_known(kind):
    times, units, samples = train()
    verdict = mu.spike_times(samples.astype(kind), units, samples, HOUR)
    assert not verdict.wrong
    np.testing.assert_allclose(samples * verdict.factor, times)
    assert mu.spike_times(samples.astype(kind), units, None, None).wrong
    assert mu.spike_times(samples.astype(kind), units, None, Recorded(RATE, 10.0, 300_000)).wrong, (
        "beyond the recording"
    )
    assert mu.spike_times(samples.astype(kind), units, samples + 1, HOUR).wrong, "spikes.samples says otherwise"


def test_times_in_ms_and_of_32_bits_are_refused():
    times, units, _ = train()
    assert mu.spike_times(times * 1e3, units, None, None).wrong
    assert mu.spike_times(times[:1000] * 1e3, units[:1000], None, None).wrong
    assert mu.spike_times(times * 1e3, units * 0, None, HOUR).wrong, "one unit, but a recording of an hour"
    assert "coarser than a sample" in mu.spike_times(times.astype(np.float32), units, None, HOUR).wrong
    early = times[times < 200].astype(np.float32)
    assert not mu.spike_times(early, units[: len(early)], None, HOUR).wrong, "fine enough up to 256 s"


def test_spikes_beyond_the_recording_are_a_doubt():
    times, units, _ = train(seconds=300.0)
    verdict = mu.spike_times(times, units, None, Recorded(RATE, 0.31, 9300))
    assert not verdict.wrong and "0.3 s" in verdict.note


@given(st.floats(20, 800), st.sampled_from([1.0, -1.0]))
def test_amplitudes_count_by_their_size(microvolts, sign):
    chance = np.random.default_rng(0)
    volts = sign * microvolts * 1e-6 * chance.uniform(0.5, 2, 3000)
    verdict = mu.amplitudes(volts)
    assert not verdict.wrong and (volts * verdict.factor > 0).all()
    assert mu.amplitudes(volts * 1e6).wrong and mu.amplitudes(volts * 1e3 * 25).wrong


def test_amplitudes_that_say_nothing():
    assert mu.amplitudes(np.full(50, np.nan)).wrong
    assert mu.amplitudes(np.tile([1e-4, -1e-4], 50)).wrong
    assert not mu.amplitudes(np.empty(0)).wrong


@given(st.floats(100, 7000))
def test_depths_in_mm(span):
    true = np.random.default_rng(1).uniform(20, span, 200)
    assert mu.depths(true) == mu.depths(true, true) == mu.Verdict()
    proven = mu.depths(true / 1e3, true)
    np.testing.assert_allclose(true / 1e3 * proven.factor, true)
    assert "mm" in proven.note and mu.depths(true / 1e3).wrong and mu.depths(true * 1e3 + 1e5).wrong


def test_waveforms_and_widths():
    shapes = np.random.default_rng(2).normal(0, 30e-6, (8, 82, 6))
    amps = np.abs(shapes).max(axis=(1, 2))
    assert mu.waveforms(shapes) == mu.Verdict()
    assert mu.waveforms(shapes * 1e6, amps).factor == pytest.approx(1e-6)
    assert mu.waveforms(shapes * 1e6).wrong and mu.waveforms(shapes * 1e12, amps).wrong
    assert mu.waveforms(np.zeros((3, 82, 6))).wrong
    width = np.array([0.2, 0.5, -0.4, 0.7])
    assert mu.widths(width) == mu.Verdict()
    assert mu.widths(width / 1e3, width).factor == pytest.approx(1e3)
    assert mu.widths(width / 1e3).wrong and mu.widths(width * 1e3).wrong
    samples = np.round(width * 30)
    assert mu.widths(samples, width, 30_000.0).factor == pytest.approx(1 / 30) and mu.widths(samples).wrong
    steps = np.round(shapes / 2.34e-6).astype(np.int16)
    assert "whole numbers" in mu.waveforms(steps, amps).wrong, "in steps of the converter, which nobody states"


@given(st.integers(2, 400), st.sampled_from([6.0, 15.0, 20.0, 25.0]), st.integers(0, 1))
def test_places_as_numbers_of_rows_are_refused(n, pitch, first):
    rows = np.repeat(np.arange(n) + first, 2).astype(float)
    columns = np.tile([0.0, 1.0], n)
    assert bool(mu.places(np.column_stack([columns, rows])).wrong) == (n >= 3)
    assert not mu.places(np.column_stack([32 * columns, pitch * rows])).wrong


@given(st.integers(0, 4).flatmap(lambda n: st.tuples(st.just(n), st.randoms(use_true_random=False))))
def test_a_few_spikes_out_of_order_are_mended(drawn):
    """Pairs exchanged anywhere are sorted, with all columns; a clock that began again is refused."""
    n, chance = drawn
    times = np.arange(2000) * 0.01
    order = np.arange(2000)
    for at in chance.sample(range(0, 1990, 10), n):
        order[[at, at + 3]] = order[[at + 3, at]]
    disordered = array_rules.out_of_order(times[order])
    assert not disordered.wrong and (disordered.n > 0) == (n > 0)
    made = Reading(n_moved=disordered.n).mend({"spikes.times": times[order], "spikes.clusters": order})
    assert made["spikes.times"].tolist() == times.tolist() and made["spikes.clusters"].tolist() == list(range(2000))
    assert array_rules.out_of_order(np.r_[times, times]).wrong
    assert array_rules.out_of_order(times[::-1]).wrong


def test_spikes_of_no_unit_are_left_out_and_counted(tmp_path):
    files = trees.sorting()
    files["spikes.clusters"][::10] = -1
    for name, values in files.items():
        np.save(tmp_path / f"{name}.npy", values)
    result = sorting.examine({name: tmp_path / f"{name}.npy" for name in files})
    assert not result.refused
    n = int((files["spikes.clusters"] >= 0).sum())
    assert result.n_spikes == n == result.clusters["cluster_n_spikes"].sum()
    assert result.reading.n_dropped == len(files["spikes.clusters"]) - n
    assert "-1" in result.reading.notes[0]


def test_depths_that_are_counted_the_other_way():
    """Below 0 they count by their size; from the other end of the probe they are refused."""
    truth = np.array([20.0, 80, 120, 160, 220, 300])
    verdict = mu.depths(-truth + 4, truth)
    assert (verdict.factor, verdict.wrong) == (-1.0, "") and "negative" in verdict.note
    assert "fall" in mu.depths(3840 - truth, truth).wrong
    assert mu.depths(truth + 15, truth) == mu.Verdict()
    chance = np.random.default_rng(0)  # depths of a few units that have nothing to do with their channels prove nothing
    assert not any(
        mu.depths(*chance.uniform(0, 3840, (2, n_units))).wrong for n_units in (5, 6, 8, 12) for _ in range(500)
    )


@pytest.mark.parametrize("seconds", [60, 3600])
def test_times_in_minutes_and_hours_are_refused(seconds):
    recorded = Recorded(30_000.0, 4000.0, 30_000 * 4000)
    times = np.sort(np.random.default_rng(0).uniform(0, 4000, 2000))
    assert "as they would in" in mu.spike_times(times / seconds, None, None, recorded).wrong
    short = mu.spike_times(times / 300, None, None, recorded)
    assert not short.wrong and "span" in short.note, "a part of the recording was sorted: a doubt"


@pytest.mark.parametrize(
    ("damage", "refused", "mended"),
    [("none", [], []), ("from 1", [], ["clusters.channels"]), ("exchanged", ["channels.localCoordinates"], [])],
)
def test_depths_of_units_show_how_channels_are_meant(tmp_path, damage, refused, mended):
    """Channels counted from 1 are mended, columns in another order refused: else they are a site, or a probe, off."""
    chance = np.random.default_rng(1)
    places = np.column_stack([np.tile([43.0, 11.0, 59.0, 27.0], 8), np.repeat(20.0 * np.arange(16), 2)])
    channels = np.array([3, 9, 13, 17, 23, 30])
    arrays = {
        "spikes.times": np.sort(chance.uniform(0, 300, 1000)),
        "spikes.clusters": chance.integers(0, 6, 1000),
        "clusters.channels": channels + (damage == "from 1"),
        "clusters.depths": places[channels, 1],
        "channels.localCoordinates": places[:, ::-1] if damage == "exchanged" else places,
    }
    for name, values in arrays.items():
        np.save(tmp_path / f"{name}.npy", values)
    result = sorting.examine({name: tmp_path / f"{name}.npy" for name in arrays})
    assert [item.attribute for item in result.refused] == refused and result.reading.from_one == mended
    if not refused:
        assert result.clusters["cluster_channel"].tolist() == channels.tolist()
    assert result.clusters["cluster_depth"].tolist() == places[channels, 1].tolist()


def examined(folder: Path, recorded: Recorded | None = None, channel_map: dict | None = None, **changes):
    """A sorting of which some files are others; `__` in a name stands for a point."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {name.replace("__", "."): values for name, values in changes.items()}
    paths = {}
    for name, values in (trees.sorting() | given).items():
        if values is not None:
            paths[name] = folder / f"{name}.{'csv' if isinstance(values, str) else 'npy'}"
            paths[name].write_text(values) if isinstance(values, str) else np.save(paths[name], values)
    return sorting.examine(paths, recorded, channel_map)


def test_spikes_that_stand_unit_by_unit_are_sorted(tmp_path):
    files = trees.sorting()
    order = np.lexsort((files["spikes.times"], -files["spikes.clusters"]))
    given = {name.replace(".", "__"): files[name][order] for name in files if name.startswith("spikes.")}
    report = examined(tmp_path / "by_unit", **given)
    truth = examined(tmp_path / "plain")
    assert not report.refused and report.reading.n_moved == len(order) and "unit by unit" in report.reading.notes[0]
    assert (report.first, report.last, report.n_spikes) == (truth.first, truth.last, truth.n_spikes)
    given["spikes__times"] = given["spikes__times"][::-1]
    assert [item.attribute for item in examined(tmp_path / "mixed", **given).refused] == ["spikes.times"]


def test_files_that_contradict_each_other_are_refused_with_a_sentence(tmp_path):
    """Times and samples, amplitudes of units and spikes, axes of waveforms, columns of places, order of metrics."""
    files = trees.sorting()
    n, times = trees.N_CHANNELS, files["spikes.times"]
    recorded = Recorded(RATE, 60.0, int(60 * RATE))
    on_map = {
        "channels": list(range(n)),
        "lateral": [16.0] * n,
        "axial": [20.0 * i for i in range(n)],
        "shank": [0] * n,
    }
    places = np.column_stack([20.0 * np.arange(n), np.full(n, 16.0)])
    no_depths = {"clusters__depths": None, "spikes__depths": None}
    metrics = "cluster_id,quality\n" + "".join(f"{unit},good\n" for unit in (4, 2, 0, 1, 3))
    for name, sentence, changes in (
        ("spikes.times", "spikes.samples at 90,000 Hz", {"spikes__times": times / 3, "spikes__samples": times * RATE}),
        ("spikes.times", "as ms all of it", {"spikes__times": np.round(times * 1e3).astype(int)}),
        ("clusters.amps", "times those of the spikes", {"clusters__amps": files["clusters.amps"] * 10}),
        ("clusters.waveforms", "(units, samples, channels)", {"clusters__waveforms": np.full((5, n, 40), 1e-4)}),
        ("channels.localCoordinates", "in their first column",
         {"channels__localCoordinates": places, "channels__rawInd": np.arange(n), **no_depths}),
        ("clusters.metrics", "in another order", {"clusters__metrics": metrics}),
    ):  # fmt: skip
        report = examined(tmp_path / name / str(len(sentence)), recorded, on_map, **changes)
        ((attribute, _, detail),) = report.refused
        assert attribute == name and sentence in detail, detail
    assert (
        report.reading.rows == "row" and report.clusters["cluster_depth"].tolist() == files["clusters.depths"].tolist()
    )


def test_widths_with_the_other_sign_are_turned():
    widths = np.array([0.3, 0.5, -0.4, np.nan])
    assert mu.widths(widths, widths).factor == 1
    turned = mu.widths(-widths, widths)
    assert turned.factor == -1 and "sign was turned" in turned.note
    assert mu.widths(-widths / 1e3, widths).factor == -1e3
    assert mu.widths(np.array([-0.3, 0.5, -0.4, np.nan]), widths).factor == 1


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("spikes.amps", lambda values: 0 * values, "all amplitudes are 0"),
        ("clusters.shanks", lambda _: np.array(list("ABCDE")), "type <U1 where numbers"),
        ("channels.shanks", lambda _: np.array(["s0"] * trees.N_CHANNELS), "type <U2 where numbers"),
        ("clusters.waveforms", lambda _: np.full((5, 82), 1e-5), "shape (5, 82) where (units, samples, channels)"),
        ("channels.localCoordinates", lambda values: values[:, ::-1], "in their first column"),
        ("clusters.metrics", lambda _: "cluster_id,ks2_label\n0,good\n,mua\n2,good\n3,mua\n4,good\n", "row 1 (from"),
        ("clusters.metrics", lambda _: "cluster_id;ks2_label\n" + "3;good\n" * 5, "only column is"),
        ("clusters.uuids", lambda _: "uuids\n" + "x" * 36 + "\n" + "\"\"\n" * 4, "row 0 (from 0) is 'xxx"),
        ("clusters.uuids", lambda _: "uuids\n" + "8f81ad37-a9ea-4406-9de4-46531d83374b\n" * 5, "rows 0 and 1 (from"),
    ],
)  # fmt: skip
def test_what_says_nothing_is_refused_and_costs_no_other_file(tmp_path, name, change, said):
    """Places without rawInd are those of the recording's channels in their order."""
    files = trees.sorting(1)
    files[name] = change(files.get(name))
    folder = trees.write(tmp_path, files)
    there = {"lateral": [16.0] * 12, "axial": [20.0 * row for row in range(12)], "shank": [0] * 12}
    recorded = Recorded(30_000.0, 60.0, 1_800_000, "a map")
    found = sorting.examine({path.name.rpartition(".")[0]: path for path in folder.iterdir()}, recorded, there)
    ((attribute, _, detail),) = found.refused
    assert attribute == name and said in detail and len(found.clusters["cluster_id"]) == 5


def test_labels_that_say_that_there_is_none_are_none(tmp_path):
    table = "cluster_id,ks2_label\n0,\n1,good\n2,NaN\n3,nan\n4,None\n"
    folder = trees.write(tmp_path, trees.sorting(1) | {"clusters.metrics": table})
    found = sorting.examine({path.name.rpartition(".")[0]: path for path in folder.iterdir()})
    assert found.clusters["sorter_label"] == [None, "good", None, None, None]


def test_spikes_after_the_end_of_the_recording_are_a_doubt():
    files = trees.sorting(1)
    times, units = files["spikes.times"], files["spikes.clusters"]
    recorded = Recorded(30_000.0, 60.0, 1_800_000)
    assert "between 300.0 and 360.0 s" in mu.spike_times(times + 300, units, None, recorded).note
    assert not mu.spike_times(times + 5, units, None, recorded).note
