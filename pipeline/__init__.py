"""neurojoint: a lab's data from ALF files to DataJoint tables. `connect()` first, then `from pipeline import behavior`.

The schema modules (`SCHEMAS`: `lab`, `subject`, `action`, `acquisition`, `data`, `behavior`, …) are attributes of this
package, imported when they are first asked for. Importing connects to nothing.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

# Settings come from pipeline.settings alone: DataJoint must not look for a file of its own when it is imported.
os.environ.setdefault("DJ_IGNORE_CONFIG_FILE", "true")

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import ModuleType

    from pipeline.database.connection import Connection
    from pipeline.database.personal import PersonalSchema

# In dependency order: a module refers only to those before it.
SCHEMAS = (
    "lab",
    "subject",
    "action",
    "acquisition",
    "identity",
    "data",
    "selection",
    "behavior",
    "session_events",
    "photometry",
    "behavior_analysis",
    "task_analysis",
    "ephys",
    "histology",
    "imaging",
    "ephys_analysis",
    "photostimulation",
    "task",
    "audit",
    "transfer",
    "notification",
    "publication",
)

_MOVED = {
    "files": "pipeline.schemas.inputs.files",
    "find": "pipeline.queries.search",
    "staleness": "pipeline.provenance.staleness",
    "status": "pipeline.worker.status",
}
"""Names of 0.1.0 that scripts import from here -> where they are now."""

__all__ = ["SCHEMAS", "connect", "module", "personal_schema", "session", *SCHEMAS]


def connect(
    capsule: str | Path | bool | None = None, create: bool = True, schemas: Sequence[str] = SCHEMAS
) -> Connection:
    """Connect to the database of `pipeline.settings` and bind all tables to it.

    With no settings this starts, or joins, the embedded PostgreSQL in `$NEUROJOINT_HOME`.

    Parameters
    ----------
    capsule : a paper capsule, folder or zip, which is opened instead, to be read only.
    create : declare the tables that are missing; false for people who may only read.
    schemas : with `create` false, bind only these, for a quick start; `pipeline.database.registry.bind` adds others.

    Raises
    ------
    pipeline.errors.NeurojointError : no connection, or tables of another version; the message says what to do.
    """
    from pipeline.database import connection, migrate  # start-up time
    from pipeline.settings import settings  # start-up time

    if isinstance(capsule, bool):  # the first argument was `create` before
        create, capsule = capsule, None
    if capsule is not None:
        from pipeline.database import capsule as capsules  # start-up time

        return capsules.connect(capsule)
    chosen = settings()
    opened = connection.open_connection(chosen)
    migrate.prepare(opened, chosen.prefix, create, schemas=schemas)
    if tuple(schemas) == SCHEMAS:
        from pipeline.database import lab_modules  # start-up time

        lab_modules.bind(opened, chosen.prefix, create)
    return opened


def module(name: str) -> ModuleType:
    """A module of the lab, e.g. `pipeline.module("mylab.analyses")`, with its tables bound; call `connect()` before.

    Raises
    ------
    pipeline.errors.NeurojointError : it is not named in the settings, or is left out; the message says why.
    """
    from pipeline.database import lab_modules  # start-up time

    return lab_modules.module(name)


def personal_schema(account: str | None = None) -> PersonalSchema:
    """A schema for tables of one's own, e.g. made in a notebook; call `connect()` before.

    Parameters
    ----------
    account : whose; by default that of the connection, with the embedded database that of the user of this computer.

    Examples
    --------
    >>> schema = personal_schema()  # doctest: +SKIP
    >>> @schema  # doctest: +SKIP
    ... class FastTrials(dj.Computed):
    ...     definition = "-> behavior.TrialSet"
    """
    from pipeline.database import personal, registry  # start-up time

    return personal.personal_schema(registry.connection(), account)


def session(eid: str) -> dict[str, Any]:
    """The primary key of the session with this eid, to restrict any table by.

    Raises
    ------
    pipeline.errors.NeurojointError : there is no such session.

    Examples
    --------
    >>> behavior.TrialSet & session("431e7140-8444-4d4d-aca0-1526a2ac136a")  # doctest: +SKIP
    """
    from pipeline.database import registry  # start-up time
    from pipeline.errors import NeurojointError  # start-up time

    keys = (registry.bind("acquisition").Session & {"eid": str(eid).lower()}).keys()
    if not keys:
        raise NeurojointError(f"no session has the eid {eid}", "see `acquisition.Session`, column eid")
    return keys[0]


def __getattr__(name: str) -> Any:
    if name in SCHEMAS:
        return importlib.import_module(f"pipeline.schemas.{name}")
    if name in _MOVED:
        return importlib.import_module(_MOVED[name])
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
