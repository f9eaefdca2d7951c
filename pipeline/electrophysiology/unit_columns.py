"""The units of a clustering as columns of ephys.ClusterSet.Cluster, from its checked files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.electrophysiology import indices
from pipeline.electrophysiology.sorting_files import Files

if TYPE_CHECKING:
    from pipeline.electrophysiology.sorting_files import Sorting

_LABELS = ("ks2_label", "KSLabel", "sorter_label", "group", "quality")
_NO_LABEL = ("", "nan", "none", "null", "<na>")  # as programs write that there is none
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SORTER_NUMBERS = ("sorter_cluster_id", "original_cluster_id")
_NAMES = ("unit_name", "si_unit_id", "unit_id", "original_cluster_id", "sorter_cluster_id", "cluster_id")
"""Columns of metrics that hold names of units; the first that holds text that is no number counts."""


def columns(
    files: Files,
    sorting: Sorting,
    used: np.ndarray,
    counts: np.ndarray,
    row_ids: np.ndarray | None,
    metrics: np.ndarray | None,
    named: np.ndarray | None,
    channel_map: Mapping[str, list] | None,
) -> dict[str, np.ndarray | list]:
    """The columns of the units: those that have spikes, and those that the metrics list.

    Parameters
    ----------
    used, counts : (k,) units with spikes, and how many.
    row_ids : unit of each row of the clusters object; None where it has no arrays.
    metrics : unit of each row of the metrics; None without them.
    named : `cluster_id` of each row of the metrics.
    channel_map : of the raw recording, see `sorting.examine`.
    """
    ids = np.union1d(used, metrics) if metrics is not None else used
    n_spikes = np.zeros(len(ids), np.int64)
    n_spikes[np.searchsorted(ids, used)] = counts
    seconds = sorting.last - sorting.first if sorting.last is not None and sorting.first is not None else 0.0
    made: dict[str, Any] = {"cluster_id": ids, "cluster_n_spikes": n_spikes}
    made["cluster_firing_rate"] = n_spikes / seconds if seconds > 0 else np.full(len(ids), np.nan)

    def of_rows(name: str) -> np.ndarray:
        values = files.scaled(name)
        if values is None or row_ids is None or values.ndim != 1:
            return np.full(len(ids), np.nan)
        return spread(ids, row_ids, values)

    made["cluster_channel"] = of_rows("clusters.channels")
    made["cluster_depth"] = of_rows("clusters.depths")
    made["cluster_amp"] = of_rows("clusters.amps") * 1e6
    made["peak_to_trough"] = of_rows("clusters.peakToTrough")
    made |= _places(files, made["cluster_channel"], of_rows("clusters.shanks"), channel_map)
    axial = made.pop("channel_axial")
    if "clusters.depths" not in files:
        made["cluster_depth"] = axial
    made["cluster_uuid"] = _uuids(files, ids, row_ids)
    made["sorter_label"] = _labels(files, ids, metrics)
    made["sorter_cluster_id"] = _sorter_numbers(files, ids, metrics, named)
    made["unit_name"] = _names(files, ids, metrics)
    return made


def spread(ids: np.ndarray, row_ids: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values of the rows in order of the units, NaN for units without a row.

    >>> spread(np.array([3, 5]), np.array([5, 4]), np.array([0.5, 0.4]))
    array([nan, 0.5])
    """
    result = np.full(len(ids), np.nan)
    if not len(row_ids):
        return result
    order = np.argsort(row_ids)
    at = np.searchsorted(row_ids, ids, sorter=order)
    there = at < len(row_ids)
    rows = order[at[there]]
    result[there] = np.where(row_ids[rows] == ids[there], values[rows], np.nan)
    return result


def _places(
    files: Files, channels: np.ndarray, shanks: np.ndarray, channel_map: Mapping[str, list] | None
) -> dict[str, np.ndarray]:
    """Lateral and axial place (um) and shank of the channel of each unit, NaN where that is not known.

    Places are those of `channels.localCoordinates`, else of the map of the recording; the shank is that of the files,
    else of the map, whose channels are those of `channels.rawInd` or, without it, in the same order.
    """
    made = {name: np.full(len(channels), np.nan) for name in ("cluster_lateral", "channel_axial", "cluster_shank")}
    known = np.flatnonzero(np.isfinite(channels))
    rows = channels[known].astype(np.int64)
    places = files.scaled("channels.localCoordinates")
    if places is not None and places.ndim == 2 and places.shape[1] >= 2:
        inside = rows < len(places)
        made["cluster_lateral"][known[inside]] = places[rows[inside], 0]
        made["channel_axial"][known[inside]] = places[rows[inside], 1]
    made["cluster_shank"] = _whole(shanks)
    own = files.scaled("channels.shanks")
    if not np.isfinite(made["cluster_shank"]).any() and own is not None and own.ndim == 1:
        inside = rows < len(own)
        made["cluster_shank"][known[inside]] = _whole(own[rows[inside]])
    at = None if channel_map is None else indices.columns_of_map(files, rows, len(channel_map["shank"]))
    if at is not None and channel_map is not None:
        on_map, where = known[at >= 0], at[at >= 0]
        for name, part in (
            ("cluster_shank", "shank"), ("cluster_lateral", "lateral"), ("channel_axial", "axial"),
        ):  # fmt: skip
            missing = np.isnan(made[name][on_map])
            made[name][on_map[missing]] = np.asarray(channel_map[part], np.float64)[where[missing]]
    return made


def _whole(values: np.ndarray) -> np.ndarray:
    """Shanks, NaN where a value is no whole number from 0."""
    with np.errstate(invalid="ignore"):
        return np.where((values >= 0) & (values == np.trunc(values)), values, np.nan)


def _uuids(files: Files, ids: np.ndarray, row_ids: np.ndarray | None) -> list[str | None]:
    table = files.get("clusters.uuids")
    if table is None or isinstance(table, np.ndarray) or row_ids is None:
        return [None] * len(ids)
    if table.num_rows != len(row_ids):
        detail = f"{table.num_rows} rows; the object clusters has {len(row_ids)}"
        files.refuse("clusters.uuids", "unequal_length", detail)
        return [None] * len(ids)
    name = "uuids" if "uuids" in table.column_names else table.column_names[-1]
    texts = [str(value or "").strip().lower() for value in table[name].to_pylist()]
    if wrong := _no_uuids(texts):
        files.refuse("clusters.uuids", "value_range", wrong)
        return [None] * len(ids)
    by_id = dict(zip(row_ids.tolist(), texts, strict=True))
    return [by_id.get(value) or None for value in ids.tolist()]


def _no_uuids(texts: list[str]) -> str:
    """Why texts cannot be the uuids of units, each of one; empty where they can. Units may be without.

    >>> _no_uuids(["", "8f81ad37-a9ea-4406-9de4-46531d83374b", "8f81ad37"])
    "row 2 (from 0) is '8f81ad37', which is no uuid"
    """
    row_of: dict[str, int] = {}
    for row, text in enumerate(texts):
        if text and not _UUID.fullmatch(text):
            return f"row {row} (from 0) is {text[:40]!r}, which is no uuid"
        if text and row_of.setdefault(text, row) != row:
            return f"rows {row_of[text]} and {row} (from 0) have one uuid, {text}"
    return ""


def _labels(files: Files, ids: np.ndarray, metrics: np.ndarray | None) -> list[str | None]:
    table = files.get("clusters.metrics")
    name = None if metrics is None else next((label for label in _LABELS if label in table.column_names), None)
    if name is None or metrics is None:
        return [None] * len(ids)
    by_id = dict(zip(metrics.tolist(), table[name].to_pylist(), strict=True))
    labels = [str(by_id.get(value, "")).strip()[:16] for value in ids.tolist()]
    return [label if label.lower() not in _NO_LABEL else None for label in labels]


def _sorter_numbers(
    files: Files, ids: np.ndarray, metrics: np.ndarray | None, named: np.ndarray | None
) -> list[int | None]:
    """The number that the sorter gave to each unit, where that differs from its number in spikes.clusters."""
    if metrics is None or named is None:
        return [None] * len(ids)
    table = files.get("clusters.metrics")
    column = next(
        (
            sorter_number
            for sorter_number in _SORTER_NUMBERS
            if table is not None and sorter_number in table.column_names
        ),
        None,
    )
    values = named.tolist() if column is None else table[column].to_pylist()
    if column is None and np.array_equal(metrics, named):
        return [None] * len(ids)
    by_id = dict(zip(metrics.tolist(), values, strict=True))
    return [int(by_id[value]) if _is_number(by_id.get(value)) else None for value in ids.tolist()]


def _names(files: Files, ids: np.ndarray, metrics: np.ndarray | None) -> list[str | None]:
    """The name that the sorter gave to each unit, where that is not just a number."""
    table = files.get("clusters.metrics")
    if table is None or metrics is None:
        return [None] * len(ids)
    for column in _NAMES:
        values = table[column].to_pylist() if column in table.column_names else []
        if not any(_is_name(value) for value in values):
            continue
        by_id = dict(zip(metrics.tolist(), values, strict=True))
        names = {number: str(one).strip()[:64] for number, one in by_id.items() if one is not None and one == one}
        return [name if (name := names.get(number)) and name != str(number) else None for number in ids.tolist()]
    return [None] * len(ids)


def _is_name(value: Any) -> bool:
    """Whether a value is text that is no number, or a number beyond 31 bits."""
    if isinstance(value, str) and (text := value.strip()):
        return not text.isdecimal() or str(int(text)) != text or int(text) >= 1 << 31
    return isinstance(value, int) and abs(value) >= 1 << 31


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and value == value and abs(value) < 1 << 31 and value == int(value)
