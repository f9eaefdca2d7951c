"""The structure of AVI files: whether one is whole, before anything is made of it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Avi:
    """How many frames a file holds and says to hold; `problem`: why it is not whole, else empty."""

    n_frames: int
    n_stated: int
    problem: str = ""


def inspect(path: Path) -> Avi:
    """Walk over the chunks of an AVI file (also of several RIFF parts), without reading the frames."""
    size = path.stat().st_size
    frames = stated = 0
    problem = ""
    has_index = False
    with path.open("rb") as file:
        at = 0
        while at + 12 <= size:
            file.seek(at)
            head = file.read(12)
            kind, length, form = struct.unpack("<4sI4s", head)
            if kind != b"RIFF" or form not in (b"AVI ", b"AVIX"):
                problem = problem or ("it is no AVI file" if at == 0 else f"what follows byte {at} is no part of it")
                break
            end = at + 8 + length
            if end > size:
                problem = f"it states {end} byte and has {size}: it was cut off"
            inner = at + 12
            while inner + 8 <= min(end, size):
                file.seek(inner)
                name, length = struct.unpack("<4sI", file.read(8))
                if name == b"LIST":
                    listed = file.read(4)
                    if listed == b"movi":
                        count, whole = _count(file, inner + 12, min(inner + 8 + length, size))
                        frames += count
                        if not whole or inner + 8 + length > size:
                            problem = problem or "its last frame was cut off"
                    elif listed == b"hdrl":
                        inner += 12
                        continue
                elif name == b"avih":
                    header = file.read(min(length, 56))
                    stated = struct.unpack("<I", header[16:20])[0] if len(header) >= 20 else 0
                elif name == b"idx1":
                    has_index = True
                inner += 8 + length + length % 2
            at = end + (end - at) % 2
    if not problem and frames == 0:
        problem = "it holds no frames"
    if not problem and not has_index and stated == 0:
        problem = "it has no index: its recording did not end as it should"
    return Avi(frames, stated, problem)


def _count(file, at: int, end: int) -> tuple[int, bool]:
    """How many frames lie in a list, and whether the last of them is whole."""
    count = 0
    while at + 8 <= end:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"LIST":
            at += 12
            continue
        if at + 8 + length > end:
            return count, False
        if name[2:] in (b"dc", b"db") and name[:2].isdigit():
            count += 1
        at += 8 + length + length % 2
    return count, True
