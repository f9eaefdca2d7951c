"""Spikes of an insertion: all, of some units, or in a window of time; they stay in the files and are mapped from there.

A copy grouped by unit lies in the cache of the home (`pipeline.electrophysiology.array_cache`), made again
where the files differ.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.analysis import spikes as grouping
from pipeline.database import registry
from pipeline.electrophysiology import array_cache, clusterings, unit_rows
from pipeline.electrophysiology.reading import BY_ROW_FROM_ONE, Reading
from pipeline.electrophysiology.sorting import open_array, unit_of_rows
from pipeline.electrophysiology.sorting_files import load_metrics
from pipeline.errors import InvalidData, NotFoundError, UserError

ephys = registry.tables_of("ephys")

LAYOUT = 2
"""Goes into the names of grouped copies: a change of what they hold raises it."""

_GROUPED_FROM = ("spikes.times", "spikes.clusters", "spikes.amps", "spikes.depths")
_ROWS = 1 << 22  # spikes converted at once


@dataclass(frozen=True)
class Spikes:
    """Spikes in order of time; all arrays (n,)."""

    times: np.ndarray  # s from session start, ascending, float64
    clusters: np.ndarray  # int32
    amps: np.ndarray | None  # uV, float32; None where the files have none
    depths: np.ndarray | None  # um from the tip, float32; None where the files have none

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True)
class GroupedSpikes:
    """Spikes in order of unit, then of time; read from the disk where they are used."""

    cluster_ids: np.ndarray  # (k,) int32, ascending, only units with spikes
    offsets: np.ndarray  # (k + 1,) int64: spikes offsets[i] to offsets[i + 1] are of cluster_ids[i]
    times: np.ndarray  # (n,) s from session start, float64
    amps: np.ndarray | None  # (n,) uV, float32; None where the files have none
    depths: np.ndarray | None  # (n,) um from the tip, float32; None where the files have none

    def __len__(self) -> int:
        return len(self.times)

    def span(self, cluster_id: int) -> slice:
        """Where the spikes of a unit are; an empty slice for a unit without spikes."""
        row = int(np.searchsorted(self.cluster_ids, cluster_id))
        if row == len(self.cluster_ids) or self.cluster_ids[row] != cluster_id:
            return slice(0, 0)
        return slice(int(self.offsets[row]), int(self.offsets[row + 1]))

    def times_of(self, cluster_id: int) -> np.ndarray:
        """Times of the spikes of a unit, s, ascending."""
        return self.times[self.span(cluster_id)]

    def select(self, cluster_ids: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
        """Times and offsets of these units, in this order, as the analyses take them."""
        spans = [self.span(cluster_id_) for cluster_id_ in cluster_ids]
        offsets = np.cumsum([0, *(span.stop - span.start for span in spans)], dtype=np.int64)
        if list(cluster_ids) == self.cluster_ids.tolist():
            return self.times, offsets
        return np.concatenate([np.empty(0), *(self.times[span] for span in spans)]), offsets

    @property
    def n_spikes(self) -> np.ndarray:
        """Spikes of each unit, (k,) int64."""
        return np.diff(self.offsets)


def spikes(
    insertion: str | Mapping[str, Any],
    clusters: int | str | Iterable[int | str] | None = None,
    window: tuple[float, float] | None = None,
    clustering: str | None = None,
) -> Spikes:
    """The spikes of an insertion in order of time.

    Parameters
    ----------
    insertion : pid, or a mapping with the primary key of the insertion (or of a clustering).
    clusters : one unit or several, by number or by the sorter's name (`unit_name`); by default all. A unit without
        spikes gives none.
    window : start and end, s from session start; the end does not belong to it.
    clustering : which one; by default the default of the insertion.

    Raises
    ------
    NeurojointError : there is no such insertion or clustering, its spikes were refused, or its files are not here.
    """
    row = clusterings.find(insertion, clustering)
    if clusters is None:
        return _all_units(row, window)
    all_spikes = _grouped(row)
    parts = []
    for one in dict.fromkeys(unit_numbers(row, clusters)):
        span = all_spikes.span(one)
        if window is not None:
            first, last = np.searchsorted(all_spikes.times[span], window)
            span = slice(span.start + int(first), span.start + int(last))
        parts.append((one, span))
    times = np.concatenate([np.empty(0), *(all_spikes.times[span] for _, span in parts)])
    labels = np.repeat([one for one, _ in parts], [span.stop - span.start for _, span in parts]).astype(np.int32)
    values = [
        None if array is None else np.concatenate([np.empty(0, np.float32), *(array[span] for _, span in parts)])
        for array in (all_spikes.amps, all_spikes.depths)
    ]
    if len(parts) > 1:
        order = np.lexsort((labels, times))
        times, labels = times[order], labels[order]
        values = [None if array is None else array[order] for array in values]
    return Spikes(times, labels, *values)


def unit_numbers(row: Mapping[str, Any], units: int | str | Iterable[int | str]) -> list[int]:
    """The numbers of units of a clustering that are given by number or by name.

    Parameters
    ----------
    row : of ephys.Clustering.

    Raises
    ------
    NotFoundError : no unit has such a name, or several have it.
    """
    given = [units] if isinstance(units, int | np.integer | str) else list(units)
    if not any(isinstance(value, str) for value in given):
        return [int(value) for value in given]
    key = {name: row[name] for name in ephys.Clustering.primary_key}
    numbers: dict[str, list[int]] = {}
    for number, name in zip(*(ephys.ClusterSet.Cluster & key).to_arrays("cluster_id", "unit_name"), strict=True):
        numbers.setdefault(str(number) if name is None else name, []).append(int(number))
    result = []
    for value in given:
        own = numbers.get(value, []) if isinstance(value, str) else [int(value)]
        if len(own) != 1:
            what = f"{len(own)} units are called {value}" if own else f"no unit is called {value}"
            raise NotFoundError(what, "ephys.ClusterSet.Cluster lists cluster_id and unit_name")
        result += own
    return result


def grouped(insertion: str | Mapping[str, Any], clustering: str | None = None) -> GroupedSpikes:
    """The spikes of an insertion grouped by unit; parameters and errors as in `spikes`."""
    return _grouped(clusterings.find(insertion, clustering))


def content_key(row: Mapping[str, Any]) -> str:
    """Stands for the content of the spikes of a clustering (a row of ephys.Clustering): equal for equal files."""
    digest = hashlib.md5(f"{LAYOUT}\n".encode(), usedforsecurity=False)
    for name in _GROUPED_FROM:
        digest.update(f"{name}\0{row['clustering_files'].get(name, ('', ''))[1]}\n".encode())
    reading = clusterings.reading(row)
    used = {name: reading.factor(name) for name in _GROUPED_FROM}
    digest.update(json.dumps([reading.n_moved, reading.n_dropped, used], sort_keys=True).encode())
    return digest.hexdigest()


def attributes(row: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Path of each of these files of a clustering that was accepted; what was refused or is absent is left out.

    Parameters
    ----------
    row : of ephys.Clustering, as `pipeline.electrophysiology.clusterings.find` gives it.
    names : object.attribute.

    Raises
    ------
    InvalidData : a file is not on this computer, or not as it was registered.
    """
    wanted = {name: row["clustering_files"][name] for name in names if name in row["clustering_files"]}
    paths = ephys.Clustering.paths_of(row, dict(wanted.values()))
    return {name: paths[path] for name, (path, _) in wanted.items()}


def templates(
    insertion: str | Mapping[str, Any], clusters: Iterable[int | str] | None = None, clustering: str | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Mean waveforms of units.

    Parameters
    ----------
    clusters : units, by number or name; by default all that have a waveform.

    Returns
    -------
    cluster_ids : (k,) int64, those that have one.
    waveforms : (k, n_samples, n_channels), uV.
    channels : (k, n_channels) rows of the channels object; None where the files do not say.

    They come from `clusters.waveforms`; where that is absent, from the template that most spikes of the unit match.

    Raises
    ------
    NeurojointError : the files have neither.
    """
    row = clusterings.find(insertion, clustering)
    paths = attributes(row, ["clusters.waveforms", "clusters.waveformsChannels"])
    source = "clusters"
    if "clusters.waveforms" not in paths:
        source = "templates"
        paths = attributes(row, ["templates.waveforms", "templates.waveformsChannels"])
    if f"{source}.waveforms" not in paths:
        raise UserError(f"{row['clustering']} has no waveforms", "clusters.waveforms or templates.waveforms")
    shapes = open_array(paths[f"{source}.waveforms"])
    ids, rows = _rows_of_units(row, source, len(shapes))
    if clusters is not None:
        wanted = np.isin(ids, unit_numbers(row, clusters))
        ids, rows = ids[wanted], rows[wanted]
    where = paths.get(f"{source}.waveformsChannels")
    reading = clusterings.reading(row)
    values = (np.asarray(shapes[rows], np.float64) * (1e6 * reading.factor(f"{source}.waveforms"))).astype(np.float32)
    if where is None:
        return ids, values, None
    return ids, values, reading.from_zero(f"{source}.waveformsChannels", np.asarray(open_array(where)[rows]))


def channel_places(insertion: str | Mapping[str, Any], clustering: str | None = None) -> np.ndarray | None:
    """Places of the rows of the channels object of a clustering, (n, 2), across and along the shank, um.

    Those of its `channels.localCoordinates`, else None; also where that file is not on this computer.
    """
    row = clusterings.find(insertion, clustering)
    try:
        paths = attributes(row, ["channels.localCoordinates"])
    except InvalidData:
        return None
    if not paths:
        return None
    values = np.asarray(open_array(paths["channels.localCoordinates"]), np.float64)
    factor = clusterings.reading(row).factor("channels.localCoordinates")
    return values[:, :2] * factor if values.ndim == 2 and values.shape[1] >= 2 else None


def raw_channels(insertion: str | Mapping[str, Any], clustering: str | None = None) -> np.ndarray | None:
    """Column of the raw recording of each row of the channels object of a clustering; None: in the same order."""
    row = clusterings.find(insertion, clustering)
    try:
        paths = attributes(row, ["channels.rawInd"])
    except InvalidData:
        return None
    if not paths:
        return None
    raw = np.asarray(open_array(paths["channels.rawInd"]), np.int64).reshape(-1)
    return clusterings.reading(row).from_zero("channels.rawInd", raw)


def has_waveforms(row: Mapping[str, Any]) -> bool:
    """Whether a clustering (a row of ephys.Clustering) has files from which `templates` reads."""
    return any(name in row["clustering_files"] for name in ("clusters.waveforms", "templates.waveforms"))


def sampling_rate(row: Mapping[str, Any]) -> float:
    """Samples of the probe a second: of its recording, else spikes.samples over spikes.times, else 30 kHz."""
    reading = clusterings.reading(row)
    if reading.recorded is not None:
        return reading.recorded.sampling_rate
    paths = attributes(row, ["spikes.samples", "spikes.times"])
    arrays = [open_array(path) for path in paths.values()]
    if len(arrays) == 2 and len(arrays[0]):
        samples, times = (np.asarray(array[[0, -1]], np.float64) for array in arrays)
        if samples[1] > samples[0] and times[1] > times[0]:
            return float(np.diff(samples)[0] / np.diff(times)[0])
    return 30000.0


def _all_units(row: Mapping[str, Any], window: tuple[float, float] | None) -> Spikes:
    """The spikes as they are in the files, those in the window."""
    content = _source(row)
    times = content["spikes.times"]
    reading = clusterings.reading(row)
    factor = reading.factor("spikes.times")
    first, last = (0, len(times)) if window is None else np.searchsorted(times, np.asarray(window, float) / factor)
    some = {name: np.asarray(array[first:last]) for name, array in content.items()}
    amps, depths = some.get("spikes.amps"), some.get("spikes.depths")
    return Spikes(
        _scaled(some["spikes.times"], reading.factor("spikes.times"), np.float64),
        some["spikes.clusters"].astype(np.int32, copy=False),
        None if amps is None else _scaled(amps, 1e6 * reading.factor("spikes.amps")),
        None if depths is None else _scaled(depths, reading.factor("spikes.depths")),
    )


def _grouped(row: Mapping[str, Any]) -> GroupedSpikes:
    arrays = array_cache.arrays("spikes", content_key(row), lambda: _group(row))
    return GroupedSpikes(
        arrays["cluster_ids"], arrays["offsets"], arrays["times"], arrays.get("amps"), arrays.get("depths")
    )


def _group(row: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of GroupedSpikes, without those that the files do not have."""
    content, reading = _source(row), clusterings.reading(row)
    groups = grouping.group(_as_type(content["spikes.clusters"], np.int32))
    made: dict[str, np.ndarray] = {"cluster_ids": groups.cluster_ids.astype(np.int32), "offsets": groups.offsets}
    made["times"] = grouping.gather(
        _scaled(content["spikes.times"], reading.factor("spikes.times"), np.float64), groups
    )
    if "spikes.amps" in content:
        amps = _scaled(content["spikes.amps"], 1e6 * reading.factor("spikes.amps"))
        made["amps"] = grouping.gather(amps, groups)
    if "spikes.depths" in content:
        made["depths"] = grouping.gather(_scaled(content["spikes.depths"], reading.factor("spikes.depths")), groups)
    return made


def _source(row: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The accepted arrays of the spikes, mapped where nothing is to mend, in order of time, all of a unit."""
    if row["clustering_state"] != "online":
        why = ", ".join(f"{name}: {reason}" for name, reason in sorted(row["clustering_refused"].items()))
        what = "its files are gone" if row["clustering_state"] == "missing" else f"its files are in quarantine ({why})"
        raise InvalidData(
            row["clustering"], "vanished" if row["clustering_state"] == "missing" else "missing",
            f"the spikes of {row['clustering']} cannot be read: {what}",
            "mend them or bring them back, then run `neurojoint ingest`",
        )  # fmt: skip
    arrays = {name: open_array(path) for name, path in attributes(row, _GROUPED_FROM).items()}
    return clusterings.reading(row).mend(arrays)


def _rows_of_units(row: Mapping[str, Any], source: str, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The units that have a row among the waveforms, and that row."""
    if source == "templates":
        paths = attributes(row, ["spikes.templates", "spikes.clusters"])
        if "spikes.templates" not in paths:  # then units are templates
            ids = np.asarray(_grouped(row).cluster_ids, np.int64)
            rows = ids - (clusterings.reading(row).rows == BY_ROW_FROM_ONE)
            inside = rows < n_rows
            return ids[inside], rows[inside]
        clusters, matched = (
            _as_type(open_array(paths[f"spikes.{name}"]), np.int64) for name in ("clusters", "templates")
        )
        matched = clusterings.reading(row).from_zero("spikes.templates", matched)
        known = clusters >= 0
        pairs, counts = np.unique(clusters[known] * n_rows + matched[known], return_counts=True)
        order = np.lexsort((counts, pairs // n_rows))
        last = np.flatnonzero(np.diff(pairs[order] // n_rows, append=-1))
        best = pairs[order][last]
        return best // n_rows, best % n_rows
    metrics = attributes(row, ["clusters.metrics"]).get("clusters.metrics")
    table = None if metrics is None else load_metrics(metrics)
    ids = unit_of_rows(_rows_rule(row, n_rows, table), n_rows, table)
    order = np.argsort(ids)
    used = np.isin(ids[order], _grouped(row).cluster_ids)
    return ids[order][used], order[used]


def _rows_rule(row: Mapping[str, Any], n_rows: int, table: Any) -> Reading:
    """How rows are assigned to units: as it is stored; decided now for clusterings of before that was stored."""
    if row.get("clustering_reading") is not None:
        return clusterings.reading(row)
    named = None if table is None or "cluster_id" not in table.column_names else table["cluster_id"].to_numpy()
    used = np.asarray(_grouped(row).cluster_ids, np.int64)
    return Reading(rows=unit_rows.decide(used, n_rows, named).rule)


def _scaled(values: np.ndarray, factor: float, kind: type = np.float32) -> np.ndarray:
    """Values times a factor; the array itself, mapped, where neither factor nor type change it."""
    if factor == 1:
        return _as_type(values, kind)
    made: np.ndarray = np.empty(len(values), kind)
    for start in range(0, len(values), _ROWS):
        made[start : start + _ROWS] = np.asarray(values[start : start + _ROWS], np.float64) * factor
    return made


def _as_type(values: np.ndarray, kind: type) -> np.ndarray:
    return np.asarray(values).astype(kind, copy=False)
