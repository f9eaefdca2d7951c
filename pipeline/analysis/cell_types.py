"""Putative cell types by the shape of the waveform."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pipeline.analysis.arrays import Texts

__all__ = ["by_width"]

NARROW, BROAD, UNKNOWN = "fast-spiking", "regular-spiking", ""


def by_width(widths: ArrayLike, narrow_below: float = 0.4, broad_from: float | None = None) -> Texts:
    """Fast-spiking units have narrow waveforms, regular-spiking ones broad waveforms.

    Parameters
    ----------
    widths : (k,) from trough to peak, ms; NaN where unknown
    narrow_below, broad_from : ms; units between the two are not classified. By default both are the same

    Returns
    -------
    (k,) array of str: `fast-spiking`, `regular-spiking`, empty where it cannot be told

    Examples
    --------
    >>> by_width([0.2, 0.7, np.nan, 0.45], 0.4, 0.5).tolist()
    ['fast-spiking', 'regular-spiking', '', '']
    """
    widths = np.asarray(widths, dtype=np.float64)
    broad_from = narrow_below if broad_from is None else broad_from
    if not 0 < narrow_below <= broad_from:
        raise ValueError(f"limits must be above 0 and in order: {narrow_below}, {broad_from}")
    with np.errstate(invalid="ignore"):
        return np.select([widths < narrow_below, widths >= broad_from], [NARROW, BROAD], UNKNOWN)
