"""Time series and indices of any ALF object, resolved: times of samples from sparse clocks, values of indexed rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.alf import clocks
from pipeline.alf.dataset_types import REFERENCES
from pipeline.alf.reasons import refuse
from pipeline.schemas.inputs.files import read_attribute


def read_times(key: Mapping[str, Any], alf_object: str, n_samples: int, collection: str | None = None) -> np.ndarray:
    """Times of the samples of a series, whether its `timestamps` are times or pairs (sample, time).

    Parameters
    ----------
    key
        Primary key of the session.
    alf_object
        E.g. `eye`.
    n_samples
        How many samples the series has.
    collection
        Folder below the session; without it `alf`, then the first by name.

    Returns
    -------
    numpy.ndarray, shape (n_samples,)
        Seconds from session start.

    Raises
    ------
    InvalidData
        There are no timestamps, or they cannot be used.
    """
    stamps = read_attribute(key, alf_object, "timestamps", collection)
    try:
        return clocks.times_of_samples(stamps, n_samples)
    except ValueError as error:
        raise refuse(f"{alf_object}.timestamps", "wrong_clock", str(error), "timestamps") from None


def read_referenced(
    key: Mapping[str, Any], reference: str, attribute: str, collection: str | None = None
) -> np.ndarray:
    """Values of the rows that an attribute indexes, e.g. the places of the channels of each cluster.

    Parameters
    ----------
    key
        Primary key of the session.
    reference
        `object.attribute` that names rows of another object, e.g. `clusters.channels`.
    attribute
        Of the other object, e.g. `localCoordinates`.
    collection
        Folder below the session; without it `alf`, then the first by name.

    Returns
    -------
    numpy.ndarray
        A row for each index.

    Raises
    ------
    InvalidData
        A file is not there, or the index names rows that are not there.
    ValueError
        `reference` is no index into another object.
    """
    target = REFERENCES.get(reference)
    if target is None:
        raise ValueError(f"{reference} is no index; those are {', '.join(sorted(REFERENCES))}")
    alf_object, _, name = reference.partition(".")
    rows = np.asarray(read_attribute(key, alf_object, name, collection))
    values = np.asarray(read_attribute(key, target, attribute, collection))
    if wrong := clocks.wrong_reference(rows, len(values), target):
        raise refuse(reference, "wrong_reference", wrong, name)
    return values[rows.astype(np.int64)]
