"""Probes, electrodes, units and raw recordings of a session as NWB objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from hdmf.common import DynamicTableRegion, VectorData, VectorIndex
from pynwb.device import Device
from pynwb.ecephys import ElectrodeGroup, ElectrodesTable
from pynwb.misc import Units

from exchange.nwb import forms, rules
from exchange.nwb.containers import Builder, ragged, tidy
from exchange.nwb.source import AlfObject, Piece
from pipeline import atlas
from pipeline.analysis import spikes as grouping
from pipeline.analysis.coordinates import BREGMA_CCF
from pipeline.database.bulk import fetch_columns, json_column, to_numpy

_PLACES = ("x", "y", "z")


@dataclass
class Probe:
    """One insertion, and where its channels are in the electrodes table."""

    label: str
    group: ElectrodeGroup
    channels: AlfObject | None
    first: int = 0
    n_channels: int = 0


def add_all(builder: Builder, objects: list[AlfObject]) -> tuple[list[AlfObject], list[Probe]]:
    """Write probes, electrodes and units; returns the objects that are something else, and the probes."""
    probes = _probes(builder, objects)
    used = {id(probe.channels) for probe in probes if probe.channels is not None}
    _electrodes(builder, probes)
    sortings = _sortings(builder, objects)
    main = [one for one in sortings if one.is_main]
    if main:
        builder.nwbfile.units = _units(builder, "units", main, probes)
    for one in sortings:
        used |= {id(part) for part in (one.spikes, one.clusters) if part is not None}
        if not one.is_main:
            name = builder.free_name(f"units_{one.collection.removeprefix('alf/').replace('/', '_')}")
            builder.module("ecephys").add(_units(builder, name, [one], probes))
    return [one for one in objects if id(one) not in used], probes


def _probes(builder: Builder, objects: list[AlfObject]) -> list[Probe]:
    """A device and an electrode group for each insertion."""
    from pipeline.schemas import ephys, histology

    key = builder.source.key
    rows = (ephys.ProbeInsertion & key).to_dicts(order_by="probe_label")
    collections = _default_collections(key)
    found = []
    for row in rows:
        label = row["probe_label"]
        model = _model(row["probe_serial"])
        text = f"{model['probe_manufacturer'] or 'Probe'} {model['probe_description'] or model['probe_model']}".strip()
        device = Device(
            name=label, description=f"{text}, serial number {row['probe_serial']}." if row["probe_serial"] else text,
            manufacturer=model["probe_manufacturer"] or None, serial_number=row["probe_serial"],
        )  # fmt: skip
        builder.nwbfile.add_device(device)
        tracks = (histology.Trajectory & key & {"probe_label": label}).to_dicts()
        ranks = {one["provenance"]: one["provenance_rank"] for one in histology.Provenance.to_dicts()}
        track = max(tracks, key=lambda one: ranks[one["provenance"]], default=None)
        words = "" if track is None else (
            f" Track ({track['provenance']}): entry ML {track['entry_ml']:g}, AP {track['entry_ap']:g}, DV "
            f"{track['entry_dv']:g} um from bregma, {track['insertion_depth']:g} um deep, theta "
            f"{track['theta']:g} deg, phi {track['phi']:g} deg."
        )  # fmt: skip
        where = (histology.ChannelLocation.Region & key & {"probe_label": label}).to_dicts()
        names = dict(zip(*_tree(), strict=True))
        location = ", ".join(sorted(names.get(one["region_id"], "root") for one in where)) or "not known"
        group = ElectrodeGroup(
            name=f"{label}_electrodes", device=device, location=location,
            description=f"Channels of the probe {label} (insertion {row['pid']}).{words}",
        )  # fmt: skip
        builder.nwbfile.add_electrode_group(group)
        wanted = [collections.get(label), f"alf/{label}"]
        some = [one for one in objects if one.name == "channels" and one.collection in wanted]
        found.append(Probe(label, group, min(some, key=lambda one: wanted.index(one.collection), default=None)))
    return found


def _model(serial: str | None) -> dict[str, Any]:
    from pipeline.schemas import ephys

    empty = {"probe_model": "", "probe_manufacturer": "", "probe_description": ""}
    rows = (
        (ephys.ProbeModel & (ephys.Probe & {"probe_serial": serial}).proj("probe_model")).to_dicts() if serial else []
    )
    probe = (ephys.Probe & {"probe_serial": serial}).to_dicts() if serial else []
    if probe and probe[0]["probe_model"]:
        rows = (ephys.ProbeModel & {"probe_model": probe[0]["probe_model"]}).to_dicts()
    return rows[0] if rows else empty


def _tree() -> tuple[list[int], list[str]]:
    tree = atlas.regions()
    return tree.ids.tolist(), list(tree.acronyms)


def _default_collections(key: Mapping[str, Any]) -> dict[str, str]:
    from pipeline.schemas import ephys

    rows = (ephys.Clustering & key & {"default_clustering": True}).to_dicts()
    return {row["probe_label"]: row["clustering_collection"] for row in rows}


def _maps(key: Mapping[str, Any], label: str) -> dict[str, np.ndarray]:
    """Geometry from the header of the recording, by channel of the recording; empty without one."""
    from pipeline.schemas import ephys

    recordings = ephys.Recording & (ephys.Recording & {"probe_label": label}).proj() & _of_session(key)
    rows = fetch_columns(ephys.ChannelMap & recordings.proj())
    if not rows.num_rows:
        return {}
    return {name: np.asarray(json_column(rows, f"map_{name}")[0]) for name in ("channels", "lateral", "axial", "shank")}


def _of_session(key: Mapping[str, Any]) -> Any:
    from pipeline.schemas import data

    return (data.Dataset & key).proj()


def _electrodes(builder: Builder, probes: list[Probe]) -> None:
    """The electrodes table: one row a channel, probe after probe."""
    parts: list[dict[str, np.ndarray]] = []
    forms_of: list[tuple[Piece, list[str], Probe]] = []
    texts: dict[str, str] = {}
    first = 0
    for probe in probes:
        known = _maps(builder.source.key, probe.label)
        columns: dict[str, np.ndarray] = {}
        n_rows = probe.channels.n_rows if probe.channels else len(known.get("channels", ()))
        if not n_rows:
            continue
        probe.first, probe.n_channels = first, n_rows
        for piece in probe.channels.pieces if probe.channels else ():
            some = rules.ELECTRODES.get(piece.attribute) or (
                rules.column_of(rules.rule_of("channels"), "channels", piece.attribute, builder.source.described),
            )
            values = np.asarray(piece.values)
            if len(some) > 1 and (values.ndim != 2 or values.shape[1] != len(some)):
                some = (
                    rules.Column(rules.snake(piece.attribute), text=f"ALF attribute {piece.attribute} of channels."),
                )
            for index, column in enumerate(some):
                columns.setdefault(column.name, tidy(values[:, index] if len(some) > 1 else values))
                texts[column.name] = column.text
            forms_of.append((piece, [f"electrodes:{column.name}" for column in some], probe))
        columns = _geometry(columns, known, n_rows, texts) | _location(builder, probe, n_rows, columns, texts)
        columns["group_name"] = np.asarray([probe.group.name] * n_rows, object)
        columns["group"] = np.asarray([probe.group] * n_rows, object)
        columns["channel_name"] = np.asarray([f"{probe.label}_{row}" for row in range(n_rows)], object)
        parts.append(columns)
        first += n_rows
    if not parts:
        return
    merged = {
        name: _merged([part.get(name) for part in parts], [len(p["group"]) for p in parts]) for name in _names(parts)
    }
    texts |= {
        "group": "Probe of the electrode.", "group_name": "Name of the group.", "channel_name": "Probe and channel.",
        "location": "Allen acronym of the structure; root where it is not known.",
    }  # fmt: skip
    made = []
    for name, values in merged.items():
        if values.dtype.kind == "f" and np.isnan(values).all():
            for _, cells, _ in forms_of:
                if f"electrodes:{name}" in cells:
                    cells[cells.index(f"electrodes:{name}")] = None
            continue
        if name == "group":
            made.append(VectorData(name=name, description=texts[name], data=values.tolist()))
        else:
            made.append(builder.column("electrodes", name, texts[name], values))
    for piece, cells, probe in forms_of:
        builder.note_form(piece, cells, rows=[probe.first, probe.first + probe.n_channels])
    table = ElectrodesTable(columns=made, id=np.arange(first, dtype=np.int64))
    builder.nwbfile.electrodes = table


def _geometry(
    columns: dict[str, np.ndarray], known: Mapping[str, np.ndarray], n_rows: int, texts: dict[str, str]
) -> dict[str, np.ndarray]:
    """Add what the header of the recording says of each channel and the files do not."""
    if not known:
        return columns
    raw = np.asarray(columns.get("raw_channel", np.arange(n_rows)), dtype=np.int64)
    there = (raw >= 0) & (raw < len(known["channels"]))

    def of(name: str) -> np.ndarray:
        values = np.full(n_rows, np.nan)
        values[there] = known[name][raw[there]]
        return values

    for name, source in (("rel_x", "lateral"), ("rel_y", "axial")):
        if name not in columns:
            columns[name], texts[name] = of(source), rules.ELECTRODES["localCoordinates"][name == "rel_y"].text
    shanks = np.full(n_rows, -1, np.int16)
    shanks[there] = known["shank"][raw[there]]
    columns["shank"], texts["shank"] = shanks, "Shank of the probe, from 0; -1 where it is not known."
    return columns


def _location(
    builder: Builder, probe: Probe, n_rows: int, columns: Mapping[str, np.ndarray], texts: dict[str, str]
) -> dict[str, np.ndarray]:
    """Structure and place in the CCF of each channel, from the tables."""
    from pipeline.schemas import histology

    key = builder.source.key | {"probe_label": probe.label}
    rows = to_numpy(
        fetch_columns(
            histology.ChannelLocation.Channel & key, "channel", "region_id", "channel_ml", "channel_ap", "channel_dv"
        )
    )
    mouse = builder.nwbfile.subject is None or builder.nwbfile.subject.species in (None, "Mus musculus")
    names = np.asarray(["root" if mouse else "unknown"] * n_rows, object)
    found = {"location": names}
    if len(rows["channel"]):
        acronyms = dict(zip(*_tree(), strict=True))
        at = rows["channel"].astype(np.int64)
        keep = at < n_rows
        for row, region in zip(at[keep].tolist(), rows["region_id"][keep].tolist(), strict=True):
            names[row] = acronyms.get(int(region), names[row]) if region == region else names[row]
        origin = dict(zip(("ml", "ap", "dv"), BREGMA_CCF, strict=True))
        for name, axis, sign in (("x", "ap", -1), ("y", "dv", -1), ("z", "ml", 1)):
            values = np.full(n_rows, np.nan)
            values[at[keep]] = origin[axis] + sign * rows[f"channel_{axis}"][keep]
            found[name] = values
            texts[name] = {"x": "To the back (um).", "y": "Downwards (um).", "z": "To the right (um)."}[name]
    return found


def _names(parts: list[dict[str, np.ndarray]]) -> list[str]:
    order = ["location", "group", "group_name", *_PLACES]
    return order[:3] + [
        name for name in dict.fromkeys(name for part in parts for name in part) if name not in order[:3]
    ]


def _merged(parts: list[np.ndarray | None], lengths: list[int]) -> np.ndarray:
    """One column from those of several probes; where a probe lacks it: NaN, -1, or an empty text."""
    there = [part for part in parts if part is not None]
    if len(parts) == 1:
        return there[0]
    is_text = any(part.dtype == object for part in there)
    kind: Any = object if is_text else np.result_type(*there)
    if len(there) < len(parts) and not is_text and np.dtype(kind).kind not in "f":
        kind = np.result_type(kind, np.int8) if np.dtype(kind).kind != "u" else np.result_type(kind, np.int64)
    fill: Any = "" if is_text else np.nan if np.dtype(kind).kind == "f" else -1
    widest = tuple(max(part.shape[axis] for part in there) for axis in range(1, there[0].ndim))
    whole = np.full((sum(lengths), *widest), fill, dtype=kind)
    first = 0
    for part, length in zip(parts, lengths, strict=True):
        if part is not None:
            whole[(slice(first, first + length), *(slice(0, size) for size in part.shape[1:]))] = part
        first += length
    return whole


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
    order: np.ndarray  # (n_spikes,) position in the files of each spike, unit by unit
    counts: np.ndarray  # (n_units,) spikes of each unit


def _sortings(builder: Builder, objects: list[AlfObject]) -> list[Sorting]:
    from pipeline.schemas import ephys

    rows = (ephys.Clustering & builder.source.key & {"clustering_state": "online"}).to_dicts(order_by="clustering")
    parts = {(one.name, one.collection): one for one in objects}
    found = []
    for row in rows:
        collection = row["clustering_collection"]
        spikes, clusters = parts.get(("spikes", collection)), parts.get(("clusters", collection))
        if (
            spikes is None
            or not {"times", "clusters"} <= spikes.attributes
            or any(s.collection == collection for s in found)
        ):
            continue
        labels = np.asarray(spikes.get("clusters").values)
        if labels.dtype.kind not in "iu":
            builder.notes.append(f"{collection}: the clusters of its spikes are no whole numbers; kept as it is")
            continue
        ids = _ids(labels, clusters)
        order, counts = _grouped(labels, ids)
        key = {name: row[name] for name in ephys.Clustering.primary_key}
        main = bool(row["default_clustering"])
        found.append(Sorting(collection, row["probe_label"], key, main, spikes, clusters, ids, order, counts))
    return sorted(found, key=lambda one: one.label)


def _ids(labels: np.ndarray, clusters: AlfObject | None) -> np.ndarray:
    """The units: rows of the clusters object (see `electrophysiology.sorting`), then those that only have spikes."""
    used = np.unique(labels).astype(np.int64)
    if clusters is None:
        return used
    n_rows = clusters.n_rows
    rows, named = np.arange(n_rows), clusters.get("cluster_id")
    if named is not None and len(used) and used[-1] >= n_rows:
        ids = np.asarray(named.values).astype(np.int64)
        rows = ids if len(np.unique(ids)) == n_rows else rows
    return np.concatenate([rows, np.setdiff1d(used, rows)]).astype(np.int64)


def _grouped(labels: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order of the spikes unit by unit, and how many each unit has."""
    if np.array_equal(ids, np.sort(ids)):
        found = grouping.group(labels if labels.dtype.itemsize <= 8 else labels.astype(np.int64), ids)
        return found.order, np.diff(found.offsets)
    by_id = np.argsort(ids, kind="stable")
    rows = by_id[np.searchsorted(ids, labels, sorter=by_id)].astype(np.int32)
    found = grouping.group(rows, np.arange(len(ids)))
    return found.order, np.diff(found.offsets)


def _units(builder: Builder, table: str, sortings: list[Sorting], probes: list[Probe]) -> Units:
    """A units table; everything in it is a whole column, never one unit after the other."""
    n_units = [len(one.ids) for one in sortings]
    firsts = np.concatenate([[0], np.cumsum(n_units)]).astype(int)
    ends = np.cumsum(np.concatenate([one.counts for one in sortings]))
    columns: list[Any] = _spike_columns(builder, table, sortings, firsts, ends)
    columns += _cluster_columns(builder, table, sortings, firsts)
    columns.append(
        builder.column(table, "cluster_id", "Number that the sorter gives.", np.concatenate([s.ids for s in sortings]))
    )
    labels = np.repeat([one.label for one in sortings], n_units).astype(object)
    columns.append(builder.column(table, "probe_name", "Probe that recorded the unit.", labels))
    groups = {probe.label: probe.group for probe in probes}
    columns.append(VectorData(name="electrode_group", description="Probe.", data=[groups[one] for one in labels]))
    columns += _regions(builder, sortings, probes)
    columns += _computed(builder, table, sortings)
    rate, waveforms = _rate(sortings), any(c.name == "waveform_mean" for c in columns)
    more = {"waveform_rate": rate, "waveform_unit": "volts"} if waveforms else {}
    sorters = ", ".join(sorted({one.collection.removeprefix("alf/") for one in sortings}))
    return Units(
        name=table, description=f"Units from {sorters}.", columns=columns, id=np.arange(firsts[-1], dtype=np.int64),
        electrode_table=builder.nwbfile.electrodes, resolution=1 / rate, **more,
    )  # fmt: skip


def _rate(sortings: list[Sorting]) -> float:
    """Samples a second, from the samples and times of the spikes; 30 kHz where samples are not given."""
    for one in sortings:
        samples, times = one.spikes.get("samples"), one.spikes.get("times")
        if samples is not None and len(samples.values) > 1:
            ends = [np.asarray(piece.values[[0, -1]], float) for piece in (samples, times)]
            if np.diff(ends[0])[0] > 0 and np.diff(ends[1])[0] > 0:
                return float(np.round(np.diff(ends[0])[0] / np.diff(ends[1])[0], 3))
    return 30000.0


def _spike_columns(
    builder: Builder, table: str, sortings: list[Sorting], firsts: np.ndarray, ends: np.ndarray
) -> list[VectorIndex | VectorData]:
    """The ragged columns: one value a spike, unit by unit."""
    attributes = list(dict.fromkeys(piece.attribute for one in sortings for piece in one.spikes.pieces))
    attributes.sort(key=lambda name: name != "times")
    found: list[VectorIndex | VectorData] = []
    for attribute in attributes:
        if attribute == "clusters":
            continue
        column = rules.UNITS.get(f"spikes.{attribute}") or rules.Column(
            f"spike_{rules.snake(attribute)}",
            "",
            rules.column_of(rules.Rule("", ""), "spikes", attribute, builder.source.described).text,
        )
        pieces = [one.spikes.get(attribute) for one in sortings]
        parts = [
            None if p is None else np.asarray(p.values)[one.order] for p, one in zip(pieces, sortings, strict=True)
        ]
        if any(part is not None and (part.ndim != 1 or part.dtype.kind not in "biuf") for part in parts):
            continue
        values = _merged(parts, [len(one.order) for one in sortings])
        if values.dtype.kind == "f" and values.size and np.isnan(values).all():
            continue
        builder.cells[f"{table}:{column.name}"] = values
        found += ragged(column.name, column.text, values, ends, builder.wrap)
        for piece, first, last in zip(pieces, firsts[:-1], firsts[1:], strict=True):
            if piece is not None:
                builder.note_form(piece, [f"{table}:{column.name}"], spikes=table, rows=[int(first), int(last)])
    rows_needed = [one for one in sortings if not _in_order_of_time(one)]
    if rows_needed:
        values = np.concatenate([one.order.astype(np.int32) for one in sortings])
        builder.cells[f"{table}:spike_row"] = values
        found += ragged("spike_row", "Row of each spike in the file of the sorter.", values, ends, builder.wrap)
    builder.cells[f"{table}:spike_times_index"] = ends
    for one, first, last in zip(sortings, firsts[:-1], firsts[1:], strict=True):
        piece = one.spikes.get("clusters")
        builder.note_form(piece, [f"{table}:cluster_id"], spikes=table, rows=[int(first), int(last)])
    return found


def _in_order_of_time(one: Sorting) -> bool:
    """Whether the order of the files follows from the times: earlier first, then by row of the unit."""
    times = np.asarray(one.spikes.get("times").values)
    if not len(times):
        return True
    steps = np.diff(times)
    if not (steps >= 0).all():
        return False
    ties = np.flatnonzero(steps == 0)
    labels = np.asarray(one.spikes.get("clusters").values)
    by_id = np.argsort(one.ids, kind="stable")
    before, after = (by_id[np.searchsorted(one.ids, labels[ties + n], sorter=by_id)] for n in (0, 1))
    return bool((before <= after).all())


def _cluster_columns(builder: Builder, table: str, sortings: list[Sorting], firsts: np.ndarray) -> list[VectorData]:
    """One value (or array) a unit, from the clusters objects."""
    attributes = dict.fromkeys(piece.attribute for one in sortings if one.clusters for piece in one.clusters.pieces)
    found: dict[str, VectorData] = {}
    for attribute in attributes:
        column = rules.UNITS.get(f"clusters.{attribute}") or rules.column_of(
            rules.Rule("", ""), "clusters", attribute, builder.source.described
        )
        name = column.name if column.name not in {"cluster_id", "id"} else "metrics_cluster_id"
        pieces = [one.clusters.get(attribute) if one.clusters else None for one in sortings]
        known = [p for p in pieces if p is not None]
        if (
            name in found
            or len({p.values.ndim for p in known}) > 1
            or len({p.values.dtype == object for p in known}) > 1
        ):
            continue
        if name == "waveform_mean" and known[0].values.ndim not in (2, 3):
            name = "waveforms_of_cluster"
        parts = [_padded(p, len(one.ids)) for p, one in zip(pieces, sortings, strict=True)]
        values = _merged(parts, [len(one.ids) for one in sortings])
        if values.dtype.kind == "f" and np.isnan(values).all():
            for piece in known:
                builder.note_form(piece, [None])
            continue
        found[name] = builder.column(table, name, column.text, values)
        for piece, first, last in zip(pieces, firsts[:-1], firsts[1:], strict=True):
            if piece is not None:
                builder.note_form(piece, [f"{table}:{name}"], rows=[int(first), int(last)])
    return list(found.values())


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
    for one in sortings:
        probe, piece = of_label[one.label], one.clusters.get("channels") if one.clusters else None
        channels = np.full(len(one.ids), -1, np.int64)
        if piece is not None and piece.values.ndim == 1:
            channels[: len(piece.values)] = np.nan_to_num(np.asarray(piece.values, float), nan=-1).astype(np.int64)
        good = (channels >= 0) & (channels < probe.n_channels)
        rows.append(probe.first + channels[good])
        counts.append(good.astype(np.int64))
    if not sum(len(one) for one in rows):
        return []
    region = DynamicTableRegion(
        name="electrodes", description="Electrode with the largest amplitude.", data=np.concatenate(rows),
        table=builder.nwbfile.electrodes,
    )  # fmt: skip
    ends = np.cumsum(np.concatenate(counts)).astype(np.uint64)
    return [VectorIndex(name="electrodes_index", target=region, data=ends), region]


def _computed(builder: Builder, table: str, sortings: list[Sorting]) -> list[VectorData]:
    """What the tables say of the units: metrics, criteria, places. It follows the headings, and is not read back."""
    from pipeline.schemas import ephys, ephys_analysis, histology

    n_units = [len(one.ids) for one in sortings]
    firsts = np.concatenate([[0], np.cumsum(n_units)]).astype(int)
    found: dict[str, np.ndarray] = {}
    texts: dict[str, str] = {}

    def put(name: str, text: str, first: int, ids: np.ndarray, known: np.ndarray, values: Any, empty: Any) -> None:
        order = np.argsort(ids)
        at = np.searchsorted(ids, known, sorter=order).clip(max=max(len(ids) - 1, 0))
        rows = order[at]
        good = ids[rows] == known
        column = found.setdefault(name, np.full(firsts[-1], empty))
        column[first + rows[good]] = np.asarray(values)[good]
        texts[name] = f"{text[:1].upper()}{text[1:].rstrip('.')}."

    sources = ((ephys.ClusterSet.Cluster, ("sorter_label",)), (ephys_analysis.UnitMetrics.Unit, None),
               (histology.ClusterLocation.Cluster, None))  # fmt: skip
    acronyms = dict(zip(*_tree(), strict=True))
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
                values = np.asarray([acronyms.get(one or 0, "") for one in rows["region_id"].to_pylist()], object)
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
        for row in chosen.to_dicts():
            known = fetch_columns(ephys_analysis.UnitSelection.Unit & row, "cluster_id")["cluster_id"].to_numpy()
            name = f"passes_{row['unit_criteria']}_v{row['unit_criteria_version']}"
            text = f"meets the criteria {row['unit_criteria']}, version {row['unit_criteria_version']}"
            put(name, text, first, one.ids, known, np.ones(len(known), bool), False)
    made = []
    taken = {cell.partition(":")[2] for cell in builder.cells if cell.startswith(f"{table}:")}
    for name, values in found.items():
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


def note_copies(builder: Builder) -> None:
    """Files of which no object was made are kept as bytes, if they may be."""
    for file in builder.source.files:
        builder.forms.setdefault(file.rel_path, forms.Form("copy"))
