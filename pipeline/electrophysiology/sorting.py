"""What the files of one clustering hold: spikes checked without reading them whole, and the units as columns.

Registration uses it to find what is to be refused and how the rest is to be read, the tables to read the units: both
see the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.analysis.units import spike_width
from pipeline.electrophysiology import array_rules, indices, measurement_units, unit_columns, unit_rows
from pipeline.electrophysiology.measurement_units import COMMON_RATE
from pipeline.electrophysiology.reading import BY_NAME, BY_ROW, BY_ROW_FROM_ONE, Reading, Recorded
from pipeline.electrophysiology.sorting_files import Files, Refused, Sorting, open_array

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Refused", "Sorting", "examine", "open_array", "unit_of_rows"]

OBJECTS = ("spikes", "clusters", "templates")
"""ALF objects of which a clustering consists."""
BESIDE = ("channels.localCoordinates", "channels.rawInd", "channels.shanks")
"""Attributes that are read with a clustering and do not make one of their own."""
PLACES = ("mlapdv", "brainLocationIds_ccf_2017", "brainLocationAcronyms_ccf_2017", "brainLocationIds")
"""Attributes of clusters that say where they are in the brain: an alignment replaces them, and sorts nothing again."""
NEEDED = ("spikes.times", "spikes.clusters")

_COUNTS = ("spike_count", "num_spikes", "n_spikes")  # columns of metrics that say how many spikes a unit has
_NUMBERS = ("spikes.amps", "clusters.amps", "spikes.depths", "clusters.depths", "clusters.peakToTrough",
            "channels.localCoordinates", "channels.shanks", "clusters.shanks", "clusters.waveforms",
            "templates.waveforms")  # fmt: skip
_MOST_DIRECT = 1 << 22  # ids up to which spikes are counted in an array
_SOME = 20_000  # spikes of which the depths are compared with those of their units


def examine(
    paths: Mapping[str, Path],
    recorded: Recorded | None = None,
    channel_map: Mapping[str, list] | None = None,
) -> Sorting:
    """Check the files of a clustering against each other and read its units.

    Parameters
    ----------
    paths : object.attribute -> file, e.g. `spikes.times`, `clusters.metrics`.
    recorded : the raw recording of the probe.
    channel_map : `channels`, `lateral`, `axial` (um), `shank` of that recording.

    The rules: the columns of an object are equally long (a file that differs from a strict majority is refused; without
    a majority, all are); `spikes.clusters` are whole numbers from 0 that name units (`unit_rows.decide`);
    numbers of channels, templates and shanks name what is there (`indices`); every array is in the unit of ALF or
    provably in another one (`measurement_units`). A few spikes out of order, and spikes of the unit -1, are mended when
    they are read. What breaks a rule is refused and costs no other file, except that without `spikes.times` and
    `spikes.clusters` no unit is known.
    """
    files = Files(paths)
    for alf_object in ("spikes", "clusters", "templates", "channels"):
        files.check_lengths(alf_object)
    sorting = Sorting(reading=Reading(recorded=recorded))
    files.check("spikes.times", array_rules.times)
    files.check("spikes.clusters", array_rules.unit_numbers)
    for name in _NUMBERS:
        files.check(name, array_rules.numbers)
    indices.check(files, channel_map)
    _check_times(files, sorting)
    used, counts = _count(files.get("spikes.clusters"))
    n_none = int(counts[used < 0].sum())
    used, counts = used[used >= 0], counts[used >= 0]
    named, named_counts = _named(files)
    n_rows = _n_rows(files)
    rows = _by_depths(files, unit_rows.decide(used, n_rows, named, counts, named_counts), named)
    sorting.reading.rows, sorting.reading.rows_why = rows.rule, rows.why
    if rows.rule == BY_ROW_FROM_ONE:
        sorting.reading.notes.append(f"spikes.clusters: {rows.why}")
    if named is not None and not rows.metrics and rows.rule:
        files.refuse("clusters.metrics", "unequal_length", rows.why)
    if not rows.rule and "spikes.clusters" in files:
        files.refuse("spikes.clusters", "value_range", rows.why)
    row_ids = None if n_rows is None else unit_rows.ids_of(rows.rule, n_rows, named)
    _check_measurements(files, row_ids, recorded, channel_map)
    if all(name in files for name in NEEDED):
        _summarise(files, sorting, n_none)
        metrics = None if "clusters.metrics" not in files else unit_rows.metrics_ids(rows, n_rows, named)
        sorting.clusters = unit_columns.columns(files, sorting, used, counts, row_ids, metrics, named, channel_map)
    sorting.reading.factors, sorting.reading.from_one = files.factors, files.from_one
    sorting.reading.notes = files.notes + sorting.reading.notes
    sorting.read = sorted(files.content)
    sorting.refused = files.refused
    return sorting


def unit_of_rows(reading: Reading, n_rows: int, metrics: pa.Table | None) -> np.ndarray:
    """The unit of each row of an accepted clusters object; -1 where it is not known.

    >>> unit_of_rows(Reading(), 3, None)
    array([0, 1, 2])
    """
    named = None
    if metrics is not None and "cluster_id" in metrics.column_names:
        named = _as_numbers(metrics["cluster_id"])
        named = np.arange(metrics.num_rows) if named is None else named.astype(np.int64)
    return unit_rows.ids_of(reading.rows, n_rows, named)


def _by_depths(files: Files, rows: unit_rows.Rows, named: np.ndarray | None) -> unit_rows.Rows:
    """Metrics that name the rows in another order than the arrays have: depths of spikes and of rows tell."""
    depths, of_rows = files.get("spikes.depths"), files.get("clusters.depths")
    if rows.rule != BY_NAME or named is None or depths is None or of_rows is None or "spikes.clusters" not in files:
        return rows
    n_rows = len(of_rows)
    if len(named) != n_rows or n_rows < 3 or not np.array_equal(np.sort(named), np.arange(n_rows)):
        return rows
    some = np.linspace(0, len(depths) - 1, min(len(depths), _SOME)).astype(int)
    units, at = np.asarray(files["spikes.clusters"][some], np.int64), np.asarray(depths[some], np.float64)
    known = (units >= 0) & (units < n_rows) & np.isfinite(at)
    by_name = unit_columns.spread(np.arange(n_rows), named, np.asarray(of_rows, np.float64))
    away = [np.nanmedian(np.abs(at - values[np.where(known, units, 0)])[known]) if known.any() else np.nan
            for values in (np.asarray(of_rows, np.float64), by_name)]  # fmt: skip
    if not 5 * away[0] < away[1]:
        return rows
    why = (
        "clusters.metrics names the units in another order than that of the rows, whose depths are those of the spikes"
    )
    return unit_rows.Rows(BY_ROW, f"{why}: which unit each of its rows is cannot be told", False)


def _check_times(files: Files, sorting: Sorting) -> None:
    """The unit of the spike times, and whether a few of them are out of order."""
    times = files.get("spikes.times")
    if times is None:
        return
    out_of_order = array_rules.out_of_order(times)
    clusters = files.get("spikes.clusters")
    by_unit = bool(out_of_order.wrong) and clusters is not None and array_rules.are_by_unit(times, clusters)
    if out_of_order.wrong and not by_unit:
        files.refuse("spikes.times", "time_backwards", out_of_order.wrong)
        return
    sorting.reading.n_moved = len(times) if by_unit else out_of_order.n
    if by_unit:
        sorting.reading.notes.append(f"the {len(times):,} spikes stand unit by unit and were sorted by time")
    elif out_of_order.n:
        sorting.reading.notes.append(f"{out_of_order.n} spikes are out of order and were sorted by time")
    arrays = files.get("spikes.clusters"), files.get("spikes.samples")
    files.judge("spikes.times", measurement_units.spike_times(times, *arrays, sorting.reading.recorded))


def _check_measurements(
    files: Files, row_ids: np.ndarray | None, recorded: Recorded | None, channel_map: Mapping[str, list] | None
) -> None:
    """The units of measurement of all other arrays, each against what is known to be right by then."""
    for name in ("spikes.amps", "clusters.amps"):
        if name in files:
            files.judge(name, measurement_units.amplitudes(files[name]))
    _check_amplitudes(files, row_ids)
    if "channels.localCoordinates" in files:
        raw, places = files.numbers("channels.rawInd"), files["channels.localCoordinates"]
        on_map = None if raw is None or channel_map is None else indices.axial_of(raw, channel_map)
        verdict = measurement_units.places(places, on_map)
        if raw is None and channel_map is not None:  # then the channels are those of the recording, in its order
            axes = measurement_units.exchanged(places, np.asarray(channel_map["axial"], np.float64))
            verdict = measurement_units.Verdict(wrong=axes) if axes else verdict
        files.judge("channels.localCoordinates", verdict)
    if "clusters.depths" in files:
        files.judge("clusters.depths", measurement_units.depths(files["clusters.depths"], _depths_of_channels(files)))
    if "spikes.depths" in files:
        some = np.linspace(0, len(files["spikes.depths"]) - 1, min(len(files["spikes.depths"]), _SOME)).astype(int)
        some = some if len(files["spikes.depths"]) else some[:0]
        reference = _of_units(files, files.scaled("clusters.depths"), row_ids, some)
        files.judge("spikes.depths", measurement_units.depths(files["spikes.depths"][some], reference))
    amps = files.scaled("clusters.amps")
    if amps is None:
        amps = _mean_amplitudes(files, row_ids)
    for name, of_units in (("clusters.waveforms", amps), ("templates.waveforms", None)):
        if wrong := indices.exchanged_axes(files, name):
            files.refuse(name, "value_range", wrong)
        if name in files:
            files.judge(name, measurement_units.waveforms(files[name], of_units))
    if "clusters.peakToTrough" in files:
        width, shapes = None, files.get("clusters.waveforms")
        if shapes is not None and shapes.ndim == 3:
            width = spike_width(shapes, recorded.sampling_rate if recorded else COMMON_RATE)
        rate = recorded.sampling_rate if recorded else None
        files.judge("clusters.peakToTrough", measurement_units.widths(files["clusters.peakToTrough"], width, rate))


def _check_amplitudes(files: Files, row_ids: np.ndarray | None) -> None:
    """Amplitudes of the units are about those of their spikes."""
    own, of_spikes = files.scaled("clusters.amps"), _mean_amplitudes(files, row_ids)
    if own is None or of_spikes is None or own.shape != of_spikes.shape:
        return
    both = np.isfinite(own) & np.isfinite(of_spikes) & (of_spikes != 0)
    ratio = float(np.median(np.abs(own[both] / of_spikes[both]))) if both.sum() >= 3 else 1.0
    if not 1 / measurement_units.FAR < ratio < measurement_units.FAR:
        files.refuse("clusters.amps", "value_range", f"the amplitudes are {ratio:.3g} times those of the spikes")


def _depths_of_channels(files: Files) -> np.ndarray | None:
    """Depth of the channel of each row of the clusters object, um."""
    places, channels = files.scaled("channels.localCoordinates"), files.numbers("clusters.channels")
    if places is None or channels is None or places.ndim != 2 or places.shape[1] < 2:
        return None
    return places[channels, 1]


def _of_units(
    files: Files, values: np.ndarray | None, row_ids: np.ndarray | None, spikes: np.ndarray
) -> np.ndarray | None:
    """A value of the clusters object for each of some spikes; NaN where the unit has none."""
    if values is None or row_ids is None or "spikes.clusters" not in files:
        return None
    return unit_columns.spread(np.asarray(files["spikes.clusters"][spikes], np.int64), row_ids, values)


def _mean_amplitudes(files: Files, row_ids: np.ndarray | None) -> np.ndarray | None:
    """Mean amplitude of each row of the clusters object over some of its spikes, V; NaN without any."""
    if row_ids is None or "spikes.amps" not in files or "spikes.clusters" not in files:
        return None
    step = max(1, len(files["spikes.amps"]) // (50 * _SOME))
    amps = np.asarray(files["spikes.amps"][::step], np.float64) * files.factors.get("spikes.amps", 1.0)
    clusters = np.asarray(files["spikes.clusters"][::step], np.int64)
    good = np.isfinite(amps) & (clusters >= 0)
    ids, place = np.unique(clusters[good], return_inverse=True)
    means = np.bincount(place, amps[good], len(ids)) / np.maximum(np.bincount(place, minlength=len(ids)), 1)
    return unit_columns.spread(row_ids, ids, means)


def _summarise(files: Files, sorting: Sorting, n_none: int) -> None:
    """How many spikes there are, from when to when."""
    times = files["spikes.times"]
    sorting.reading.n_dropped = n_none
    if n_none:
        sorting.reading.notes.append(f"{n_none} spikes have the unit -1 (noise) and were left out")
    sorting.n_spikes = len(times) - n_none
    if not sorting.n_spikes:
        return
    if sorting.reading.is_plain:
        ends = np.asarray(times[[0, -1]], np.float64)
    else:
        kept = np.asarray(times)[np.asarray(files["spikes.clusters"]) >= 0]
        ends = np.array([kept.min(), kept.max()], np.float64)
    sorting.first, sorting.last = (ends * files.factors.get("spikes.times", 1.0)).tolist()


def _n_rows(files: Files) -> int | None:
    """Rows of the clusters object; None where it has no array."""
    n_rows = files.rows("clusters")
    if n_rows is None and (table := files.get("clusters.uuids")) is not None:
        return len(table)
    return n_rows


def _named(files: Files) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The `cluster_id` of each row of the metrics, and how many spikes they say it has; None where they do not say.

    Metrics with a row for each of the clusters object name its rows where they have no such column.
    """
    table = files.get("clusters.metrics")
    if table is None or isinstance(table, np.ndarray):
        return None, None
    if "cluster_id" not in table.column_names:
        if len(table.column_names) == 1 and any(mark in table.column_names[0] for mark in ";,\t"):
            what = f"its only column is {table.column_names[0][:60]!r}"
            files.refuse(
                "clusters.metrics", "value_range", f"{what}: expected are commas between columns, tabs in a tsv"
            )
            return None, None
        if table.num_rows == files.rows("clusters"):
            return np.arange(table.num_rows), None
        files.refuse("clusters.metrics", "unequal_length", "no column cluster_id says which unit a row is of")
        return None, None
    ids = _as_numbers(table["cluster_id"])
    if ids is None:
        n_rows = _n_rows(files)
        if n_rows in (None, table.num_rows):
            files.notes.append("clusters.metrics: cluster_id holds names that are no numbers: its rows are the units")
            return np.arange(table.num_rows), None
        detail = f"cluster_id holds names that are no numbers, in {table.num_rows} rows; the object has {n_rows}"
        files.refuse("clusters.metrics", "unequal_length", f"{detail}: which unit each is of cannot be told")
        return None, None
    if wrong := array_rules.whole_numbers(ids):
        files.refuse("clusters.metrics", wrong[0], f"cluster_id: {wrong[1]}")
        return None, None
    ids = ids.astype(np.int64)
    if len(np.unique(ids)) < len(ids):
        files.refuse("clusters.metrics", "duplicate_column", "a cluster_id stands in two rows")
        return None, None
    name = next((count for count in _COUNTS if count in table.column_names), None)
    return ids, None if name is None else np.asarray(table[name].to_numpy())


def _as_numbers(column: Any) -> np.ndarray | None:
    """The numbers of a column, also where they are text; None where they are names, or beyond 31 bits."""
    values = column.to_pylist()
    if values and all(isinstance(value, str) for value in values):
        if not all(value.strip().isdecimal() for value in values):
            return None
        values = [int(value) for value in values]
    is_large = any(isinstance(value, int) and value >= 1 << 31 for value in values)
    if is_large:
        return None
    if any(value is None for value in values):  # a row without a number, which is refused by its row
        values = [np.nan if value is None else value for value in values]
    return np.asarray(values) if values else np.empty(0, np.int64)


def _count(clusters: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The ids that spikes have, ascending, and how many spikes each has."""
    if clusters is None or not len(clusters):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    if (largest := array_rules.largest(clusters)) < _MOST_DIRECT:
        counts = np.zeros(largest + 2, np.int64)
        for _, some in array_rules.chunks(clusters):
            counts += np.bincount(some.astype(np.int64, copy=False) + 1, minlength=largest + 2)
        ids = np.flatnonzero(counts)
        return ids - 1, counts[ids]
    totals: Counter[int] = Counter()
    for _, some in array_rules.chunks(clusters):
        ids, counts = np.unique(some.astype(np.int64, copy=False), return_counts=True)
        totals.update(dict(zip(ids.tolist(), counts.tolist(), strict=True)))
    ids = np.array(sorted(totals), np.int64)
    return ids, np.array([totals[value] for value in ids.tolist()], np.int64)
