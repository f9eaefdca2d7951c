"""The numba decorator of every kernel in this package: without the GIL, compiled once, cached where that is possible."""

from __future__ import annotations

import functools

import numba


def kernel(function=None, **options):
    """Compile with `nogil=True` and keep the machine code on disk.

    Numba keeps it beside the source, or in the user's cache folder when the place of installation is read-only; when
    neither can be written the function is compiled anew in each process.
    """
    if function is None:
        return functools.partial(kernel, **options)
    options = {"nogil": True, "boundscheck": False, **options}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:
        return numba.njit(**options)(function)
