"""The arrays of sortings as the tables show them: in the units of ALF, counted from 0, spikes in order and with a unit.

How the files of a clustering are read was decided when they were registered (`electrophysiology.reading`); an NWB file
follows it like every other reader. Files that do not follow from their columns any more are kept as bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from exchange.nwb.source import AlfObject
from pipeline.electrophysiology import clusterings
from pipeline.electrophysiology.reading import Reading
from pipeline.schemas import ephys

_DOUBLE = ("spikes.times",)
"""Of what is converted, the values that are kept as float64; the others are float32."""


def clusterings_of(key: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Collection -> row of ephys.Clustering of the files that ONE loads by default: that of the latest revision."""
    rows = (ephys.Clustering & key & {"clustering_state": "online"}).to_dicts(order_by="clustering_revision")
    return {row["clustering_collection"]: row for row in rows}


def objects(key: Mapping[str, Any], given: list[AlfObject]) -> tuple[list[AlfObject], list[str]]:
    """The objects of a session with those of its sortings as they are to be read, and what was changed, in words."""
    readings = {collection: clusterings.reading(row) for collection, row in clusterings_of(key).items()}
    notes = [
        f"{collection}: {note}"
        for collection, reading in sorted(readings.items())
        if reading.factors or reading.from_one or not reading.is_plain
        for note in reading.notes
    ]
    return [_read(item, readings[item.collection]) if item.collection in readings else item for item in given], notes


def _read(item: AlfObject, reading: Reading) -> AlfObject:
    if item.name not in ("spikes", "clusters", "templates", "channels"):
        return item
    pieces = {piece.attribute: _flat(piece.values) for piece in item.pieces}
    if item.name == "spikes" and {"times", "clusters"} <= pieces.keys():
        if pieces["clusters"].dtype.kind == "f" and np.array_equal(pieces["clusters"], np.trunc(pieces["clusters"])):
            pieces["clusters"] = pieces["clusters"].astype(np.int64)
        named = {f"spikes.{name}": values for name, values in pieces.items()}
        pieces = {name.removeprefix("spikes."): values for name, values in reading.mend(named).items()}
    for attribute, values in pieces.items():
        name = f"{item.name}.{attribute}"
        if name in reading.factors:
            kind = np.float64 if name in _DOUBLE else np.float32
            pieces[attribute] = (np.asarray(values, np.float64) * reading.factor(name)).astype(kind)
        elif name in reading.from_one:
            pieces[attribute] = reading.from_zero(name, np.asarray(values))
    return AlfObject(
        item.name, item.collection, [replace(piece, values=pieces[piece.attribute]) for piece in item.pieces]
    )


def _flat(values: np.ndarray) -> np.ndarray:
    """Columns of shape (n, 1) as (n,)."""
    return values.reshape(-1) if values.ndim == 2 and values.shape[1] == 1 else values
