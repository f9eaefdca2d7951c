"""One probe insertion: its clusterings, its units with metrics, selection and place, pictures and signals along it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.database.bulk import fetch_columns, to_numpy
from pipeline.electrophysiology import clusterings
from pipeline.queries import search
from pipeline.queries.unit_kinds import UnitKinds, kinds_of
from pipeline.schemas import behavior, ephys, ephys_analysis, histology
from pipeline.schemas.inputs.recordings import channel_map

PLACE = ("lab", "subject", "session_date", "session_number", "probe_label")


@dataclass
class Insertion:
    """What is known of an insertion.

    Attributes
    ----------
    row : of ProbeInsertion, with the model of the probe
    clusterings : rows of Clustering: name, sorter, revision, state, whether it is the default
    clustering : the row that was chosen; None without sorted spikes
    clusters : the row of ClusterSet; None while it is not computed
    units : columns of the units: cluster_id, cluster_*, the metrics, selected (bool, NaN where not judged), acronym,
        region_color, region_name
    criteria : name, version, rules and description of the criteria of `selected`
    channels : columns channel_axial, channel_shank (NaN where not known), acronym, region_color, region_name
    trajectories : rows of Trajectory, the best known first
    trials : first and last time of the trials, s from session start
    siblings : probe labels of the session
    kinds : cell types, units that follow light, and what units tell apart
    """

    row: dict[str, Any]
    clusterings: list[dict[str, Any]] = field(default_factory=list)
    clustering: dict[str, Any] | None = None
    clusters: dict[str, Any] | None = None
    units: dict[str, np.ndarray] = field(default_factory=dict)
    criteria: dict[str, Any] | None = None
    channels: dict[str, np.ndarray] = field(default_factory=dict)
    trajectories: list[dict[str, Any]] = field(default_factory=list)
    trials: tuple[float | None, float | None] = (None, None)
    siblings: list[str] = field(default_factory=list)
    kinds: UnitKinds = field(default_factory=UnitKinds)

    @property
    def key(self) -> dict[str, Any]:
        """The primary key of the insertion."""
        return {name: self.row[name] for name in PLACE}


@dataclass
class Pictures:
    """What is drawn along the probe; an empty array where it is not there.

    Attributes
    ----------
    drift : times, depths, rates, amps of DriftMap
    signals : band -> frequencies, power, rms, axial, shank
    depth_peth : times, depths, change of DepthPeth at `event`
    depth_peth_shank : the shank whose activity that is; None: of all units
    missing : what the files lack, in words
    notes : repairs of the files, and doubts about them, in words
    """

    drift: dict[str, np.ndarray] = field(default_factory=dict)
    signals: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    depth_peth: dict[str, np.ndarray] = field(default_factory=dict)
    depth_peth_shank: int | None = None
    event: str = ""
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def insertion(
    key: Mapping[str, Any], clustering: str = "", criteria: str = search.DEFAULT_CRITERIA
) -> Insertion | None:
    """An insertion with the units of one clustering; None where there is no such insertion.

    Parameters
    ----------
    key : the primary key of the insertion.
    clustering : by default the default of the insertion, also where it has none of that name.
    criteria : name of the criteria that say which units are selected.
    """
    rows = (ephys.ProbeInsertion & dict(key)).to_dicts()
    if not rows:
        return None
    probe = Insertion(rows[0])
    if probe.row["probe_serial"]:
        probe.row |= (ephys.Probe & {"probe_serial": probe.row["probe_serial"]}).to_dicts()[0]
    session = {name: probe.row[name] for name in PLACE[:-1]}
    names = ("clustering", "sorter", "clustering_revision", "clustering_state", "default_clustering")
    probe.clusterings = fetch_columns(ephys.Clustering & probe.key, *names, order_by="clustering").to_pylist()
    probe.siblings = sorted((ephys.ProbeInsertion & session).to_arrays("probe_label").tolist())
    tracks = (histology.Trajectory * histology.Provenance.proj("provenance_rank") & probe.key).to_dicts()
    probe.trajectories = sorted(tracks, key=lambda row: -row["provenance_rank"])
    times = (behavior.TrialSet & session).to_dicts()
    if times:
        probe.trials = (times[0]["trials_start"], times[0]["trials_end"])
    probe.channels = channels(probe.key)
    default = [row for row in probe.clusterings if row["default_clustering"]]
    named = [row for row in probe.clusterings if row["clustering"] == clustering]
    if named or default:
        probe.clustering = (named or default)[0]
        sets = (ephys.ClusterSet & probe.key & {"clustering": probe.clustering["clustering"]}).to_dicts()
        if sets:
            probe.clusters = sets[0]
            probe.units, probe.criteria = units(_of_clustering(sets[0]), criteria)
            probe.kinds = kinds_of(sets[0])
    return probe


def units(key: Mapping[str, Any], criteria: str) -> tuple[dict[str, np.ndarray], dict[str, Any] | None]:
    """The units of a clustering as columns, and the criteria by which `selected` is judged.

    Parameters
    ----------
    key : the primary key of the clustering.
    """
    query = ephys.ClusterSet.Cluster & dict(key)
    columns = to_numpy(fetch_columns(query, order_by="cluster_id").drop_columns(list(key)))
    ids = columns["cluster_id"]
    place = {int(one): number for number, one in enumerate(ids)}
    metrics = to_numpy(fetch_columns(ephys_analysis.UnitMetrics.Unit & dict(key)).drop_columns(list(key)))
    at = np.array([place[int(item)] for item in metrics.pop("cluster_id", ())], dtype=int)
    for name, values in metrics.items():
        if name not in columns:
            columns[name] = np.full(ids.size, np.nan)
            columns[name][at] = values.astype(float)
    columns |= _regions_of_units(key, place)
    rules = _criteria(criteria)
    columns["selected"] = np.full(ids.size, np.nan)
    if rules is not None:
        judged = {name: rules[name] for name in ("unit_criteria", "unit_criteria_version")} | dict(key)
        if ephys_analysis.UnitSelection & judged:
            columns["selected"][:] = 0
            chosen = fetch_columns(ephys_analysis.UnitSelection.Unit & judged, "cluster_id")["cluster_id"].to_pylist()
            columns["selected"][[place[item] for item in chosen]] = 1
    return columns, rules


def channels(key: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The channels of an insertion and their regions; no columns where that is not known."""
    query = (histology.ChannelLocation.Channel & dict(key)).join(
        histology.BrainRegion.proj("acronym", "region_color", "region_name"), left=True
    )
    names = ("channel", "raw_channel", "channel_lateral", "channel_axial", "acronym", "region_color", "region_name")
    table = fetch_columns(query, *names, order_by="channel")
    if not table.num_rows:
        return {}
    columns = to_numpy(table)
    raw = np.asarray(columns.pop("raw_channel"), float)
    shanks, there = np.full(table.num_rows, np.nan), channel_map(key)
    if there is not None:
        at = np.where(np.isfinite(raw), raw, columns["channel"]).astype(int)
        inside = (at >= 0) & (at < len(there["shank"]))
        shanks[inside] = np.asarray(there["shank"], float)[at[inside]]
    return columns | {"channel_shank": shanks}


def shanks(probe: Insertion) -> list[int]:
    """The shanks on which units or channels lie; empty where that is not known."""
    of_units, of_channels = probe.units.get("cluster_shank", ()), probe.channels.get("channel_shank", ())
    both = np.concatenate([np.asarray(of_units, float), np.asarray(of_channels, float)])
    return np.unique(both[np.isfinite(both)]).astype(int).tolist()


def of_shank(columns: Mapping[str, np.ndarray], name: str, shank: int | None) -> dict[str, np.ndarray]:
    """The rows whose column `name` is this shank; all without one."""
    if shank is None or name not in columns:
        return dict(columns)
    own = np.asarray(columns[name], float) == shank
    return {key: np.asarray(values)[own] for key, values in columns.items()}


def pictures(probe: Insertion, event: str, shank: int | None = None) -> Pictures:
    """Drift map, signals and activity around an event; with `shank`, all that of this one."""
    made = Pictures(event=event)
    for name, values in signals(probe.key).items():
        own = slice(None) if shank is None or values["shank"] is None else values["shank"] == shank
        sliced = {item: values[item][own] if values[item] is not None and len(values[item]) else values[item]
                  for item in ("power", "rms", "axial", "shank")}  # fmt: skip
        made.signals[name] = values | sliced
        if values["axial"] is None:
            made.missing.append(f"the {name} recording has no channel map: its channels are drawn by number, not in um")
    if probe.clusters is None:
        return made
    key = _of_clustering(probe.clusters)
    made.notes = clusterings.reading(clusterings.find(key)).notes
    judged = (ephys_analysis.UnitMetrics & key).to_arrays("metrics_missing")
    made.missing += [words for text in judged for words in text.split("; ") if words]
    rows = (ephys_analysis.DriftMap & key).to_dicts()
    if rows and rows[0]["drift_rates"] is not None:
        made.drift = {name.removeprefix("drift_"): rows[0][name] for name in rows[0] if name.startswith("drift_")}
        for row in (ephys_analysis.DriftMap.Shank & key & {"shank": -1 if shank is None else shank}).to_dicts():
            made.drift = {
                name.removeprefix("shank_drift_"): row[name] for name in row if name.startswith("shank_drift")
            }
    rows = (ephys_analysis.DepthPeth & key & {"event": event}).to_dicts()
    made.missing += [f"{row['depth_peth_missing']}: no activity by depth" for row in rows if row["depth_peth_missing"]]
    if rows and rows[0]["depth_peth"] is not None:
        own = {"event": event, "shank": -1 if shank is None else shank}
        of_shank = (ephys_analysis.DepthPeth.Shank & key & own).to_dicts()
        row = {name.removeprefix("shank_"): value for name, value in of_shank[0].items()} if of_shank else rows[0]
        baseline = np.asarray(row["depth_baseline"])[:, np.newaxis]
        made.depth_peth = {
            "times": row["depth_peth_times"],
            "depths": row["depth_peth_depths"],
            "change": (np.asarray(row["depth_peth"]) - baseline) / (baseline + 1),
        }
        made.depth_peth_shank = shank if of_shank else None
    return made


def signals(key: Mapping[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """Band -> rms (uV), axial (um from the tip), shank of each channel; of the local field frequencies and power too.

    Without a map of the channels `axial` and `shank` are None.
    """
    recorded = ephys.Recording.proj("band", *PLACE) * ephys.RecordingSignal & dict(key)
    made: dict[str, dict[str, np.ndarray]] = {}
    rows = (recorded & {"band": "lf"}).to_dicts()
    rows += (recorded & {"band": "ap"}).proj("band", "signal_rms").to_dicts()
    for row in rows:
        placed = (ephys.ChannelMap & {"dataset_id": row["dataset_id"]}).to_dicts()
        n = len(row["signal_rms"])
        places: dict[str, Any] = dict.fromkeys(("map_axial", "map_shank"))
        if placed and len(clusterings.parsed(placed[0]["map_axial"])) >= n:
            places = {name: np.asarray(clusterings.parsed(placed[0][name]), float)[:n] for name in places}
        made[row["band"]] = {
            "frequencies": np.asarray(row.get("spectrum_frequencies", ())),
            "power": np.asarray(row.get("spectrum_power", ())),
            "rms": np.asarray(row["signal_rms"]),
            "axial": places["map_axial"],
            "shank": places["map_shank"],
        }
    return made


def events() -> list[str]:
    """The events to which activity is aligned."""
    return sorted(ephys_analysis.AlignmentEvent.to_arrays("event").tolist(), key=_event_order)


def all_criteria() -> list[str]:
    """The names of the criteria of units."""
    return sorted(set(ephys_analysis.UnitCriteria.to_arrays("unit_criteria").tolist()))


def _criteria(name: str) -> dict[str, Any] | None:
    """The latest version of some criteria."""
    rows = (ephys_analysis.UnitCriteria & {"unit_criteria": name}).to_dicts()
    if not rows:
        return None
    row = max(rows, key=lambda one: one["unit_criteria_version"])
    return row | {"unit_rules": clusterings.parsed(row["unit_rules"])}


def _regions_of_units(key: Mapping[str, Any], place: Mapping[int, int]) -> dict[str, np.ndarray]:
    names = ("acronym", "region_color", "region_name")
    query = histology.ClusterLocation.Cluster * histology.BrainRegion.proj(*names) & dict(key)
    table = fetch_columns(query, "cluster_id", *names).to_pydict()
    columns = {name: np.full(len(place), "", dtype=object) for name in names}
    at = [place[cluster_id] for cluster_id in table["cluster_id"]]
    for name in names:
        columns[name][at] = table[name]
    return columns


def _of_clustering(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ephys.Clustering.primary_key}


def _event_order(event: str) -> int:
    order = ("stim_on", "go_cue", "first_movement", "response", "feedback")
    return order.index(event) if event in order else len(order)
