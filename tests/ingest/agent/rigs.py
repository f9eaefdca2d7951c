"""Raw files as rigs write them, small: videos, sound, encoder and trials."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

RIG = Path(__file__).parents[4] / "shared/realdata/raw_rig"


def need_ffmpeg() -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed: apt-get install ffmpeg")


def video(path: Path, n_frames: int = 30, grey: bool = True, size: str = "64x48", rate: int = 30) -> Path:
    """An MJPEG video with something that moves."""
    need_ffmpeg()
    path.parent.mkdir(parents=True, exist_ok=True)
    source = f"testsrc=size={size}:rate={rate}"
    command = ["ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", source, "-frames:v", str(n_frames), "-c:v", "mjpeg",
               "-pix_fmt", "gray" if grey else "yuvj422p", "-q:v", "3", "-y", str(path)]  # fmt: skip
    subprocess.run(command, check=True)
    return path


def sound(path: Path, seconds: float = 0.5) -> Path:
    import wave

    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 44100, 0, "NONE", ""))
        samples = np.random.default_rng(0).integers(-3000, 3000, (int(44100 * seconds), 2), dtype=np.int16)
        file.writeframes(samples.tobytes())
    return path


def training(folder: Path) -> Path:
    """A real training session of a rig: trials and encoder."""
    if not RIG.is_dir():
        pytest.skip(f"no real recordings at {RIG}")
    target = folder / "raw_behavior_data"
    shutil.copytree(RIG / "session_training_ge5/raw_behavior_data", target)
    for path in [target, *target.iterdir()]:
        path.chmod(0o755)
    told = settings_of(folder)  # the folder is that of another animal: a registration would refuse it
    names = {name: folder.parents[1].name for name in told if name.startswith("SUBJECT_NAME")}
    told |= names | {"PYBPOD_SUBJECTS": [folder.parents[1].name]}
    (target / "_iblrig_taskSettings.raw.json").write_text(json.dumps(told))
    return folder


def recording(folder: Path, probe: str = "probe00", seconds: float = 1.0) -> Path:
    """A short raw AP recording of a Neuropixels probe, with its header."""
    from cbin import synthetic

    place = folder / f"raw_ephys_data/{probe}"
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"_spikeglx_ephysData_g0_t0.{probe}.ap.bin"
    n = 385
    data = synthetic.recording(int(30_000 * seconds), n) if hasattr(synthetic, "recording") else None
    if data is None:
        rng = np.random.default_rng(1)
        shared = rng.normal(0, 6, (int(30_000 * seconds), 1))
        data = (shared + rng.normal(0, 6, (int(30_000 * seconds), n))).astype(np.int16)
        data[:, -1] = 0
    data.tofile(path)
    meta = (
        f"nSavedChans={n}\nimSampRate=30000\nfileSizeBytes={path.stat().st_size}\nsnsApLfSy=384,0,1\ntypeThis=imec\n"
        f"imAiRangeMax=0.6\nimAiRangeMin=-0.6\nimMaxInt=512\nimDatPrb_type=0\nimDatPrb_pn=NP1010\nsnsSaveChanSubset=all\n"
        "nDataDirs=1\nacqApLfSy=384,384,1\n"
        "~imroTbl=(0,384)" + "".join(f"({i} 0 0 500 250 1)" for i in range(384)) + "\n"
    )
    path.with_suffix(".meta").write_text(meta)
    return path


def job(tmp_path: Path, folder: Path, arguments: dict, command=()):
    """A job over a session folder, as the agent's process makes it."""
    from ingest.agent.child import FolderJob

    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return FolderJob(scratch, {"folder": str(folder), "arguments": arguments, "command": list(command), "cores": 1})


def outputs(tmp_path: Path) -> list[str]:
    base = tmp_path / "scratch/outputs"
    return sorted(path.relative_to(base).as_posix() for path in base.rglob("*") if path.is_file())


def settings_of(folder: Path) -> dict:
    return json.loads((folder / "raw_behavior_data/_iblrig_taskSettings.raw.json").read_text())


def recording_of_known_spikes(folder: Path) -> tuple[Path, np.ndarray]:
    """A raw recording of two seconds with spikes on three channels, and the samples at which they are."""
    path = recording(folder, seconds=2.0)
    samples = np.fromfile(path, np.int16).reshape(-1, 385) // 4
    at = np.arange(300, len(samples) - 300, 500)
    channels = np.array([20, 150, 300])[np.arange(len(at)) % 3]
    for shift, depth in ((-1, -40), (0, -120), (1, -40)):
        samples[at + shift, channels] = depth
    samples.tofile(path)
    return path, at


TRACKER = """
import csv, subprocess, sys, pathlib
video, output = sys.argv[1:]
n = int(subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v:0", "-count_packets", "-show_entries",
    "stream=nb_read_packets", "-of", "csv=p=0", video], capture_output=True, text=True).stdout.strip(",\\n "))
with (pathlib.Path(output) / "result.csv").open("w", newline="") as file:
    rows = csv.writer(file)
    points = {"nose tip": (0, 2), "pupil_top_r": (0, 10), "pupil_bottom_r": (0, -10), "pupil_left_r": (-10, 0),
              "pupil_right_r": (10, 0)}
    rows.writerow(["scorer"] + ["DLC_resnet"] * 3 * len(points))
    rows.writerow(["bodyparts"] + [name for name in points for _ in range(3)])
    rows.writerow(["coords"] + ["x", "y", "likelihood"] * len(points))
    rows.writerows([i, *(v for x, y in points.values() for v in (x + i * 0.5, y, 0.95))] for i in range(n))
"""
"""A program that follows points in a video and speaks the files of DeepLabCut: `tracker.py VIDEO OUTPUT`."""
