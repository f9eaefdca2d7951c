"""What was shown and played to a passive animal, and when: replays and periods, from every published layout."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.analysis.arrays import AnyArray, Floats

OBJECTS: dict[str, tuple[str, ...]] = {
    "passiveTrials": ("stimOn_times", "contrastLeft", "contrastRight"),
    "passiveGabor": ("table",),
    "passiveStims": ("table",),
    "passiveValveClicks": ("times",),
    "passiveBeeps": ("times",),
    "passiveWhiteNoise": ("times",),
    "passiveNoise": ("intervals",),
}
"""Objects that hold a replay -> the attributes of each that are read."""

_TIMES = {"passiveValveClicks": "valve", "passiveBeeps": "tone", "passiveWhiteNoise": "noise"}
_STIMS = {"valve": ("valveOn", "valveOff"), "tone": ("toneOn", "toneOff"), "noise": ("noiseOn", "noiseOff")}


def replayed(content: Mapping[str, Any]) -> dict[str, AnyArray]:
    """All replayed events in order of time.

    Parameters
    ----------
    content : mapping of str to array or table
        `object.attribute` -> its content; tables are mappings of column to values, e.g. a DataFrame.

    Returns
    -------
    dict
        `kind` (visual, valve, tone or noise), `start` and `end` (s, NaN where it is not known), `contrast_left` and
        `contrast_right` (fraction 0-1, NaN for sounds, and where no stimulus was on that side), all of one length.

    Examples
    --------
    >>> events = replayed({"passiveBeeps.times": [2.0, 5.0], "passiveNoise.intervals": [[3.0, 3.5]]})
    >>> events["kind"].tolist(), events["start"].tolist()
    (['tone', 'noise', 'tone'], [2.0, 3.0, 5.0])
    """
    pieces: list[tuple[str, Floats, Floats, Floats, Floats]] = []

    def add(kind: str, start: ArrayLike, end: ArrayLike | None = None, left: Any = None, right: Any = None) -> None:
        begin = np.ravel(np.asarray(start, np.float64))
        stop, on_left, on_right = [
            np.full(begin.shape, np.nan) if item is None else np.ravel(np.asarray(item, np.float64))
            for item in (end, left, right)
        ]
        if any(item.shape != begin.shape for item in (stop, on_left, on_right)):
            raise ValueError(f"the columns of the replay of kind {kind} differ in length")
        known = np.isfinite(begin)
        pieces.append((kind, begin[known], stop[known], on_left[known], on_right[known]))

    if "passiveTrials.stimOn_times" in content:
        sides = (content.get(f"passiveTrials.contrast{side}") for side in ("Left", "Right"))
        sides = (None if item is None else fractions(item) for item in sides)
        add("visual", content["passiveTrials.stimOn_times"], None, *sides)
    if (gabor := content.get("passiveGabor.table")) is not None:
        contrast, position = (np.asarray(gabor[name], np.float64) for name in ("contrast", "position"))
        contrast = fractions(contrast)
        left, right = np.where(position < 0, contrast, np.nan), np.where(position > 0, contrast, np.nan)
        add("visual", gabor["start"], gabor["stop"], left, right)
    if (stims := content.get("passiveStims.table")) is not None:
        for kind, (on, off) in _STIMS.items():
            if on in stims:
                add(kind, stims[on], stims.get(off))
    for alf_object, kind in _TIMES.items():
        if (times := content.get(f"{alf_object}.times")) is not None:
            add(kind, times)
    if (noise := content.get("passiveNoise.intervals")) is not None:
        noise = np.asarray(noise, np.float64).reshape(-1, 2)
        add("noise", noise[:, 0], noise[:, 1])

    kinds = (
        np.concatenate([np.full(len(piece[1]), piece[0], "<U6") for piece in pieces]) if pieces else np.empty(0, "<U6")
    )
    columns = [np.concatenate([piece[i] for piece in pieces]) if pieces else np.empty(0) for i in range(1, 5)]
    order = np.argsort(columns[0], kind="stable")
    names = ("start", "end", "contrast_left", "contrast_right")
    return {"kind": kinds[order]} | {name: values[order] for name, values in zip(names, columns, strict=True)}


def fractions(contrast: ArrayLike) -> Floats:
    """Contrasts as fractions 0-1, also where they are written in percent: no fraction is above 1.

    >>> fractions([100, 12.5, 0]).tolist(), fractions([1.0, 0.125, 0.0]).tolist()
    ([1.0, 0.125, 0.0], [1.0, 0.125, 0.0])
    """
    values = np.asarray(contrast, np.float64)
    return values / 100 if values.size and np.nanmax(values, initial=0) > 1 else values


def periods(table: Mapping[str, ArrayLike]) -> dict[str, tuple[float, float]]:
    """The passive periods of a session: name -> start and end, s; without those that have no time.

    Parameters
    ----------
    table : mapping of column to values
        `passivePeriods.intervalsTable`: a column for each period with the rows start and stop, in the order that a
        column of text says (start first without one); or a row for each period with the columns start and stop.

    Raises
    ------
    ValueError
        The table has neither form, or a period ends before it starts.

    Examples
    --------
    >>> periods({"index": ["start", "stop"], "RFM": [10.0, 310.0], "taskReplay": [np.nan, np.nan]})
    {'RFM': (10.0, 310.0)}
    >>> periods({"index": ["RFM"], "start": [10.0], "stop": [310.0]})
    {'RFM': (10.0, 310.0)}
    """
    columns = {str(name).strip(): np.ravel(np.asarray(values)) for name, values in table.items()}
    text = next((values for values in columns.values() if values.dtype.kind in "OUST"), None)
    numbers = {name: values for name, values in columns.items() if values.dtype.kind in "fiub"}
    lower = {name.lower(): values for name, values in numbers.items()}
    end_name = next((name for name in ("stop", "end") if name in lower), None)
    if text is not None and "start" in lower and end_name is not None:
        intervals = {str(name): (lower["start"][i], lower[end_name][i]) for i, name in enumerate(text)}
    elif numbers and all(values.size == 2 for values in numbers.values()):
        rows = [str(item).strip().lower() for item in text] if text is not None else ["start", "stop"]
        if rows not in (["start", "stop"], ["start", "end"], ["stop", "start"], ["end", "start"]):
            raise ValueError(f"the rows are {' and '.join(rows)} where start and stop are expected")
        first = rows.index("start")
        intervals = {name: (values[first], values[1 - first]) for name, values in numbers.items()}
    else:
        raise ValueError("a column for each period with the rows start and stop is expected")
    known = {name: (float(a), float(b)) for name, (a, b) in intervals.items() if np.isfinite(a) and np.isfinite(b)}
    for name, (start, end) in known.items():
        if end < start:
            raise ValueError(f"the period {name} runs from {start:g} to {end:g} s")
    return known


def labels(kinds: ArrayLike | str | None, n_rows: int) -> NDArray[np.object_]:
    """The kinds of movements as text, from any form in which they are published.

    Parameters
    ----------
    kinds : array_like, str or None
        Numbers or texts, one a movement; or the text of a file with one kind a line, or all in one line separated by
        commas, with or without a heading; None without them.
    n_rows : int
        How many movements there are; other numbers of kinds are no kinds of these.

    Examples
    --------
    >>> labels("CW,CCW,Flinch", 3).tolist(), labels([1.0, -1.0], 2).tolist(), labels(None, 2).tolist()
    (['CW', 'CCW', 'Flinch'], ['1', '-1'], ['', ''])
    """
    if kinds is None:
        return np.full(n_rows, "", object)
    if isinstance(kinds, str):
        values = [part.strip().strip('"') for part in re.split(r"[,\t\r\n]+", kinds) if part.strip()]
        values = values[1:] if len(values) == n_rows + 1 else values  # a heading
    else:
        flat = np.ravel(kinds)
        values = [f"{entry:g}" for entry in flat] if flat.dtype.kind in "biuf" else [str(item) for item in flat]
    if len(values) != n_rows:
        return np.full(n_rows, "", object)
    return np.array([value[:16] for value in values], object)
