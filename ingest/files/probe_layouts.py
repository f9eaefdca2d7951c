"""Where the electrodes of Neuropixels probes lie, by part number: the table that imec's probes are published in.

The table is Bill Karsh's ProbeTable (https://github.com/billkarsh/ProbeTable) as the package probeinterface ships it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from cbin.spikeglx import _PLAIN_NP1

PHASE_3A = "NP1000"
"""Probes of phase 3A have no part number; their electrodes lie as those of the 1.0."""


@dataclass(frozen=True)
class Layout:
    """How the electrodes of a kind of probe are arranged; electrodes are numbered along rows from the tip."""

    part_number: str
    n_shanks: int
    n_columns: int
    n_rows: int
    pitch: tuple[float, float]  # um, between columns and between rows
    left: tuple[float, float]  # um from the left edge of the shank to the first column, in even and in odd rows
    shank_pitch: float  # um
    n_readout: int  # channels that are acquired
    imro: str  # name of the form of its table of electrodes in the header

    def place(self, column: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lateral (from the left edge of the shank) and axial (from the lowest row) place, um."""
        column, row = np.asarray(column), np.asarray(row)
        left = np.where(row % 2 == 0, *self.left)
        return left + self.pitch[0] * column, self.pitch[1] * row.astype(np.float64)

    def place_of(self, electrode: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same for electrodes of a shank by their number.

        >>> [values.tolist() for values in layout("NP1000").place_of(np.array([0, 1, 2, 959]))]
        [[27.0, 59.0, 11.0, 43.0], [0.0, 0.0, 20.0, 9580.0]]
        """
        row, column = np.divmod(np.asarray(electrode), self.n_columns)
        return self.place(column, row)


@cache
def layout(part_number: str) -> Layout | None:
    """The layout of a probe with this part number; None where the table does not have it."""
    row = _table()["neuropixels_probes"].get(part_number)
    if row is None:
        return None
    side = "row_horz_offset_left_edge_to_leftmost_electrode_center_um"
    return Layout(
        part_number,
        int(row["num_shanks"]),
        int(row["cols_per_shank"]),
        int(row["rows_per_shank"]),
        (float(row["electrode_pitch_horz_um"]), float(row["electrode_pitch_vert_um"])),
        (float(row[f"even_{side}"]), float(row[f"odd_{side}"])),
        float(row["shank_pitch_um"]),
        int(row["num_readout_channels"]),
        row["imro_table_format_type"].removeprefix("imro_"),
    )


def part_numbers() -> list[str]:
    """All part numbers of the table."""
    return sorted(_table()["neuropixels_probes"])


def of_header(part_number: str, probe_type: int | None, is_3a: bool) -> Layout | None:
    """The layout that a SpikeGLX header means.

    A part number decides. Headers without one are as old as the first probe of their type, whose layout they mean; a
    part number that the table does not have is of a probe that is not known.

    >>> of_header("NP1015", 0, False).left, of_header("", 24, False).n_shanks, of_header("NP9999", 0, False)
    ((27.0, 27.0), 4, None)
    """
    if is_3a:
        return layout(PHASE_3A)
    if part_number:
        return layout(part_number)
    first = _table()["z_imro_format_type_to_part_number"].get(str(probe_type))
    return layout(first) if first else None


def model_of(part_number: str) -> str:
    """The kind of probe as headers of SpikeGLX call it: generation and shanks, else the part number.

    >>> model_of("NP1010"), model_of("NP2003"), model_of("NP2013"), model_of("NP1032")
    ('NP1', 'NP2.1', 'NP2.4', 'NP1032')
    """
    probe = layout(part_number)
    if part_number in _PLAIN_NP1:
        return "NP1"
    if probe is not None and part_number.startswith("NP20"):
        return f"NP2.{probe.n_shanks}"
    return part_number


def fields(imro: str) -> list[str]:
    """What the entries of a header's table of electrodes mean.

    >>> fields("np2010")
    ['channel', 'shank', 'bank', 'ref_id', 'electrode']
    """
    return _table()["z_imro_formats"][f"imro_{imro}_elm_flds"].strip("()").split()


@cache
def _table() -> dict[str, Any]:
    path = resources.files("probeinterface") / "resources" / "neuropixels_probe_features.json"
    return json.loads(path.read_text(encoding="utf-8"))
