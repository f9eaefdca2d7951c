"""Sortings of several probes in one set of files, as Steinmetz et al. 2019 published theirs and phylib writes them.

`clusters.probes` says which probe each unit is of; each probe becomes a folder of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import atlas
from pipeline.alf.reader import load
from pipeline.analysis.coordinates import BREGMA_CCF
from pipeline.electrophysiology import measurement_units
from pipeline.errors import NeurojointError

ANNOTATIONS = {0: "noise", 1: "mua", 2: "good", 3: "unsorted"}
"""What the numbers of `clusters._phy_annotation` mean (Steinmetz et al. 2019)."""
_NAMES = {  # attributes under other names -> as ALF has them
    "channels.sitePositions": "channels.localCoordinates", "channels.rawRow": "channels.rawInd",
    "channels.probes": "channels.probe",
}  # fmt: skip


@dataclass
class OfProbe:
    """The sorting of one probe."""

    label: str
    arrays: dict[str, np.ndarray]
    numbers: np.ndarray  # of the units in the original files
    counts: np.ndarray  # spikes of each unit
    labels: dict[int, str]  # number -> label
    notes: list[str] = field(default_factory=list)


def is_such(folder: Path) -> bool:
    """Whether a folder holds spikes of several probes."""
    return bool(list(folder.glob("spikes.times*.npy"))) and bool(list(folder.glob("clusters.probes*.npy")))


def split(folder: Path) -> list[OfProbe]:
    """The sortings of all probes.

    Raises
    ------
    NeurojointError : a file cannot be read, or they do not fit each other.
    """
    files = _read(folder)
    for name in ("spikes.times", "spikes.clusters", "clusters.probes"):
        if name not in files:
            raise NeurojointError(f"{folder} has no {name}", "without it the spikes cannot be assigned to probes")
    probes, clusters = files["clusters.probes"].astype(np.int64), files["spikes.clusters"].astype(np.int64)
    if (
        len(clusters) != len(files["spikes.times"])
        or clusters.min(initial=0) < 0
        or clusters.max(initial=-1) >= len(probes)
    ):
        raise NeurojointError(
            f"{folder}: spikes.clusters does not name rows of clusters.probes", "copy the files again"
        )
    return [_of_probe(files, int(probe), np.flatnonzero(probes == probe), clusters) for probe in np.unique(probes)]


def _of_probe(files: dict[str, Any], probe: int, units: np.ndarray, clusters: np.ndarray) -> OfProbe:
    place = np.full(int(clusters.max(initial=0)) + len(units) + int(units.max()) + 1, -1)
    place[units] = np.arange(len(units))
    spikes = np.flatnonzero(place[clusters] >= 0)
    own = place[clusters[spikes]]
    arrays: dict[str, np.ndarray] = {
        "spikes.times": files["spikes.times"][spikes],
        "spikes.clusters": own.astype(np.int32),
    }
    notes = []
    for name in ("spikes.depths", "spikes.samples"):
        if name in files and len(files[name]) == len(clusters):
            arrays[name] = files[name][spikes]
    if "spikes.amps" in files and len(files["spikes.amps"]) == len(clusters):
        verdict = measurement_units.amplitudes(files["spikes.amps"])
        if verdict.wrong:
            notes.append(f"spikes.amps was left out: {verdict.wrong}")
        else:
            arrays["spikes.amps"] = files["spikes.amps"][spikes] * verdict.factor
    if "clusters.depths" in files:
        arrays["clusters.depths"] = files["clusters.depths"][units]
    arrays |= _channels(files, probe, units)
    numbers = files["clusters.originalIDs"][units].astype(np.int64) if "clusters.originalIDs" in files else units
    if len(np.unique(numbers)) < len(numbers):
        numbers = units
    labels = {}
    if "clusters._phy_annotation" in files:
        kinds = files["clusters._phy_annotation"][units].astype(int).tolist()
        labels = {
            number: ANNOTATIONS.get(kind, str(kind)) for number, kind in zip(numbers.tolist(), kinds, strict=True)
        }
    counts = np.bincount(own, minlength=len(units))
    return OfProbe(f"probe{probe:02d}", arrays, numbers, counts, labels, notes)


def _channels(files: dict[str, Any], probe: int, units: np.ndarray) -> dict[str, np.ndarray]:
    """The channels of a probe, with regions and places where a table of them is there, and those of its units."""
    if "channels.probe" not in files:
        return {}
    rows = np.flatnonzero(files["channels.probe"].astype(np.int64) == probe)
    made: dict[str, Any] = {
        name: files[name][rows] for name in ("channels.localCoordinates", "channels.rawInd") if name in files
    }
    table = files.get("channels.brainLocation")
    if table is not None and table.num_rows == len(files["channels.probe"]):
        made |= _locations({name: np.asarray(table[name].to_pylist(), object)[rows] for name in table.column_names})
    channels = _unit_channels(files, units, rows)
    return made if channels is None else made | {"clusters.channels": channels}


def _unit_channels(files: dict[str, Any], units: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
    """Row among the channels of the probe for each unit, else that of the nearest channel in depth.

    `clusters.peakChannel` and `clusters.channels` count from 1 or from 0, on the probe or over all probes: the depths
    of the units tell which; without depths, `peakChannel` counts from 1, as MATLAB does, and `channels` from 0.
    """
    places, depths = files.get("channels.localCoordinates"), files.get("clusters.depths")
    away: np.ndarray | None = None
    if places is not None and depths is not None and places.ndim == 2 and np.isfinite(depths[units]).all():
        away = np.abs(places[rows, 1][None] - depths[units][:, None])
    for name, usual in (("clusters.peakChannel", 1), ("clusters.channels", 0)):
        if name not in files:
            continue
        stated = files[name][units].astype(np.int64)
        ways = [stated - base - first for base in (usual, 1 - usual) for first in (0, int(rows[0]))]
        fits = [own for own in ways if own.min(initial=0) >= 0 and own.max(initial=-1) < len(rows)]
        if fits and away is not None:
            return min(fits, key=lambda own: float(np.median(away[np.arange(len(own)), own])))
        if fits:
            return fits[0]
    return None if away is None else away.argmin(axis=1)


def _locations(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Regions, and places in um from bregma, of a table with acronyms and coordinates in the Allen CCF."""
    made = {}
    if "allen_ontology" in table:
        known = atlas.regions().by_acronym
        ids = [known.get(str(acronym), 0) for acronym in table["allen_ontology"].tolist()]
        made["channels.brainLocationIds_ccf_2017"] = np.array(ids, np.int64)
    if {"ccf_ap", "ccf_dv", "ccf_lr"} <= table.keys():
        ml, ap, dv = BREGMA_CCF
        columns = (
            table["ccf_lr"].astype(float) - ml,
            ap - table["ccf_ap"].astype(float),
            dv - table["ccf_dv"].astype(float),
        )
        made["channels.mlapdv"] = np.column_stack(columns)
    return made


def _read(folder: Path) -> dict[str, Any]:
    """object.attribute -> array, or table; columns are one-dimensional."""
    arrays: dict[str, Any] = {}
    for path in sorted(folder.iterdir()):
        parts = path.name.split(".")
        if (
            len(parts) < 3
            or parts[0] not in ("spikes", "clusters", "channels")
            or parts[-1] not in ("npy", "tsv", "csv")
        ):
            continue
        name = f"{parts[0]}.{parts[1]}"
        values = load(path, path.name)
        if isinstance(values, np.ndarray) and values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        arrays[_NAMES.get(name, name)] = values
    return arrays
