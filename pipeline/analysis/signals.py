"""Root mean square and power spectrum of each channel of a recording, from chunks of samples in any number.

The whole recording never has to be in memory, nor all of it be read: feed chunks of a second or more, spread over it.
"""

from collections.abc import Iterable
from typing import cast

import numpy as np
import scipy  # its modules are imported when they are first used
from numpy.typing import ArrayLike

from pipeline.analysis.arrays import Floats

__all__ = ["ChannelStatistics", "channel_statistics"]


class ChannelStatistics:
    """Adds up what root mean squares and spectra are made of, chunk by chunk.

    Parameters
    ----------
    sampling_rate : Hz
    scale : the unit wanted per unit of the samples, one value or one per channel; for int16 samples the microvolts of
        one bit give uV and uV^2/Hz
    segment : samples of a segment of the spectrum; its resolution is ``sampling_rate / segment`` Hz

    Examples
    --------
    A sine of amplitude 2 at 10 Hz on an offset of 5 has the RMS 2 / sqrt(2) and all its power at 10 Hz:

    >>> time = np.arange(1000) / 100
    >>> statistics = ChannelStatistics(100.0, segment=100)
    >>> statistics.add(5 + 2 * np.sin(2 * np.pi * 10 * time)[:, np.newaxis])
    >>> statistics.rms.round(3), float(statistics.frequencies[statistics.power[0].argmax()])
    (array([1.414]), 10.0)
    """

    def __init__(self, sampling_rate: float, scale: ArrayLike = 1.0, segment: int = 1024) -> None:
        if not sampling_rate > 0:
            raise ValueError(f"sampling_rate must be positive, not {sampling_rate}")
        if segment < 2:
            raise ValueError(f"a segment needs two samples or more, not {segment}")
        self.sampling_rate = float(sampling_rate)
        self.scale = np.asarray(scale, dtype=np.float64)
        self.segment = int(segment)
        self.n_samples = 0
        self.n_segments = 0
        self._squares = np.zeros(0)
        self._power = np.zeros((0, 0))
        self._window = (0.5 - 0.5 * np.cos(2 * np.pi / segment * np.arange(segment))).astype(np.float32)  # Hann

    def add(self, chunk: ArrayLike) -> None:
        """Take in a chunk, (n_samples, n_channels), of any number type.

        The mean of each channel over the chunk is removed. Segments overlap by half and do not cross chunks; samples
        left over at the end of a chunk count in the RMS alone.

        Raises
        ------
        ValueError
            If the chunk is not two-dimensional or the number of channels changes.
        """
        chunk = np.asarray(chunk)
        if chunk.ndim != 2:
            raise ValueError(f"a chunk must be (n_samples, n_channels), not {chunk.shape}")
        n_samples, n_channels = chunk.shape
        if self._squares.size == 0:
            if self.scale.ndim and self.scale.shape != (n_channels,):
                raise ValueError(f"{n_channels} channels but {self.scale.size} scales")
            self._squares = np.zeros(n_channels)
            self._power = np.zeros((n_channels, self.segment // 2 + 1))
        elif n_channels != self._squares.size:
            raise ValueError(f"{n_channels} channels after chunks of {self._squares.size}")
        if n_samples == 0:
            return
        # Channel by channel in memory; the mean goes in double precision, since offsets may be large.
        samples = (chunk - chunk.mean(axis=0, dtype=float)).T.astype(np.float32, order="C")
        self._squares += np.einsum("ij,ij->i", samples, samples, dtype=float)
        self.n_samples += n_samples
        step = max(self.segment // 2, 1)
        for first in range(0, n_samples - self.segment + 1, step):
            part = samples[:, first : first + self.segment]
            part = (part - part.mean(axis=1, keepdims=True)) * self._window
            spectrum = scipy.fft.rfft(part, axis=1)
            self._power += spectrum.real.astype(float) ** 2 + spectrum.imag.astype(float) ** 2
            self.n_segments += 1

    @property
    def rms(self) -> Floats:
        """Root mean square of each channel about its mean over each chunk, (n_channels,), in the unit wanted."""
        n = self.n_samples or np.nan
        rms: Floats = np.sqrt(self._squares / n) * self.scale
        return rms

    @property
    def frequencies(self) -> Floats:
        """Frequencies of the spectrum, (n_frequencies,), Hz."""
        return cast(Floats, np.fft.rfftfreq(self.segment, 1 / self.sampling_rate))

    @property
    def power(self) -> Floats:
        """One-sided power spectral density of each channel, (n_channels, n_frequencies), unit wanted^2/Hz.

        Welch's method (Hann window, half overlap, segment means removed), as `scipy.signal.welch` computes it for one
        chunk; NaN if no chunk was as long as a segment.
        """
        norm = self.sampling_rate * float((self._window.astype(float) ** 2).sum()) * (self.n_segments or np.nan)
        power: Floats = self._power / norm * np.broadcast_to(self.scale, self._squares.shape)[:, np.newaxis] ** 2
        last = power.shape[1] if self.segment % 2 else power.shape[1] - 1
        power[:, 1:last] *= 2
        return power


def channel_statistics(
    chunks: Iterable[ArrayLike], sampling_rate: float, scale: ArrayLike = 1.0, segment: int = 1024
) -> ChannelStatistics:
    """RMS and spectrum of all channels over chunks; parameters as in `ChannelStatistics`.

    >>> noise = np.random.default_rng(0).normal(0, 3, (20_000, 2))
    >>> statistics = channel_statistics([noise[:10_000], noise[10_000:]], 1000.0)
    >>> statistics.rms.round(1), statistics.power.shape
    (array([3., 3.]), (2, 513))
    """
    statistics = ChannelStatistics(sampling_rate, scale, segment)
    for chunk in chunks:
        statistics.add(chunk)
    return statistics
