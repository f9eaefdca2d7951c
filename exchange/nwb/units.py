"""Units tables: whole columns, never one unit after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hdmf.common import DynamicTableRegion, VectorData, VectorIndex
from pynwb.misc import Units

from exchange.nwb import rules
from exchange.nwb.containers import Builder, merged, ragged, tidy
from exchange.nwb.electrodes import Probe, acronyms_of_regions
from exchange.nwb.sortings import Sorting, in_order_of_time
from exchange.nwb.source import Piece
from pipeline.analysis.spikes import gather
from pipeline.database.bulk import fetch_columns, to_numpy
from pipeline.schemas import ephys, ephys_analysis, histology


def table_of(builder: Builder, table: str, sortings: list[Sorting], probes: list[Probe]) -> Units:
    """A units table; everything in it is a whole column, never one unit after the other."""
    n_units = [len(sorting.ids) for sorting in sortings]
    firsts = np.concatenate([[0], np.cumsum(n_units)]).astype(int)
    ends = np.cumsum(np.concatenate([sorting.grouped.n_spikes for sorting in sortings]))
    columns: list[Any] = spike_columns(builder, table, sortings, firsts, ends)
    columns += _cluster_columns(builder, table, sortings, firsts)
    columns.append(
        builder.column(table, "cluster_id", "Number that the sorter gives.", np.concatenate([s.ids for s in sortings]))
    )
    labels = np.repeat([sorting.label for sorting in sortings], n_units).astype(object)
    columns.append(builder.column(table, "probe_name", "Probe that recorded the unit.", labels))
    groups = {probe.label: probe.group for probe in probes}
    columns.append(VectorData(name="electrode_group", description="Probe.", data=[groups[label] for label in labels]))
    columns += _regions(builder, sortings, probes)
    columns += _computed(builder, table, sortings)
    rate, waveforms = _rate(sortings), any(c.name == "waveform_mean" for c in columns)
    more = {"waveform_rate": rate, "waveform_unit": "volts"} if waveforms else {}
    sorters = ", ".join(sorted({sorting.collection.removeprefix("alf/") for sorting in sortings}))
    return Units(
        name=table, description=f"Units from {sorters}.", columns=columns, id=np.arange(firsts[-1], dtype=np.int64),
        electrode_table=builder.nwbfile.electrodes, resolution=1 / rate, **more,
    )  # fmt: skip


def _rate(sortings: list[Sorting]) -> float:
    """Samples a second, from the samples and times of the spikes; 30 kHz where samples are not given."""
    for sorting in sortings:
        samples, times = sorting.spikes.get("samples"), sorting.spikes.require("times")
        if samples is not None and len(samples.values) > 1:
            ends = [np.asarray(piece.values[[0, -1]], float) for piece in (samples, times)]
            if np.diff(ends[0])[0] > 0 and np.diff(ends[1])[0] > 0:
                return float(np.round(np.diff(ends[0])[0] / np.diff(ends[1])[0], 3))
    return 30000.0


def spike_columns(
    builder: Builder, table: str, sortings: list[Sorting], firsts: np.ndarray, ends: np.ndarray
) -> list[VectorIndex | VectorData]:
    """The ragged columns: one value a spike, unit by unit."""
    attributes = list(dict.fromkeys(piece.attribute for sorting in sortings for piece in sorting.spikes.pieces))
    attributes.sort(key=lambda name: name != "times")
    columns: list[VectorIndex | VectorData] = []
    for attribute in attributes:
        if attribute == "clusters":
            continue
        column = rules.UNITS.get(f"spikes.{attribute}") or rules.Column(
            f"spike_{rules.snake(attribute)}",
            "",
            rules.column_of(rules.Rule("", ""), "spikes", attribute, builder.source.described).text,
        )
        pieces = [sorting.spikes.get(attribute) for sorting in sortings]
        if any(p is not None and (p.values.ndim != 1 or p.values.dtype.kind not in "biuf") for p in pieces):
            continue
        parts = [None if p is None else gather(p.values, one.grouped) for p, one in zip(pieces, sortings, strict=True)]
        values = merged(parts, [len(sorting.grouped.order) for sorting in sortings])
        if values.dtype.kind == "f" and values.size and np.isnan(values).all():
            continue
        builder.cells[f"{table}:{column.name}"] = values
        columns += ragged(column.name, column.text, values, ends, builder.wrap)
        for piece, first, last in zip(pieces, firsts[:-1], firsts[1:], strict=True):
            if piece is not None:
                builder.note_form(piece, [f"{table}:{column.name}"], spikes=table, rows=[int(first), int(last)])
    rows_needed = [sorting for sorting in sortings if not in_order_of_time(sorting)]
    if rows_needed:
        values = np.concatenate([sorting.grouped.order.astype(np.int32) for sorting in sortings])
        builder.cells[f"{table}:spike_row"] = values
        columns += ragged("spike_row", "Row of each spike in the file of the sorter.", values, ends, builder.wrap)
    builder.cells[f"{table}:spike_times_index"] = ends
    for one, first, last in zip(sortings, firsts[:-1], firsts[1:], strict=True):
        piece = one.spikes.require("clusters")
        builder.note_form(piece, [f"{table}:cluster_id"], spikes=table, rows=[int(first), int(last)])
    return columns


def _cluster_columns(builder: Builder, table: str, sortings: list[Sorting], firsts: np.ndarray) -> list[VectorData]:
    """One value (or array) a unit, from the clusters objects."""
    attributes = dict.fromkeys(
        piece.attribute for sorting in sortings if sorting.clusters for piece in sorting.clusters.pieces
    )
    columns: dict[str, VectorData] = {}
    for attribute in attributes:
        column = rules.UNITS.get(f"clusters.{attribute}") or rules.column_of(
            rules.Rule("", ""), "clusters", attribute, builder.source.described
        )
        name = column.name if column.name not in {"cluster_id", "id"} else "metrics_cluster_id"
        pieces = [sorting.clusters.get(attribute) if sorting.clusters else None for sorting in sortings]
        known = [p for p in pieces if p is not None]
        if (
            name in columns
            or len({p.values.ndim for p in known}) > 1
            or len({p.values.dtype == object for p in known}) > 1
        ):
            continue
        if name == "waveform_mean" and known[0].values.ndim not in (2, 3):
            name = "waveforms_of_cluster"
        parts = [_padded(p, len(one.ids)) for p, one in zip(pieces, sortings, strict=True)]
        values = merged(parts, [len(sorting.ids) for sorting in sortings])
        if values.dtype.kind == "f" and np.isnan(values).all():
            for empty in known:
                builder.note_form(empty, [None])
            continue
        columns[name] = builder.column(table, name, column.text, values)
        for piece, first, last in zip(pieces, firsts[:-1], firsts[1:], strict=True):
            if piece is not None:
                builder.note_form(piece, [f"{table}:{name}"], rows=[int(first), int(last)])
    return list(columns.values())


def _padded(piece: Piece | None, n_units: int) -> np.ndarray | None:
    """The values of the rows, and nothing for units without a row."""
    if piece is None:
        return None
    values = tidy(np.asarray(piece.values))
    if len(values) == n_units:
        return values
    rest = (n_units - len(values), *values.shape[1:])
    if values.dtype == object:
        return np.concatenate([values, np.full(rest, "", object)])
    fill = np.nan if values.dtype.kind == "f" else 0
    return np.concatenate([values, np.full(rest, fill, values.dtype)])


def _regions(builder: Builder, sortings: list[Sorting], probes: list[Probe]) -> list[Any]:
    """The electrode with the largest amplitude of each unit; without channels of the units there is no such column."""
    if builder.nwbfile.electrodes is None:
        return []
    of_label = {probe.label: probe for probe in probes}
    rows, counts = [], []
    for sorting in sortings:
        probe, piece = of_label[sorting.label], sorting.clusters.get("channels") if sorting.clusters else None
        channels = np.full(len(sorting.ids), -1, np.int64)
        if piece is not None and piece.values.ndim == 1:
            channels[: len(piece.values)] = np.nan_to_num(np.asarray(piece.values, float), nan=-1).astype(np.int64)
        good = (channels >= 0) & (channels < probe.n_channels)
        rows.append(probe.first + channels[good])
        counts.append(good.astype(np.int64))
    if not sum(len(row) for row in rows):
        return []
    region = DynamicTableRegion(
        name="electrodes", description="Electrode with the largest amplitude.", data=np.concatenate(rows),
        table=builder.nwbfile.electrodes,
    )  # fmt: skip
    ends = np.cumsum(np.concatenate(counts)).astype(np.uint64)
    return [VectorIndex(name="electrodes_index", target=region, data=ends), region]


def _computed(builder: Builder, table: str, sortings: list[Sorting]) -> list[VectorData]:
    """What the tables say of the units: metrics, criteria, places. It follows the headings, and is not read back."""
    n_units = [len(sorting.ids) for sorting in sortings]
    firsts = np.concatenate([[0], np.cumsum(n_units)]).astype(int)
    columns: dict[str, np.ndarray] = {}
    texts: dict[str, str] = {}

    def put(name: str, text: str, first: int, ids: np.ndarray, known: np.ndarray, values: Any, empty: Any) -> None:
        order = np.argsort(ids)
        at = np.searchsorted(ids, known, sorter=order).clip(max=max(len(ids) - 1, 0))
        rows = order[at]
        good = ids[rows] == known
        column = columns.setdefault(name, np.full(firsts[-1], empty))
        column[first + rows[good]] = np.asarray(values)[good]
        texts[name] = f"{text[:1].upper()}{text[1:].rstrip('.')}."

    sources = ((ephys.ClusterSet.Cluster, ("sorter_label",)), (ephys_analysis.UnitMetrics.Unit, None),
               (histology.ClusterLocation.Cluster, None))  # fmt: skip
    acronyms = acronyms_of_regions()
    for one, first in zip(sortings, firsts[:-1].tolist(), strict=True):
        for source, wanted in sources:
            heading = source().heading
            names = wanted or [name for name in heading.secondary_attributes if name != "region_id"]
            rows = fetch_columns(
                source & one.key, "cluster_id", *names, *(["region_id"] if "region_id" in heading else [])
            )
            known = rows["cluster_id"].to_numpy()
            for name in names:
                if not pa.types.is_string(rows.schema.field(name).type):
                    values: Any = to_numpy(rows.select([name]))[name].astype(float)
                    put(name, heading[name].comment, first, one.ids, known, values, np.nan)
                else:
                    texts_of = np.asarray([value or "" for value in rows[name].to_pylist()], object)
                    put(name, heading[name].comment, first, one.ids, known, texts_of, np.array("", object))
            if "region_id" in heading and len(known):
                values = np.asarray([acronyms.get(item or 0, "") for item in rows["region_id"].to_pylist()], object)
                put(
                    "location",
                    "Allen acronym of the structure that the unit is in",
                    first,
                    one.ids,
                    known,
                    values,
                    np.array("", object),
                )
        chosen = ephys_analysis.UnitSelection & one.key
        for row in chosen.to_dicts(order_by="KEY"):
            known = fetch_columns(ephys_analysis.UnitSelection.Unit & row, "cluster_id")["cluster_id"].to_numpy()
            name = f"passes_{row['unit_criteria']}_v{row['unit_criteria_version']}"
            text = f"meets the criteria {row['unit_criteria']}, version {row['unit_criteria_version']}"
            put(name, text, first, one.ids, known, np.ones(len(known), bool), False)
    made = []
    taken = {cell.partition(":")[2] for cell in builder.cells if cell.startswith(f"{table}:")}
    for name, values in columns.items():
        values = _binary(values)
        if (values.dtype.kind == "f" and np.isnan(values).all()) or (values.dtype == object and not any(values)):
            continue
        name = f"{name}_computed" if name in taken else name
        made.append(
            VectorData(name=name, description=texts.get(name, texts.get(name.removesuffix("_computed"))), data=values)
        )
    return made


def _binary(values: np.ndarray) -> np.ndarray:
    """Flags as bool where all are known."""
    if values.dtype.kind == "f" and values.size and np.isin(values, (0, 1)).all():
        return values.astype(bool)
    return values
