"""How a recording is cut into chunks and transformed: the named layouts, and the choice by measurement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .codec import Transform, encode, forward, has_exact_differences
from .errors import FormatError

LAYOUTS = {
    "compat": ("F", 1.0),  # mtscomp's own defaults
    "access": ("C", 0.1),  # short reads touch a tenth of the data, and need no transposition
    "auto": (None, 0.1),
}
"""Name: order (None: measured) and chunk duration in seconds."""

SPATIAL_GAIN = 1.005
"""`auto` takes spatial differences or channel order only when smaller than plain sample order by this factor: sample
order is faster to write and to read."""


@dataclass(frozen=True)
class Plan:
    """A layout made concrete for one recording: rows per chunk and transform, with the reason in words."""

    layout: str
    rows: int
    transform: Transform
    reason: str


def plan(
    layout: str,
    *,
    n_samples: int,
    sample_rate: float,
    dtype: np.dtype,
    order: str | None = None,
    time_diff: bool = True,
    spatial_diff: bool | None = None,
    chunk_duration: float | None = None,
    read: Callable[[int, int], np.ndarray],
) -> Plan:
    """Settle the layout of a recording.

    Parameters
    ----------
    layout : {"auto", "compat", "access"}
    order, spatial_diff, chunk_duration
        What the caller wants whatever the layout says; None where the layout decides. Chunk duration in seconds.
    read : function (first, last) -> array (last - first, n_channels)
        Reads samples, for `auto` to measure.

    Raises
    ------
    FormatError
        An option is impossible.
    """
    if layout not in LAYOUTS:
        raise FormatError(f"layout {layout!r} is none of {', '.join(LAYOUTS)}.")
    if order not in (None, "F", "C"):
        raise FormatError(f"order {order!r} is neither F (channel after channel) nor C (sample after sample).")
    layout_order, seconds = LAYOUTS[layout]
    custom = order is not None or chunk_duration is not None or spatial_diff is not None or not time_diff
    seconds = seconds if chunk_duration is None else chunk_duration
    if not 0 < seconds < float("inf"):
        raise FormatError(f"a chunk duration of {seconds} s is not positive.")
    rows = max(1, min(round(seconds * sample_rate), n_samples))
    order = order or layout_order
    if not has_exact_differences(dtype):
        if spatial_diff:
            raise FormatError(f"spatial differences of {dtype} do not give the samples back.")
        reason = f"{dtype} is stored without differences, which would not be exact."
        return Plan(layout, rows, Transform(order or "F", False, False), reason)
    orders = [order] if order else ["C", "F"]
    spatials = [spatial_diff] if spatial_diff is not None else [False] if layout != "auto" else [False, True]
    candidates = [Transform(o, time_diff, s) for s in spatials for o in orders]
    if len(candidates) == 1:
        name = f"{layout} layout" + (" with the options given" if custom else "")
        return Plan(layout, rows, candidates[0], f"{name}: {_words(candidates[0], rows / sample_rate)}.")
    sizes, raw = _measure(candidates, n_samples, sample_rate, rows, read)
    best = min(candidates, key=lambda c: sizes[c] * (SPATIAL_GAIN if c != candidates[0] else 1.0))
    measured = ", ".join(f"{_name(c)} {raw / size:.3f}" for c, size in sizes.items())
    return Plan(layout, rows, best, f"measured ratios: {measured}; chosen: {_words(best, rows / sample_rate)}.")


def _measure(
    candidates: Sequence[Transform],
    n_samples: int,
    sample_rate: float,
    rows: int,
    read: Callable[[int, int], np.ndarray],
) -> tuple[dict[Transform, int], int]:
    """Compressed bytes of each candidate over a few chunks of the first ten seconds, and the bytes before."""
    sample_rows = max(1, min(rows, 3000))
    starts = np.unique(np.linspace(0, max(0, min(n_samples, int(10 * sample_rate)) - sample_rows), 4).astype(int))
    sizes = dict.fromkeys(candidates, 0)
    raw = 0
    for start in starts:
        samples = read(int(start), int(min(start + sample_rows, n_samples)))
        raw += samples.nbytes
        for candidate in candidates:
            sizes[candidate] += len(encode(forward(samples, candidate), "fast"))
    return sizes, raw


def _name(transform: Transform) -> str:
    return transform.order + ("+space" if transform.spatial_diff else "")


def _words(transform: Transform, seconds: float) -> str:
    order = "channel after channel" if transform.order == "F" else "sample after sample"
    kinds = [kind for kind, on in (("time", transform.time_diff), ("space", transform.spatial_diff)) if on]
    return f"{order}, {'differences in ' + ' and '.join(kinds) if kinds else 'no differences'}, chunks of {seconds:g} s"
