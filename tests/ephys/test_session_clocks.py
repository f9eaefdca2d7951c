"""Two probes and a NIDQ on clocks of their own: any sample of any of them has its time in the session."""

from __future__ import annotations

import json
from pathlib import Path

import cbin
import numpy as np
import pytest

from ingest import sync_files
from ingest.programs.sorting import imports
from pipeline import acquisition, data, ephys
from pipeline.electrophysiology import clocks
from pipeline.electrophysiology.clocks import Stream
from pipeline.errors import NeurojointError
from tests.ephys import trees
from tests.ingest.tree import ingest

SECONDS = 20.0
DEVICES = {  # rate, samples that the device counts too many (ppm), session time of its first sample
    "nidq": (10_000.0, 0.0, 0.0),
    "imec0": (30_000.0, 60.0, 0.213),
    "imec1": (30_001.5, -45.0, -0.118),
}
PULSES = np.cumsum(np.random.default_rng(3).uniform(0.1, 0.3, 90))
FRAMES = np.arange(1.0, 19.0, 1 / 30)


def write(session: Path, device: str, piece: str = "g0_t0", first_sample: int = 7, begin: float = 0.0) -> np.ndarray:
    """A recording whose first channel is a ramp; pulses of the sync on bit 6 of a probe and 1 of the NIDQ, frames on 3.

    Returns the session time of each sample.
    """
    rate, ppm, start = DEVICES[device]
    n = int(SECONDS * rate)
    times = begin + start + np.arange(n) / (rate * (1 + ppm * 1e-6))
    is_probe = device.startswith("imec")
    word = np.zeros(n, np.int16)
    for bit, moments, width in ((6 if is_probe else 1, PULSES, 0.05), *(() if is_probe else ((3, FRAMES, 0.01),))):
        for moment in begin + moments:
            low, high = np.searchsorted(times, [moment, moment + width])
            word[low:high] |= 1 << bit
    samples = np.column_stack([np.arange(n) % 10_000, word]).astype(np.int16)
    folder = session / "raw_ephys_data" / (f"probe0{device[-1]}" if is_probe else "")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"2024-05-01_run_{piece}.{device}{'.ap' if is_probe else ''}.bin"
    samples.tofile(path)
    common = {"fileSizeBytes": samples.nbytes, "nSavedChans": 2, "firstSample": first_sample}
    if is_probe:
        fields = {"typeThis": "imec", "snsApLfSy": "1,0,1", "imSampRate": rate, "imAiRangeMax": 0.6, "imMaxInt": 512,
                  "imDatPrb_type": 0, "imDatPrb_pn": "NP1000", "acqApLfSy": "384,384,1",
                  "snsSaveChanSubset": "0,768", "~imroTbl": "(0,1)(0 0 0 500 250 1)"}  # fmt: skip
    else:
        fields = {"typeThis": "nidq", "snsMnMaXaDw": "0,0,1,1", "niSampRate": rate, "niAiRangeMax": 5, "niMNGain": 1,
                  "niMAGain": 1, "snsSaveChanSubset": "all", "acqMnMaXaDw": "0,0,1,1"}  # fmt: skip
    text = "".join(f"{key}={value}\n" for key, value in (fields | common).items())
    path.with_suffix(".meta").write_text(text)
    return times


@pytest.mark.slow
def test_every_recording_is_in_session_time(database, tmp_path):
    """Aligned within 0.1 ms of the truth; raw samples come by session time; frames of a camera are events."""
    session = tmp_path / trees.SESSION
    truth = {device: write(session, device) for device in DEVICES}
    ingest(tmp_path)
    assert len(ephys.Recording()) == 3, "also under a name with a date in it"
    ephys.SessionClock.populate()
    assert ephys.SessionClock.fetch1("clocks_qc") == "PASS"
    rows = {row["rel_path"].split(".")[1]: row for row in _streams()}
    assert {name: row["clock_source"] for name, row in rows.items()} == {
        "nidq": "reference", "imec0": "aligned", "imec1": "aligned",
    }  # fmt: skip
    for device, times in truth.items():
        clock = ephys.clock(rows[device])
        converted = clock.convert(np.arange(len(times)))
        assert np.abs(converted - times).max() < 1e-4
        np.testing.assert_allclose(clock.invert(converted), np.arange(len(times)), atol=1e-6)
    assert rows["imec0"]["clock_drift"] == pytest.approx(-60, abs=3)
    assert rows["imec0"]["clock_line"] == 1 and rows["imec0"]["n_pulses"] >= 85
    camera = (ephys.SessionClock.Line & {"dataset_id": rows["nidq"]["dataset_id"], "line": 3}).fetch1()
    rising = camera["line_samples"][camera["line_polarities"] > 0]
    np.testing.assert_allclose(ephys.clock(rows["nidq"]).convert(rising), FRAMES, atol=1.1e-4)
    pid = (ephys.ProbeInsertion & {"probe_label": "probe01"}).fetch1("pid")
    times, volts = ephys.raw_snippet(pid, 12.0)
    assert len(times) == pytest.approx(0.04 * 30_001.5, abs=2) and abs(times.mean() - 12.0) < 1e-3
    expected = np.searchsorted(truth["imec1"], times[0] - 1e-5)
    bit = 0.6 / 512 / 500
    assert volts[:, 0] == pytest.approx((np.arange(expected, expected + len(times)) % 10_000) * bit, abs=1.5 * bit)


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_clocks_are_written_as_alf_files_and_read_back(database, tmp_path):
    """Timestamps and sync objects give the same times again; the pulses judge the files; cameras fit their line."""
    session = tmp_path / trees.SESSION
    truth = {device: write(session, device) for device in ("nidq", "imec0")}
    wiring = {"SYNC_WIRING_DIGITAL": {"P0.3": "left_camera", "P0.1": "imec_sync", "P0.7": ""}}
    (session / "raw_ephys_data/2024-05-01_run_g0_t0.nidq.wiring.json").write_text(json.dumps(wiring))
    (session / "alf").mkdir()
    late = FRAMES + 4e-4
    np.save(session / "alf/_ibl_leftCamera.times.npy", FRAMES)
    np.save(session / "alf/_ibl_rightCamera.times.npy", np.delete(late, np.s_[100:120]))
    np.save(session / "alf/_ibl_bodyCamera.times.npy", np.arange(1.0, 19.0, 1 / 47.3))
    ingest(tmp_path)
    ephys.SessionClock.populate()
    cameras = {row["camera"]: row for row in ephys.SessionClock.Camera().to_dicts()}
    left, right, body = (cameras[side] for side in ("left", "right", "body"))
    assert (left["camera_line"], left["n_matched"], left["camera_qc"]) == (3, len(FRAMES), "PASS")
    assert right["camera_line"] == 3 and right["camera_offset"] == pytest.approx(4e-4, abs=1.1e-4)
    assert right["n_matched"] == right["n_timed_frames"] == len(FRAMES) - 20
    assert (body["camera_line"], body["camera_qc"]) == (None, "NOT_SET")
    events = ephys.sync_events((ephys.SessionClock & {}).fetch1("KEY"))
    lines = ephys.SessionClock.Line & {"line_name": "left_camera"}
    assert lines.fetch1("line") == 3
    frames = ephys.sync_events((acquisition.Session()).fetch1("KEY"), line="left_camera")
    np.testing.assert_allclose(frames["times"][frames["polarities"] > 0], FRAMES, atol=1.1e-4)
    with pytest.raises(NeurojointError, match=r"no line laser.*imec_sync, left_camera"):
        ephys.sync_events((acquisition.Session()).fetch1("KEY"), line="laser")
    made = sync_files.write(session)
    from one_bridge import ONE

    table = ONE().load_object(str(acquisition.Session.fetch1("eid")), "syncLines")
    assert not data.Quarantine(), "the wiring file is known"
    assert dict(zip(table["channel"], table["name"], strict=True)) == {1: "imec_sync", 3: "left_camera"}
    assert sorted(path.name.partition(".")[0] for path in made.files).count("_spikeglx_sync") == 6
    path = next((session / "raw_ephys_data/probe00").glob("*.timestamps.npy"))
    table = np.load(path)
    samples = np.arange(0, len(truth["imec0"]), 1000)
    assert np.abs(np.interp(samples, *table.T) - truth["imec0"][samples]).max() < 1e-4
    assert not sync_files.write(session).files, "what is there stays"
    (ephys.SessionClock & {}).delete(prompt=False)
    key = (acquisition.Session & {}).fetch1("KEY")
    again = ephys.sync_events(key)
    for name, values in events.items():
        np.testing.assert_allclose(again[name], values, atol=1e-9)
    ephys.SessionClock.populate()
    row = next(row for row in _streams() if row["rel_path"].endswith("imec0.ap.bin"))
    assert (row["clock_source"], row["clock_qc"], row["clock_line"]) == ("timestamps", "PASS", 1)
    np.save(path, table * [1, 1.0005])  # runs away
    ingest(tmp_path)
    (ephys.SessionClock & {}).delete(prompt=False)
    ephys.SessionClock.populate()
    row = next(row for row in _streams() if row["rel_path"].endswith("imec0.ap.bin"))
    assert row["clock_qc"] == "FAIL"


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_spikes_are_imported_by_the_clock_of_their_probe(database, tmp_path):
    """A probe that begins 0.2 s after the NIDQ and counts faster; two gates, through which the sorter counted on."""
    session = tmp_path / trees.SESSION
    write(session, "nidq")
    write(session, "nidq", "g1_t0", 400_007, begin=40.0)
    truth = [write(session, "imec0"), write(session, "imec0", "g1_t0", 1_200_007, begin=40.0)]
    n = len(truth[0])
    samples = np.array([30, 90_000, n - 10, n + 5, n + 300_000])
    folder = session / "raw_ephys_data/probe00/kilosort4"
    folder.mkdir()
    np.save(folder / "spike_times.npy", samples)
    np.save(folder / "spike_clusters.npy", np.zeros(5, int))
    ingest(tmp_path)
    (made,) = imports.import_folder(folder)
    assert any("in this order" in note for note in made.notes)
    times = np.load(made.folder / "spikes.times.npy")
    np.testing.assert_allclose(times, np.concatenate(truth)[samples], atol=1e-4)
    assert not any("not aligned" in note for note in made.notes)


def test_pieces_without_pulses_keep_their_distance():
    """As the header says when each began; that they are not aligned stays a warning."""
    pieces = [
        Stream(str(i), f"r_g{i}_t0.imec1.ap.bin", "ap", "probe01", 100.0, 50, first) for i, first in enumerate((7, 507))
    ]
    other = Stream("o", "r_g0_t0.imec0.ap.bin", "ap", "probe00", 100.0, 50, 7)
    made = {
        session_clock.stream.dataset_id: session_clock
        for session_clock in clocks.session_clocks([*pieces, other], {}, {})
    }
    assert [float(made[i].clock.convert(0)) for i in ("0", "1")] == [0.0, 5.0]
    assert {made[i].qc for i in ("0", "1")} == {"WARNING"} and made["o"].source == "reference"


def test_an_analog_line_that_switches_is_a_line(tmp_path):
    """TTL on an analog input, with noise and slow edges, has the edges that were drawn; a wave has none."""
    chance, rate = np.random.default_rng(0), 10_000.0
    n = int(20 * rate)
    times = np.arange(n) / rate
    edges = np.sort(chance.choice(np.arange(100, n - 100, 50), 60, replace=False))
    level = np.zeros(n)
    for first, last in edges.reshape(-1, 2):
        level[first:last] = 3.3
    slow = np.convolve(level, np.ones(5) / 5, "full")[:n] + chance.normal(0, 0.05, n)
    wave = 2 * np.sin(times)
    bit = 5 / 32768
    samples = np.column_stack([wave / bit, slow / bit, np.zeros(n)]).astype(np.int16)
    samples.tofile(tmp_path / "a.bin")
    with cbin.RawReader(tmp_path / "a.bin", 3, rate, volts_per_bit=[bit, bit, 1.0]) as recording:
        result = clocks.read_changes(recording, with_analog=True)
        assert not clocks.read_changes(recording)
    assert sorted(result) == [17], "after the 16 lines of the digital word"
    assert np.abs(result[17][0] - edges).max() <= 4 and result[17][1].tolist() == [1, -1] * 30


@pytest.mark.slow
def test_timestamps_beside_a_recording_go_first(database, tmp_path):
    """A file of samples and times counts before pulses; one that cannot be is an error that names it."""
    session = tmp_path / trees.SESSION
    for device in ("nidq", "imec0"):
        write(session, device)
    path = next((session / "raw_ephys_data/probe00").glob("*.bin"))
    beside = clocks.timestamps_path(path)
    np.save(beside, np.array([[0, 100.0], [300_000, 110.5]]))
    ingest(tmp_path)
    row = (ephys.Recording & {"band": "ap"}).fetch1()
    assert ephys.clock(row).convert([0, 150_000]).tolist() == [100.0, 105.25], "before the clocks are computed"
    ephys.SessionClock.populate()
    assert ephys.clock(row).convert([0, 150_000, 330_000]).tolist() == pytest.approx([100.0, 105.25, 111.5])
    np.save(beside, np.array([[0, 100.0], [300_000, 90.0]]))
    with pytest.raises(NeurojointError, match="no ascending samples"):
        clocks.from_file(beside, 30_000.0)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ([[0, 213.0], [240_000, 8213.0]], "30 samples a second, but its recording 30,000"),
        ([[0.213, 0], [8.213, 240_000]], "but its recording 30,000"),
        ([[0, 1.0], [30_000, 2.0], [60_000, 1.5]], r"row 2 \(from 0\): the time 1.5 is not after 2"),
        ([[0, 1.0], [30_000, np.nan]], "not a finite number"),
    ],
)
def test_timestamps_in_other_units_are_refused(tmp_path, table, said):
    """In ms, or with the columns exchanged; the file of a probe may count samples of the AP beside its LF."""
    path = tmp_path / "r_g0_t0.imec0.timestamps.npy"
    np.save(path, np.array(table))
    with pytest.raises(NeurojointError, match=said):
        clocks.from_file(path, 30_000.0)
    np.save(path, np.array([[0, 1.0], [30_000, 2.0]]))
    assert clocks.from_file(path, 2500.0).convert([15_000.0]).tolist() == [1.5]


def test_timestamps_may_have_the_name_of_the_file_of_the_probe(tmp_path):
    lf, ap = (tmp_path / f"r_g0_t0.imec0.{band}.cbin" for band in ("lf", "ap"))
    of_probe = tmp_path / "r_g0_t0.imec0.timestamps.npy"
    assert clocks.timestamps_path(ap) == clocks.timestamps_path(lf) == of_probe
    for name in ("r_g0_t0.imec0.ap.timestamps.npy", "r_g0_t0.imec0.lf.timestamps.npy"):
        np.save(tmp_path / name, np.array([[0, 1.0], [30_000, 2.0]]))
    assert clocks.timestamps_path(ap).name == "r_g0_t0.imec0.ap.timestamps.npy"
    assert clocks.timestamps_path(lf) == of_probe


def test_pieces_follow_each_other():
    """Two gates: the second begins where the NIDQ had counted to; each probe goes with the NIDQ of its gate."""
    rate = 10_000.0
    streams = [
        Stream(f"{device}{gate}", f"raw/x_g{gate}_t0.{device}.{'ap.' if device == 'imec0' else ''}bin",
               "ap" if device == "imec0" else "nidq", "probe00" if device == "imec0" else "", rate, 200_000,
               1000 + gate * 500_000)
        for gate in (0, 1) for device in ("imec0", "nidq")
    ]  # fmt: skip
    pulses = (PULSES * rate).astype(int)
    rises = pulses, np.ones(len(pulses), np.int8)
    late = pulses + 300, np.ones(len(pulses), np.int8)
    changes = {"imec00": {6: rises}, "nidq0": {2: rises}, "imec01": {6: late}, "nidq1": {2: rises}}
    collected = {
        session_clock.stream.dataset_id: session_clock for session_clock in clocks.session_clocks(streams, changes, {})
    }
    assert collected["nidq1"].clock.convert(0) == 50.0
    assert collected["imec00"].clock.convert(0) == pytest.approx(0.0, abs=1e-6)
    assert collected["imec01"].clock.convert(0) == pytest.approx(50.0 - 0.03, abs=1e-6)
    lone = clocks.session_clocks(streams[:1], {}, {})
    assert (lone[0].source, lone[0].qc) == ("reference", "NOT_SET")
    silent = clocks.session_clocks(streams[:2], {"nidq0": {2: rises}}, {})
    assert (silent[0].source, silent[0].qc) == ("unaligned", "WARNING") and "no pulses" in silent[0].note


def _streams() -> list[dict]:
    from pipeline import data

    return (ephys.SessionClock.Stream * data.Dataset.proj("rel_path")).to_dicts()
