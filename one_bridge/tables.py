"""The class's way to the database: joining it, the frames of one session, and DataJoint tables by experiment id."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

import datajoint as dj
import pandas as pd
import pyarrow as pa
from iblutil.util import Bunch
from one import util
from one.alf.cache import default_cache
from one.alf.path import ALFPath
from one.alf.spec import is_uuid
from one.converters import session_record2path

import pipeline
from one_bridge import file_locations, frames, query
from one_bridge.matching import Reading, by_ids
from pipeline.database import registry
from pipeline.errors import NotFoundError, UserError
from pipeline.schemas import acquisition, data

_PATH = ("rel_path", "dataset_qc")
_FIRST = 64  # sessions
_NEEDED = ("lab", "subject", "action", "acquisition", "data")


def join_database() -> None:
    """Connect, unless this process is connected, and bind the tables that ONE needs; creates nothing.

    Raises
    ------
    NeurojointError : no database, or one without tables.
    """
    if not acquisition.schema.is_activated():
        tune(pipeline.connect(create=False, schemas=_NEEDED))
    elif not acquisition.schema.connection.is_connected:
        tune(pipeline.connect(create=False))


def tune(opened: dj.Connection) -> None:
    """Let PostgreSQL join all files in memory and look rows up by index, which halves the searches by dataset.

    Without `enable_memoize` it joins the sessions of a project at once, and not one by one, each of which differs.
    """
    if opened.adapter.backend == "postgresql":
        opened.query("SET enable_memoize=off")
        opened.query("SET work_mem='64MB'")
        opened.query("SET random_page_cost=1.1")


def can_be_unwrapped(method: Callable) -> Callable:
    """Let the parent take a method apart: of methods that its own decorators wrap it calls
    `inspect.unwrap(self.method)(self, …)`, and gets a function of the instance only if there is a wrapper here too.
    """

    @functools.wraps(method)
    def wrapper(self: Any, *args: Any, **options: Any) -> Any:
        return method(self, *args, **options)

    return wrapper


def uuids(texts: Iterable[str]) -> list[UUID]:
    """The uuids of texts that are known to be such."""
    return list(map(_uuid, texts))


@functools.lru_cache(maxsize=1 << 16)
def _uuid(text: str) -> UUID:
    """Searches give the same sessions again and again, and making a uuid is most of their cost."""
    return UUID(int=int(text.replace("-", ""), 16))


class Tables:
    """What the parts of `one_bridge.ONE` share, and `table` and `eids`, where both worlds meet."""

    # of the classes that are joined in `one_bridge.ONE`
    to_eid: Callable[..., Any]
    wildcards: bool
    _search_terms: Any
    cache_dir: Any

    tag: str | None
    _mirror: Path | None

    def table(self, name: str, eid: Any = None) -> dj.Table:
        """A DataJoint table, restricted to the rows of one or more sessions.

        Parameters
        ----------
        name : schema and table, e.g. `behavior.TrialSet` or `behavior.TrialSet.Trial`.
        eid : any session identifier, or a list of them; all rows without.

        Raises
        ------
        NeurojointError : no such table, or one whose rows belong to no session.
        ValueError : no such session.
        """
        table = _table_class(name)()
        if eid is None:
            return table
        eids = self.to_eid(eid)
        eids = eids if isinstance(eids, list) else [eids]
        sessions = acquisition.Session() & by_ids("eid", eids)
        if None in eids or len(sessions) < len(set(map(str, eids))):
            raise ValueError(f'Cannot parse session ID "{eid}" (session may not exist)')
        shared = [column for column in query.SESSION_KEY if column in table.heading.names]
        if shared:
            keys = sessions.proj() if len(shared) == len(query.SESSION_KEY) else dj.U(*shared) & sessions
            return table & keys
        if "dataset_id" in table.heading.names:
            return table & (data.Dataset() & sessions.proj()).proj()
        raise UserError(f"the rows of {name} belong to no session", f"use one.table({name!r}) for all of them")

    def eids(self, rows: dj.expression.QueryExpression) -> list[UUID]:
        """The sessions that DataJoint rows belong to, newest first."""
        sessions = query.session_rows(acquisition.Session() & rows.proj(*query.SESSION_KEY), projects=False)
        return uuids(sessions["eid"].to_pylist())

    @property
    def _reading(self) -> Reading:
        return Reading("one", self.wildcards, self.tag)

    def _full_term(self, name: str, more: Iterable[str]) -> str:
        """The whole name of a search term that may be cut short, the client's own terms first."""
        try:
            return util.autocomplete(name, self._search_terms)
        except ValueError as error:
            if "Ambiguous" in str(error) and name not in more:
                raise
            return util.autocomplete(name, tuple(more))

    def _paths(self, wanted: dict[str, Any]) -> pd.DataFrame:
        """The different paths of datasets below their sessions, with QC, in the order in which the table has them."""
        datasets = query.datasets(wanted, self._reading).proj(*query.SESSION_KEY, "rel_path", "dataset_qc")
        pairs = query.fetch_columns(dj.U(*_PATH) & datasets, *_PATH)
        # Most are in the first sessions; only for the others all sessions are searched.
        first = acquisition.Session.proj("eid").to_dicts(order_by="eid", limit=_FIRST)
        early = self._first_places(datasets & [{k: row[k] for k in query.SESSION_KEY} for row in first])
        late = pairs.join(early, list(_PATH), join_type="left anti")
        rows = early
        if late.num_rows:
            rest = self._first_places(datasets & query.one_of("rel_path", late["rel_path"].to_pylist()))
            rows = pa.concat_tables([early, rest.join(early, list(_PATH), join_type="left anti")])
        rows = rows.sort_by("first")
        return frames.paths(rows)

    @staticmethod
    def _first_places(datasets: dj.Table) -> pa.Table:
        places = dj.U(*_PATH).aggr(datasets * acquisition.Session.proj("eid"), first="MIN(CONCAT(eid, dataset_id))")
        return query.fetch_columns(places, *_PATH, "first")

    def _session_frame(self, eids: Iterable[Any]) -> pd.DataFrame:
        sessions = query.sessions(reading=self._reading) & by_ids("eid", eids)
        return frames.frame("sessions", query.session_rows(sessions))

    def _dataset_frame(self, dataset_ids: Iterable[Any]) -> pd.DataFrame:
        datasets = query.datasets(reading=self._reading) & by_ids("dataset_id", dataset_ids)
        return frames.frame("datasets", query.dataset_rows(datasets))

    def _insertions(self, insertions: dj.Table) -> pa.Table:
        """Insertions with what their sessions are."""
        sessions = query.session_rows(acquisition.Session() & insertions.proj())
        rows = query.insertion_rows(insertions).join(sessions, "eid").rename_columns({"eid": "session"})
        return rows.select(["id", "session", *(name for name in rows.column_names if name not in ("id", "session"))])

    def _session_paths(self, given: list[Any]) -> list[ALFPath | None]:
        eids = [str(value if is_uuid(value) else self.to_eid(value)) for value in given]
        if "None" in eids:
            raise ValueError(f"{given[eids.index('None')]} is not a valid eID/UUID string")
        sessions = query.sessions(reading=self._reading) & by_ids("eid", eids)
        rows = {row["eid"]: row for row in query.session_rows(sessions, projects=False).to_pylist()}
        roots = [root for root in (self._mirror, *file_locations.local_roots().values()) if root is not None]
        return [self._session_path(rows[eid], roots) if eid in rows else None for eid in eids]

    def _session_path(self, row: dict[str, Any], roots: list[Path]) -> ALFPath:
        for root in roots:
            if (path := session_record2path(row, root)).is_dir():
                return path
        folder = file_locations.session_folder(acquisition.Session() & {"eid": row["eid"]}, roots)
        return session_record2path(row, self.cache_dir) if folder is None else ALFPath(folder)

    def _reset_cache(self) -> None:
        """Called by the parent: there are no tables in memory, and one that is asked for is read again."""
        self._cache = _OnDemand(_meta=default_cache()["_meta"])


class _OnDemand(Bunch):
    """Stands for the parent's tables in memory: each is fetched when it is looked at, and not kept."""

    def __missing__(self, name: str) -> pd.DataFrame:
        rows = {"sessions": query.session_rows, "datasets": query.dataset_rows, "insertions": query.insertion_rows}
        if name not in rows:
            raise KeyError(name)
        return frames.frame(name, rows[name]()).sort_index()

    def __getattr__(self, name: str) -> pd.DataFrame:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def _table_class(name: str) -> type[dj.Table]:
    schema, _, table = name.partition(".")
    if schema in pipeline.SCHEMAS:
        target: Any = registry.bind(schema)
        for part in table.split("."):
            target = getattr(target, part, None)
        if isinstance(target, type) and issubclass(target, dj.Table):
            return target
    labels = [registry.label(item) for master in registry.tables() for item in (master, *registry.parts(master))]
    near = difflib.get_close_matches(name, labels, 3, 0.4) or labels[:3]
    raise NotFoundError(f"there is no table {name!r}", f"did you mean {', '.join(near)}?")
