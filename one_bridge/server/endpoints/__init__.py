"""The endpoints as data: what each record holds, what it can be searched by, and who may change it.

Routing, filters, serialisation and the OpenAPI schema all walk `ENDPOINTS`. Names are Alyx's.
"""

from __future__ import annotations

from one_bridge.server.endpoint_model import Endpoint
from one_bridge.server.endpoints.animals import ENDS, NOTES, RESTRICTION, SUBJECTS, SURGERIES, WATER, WEIGHINGS
from one_bridge.server.endpoints.brain import (
    ALIGNED_CHANNELS,
    BRAIN_REGIONS,
    CHANNELS,
    CHRONIC_INSERTIONS,
    TRAJECTORIES,
)
from one_bridge.server.endpoints.datasets import AGGREGATES, DATASETS, DOWNLOADS, FILES, NOTICES
from one_bridge.server.endpoints.imaging import IMAGING
from one_bridge.server.endpoints.lookups import LABS, LOCATIONS, NAMES, USERS
from one_bridge.server.endpoints.recordings import INSERTIONS, SESSIONS
from one_bridge.server.endpoints.tasks import TASKS

_ALL = (
    SESSIONS,
    INSERTIONS,
    TRAJECTORIES,
    CHANNELS,
    ALIGNED_CHANNELS,
    CHRONIC_INSERTIONS,
    BRAIN_REGIONS,
    DATASETS,
    AGGREGATES,
    FILES,
    DOWNLOADS,
    NOTICES,
    *IMAGING,
    SUBJECTS,
    *ENDS,
    WEIGHINGS,
    WATER,
    RESTRICTION,
    SURGERIES,
    NOTES,
    USERS,
    LABS,
    LOCATIONS,
    TASKS,
    *NAMES,
)

ENDPOINTS: dict[str, Endpoint] = {item.name: item for item in _ALL}
"""By the first part of their address."""
