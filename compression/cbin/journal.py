"""What an interrupted compression had done: the settings, which raw file, and where each finished chunk ends."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from .disk import locked, write_at


class Journal:
    """A small text file beside an unfinished .cbin: a line of JSON with the settings, then one number per chunk.

    It is a hint, never trusted: every chunk it names is inflated and compared with the raw file before it is kept.

    Parameters
    ----------
    path : Path
    settings : dict
        What must be equal for the finished part to be of use: raw file, its size and time, and all that shapes the
        output.
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        self._stack = contextlib.ExitStack()
        try:
            self._stack.enter_context(locked(self._fd, path))
            self._load(settings)
        except BaseException:
            os.close(self._fd)
            raise

    def _load(self, settings: dict[str, Any]) -> None:
        lines = os.pread(self._fd, os.fstat(self._fd).st_size, 0).split(b"\n")
        first = json.dumps(settings, sort_keys=True).encode()
        self.ends: list[int] = []
        self._line_ends = [len(first) + 1]
        if lines[0] == first:
            for line in lines[1:-1]:
                if not line.isdigit() or int(line) <= (self.ends[-1] if self.ends else 0):
                    break
                self.ends.append(int(line))
                self._line_ends.append(self._line_ends[-1] + len(line) + 1)
        else:
            os.ftruncate(self._fd, 0)
            write_at(self._fd, first + b"\n", 0)
        os.ftruncate(self._fd, self._line_ends[-1])

    def record(self, chunk: int, end: int) -> None:
        """Chunk `chunk` is in the file and ends at byte `end`; what was recorded after it stays only if this is no
        news."""
        if chunk < len(self.ends):
            if self.ends[chunk] == end:
                return
            del self.ends[chunk:]
            del self._line_ends[chunk + 1 :]
            os.ftruncate(self._fd, self._line_ends[-1])
        line = b"%d\n" % end
        write_at(self._fd, line, self._line_ends[-1])
        self.ends.append(end)
        self._line_ends.append(self._line_ends[-1] + len(line))

    def close(self, delete: bool = False) -> None:
        """Let go of the file, and of its lock."""
        if self._fd >= 0:
            if delete:
                with contextlib.suppress(FileNotFoundError):
                    self.path.unlink()
            os.close(self._fd)
            self._fd = -1
