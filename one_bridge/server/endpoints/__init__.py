"""The endpoints as data: what each record holds, what it can be searched by, and who may change it.

Routing, filters, serialisation and the OpenAPI schema all walk `ENDPOINTS`. Names are Alyx's.
"""

from __future__ import annotations

from one_bridge.server.endpoint_model import Endpoint
from one_bridge.server.endpoints.animals import NOTES, RESTRICTION, SUBJECTS, SURGERIES, WATER, WEIGHINGS
from one_bridge.server.endpoints.brain import BRAIN_REGIONS, CHANNELS, TRAJECTORIES
from one_bridge.server.endpoints.lookups import LABS, LOCATIONS, NAMES, USERS
from one_bridge.server.endpoints.recordings import AGGREGATES, DATASETS, FILES, INSERTIONS, SESSIONS
from one_bridge.server.endpoints.tasks import TASKS

_ALL = (
    SESSIONS,
    INSERTIONS,
    TRAJECTORIES,
    CHANNELS,
    BRAIN_REGIONS,
    DATASETS,
    AGGREGATES,
    FILES,
    SUBJECTS,
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

ENDPOINTS: dict[str, Endpoint] = {one.name: one for one in _ALL}
"""By the first part of their address."""
