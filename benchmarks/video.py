"""Compression of a video by the task against ffmpeg alone; motion energy against the published way, frame by frame.

    python -m benchmarks.video [--frames 1800] [--repeats 3]

The recording is of half a minute; those of a session are a hundred times longer. Each way takes its turn; the medians
are compared. The published extractor of motion energy reads frames one at a time with OpenCV and takes numpy's mean of
absolute differences; where OpenCV is not installed, the same is done with frames that ffmpeg decoded, which favours it.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ingest.agent.child import FolderJob
from ingest.programs.tasks import video
from pipeline.analysis import motion

RAW = "raw_video_data/_iblrig_leftCamera.raw.avi"


def timed(work: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def one_by_one(frames: np.ndarray) -> list[float]:
    """The published way."""
    energies = [0.0]
    for before, now in zip(frames[:-1], frames[1:], strict=True):
        energies.append(float(np.mean(np.abs(now.astype(np.int32) - before.astype(np.int32)))))
    return energies


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1800)
    parser.add_argument("--repeats", type=int, default=3)
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
        quiet = ["ffmpeg", "-loglevel", "error", "-nostdin"]
        published = ["-i", str(source), "-codec:v", "libx264", "-preset", "slow", "-crf", "29"]
        same = video.arguments(source, 29, 2)
        taken: dict[str, list[float]] = {"published": [], "same": [], "task": []}
        for turn in range(options.repeats):
            for name, given in (("published", published), ("same", same)):
                command = [*quiet, *given, "-y", str(root / "a.mp4")]
                taken[name].append(timed(functools.partial(subprocess.run, command, check=True)))
            scratch = root / f"scratch{turn}"
            scratch.mkdir()
            told = {"folder": str(root / "s"), "arguments": {"label": "left", "folder": "raw_video_data"}, "cores": 2}
            taken["task"].append(timed(functools.partial(video.compress, FolderJob(scratch, told))))
        median = {name: statistics.median(seconds) for name, seconds in taken.items()}
        ours = median["task"]
        print(f"compression: the task with all its checks {ours:.1f} s; ffmpeg with the published arguments "
              f"{median['published']:.1f} s: ratio {median['published'] / ours:.2f}; with the arguments of the task "
              f"{median['same']:.1f} s: ratio {median['same'] / ours:.2f}")  # fmt: skip
        frames = next(video.blocks(root / "a.mp4", 640, 512, 0, 0, most=640 * 512 * min(options.frames, 300)))
        motion.energy(frames[:3])
        fast = motion.energy(frames)
        ours = min(timed(lambda: motion.energy(frames)) for _ in range(3))
        slow = one_by_one(frames)
        theirs = min(timed(lambda: one_by_one(frames)) for _ in range(3))
        assert np.allclose(fast, slow)
        print(f"motion energy: {len(frames) / theirs:.0f} frames/s one by one, {len(frames) / ours:.0f} frames/s: "
              f"ratio {theirs / ours:.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
