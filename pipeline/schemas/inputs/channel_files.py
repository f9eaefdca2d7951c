"""Which files of an insertion say where its channels are, what they hold, and which of the channels clusters are on."""

from __future__ import annotations

from typing import Any

import datajoint as dj
import numpy as np

from pipeline.database import registry
from pipeline.electrophysiology import channel_locations
from pipeline.schemas.inputs import files, recordings

acquisition = registry.tables_of("acquisition")
data = registry.tables_of("data")
ephys = registry.tables_of("ephys")
histology = registry.tables_of("histology")

SAYS_WHERE = [f"accepted_columns LIKE '%%,{name},%%'" for name in (channel_locations.REGIONS, channel_locations.PLACES)]


def objects() -> dj.Table:
    """The ALF objects of channels of any probe."""
    return (
        data.AlfObject
        & [{"object_name": name} for name in channel_locations.OBJECTS]
        & "object_collection LIKE 'alf/%%'"
    )


def probe_label() -> str:
    """SQL for the label of the insertion: the second folder of the collection."""
    if data.AlfObject().connection.adapter.backend == "postgresql":
        return "SPLIT_PART(object_collection, '/', 2)"
    return "SUBSTRING_INDEX(SUBSTRING_INDEX(object_collection, '/', 2), '/', -1)"


def default_collections() -> dj.expression.QueryExpression:
    """The collection of the default clustering of each insertion."""
    default = (ephys.Clustering & {"default_clustering": True}).proj("clustering_collection")
    return dj.U(*ephys.ProbeInsertion.primary_key, "clustering_collection") & default


def session_of(key: dict | None) -> dict[str, Any]:
    """The part of a key that names sessions."""
    return {name: value for name, value in (key or {}).items() if name in acquisition.Session.primary_key}


def _read(key: dict[str, Any], source: dict[str, Any], attribute: str) -> np.ndarray:
    content = files.read_attribute(key, source["object_name"], attribute, source["object_collection"])
    return content if isinstance(content, np.ndarray) else np.asarray(content)


def sources_of(key: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of data.AlfObject of an insertion that hold channels, the one to read first."""
    default = (default_collections() & key).to_arrays("clustering_collection")
    own = f"alf/{key['probe_label']}"
    rows = [
        row | {"accepted": [name for name in row["accepted_columns"].split(",") if name]}
        for row in (objects() & session_of(key)).to_dicts()
        if f"{row['object_collection']}/".startswith(f"{own}/")
    ]
    return sorted(
        rows,
        key=lambda row: (
            not {channel_locations.REGIONS, channel_locations.PLACES} & set(row["accepted"]),
            channel_locations.OBJECTS.index(row["object_name"]),
            row["object_collection"] not in default,
            row["object_collection"] != own,
            row["object_collection"],
        ),
    )


def contents(key: dict[str, Any], sources: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """The attributes of the first source, with what the object `channels` has beside it."""
    source = sources[0]
    contents = {name: _read(key, source, name) for name in source["accepted"] if name in channel_locations.ATTRIBUTES}
    if source["object_name"] != "channels":  # what electrodeSites leaves out is that of the channels, if as many
        beside = next((item for item in sources if item["object_name"] == "channels"), None)
        for name in (channel_locations.GEOMETRY, channel_locations.RAW):
            if beside and name in beside["accepted"] and name not in contents:
                values = _read(key, beside, name)
                if len(values) == len(next(iter(contents.values()))):
                    contents[name] = values
    return contents


def rows_of_channels(key: dict[str, Any], wanted: np.ndarray, there: dict[str, np.ndarray]) -> np.ndarray:
    """Rows of the channels with places at which the clusters' channels are; -1 where there is none."""
    collection = (ephys.Clustering & key).fetch1("clustering_collection")
    same = (
        histology.ChannelLocation & key & {"locations_object": "channels", "locations_collection": collection}
    ).proj()
    own = data.AlfObject & session_of(key) & {"object_collection": collection, "object_name": "channels"}
    rows = np.arange(len(there["channel"]))
    if not same and own:
        accepted = own.fetch1("accepted_columns").split(",")
        read = {
            name: files.read_attribute(key, "channels", name, collection)
            for name in (channel_locations.RAW, channel_locations.GEOMETRY)
            if name in accepted
        }
        if read:
            read = channel_locations.as_read(read, recordings.channel_map(key))
            rows = channel_locations.match(read, there, len(next(iter(read.values()))))
    wanted = np.where(np.isnan(wanted), -1, wanted).astype(np.int64)
    inside = (wanted >= 0) & (wanted < len(rows))
    return np.where(inside, rows[np.where(inside, wanted, 0)] if len(rows) else -1, -1)
