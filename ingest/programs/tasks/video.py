"""Videos of cameras: compressed to H.264 that browsers play, and how much moves in them."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ingest.programs import avi, ffmpeg
from pipeline.analysis import motion
from pipeline.tasks.kinds import Job, TaskFailure

_RAW = "{folder}/_iblrig_{label}Camera.raw.avi"
_PACKED = "{folder}/_iblrig_{label}Camera.raw.mp4"


def compress(job: Job) -> None:
    """Compress the raw video as published (libx264, preset slow), and compare frames and times with it."""
    raw = job.inputs(_RAW)
    if not raw:
        video = ffmpeg.probe(job.inputs(_PACKED)[0])
        job.log(f"it is compressed already: {video.n_frames} frames of {video.codec}")
        _link(job.inputs(_PACKED)[0], _target(job))
        return
    source = raw[0]
    whole = avi.inspect(source)
    if whole.problem:
        raise TaskFailure(
            f"{source.name} is not whole: {whole.problem}; it holds {whole.n_frames} frames and stays as it is",
            "copy it again from the rig, or repair it",
        )
    before = dataclasses.replace(ffmpeg.probe(source, count=False), n_frames=whole.n_frames)
    target = _target(job)
    part = job.scratch / "part.mp4"
    job.log(ffmpeg.run([*arguments(source, crf(job), job.cores), "-y", str(part)], before.duration,
                       lambda done: job.progress(0.9 * done, "compressing")))  # fmt: skip
    after = check(part, before)
    part.replace(target)
    size, packed = source.stat().st_size, target.stat().st_size
    job.log(
        f"{after.n_frames} frames; {size / 1e6:.1f} MB became {packed / 1e6:.1f} MB ({size / packed:.1f} times less)"
    )
    if whole.n_stated > whole.n_frames:
        why = f"the header of {source.name} states {whole.n_stated} frames, and it holds {whole.n_frames}; it stays"
        job.doubt(f"{job.arguments['folder']}/{target.name}", why)
        return
    job.may_go(source)


def arguments(source: Path, quality: int, threads: int) -> list[str]:
    """ffmpeg's arguments before the name of the output; x264 itself takes three threads for two processors."""
    return [
        "-i", f"file:{source}", "-map", "0:v:0", "-map", "0:a?", "-codec:v", "libx264", "-preset", "slow",
        "-crf", str(quality), "-pix_fmt", "yuv420p", "-vsync", "passthrough",
        "-vf", "crop=trunc(iw/2)*2:trunc(ih/2)*2", "-threads", str(threads + (threads + 1) // 2),
        "-codec:a", "aac", "-movflags", "+faststart", "-f", "mp4",
    ]  # fmt: skip


def crf(job: Job) -> int:
    """The published quality: that of ephys sessions where there is a nidq, else that of training."""
    return ffmpeg.CRF["nidq" if any(job.folder.glob("raw_ephys_data/*.nidq.*")) else "bpod"]


def check(packed: Path, before: ffmpeg.Video) -> ffmpeg.Video:
    """What the compressed video holds.

    Raises
    ------
    TaskFailure : it is not what browsers play, or its frames or times are not those of the raw video.
    """
    after = ffmpeg.probe(packed, count=False)
    if (after.codec, after.pixel_format) != ("h264", "yuv420p"):
        raise TaskFailure(f"the compressed video is {after.codec} {after.pixel_format}", exit="program")
    if (after.width, after.height) != (before.width // 2 * 2, before.height // 2 * 2):
        raise TaskFailure(f"the compressed video has {after.width} x {after.height} pixels", exit="program")
    if after.n_frames != before.n_frames:
        raise TaskFailure(
            f"the raw video has {before.n_frames} frames, of which {after.n_frames} could be read; it stays as it is",
            "copy it again from the rig",
        )
    if abs(after.duration - before.duration) > 1.5 / max(before.rate, 1.0):
        raise TaskFailure(
            f"the compressed video lasts {after.duration} s, the raw one {before.duration}", exit="program"
        )
    decoded = count_decoded(packed)
    if decoded != after.n_frames:
        raise TaskFailure(f"of {after.n_frames} compressed frames {decoded} can be decoded", exit="program")
    with packed.open("rb") as file:
        head = file.read(1 << 20)
    if b"moov" not in head or (b"mdat" in head and head.index(b"mdat") < head.index(b"moov")):
        raise TaskFailure("the compressed video has its index at the end", exit="program")
    return after


def motion_energy(job: Job) -> None:
    """Mean absolute difference from frame to frame in a region of the video."""
    path = job.inputs(_PACKED)[0]
    video = ffmpeg.probe(path)
    region = tuple(job.arguments.get("region") or motion.REGIONS.get(job.arguments["label"], motion.WHOLE))
    left, top, width, height = motion.in_pixels(region, video.width, video.height)
    energy = np.empty(video.n_frames)
    before, count = None, 0
    for block in blocks(path, width, height, left, top):
        differences = motion.energy(block, before)
        energy[count : count + len(block)] = differences[: max(video.n_frames - count, 0)]
        before, count = block[-1].copy(), count + len(block)
        job.progress(count / max(video.n_frames, 1), "motion energy")
    if count != video.n_frames:
        raise TaskFailure(
            f"{path.name} has {video.n_frames} frames, of which {count} can be decoded", "compress it again"
        )
    label = job.arguments["label"]
    np.save(job.output(f"alf/{label}Camera.ROIMotionEnergy.npy"), energy)
    np.save(job.output(f"alf/{label}ROIMotionEnergy.position.npy"), np.array([width, height, left, top]))


def count_decoded(path: Path) -> int:
    """How many frames of a video can be decoded; without the smoothing of edges, in which nothing can fail.

    Raises
    ------
    TaskFailure : the decoder reports damage.
    """
    command = [ffmpeg.program("ffmpeg"), "-hide_banner", "-nostdin", "-loglevel", "error", "-skip_loop_filter", "all",
               "-i", f"file:{path}", "-map", "0:v:0", "-vsync", "passthrough", "-progress", "pipe:1", "-f", "null",
               "-"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode or "error" in done.stderr.casefold():
        words = " ".join(done.stderr.split())[:200]
        raise TaskFailure(f"{path.name} cannot be decoded: {words}", exit="program")
    counts = [int(line[6:]) for line in done.stdout.splitlines() if line.startswith("frame=")]
    return counts[-1] if counts else 0


def blocks(path: Path, width: int, height: int, left: int, top: int, most: int = 64 << 20) -> Iterator[np.ndarray]:
    """Grey frames of a region of a video, some at a time."""
    yield from _decoded(path, width, height, ["-vf", f"format=gray,crop={width}:{height}:{left}:{top}:exact=1"], most)


def _decoded(path: Path, width: int, height: int, filters: list[str], most: int = 16 << 20) -> Iterator[np.ndarray]:
    command = [ffmpeg.program("ffmpeg"), "-hide_banner", "-nostdin", "-loglevel", "error", "-i", f"file:{path}",
               *filters, "-vsync", "passthrough", "-pix_fmt", "gray", "-f", "rawvideo", "pipe:1"]  # fmt: skip
    size = width * height
    count = max(most // size, 1)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, bufsize=0) as process:
        stdout: Any = process.stdout
        buffer, filled = bytearray(count * size), 0
        view = memoryview(buffer)
        while True:
            got = stdout.readinto(view[filled:])
            filled += got or 0
            if filled == len(buffer) or (not got and filled >= size):
                whole = filled // size
                yield np.frombuffer(buffer, np.uint8, whole * size).reshape(whole, height, width)
                filled = 0
            if not got:
                break


def _target(job: Job) -> Path:
    folder, label = job.arguments["folder"], job.arguments["label"]
    return job.output(f"{folder}/_iblrig_{label}Camera.raw.mp4")


def _link(source: Path, target: Path) -> None:
    import shutil

    shutil.copyfile(source, target)
