"""Where the channels of a recording lie on the probe, from its SpikeGLX header."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cbin.spikeglx import Meta

_ENTRY = re.compile(r"\((\d{1,3}):(-?\d{1,6}(?:\.\d{1,6})?):(-?\d{1,6}(?:\.\d{1,6})?):[01]\)")


@dataclass(frozen=True)
class ChannelMap:
    """One value for each column of the file that holds samples, in its order."""

    channels: list[int]  # as acquired
    lateral: list[float]  # um across the shank
    axial: list[float]  # um from the tip along the shank
    shank: list[int]  # from 0
    volts_per_bit: list[float]  # V


@dataclass(frozen=True)
class _Layout:
    """How the sites of a kind of probe are arranged."""

    left: tuple[float, float]  # um, of the first column in even and in odd rows
    column: float  # um between columns
    row: float  # um between rows


_NP1 = _Layout((27.0, 11.0), 32.0, 20.0)
_NP2 = _Layout((27.0, 27.0), 32.0, 15.0)
_LAYOUTS: Mapping[str | None, _Layout] = {"3A": _NP1, "NP1": _NP1, "NP2.1": _NP2, "NP2.4": _NP2}


def read(meta: Meta) -> ChannelMap | None:
    """The channel map of a header; None where it has none, or of a probe whose sites are not known.

    `~snsGeomMap` gives places in um; older headers have `~snsShankMap`, whose columns and rows become um by the layout
    of the probe (SpikeGLX, Metadata guide): 1.0 has rows every 20 um, staggered, 2.0 every 15 um.
    """
    columns = [i for i, kind in enumerate(meta.channel_kinds) if kind in ("AP", "LF")]
    text = meta.fields.get("snsGeomMap") or meta.fields.get("snsShankMap") or ""
    entries = [tuple(map(float, one)) for one in _ENTRY.findall(text)]
    layout = _LAYOUTS.get(meta.probe_name)
    if not columns or len(entries) != len(columns) or ("snsGeomMap" not in meta.fields and layout is None):
        return None
    if "snsGeomMap" in meta.fields:
        places = [(x, z) for _, x, z in entries]
    else:
        places = [(layout.left[int(row) % 2] + layout.column * column, layout.row * row) for _, column, row in entries]
    return ChannelMap(
        [int(meta.channel_ids[i]) for i in columns],
        [x for x, _ in places],
        [z for _, z in places],
        [int(shank) for shank, _, _ in entries],
        [float(meta.volts_per_bit[i]) for i in columns],
    )
