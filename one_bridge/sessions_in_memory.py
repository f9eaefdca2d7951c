"""Sessions in memory, for questions that come faster than changes.

The terms of `one_bridge.terms` say what a search means; here their restrictions are looked up in columns in place of
the database. What is committed meanwhile, by whatever program, is taken over row by row.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from one_bridge import query
from one_bridge.matching import Comparison, Reading, matching, one_of, values_of
from one_bridge.terms import projects_of_sessions
from one_bridge.unchanged import Answers, State, question
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import acquisition

TERMS = frozenset({"subject", "nickname", "lab", "laboratory", "number", "date_range", "task_protocol", "project",
                   "projects"})  # fmt: skip
"""What is looked up here: each needs a column of sessions. In the others, the database is faster with all terms of a
search at once."""
_COMPARE = {">=": pc.greater_equal, "<=": pc.less_equal}
_FAR = 2**30  # transactions; PostgreSQL tells which of two is older as long as they are less than 2**31 apart
_MOST = 500  # sessions; of more that changed, all are read again

# `age` is asked for the row first: a transaction that begins between the two can only let one row more through.
_COUNT = """
SELECT pg_current_snapshot()::text, pg_postmaster_start_time()::text, sessions.n, sessions.places, members.n,
    members.places
FROM (SELECT count(*) AS n, array_agg(ctid) FILTER (WHERE age(xmin) <= age('{xid}'::xid))::text AS places
    FROM {session}) AS sessions,
    (SELECT count(*) AS n, array_agg(ctid) FILTER (WHERE age(xmin) <= age('{xid}'::xid))::text AS places
    FROM {project}) AS members
"""
_CHANGED = """
WITH changed AS MATERIALIZED (
    SELECT eid FROM {session} WHERE ctid = ANY('{sessions}'::tid[]) UNION
    SELECT eid FROM {project} JOIN {session} USING (lab, subject, session_date, session_number)
    WHERE {project}.ctid = ANY('{members}'::tid[])
)
SELECT pg_current_snapshot()::text, json_agg(json_build_array(
    one.eid, one.lab, one.subject, one.session_date, one.session_number, one.task_protocol,
    coalesce(joined.projects, ''), joined.n_projects))
FROM changed JOIN {session} AS one ON one.eid = changed.eid,
LATERAL (SELECT string_agg(project, ',' ORDER BY project) AS projects, count(*) AS n_projects FROM {project} AS its
    WHERE its.lab = one.lab AND its.subject = one.subject AND its.session_date = one.session_date
    AND its.session_number = one.session_number) AS joined
"""


class SessionsInMemory:
    """All sessions, newest first, as they were when this was made or when it last followed.

    Parameters
    ----------
    uuids : from texts of identifiers to uuids.
    """

    def __init__(self, uuids: Any) -> None:
        rows = query.newest_first(fetch_columns(acquisition.Session, "eid", *query.SESSION_KEY, "task_protocol"))
        joined = fetch_columns(projects_of_sessions(), *query.SESSION_KEY, "joined_projects", "n_projects")
        place = pa.array(np.arange(rows.num_rows))
        rows = rows.append_column("place", place).join(joined, list(query.SESSION_KEY), join_type="left outer")
        rows = rows.sort_by("place").drop_columns("place")
        projects = pc.fill_null(rows["joined_projects"].cast(pa.string()), "")
        n = pc.fill_null(rows["n_projects"].cast(pa.string()).cast(pa.int64()), 0)
        rows = rows.drop_columns(["joined_projects", "n_projects"])
        self._rows = rows.append_column("projects", projects).append_column("n_projects", n).combine_chunks()
        self._of_texts = uuids
        self._uuids = np.array(uuids(self._rows["eid"].to_pylist()), dtype=object)
        self._masks = Answers()

    def search(self, terms: Mapping[str, Any], reading: Reading) -> list[UUID]:
        """The sessions that match all terms, each of which is one of `TERMS`; of `reading` there is no tag."""
        wanted = np.ones(len(self._uuids), bool)
        for name, value in terms.items():
            asked = question(name, value, reading.style, reading.wildcards)
            wanted &= self._masks.get(asked, partial(self._mask, name, value, reading))
        return self._uuids[wanted].tolist()

    def follow(self, since: State) -> State | None:
        """Take over what was committed since a state, which is not later than that in which the rows here were read.

        A row that PostgreSQL shows now either was seen in that state, and is here, or names a transaction that was not
        over then, and is read again. So there can be too many rows here, but none too few; as many means the same.

        Returns
        -------
        The state in which the sessions are now here; None where rows are gone, or many changed, and all must be read
        again.
        """
        oldest, connection = int(since[0].partition(":")[0]), acquisition.Session().connection
        tables = {"session": acquisition.Session().full_table_name}
        tables["project"] = acquisition.SessionProject().full_table_name
        counted = connection.query(_COUNT.format(xid=oldest % 2**32, **tables)).fetchone()
        snapshot, start, n_sessions, sessions, n_members, members = counted
        if start != since[1] or int(snapshot.split(":")[1]) - oldest > _FAR:
            return None
        if sessions or members:
            places = {"sessions": sessions or "{}", "members": members or "{}"}
            if max(place.count("(") for place in places.values()) > _MOST:
                return None
            now, changed = connection.query(_CHANGED.format(**places, **tables)).fetchone()
            if now != snapshot:  # more was committed between the two statements
                return None
            self._replace(changed)
        here = self._rows.num_rows, pc.sum(self._rows["n_projects"], min_count=0).as_py()
        return (snapshot, start) if here == (n_sessions, n_members) else None

    def _replace(self, changed: Sequence[Sequence[Any]]) -> None:
        """Put the rows of these sessions, as `_CHANGED` gives them, where they belong, and away where they were."""
        columns = dict(zip(self._rows.column_names, map(list, zip(*changed, strict=True)), strict=True))
        columns["session_date"] = [datetime.date.fromisoformat(day) for day in columns["session_date"]]
        new = query.newest_first(pa.table(columns, self._rows.schema))
        away = np.flatnonzero(pc.is_in(self._rows["eid"], new["eid"].combine_chunks()))
        kept = _without(self._rows, away)
        days = -kept["session_date"].cast(pa.int32()).to_numpy()
        places = [self._place(row, kept, days) for row in new.to_pylist()]
        bounds = [0, *places, kept.num_rows]
        parts = [part for n, (start, end) in enumerate(itertools.pairwise(bounds))
                 for part in (kept.slice(start, end - start), new.slice(n, 1))]  # fmt: skip
        self._rows = pa.concat_tables(parts).combine_chunks()
        self._uuids = np.insert(np.delete(self._uuids, away), places, self._of_texts(new["eid"].to_pylist()))
        self._masks = Answers()

    @staticmethod
    def _place(row: Mapping[str, Any], rows: pa.Table, days: np.ndarray) -> int:
        """Where a session belongs among others, newest first, of which `days` are the days, the latest first."""
        day = -(row["session_date"] - datetime.date(1970, 1, 1)).days
        first, end = np.searchsorted(days, day, "left"), np.searchsorted(days, day, "right")
        on_the_day = rows.select(["subject", "session_number", "eid"]).slice(first, end - first).to_pylist()
        own = row["subject"], row["session_number"]
        for place, one in enumerate(on_the_day, int(first)):
            other = one["subject"], one["session_number"]
            if other < own or (other == own and one["eid"] > row["eid"]):
                return place
        return int(end)

    def _mask(self, name: str, value: Any, reading: Reading) -> np.ndarray:
        mask = np.ones(len(self._uuids), bool)
        if name in ("project", "projects"):  # what is wanted is found in the names of all projects of a session
            names = pc.unique(self._rows["projects"]).to_pylist()
            return mask & self._meets(one_of("projects", matching(names, values_of(value, reading), reading)))
        for restriction in query.SESSION_TERMS[name](value, reading, {name: value}):
            mask &= self._meets(restriction)
        return mask

    def _meets(self, restriction: Comparison | list) -> np.ndarray:
        if not isinstance(restriction, Comparison):  # a choice among nothing
            return np.zeros(len(self._uuids), bool)
        column = self._rows[restriction.column]
        if restriction.operator == "IN":
            wanted = set(restriction.value)
            present = [value for value in pc.unique(column).to_pylist() if value in wanted]
            return pc.is_in(column, pa.array(present, column.type)).to_numpy()
        return _COMPARE[restriction.operator](column, pa.scalar(restriction.value, column.type)).to_numpy()


def _without(rows: pa.Table, places: np.ndarray) -> pa.Table:
    bounds = itertools.pairwise([-1, *places.tolist(), rows.num_rows])
    return pa.concat_tables(rows.slice(start + 1, end - start - 1) for start, end in bounds)
