"""The raw recordings of an insertion: where their channels lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.database.bulk import fetch_columns
from pipeline.electrophysiology.clusterings import parsed

MAP = {"channels": "map_channels", "lateral": "map_lateral", "axial": "map_axial", "shank": "map_shank"}


def channel_map(insertion: Mapping[str, Any]) -> dict[str, list] | None:
    """The map of the AP recording of an insertion, else of its LF recording; None where no header gave one.

    Returns
    -------
    `channels` (as acquired), `lateral` and `axial` (um), `shank` (from 0) of each column of the file.
    """
    from pipeline.schemas import ephys

    key = {name: insertion[name] for name in ephys.ProbeInsertion.primary_key}
    query = ephys.ChannelMap * ephys.Recording.proj("band", *key) & key
    rows = fetch_columns(query, "band", "dataset_id", *MAP.values(), order_by="band, dataset_id").to_pylist()
    return {name: parsed(rows[0][column]) for name, column in MAP.items()} if rows else None
