"""Each kind does its work on real or real-looking files; raw files stay where anything is wrong with them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ingest.programs import avi, ffmpeg
from ingest.programs.tasks import audio, behavior, camera, ephys, pose
from ingest.programs.tasks import video as videos
from pipeline.analysis import motion
from pipeline.analysis import pupil as pupils
from pipeline.tasks.kinds import NothingToDo, TaskFailure
from tests.ingest.agent import rigs

pytestmark = pytest.mark.slow
LEFT = {"label": "left", "folder": "raw_video_data"}
RAW = "raw_video_data/_iblrig_leftCamera.raw.avi"


@pytest.mark.parametrize(("grey", "size"), [(True, "64x48"), (False, "64x48"), (True, "66x49")])
def test_a_compressed_video_plays_in_browsers_and_has_every_frame(tmp_path, grey, size):
    source = rigs.video(tmp_path / "s" / RAW, 33, grey, size)
    job = rigs.job(tmp_path, tmp_path / "s", LEFT)
    videos.compress(job)
    packed = tmp_path / "scratch/outputs" / RAW.replace(".avi", ".mp4")
    probe, before = ffmpeg.probe(packed), ffmpeg.probe(source)
    assert (probe.codec, probe.pixel_format, probe.n_frames) == ("h264", "yuv420p", 33) and before.n_frames == 33
    assert abs(probe.duration - before.duration) < 0.01
    stamps = [frame_times(path) for path in (source, packed)]
    np.testing.assert_allclose(stamps[0], stamps[1], atol=1e-3)
    content = packed.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat") and job.gone == [RAW] and source.exists()


def frame_times(path) -> list[float]:
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time", "-of", "json"]
    said = subprocess.run([*command, str(path)], capture_output=True, check=True, text=True).stdout
    return sorted(float(packet["pts_time"]) for packet in json.loads(said)["packets"])


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_truncated_video_is_refused_with_a_sentence_and_stays(tmp_path, share):
    source = rigs.video(tmp_path / "s" / RAW, 60)
    whole = source.read_bytes()
    source.write_bytes(whole[: int(len(whole) * share)])
    job = rigs.job(tmp_path, tmp_path / "s", LEFT)
    with pytest.raises(TaskFailure, match=r"is not whole: .*stays as it is: copy it again") as caught:
        videos.compress(job)
    assert caught.value.exit == "data" and not job.gone and source.exists() and not rigs.outputs(tmp_path)


def test_a_raw_video_with_fewer_frames_than_its_header_states_stays_and_its_replacement_is_doubted(tmp_path):
    source = rigs.video(tmp_path / "s" / RAW, 20)
    content = source.read_bytes()
    at = content.index(b"00dc", len(content) // 2)
    source.write_bytes(content[:at] + b"JUNK" + content[at + 4 :])
    job = rigs.job(tmp_path, tmp_path / "s", LEFT)
    videos.compress(job)
    assert not job.gone and "states 20 frames, and it holds 19" in job.doubts[RAW.replace(".avi", ".mp4")]


def test_what_is_no_video_is_refused(tmp_path):
    source = tmp_path / "s" / RAW
    source.parent.mkdir(parents=True)
    source.write_bytes(b"RIFFnothing at all")
    assert avi.inspect(source).problem
    with pytest.raises(TaskFailure, match="is not whole"):
        videos.compress(rigs.job(tmp_path, tmp_path / "s", LEFT))
    with pytest.raises(TaskFailure, match="cannot be read as a video"):
        ffmpeg.probe(source)


def test_motion_energy_is_that_of_the_decoded_frames(tmp_path):
    source = rigs.video(tmp_path / "s" / RAW, 40)
    job = rigs.job(tmp_path, tmp_path / "s", LEFT)
    videos.compress(job)
    packed = source.with_suffix(".mp4")
    (tmp_path / "scratch/outputs" / RAW).with_suffix(".mp4").rename(packed)
    videos.motion_energy(job)  # of a region with an odd number of rows, which chroma would round
    energy = np.load(tmp_path / "scratch/outputs/alf/leftCamera.ROIMotionEnergy.npy")
    left, top, width, height = motion.in_pixels(motion.REGIONS["left"], 64, 48)
    frames = np.concatenate(list(videos.blocks(packed, 64, 48, 0, 0)))[:, top : top + height, left : left + width]
    expected = np.r_[0, np.abs(np.diff(frames.astype(float), axis=0)).mean(axis=(1, 2))]
    np.testing.assert_allclose(energy, expected)
    assert energy[1:].max() > 0 and height % 2
    some = list(videos.blocks(packed, width, height, left, top, most=7 * width * height))
    assert [len(item) for item in some] == [7] * 5 + [5]


def test_sound_becomes_flac_without_loss_and_a_cut_file_stays(tmp_path):
    rigs.need_ffmpeg()
    source = rigs.sound(tmp_path / "s/raw_behavior_data/_iblrig_micData.raw.wav")
    job = rigs.job(tmp_path, tmp_path / "s", {"label": "microphone", "folder": "raw_behavior_data"})
    audio.compress(job)
    assert rigs.outputs(tmp_path) == ["raw_behavior_data/_iblrig_micData.raw.flac"] and job.gone
    source.write_bytes(source.read_bytes()[:-1000])
    with pytest.raises(TaskFailure, match="was cut off, and stays"):
        audio.compress(rigs.job(tmp_path, tmp_path / "s", job.arguments))


def test_trials_and_wheel_of_a_real_session_become_files(tmp_path):
    folder = rigs.training(tmp_path / "s")
    expected = np.load(rigs.RIG / "session_training_ge5/expected_ibllib_4.1.0.npz")
    job = rigs.job(tmp_path, folder, {"label": "00", "folder": "raw_behavior_data", "collection": "alf"})
    behavior.trials(job)
    behavior.wheel(job)
    table = pd.read_parquet(tmp_path / "scratch/outputs/alf/_ibl_trials.table.pqt")
    for name in table.columns:
        np.testing.assert_allclose(table[name], expected[f"table.{name}"], atol=1e-6, err_msg=name)
    assert {"alf/_ibl_wheel.position.npy", "alf/_ibl_wheelMoves.intervals.npy"} <= set(rigs.outputs(tmp_path))
    data = folder / "raw_behavior_data/_iblrig_taskData.raw.jsonable"
    whole = data.read_text()
    data.write_text(whole[:-200])  # the rig was stopped in the last trial
    behavior.trials(job)
    assert len(pd.read_parquet(tmp_path / "scratch/outputs/alf/_ibl_trials.table.pqt")) == 11
    data.write_text(whole.replace('"position": 35', '"position": "x', 1))
    with pytest.raises(TaskFailure, match=r"line 1 of .* is no JSON"):
        behavior.trials(job)
    data.write_text(whole)
    told = rigs.settings_of(folder)
    del told["IBLRIG_VERSION_TAG"]
    (folder / "raw_behavior_data/_iblrig_taskSettings.raw.json").write_text(json.dumps(told))
    with pytest.raises(TaskFailure, match="do not state the version"):
        behavior.trials(job)


def test_times_of_a_camera_follow_the_pulses_of_the_state_machine(tmp_path):
    folder = tmp_path / "s"
    rigs.video(folder / RAW, 300)
    own = np.arange(300) / 30.0
    true = 0.4 + own * 1.00005
    register = (np.floor(own * 8000).astype(int) // 8000 << 25) | (np.floor(own * 8000).astype(int) % 8000 << 12)
    (folder / "raw_video_data/_iblrig_leftCamera.timestamps.ssv").write_text(
        "".join(f"2020-01-01T00:00:00 {item}\n" for item in register)
    )
    trials = []
    for begin in (0.0, 5.5):
        seen = true[(true > begin) & (true < begin + 4.5)] - begin
        trials.append({"behavior_data": {
            "Bpod start timestamp": 1.0, "Trial start timestamp": 1.0 + begin, "Trial end timestamp": 5.5 + begin,
            "States timestamps": {}, "Events timestamps": {"Port1In": seen.tolist()}}})  # fmt: skip
    (folder / "raw_behavior_data").mkdir()
    path = folder / "raw_behavior_data/_iblrig_taskData.raw.jsonable"
    path.write_text("".join(json.dumps(trial) + "\n" for trial in trials))
    job = rigs.job(tmp_path, folder, LEFT)
    camera.times(job)
    values = np.load(tmp_path / "scratch/outputs/alf/_ibl_leftCamera.times.npy")
    np.testing.assert_allclose(values, true, atol=5e-4)
    trials[1]["behavior_data"]["Events timestamps"]["Port1In"] = (np.arange(400) / 90).tolist()
    path.write_text("".join(json.dumps(trial) + "\n" for trial in trials))
    with pytest.raises(TaskFailure, match="frames were dropped|differ by"):
        camera.times(job)


def test_time_stamps_of_a_real_camera_are_even():
    path = rigs.RIG / "session_ephys/raw_video_data/_iblrig_bodyCamera.timestamps.ssv"
    if not path.exists():
        pytest.skip(f"no real recordings at {path}")
    from pipeline.analysis.camera import read_stamps

    steps = np.diff(read_stamps(path.read_text()))
    assert steps.size > 5000 and abs(np.median(steps) - 1 / 30) < 5e-4 and steps.min() > 0


def test_a_recording_is_compressed_and_its_channels_judged(tmp_path):
    folder = tmp_path / "s"
    raw = rigs.recording(folder)
    arguments = {"label": "probe00", "folder": "raw_ephys_data/probe00"}
    job = rigs.job(tmp_path, folder, arguments)
    ephys.compress(job)
    assert [path.rpartition(".")[2] for path in rigs.outputs(tmp_path)] == ["cbin", "ch"]
    assert job.gone == [raw.relative_to(folder).as_posix()]
    samples = np.fromfile(raw, np.int16).reshape(-1, 385)
    samples[:, 7], samples[:, 20] = 0, samples[:, 20] * 20
    samples.tofile(raw)
    ephys.quality(job)
    labels = np.load(tmp_path / "scratch/outputs/raw_ephys_data/probe00/_iblqc_ephysChannels.labels.npy")
    assert labels[7] == 1 and labels[20] == 2 and (labels != 0).sum() == 2
    raw.write_bytes(raw.read_bytes()[:-11])
    with pytest.raises(TaskFailure, match=r"ap\.bin"):
        ephys.compress(rigs.job(tmp_path, folder, arguments))


def test_pose_comes_from_a_program_of_others_and_becomes_alf(tmp_path):
    source = rigs.video(tmp_path / "s" / RAW, 12)
    source.rename(source.with_suffix(".mp4"))
    script = tmp_path / "tracker.py"
    script.write_text(rigs.TRACKER)
    job = rigs.job(tmp_path, tmp_path / "s", LEFT, [sys.executable, str(script), "{video}", "{output}"])
    pose.estimate(job)
    table = pd.read_parquet(tmp_path / "scratch/outputs/alf/_ibl_leftCamera.dlc.pqt")
    assert list(table.columns)[:3] == ["nose_tip_x", "nose_tip_y", "nose_tip_likelihood"] and len(table) == 12
    import shutil

    shutil.rmtree(tmp_path / "scratch/work/pose")
    for command, words in ((["false"], "exit code"), ([sys.executable, "-c", "pass"], "0 csv or h5 files")):
        with pytest.raises(TaskFailure, match=words):
            pose.estimate(rigs.job(tmp_path, tmp_path / "s", LEFT, command))
        shutil.rmtree(tmp_path / "scratch/work/pose")


def test_sleap_s_analysis_file_is_read(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["tracks"] = np.arange(2 * 2 * 5, dtype=float).reshape(1, 2, 2, 5)
        file["node_names"] = [b"paw", b"nose"]
        file["point_scores"] = np.full((1, 2, 5), 0.5)
    table, name = pose.read(tmp_path)
    assert (
        name == "pose"
        and table["nose_x"].tolist() == [5, 6, 7, 8, 9]
        and table["paw_y"].tolist() == [10, 11, 12, 13, 14]
    )


def test_files_of_real_programs_are_read_in_each_layout(tmp_path):
    """A point that was not found has the likelihood 0; what other order of axes a file states is followed."""
    files = Path(__file__).parent / "pose_files"
    table, name = pose.from_csv(files / "deeplabcut_3.0.2.csv")
    assert name == "dlc" and list(table.columns)[:3] == ["nose_tip_x", "nose_tip_y", "nose_tip_likelihood"]
    assert table.shape == (60, 6) and table.to_numpy().min() >= 0 and table["tail_likelihood"].max() < 1
    two = [pose.from_sleap(files / f"sleap_io_0.9.5{layout}.analysis.h5") for layout in ("", "_standard")]
    pd.testing.assert_frame_equal(*two)
    frame = np.delete(np.arange(60), [7, 8, 59])
    np.testing.assert_allclose(two[0]["nose_tip_x"][frame], 64 + 40 * np.sin(frame / 7))
    assert two[0]["nose_tip_x"][[7, 8, 59]].isna().all() and np.isnan(two[0]["tail_y"][20])
    assert two[0]["nose_tip_likelihood"].tolist() == [0.9 if k in frame else 0.0 for k in range(60)]
    assert two[0]["tail_likelihood"][20] == 0
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file["df_with_missing/table"] = [0]
    with pytest.raises(TaskFailure, match="save_as_csv=True"):
        pose.read(tmp_path)


def test_the_pupil_of_a_pose_has_its_diameter_in_every_frame(tmp_path):
    """A circle that breathes, with a blink and a wrong point; a model without a pupil has nothing to do."""
    source = rigs.video(tmp_path / "s" / RAW, 90)
    source.rename(source.with_suffix(".mp4"))
    n = np.arange(90)
    true = 20 + 2 * np.sin(n / 15)
    table = {}
    for name, turn in zip(pupils.POINTS, np.pi / 2 * np.arange(4), strict=True):
        table[f"{name}_x"] = 100 + true / 2 * np.sin(turn)
        table[f"{name}_y"] = 80 + true / 2 * np.cos(turn)
        table[f"{name}_likelihood"] = np.where((n > 40) & (n < 50), 0.1, 0.99)
    table["pupil_top_r_x"][60] += 300  # one point jumps: three are left
    alf = tmp_path / "s/alf"
    alf.mkdir()
    path = alf / "_ibl_leftCamera.dlc.pqt"
    pd.DataFrame(table).to_parquet(path)
    pose.pupil(rigs.job(tmp_path, tmp_path / "s", LEFT))
    result = pd.read_parquet(tmp_path / "scratch/outputs/alf/_ibl_leftCamera.features.pqt")
    raw, smooth = result["pupilDiameter_raw"].to_numpy(), result["pupilDiameter_smooth"].to_numpy()
    blink = (n > 40) & (n < 50)
    assert np.isnan(raw[blink]).all()
    np.testing.assert_allclose(raw[~blink & (n != 60)], true[~blink & (n != 60)], atol=1e-6)
    np.testing.assert_allclose(smooth, true, atol=0.4)
    pd.DataFrame({"nose_tip_x": [1.0]}).to_parquet(path)
    with pytest.raises(NothingToDo, match="does not look at the pupil"):
        pose.pupil(rigs.job(tmp_path, tmp_path / "s", LEFT))
