"""The sortings of a session: which units they have, and their spikes unit by unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from exchange.nwb import as_read
from exchange.nwb.containers import Builder
from exchange.nwb.source import AlfObject
from pipeline.analysis.spikes import Grouping, group
from pipeline.electrophysiology import clusterings, unit_rows
from pipeline.electrophysiology.reading import BY_NAME, BY_ROW
from pipeline.schemas import ephys


@dataclass
class Sorting:
    """One sorting of one probe: its units, and its spikes in their order."""

    collection: str
    label: str
    key: dict[str, Any]
    is_main: bool
    spikes: AlfObject
    clusters: AlfObject | None
    ids: np.ndarray  # (n_units,) cluster_id of each row; first the rows of the clusters object
    grouped: Grouping  # the spikes unit by unit, in the order of `ids`


def find(builder: Builder, objects: list[AlfObject]) -> list[Sorting]:
    """The sortings whose spikes have times and units, by the label of their probe."""
    rows = sorted(as_read.clusterings_of(builder.source.key).values(), key=lambda row: row["clustering"])
    default = _default_collections(builder)
    parts = {(object_.name, object_.collection): object_ for object_ in objects}
    sortings: list[Sorting] = []
    for row in rows:
        collection = row["clustering_collection"]
        spikes, clusters = parts.get(("spikes", collection)), parts.get(("clusters", collection))
        if spikes is None or not {"times", "clusters"} <= spikes.attributes:
            continue
        labels = np.asarray(spikes.require("clusters").values)
        if labels.dtype.kind not in "iu":
            builder.notes.append(f"{collection}: the clusters of its spikes are no whole numbers; kept as it is")
            continue
        ids, grouped = units_of(labels, clusters, clusterings.reading(row).rows)
        key = {name: row[name] for name in ephys.Clustering.primary_key}
        main = collection in default
        sortings.append(Sorting(collection, row["probe_label"], key, main, spikes, clusters, ids, grouped))
    return sorted(sortings, key=lambda one: one.label)


def _default_collections(builder: Builder) -> set[str]:
    default = ephys.Clustering & builder.source.key & {"default_clustering": True}
    return {row["clustering_collection"] for row in default.to_dicts()}


def units_of(labels: np.ndarray, clusters: AlfObject | None, rule: str = BY_ROW) -> tuple[np.ndarray, Grouping]:
    """The unit of each row, and the spikes grouped in the order of these units.

    Parameters
    ----------
    labels : unit of each spike.
    rule : what a row of the clusters object is, see `electrophysiology.reading`.
    """
    groups = group(labels)
    ids = _ids(groups.cluster_ids, clusters, rule)
    if np.array_equal(ids, np.sort(ids)):
        counts = np.zeros(len(ids), np.int64)
        counts[np.searchsorted(ids, groups.cluster_ids)] = groups.n_spikes
        return ids, Grouping(groups.order, ids, np.concatenate([[0], np.cumsum(counts)]))
    by_id = np.argsort(ids, kind="stable")
    return ids, group(by_id[np.searchsorted(ids, labels, sorter=by_id)].astype(np.int32), np.arange(len(ids)))


def _ids(used: np.ndarray, clusters: AlfObject | None, rule: str) -> np.ndarray:
    """The units: rows of the clusters object, then those that only have spikes."""
    if clusters is None:
        return used
    piece = clusters.get("cluster_id")
    named = None
    if rule == BY_NAME and piece is not None:
        values = np.asarray(piece.values)
        named = np.array([int(value) for value in values.tolist()], np.int64)
    rows = unit_rows.ids_of(rule, clusters.n_rows, named)
    return np.concatenate([rows, np.setdiff1d(used, rows)]).astype(np.int64)


def in_order_of_time(one: Sorting) -> bool:
    """Whether the order of the files follows from the times: earlier first, then by row of the unit."""
    times = np.asarray(one.spikes.require("times").values)
    if not len(times):
        return True
    steps = np.diff(times)
    if not (steps >= 0).all():
        return False
    ties = np.flatnonzero(steps == 0)
    labels = np.asarray(one.spikes.require("clusters").values)
    by_id = np.argsort(one.ids, kind="stable")
    before, after = (by_id[np.searchsorted(one.ids, labels[ties + n], sorter=by_id)] for n in (0, 1))
    return bool((before <= after).all())
