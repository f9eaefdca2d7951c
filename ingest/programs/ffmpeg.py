"""ffmpeg and ffprobe: called with lists of arguments, never by a shell; what they say becomes sentences."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.tasks.kinds import TaskFailure

CRF = {"bpod": 29, "nidq": 17}
"""Quality of the published compression: of training videos, and of those of ephys sessions."""


@dataclass(frozen=True)
class Video:
    """What ffprobe says of the first video stream of a file."""

    codec: str
    pixel_format: str
    width: int
    height: int
    rate: float
    n_frames: int
    duration: float


def program(name: str) -> str:
    """Where ffmpeg or ffprobe is.

    Raises
    ------
    TaskFailure : it is not installed.
    """
    path = shutil.which(os.environ.get(f"NEUROJOINT_{name.upper()}", name))
    if path is None:
        raise TaskFailure(f"{name} is not installed on this computer", f"apt install {name[:6]}", exit="program")
    return path


def probe(path: Path, count: bool = True) -> Video:
    """What a video file holds; `count`: its frames are counted, by the packets that are there.

    Raises
    ------
    TaskFailure : it cannot be read.
    """
    command = [program("ffprobe"), "-v", "error", "-select_streams", "v:0", "-of", "json", "-show_streams",
               "-show_format", *(["-count_packets"] if count else []), f"file:{path}"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    try:
        streams = json.loads(done.stdout)
        stream = streams["streams"][0]
        top, bottom = (int(part) for part in stream["r_frame_rate"].split("/"))
        return Video(
            stream["codec_name"], stream.get("pix_fmt", ""), int(stream["width"]), int(stream["height"]),
            top / max(bottom, 1), int(stream.get("nb_read_packets") or stream.get("nb_frames") or 0),
            float(stream.get("duration") or streams["format"].get("duration") or 0),
        )  # fmt: skip
    except (ValueError, KeyError, IndexError):
        words = done.stderr.strip().splitlines()[-1:] or ["it holds no video"]
        raise TaskFailure(
            f"{path.name} cannot be read as a video ({words[0][:200]})", "see whether it is whole"
        ) from None


def run(arguments: Sequence[str], seconds: float = 0.0, tell: Callable[[float], None] = lambda _: None) -> str:
    """Run ffmpeg; returns what it said. `tell` gets the part of `seconds` that is done.

    Raises
    ------
    TaskFailure : it failed.
    """
    command = [program("ffmpeg"), "-hide_banner", "-nostdin", "-loglevel", "warning", "-progress", "pipe:1", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, errors="replace"
    ) as process:
        said: list[str] = []
        for line in process.stdout or ():
            name, _, value = line.strip().partition("=")
            if name == "out_time_us" and value.isdigit() and seconds > 0:
                tell(min(int(value) / 1e6 / seconds, 1.0))
            elif name and not _ or " " in name:
                said.append(line.strip())
    if process.returncode:
        raise TaskFailure(f"ffmpeg ended with code {process.returncode}: {' '.join(said[-3:])[:400]}", exit="program")
    return "\n".join(said)
