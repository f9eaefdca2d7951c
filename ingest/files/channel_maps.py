"""Where the channels of a recording lie on the probe: from its SpikeGLX header, or from a probe file beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from cbin import CbinError
from cbin.spikeglx import read_meta

from ingest.files import probe_layouts
from ingest.files.probe_layouts import Layout
from pipeline.alf.reader import load
from pipeline.errors import InvalidData

if TYPE_CHECKING:
    from cbin.spikeglx import Meta

    from pipeline.electrophysiology.raw_formats.description import Description

_ENTRY = re.compile(r"\((\d{1,3}):(-?\d{1,6}(?:\.\d{1,6})?):(-?\d{1,6}(?:\.\d{1,6})?):[01]\)")
_GROUP = re.compile(r"\(([^()]*)\)")
_RANGE = re.compile(r"\s*(\d{1,6})(?::(\d{1,6}))?\s*")


@dataclass(frozen=True)
class ChannelMap:
    """One value for each column of the file that holds samples, in its order."""

    channels: list[int]  # as acquired
    lateral: list[float]  # um across the shank
    axial: list[float]  # um from the lowest row of electrodes along the shank
    shank: list[int]  # from 0
    volts_per_bit: list[float]  # V


class _Sites(NamedTuple):
    """The electrodes of some acquired channels; arrays (n,)."""

    channels: np.ndarray
    shank: np.ndarray
    lateral: np.ndarray
    axial: np.ndarray


def read(meta: Meta, ap: Meta | None = None) -> ChannelMap | None:
    """The channel map of a header; None where it has none, or of a probe whose electrodes are not known.

    `~snsGeomMap` gives places in um. `~snsShankMap` gives columns and rows, `~imroTbl` banks or electrodes; both become
    um by the layout of the probe's part number (`probe_layouts`). The maps have an entry for each saved or for each
    acquired channel; a file that was split by shanks says in `snsSaveChanSubset_orig` which of them it holds.

    Parameters
    ----------
    ap : header of the AP recording of the same probe; an LF recording has the electrodes of the AP channels.
    """
    columns = [i for i, kind in enumerate(meta.channel_kinds) if kind in ("AP", "LF")]
    if not columns or meta.kind != "imec":
        return None
    saved = _acquired(meta)[columns]
    n_ap = _n_acquired_ap(meta)
    wanted = np.where(np.array([meta.channel_kinds[i] == "LF" for i in columns]), saved - n_ap, saved)
    for header in (meta, ap):
        sites = None if header is None else _sites(header)
        if sites is None:
            continue
        order = np.argsort(sites.channels)
        at = np.searchsorted(sites.channels, wanted, sorter=order).clip(0, len(order) - 1)
        rows = order[at]
        if np.array_equal(sites.channels[rows], wanted):
            return ChannelMap(
                saved.tolist(),
                sites.lateral[rows].tolist(),
                sites.axial[rows].tolist(),
                sites.shank[rows].tolist(),
                [float(meta.volts_per_bit[i]) for i in columns],
            )
    return None


def beside(path: Path, meta: Meta) -> ChannelMap | None:
    """The channel map of a recording, with what lies beside it: the header of the AP recording, or a probe file."""
    ap = None
    if "LF" in meta.channel_kinds and ".lf." in path.name:
        ap = _read_meta(path.with_name(path.name.replace(".lf.", ".ap.")))
    return read(meta, ap) or from_probe_file(path, meta)


def from_probe_file(path: Path, meta: Meta) -> ChannelMap | None:
    """The channel map by `<name>.probe.json`, or the only `*.probe.json` in the folder, as probeinterface writes it.

    Contacts are the columns of the file by their `device_channel_indices`; every column with samples needs one.
    """
    columns = [i for i, kind in enumerate(meta.channel_kinds) if kind not in ("SY", "DW")]
    return _by_probe_file(path, columns, _acquired(meta)[columns].tolist(), meta.volts_per_bit)


def of_description(path: Path, told: Description) -> ChannelMap | None:
    """The channel map of a recording of another system than SpikeGLX; a probe file beside it goes first.

    The electrodes of Neuropixels are counted over all shanks.
    """
    columns = told.neural.tolist()
    if channel_map := _by_probe_file(path, columns, columns, told.volts_per_bit):
        return channel_map
    gains = [float(told.volts_per_bit[i]) for i in columns]
    layout = probe_layouts.layout(told.part_number) if told.part_number else None
    if layout is not None and told.electrodes is not None:
        shank, electrode = np.divmod(told.electrodes, layout.n_columns * layout.n_rows)
        if shank.min() >= 0 and shank.max() < layout.n_shanks:
            across, along = layout.place_of(electrode)
            return ChannelMap(columns, across.tolist(), along.tolist(), shank.tolist(), gains)
    if told.places is not None and len(told.places) == len(columns):
        lateral, axial, shanks = (list(values) for values in zip(*told.places, strict=True))
        return ChannelMap(columns, lateral, axial, shanks, gains)
    return None


def _by_probe_file(
    path: Path, columns: list[int], acquired: list[int], gains: Sequence[float] | np.ndarray
) -> ChannelMap | None:
    file = probe_file(path)
    places = None if file is None else contacts(file)
    if places is None or not set(columns) <= places.keys():
        return None
    sites = [places[column] for column in columns]
    return ChannelMap(
        acquired,
        [x for _, x, _ in sites],
        [y for _, _, y in sites],
        [shank for shank, _, _ in sites],
        [float(gains[i]) for i in columns],
    )


def probe_file(path: Path) -> Path | None:
    """The probe file of a recording."""
    named = path.with_name(f"{re.sub(r'[.](c?bin|meta|dat|rh[ds]|ns[1-6]|plx|rec|nwb|h5)$', '', path.name)}.probe.json")
    files = [named] if named.is_file() else sorted(path.parent.glob("*.probe.json"))
    return files[0] if len(files) == 1 else None


def contacts(path: Path) -> dict[int, tuple[int, float, float]] | None:
    """Column of the recording -> shank, lateral and axial place (um), from a probe file of probeinterface."""
    try:
        content = load(path, path.name)
    except InvalidData:
        return None
    sites: dict[int, tuple[int, float, float]] = {}
    shanks: dict[str, int] = {}
    probes = content.get("probes") if isinstance(content, dict) else None
    for probe in probes if isinstance(probes, list) else ():
        try:
            sites |= _contacts_of(probe, shanks)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
            return None
    return sites or None


def _contacts_of(probe: dict[str, Any], shanks: dict[str, int]) -> dict[int, tuple[int, float, float]]:
    factor = {"um": 1.0, "mm": 1e3, "m": 1e6}[probe["si_units"]]
    places = factor * np.asarray(probe["contact_positions"], np.float64)
    if not np.isfinite(places).all():
        raise ValueError("a place is not a finite number")
    names = probe.get("shank_ids") or [""] * len(places)
    columns = probe.get("device_channel_indices") or range(len(places))
    return {
        int(column): (shanks.setdefault(str(shank), len(shanks)), float(x), float(y))
        for column, shank, (x, y) in zip(columns, names, places[:, :2], strict=True)
        if int(column) >= 0
    }


def _sites(meta: Meta) -> _Sites | None:
    """The electrodes of the acquired AP channels that a header tells."""
    layout = probe_layouts.of_header(
        meta.fields.get("imDatPrb_pn", "").strip(), meta.probe_type, "imProbeOpt" in meta.fields
    )
    for name in ("snsGeomMap", "snsShankMap"):
        entries = np.array([tuple(map(float, item)) for item in _ENTRY.findall(meta.fields.get(name, ""))]).reshape(
            -1, 3
        )
        channels = _channels_of_entries(meta, len(entries))
        if channels is None or (name == "snsShankMap" and layout is None):
            continue
        shank, first, second = entries.T
        if name == "snsShankMap" and layout is not None:
            first, second = layout.place(first.astype(int), second.astype(int))
        return _Sites(channels, shank.astype(int), first, second)
    return None if layout is None else _of_imro(meta, layout)


def _channels_of_entries(meta: Meta, n: int) -> np.ndarray | None:
    """Acquired AP channel of each of the `n` entries of a map; None where that cannot be told."""
    kinds = np.array(meta.channel_kinds)
    acquired, n_ap = _acquired(meta), _n_acquired_ap(meta)
    for kind, offset in (("AP", 0), ("LF", n_ap)):
        if n and n == int((kinds == kind).sum()) and not meta.fields.get("snsSaveChanSubset_orig"):
            return acquired[kinds == kind] - offset
    return np.arange(n) if n and n >= n_ap else None


def _of_imro(meta: Meta, layout: Layout) -> _Sites | None:
    """The electrodes by the table of what the probe was told to record."""
    header, *entries = [item.replace(",", " ").split() for item in _GROUP.findall(meta.fields.get("imroTbl", ""))] or [
        []
    ]
    names = probe_layouts.fields(layout.imro)
    if not entries or any(len(entry) < (3 if layout.imro == "np1110" else 2) for entry in entries):
        return None
    try:
        table = {
            name: np.array([int(entry[i]) for entry in entries]) for i, name in enumerate(names[: len(entries[0])])
        }
        if layout.imro == "np1110":
            channels, electrodes = np.arange(layout.n_readout), _of_groups(table, int(header[1]))
        else:
            channels = table["channel"]
            if len(np.unique(channels)) < len(channels):  # of several shanks that are numbered apart
                channels = np.arange(len(channels))
            electrodes = table["electrode"] if "electrode" in table else 384 * table["bank"] + table["channel"]
    except (ValueError, IndexError, KeyError):
        return None
    if len(electrodes) != len(channels) or electrodes.max() >= layout.n_columns * layout.n_rows:
        return None
    shank = table.get("shank", np.zeros(len(channels), int))
    return _Sites(channels, shank, *layout.place_of(electrodes))


def _of_groups(table: dict[str, np.ndarray], column_mode: int) -> np.ndarray:
    """Electrodes of the 384 channels of an NP1110, of which 16 at a time are switched (SpikeGLX, IMROTbl_T1110).

    Even and odd channels belong to different groups; the lowest bit of the bank changes which two columns a group has,
    its third bit exchanges them. In the modes "inner" (0) and "outer" (1) half of the columns come from each bank.
    """
    channel = np.arange(384)
    odd, within = channel % 2, channel % 32
    group = 2 * (channel // 32) + odd
    pairs = np.array([[0, 3, 1, 2], [1, 2, 0, 3]])

    def column(bank: np.ndarray) -> np.ndarray:
        right = (within // 2 % 2) ^ (bank // 4 % 2) ^ odd
        return 2 * pairs[bank % 2, group % 4] + right

    bank = table["bankA"][group]
    if column_mode != 2:  # not all columns
        at = column(bank)
        is_outer = (at % 2 == 0) == (at <= 3)
        bank = np.where(is_outer == (column_mode == 1), bank, table["bankB"][group])
    row = within // 4
    row = 48 * bank + 8 * (group // 4) + np.where(odd == 1, 7 - row, row)
    return 8 * row + column(bank)


def _n_acquired_ap(meta: Meta) -> int:
    """How many AP channels the probe has; where the header does not say, as many as are saved."""
    try:
        stated = int(meta.fields.get("acqApLfSy", "").split(",")[0])
    except ValueError:
        stated = 0
    return max(stated, meta.channel_kinds.count("AP"))


def _acquired(meta: Meta) -> np.ndarray:
    """Number of each saved channel at the acquisition, also of a file that was split afterwards."""
    ids: list[int] = []
    for part in meta.fields.get("snsSaveChanSubset_orig", "").split(","):
        if not (match := _RANGE.fullmatch(part)) or int(match[2] or match[1]) - int(match[1]) > meta.n_channels:
            return meta.channel_ids
        ids += range(int(match[1]), int(match[2] or match[1]) + 1)
    return np.array(ids, np.int64) if len(ids) == meta.n_channels else meta.channel_ids


def _read_meta(path: Path) -> Meta | None:
    try:
        return read_meta(path)
    except CbinError:
        return None
