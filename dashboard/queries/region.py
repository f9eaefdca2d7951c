"""Brain regions: the part of the atlas in which there are units, with counts; insertions and units of one region."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import atlas
from pipeline.database.bulk import fetch_columns
from pipeline.errors import NeurojointError
from pipeline.queries import search
from pipeline.schemas import ephys, ephys_analysis, histology

ROOT = "root"
UNITS_SHOWN = 5000
_INSERTION = ("lab", "subject", "session_date", "session_number", "probe_label")


@dataclass
class Region:
    """One structure of the atlas with what was recorded within it, and the counts of the structures below and above.

    Attributes
    ----------
    acronym, name, color : of the structure
    path : (acronym, name) of those that it is part of, from the root
    tree : a row for each structure within it (itself first, in the order of the atlas) in which there is anything:
        acronym, region_name, region_color, region_depth, n_units, n_selected, n_insertions, all with what is within it,
        and own_units, its own
    insertions : rows of those that reach it: the key, pid, n_channels, n_units, n_selected
    units : columns of its units, at most `UNITS_SHOWN`, those that pass first
    n_units, n_selected : how many there are
    """

    acronym: str
    name: str
    color: str
    path: list[tuple[str, str]] = field(default_factory=list)
    tree: list[dict[str, Any]] = field(default_factory=list)
    insertions: list[dict[str, Any]] = field(default_factory=list)
    units: pa.Table = field(default_factory=lambda: pa.table({}))
    n_units: int = 0
    n_selected: int = 0


Mice = Collection[tuple[str, str]]
"""Lab and name of each."""


def region(acronym: str, criteria: str = search.DEFAULT_CRITERIA, barred: Mice = ()) -> Region | None:
    """A structure by its acronym (upper and lower case differ); None where the atlas has none.

    Parameters
    ----------
    criteria : by which units are selected.
    barred : mice of which nothing is told, nor counted.
    """
    regions = atlas.regions()
    try:
        place = regions.acronyms.index(acronym)
    except ValueError:
        return None
    ids = np.asarray(regions.ids)
    made = Region(acronym, regions.names[place], regions.colors[place])
    at = {int(one): number for number, one in enumerate(ids)}
    above = _above(regions, at, place)
    made.path = [(regions.acronyms[item], regions.names[item]) for item in above[:-1]]
    units = search.find_units(acronym if acronym != ROOT else None)
    units = _without(units.filter(pc.is_valid(units["region_id"])), barred)
    selected = _selected(units, criteria)
    made.n_units, made.n_selected = units.num_rows, int(selected.sum())
    made.tree = _tree(regions, at, units, selected, int(ids[place]))
    reached = _without(search.find_insertions(acronym if acronym != ROOT else None), barred)
    made.insertions = _insertions(reached, units, selected)
    order = np.argsort(~selected, kind="stable")[:UNITS_SHOWN]
    made.units = _with_metrics(units.append_column("selected", pa.array(selected)).take(pa.array(order)))
    return made


def _without(rows: pa.Table, barred: Mice) -> pa.Table:
    if not barred:
        return rows
    own = zip(rows["lab"].to_pylist(), rows["subject"].to_pylist(), strict=True)
    return rows.filter(pa.array([pair not in barred for pair in own], pa.bool_()))


def responsive(acronym: str, min_units: int = 1, barred: Mice = ()) -> list[dict[str, Any]]:
    """For each event how many units within a structure were tested and respond: event, n_units, n_responsive."""
    within = "" if acronym == ROOT else f"region_id IN ({', '.join(map(str, atlas.region_ids(acronym)))})"
    default = (ephys.Clustering & {"default_clustering": True}).proj()
    units = (histology.ClusterLocation.Cluster & (within or "region_id IS NOT NULL") & default).proj()
    if barred:
        units -= [{"lab": at, "subject": name} for at, name in sorted(barred)]
    tested = fetch_columns(ephys_analysis.Peth.Response & "response_p IS NOT NULL" & units, "event", "is_responsive")
    rows = []
    for event in dict.fromkeys(tested["event"].to_pylist()):
        own = tested.filter(pc.equal(tested["event"], event))["is_responsive"]
        if len(own) >= min_units:
            rows.append({"event": event, "n_units": len(own), "n_responsive": int(pc.sum(own).as_py() or 0)})
    return sorted(rows, key=lambda row: _EVENTS.index(row["event"]) if row["event"] in _EVENTS else len(_EVENTS))


def near(acronym: str) -> str:
    """A sentence that names structures with a similar acronym."""
    try:
        atlas.region_ids(acronym)
    except NeurojointError as error:
        return f"{error.remedy[:1].upper()}{error.remedy[1:]}."
    return ""


_EVENTS = ("stim_on", "go_cue", "first_movement", "response", "feedback")


def _above(regions: Any, at: dict[int, int], place: int) -> list[int]:
    """Rows of the structures that one is part of, from the root to itself."""
    rows = [place]
    while (parent := int(regions.parents[rows[-1]])) in at:
        rows.append(at[parent])
    return rows[::-1]


def _tree(regions: Any, at: dict[int, int], units: pa.Table, selected: np.ndarray, top: int) -> list[dict[str, Any]]:
    """Counts of all structures within `top` that hold a unit."""
    within, larger, _ = (np.asarray(part) for part in regions.closure)
    ids, inverse = np.unique(units["region_id"].to_numpy(), return_inverse=True)
    insertion = _numbered(units)
    own = np.bincount(inverse, minlength=ids.size)
    good = np.bincount(inverse, selected, minlength=ids.size)
    shown = set(within[larger == top].tolist())
    counts: dict[int, list[float]] = {}
    reached: dict[int, set[int]] = {}
    pairs = np.isin(within, ids)
    for one, other in zip(within[pairs].tolist(), larger[pairs].tolist(), strict=True):
        if other in shown:
            place = int(np.searchsorted(ids, one))
            row = counts.setdefault(other, [0, 0])
            row[0] += own[place]
            row[1] += good[place]
            reached.setdefault(other, set()).update(insertion[inverse == place].tolist())
    rows = []
    for count in sorted(counts, key=lambda item: regions.orders[at[item]]):
        number = at[count]
        place = int(np.searchsorted(ids, count))
        is_own = place < ids.size and ids[place] == count
        rows.append({
            "acronym": regions.acronyms[number], "region_name": regions.names[number],
            "region_color": regions.colors[number], "region_depth": int(regions.depths[number]),
            "n_units": int(counts[count][0]), "n_selected": int(counts[count][1]), "n_insertions": len(reached[count]),
            "own_units": int(own[place]) if is_own else 0,
        })  # fmt: skip
    return rows


def _numbered(units: pa.Table) -> np.ndarray:
    """A number for the insertion of each unit."""
    return np.unique(np.array(units["pid"].to_pylist(), dtype=str), return_inverse=True)[1]


def _selected(units: pa.Table, criteria: str) -> np.ndarray:
    """Which units pass the latest version of some criteria."""
    versions = (ephys_analysis.UnitCriteria & {"unit_criteria": criteria}).to_arrays("unit_criteria_version")
    if not len(versions) or not units.num_rows:
        return np.zeros(units.num_rows, dtype=bool)
    key = {"unit_criteria": criteria, "unit_criteria_version": int(max(versions))}
    names = (*_INSERTION, "clustering", "cluster_id")
    chosen = fetch_columns(ephys_analysis.UnitSelection.Unit & key, *names)
    chosen = chosen.append_column("passes", pa.array(np.ones(chosen.num_rows, dtype=bool)))
    numbered = units.select(names).append_column("place", pa.array(np.arange(units.num_rows)))
    both = numbered.join(chosen, list(names), join_type="inner")
    passing = np.zeros(units.num_rows, dtype=bool)
    passing[both["place"].to_numpy()] = True
    return passing


def _insertions(reached: pa.Table, units: pa.Table, selected: np.ndarray) -> list[dict[str, Any]]:
    good: dict[str, int] = {}
    for pid, passes in zip(units["pid"].to_pylist(), selected.tolist(), strict=True):
        good[pid] = good.get(pid, 0) + passes
    return [row | {"n_selected": good.get(row["pid"], 0)} for row in reached.to_pylist()]


def _with_metrics(units: pa.Table) -> pa.Table:
    """The units with firing rate, amplitude, depth and shank."""
    if not units.num_rows:
        return units
    names = [*_INSERTION, "clustering", "cluster_id"]
    pids = sorted(set(units["pid"].to_pylist()))
    chosen = ephys.ClusterSet.Cluster & (ephys.ProbeInsertion & [{"pid": pid} for pid in pids]).proj()
    known = fetch_columns(chosen, *names, "cluster_firing_rate", "cluster_amp", "cluster_depth",
                          "cluster_shank")  # fmt: skip
    place = pa.array(np.arange(units.num_rows))
    both = units.append_column("place", place).join(known, names, join_type="left outer")
    return both.sort_by("place").drop_columns(["place"])
