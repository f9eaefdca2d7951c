"""What is known of a raw recording before its samples are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

LF_BELOW = 5000.0
"""Continuous channels of probes that are sampled less often are the local field, Hz."""


class Place(NamedTuple):
    """Where a channel lies."""

    lateral: float  # um
    axial: float  # um
    shank: int


@dataclass(frozen=True)
class Description:
    """What the files of a recording say of it."""

    recording_format: str
    band: str  # ap, lf, nidq, obx
    probe: str | None  # the label that the files suggest; None: the folder decides
    sampling_rate: float  # Hz
    n_channels: int  # with digital words
    n_samples: int
    volts_per_bit: np.ndarray  # (n_channels,) V; 1 of digital words
    serial: str | None = None
    model: str | None = None
    part_number: str | None = None  # of a Neuropixels probe
    electrodes: np.ndarray | None = None  # (n neural channels,) electrode of each, over all shanks
    places: tuple[Place, ...] | None = None  # of the neural channels, where the files give them
    note: str = ""

    @property
    def neural(self) -> np.ndarray:
        """Columns that hold samples, and no digital word."""
        return np.flatnonzero(self.volts_per_bit < 1)


def band_of_rate(sampling_rate: float) -> str:
    """`ap` or `lf`, by the sampling rate (Hz)."""
    return "lf" if sampling_rate < LF_BELOW else "ap"
