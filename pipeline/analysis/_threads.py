"""Spread compiled kernels, which run without the interpreter's lock, over the cores that this process may use."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from pipeline.analysis.arrays import Integers

__all__ = ["balanced_pieces", "even_pieces", "run", "usable_cores"]


def usable_cores() -> int:
    """How many cores this process may use.

    >>> usable_cores() >= 1
    True
    """
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def balanced_pieces(offsets: Integers, n_pieces: int) -> list[tuple[int, int]]:
    """Split groups into runs of groups with about as many items each: (first group, group after the last).

    >>> balanced_pieces(np.array([0, 5, 5, 10, 20]), 2)
    [(0, 2), (2, 4)]
    """
    n_groups = offsets.size - 1
    if n_groups < 1:
        return []
    weights = np.asarray(offsets) + np.arange(n_groups + 1)  # a group without items costs a little too
    targets = np.linspace(weights[0], weights[-1], max(n_pieces, 1) + 1)
    edges = np.unique(np.append(np.searchsorted(weights, targets[:-1], side="right") - 1, n_groups))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def even_pieces(n: int, threads: int | None = None, at_least: int = 1) -> list[tuple[int, int]]:
    """Split n items into one run for each thread (first item, item after the last), none shorter than `at_least`.

    >>> even_pieces(10, threads=4, at_least=4)
    [(0, 5), (5, 10)]
    """
    wanted = usable_cores() if threads is None else threads
    edges = np.linspace(0, n, max(min(wanted, n // at_least), 1) + 1).astype(np.int64).tolist()
    return list(zip(edges[:-1], edges[1:], strict=True))


def run(function: Callable[..., Any], pieces: Iterable[tuple[Any, ...]], threads: int | None = None) -> list[Any]:
    """``function(*piece)`` for every piece, in order, on at most `threads` threads (by default all usable cores)."""
    pieces = list(pieces)
    threads = min(usable_cores() if threads is None else threads, len(pieces))
    if threads <= 1:
        return [function(*piece) for piece in pieces]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda piece: function(*piece), pieces))
