"""Protects the clocks of sessions with a NIDQ: trials, wheel and spikes are in one time, known to a tenth of a ms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ingest.programs.tasks import behavior, camera, synchronise
from pipeline.analysis.clocks import Clock
from pipeline.electrophysiology import clocks
from pipeline.tasks import kinds
from pipeline.tasks.kinds import TaskFailure
from pipeline.tasks.plan import matching
from tests.ephys import test_session_clocks as recordings
from tests.ingest.agent import rigs

pytestmark = pytest.mark.slow
RATE = 5000.0
TASK = {"label": "00", "folder": "raw_behavior_data", "collection": "alf"}
DRIFT, OFFSET = 35e-6, 41.234
META = {"typeThis": "nidq", "snsMnMaXaDw": "0,0,1,1", "niSampRate": RATE, "niAiRangeMax": 5, "niMNGain": 1,
        "niMAGain": 1, "snsSaveChanSubset": "all", "acqMnMaXaDw": "0,0,1,1", "nSavedChans": 2,
        "firstSample": 0}  # fmt: skip


def session_time(times):
    """Session time of the state machine's, which drifts, begins 41 s later and bends a little."""
    times = np.asarray(times, float)
    return OFFSET + times * (1 + DRIFT) + 2e-4 * np.sin(times / 40)


def nidq(folder: Path, pulses: dict[int, list[tuple[np.ndarray, float]]], analog: list | None = None) -> Path:
    """A recording of a NIDQ; line -> starts (s, session time) and length (s) of its pulses."""
    last = max(float(np.max(at)) for result in [*pulses.values(), analog or []] for at, _ in result)
    samples = np.zeros((int((last + 5) * RATE), 2), np.int16)
    for bit, result in pulses.items():
        for starts, length in result:
            for start in starts:
                samples[round(start * RATE) : round(start * RATE) + max(round(length * RATE), 1), 1] |= 1 << bit
    for starts, length in analog or []:
        for start in starts:
            samples[round(start * RATE) : round(start * RATE) + max(round(length * RATE), 1), 0] = 15_000
    path = folder / "raw_ephys_data/_spikeglx_ephysData_g0_t0.nidq.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    samples.tofile(path)
    told = META | {"fileSizeBytes": samples.nbytes}
    path.with_suffix(".meta").write_text("".join(f"{name}={value}\n" for name, value in told.items()))
    return path


def starts_of(folder: Path, tmp_path: Path) -> np.ndarray:
    return behavior.trial_starts(rigs.job(tmp_path, folder, TASK))


def machine(starts: np.ndarray, missing: tuple[int, ...] = ()) -> list[tuple[np.ndarray, float]]:
    """What a state machine sends: short pulses at the starts of trials, long ones for valve and pause between."""
    marked = np.delete(session_time(starts), list(missing))
    return [(marked, 4e-4), (session_time(starts)[::2] + 1.31, 0.05), (session_time(starts) + 2.07, 0.2)]


@pytest.mark.parametrize("where", ["digital", "analog", "one missing"])
def test_trials_and_wheel_of_a_real_session_are_in_the_time_of_the_nidq(tmp_path, where):
    folder = rigs.training(tmp_path / "s")
    starts = starts_of(folder, tmp_path)
    other = np.cumsum(np.random.default_rng(0).uniform(0.3, 1.5, int(starts[-1])))
    told = machine(starts, (5,) if where == "one missing" else ())
    lines = {3: [(other, 0.1)]} | ({} if where == "analog" else {6: told})
    nidq(folder, lines, told if where == "analog" else None)
    job = rigs.job(tmp_path, folder, TASK)
    made = tmp_path / "scratch/outputs/alf"
    behavior.trials(job)
    behavior.wheel(job)
    table, position = pd.read_parquet(made / "_ibl_trials.table.pqt"), np.load(made / "_ibl_wheel.position.npy")
    stamps = np.load(made / "_ibl_wheel.timestamps.npy")
    synchronise.trials(job)
    synchronise.wheel(job)
    result = pd.read_parquet(made / "_ibl_trials.table.pqt")
    for name in table.columns:
        is_time = name.endswith("_times") or name.startswith("intervals")
        expected = session_time(table[name]) if is_time else table[name]
        np.testing.assert_allclose(result[name], expected, atol=3e-4, err_msg=name)
    np.testing.assert_allclose(np.load(made / "_ibl_wheel.timestamps.npy"), session_time(stamps), atol=3e-4)
    assert np.array_equal(np.load(made / "_ibl_wheel.position.npy"), position)


@pytest.mark.parametrize("fault", ["no line", "another session", "two lines", "no header", "two recordings"])
def test_what_no_pulse_shows_is_refused(tmp_path, fault):
    folder = rigs.training(tmp_path / "s")
    starts = starts_of(folder, tmp_path)
    other = np.cumsum(np.random.default_rng(1).uniform(3, 9, len(starts)))
    lines = {6: machine(starts)}
    if fault == "no line":
        lines = {1: [(np.arange(1.0, 60.0, 0.1), 0.01)]}
    if fault == "another session":
        lines = {6: [(other, 4e-4)]}
    if fault == "two lines":
        lines[2] = machine(starts)
    path = nidq(folder, lines)
    if fault == "no header":
        path.with_suffix(".meta").unlink()
    if fault == "two recordings":
        for end in (".bin", ".meta"):
            path.with_name("other_g1_t0.nidq.bin").with_suffix(end).write_bytes(path.with_suffix(end).read_bytes())
    with pytest.raises(TaskFailure):
        synchronise.trials(rigs.job(tmp_path, folder, TASK))
    assert not rigs.outputs(tmp_path)


def test_recordings_get_clocks_and_one_without_pulses_none(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "SECONDS", 12.0)
    folder = tmp_path / "s"
    truth = {device: recordings.write(folder, device) for device in recordings.DEVICES}
    job = rigs.job(tmp_path, folder, {"folder": "raw_ephys_data"})
    synchronise.recordings(job)
    made = tmp_path / "scratch/outputs/raw_ephys_data"
    for device, times in truth.items():
        (path,) = made.rglob("*_t0.timestamps.npy" if device == "nidq" else f"*.{device}.timestamps.npy")
        clock: Clock = clocks.from_file(path, recordings.DEVICES[device][0])
        np.testing.assert_allclose(clock.convert(np.arange(len(times)))[::1000], times[::1000], atol=2e-4)
    kind = kinds()["synchronise"]
    for path in rigs.outputs(tmp_path):
        assert any(matching(pattern, job.arguments, [path]) for pattern in kind.outputs), path
    for pattern in kind.required:
        assert matching(pattern, job.arguments, rigs.outputs(tmp_path))
    silent = next((folder / "raw_ephys_data/probe01").glob("*.bin"))
    samples = np.fromfile(silent, np.int16).reshape(-1, 2)
    samples[:, 1] = 0
    samples.tofile(silent)
    with pytest.raises(TaskFailure, match=r"1 of 3 recordings have no clock: .*imec1.*no pulses"):
        synchronise.recordings(rigs.job(tmp_path, folder, job.arguments))


LEFT = {"label": "left", "folder": "raw_video_data"}


def camera_files(folder: Path, taken: np.ndarray, saved: np.ndarray, audio: np.ndarray, form: str) -> np.ndarray:
    """The files that a camera writes for the frames `saved` of those that it has `taken` (s, session time)."""
    place = folder / "raw_video_data"
    place.mkdir(parents=True, exist_ok=True)
    times = taken[saved]
    ticks = np.round((times - times[0]) * 1.0001 * 8000).astype(np.int64)
    register = (ticks // 8000 % 128 << 25) | (ticks % 8000 << 12)
    up = [(audio > taken[max(k - 1, 0)]) & (audio <= taken[k]) for k in saved]
    pins = np.array([item.any() for item in up]) * 2.0**28
    if form == "frameData":
        rows = np.stack([times * 1e7, register, saved + 4711, pins], axis=1)
        np.rint(rows).astype("<f8").tofile(place / "_iblrig_leftCamera.frameData.bin")
        return times
    if form != "stamps":
        (saved + 4711).astype("<f8").tofile(place / "_iblrig_leftCamera.frame_counter.bin")
    if form == "GPIO":
        pins.astype("<f8").tofile(place / "_iblrig_leftCamera.GPIO.bin")
    lines = [f"2020-08-19T12:42:57.79 {item}\n" for item in register]
    (place / "_iblrig_leftCamera.timestamps.ssv").write_text("".join(lines))
    return times


def camera_session(folder: Path, form: str, more: int = 0, others: dict | None = None) -> np.ndarray:
    """A camera of 60 Hz over 40 s that lost some frames and began `more` frames before the video; its true times."""
    rng = np.random.default_rng(3)
    taken = 3.0 + np.arange(2400 + more) / 60 * (1 + 2e-5)
    saved = np.setdiff1d(np.arange(2400), [700, 701, 1500]) + more
    audio = np.sort(rng.uniform(5, 40, 12)) + np.arange(12) * 0.3
    nidq(
        folder, {0: [(taken, 0.004)], 4: [(audio, 0.1)], 5: [(np.sort(rng.uniform(1, 45, 60)), 0.01)]} | (others or {})
    )
    return camera_files(folder, taken, saved, audio, form)


@pytest.mark.parametrize(
    ("form", "more"), [("GPIO", 37), ("frameData", 5), ("frameData", 0), ("counter", 0), ("stamps", 0)]
)
def test_frames_of_a_camera_get_the_times_of_their_pulses(tmp_path, form, more):
    """Also where frames were dropped, and where pulses came before the video: pins and counters tell which is which."""
    folder = tmp_path / "s"
    true = camera_session(folder, form, more)
    camera.times_nidq(rigs.job(tmp_path, folder, LEFT))
    values = np.load(tmp_path / "scratch/outputs/alf/_ibl_leftCamera.times.npy")
    np.testing.assert_allclose(values, true, atol=1.1 / RATE)


@pytest.mark.parametrize("where", ["before", "after", "paused", "paused twice"])
def test_pulses_without_frames_are_proven_by_a_pause_or_stated_by_a_person(tmp_path, where):
    """Rigs without a GPIO file: where nothing proves it, a person says it, and the QC of the times says so."""
    folder = tmp_path / "s"
    recording = 20.0 + np.arange(1200) / 60
    if where == "paused twice":
        recording[500:] += 2.0
    taken = np.concatenate([14.0 + np.arange(90) / 60, recording])
    if where in ("before", "after"):
        taken = 18.5 + np.arange(1290) / 60
    if where == "paused twice":  # and the camera went on after the video
        taken = np.concatenate([taken, taken[-1] + np.arange(1, 40) / 60])
    first = 0 if where == "after" else 90
    saved = np.setdiff1d(np.arange(1200), [300, 301]) + first
    nidq(folder, {0: [(taken, 0.004)], 5: [(np.sort(np.random.default_rng(4).uniform(1, 45, 60)), 0.01)]})
    true = camera_files(folder, taken, saved, np.array([]), "counter")
    job = rigs.job(tmp_path, folder, LEFT)
    if where in ("before", "after"):
        with pytest.raises(TaskFailure, match=r"line 0 has 1290 pulses .* 1200 frames.*`extra_pulses: before`"):
            camera.times_nidq(job)
        (folder / "_ibl_experiment.description.yaml").write_text(
            f"devices: {{cameras: {{left: {{collection: raw_video_data, extra_pulses: {where}}}}}}}\n"
        )
    camera.times_nidq(job)
    np.testing.assert_allclose(
        np.load(tmp_path / "scratch/outputs/alf/_ibl_leftCamera.times.npy"), true, atol=1.1 / RATE
    )
    assert [f"90 pulses come {where} the frames" in words for words in job.doubts.values()] == [True] * (
        where in ("before", "after")
    )


@pytest.mark.parametrize(
    "fault", ["more pulses", "fewer pulses", "wrong word", "two cameras", "no camera", "cut file", "other session"]
)
def test_times_of_frames_that_nothing_proves_are_refused(tmp_path, fault):
    folder = tmp_path / "s"
    twin = {1: [(3.5 + np.arange(2400) / 60 * (1 + 2e-5), 0.004)]}
    form = "counter" if fault in ("more pulses", "two cameras", "wrong word") else "GPIO"
    more = 20 if fault in ("more pulses", "wrong word") else 0
    camera_session(folder, form, more, twin if fault == "two cameras" else None)
    place = folder / "raw_video_data"
    if fault == "no camera":
        nidq(folder, {5: [(np.arange(1, 40, 0.5), 0.01)]})
    if fault == "fewer pulses":  # the NIDQ was stopped before the camera
        nidq(folder, {0: [(3.0 + np.arange(2200) / 60, 0.004)]})
    if fault == "wrong word":
        (folder / "_ibl_experiment.description.yaml").write_text("devices: {cameras: {left: {extra_pulses: maybe}}}")
    if fault == "cut file":
        path = place / "_iblrig_leftCamera.GPIO.bin"
        path.write_bytes(path.read_bytes()[:-3])
    if fault == "other session":
        camera_files(folder, 3 + np.arange(900) / 60, np.arange(900), np.array([4.0, 7.1, 8.3]), "GPIO")
    words = {"more pulses": "nothing tells which pulse", "fewer pulses": "while the NIDQ did not record",
             "wrong word": "neither before nor after", "two cameras": "lines 0, 1 of", "no camera": "no line of",
             "cut file": "8 byte for each frame", "other session": "nothing tells"}[fault]  # fmt: skip
    with pytest.raises(TaskFailure, match=words):
        camera.times_nidq(rigs.job(tmp_path, folder, LEFT))
    assert not rigs.outputs(tmp_path)
    if fault == "two cameras":  # the wiring says which
        wiring = folder / "raw_ephys_data/_spikeglx_ephysData_g0_t0.nidq.wiring.json"
        wiring.write_text('{"SYNC_WIRING_DIGITAL": {"P0.0": "left_camera", "P0.1": "right_camera"}}')
        camera.times_nidq(rigs.job(tmp_path, folder, LEFT))
        assert np.load(tmp_path / "scratch/outputs/alf/_ibl_leftCamera.times.npy")[0] == pytest.approx(3.0, abs=1e-3)
