"""neurojoint: a neuroscience laboratory's data, from ALF files to tables, ONE and the training dashboard.

>>> import neurojoint as nj
>>> nj.connect()  # doctest: +SKIP
>>> nj.behavior.TrialSet & {"subject": "KS014"}  # doctest: +SKIP

Every name is imported when it is first used. Importing connects to nothing; `connect()` opens the database of the
settings and binds the tables.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pipeline import SCHEMAS

if TYPE_CHECKING:
    from dashboard import figures
    from ingest import compress, register
    from ingest.programs.sorting import sort
    from one_bridge import ONE
    from pipeline import analysis, atlas, connect, module, personal_schema
    from pipeline.database.bulk import fetch_columns
    from pipeline.electrophysiology.peths import unit_peths as peths
    from pipeline.electrophysiology.spikes import spikes
    from pipeline.queries.activity import (
        cross_correlograms,
        population_rate,
        raster,
        selectivity,
        task_modulated_by_region,
    )
    from pipeline.queries.imaging import field_data, find_rois
    from pipeline.queries.search import find_insertions, find_units
    from pipeline.queries.signals import list_signals, signal_average, signal_trials
    from pipeline.schemas import (
        acquisition,
        action,
        behavior,
        behavior_analysis,
        data,
        ephys,
        ephys_analysis,
        histology,
        lab,
        subject,
        task,
    )
    from pipeline.worker import populate

__version__ = "0.2.0.dev0"

_HOMES = {
    "ONE": "one_bridge:ONE",
    "analysis": "pipeline.analysis",
    "atlas": "pipeline.atlas",
    "compress": "ingest:compress",
    "connect": "pipeline:connect",
    "cross_correlograms": "pipeline.queries.activity:cross_correlograms",
    "fetch_columns": "pipeline.database.bulk:fetch_columns",
    "field_data": "pipeline.queries.imaging:field_data",
    "figures": "dashboard.figures",
    "find_insertions": "pipeline.queries.search:find_insertions",
    "find_rois": "pipeline.queries.imaging:find_rois",
    "find_units": "pipeline.queries.search:find_units",
    "list_signals": "pipeline.queries.signals:list_signals",
    "module": "pipeline:module",
    "personal_schema": "pipeline:personal_schema",
    "peths": "pipeline.electrophysiology.peths:unit_peths",
    "populate": "pipeline.worker:populate",
    "population_rate": "pipeline.queries.activity:population_rate",
    "raster": "pipeline.queries.activity:raster",
    "register": "ingest:register",
    "selectivity": "pipeline.queries.activity:selectivity",
    "signal_average": "pipeline.queries.signals:signal_average",
    "signal_trials": "pipeline.queries.signals:signal_trials",
    "sort": "ingest.programs.sorting:sort",
    "spikes": "pipeline.electrophysiology.spikes:spikes",
    "task_modulated_by_region": "pipeline.queries.activity:task_modulated_by_region",
}
"""Public name -> the module, or `module:attribute`, that holds it."""

__all__ = sorted([*_HOMES, *SCHEMAS])


def __getattr__(name: str) -> Any:
    if name in SCHEMAS:
        return importlib.import_module(f"pipeline.schemas.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'neurojoint' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    value: Any = importlib.import_module(module)
    return getattr(value, attribute) if attribute else value


def __dir__() -> list[str]:
    return __all__
