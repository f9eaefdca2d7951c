"""One `njit` for all kernels: compiled code is cached on disk where a folder allows it, in memory elsewhere."""

from collections.abc import Callable
from typing import Any

import numba


def njit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile with numba without the interpreter lock, and cache the result if any cache folder can be written.

    numba refuses to define a cached function when neither ``__pycache__`` nor the user's cache folder can be written
    (a read-only installation run by a service without a home); such a process compiles again instead. Dividing by zero
    gives inf or NaN as in numpy.
    """
    try:
        return numba.njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True, error_model="numpy")(function)
