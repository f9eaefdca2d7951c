"""What the files of one clustering hold: spikes checked without reading them whole, and the units as columns.

Registration uses it to find what is to be refused, the tables to read the rest: both see the same.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.alf.reader import HEADER, load, npy_header
from pipeline.alf.reasons import refuse
from pipeline.electrophysiology import array_rules
from pipeline.errors import InvalidData

if TYPE_CHECKING:
    import pyarrow as pa

OBJECTS = ("spikes", "clusters", "templates")
"""ALF objects of which a clustering consists."""
BESIDE = ("channels.localCoordinates", "channels.rawInd")
"""Attributes that are read with a clustering and do not make one of their own."""
PLACES = ("mlapdv", "brainLocationIds_ccf_2017", "brainLocationAcronyms_ccf_2017", "brainLocationIds")
"""Attributes of clusters that say where they are in the brain: an alignment replaces them, and sorts nothing anew."""
NEEDED = ("spikes.times", "spikes.clusters")

_LABELS = ("ks2_label", "KSLabel", "sorter_label", "group", "quality")
_MOST_DIRECT = 1 << 22  # ids up to which spikes are counted in an array


class Refused(NamedTuple):
    """One file that must not be read: `attribute` is object.attribute."""

    attribute: str
    reason: str  # of pipeline.alf.reasons
    detail: str


@dataclass
class Sorting:
    """The spikes and units of one clustering.

    Attributes:
        n_spikes: how many; 0 where the spikes are refused.
        first, last: s from session start; None without spikes.
        clusters: column of ephys.ClusterSet.Cluster -> array of one value a unit, with NaN or None where absent;
            in order of `cluster_id`.
        read: attributes that were accepted.
        refused: what must not be read.
    """

    n_spikes: int = 0
    first: float | None = None
    last: float | None = None
    clusters: dict[str, np.ndarray | list] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def examine(paths: Mapping[str, Path]) -> Sorting:
    """Check the files of a clustering against each other and read its units.

    Parameters
    ----------
    paths : object.attribute -> file, e.g. `spikes.times`, `clusters.metrics`.

    The rules: the columns of an object are equally long (a file that differs from a strict majority is refused; without
    a majority, all are); spikes are in order of time, with times; `spikes.clusters` are whole numbers from 0 that name
    rows of the clusters object, by its row, or where its metrics list as many `cluster_id` as it has rows, by those;
    `clusters.channels` and `spikes.templates` name rows of channels and templates; amplitudes are in V. What breaks a
    rule is refused and costs no other file, except that without `spikes.times` and `spikes.clusters` no unit is known.
    """
    files = _Files(paths)
    for alf_object in ("spikes", "clusters", "templates", "channels"):
        files.check_lengths(alf_object)
    found = Sorting()
    if "spikes.times" in files:
        files.check("spikes.times", array_rules.times)
    if "spikes.clusters" in files:
        files.check("spikes.clusters", array_rules.whole_numbers)
    for name in ("spikes.amps", "clusters.amps"):
        files.check(name, array_rules.amplitudes)
    for name in ("spikes.depths", "clusters.depths", "clusters.peakToTrough", "channels.localCoordinates"):
        files.check(name, array_rules.numbers)
    files.check_references("clusters.channels", "channels")
    files.check_references("spikes.templates", "templates")
    if all(name in files for name in NEEDED):
        times = files["spikes.times"]
        found.n_spikes = len(times)
        if len(times):
            found.first, found.last = float(times[0]), float(times[-1])
        used, counts = _count(files["spikes.clusters"])
        metrics = _metrics_ids(files)
        row_ids = _row_ids(files, used, metrics)
        if "spikes.clusters" in files:
            found.clusters = _units(files, found, used, counts, metrics, row_ids)
    found.read = sorted(files.content)
    found.refused = files.refused
    return found


def unit_rows(used: np.ndarray, n_rows: int, metrics: Path | None = None) -> np.ndarray:
    """The unit of each row of an accepted clusters object of `n_rows` rows.

    Parameters
    ----------
    used : (k,) units that have spikes, ascending.
    metrics : file of clusters.metrics, if there is one.

    >>> unit_rows(np.array([0, 2]), 3)
    array([0, 1, 2])
    """
    files = _Files({} if metrics is None else {"clusters.metrics": metrics})
    ids = _metrics_ids(files)
    if ids is None or not len(used) or used[-1] < n_rows or len(ids) != n_rows:
        return np.arange(n_rows)
    return ids


def open_array(path: Path | str, name: str = "") -> np.ndarray:
    """An npy file as an array that is read from the disk where it is used; one column is one-dimensional.

    Raises
    ------
    InvalidData : as `pipeline.alf.reader.load`.
    """
    name = name or str(path)
    try:
        with Path(path).open("rb") as file:
            header = npy_header(file.read(HEADER), name, os.fstat(file.fileno()).st_size)
    except FileNotFoundError:
        raise refuse(name, "vanished", "the file is not there any more") from None
    except PermissionError as error:
        raise refuse(name, "permission_denied", error.strerror or "permission denied") from None
    except OSError as error:
        raise refuse(name, "unreadable_file", error.strerror or str(error)) from None
    if 0 in header.shape:
        values = np.empty(header.shape, header.dtype)
    else:
        order = "F" if header.fortran else "C"
        values = np.memmap(path, header.dtype, "r", header.offset, header.shape or (1,), order)
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


class _Files:
    """The files of a clustering that are still thought good, and those that are refused."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self.content: dict[str, np.ndarray | pa.Table] = {}
        self.refused: list[Refused] = []
        for name, path in paths.items():
            try:
                is_array = str(path).endswith(".npy")
                self.content[name] = open_array(path, name) if is_array else load(path, Path(path).name)
            except InvalidData as error:
                self.refused.append(Refused(name, error.reason, error.detail))

    def __contains__(self, name: str) -> bool:
        return name in self.content

    def __getitem__(self, name: str) -> Any:
        return self.content[name]

    def get(self, name: str) -> Any:
        """The content of a file; None where it is absent or refused."""
        return self.content.get(name)

    def refuse(self, name: str, reason: str, detail: str) -> None:
        """Take a file out."""
        if self.content.pop(name, None) is not None:
            self.refused.append(Refused(name, reason, detail))

    def check(self, name: str, rule: Any) -> None:
        """Take a file out where `rule(values)` returns a reason and a detail."""
        values = self.get(name)
        if values is not None and (wrong := rule(values)):
            self.refuse(name, *wrong)

    def rows(self, alf_object: str) -> int | None:
        """How many rows the arrays of an object have; None where it has no array."""
        lengths = {len(values) for values in self._arrays(alf_object).values()}
        return lengths.pop() if lengths else None

    def check_lengths(self, alf_object: str) -> None:
        """Take out the arrays that are not as long as most of their object."""
        lengths = {name: len(values) for name, values in self._arrays(alf_object).items()}
        votes = Counter(lengths.values())
        if len(votes) < 2:
            return
        n_rows, n_votes = votes.most_common(1)[0]
        listed = ", ".join(f"{count} with {rows} rows" for rows, count in sorted(votes.items()))
        for name, rows in lengths.items():
            if rows != n_rows or n_votes * 2 <= votes.total():
                self.refuse(name, "unequal_length", f"{rows} rows; the object {alf_object} has columns {listed}")

    def check_references(self, name: str, alf_object: str) -> None:
        """Take out an array that names rows which another object does not have."""
        values, n_rows = self.get(name), self.rows(alf_object)
        if values is None:
            return
        if wrong := array_rules.whole_numbers(values):
            self.refuse(name, *wrong)
        elif n_rows is not None and len(values) and (last := array_rules.largest(values)) >= n_rows:
            self.refuse(name, "value_range", f"it names row {last} of {alf_object}, which has {n_rows} rows")

    def _arrays(self, alf_object: str) -> dict[str, np.ndarray]:
        begin = f"{alf_object}."
        return {n: v for n, v in self.content.items() if n.startswith(begin) and isinstance(v, np.ndarray)}


def _units(
    files: _Files,
    found: Sorting,
    used: np.ndarray,
    counts: np.ndarray,
    metrics: np.ndarray | None,
    row_ids: np.ndarray | None,
) -> dict[str, np.ndarray | list]:
    """The columns of the units: those that have spikes, and those that the metrics list."""
    ids = np.union1d(used, metrics) if metrics is not None else used
    n_spikes = np.zeros(len(ids), np.int64)
    n_spikes[np.searchsorted(ids, used)] = counts
    seconds = found.last - found.first if found.n_spikes else 0.0
    columns: dict[str, Any] = {"cluster_id": ids, "cluster_n_spikes": n_spikes}
    columns["cluster_firing_rate"] = n_spikes / seconds if seconds > 0 else np.full(len(ids), np.nan)

    def of_rows(name: str) -> np.ndarray:
        values = files.get(name)
        if values is None or row_ids is None or values.ndim != 1:
            return np.full(len(ids), np.nan)
        return _spread(ids, row_ids, np.asarray(values, np.float64))

    columns["cluster_channel"] = of_rows("clusters.channels")
    columns["cluster_depth"] = of_rows("clusters.depths")
    columns["cluster_amp"] = of_rows("clusters.amps") * 1e6
    columns["peak_to_trough"] = of_rows("clusters.peakToTrough")
    places = files.get("channels.localCoordinates")
    if "clusters.depths" not in files and places is not None and places.ndim == 2 and places.shape[1] == 2:
        known = np.isfinite(columns["cluster_channel"])
        rows = columns["cluster_channel"][known].astype(np.int64)
        columns["cluster_depth"][known] = np.asarray(places[:, 1], np.float64)[rows]
    columns["cluster_uuid"] = _uuids(files, ids, row_ids)
    columns["sorter_label"] = _labels(files, ids, metrics)
    return columns


def _metrics_ids(files: _Files) -> np.ndarray | None:
    """Which unit each row of the metrics is of; None without metrics, or with such as cannot be told."""
    table = files.get("clusters.metrics")
    if table is None:
        return None
    if isinstance(table, np.ndarray) or "cluster_id" not in table.column_names:
        n_rows = files.rows("clusters")
        if not isinstance(table, np.ndarray) and table.num_rows == n_rows:
            return np.arange(n_rows)
        if not isinstance(table, np.ndarray):
            files.refuse("clusters.metrics", "unequal_length", "no column cluster_id says which unit a row is of")
        return None
    ids = np.asarray(table["cluster_id"].to_numpy())
    if wrong := array_rules.whole_numbers(ids):
        files.refuse("clusters.metrics", wrong[0], f"cluster_id: {wrong[1]}")
        return None
    ids = ids.astype(np.int64)
    if len(np.unique(ids)) < len(ids):
        files.refuse("clusters.metrics", "duplicate_column", "a cluster_id stands in two rows")
        return None
    return ids


def _row_ids(files: _Files, used: np.ndarray, metrics: np.ndarray | None) -> np.ndarray | None:
    """The unit of each row of the clusters object; where that cannot be told, `spikes.clusters` is taken out."""
    n_rows = files.rows("clusters")
    table = files.get("clusters.uuids")
    if n_rows is None and table is not None:
        n_rows = len(table)
    if n_rows is None:
        return None
    if not len(used) or used[-1] < n_rows:
        return np.arange(n_rows)
    if metrics is not None and len(metrics) == n_rows and np.isin(used, metrics).all():
        return metrics
    detail = f"it goes up to {used[-1]}, but the object clusters has {n_rows} rows"
    files.refuse("spikes.clusters", "value_range", f"{detail}, and no metrics list a cluster_id for each of them")
    return None


def _spread(ids: np.ndarray, row_ids: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values of the rows in order of the units, NaN for units without a row."""
    spread = np.full(len(ids), np.nan)
    order = np.argsort(row_ids)
    at = np.searchsorted(row_ids, ids, sorter=order)
    there = at < len(row_ids)
    rows = order[at[there]]
    spread[there] = np.where(row_ids[rows] == ids[there], values[rows], np.nan)
    return spread


def _uuids(files: _Files, ids: np.ndarray, row_ids: np.ndarray | None) -> list[str | None]:
    table = files.get("clusters.uuids")
    if table is None or isinstance(table, np.ndarray) or row_ids is None:
        return [None] * len(ids)
    if table.num_rows != len(row_ids):
        detail = f"{table.num_rows} rows; the object clusters has {len(row_ids)}"
        files.refuse("clusters.uuids", "unequal_length", detail)
        return [None] * len(ids)
    name = "uuids" if "uuids" in table.column_names else table.column_names[-1]
    by_id = dict(zip(row_ids.tolist(), table[name].to_pylist(), strict=True))
    texts = (str(by_id.get(one) or "") for one in ids.tolist())
    return [text.lower() if len(text) == 36 else None for text in texts]


def _labels(files: _Files, ids: np.ndarray, metrics: np.ndarray | None) -> list[str | None]:
    table = files.get("clusters.metrics")
    name = next((one for one in _LABELS if metrics is not None and one in table.column_names), None)
    if name is None:
        return [None] * len(ids)
    by_id = dict(zip(metrics.tolist(), table[name].to_pylist(), strict=True))
    return [str(by_id[one])[:16] if by_id.get(one) is not None else None for one in ids.tolist()]


def _count(clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ids that spikes have, ascending, and how many spikes each has."""
    if not len(clusters):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    if (largest := array_rules.largest(clusters)) < _MOST_DIRECT:
        counts = np.zeros(largest + 1, np.int64)
        for _, some in array_rules.chunks(clusters):
            counts += np.bincount(some.astype(np.int64, copy=False), minlength=largest + 1)
        ids = np.flatnonzero(counts)
        return ids, counts[ids]
    found: Counter[int] = Counter()
    for _, some in array_rules.chunks(clusters):
        ids, counts = np.unique(some.astype(np.int64, copy=False), return_counts=True)
        found.update(dict(zip(ids.tolist(), counts.tolist(), strict=True)))
    ids = np.array(sorted(found), np.int64)
    return ids, np.array([found[one] for one in ids.tolist()], np.int64)
