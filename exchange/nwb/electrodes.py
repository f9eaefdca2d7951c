"""Probes and the electrodes table of a session as NWB objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from hdmf.common import VectorData
from pynwb.device import Device
from pynwb.ecephys import ElectrodeGroup, ElectrodesTable

from exchange.nwb import rules
from exchange.nwb.containers import Builder, merged, tidy
from exchange.nwb.source import AlfObject, Piece
from pipeline import atlas
from pipeline.analysis.coordinates import BREGMA_CCF
from pipeline.database.bulk import fetch_columns, json_column, to_numpy
from pipeline.schemas import data, ephys, histology

_PLACES = ("x", "y", "z")


@dataclass
class Probe:
    """One insertion, and where its channels are in the electrodes table."""

    label: str
    group: ElectrodeGroup
    channels: AlfObject | None
    first: int = 0
    n_channels: int = 0


def add_probes(builder: Builder, objects: list[AlfObject]) -> list[Probe]:
    """A device and an electrode group for each insertion."""
    key = builder.source.key
    rows = (ephys.ProbeInsertion & key).to_dicts(order_by="probe_label")
    collections = _default_collections(key)
    probes = []
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
        ranks = {item["provenance"]: item["provenance_rank"] for item in histology.Provenance.to_dicts()}
        track = max(tracks, key=lambda one: ranks[one["provenance"]], default=None)
        words = "" if track is None else (
            f" Track ({track['provenance']}): entry ML {track['entry_ml']:g}, AP {track['entry_ap']:g}, DV "
            f"{track['entry_dv']:g} um from bregma, {track['insertion_depth']:g} um deep, theta "
            f"{track['theta']:g} deg, phi {track['phi']:g} deg."
        )  # fmt: skip
        where = (histology.ChannelLocation.Region & key & {"probe_label": label}).to_dicts()
        names = acronyms_of_regions()
        location = ", ".join(sorted(names.get(place["region_id"], "root") for place in where)) or "not known"
        group = ElectrodeGroup(
            name=f"{label}_electrodes", device=device, location=location,
            description=f"Channels of the probe {label} (insertion {row['pid']}).{words}",
        )  # fmt: skip
        builder.nwbfile.add_electrode_group(group)
        wanted = [collections.get(label), f"alf/{label}"]
        some = [object_ for object_ in objects if object_.name == "channels" and object_.collection in wanted]
        probes.append(Probe(label, group, min(some, key=lambda one: wanted.index(one.collection), default=None)))
    return probes


def _model(serial: str | None) -> dict[str, Any]:
    empty = {"probe_model": "", "probe_manufacturer": "", "probe_description": ""}
    rows = (
        (ephys.ProbeModel & (ephys.Probe & {"probe_serial": serial}).proj("probe_model")).to_dicts() if serial else []
    )
    probe = (ephys.Probe & {"probe_serial": serial}).to_dicts() if serial else []
    if probe and probe[0]["probe_model"]:
        rows = (ephys.ProbeModel & {"probe_model": probe[0]["probe_model"]}).to_dicts()
    return rows[0] if rows else empty


def acronyms_of_regions() -> dict[int, str]:
    """Allen identifier -> acronym."""
    tree = atlas.regions()
    return dict(zip(tree.ids.tolist(), tree.acronyms, strict=True))


def _default_collections(key: Mapping[str, Any]) -> dict[str, str]:
    rows = (ephys.Clustering & key & {"default_clustering": True}).to_dicts()
    return {row["probe_label"]: row["clustering_collection"] for row in rows}


def _maps(key: Mapping[str, Any], label: str) -> dict[str, np.ndarray]:
    """Geometry from the header of the recording, by channel of the recording; empty without one."""
    recordings = ephys.Recording & (ephys.Recording & {"probe_label": label}).proj() & _of_session(key)
    rows = fetch_columns(ephys.ChannelMap & recordings.proj())
    if not rows.num_rows:
        return {}
    return {name: np.asarray(json_column(rows, f"map_{name}")[0]) for name in ("channels", "lateral", "axial", "shank")}


def _of_session(key: Mapping[str, Any]) -> Any:
    return (data.Dataset & key).proj()


def add_table(builder: Builder, probes: list[Probe]) -> None:
    """The electrodes table: one row a channel, probe after probe."""
    parts: list[dict[str, np.ndarray]] = []
    forms_of: list[tuple[Piece, list[str | None], Probe]] = []
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
    whole = {
        name: merged([part.get(name) for part in parts], [len(p["group"]) for p in parts]) for name in _names(parts)
    }
    texts |= {
        "group": "Probe of the electrode.", "group_name": "Name of the group.", "channel_name": "Probe and channel.",
        "location": "Allen acronym of the structure; root where it is not known.",
    }  # fmt: skip
    made = []
    for name, values in whole.items():
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
    key = builder.source.key | {"probe_label": probe.label}
    rows = to_numpy(
        fetch_columns(
            histology.ChannelLocation.Channel & key, "channel", "region_id", "channel_ml", "channel_ap", "channel_dv"
        )
    )
    mouse = builder.nwbfile.subject is None or builder.nwbfile.subject.species in (None, "Mus musculus")
    names = np.asarray(["root" if mouse else "unknown"] * n_rows, object)
    location = {"location": names}
    if len(rows["channel"]):
        acronyms = acronyms_of_regions()
        at = rows["channel"].astype(np.int64)
        keep = at < n_rows
        for row, region in zip(at[keep].tolist(), rows["region_id"][keep].tolist(), strict=True):
            names[row] = acronyms.get(int(region), names[row]) if region == region else names[row]
        origin = dict(zip(("ml", "ap", "dv"), BREGMA_CCF, strict=True))
        for name, axis, sign in (("x", "ap", -1), ("y", "dv", -1), ("z", "ml", 1)):
            values = np.full(n_rows, np.nan)
            values[at[keep]] = origin[axis] + sign * rows[f"channel_{axis}"][keep]
            location[name] = values
            texts[name] = {"x": "To the back (um).", "y": "Downwards (um).", "z": "To the right (um)."}[name]
    return location


def _names(parts: list[dict[str, np.ndarray]]) -> list[str]:
    order = ["location", "group", "group_name", *_PLACES]
    return order[:3] + [
        name for name in dict.fromkeys(name for part in parts for name in part) if name not in order[:3]
    ]
