"""Waveforms of simulated units: one shape in time, which falls off with the distance from the unit."""

from __future__ import annotations

import numpy as np

from .units import Unit

N_SAMPLES, N_CHANNELS = 82, 32  # of a stored waveform
TROUGH = 30  # sample of the trough
FALL_OFF = 32.0  # um, over which the amplitude falls to 1/e


def shape(width: float, sample_rate: float) -> np.ndarray:
    """A waveform (82 samples) of trough-to-peak amplitude 1 whose peak follows the trough by about `width` ms."""
    ms = (np.arange(N_SAMPLES) - TROUGH) / sample_rate * 1e3
    wave = -np.exp(-0.5 * (ms / 0.1) ** 2) + 0.35 * np.exp(-0.5 * ((ms - width) / (0.45 * width)) ** 2)
    wave -= wave[0]
    return wave / np.ptp(wave)


def peak_to_trough(wave: np.ndarray, sample_rate: float) -> float:
    """Time from the trough to the peak, ms."""
    return float(np.argmax(wave) - np.argmin(wave)) / sample_rate * 1e3


def footprint(unit: Unit, coordinates: np.ndarray) -> np.ndarray:
    """Amplitude of a unit on each site (uV, trough to peak), the stated one on the best site."""
    distance = np.hypot(coordinates[:, 0] - unit.lateral, coordinates[:, 1] - unit.depth)
    return unit.amplitude * np.exp(-(distance - distance.min()) / FALL_OFF)


def stored(unit: Unit, coordinates: np.ndarray, sample_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Waveform in V (samples x channels, float32) on the sites where it is largest, and these sites, best first."""
    strength = footprint(unit, coordinates)
    sites = np.argsort(-strength, kind="stable")[:N_CHANNELS]
    return np.outer(shape(unit.width, sample_rate), 1e-6 * strength[sites]).astype(np.float32), sites
