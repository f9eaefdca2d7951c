"""In which unit of measurement an array of a sorting is: as ALF has it, provably in another one, or not to be used.

Each check compares an array with what else the session says (its sampling rate, the places of the channels, the other
arrays). It returns a factor where that proves the unit, and a reason where the values cannot be in the unit of ALF and
nothing proves which one it is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.electrophysiology.array_rules import LARGEST_AMPLITUDE, chunks
from pipeline.electrophysiology.reading import Recorded

COMMON_RATE = 30000.0  # Hz, of a probe whose recording is not here
LONGEST_SESSION = 48 * 3600.0  # s
SHORTEST_WIDTH, LONGEST_WIDTH = 0.02, 5.0  # ms, of the median spike
SMALLEST_SPAN, LONGEST_PROBE = 15.0, 100_000.0  # um between the depths of several units, and along any probe
SMALLEST_AMPLITUDE = 1e-7  # V; the median of a file below it is in another unit
NEAR = 0.05  # tolerated relative difference between two measures of one depth
FAR = 4.0  # tolerated factor between two measures of one amplitude or width
OPPOSITE = -0.9  # correlation of two measures of one depth that are counted from opposite ends
BY_CHANCE = 1e-6  # the correlation of unrelated depths may be taken for that so often
SHORT = 1 / 30  # of a recording; spikes that span less may be in another unit
DRIFT = 0.01  # of a clock against another one; more is another sampling rate
MIXED = 0.1  # share of amplitudes of the other sign that is tolerated
_FEWEST_ROWS = 8  # of electrodes that tell numbers of rows from um: no probe has steps of 1 um
_SOME = 20_000  # values that are looked at


class Verdict(NamedTuple):
    """What a check found."""

    factor: float = 1.0  # brings the values into the unit of ALF
    wrong: str = ""  # why the array must not be read; empty where it may
    note: str = ""  # what was converted or is doubtful, in words


def spike_times(
    times: np.ndarray, clusters: np.ndarray | None, samples: np.ndarray | None, recorded: Recorded | None
) -> Verdict:
    """Spike times are s: not samples, not ms, not coarser than a sample.

    Integers, and whole numbers over more than a day, are samples; with a recording whose rate is known and that is
    long enough they become seconds. Where hundreds of spikes of several units are never nearer to each other than
    10 ms, the unit is smaller than a second. Times of 32 bits that are coarser than a sample are refused.
    """
    if not len(times):
        return Verdict()
    first = min(float(some.min()) for _, some in chunks(times))
    last = max(float(some.max()) for _, some in chunks(times))
    rate = recorded.sampling_rate if recorded else COMMON_RATE
    if times.dtype.kind in "iu" or _are_whole(times, clusters):
        return _samples(times, first, last, samples, recorded)
    if recorded and (wrong := _of_another_rate(times, samples, recorded)):
        return Verdict(wrong=wrong)
    if last > LONGEST_SESSION:
        return Verdict(wrong=f"the last spike is at {last:,.0f}, which is {last / 3600:,.0f} h: expected are s")
    step = _smallest_step(times)
    if step >= 0.01 and len(times) >= 300 and _n_units(clusters) >= 3:
        return Verdict(wrong=f"no two of {len(times):,} spikes are nearer than {step:.3g}: expected are s")
    if times.dtype.itemsize < 8 and (grain := float(np.spacing(np.abs(times[-1])))) > 1 / rate:
        return Verdict(
            wrong=f"{times.dtype} has steps of {grain * 1e3:.2g} ms at {last:.0f} s, coarser than a sample: "
            "expected is float64"
        )
    if recorded and len(times) >= 300 and 0 < last - first < SHORT * recorded.duration:
        note = f"the spikes span {last - first:,.4g} s of the {recorded.duration:,.1f} s of the recording beside them"
        for seconds, unit in ((60, "minutes"), (3600, "hours")):
            if np.isclose((last - first) * seconds, recorded.duration, rtol=2 * NEAR):
                return Verdict(wrong=f"{note}, as they would in {unit}: expected are s")
        return Verdict(note=note)
    if recorded and last - first > 1.01 * recorded.duration + 1:
        ratio = (last - first) / recorded.duration
        note = f"the spikes span {last - first:,.1f} s, but the recording beside them only {recorded.duration:,.1f} s"
        if ratio > 300 and len(times) >= 300 and step > 0.5 * 1000 / rate:
            return Verdict(wrong=f"{note}: expected are s")
        return Verdict(note=note)
    if recorded and len(times) >= 300 and first > 1.01 * recorded.duration + 1:
        return Verdict(
            note=f"the spikes lie between {first:,.1f} and {last:,.1f} s, the recording beside them is "
            f"{recorded.duration:,.1f} s long: is it theirs, and are they from session start?"
        )
    return Verdict()


def amplitudes(values: np.ndarray) -> Verdict:
    """Amplitudes are V; those of negative spikes that are written with their sign count by their size."""
    some = _finite(values)
    if not len(some):
        return Verdict(wrong="no value is a finite number") if len(values) else Verdict()
    if (middle := float(np.median(np.abs(some)))) > LARGEST_AMPLITUDE:
        return Verdict(wrong=f"the median amplitude is {middle:.4g}: expected are V")
    if not some.any():
        return Verdict(wrong="all amplitudes are 0")
    if 0 < middle < SMALLEST_AMPLITUDE:
        return Verdict(wrong=f"the median amplitude is {middle:.4g}, less than 0.1 uV: expected are V")
    negative, positive = float((some < 0).mean()), float((some > 0).mean())
    if negative <= MIXED:
        return Verdict()
    if positive <= MIXED * negative:
        return Verdict(-1.0, note="the amplitudes are negative: their size counts")
    return Verdict(wrong=f"{100 * negative:.0f} % of the amplitudes are negative and the others positive")


def _is_opposite(values: np.ndarray, reference: np.ndarray) -> bool:
    """Whether one falls where the other rises, more closely than a few unrelated values do by chance.

    Of n unrelated values of a normal distribution, one correlation in about (1 - r²)^((n - 2) / 2) lies beyond r.
    """
    if np.ptp(values) == 0:
        return False
    correlation = float(np.corrcoef(values, reference)[0, 1])
    return correlation < OPPOSITE and (1 - correlation**2) ** ((len(values) - 2) / 2) < BY_CHANCE


def depths(values: np.ndarray, reference: np.ndarray | None = None) -> Verdict:
    """Depths are um from the tip.

    Parameters
    ----------
    reference : the same depths from another source that is known to be in um; NaN where that does not say.
    """
    values = np.asarray(values, np.float64)
    if reference is not None:
        both = np.isfinite(values) & np.isfinite(reference) & (np.abs(reference) > 1)
        if both.sum() >= 3 and np.ptp(reference[both]) > SMALLEST_SPAN:
            ratio = float(np.median(values[both] / reference[both]))
            for factor, unit in ((1e3, "mm"), (1e6, "m")):
                if np.isclose(ratio * factor, 1, rtol=5 * NEAR):
                    return Verdict(factor, note=f"the depths are in {unit}, as the places of the channels show")
            away = float(np.median(np.abs(values[both] + reference[both])))
            if np.isclose(ratio, -1, rtol=5 * NEAR) and away < 2 * SMALLEST_SPAN:
                return Verdict(-1.0, note="the depths are negative: their size counts, as places of channels show")
            if _is_opposite(values[both], reference[both]):
                what = "the depths fall where the places of the channels rise"
                return Verdict(wrong=f"{what}: expected are um from the tip")
    some = _finite(values)
    if not len(some):
        return Verdict(wrong="no value is a finite number") if len(values) else Verdict()
    largest = float(np.abs(some).max())
    if largest > LONGEST_PROBE:
        return Verdict(wrong=f"a depth is {largest:,.0f}: expected are um from the tip")
    if largest < SMALLEST_SPAN and len(some) >= 3 and len(np.unique(some)) >= 3:
        return Verdict(wrong=f"all depths lie between {some.min():.4g} and {some.max():.4g}: expected are um")
    return Verdict()


def places(values: np.ndarray, reference: np.ndarray | None = None) -> Verdict:
    """Places of channels, (n, 2), are um; `reference` as in `depths`, along the shank."""
    if values.ndim != 2 or values.shape[1] < 2:
        return Verdict()
    rows = np.unique(_all_finite(values[:, 1]))
    if len(rows) >= _FEWEST_ROWS and (np.diff(rows) == 1).all():
        what = f"the places along the shank are {rows[0]:g}, {rows[1]:g}, … {rows[-1]:g}, as numbers of rows are"
        return Verdict(wrong=f"{what}: expected are um")
    if reference is None or len(reference) != len(values):
        return depths(values[:, 1])
    if axes := exchanged(values, reference):
        return Verdict(wrong=axes)
    return depths(values[:, 1], reference)


def exchanged(values: np.ndarray, reference: np.ndarray) -> str:
    """Why places (n, 2) are known to be along and across the shank; empty where they are not."""
    if values.ndim != 2 or values.shape[1] < 2 or len(reference) != len(values):
        return ""
    known = np.isfinite(reference)
    if known.sum() < 3 or np.ptp(reference[known]) <= SMALLEST_SPAN:
        return ""
    across, along = (float(np.ptp(np.asarray(values[known, i], np.float64) - reference[known])) for i in (0, 1))
    if not across <= SMALLEST_SPAN < along:
        return ""
    what = "the places along the shank by the recording are in their first column"
    return f"{what}: expected are places across and along the shank"


def waveforms(values: np.ndarray, amps: np.ndarray | None = None) -> Verdict:
    """Mean waveforms are V.

    Parameters
    ----------
    values : (k, n_samples, n_channels).
    amps : (k,) mean amplitude of each row, V, NaN where it is not known.
    """
    if 0 in values.shape:
        return Verdict()
    if values.ndim != 3:
        return Verdict(wrong=f"an array of shape {values.shape} where (units, samples, channels) are expected")
    if values.dtype.kind in "iu":
        return Verdict(wrong=f"they are whole numbers ({values.dtype}) in a step that no file states: expected are V")
    rows = np.unique(np.linspace(0, len(values) - 1, min(len(values), 200)).astype(int))
    size = np.array([np.abs(np.nan_to_num(np.asarray(values[row], np.float64))).max() for row in rows])
    known = size > 0
    if not known.any():
        return Verdict(wrong="no waveform has a finite value other than 0")
    middle = float(np.median(size[known]))
    if SMALLEST_AMPLITUDE <= middle <= LARGEST_AMPLITUDE:
        return Verdict()
    if amps is not None and len(amps) == len(values):
        both = known & np.isfinite(amps[rows]) & (amps[rows] != 0)
        if both.sum() >= 3:
            ratio = float(np.median(size[both] / np.abs(amps[rows][both])))
            for factor, unit in ((1e-6, "uV"), (1e-3, "mV")):
                if 1 / FAR < ratio * factor < FAR:
                    return Verdict(factor, note=f"the waveforms are in {unit}, as the amplitudes of the spikes show")
    return Verdict(wrong=f"the median size of a waveform is {middle:.4g}: expected are V")


def widths(values: np.ndarray, reference: np.ndarray | None = None, rate: float | None = None) -> Verdict:
    """Times from peak to trough are ms; `reference` are the same, ms, from the waveforms, `rate` that of the probe."""
    some = np.abs(_finite(values))
    if not len(some):
        return Verdict(wrong="no value is a finite number") if len(values) else Verdict()
    middle = float(np.median(some))
    if reference is not None and len(reference) == len(values):
        both = np.isfinite(values) & np.isfinite(reference) & (values != 0) & (reference != 0)
        if both.sum() >= 3 and (np.sign(values[both]) == -np.sign(reference[both])).all():
            checked = widths(-np.asarray(values, np.float64), reference, rate)
            note = "their sign was turned: where a waveform has a trough, the peak comes after it"
            return checked._replace(factor=-checked.factor, note="; ".join(filter(None, [checked.note, note])))
    if middle == 0 or SHORTEST_WIDTH <= middle <= LONGEST_WIDTH:
        return Verdict()
    if reference is not None and len(reference) == len(values):
        both = np.isfinite(values) & np.isfinite(reference) & (reference != 0)
        if both.sum() >= 3:
            ratio = float(np.median(np.abs(values[both]) / np.abs(reference[both])))
            samples = [(1e3 / rate, "samples")] if rate and (some == np.trunc(some)).all() else []
            for factor, unit in [(1e3, "s"), (1e-3, "us"), *samples]:
                if 1 / FAR < ratio * factor < FAR:
                    return Verdict(factor, note=f"the widths are in {unit}, as the waveforms show")
    return Verdict(wrong=f"the median time from peak to trough is {middle:.4g}: expected are ms")


def _of_another_rate(times: np.ndarray, samples: np.ndarray | None, recorded: Recorded) -> str:
    """Why times are spikes.samples over another sampling rate than that of the recording; empty where they are not."""
    if samples is None or len(samples) != len(times) or len(times) < 2 or samples.dtype.kind not in "iuf":
        return ""
    ends = [int(np.argmin(samples)), int(np.argmax(samples))]
    span, seconds = float(samples[ends[1]]) - float(samples[ends[0]]), float(times[ends[1]]) - float(times[ends[0]])
    if span < recorded.sampling_rate or seconds <= 0 or abs(span / seconds / recorded.sampling_rate - 1) < DRIFT:
        return ""
    return (
        f"the times are spikes.samples at {span / seconds:,.6g} Hz, but the recording has "
        f"{recorded.sampling_rate:,.6g} Hz: expected are s"
    )


def _samples(
    times: np.ndarray, first: float, last: float, samples: np.ndarray | None, recorded: Recorded | None
) -> Verdict:
    """Times that are whole numbers: samples, where a recording or spikes.samples proves it."""
    what = f"the times are whole numbers up to {last:,.0f}, as samples are: expected are s"
    if recorded is None:
        return Verdict(wrong=f"{what}, and there is no recording that tells the sampling rate")
    if last >= recorded.n_samples:
        return Verdict(wrong=f"{what}, and the recording has only {recorded.n_samples:,} samples")
    if samples is not None and len(samples) == len(times):
        rows = np.linspace(0, len(times) - 1, min(len(times), _SOME)).astype(int)
        if not np.array_equal(np.asarray(times[rows], np.float64), np.asarray(samples[rows], np.float64)):
            return Verdict(wrong=f"{what}, and spikes.samples holds other numbers")
    rate = recorded.sampling_rate
    note = f"the times are samples; they were divided by the sampling rate, {rate:.10g} Hz"
    if len(times) < 300 or (last - first) / rate > 0.9 * recorded.duration:
        return Verdict(1 / rate, note=note)
    spans = f"span {(last - first) / rate:,.4g} s of the {recorded.duration:,.1f} s of the recording"
    if samples is None and np.isclose((last - first) / 1e3, recorded.duration, rtol=2 * NEAR):
        return Verdict(wrong=f"as samples the times would {spans}, as ms all of it: expected are s")
    return Verdict(1 / rate, note=f"{note}; so they {spans}")


def _are_whole(times: np.ndarray, clusters: np.ndarray | None) -> bool:
    """Whether times of a floating type are samples or milliseconds: hundreds, all whole, of several units."""
    if len(times) < 100 or _n_units(clusters) < 2 or float(times[-1]) < 1000:
        return False
    return all(bool((some == np.trunc(some)).all()) for _, some in chunks(times))


def _n_units(clusters: np.ndarray | None) -> int:
    """How many units the first spikes have."""
    return 0 if clusters is None else len(np.unique(np.asarray(clusters[:_SOME])))


def _smallest_step(times: np.ndarray) -> float:
    """The smallest difference above 0 between neighbours among the first spikes; 0 where there is none."""
    steps = np.diff(np.sort(np.asarray(times[:_SOME], np.float64)))
    steps = steps[steps > 0]
    return float(steps.min()) if len(steps) else 0.0


def _finite(values: np.ndarray) -> np.ndarray:
    """Some of the values, evenly spread, without those that are not finite."""
    some = np.asarray(values[:: max(1, len(values) // _SOME)], np.float64).ravel()
    some = some[np.isfinite(some)]
    return some if len(some) or not values.size else _all_finite(values)


def _all_finite(values: np.ndarray) -> np.ndarray:
    """The finite among all values."""
    flat = np.asarray(values, np.float64).ravel()
    return flat[np.isfinite(flat)]
