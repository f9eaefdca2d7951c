"""The ALF session that is written from an NWB file of another program."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from exchange.nwb.placing import Line


class Session:
    """An ALF session that is being written from an NWB file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[Line] = []
        self._taken: set[str] = set()

    def save(self, name: str, values: np.ndarray) -> None:
        """Write one file, e.g. `alf/trials.intervals.npy`; ValueError where a file of that name is there."""
        if name in self._taken:
            raise ValueError(f"two objects would be {name}")
        self._taken.add(name)
        values = np.asarray(values)
        if values.dtype == object:
            values = np.asarray([str(value) for value in values.ravel()], dtype=str).reshape(values.shape)
        if values.dtype.kind not in "biufUS":
            raise ValueError(f"values of type {values.dtype} are no numbers or text")
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, values)

    def mapped(self, name: str, detail: str) -> None:
        """Say what became of an object."""
        self.lines.append(Line(name, "mapped", detail))

    def left(self, name: str, why: str) -> None:
        """Say why an object is not taken."""
        self.lines.append(Line(name, "left out", why))


def attribute(name: str) -> str:
    """A name as an ALF attribute or object.

    >>> attribute("go_cue time (s)"), attribute("WheelPosition"), attribute("2p")
    ('goCueTimeS', 'wheelPosition', 'nwb2p')
    """
    words = [word for word in re.split(r"[^0-9A-Za-z]+", name) if word]
    text = "".join(word if i == 0 else word[0].upper() + word[1:] for i, word in enumerate(words)) or "unnamed"
    text = text[0].lower() + text[1:] if not text[:2].isupper() else text
    return f"nwb{text}" if text[0].isdigit() else text
