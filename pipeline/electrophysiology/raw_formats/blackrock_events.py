"""Events of Blackrock's `.nev` file beside a recording as digital lines: inputs of the port, codes, comments."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.analysis.clocks import Clock

_PORT, _SERIAL, _COMMENTS = "digital_input_port", "serial_input_port", "comments"
_BITS = 16
"""Lines of the port; codes and comments have the numbers after them."""
_PARALLEL = 1
"""Mode of the label of the port in the header of the file."""


def lines(reader: Any, clock: Clock, n_samples: int) -> tuple[dict[int, tuple[np.ndarray, np.ndarray]], dict[int, str]]:
    """Line -> samples of the recording and polarities of its changes, and its name.

    The port writes its word when an input changes: each bit is a line, 0 before the first word. Where the same word
    comes twice in a row, a strobe wrote it: then each word is a code. Codes, bytes of the serial port and comments are
    lines that only rise.

    Parameters
    ----------
    reader : of neo, with the events.
    clock : from samples of the recording to s, as the device counts.
    n_samples : of the recording.
    """
    changes: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    names: dict[int, str] = {}
    rising: dict[str, np.ndarray] = {}
    for name, times, labels in _events(reader):
        samples = np.round(clock.invert(times)).astype(np.int64)
        inside = (samples >= 0) & (samples < n_samples)
        words = np.array([int(label) for label in labels]) if name in (_PORT, _SERIAL) else labels
        if name == _PORT and not (words[1:] == words[:-1]).any():
            label = _label(reader)
            steps = np.diff(words[:, None] >> np.arange(_BITS) & 1, axis=0, prepend=0)
            for bit in np.flatnonzero(steps.any(axis=0)).tolist():
                rows = np.flatnonzero((steps[:, bit] != 0) & inside)
                changes[bit], names[bit] = (samples[rows], steps[rows, bit].astype(np.int8)), f"{label} {bit}"
            continue
        stem = {_PORT: f"{_label(reader)} code ", _SERIAL: "serial input "}.get(name, "")
        for value in np.unique(words).tolist():
            rising[f"{stem}{value}"] = samples[(words == value) & inside]
    for number, (name, samples) in enumerate(sorted(rising.items()), start=_BITS):
        changes[number], names[number] = (samples, np.ones(len(samples), np.int8)), name
    return {number: one for number, one in changes.items() if len(one[0])}, names


def _events(reader: Any) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name, times (s, as the device counts) and labels of each kind of events that is there."""
    made = []
    for channel, name in enumerate(reader.header["event_channels"]["name"].tolist()):
        if name not in (_PORT, _SERIAL, _COMMENTS):
            continue
        times, labels = [], []
        for segment in range(reader.segment_count(0)):
            stamps, _, texts = reader.get_event_timestamps(0, segment, channel, None, None)
            times.append(reader.rescale_event_timestamp(stamps, "float64", channel))
            labels.append(np.char.strip(np.asarray(texts, str)))
        if sum(map(len, times)):
            order = np.argsort(np.concatenate(times), kind="stable")
            made.append((name, np.concatenate(times)[order], np.concatenate(labels)[order]))
    return made


def _label(reader: Any) -> str:
    """What the header calls the port."""
    for row in reader._nev_ext_header.get(b"DIGLABEL", ()):
        text = bytes(row["label"]).split(b"\0")[0].decode("latin-1").strip()
        if int(row["mode"]) == _PARALLEL and text:
            return text
    return "digital input"
