"""Synthetic recordings that compress like Neuropixels ones, for tests, benchmarks and demonstrations: band-limited 1/f
background, common noise, spikes of many units and a sync channel, as int16 with a SpikeGLX `.meta` beside it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .jit import kernel

SYNC_1HZ, SYNC_60HZ = 64, 8  # bits of the sync word that toggle once and 60 times a second


@dataclass(frozen=True)
class ProbeKind:
    """What differs between probe generations, in the units of the signal."""

    lsb: float  # uV per bit
    max_int: int  # the converter saturates at -max_int and max_int - 1
    band: tuple[float, float]  # Hz, one-pole high-pass and low-pass
    white: float  # uV rms of the noise that is private to a channel
    common: float  # uV rms of the noise that all channels share
    background: tuple[tuple[float, float, float], ...]  # (corner in Hz, uV rms, spatial sigma in channels)
    offset: float  # bits, spread of the channels' offsets


KINDS = {
    "np1": ProbeKind(2.34375, 512, (300, 10000), 5.6, 6.0, ((1500, 6, 4), (400, 5.4, 4), (100, 4.8, 10)), 8.0),
    "np2": ProbeKind(
        0.762939453125,
        8192,
        (0.5, 10000),
        4.8,
        5.0,
        ((1500, 5.4, 4), (400, 5.4, 4), (100, 4.8, 10), (20, 12, 10), (4, 24, 10)),
        48.0,
    ),
}


def write_recording(
    path: str | os.PathLike[str],
    seconds: float,
    n_channels: int = 385,
    sample_rate: float = 30000,
    seed: int = 0,
    meta: bool = True,
    kind: str = "np1",
) -> Path:
    """Write a flat int16 recording (samples x channels; the last channel is sync), one second at a time.

    Parameters
    ----------
    path : data file, usually `*.ap.bin`; with `meta` its SpikeGLX header is written beside it as `*.ap.meta`
    seconds : duration, s
    n_channels : neural channels + 1
    sample_rate : Hz
    seed : the same arguments give the same bytes
    kind : 'np1' (10 bit, 0.3-10 kHz band) or 'np2' (14 bit, wide band)

    Returns
    -------
    Path of the data file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_recording(Path(folder) / "a.ap.bin", 0.1, n_channels=9).stat().st_size
    54000
    """
    path = Path(path)
    sha1, size = hashlib.sha1(usedforsecurity=False), 0
    with path.open("wb") as file:
        for block in blocks(seconds, n_channels, sample_rate, seed, kind):
            file.write(block)
            sha1.update(block)
            size += block.nbytes
    if meta:
        text = meta_text(path.name, size, sha1.hexdigest(), n_channels, sample_rate, kind)
        path.with_suffix(".meta").write_text(text)
    return path


def blocks(
    seconds: float, n_channels: int = 385, sample_rate: float = 30000, seed: int = 0, kind: str = "np1"
) -> Iterator[np.ndarray]:
    """Yield the recording as int16 arrays (samples, channels) of at most one second each.

    Raises
    ------
    ValueError : fewer than two channels, no sample, or an unknown kind
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    n_samples, step = round(seconds * sample_rate), round(sample_rate)
    if n_channels < 2 or n_samples < 1:
        raise ValueError(
            f"{n_channels} channels and {n_samples} samples: at least two channels and one sample are needed"
        )
    probe, n_neural = KINDS[kind], n_channels - 1
    rng = np.random.default_rng(seed)
    signal = _Signal(rng, probe, n_neural, sample_rate)
    for start in range(0, n_samples, step):
        n = min(step, n_samples - start)
        out = np.empty((n, n_channels), np.int16)
        out[:, :n_neural] = signal.next_block(start, n)
        time = (np.arange(start, start + n) / sample_rate) % 1
        out[:, -1] = SYNC_1HZ * (time < 0.5) + SYNC_60HZ * ((time * 60) % 1 < 0.3)
        yield out


def meta_text(
    name: str, size: int, sha1: str, n_channels: int = 385, sample_rate: float = 30000, kind: str = "np1"
) -> str:
    """A SpikeGLX header (text of a `.meta`) for a recording of `size` bytes, with the keys that readers use."""
    n, np1 = n_channels - 1, kind == "np1"
    sync = 2 * n if np1 else n  # NP1 acquires an LF channel beside each AP channel
    site = "({} 0 0 500 250 1)" if np1 else "({} 0 0 0 {})"
    head = f"(0,{n})" if np1 else f"(24,{n})"
    imro = head + "".join(site.format(i, i) for i in range(n))
    channel_map = f"({n},0,1)" + "".join(f"(AP{i};{i}:{i})" for i in range(n)) + f"(SY0;{sync}:{n})"
    shanks = f"(1,2,{(n + 1) // 2})" + "".join(f"(0:{i % 2}:{i // 2}:1)" for i in range(n))
    seconds = size / 2 / n_channels / sample_rate
    fields = {
        "acqApLfSy": f"{n},{n if np1 else 0},1",
        "appVersion": "20230905",
        "fileCreateTime": "2024-01-01T12:00:00",
        "fileName": f"D:/data/{name}",
        "fileSHA1": sha1.upper(),
        "fileSizeBytes": size,
        "fileTimeSecs": f"{seconds:.6f}",
        "firstSample": 0,
        "imAiRangeMax": 0.6 if np1 else 0.5,
        "imAiRangeMin": -0.6 if np1 else -0.5,
        "imDatPrb_pn": "NP1010" if np1 else "NP2010",
        "imDatPrb_sn": "18005119451",
        "imDatPrb_type": 0 if np1 else 24,
        "imMaxInt": 512 if np1 else 8192,
        "imSampRate": sample_rate,
        "nSavedChans": n_channels,
        "snsApLfSy": f"{n},0,1",
        "snsSaveChanSubset": f"0:{n - 1},{sync}",
        "typeThis": "imec",
        "~imroTbl": imro,
        "~snsChanMap": channel_map,
        "~snsShankMap": shanks,
    }
    return "".join(f"{key}={value}\n" for key, value in fields.items())


class _Signal:
    """The neural channels of one recording: what is fixed (units, gains, mixing) and the filters' state."""

    N_SOURCES = 64  # independent noise sources behind each background component, spread along the probe

    def __init__(self, rng: np.random.Generator, probe: ProbeKind, n_channels: int, sample_rate: float):
        self.rng, self.probe, self.rate, self.n_channels = rng, probe, sample_rate, n_channels
        self.offset = rng.normal(0, probe.offset, n_channels).astype(np.float32)
        self.gain = (rng.uniform(0.9, 1.12, n_channels) / probe.lsb).astype(np.float32)
        self.white = (probe.white * rng.uniform(0.8, 1.3, n_channels)).astype(np.float32)
        position = np.linspace(0, n_channels - 1, self.N_SOURCES)
        mixing, corners = [], []
        for corner, rms, sigma in probe.background:
            sigma = max(sigma, n_channels / self.N_SOURCES)
            weights = np.exp(-0.5 * ((np.arange(n_channels) - position[:, None]) / sigma) ** 2)
            mixing.append(rms * weights / np.sqrt((weights**2).sum(axis=0)))
            corners.append(np.full(self.N_SOURCES, corner))
        mixing.append(np.full((1, n_channels), probe.common))
        corners.append(np.array([2000.0]))
        self.mixing = np.concatenate(mixing).astype(np.float32)
        self.pole = np.exp(-2 * np.pi * np.concatenate(corners) / sample_rate).astype(np.float32)
        self.source = np.zeros(len(self.pole), np.float32)
        self.high = np.zeros(n_channels, np.float32)
        self.low = np.zeros(n_channels, np.float32)
        self.units = [_unit(rng, n_channels, sample_rate) for _ in range(max(1, n_channels * 300 // 384))]

    def next_block(self, start: int, n: int) -> np.ndarray:
        rng, probe = self.rng, self.probe
        sources = rng.standard_normal((n, len(self.pole)), dtype=np.float32)
        _one_pole(sources, self.pole, self.source)
        x = sources @ self.mixing
        hum = 2 * np.sin(2 * np.pi * 60 * np.arange(start, start + n) / self.rate).astype(np.float32)
        for first, waveform, rate in self.units:
            length, width = waveform.shape
            for t in rng.integers(0, max(1, n - length), rng.poisson(rate * n / self.rate)):
                x[t : t + length, first : first + width] += waveform[: n - t]
        out = np.empty((n, self.n_channels), np.int16)
        noise = rng.standard_normal((n, self.n_channels), dtype=np.float32)
        high, low = (np.float32(1 - np.exp(-2 * np.pi * corner / self.rate)) for corner in probe.band)
        args = (self.white, hum, high, low, self.high, self.low, self.gain, self.offset, probe.max_int)
        _band_and_quantise(x, noise, *args, out)
        return out


def _unit(rng: np.random.Generator, n_channels: int, sample_rate: float) -> tuple[int, np.ndarray, float]:
    """First channel, waveform (samples, channels; uV) and rate (Hz) of one unit."""
    ms = np.arange(-20, 41) / sample_rate * 1e3
    trough, after = rng.uniform(0.08, 0.2), rng.uniform(0.2, 0.5)
    shape = -np.exp(-0.5 * (ms / trough) ** 2)
    shape += rng.uniform(0.2, 0.5) * np.exp(-0.5 * ((ms - rng.uniform(0.25, 0.6)) / after) ** 2)
    row, centre = np.arange(n_channels) // 2, rng.uniform(0, (n_channels + 1) / 2)
    footprint = (30 + rng.exponential(50)) * np.exp(-np.abs(row - centre) / rng.uniform(1.2, 3.0))
    channels = np.flatnonzero(footprint > 3)
    first, last = (channels[0], channels[-1] + 1) if len(channels) else (0, 1)
    waveform = (shape / np.abs(shape).max())[:, None] * footprint[first:last]
    return int(first), waveform.astype(np.float32), float(min(rng.lognormal(1.2, 0.9), 60))


@kernel
def _one_pole(x: NDArray[Any], pole: NDArray[Any], state: NDArray[Any]) -> None:
    """Low-pass every column in place, scaled to unit variance for white input of unit variance."""
    for t in range(x.shape[0]):
        for c in range(x.shape[1]):
            state[c] = pole[c] * state[c] + np.float32(np.sqrt(1 - pole[c] * pole[c])) * x[t, c]
            x[t, c] = state[c]


@kernel
def _band_and_quantise(
    x: NDArray[Any],
    noise: NDArray[Any],
    white: NDArray[Any],
    hum: NDArray[Any],
    high: float,
    low: float,
    high_state: NDArray[Any],
    low_state: NDArray[Any],
    gain: NDArray[Any],
    offset: NDArray[Any],
    max_int: int,
    out: NDArray[Any],
) -> None:
    """Add the private noise, band-pass with two one-pole filters, scale to bits and saturate."""
    for t in range(x.shape[0]):
        for c in range(x.shape[1]):
            v = x[t, c] + noise[t, c] * white[c] + hum[t]
            high_state[c] += high * (v - high_state[c])
            low_state[c] += low * (v - high_state[c] - low_state[c])
            bits = np.rint(low_state[c] * gain[c] + offset[c])
            out[t, c] = min(max(bits, -max_int), max_int - 1)
