"""One `njit` for all kernels: compiled code is cached on disk where a folder allows it, in memory elsewhere."""

import functools
from collections.abc import Callable
from typing import Any

import numba


def njit(function: Callable[..., Any] | None = None, **options: Any) -> Callable[..., Any]:
    """Compile with numba without the interpreter lock, and cache the result if any cache folder can be written.

    numba refuses to define a cached function when neither ``__pycache__`` nor the user's cache folder can be written
    (a read-only installation run by a service without a home); such a process compiles again instead. Dividing by zero
    gives inf or NaN as in numpy. Further options are numba's, as in `@njit(parallel=True)`.
    """
    if function is None:
        return functools.partial(njit, **options)
    options = {"nogil": True, "error_model": "numpy", **options}
    compiled: Callable[..., Any]
    try:
        compiled = numba.njit(cache=True, **options)(function)
    except RuntimeError:
        compiled = numba.njit(**options)(function)
    return compiled
