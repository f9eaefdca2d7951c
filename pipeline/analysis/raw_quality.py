"""How good the channels of a raw recording are: noise, rate of large deflections, dead and noisy channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its modules are imported when they are first used
from numpy.typing import NDArray

from pipeline.analysis.arrays import AnyArray, Floats

GOOD, DEAD, NOISY = 0, 1, 2
HIGH_PASS = 300.0  # Hz
THRESHOLD = 50e-6  # V, of a deflection that is counted
DEAD_CORRELATION, NOISY_RATIO = 0.05, 3.0
"""A dead channel goes with the others less than this, or has a tenth of their noise; a noisy one this often."""


@dataclass(frozen=True)
class Snippet:
    """Of one piece of a recording, one value a channel: noise (V), deflections (1/s), and how it goes with all."""

    rms: Floats
    rate: Floats
    correlation: Floats


def snippet(volts: NDArray[np.floating], sampling_rate: float) -> Snippet:
    """What one piece of a recording shows.

    Parameters
    ----------
    volts : (n_samples, n_channels) array, V
    sampling_rate : Hz

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shared = rng.normal(size=(30000, 1)) * 5e-6
    >>> volts = shared + rng.normal(size=(30000, 8)) * 5e-6
    >>> bool(np.all(snippet(volts, 30000.0).rms < 5.2e-6))
    True
    """
    sections = scipy.signal.butter(3, HIGH_PASS, "highpass", fs=sampling_rate, output="sos")
    filtered = scipy.signal.sosfiltfilt(sections, volts, axis=0)
    common = np.median(filtered, axis=1, keepdims=True)
    scale = filtered.std(axis=0) * common.std()
    covariance = ((filtered - filtered.mean(axis=0)) * (common - common.mean())).mean(axis=0)
    correlation = np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)
    referenced = filtered - common
    below = referenced < -THRESHOLD
    crossings = (below[1:] & ~below[:-1]).sum(axis=0)
    return Snippet(referenced.std(axis=0), crossings * (sampling_rate / len(volts)), correlation)


def summary(snippets: Sequence[Snippet]) -> dict[str, AnyArray]:
    """One value a channel over all pieces: `apRMS` (V), `rawSpikeRates` (1/s), `labels` (0 good, 1 dead, 2 noisy)."""
    rms = np.median([item.rms for item in snippets], axis=0)
    rate = np.mean([item.rate for item in snippets], axis=0)
    correlation = np.median([item.correlation for item in snippets], axis=0)
    usual = np.median(rms)
    labels = np.full(rms.size, GOOD, dtype=np.int64)
    together = np.median(correlation)  # where the channels share nothing, that tells nothing of one
    labels[(rms < 0.1 * usual) | ((together > 0.2) & (correlation < DEAD_CORRELATION))] = DEAD
    labels[rms > NOISY_RATIO * usual] = NOISY
    return {"apRMS": rms, "rawSpikeRates": rate, "labels": labels}
