"""Short names for the types of arrays in signatures; shape, unit and meaning stand where they are used."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["AnyArray", "Booleans", "Dates", "Floats", "Integers", "Numbers", "Texts", "group_sums", "plain"]

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Booleans: TypeAlias = NDArray[np.bool_]
Texts: TypeAlias = NDArray[np.str_]
Dates: TypeAlias = NDArray[np.datetime64]
Numbers: TypeAlias = NDArray[np.integer | np.floating]
"""Integers or floats of any width, as files hold them."""
AnyArray: TypeAlias = NDArray[Any]
"""Of any type: columns of files and tables, labels, and results whose types differ from name to name."""


def group_sums(groups: Integers, values: Floats, n_groups: int) -> Floats:
    """Sum of the values of each group, numbered from 0.

    `np.bincount` gives these too, but integers where there are no values at all.

    >>> group_sums(np.array([0, 2, 2]), np.array([0.5, 1.0, 2.0]), 4)
    array([0.5, 0. , 3. , 0. ])
    >>> group_sums(np.empty(0, int), np.empty(0), 2)
    array([0., 0.])
    """
    return np.bincount(groups, values, n_groups).astype(np.float64, copy=False)


def plain(values: Numbers) -> Floats:
    """Contiguous writable float64, the one type that the kernels are compiled for; a copy only where it is not so."""
    return np.require(values, np.float64, ["C", "W"])
