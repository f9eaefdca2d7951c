"""Raw samples of a simulated insertion as SpikeGLX writes them: the units' waveforms in noise, int16, with a header."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from cbin.synthetic import meta_text

from . import waveforms
from .files import serial_of
from .insertion import SAMPLE_RATE, Insertion

AP_BIT, LF_BIT = 2.34375, 4.6875  # uV, of Neuropixels 1.0 at gains of 500 and 250
LF_RATE = 2_500.0  # Hz
THETA = 8.0  # Hz, of the rhythm in the LF band
SYNC_1HZ = 64  # bit of the sync word
_BLOCK = 1.0  # s


def write_recording(
    session: Path,
    insertion: Insertion,
    seconds: float = 2.0,
    probe: str = "probe00",
    band: str = "ap",
    noise: float = 8.0,
    start: float = 0.0,
    seed: int = 0,
    name: str = "_spikeglx_ephysData_g0_t0",
) -> Path:
    """Write some seconds of raw samples below `raw_ephys_data/<probe>` with the `.meta` beside; returns the data file.

    Its channels are those of the insertion and the synchronisation word. The band `ap` (30 kHz) holds white noise and
    the waveforms of all spikes; drift does not move them. The band `lf` (2.5 kHz) holds noise of falling spectrum, ten
    times as large, and a rhythm of 8 Hz and 200 uV in the hippocampus, which fades with the distance from it.

    Parameters
    ----------
    noise : standard deviation on each channel, uV.
    start : second of the session with which the recording begins; spike times count from there on.
    """
    folder = Path(session) / "raw_ephys_data" / probe
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.imec{''.join(c for c in probe if c.isdigit()).lstrip('0') or 0}.{band}.bin"
    rng = np.random.default_rng([seed, band == "lf"])
    rate = SAMPLE_RATE if band == "ap" else LF_RATE
    coordinates = insertion.objects["channels"]["localCoordinates"]
    n_samples, n_sites = round(seconds * rate), len(coordinates)
    sha1, size = hashlib.sha1(usedforsecurity=False), 0
    slow = _slow(insertion, n_samples, noise, rng) if band == "lf" else None
    with path.open("wb") as out:
        for first in range(0, n_samples, round(_BLOCK * rate)):
            n = min(round(_BLOCK * rate), n_samples - first)
            if slow is None:
                signal = noise * rng.standard_normal((n, n_sites), dtype=np.float32)
                _add_spikes(signal, insertion, round(start * rate) + first)
            else:
                signal = slow[first : first + n]
            block = np.empty((n, n_sites + 1), np.int16)
            block[:, :-1] = np.rint(signal / (AP_BIT if band == "ap" else LF_BIT)).clip(-512, 511)
            block[:, -1] = SYNC_1HZ * (np.arange(first, first + n) % round(rate) < rate / 2)
            out.write(block)
            sha1.update(block)
            size += block.nbytes
    path.with_suffix(".meta").write_text(
        _meta(path.name, size, sha1.hexdigest(), n_sites, band, probe), encoding="utf-8"
    )
    return path


def _add_spikes(signal: np.ndarray, insertion: Insertion, first: int) -> None:
    """Add the waveforms of all spikes around the samples `first` to `first + n` to a block (n x sites, uV)."""
    n, before, after = len(signal), waveforms.TROUGH, waveforms.N_SAMPLES - waveforms.TROUGH
    spikes, coordinates = insertion.objects["spikes"], insertion.objects["channels"]["localCoordinates"]
    low, high = np.searchsorted(spikes["samples"], [first - after, first + n + before])
    at = spikes["samples"][low:high] - first + after  # in a train that begins `after` samples before the block
    clusters, amps = spikes["clusters"][low:high], 1e6 * spikes["amps"][low:high]
    for number in np.unique(clusters):
        unit, mine = insertion.units[number], clusters == number
        train = np.bincount(at[mine], amps[mine] / unit.amplitude, minlength=n + after + before)
        course = np.convolve(train, waveforms.shape(unit.width, SAMPLE_RATE))[before + after :][:n]
        strength = waveforms.footprint(unit, coordinates)
        sites = np.flatnonzero(strength > 1)
        begin, end = sites[0], sites[-1] + 1
        signal[:, begin:end] += np.outer(course.astype(np.float32), strength[begin:end].astype(np.float32))


def _slow(insertion: Insertion, n_samples: int, noise: float, rng: np.random.Generator) -> np.ndarray:
    """The LF band (samples x sites, uV)."""
    channels = insertion.objects["channels"]
    n_sites = len(channels["rawInd"])
    frequency = np.fft.rfftfreq(n_samples, 1 / LF_RATE)
    spectrum = np.fft.rfft(rng.standard_normal((n_samples, n_sites), dtype=np.float32), axis=0)
    spectrum *= (1 / np.sqrt(np.maximum(frequency, 1)))[:, None]
    signal = np.fft.irfft(spectrum, n_samples, axis=0).astype(np.float32)
    signal *= 10 * noise / signal.std()
    place = np.isin(channels["brainLocationIds_ccf_2017"], (382, 10703, 632, 10704))
    axial = channels["localCoordinates"][:, 1]
    if place.any():
        away = np.maximum(axial[place].min() - axial, axial - axial[place].max()).clip(min=0)
        rhythm = 100 * np.sin(2 * np.pi * THETA * np.arange(n_samples) / LF_RATE)
        signal += np.outer(rhythm, np.exp(-away / 300)).astype(np.float32)
    return signal


def _meta(name: str, size: int, sha1: str, n_sites: int, band: str, probe: str) -> str:
    """The SpikeGLX header."""
    rate = SAMPLE_RATE if band == "ap" else LF_RATE
    text = meta_text(name, size, sha1, n_sites + 1, rate, "np1")
    changed: dict[str, Any] = {"imDatPrb_sn": serial_of(probe)}
    if band == "lf":
        channels = "".join(f"(LF{i};{n_sites + i}:{i})" for i in range(n_sites))
        changed |= {
            "snsApLfSy": f"0,{n_sites},1",
            "snsSaveChanSubset": f"{n_sites}:{2 * n_sites}",
            "~snsChanMap": f"(0,{n_sites},1){channels}(SY0;{2 * n_sites}:{n_sites})",
        }
    lines = (line.split("=", 1) for line in text.splitlines())
    return "".join(f"{key}={changed.get(key, value)}\n" for key, value in lines)
