"""Events of an NWB file (HDF5) as changes of digital lines, in s from its start.

What says that a line rises or falls is taken: labels in pairs (on and off), intervals, states with a sign, levels,
words of a port at a regular rate. Events without an end rise only. Codes of irregular events are no lines and left out.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from pipeline.analysis.clocks import line_changes

_BEGINS = re.compile(r"[\s_:.-]*\b(on|onset|high|rise|rising|start|begin|up)$", re.IGNORECASE)
_ENDS = re.compile(r"[\s_:.-]*\b(off|offset|low|fall|falling|stop|end|down)$", re.IGNORECASE)
_DIGITAL = re.compile(r"ttl|digital|sync|event|trigger|din|\bdio", re.IGNORECASE)
PLACES = ("acquisition", "events", "processing", "stimulus")
_LABELLED = ("TTLs", "LabeledEvents")
_TABLES = ("EventsTable", "TtlsTable")


class Line(NamedTuple):
    """The changes of one line."""

    name: str  # path in the file, and the label
    times: np.ndarray  # s
    polarities: np.ndarray  # 1 rises, -1 falls
    number: int | None = None  # of the line, where the file states it


def lines_of(file: Any) -> list[Line]:
    """The lines of an open file, in order of their names."""
    lines = [line for place in PLACES for line in _below(file.get(place), place)]
    return sorted((line for line in lines if len(line.times)), key=lambda line: line.name)


def numbered(lines: list[Line]) -> dict[int, Line]:
    """Lines by their numbers: the stated ones, each once; the others get the next that is free.

    >>> some = [Line(name, np.empty(0), np.empty(0), number) for name, number in (("a", None), ("b", 0), ("c", 0))]
    >>> {number: line.name for number, line in numbered(some).items()}
    {0: 'b', 1: 'a', 2: 'c'}
    """
    by_number: dict[int, Line] = {}
    rest = []
    for line in lines:
        if line.number is None or line.number in by_number:
            rest.append(line)
        else:
            by_number[line.number] = line
    free = (number for number in itertools.count() if number not in by_number)
    by_number |= dict(zip(list(itertools.islice(free, len(rest))), rest, strict=True))
    return dict(sorted(by_number.items()))


def _below(group: Any, name: str) -> Iterator[Line]:
    if group is None or not hasattr(group, "items"):
        return
    kind = _text(group.attrs.get("neurodata_type", ""))
    short = re.sub(r"^(acquisition|events|processing|stimulus)/", "", name)
    if kind in _LABELLED and "timestamps" in group and "data" in group:
        labels = [_text(item) for item in np.asarray(group["labels"])] if "labels" in group else []
        yield from _labelled(short, np.asarray(group["timestamps"], np.float64), np.asarray(group["data"]), labels)
    elif kind == "Events" and "timestamps" in group:
        times = np.asarray(group["timestamps"], np.float64)
        yield Line(short, times, np.ones(len(times), np.int8))
    elif kind == "IntervalSeries" and "timestamps" in group and "data" in group:
        yield from _signed(short, np.asarray(group["timestamps"], np.float64), np.asarray(group["data"], np.int64))
    elif kind in _TABLES and "timestamp" in group:
        yield from _of_table(short, group)
    elif kind == "TimeSeries" and "data" in group and _DIGITAL.search(name.rpartition("/")[2]):
        yield from _of_series(short, group)
    else:
        for part in sorted(group):
            yield from _below(group.get(part), f"{name}/{part}")


def _labelled(name: str, times: np.ndarray, values: np.ndarray, labels: list[str]) -> Iterator[Line]:
    """Each label is a line that rises; labels that differ only in their last word, on or off, are one line."""
    if len(times) != len(values) or values.dtype.kind not in "iuf":
        return
    texts = {number: (labels[number] if 0 <= number < len(labels) else str(number)) for number in _whole(values)}
    lines: dict[str, list[tuple[int, int]]] = {}
    for number, label in texts.items():
        stem, polarity = label, 1
        for pattern, sign in ((_BEGINS, 1), (_ENDS, -1)):
            if pattern.search(f" {label}"):
                stem, polarity = pattern.sub("", f" {label}").strip(), sign
        lines.setdefault(stem, []).append((number, polarity))
    for stem, members in lines.items():
        own = np.isin(values, [number for number, _ in members])
        signs = np.zeros(len(values), np.int8)
        for number, polarity in members:
            signs[values == number] = polarity
        yield Line(f"{name} {stem}".strip(), times[own], signs[own])


def _signed(name: str, times: np.ndarray, values: np.ndarray) -> Iterator[Line]:
    """States as the number of the line, negative where it falls; intervals are of the lines 1, 2, …."""
    if len(times) != len(values):
        return
    for line in np.unique(np.abs(values[values != 0])).tolist():
        own = np.abs(values) == line
        yield Line(f"{name} {line}", times[own], np.sign(values[own]).astype(np.int8))


def _of_table(name: str, group: Any) -> Iterator[Line]:
    """A table of events, a line for each type; those with a duration also fall.

    Tables that say of each event its line and whether it rises, as ours do, are read by these.
    """
    times = np.asarray(group["timestamp"], np.float64)
    if "line" in group and "rises" in group:
        yield from _of_changes(name, group, times)
        return
    ends = times + np.asarray(group["duration"], np.float64) if "duration" in group else np.full(len(times), np.nan)
    column = next((item for item in ("ttl_type", "event_type") if item in group), None)
    kinds = [""] * len(times) if column is None else [_text(value) for value in np.asarray(group[column]).tolist()]
    for kind in sorted(set(kinds)):
        own = np.array([item == kind for item in kinds])
        falls = ends[own & np.isfinite(ends)]
        polarities = np.repeat(np.array([1, -1], np.int8), [int(own.sum()), len(falls)])
        yield Line(f"{name} {kind}".strip(), np.concatenate([times[own], falls]), polarities)


def _of_changes(name: str, group: Any, times: np.ndarray) -> Iterator[Line]:
    """Changes with `line`, `rises` and perhaps `line_name`."""
    lines, rises = np.asarray(group["line"]), np.asarray(group["rises"], bool)
    names = [_text(value) for value in np.asarray(group["line_name"]).tolist()] if "line_name" in group else []
    if not len(times) == len(lines) == len(rises):
        return
    for line in np.unique(lines).tolist():
        own = np.flatnonzero(lines == line)
        label = names[own[0]] if len(names) == len(times) else ""
        yield Line(label or f"{name} {line}", times[own], np.where(rises[own], 1, -1).astype(np.int8), int(line))


def _of_series(name: str, group: Any) -> Iterator[Line]:
    """Whole numbers: words of a port at a regular rate; or states of lines, or levels of one, at any times."""
    values = np.asarray(group["data"])
    if values.ndim != 1 or values.dtype.kind not in "iub" or not len(values):
        return
    if "timestamps" not in group:
        start = float(np.asarray(group["starting_time"]))
        rate = float(group["starting_time"].attrs["rate"])
        words = values.astype(np.uint8) if values.dtype.kind == "b" else values
        for bit, (samples, polarities) in line_changes(words).items():
            yield Line(f"{name} {bit}", start + samples / rate, polarities)
        return
    times = np.asarray(group["timestamps"], np.float64)
    if len(times) != len(values):
        return
    kinds = set(_whole(values))
    if kinds <= {0, 1}:
        level = values.astype(np.int8)
        changed = np.flatnonzero(np.diff(level, prepend=np.int8(0) if level[0] else level[:1]))
        yield Line(name, times[changed], np.where(level[changed] > 0, 1, -1).astype(np.int8))
    elif min(kinds) < 0:
        yield from _signed(name, times, values.astype(np.int64))


def _whole(values: np.ndarray) -> list[int]:
    return np.unique(values).astype(np.int64).tolist()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
