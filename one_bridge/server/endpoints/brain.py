"""Endpoints of places in the brain: regions of the atlas, tracks of probes, channels along them."""

from __future__ import annotations

from typing import Any

import datajoint as dj

from one_bridge import query
from one_bridge.server import field_getters, values
from one_bridge.server.endpoint_model import BadInput, Endpoint, Field, Nested, Relation, table
from one_bridge.server.endpoints.fields import READ_ONLY, SESSION, absent, field, made, notes_of, token, url
from one_bridge.server.record_uuids import rows_of
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
        return values.key_condition(["region_id"], [[int(id_)] for id_ in ids], backend)

    return restriction


def _related_descriptions(row: field_getters.Row) -> list[dict[str, Any]]:
    """What is written about the structures that a region is part of, and about its parts."""
    tree = atlas.regions()
    ids = [*tree.ancestors([row["region_id"]]).tolist(), *tree.descendants([row["region_id"]]).tolist()]
    there = table("histology.BrainRegion").proj("region_name", "region_depth") * table("histology.RegionDescription")
    regions = (
        {item["region_id"]: item for item in there.to_dicts()} if len(table("histology.RegionDescription")()) else {}
    )
    return [
        {"id": id_, "name": regions[id_]["region_name"], "description": regions[id_]["region_description"],
         "level": regions[id_]["region_depth"]}
        for id_ in dict.fromkeys(ids)
        if id_ in regions
    ]  # fmt: skip


BRAIN_REGIONS = Endpoint(
    "brain-regions",
    "BrainRegion",
    "histology.BrainRegion",
    ("region_id",),
    (
        field("id", "region_id", "int", write=False),
        field("acronym", filter="iexact", write=False),
        field("name", "region_name", filter="iexact", write=False),
        field("parent", "parent_region_id", "int", "exact", write=False),
        field("description", "region_description", filter="icontains"),
        made("related_descriptions", _related_descriptions, "region_id"),
        Field("ancestors", "region_id", restrict=_related("ancestors"), filter="exact", detail=True, write=False,
              getter=lambda row: atlas.regions().ancestors([row["region_id"]]).tolist(), needs=("region_id",)),
        Field("descendants", "region_id", restrict=_related("descendants"), filter="exact", detail=True, write=False,
              getter=lambda row: atlas.regions().descendants([row["region_id"]]).tolist(), needs=("region_id",)),
        url("brain-regions", "region_id"),
    ),
    alias="acronym",
    relations={
        "parent": Relation("brain-regions", ("parent_region_id",), ("region_id",)),
        "channels": Relation("channels", ("region_id",)),
    },
    rows=lambda rows: rows.join(table("histology.RegionDescription"), left=True),
    order=("graph_order",),
    verbs=(*READ_ONLY, "update"),
    update="region",
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
    rows=lambda rows: (
        rows
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
    tracks = rows_of("histology.Trajectory", TRACK, text)
    rows = [[*(row[name] for name in INSERTION), RANKS[row["provenance"]]] for row in tracks]
    return values.key_condition([*INSERTION, "best_rank"], rows, backend)


def _are_stated(asked: Any) -> bool:
    """Whether the channels of the trajectories that a list names were stated by a program, and not read from files."""
    named = [asked.plain.get("trajectory_estimate", "")]
    for pair in asked.django:
        if pair.path in (("trajectory_estimate",), ("trajectory_estimate", "id"), ("trajectory_estimate", "pk")):
            named += pair.value if isinstance(pair.value, list) else [pair.value]
    tracks = [row for item in named for row in rows_of("histology.Trajectory", TRACK, str(item))]
    return bool(tracks) and bool(table("histology.AlignedChannel") & tracks)


def _of_stated_track(text: str, backend: str) -> str:
    """The stated channels of a trajectory."""
    return values.key_condition(TRACK, rows_of("histology.Trajectory", TRACK, text), backend)


def _chronic_with(name: str) -> Any:
    """Chronic insertions of which a recording matches a term of insertions."""

    def restriction(text: str, _: str) -> Any:
        term = {"probe": "pid"}.get(name, name)
        try:
            insertions = query.insertions({term: text}, query.Reading("alyx"))
        except query.InvalidQuery as error:
            raise BadInput(name, str(error)) from None
        recordings = table("ephys.ChronicRecording") & insertions.proj()
        return dj.U("chronic_id") & recordings.proj("chronic_id")

    return restriction


def _with_best_track(insertions: dj.Table) -> dj.expression.QueryExpression:
    ranked = table("histology.Trajectory") * table("histology.Provenance").proj("provenance_rank")
    best = dj.U(*INSERTION).aggr(ranked, best_rank="MAX(provenance_rank)")
    return (insertions * table("ephys.ProbeInsertion").proj("pid")).join(best, left=True)


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
        Field("trajectory_estimate", filter="exact", restrict=_of_track, getter=_best_track,
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
    aside="aligned-channels",
    is_aside=_are_stated,
    writes_aside=True,
)  # fmt: skip
"""Where the channels are as the files say."""

ALIGNED_CHANNELS = Endpoint(
    "aligned-channels",
    "AlignedChannel",
    "histology.AlignedChannel",
    (*TRACK, "aligned_channel"),
    (
        token(*TRACK, "aligned_channel"),
        field("name", "aligned_name", filter="iexact"),
        field("axial", "aligned_axial", "float", required=True),
        field("lateral", "aligned_lateral", "float", required=True),
        field("x", "aligned_ml", "float"),
        field("y", "aligned_ap", "float"),
        field("z", "aligned_dv", "float"),
        field("brain_region", "region_id", "int", "exact"),
        field("probe_insertion", "pid", "uuid", "exact", write=False),
        Field("trajectory_estimate", "provenance", filter="exact", restrict=_of_stated_track,
              getter=lambda row: values.to_id(TRACK, row), needs=TRACK, required=True),
        field("json", "aligned_json", "json", "json"),
        made("url", field_getters.url("channels", [*TRACK, "aligned_channel"]), *TRACK, "aligned_channel"),
    ),
    rows=lambda rows: rows * table("ephys.ProbeInsertion").proj("pid"),
    relations={
        "brain_region": Relation("brain-regions", ("region_id",)),
        "probe_insertion": Relation("insertions", INSERTION),
        "session": Relation("sessions", SESSION),
        "trajectory_estimate": Relation("trajectories", TRACK),
    },
    order=(*TRACK, "aligned_channel"),
    create="aligned_channel",
    update="aligned_channel",
    bulk=True,
)  # fmt: skip
"""Where channels are as an alignment program stated it; `/channels` gives them for trajectories that have any."""

CHRONIC_INSERTIONS = Endpoint(
    "chronic-insertions",
    "ChronicInsertion",
    "ephys.ChronicInsertion",
    ("chronic_id",),
    (
        field("id", "chronic_id", "uuid"),
        field("name", "chronic_name", filter="iexact"),
        field("subject", filter="iexact", required=True),
        field("lab", filter="iexact"),
        field("model", "probe_model", filter="iexact", to=("ephys.ProbeModel", "name")),
        field("serial", "probe_serial", filter="iexact"),
        field("start_time", "chronic_start", "time"),
        field("end_time", "chronic_end", "time"),
        field("narrative", "chronic_narrative", detail=True),
        field("json", "chronic_json", "json", "json"),
        url("chronic-insertions", "chronic_id"),
    ),
    rows=lambda rows: rows.join(table("ephys.Probe").proj("probe_model"), left=True),
    nested=(
        Nested("probe_insertion", "insertions", "chronic_id", "chronic_id",
               ("id", "name", "model", "serial", "session_info"), detail=False),
    ),
    relations={
        "subject": Relation("subjects", ("lab", "subject")),
        "lab": Relation("labs", ("lab",)),
        "probe_insertion": Relation("insertions", ("chronic_id",), INSERTION, "ephys.ChronicRecording"),
        "notes": notes_of("chronic_id"),
    },
    filters=tuple(
        Field(name, restrict=_chronic_with(name))
        for name in ("session", "probe", "atlas_acronym", "atlas_id", "atlas_name")
    ),
    dates="chronic_start",
    order=("lab", "subject", "chronic_name", "chronic_id"),
    create="chronic",
    update="chronic",
)  # fmt: skip
"""Probes that stay in an animal."""
