"""Compression of a video by the task against ffmpeg alone; motion energy against the published way, frame by frame.

    python -m benchmarks.video [--frames 300]

The published extractor reads frames one at a time with OpenCV and takes numpy's mean of absolute differences; where
OpenCV is not installed, the same is done with frames that ffmpeg decoded, which favours it.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from ingest.agent.child import FolderJob
from ingest.programs.tasks import video
from pipeline.analysis import motion

RAW = "raw_video_data/_iblrig_leftCamera.raw.avi"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        source = root / "s" / RAW
        source.parent.mkdir(parents=True)
        make = ["ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=size=640x512:rate=60", "-frames:v",
                str(options.frames), "-vf", "noise=alls=12:allf=t", "-c:v", "mjpeg", "-q:v", "4",
                str(source)]  # fmt: skip
        subprocess.run(make, check=True)
        (root / "scratch").mkdir()
        told = {"folder": str(root / "s"), "arguments": {"label": "left", "folder": "raw_video_data"}, "cores": 2}
        job = FolderJob(root / "scratch", told)
        began = time.perf_counter()
        command = [
            "ffmpeg",
            "-loglevel",
            "error",
            "-nostdin",
            *video.arguments(source, 29, 2),
            "-y",
            str(root / "a.mp4"),
        ]
        subprocess.run(command, check=True)
        alone = time.perf_counter() - began
        began = time.perf_counter()
        video.compress(job)
        ours = time.perf_counter() - began
        print(f"compression: ffmpeg {alone:.1f} s, the task with all its checks {ours:.1f} s: ratio {alone / ours:.2f}")
        frames = next(video.blocks(root / "a.mp4", 640, 512, 0, 0, most=640 * 512 * min(options.frames, 300)))
        motion.energy(frames[:3])
        began = time.perf_counter()
        fast = motion.energy(frames)
        ours = time.perf_counter() - began
        began = time.perf_counter()
        slow = [0.0]
        for before, now in zip(frames[:-1], frames[1:], strict=True):
            slow.append(float(np.mean(np.abs(now.astype(np.int32) - before.astype(np.int32)))))
        theirs = time.perf_counter() - began
        assert np.allclose(fast, slow)
        print(f"motion energy: {len(frames) / theirs:.0f} frames/s one by one, {len(frames) / ours:.0f} frames/s: "
              f"ratio {theirs / ours:.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
