"""Fibre photometry: the frames of a recording taken apart into one trace for each site and excitation light.

A recording alternates between its lights from frame to frame, so that a column of the file mixes several signals. Which
frame belongs to which light is said by `wavelength` and `name` in the ALF object `photometry`, and by the bits of
`LedState` or `Flags` in the files of a Neurophotometrics FP3002.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.analysis.arrays import AnyArray, Booleans, Floats
from pipeline.analysis.time_order import in_order

__all__ = ["DEVICE_CLOCK", "SESSION_CLOCK", "Recording", "Trace", "aligned", "notes", "take_apart"]

SESSION_CLOCK, DEVICE_CLOCK = "session", "device"

LIGHTS = {1: (415.0, "Isosbestic"), 2: (470.0, "GCaMP"), 4: (560.0, "RCaMP")}
"""Bit of `LedState` or `Flags` -> wavelength (nm) and name of the light; the higher bits are inputs and outputs."""

_LED = ("ledstate", "flags")
_TIMES = ("times", "systemtimestamp", "timestamp", "timestamps", "time")
_VALID = ("valid", "include", "included")
_NOT_A_SITE = frozenset(
    (*_LED, *_TIMES, *_VALID, "wavelength", "name", "color", "colour", "channel", "framecounter", "computertimestamp")
    + ("index", "stimulation", "output0", "output1", "input0", "input1", "unnamed: 0", "", "__index_level_0__")
)
_UNKNOWN = np.inf  # wavelength of a light of which the file says none: sorted last
SLOWEST, FASTEST = 1.0, 1000.0  # Hz, frames of one light that a recording has
GAP = 1.5  # times the median interval: a longer one is a gap


@dataclass(frozen=True)
class Trace:
    """One site under one light.

    Attributes
    ----------
    site : column of the file, e.g. `Region0G`, `G0`, `DMS`.
    name : of the light or the indicator, as the file says, e.g. `GCaMP`, `Isosbestic`; empty where it does not.
    wavelength : of the excitation light, nm; NaN where the file does not say.
    times : (n,) array, s, ascending.
    values : (n,) array, fluorescence in the unit of the file.
    """

    site: str
    name: str
    wavelength: float
    times: Floats
    values: Floats

    @functools.cached_property
    def sampling_rate(self) -> float:
        """One over the median interval, Hz; NaN below two samples."""
        return float(1 / np.median(np.diff(self.times))) if self.times.size > 1 else float("nan")


@dataclass(frozen=True)
class Recording:
    """All traces of a recording, and what was left out.

    Attributes
    ----------
    traces : in the order of the sites in the file, then of the wavelength.
    clock : `session` or `device`: of what the times are seconds.
    n_frames : rows of the file.
    n_unlit : frames without a light, or with several at once, as the first of a recording.
    n_invalid : frames that the file marks as outside the session.
    n_dropped : frames whose time is missing or not after the one before under the same light.
    """

    traces: tuple[Trace, ...]
    clock: str
    n_frames: int
    n_unlit: int
    n_invalid: int
    n_dropped: int


def take_apart(columns: Mapping[str, ArrayLike], clock: str | None = None) -> Recording:
    """The traces of a recording.

    Parameters
    ----------
    columns : column of the file -> values, each of shape (n_frames,). Times are `times` (session clock), or
        `SystemTimestamp` or `Timestamp` (device clock). Lights are `wavelength` (nm) and `name`, or `LedState` or
        `Flags`; without them each site has one trace. Frames where `valid` (formerly `include`) is false are left out.
        Every other column of numbers is a site.
    clock : of the times, where it is known; by default what their name says.

    Raises
    ------
    ValueError
        There are no times, or no sites.

    Examples
    --------
    >>> raw = {"SystemTimestamp": [5.0, 5.1, 5.2, 5.3, 5.4], "LedState": [7, 2, 1, 18, 1], "G0": [9, 4, 2, 5, 3]}
    >>> parts = take_apart(raw)
    >>> [(one.site, one.wavelength, one.values.tolist()) for one in parts.traces], parts.n_unlit, parts.clock
    ([('G0', 415.0, [2.0, 3.0]), ('G0', 470.0, [4.0, 5.0])], 1, 'device')
    """
    arrays = {name: np.ravel(np.asarray(values)) for name, values in columns.items()}
    by_name = {name.strip().lower(): values for name, values in arrays.items()}
    stamp = next((name for name in _TIMES if name in by_name), None)
    if stamp is None:
        raise ValueError("no column has the times: times, SystemTimestamp or Timestamp")
    sites = [
        name
        for name, values in arrays.items()
        if name.strip().lower() not in _NOT_A_SITE and values.dtype.kind in "fiu" and np.isfinite(values).any()
    ]
    if not sites:
        raise ValueError("no column has the signal of a site")
    times = by_name[stamp].astype(np.float64)
    valid = _true(next((by_name[name] for name in _VALID if name in by_name), np.ones(times.size)))
    names, number, wavelengths, lit = _lights(by_name, times.size)
    traces: list[Trace] = []
    n_dropped = 0
    used = lit & valid
    sorted_as = np.where(np.isnan(wavelengths), _UNKNOWN, wavelengths)
    lights = {
        (nm, name, i) for i, name in enumerate(names) for nm in np.unique(sorted_as[used & (number == i)]).tolist()
    }
    chosen = []
    for nm, name, i in sorted(lights):
        wavelength = np.nan if nm == _UNKNOWN else nm
        rows = np.flatnonzero(used & (sorted_as == nm) & (number == i))
        kept = rows[in_order(times[rows])]
        n_dropped += rows.size - kept.size
        chosen.append((wavelength, name, kept))
    for site in sites:
        values = arrays[site].astype(np.float64)
        traces += [Trace(site, name, nm, times[rows], values[rows]) for nm, name, rows in chosen]
    known = SESSION_CLOCK if stamp == "times" else DEVICE_CLOCK
    return Recording(tuple(traces), clock or known, times.size, int((~lit).sum()), int((lit & ~valid).sum()), n_dropped)


def _true(values: AnyArray) -> Booleans:
    """Truth values as they are exported: bool, numbers, or text; what is missing is false."""
    if values.dtype.kind in "biu":
        return values.astype(bool)
    if values.dtype.kind == "f":
        is_true: Booleans = np.isfinite(values) & (values != 0)
        return is_true
    return np.array([str(value).strip().lower() in ("true", "1", "1.0", "yes") for value in values])


def _lights(
    by_name: Mapping[str, AnyArray], n_frames: int
) -> tuple[tuple[str, ...], NDArray[np.int64], Floats, Booleans]:
    """The names of the lights; for each frame which of them, its wavelength, and whether it has exactly one light."""
    wavelengths = np.full(n_frames, np.nan)
    states = next((by_name[name] for name in _LED if name in by_name), None)
    if states is not None and "wavelength" not in by_name and "name" not in by_name:
        states = np.nan_to_num(states.astype(np.float64)).astype(np.int64) & sum(LIGHTS)
        number = np.zeros(n_frames, np.int64)
        for place, (bit, (wavelength, _)) in enumerate(LIGHTS.items(), start=1):
            alone = states == bit
            number[alone], wavelengths[alone] = place, wavelength
        return ("", *(name for _, name in LIGHTS.values())), number, wavelengths, number > 0
    names: tuple[str, ...] = ("",)
    number, lit = np.zeros(n_frames, np.int64), np.ones(n_frames, bool)
    if "name" in by_name:
        written = by_name["name"].tolist()
        meant = {value: "" if value is None or value != value else str(value).strip() for value in set(written)}
        names = tuple(dict.fromkeys(meant.values()))
        places = {value: names.index(name) for value, name in meant.items()}
        number = np.fromiter(map(places.__getitem__, written), np.int64, n_frames)
        lit &= np.array([name not in ("", "None", "nan") and "+" not in name for name in names], bool)[number]
    if "wavelength" in by_name:
        wavelengths = by_name["wavelength"].astype(np.float64)
        if "name" not in by_name or np.isfinite(wavelengths[lit]).any():
            lit &= np.isfinite(wavelengths) & (wavelengths > 0)
    return names, number, wavelengths, lit


def notes(recording: Recording) -> list[str]:
    """What was left out or is odd, in words.

    >>> frames = {"times": [0.0, 0.1, 0.1, 0.3], "valid": [True, True, True, False], "DMS": [1.0, 2.0, 3.0, 4.0]}
    >>> notes(take_apart(frames))
    ['1 frame left out, since its time is missing or not after the one before']
    """
    said = []
    if recording.clock == DEVICE_CLOCK:
        said.append("times are of the clock of the device: `photometry.signal` with times of the session is missing")
    if not recording.traces:
        said.append("no frame has exactly one light and is marked valid")
    if recording.n_dropped:
        n = recording.n_dropped
        what = "frame left out, since its time is" if n == 1 else "frames left out, since their times are"
        said.append(f"{n} {what} missing or not after the one before")
    if recording.n_unlit > max(10, recording.n_frames // 100):
        said.append(f"{recording.n_unlit} of {recording.n_frames} frames have no light, or several at once")
    rates = [trace.sampling_rate for trace in recording.traces if trace.times.size > 1]
    if rates and not SLOWEST <= float(np.median(rates)) <= FASTEST:
        said.append(f"{np.median(rates):.3g} frames a second under each light: the times are perhaps not in seconds")
    missing = [trace.site for trace in recording.traces if not np.isfinite(trace.values).all()]
    said += [f"{site} has samples without a value" for site in dict.fromkeys(missing)]
    flat = [trace.site for trace in recording.traces if trace.values.size > 10 and _is_flat(trace.values)]
    said += [f"{site} does not change" for site in dict.fromkeys(flat)]
    return said


def _is_flat(values: Floats) -> bool:
    """Whether all values that there are are the same; there is at least one."""
    seen = values[np.isfinite(values)]
    return seen.size > 0 and bool((seen == seen[0]).all())


def aligned(
    times: ArrayLike,
    values: ArrayLike,
    events: ArrayLike,
    start: float = -1.0,
    end: float = 2.0,
    sampling_rate: float | None = None,
    baseline: tuple[float, float] | None = None,
) -> tuple[Floats, Floats]:
    """A signal around events, interpolated between its samples to the same times from each event.

    Parameters
    ----------
    times, values : (n,) arrays; s, ascending, and the signal.
    events : (k,) array, s; NaN for trials without the event.
    start, end : of the window, s from the event.
    sampling_rate : of the result, Hz; by default that of the signal.
    baseline : from and to, s from the event: the result is (F - F0) / F0 with the mean F0 over this part.

    Returns
    -------
    times_from_event : (m,) array, s
    signal : (k, m) array; NaN before and after the recording, in its gaps, and for events that are NaN

    Raises
    ------
    ValueError
        `end` is not after `start`, or the rate is not known.

    Examples
    --------
    >>> time, signal = aligned([0, 1, 2, 3, 4], [0, 2, 4, 6, 8], [2.0, 3.5, np.nan], -1, 1, sampling_rate=1)
    >>> time, signal
    (array([-1.,  0.,  1.]), array([[ 2.,  4.,  6.],
           [ 5.,  7., nan],
           [nan, nan, nan]]))
    """
    clock, signal = np.asarray(times, np.float64), np.asarray(values, np.float64)
    known = np.isfinite(signal) & np.isfinite(clock)
    clock, signal = clock[known], signal[known]
    step = float(np.median(np.diff(clock))) if clock.size > 1 else float("nan")
    rate = sampling_rate if sampling_rate is not None else 1 / step
    if not end > start:
        raise ValueError(f"the window ends at {end} s, which is not after its start at {start} s")
    if not rate > 0:
        raise ValueError("the signal has fewer than two samples: give a sampling rate")
    grid = np.arange(int(np.ceil(start * rate - 1e-9)), int(np.floor(end * rate + 1e-9)) + 1) / rate
    at = np.asarray(events, np.float64)[:, None] + grid
    if clock.size < 2:
        return grid, np.full(at.shape, np.nan)
    after = np.searchsorted(clock, np.nan_to_num(at), side="left").clip(1, clock.size - 1)
    length = clock[after] - clock[after - 1]
    snippets = signal[after - 1] + (signal[after] - signal[after - 1]) * (at - clock[after - 1]) / length
    on_sample = (at == clock[after]) | (at == clock[after - 1])
    with np.errstate(invalid="ignore"):
        snippets[~((at >= clock[0]) & (at <= clock[-1]) & ((length <= GAP * step) | on_sample))] = np.nan
    if baseline is not None:
        within = (grid >= baseline[0]) & (grid < baseline[1])
        counts = np.isfinite(snippets[:, within]).sum(axis=1, keepdims=True)
        sums = np.nansum(snippets[:, within], axis=1, keepdims=True)
        mean = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
        snippets = (snippets - mean) / mean
    return grid, snippets
