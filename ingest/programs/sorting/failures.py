"""What goes wrong with one folder of results: said in a sentence, so that it costs no other folder."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import NeurojointError, explain

FAULTS = (NeurojointError, OSError, ValueError, LookupError, TypeError, ArithmeticError)
"""What files of others may lead to."""
Failure = tuple[Path, NeurojointError]
"""A folder, and why its results cannot be imported."""


def reason_of(place: Path, error: Exception) -> NeurojointError:
    """What is wrong with a folder of results, and what to do.

    >>> reason_of(Path("/ks4"), IndexError("index 3 is out of bounds")).message
    'the results in /ks4 do not fit together (IndexError: index 3 is out of bounds)'
    """
    if isinstance(error, NeurojointError):
        return error
    if isinstance(error, OSError):
        problem, _, remedy = explain(error).rpartition(": ")
        return NeurojointError(f"{place}: {problem}", remedy)
    return NeurojointError(
        f"the results in {place} do not fit together ({type(error).__name__}: {error})",
        "compare the lengths and numbers in its files, or copy the folder of the sorter again",
    )
