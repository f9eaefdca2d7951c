"""Endpoints of places in the brain: regions of the atlas, tracks of probes, channels along them."""

from __future__ import annotations

from typing import Any

import datajoint as dj

from one_bridge.server import field_getters, values
from one_bridge.server.endpoint_model import BadInput, Endpoint, Field, Relation, table
from one_bridge.server.endpoints.fields import READ_ONLY, SESSION, absent, field, made, token, url
from pipeline import atlas
from pipeline.errors import NeurojointError

INSERTION = (*SESSION, "probe_label")
TRACK = (*INSERTION, "provenance")
RANKS = {"planned": 10, "micro_manipulator": 30, "histology": 50, "ephys_aligned": 70}
PROVENANCES = {
    "Planned": "planned", "Micro-manipulator": "micro_manipulator", "Histology track": "histology",
    "Ephys aligned histology track": "ephys_aligned",
}  # fmt: skip
"""Alyx's words -> `histology.Provenance`."""
_SPELLINGS = PROVENANCES | {name: name for name in RANKS} | {str(rank): name for name, rank in RANKS.items()}
_OF_INSERTIONS = {
    name: name for name in (
        "session", "subject", "lab", "project", "projects", "date_range", "tag", "task_protocol", "atlas_acronym",
        "atlas_id", "atlas_name")
} | {"probe_insertion": "pid", "probe": "name", "experiment_number": "number", "date": "date_range"}  # fmt: skip


def _related(direction: str) -> Any:
    """A filter of regions by another one's id or acronym: those within it, or those that it lies within."""

    def restriction(text: str, backend: str) -> str:
        try:
            ids = getattr(atlas.regions(), direction)(atlas.region_ids(text, descendants=False))
        except NeurojointError as error:
            raise BadInput(direction, str(error)) from None
        return values.key_condition(["region_id"], [[int(one)] for one in ids], backend)

    return restriction


BRAIN_REGIONS = Endpoint(
    "brain-regions",
    "BrainRegion",
    "histology.BrainRegion",
    ("region_id",),
    (
        field("id", "region_id", "int"),
        field("acronym", filter="iexact"),
        field("name", "region_name", filter="iexact"),
        field("parent", "parent_region_id", "int", "exact"),
        made("related_descriptions", field_getters.nothing_list),
        Field("ancestors", "region_id", restrict=_related("ancestors"), filter="exact", detail=True, write=False,
              say=lambda row: atlas.regions().ancestors([row["region_id"]]).tolist(), needs=("region_id",)),
        Field("descendants", "region_id", restrict=_related("descendants"), filter="exact", detail=True, write=False,
              say=lambda row: atlas.regions().descendants([row["region_id"]]).tolist(), needs=("region_id",)),
        url("brain-regions", "region_id"),
    ),
    alias="acronym",
    relations={
        "parent": Relation("brain-regions", ("parent_region_id",), ("region_id",)),
        "channels": Relation("channels", ("region_id",)),
    },
    order=("graph_order",),
    verbs=READ_ONLY,
)  # fmt: skip

TRAJECTORIES = Endpoint(
    "trajectories",
    "TrajectoryEstimate",
    "histology.Trajectory",
    (*INSERTION, "provenance"),
    (
        token(*INSERTION, "provenance"),
        field("probe_insertion", "pid", "uuid", required=True),
        field("provenance", filter="exact", words=_SPELLINGS, ranks=RANKS, required=True),
        field("x", "entry_ml", "float", required=True),
        field("y", "entry_ap", "float", required=True),
        field("z", "entry_dv", "float", required=True),
        field("depth", "insertion_depth", "float", required=True),
        field("theta", kind="float", required=True),
        field("phi", kind="float", required=True),
        field("roll", kind="float"),
        field("coordinate_system", filter="iexact", to=("histology.CoordinateSystem", "name"), default="IBL-Allen"),
        field("json", "trajectory_json", "json", "json"),
        field("probe_name", "probe_label", write=False),
        made("session", field_getters.session_info, "eid", "start_time", "task_protocol", *SESSION),
        absent("chronic_insertion"),
        absent("datetime", kind="time"),
        url("trajectories", *INSERTION, "provenance"),
    ),
    rows=lambda found: (
        found
        * table("ephys.ProbeInsertion").proj("pid")
        * table("acquisition.Session").proj("eid", "start_time", "task_protocol")
        * table("histology.Provenance").proj("provenance_rank")
    ),
    relations={
        "probe_insertion": Relation("insertions", INSERTION),
        "session": Relation("sessions", SESSION),
        "channels": Relation("channels", INSERTION),
    },
    search="trajectories",
    terms=_OF_INSERTIONS,
    order=("session_date DESC", "subject DESC", "session_number DESC", "lab", "probe_label", "provenance"),
    create="trajectory",
    update="trajectory",
)


def _best_track(row: field_getters.Row) -> str | None:
    """The trajectory that the places of channels are from: of several, the one with the highest rank."""
    name = next((name for name, rank in RANKS.items() if rank == row["best_rank"]), None)
    return name and values.to_id(TRACK, dict(row) | {"provenance": name})


def _of_track(text: str, backend: str) -> str:
    """The channels whose places are from a trajectory."""
    identifier = text.rstrip("/").rpartition("/")[2].lower()
    if not values.is_uuid(identifier):
        return "1=0"
    tracks = table("histology.Trajectory")
    kinds = {name: str(tracks.heading[name].original_type or tracks.heading[name].type) for name in TRACK}
    found = (tracks & values.uuid_condition(kinds, identifier, backend)).proj().to_dicts()
    rows = [[*(row[name] for name in INSERTION), RANKS[row["provenance"]]] for row in found]
    return values.key_condition([*INSERTION, "best_rank"], rows, backend)


def _with_best_track(found: dj.Table) -> dj.expression.QueryExpression:
    ranked = table("histology.Trajectory") * table("histology.Provenance").proj("provenance_rank")
    best = dj.U(*INSERTION).aggr(ranked, best_rank="MAX(provenance_rank)")
    return (found * table("ephys.ProbeInsertion").proj("pid")).join(best, left=True)


CHANNELS = Endpoint(
    "channels",
    "Channel",
    "histology.ChannelLocation.Channel",
    (*INSERTION, "channel"),
    (
        token(*INSERTION, "channel"),
        field("axial", "channel_axial", "float"),
        field("lateral", "channel_lateral", "float"),
        field("x", "channel_ml", "float"),
        field("y", "channel_ap", "float"),
        field("z", "channel_dv", "float"),
        field("brain_region", "region_id", "int", "exact"),
        field("probe_insertion", "pid", "uuid"),
        Field("trajectory_estimate", filter="exact", restrict=_of_track, say=_best_track,
              needs=(*INSERTION, "best_rank")),
        absent("json", kind="json"),
        url("channels", *INSERTION, "channel"),
    ),
    rows=_with_best_track,
    relations={
        "brain_region": Relation("brain-regions", ("region_id",)),
        "probe_insertion": Relation("insertions", INSERTION),
        "session": Relation("sessions", SESSION),
        "trajectory_estimate": Relation(
            "trajectories", (*INSERTION, "best_rank"), (*INSERTION, "provenance_rank")
        ),
    },
    search="channels",
    terms=_OF_INSERTIONS,
    order=("session_date DESC", "subject DESC", "session_number DESC", "lab", "probe_label", "channel"),
    verbs=READ_ONLY,
)  # fmt: skip
