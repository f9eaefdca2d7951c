"""Third step: resolved comparisons become restrictions of tables, in SQL that both backends read.

A condition is one SQL text over the columns of an endpoint's rows; relations are sub-selects. What SQL would say
differently on each backend (JSON, parts of times in the zone of a lab) is looked at in Python, and becomes the keys of
the rows that match. Values are always written as literals by `one_bridge.matching.literal`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import datajoint as dj
from datajoint.condition import extract_column_names

from one_bridge import query
from one_bridge.server import values
from one_bridge.server.endpoint_model import Endpoint, Field, Many, NotFound, Relation, table
from one_bridge.server.endpoints import ENDPOINTS
from one_bridge.server.query import evaluate, times
from one_bridge.server.query.evaluate import ORDER_LOOKUPS, TEXT_LOOKUPS
from one_bridge.server.query.identifiers import by_id
from one_bridge.server.query.resolve import Comparison, Condition, Resolved
from pipeline.web.threads import Database

NONE, ALL = "1=0", "1=1"


class Listed:
    """The rows of a list, and what restricts them.

    Attributes
    ----------
    own : the rows of the endpoint's own table.
    """

    def __init__(self, endpoint: Endpoint, own: dj.expression.QueryExpression) -> None:
        self.endpoint, self.own = endpoint, own
        self._others: list[Any] = []
        self._beyond = set(endpoint.base().heading.names) - set(own.heading.names)

    @property
    def rows(self) -> dj.expression.QueryExpression:
        """The rows with all that is joined to them."""
        rows = self.endpoint.base(self.own)
        for item in self._others:
            rows = restrict(rows, item)
        return rows

    @property
    def counted(self) -> dj.expression.QueryExpression:
        """As many rows, with as little as possible joined to them."""
        return self.rows if self._others else self.own

    def restrict(self, condition: Any) -> None:
        """Keep the rows that meet a condition; before anything is joined, if it looks at the table alone."""
        if columns_of(condition) & self._beyond:
            self._others.append(condition)
        else:
            self.own = restrict(self.own, condition)


def restrict(rows: dj.expression.QueryExpression, condition: Any) -> dj.expression.QueryExpression:
    """Rows that meet a condition, which may have sub-selects: DataJoint would look for their columns in the rows."""
    if not isinstance(condition, str) or "SELECT" not in condition:
        return rows & condition
    columns = sorted(columns_of(condition) & set(rows.heading.names))
    result = rows & (" AND ".join(f"{column} IS NOT NULL" for column in columns) or ALL)
    result.restriction[-1] = condition.replace("%", "%%")
    return result


def columns_of(condition: Any) -> set[str]:
    """The columns that a restriction looks at, but for those of sub-selects."""
    if isinstance(condition, str):
        return extract_column_names(without_sub_selects(condition))
    if isinstance(condition, dj.Not):
        return columns_of(condition.restriction)
    if isinstance(condition, list):
        return set().union(*map(columns_of, condition))
    return set(condition) if isinstance(condition, dict) else set(condition.heading.names)


def without_sub_selects(sql: str) -> str:
    """SQL with `(SELECT …)` left out; brackets in quotes do not count."""
    kept, depth, hidden, quoted = [], 0, 0, ""
    for at, sign in enumerate(sql):
        if quoted:
            quoted = "" if sign == quoted else quoted
        elif sign in "'\"`":
            quoted = sign
        elif sign == "(":
            depth += 1
            if not hidden and sql.startswith("SELECT", at + 1):
                hidden = depth
        elif sign == ")":
            depth -= 1
            if hidden > depth:
                hidden = 0
                continue
        if not hidden:
            kept.append(sign)
    return "".join(kept)


def restricted(resolved: Resolved, database: Database) -> Listed:
    """The rows of a list."""
    endpoint = resolved.endpoint
    search = getattr(query, endpoint.search) if resolved.terms else None
    listed = Listed(endpoint, search(resolved.terms, query.Reading("alyx")) if search else table(endpoint.table)())
    writer = Conditions(database)
    if resolved.ids is not None:
        listed.restrict([_by_id(endpoint, id_, database) for id_ in resolved.ids])
    for restriction in resolved.restrictions:
        meaning = restriction.field.restrict
        listed.restrict([meaning(text, database.backend) for text in restriction.values if meaning is not None])
    if resolved.days is not None:
        low, high = (datetime.datetime.combine(day, datetime.time()) for day in resolved.days)
        of_day = Field(endpoint.dates, endpoint.dates, "time")
        listed.restrict(writer.within(endpoint, of_day, [(low, high + datetime.timedelta(days=1))]))
    in_python = [item for item in resolved.conditions if not item.steps and is_in_python(item.comparison)]
    for condition in (*(item for item in resolved.conditions if item not in in_python), *in_python):
        listed.restrict(writer.condition(condition, listed))  # these last: they look at the rows that are left
    return listed


def is_in_python(comparison: Comparison) -> bool:
    """Whether rows have to be looked at."""
    target = comparison.target
    if not isinstance(target, Field) or comparison.lookup == "isnull":
        return isinstance(target, Field) and target.kind == "json" and bool(comparison.path)
    if target.kind == "json":
        return not comparison.lookup.endswith("regex")
    by_day = target.day and comparison.part in evaluate.DATE_PARTS
    return target.kind == "time" and not by_day and times.intervals(comparison) is None


class Conditions:
    """Writes conditions as SQL.

    Parameters
    ----------
    database : Database
        Whose backend it is for; asked for time zones, and for rows that are looked at in Python.
    """

    def __init__(self, database: Database) -> None:
        self.database, self.backend = database, database.backend
        self._zones: dict[str, list[str]] | None = None

    def condition(self, condition: Condition, within: Listed | None = None) -> str:
        """A condition over the columns of the endpoint that it starts from."""
        comparison, steps = condition.comparison, list(condition.steps)
        if comparison.target is None:  # is there a related row?
            sql = self._through(*steps.pop(), None)
            sql = f"({sql}) IS NOT TRUE" if comparison.values[0] else sql
        else:
            sql = self.comparison(comparison, within if not steps else None)
        is_absent = comparison.lookup == "isnull" and comparison.values[0]
        for step in reversed(steps):
            there = self._through(*step, sql, comparison.endpoint if step is steps[-1] else None)
            # As in Django, what is absent has no value either.
            sql = f"{there} OR ({self._through(*step, None)}) IS NOT TRUE" if is_absent else there
        return f"({sql}) IS NOT TRUE" if condition.negated else f"({sql})"

    def comparison(self, comparison: Comparison, within: Listed | None = None) -> str:
        """A comparison over the columns of its own endpoint."""
        target, lookup, wanted = comparison.target, comparison.lookup, comparison.values
        if isinstance(target, Many):
            return self._of_names(comparison.endpoint, target, comparison)
        if target is None:
            raise AssertionError("whether there is a related row is a condition, not a comparison")
        if target.kind == "token":
            return " OR ".join(f"({_by_id(comparison.endpoint, value, self.database)})" for value in wanted) or NONE
        if target.restrict is not None and target.sql is None:
            return self._of_restriction(comparison, target)
        column = target.sql(self.backend) if target.sql else target.column
        if column == "NULL":
            return ALL if wanted[0] is True and lookup == "isnull" or None in wanted else NONE
        if lookup == "isnull" and target.day:  # the day is always known
            return NONE if wanted[0] else ALL
        if lookup == "isnull" and not (target.kind == "json" and comparison.path):
            return f"{column} IS NULL" if wanted[0] else f"{column} IS NOT NULL"
        if target.kind == "json":
            return self._of_json(comparison, column, within)
        if target.kind == "time":
            return self._of_time(comparison, target, column, within)
        if comparison.part:
            column = times.part_of_day(column, comparison.part, self.backend) if comparison.part != "date" else column
            return self._of_column(Field(target.name, kind="int"), column, lookup, wanted)
        if target.among and not lookup.endswith("regex"):
            matching = [stored for stored, name in target.among().items() if evaluate.matches(name, lookup, wanted)]
            among = query.one_of(target.column, matching)
            return among if isinstance(among, str) and among else NONE
        if target.kind == "bool" or target.ranks or target.words:
            return self._of_few(target, column, lookup, wanted)
        return self._of_column(target, column, lookup, wanted)

    def within(self, endpoint: Endpoint, target: Field, intervals: Sequence[tuple[Any, Any]]) -> str:
        """Whether a time lies in one of some half-open intervals of local time; None: without end."""
        column = target.column
        choices = []
        for zone, labs in self.zones(endpoint).items():
            of_zone = [
                times.between(column, target.day, (times.local(low, zone), times.local(high, zone)), zone, self.backend)
                for low, high in intervals
            ]
            inside = " OR ".join(of_zone) or NONE
            choices.append(f"({query.one_of('lab', labs) or NONE}) AND ({inside})" if labs is not None else inside)
        return " OR ".join(f"({choice})" for choice in choices) or NONE

    def zones(self, endpoint: Endpoint) -> Mapping[str, list[str] | None]:
        """Time zone -> the labs in it, of rows that belong to labs; else UTC for all."""
        if "lab" not in endpoint.base().heading.names:
            return {"UTC": None}
        if self._zones is None:
            self._zones = {}
            for row in self.database.select(table("lab.Lab")(), ["lab", "time_zone"]):
                self._zones.setdefault(times.known_zone(row["time_zone"]), []).append(row["lab"])
        return self._zones

    def _through(self, endpoint: Endpoint, relation: Relation, inner: str | None, there: Endpoint | None = None) -> str:
        """Rows whose related rows meet a condition; with None, that have related rows."""
        there = there or ENDPOINTS[relation.endpoint]
        related = Listed(there, table(there.table)())
        if inner is not None:
            related.restrict(inner)
        theirs = relation.theirs or relation.on
        rows = related.counted if set(theirs) <= set(related.counted.heading.names) else related.rows
        selected = self._select(rows, theirs)
        if relation.via or relation.rows:
            link = relation.rows() if relation.rows else table(relation.via)()
            selected = self._select(restrict(link, f"({', '.join(theirs)}) IN ({selected})"), relation.on)
        return f"({', '.join(relation.on)}) IN ({selected})"

    def _select(self, rows: dj.expression.QueryExpression, columns: Sequence[str]) -> str:
        """The values of some columns as a sub-select; null is no value."""
        present = [name for name in rows.heading.names if name in columns]
        sql = rows.make_sql(present).replace("%%", "%")
        there = " AND ".join(f"{name} IS NOT NULL" for name in columns)
        return f"SELECT {', '.join(columns)} FROM ({sql}) AS related WHERE {there}"

    def _of_names(self, endpoint: Endpoint, many: Many, comparison: Comparison) -> str:
        """Rows that have one of some names in a list of theirs."""
        names = many.rows() if many.rows else table(many.table)()
        heading, lookup = names.heading.names, comparison.lookup
        shared = [name for name in table(endpoint.table)().primary_key if name in heading]
        shared = shared or [name for name in heading if name in endpoint.base().heading.names]
        if lookup == "isnull" or None in comparison.values:
            without = f"({', '.join(shared)}) IN ({self._select(names, shared)})"
            return without if lookup == "isnull" and not comparison.values[0] else f"({without}) IS NOT TRUE"
        field = Field(many.name, many.column, many.kind)
        names &= self._of_column(field, many.column, lookup, comparison.values)
        return f"({', '.join(shared)}) IN ({self._select(names, shared)})"

    def _of_restriction(self, comparison: Comparison, target: Field) -> str:
        """What a field means by a value, where that is more than comparing a column."""
        endpoint = comparison.endpoint
        key = table(endpoint.table)().primary_key
        choices = []
        for value in comparison.values:
            text = str(bool(value)) if target.kind == "bool" else str(value)
            rows = endpoint.base() & (target.restrict(text, self.backend) if target.restrict else ALL)
            choices.append(f"({', '.join(key)}) IN ({self._select(rows, key)})")
        return " OR ".join(choices) or NONE

    def _of_few(self, target: Field, column: str, lookup: str, wanted: Sequence[Any]) -> str:
        """A field with few values: each is compared here, by its number or its name."""
        if target.kind == "bool":
            shown: Mapping[Any, Any] = {True: 1, False: 0}
            names: Mapping[Any, str] = {True: "true", False: "false"}
        else:
            stored = list(target.ranks or target.spoken)
            names = {item: target.spoken.get(item, item) for item in stored}
            shown = target.ranks or names
        compared = names if lookup in TEXT_LOOKUPS else shown
        present = [value for value in wanted if value is not None]
        matching = [stored for stored in shown if present and evaluate.matches(compared[stored], lookup, present)]
        listed = ", ".join(values.literal(item, self.backend) for item in matching)
        choices = [f"{column} IN ({listed})"] if matching else []
        if None in wanted and lookup in ("exact", "in"):
            choices.append(f"{column} IS NULL")
        return " OR ".join(choices) or NONE

    def _of_column(self, target: Field, column: str, lookup: str, wanted: Sequence[Any]) -> str:
        """A comparison that SQL makes itself."""
        backend = self.backend
        if lookup in TEXT_LOOKUPS:
            return " OR ".join(_like(_as_text(column, backend), lookup, value, backend) for value in wanted) or NONE
        if target.choices:
            column = _as_text(column, backend)  # an enum of PostgreSQL refuses words that it does not have
        listed = [values.literal(value, backend) for value in wanted if value is not None]
        if lookup in ("exact", "in"):
            choices = [f"{column} IN ({', '.join(listed)})"] if listed else []
            return " OR ".join([*choices, *([f"{column} IS NULL"] if None in wanted else [])]) or NONE
        if lookup == "range":
            return f"{column} BETWEEN {listed[0]} AND {listed[1]}"
        return " OR ".join(f"{column} {ORDER_LOOKUPS[lookup][0]} {item}" for item in listed) or NONE

    def _of_time(self, comparison: Comparison, target: Field, column: str, within: Listed | None) -> str:
        intervals = times.intervals(comparison)
        if intervals is not None:
            sql = self.within(comparison.endpoint, target, intervals)
            return f"{sql} OR {column} IS NULL" if None in comparison.values and not target.day else sql
        if target.day and comparison.part in evaluate.DATE_PARTS:
            day = times.part_of_day(target.day, comparison.part, self.backend)
            return self._of_column(Field(target.name, kind="int"), day, comparison.lookup, comparison.values)
        wanted = [item for item in comparison.values if item is not None]

        def fits(row: Mapping[str, Any]) -> bool:
            local = times.shown_time(row, target, column, zone_of.get(str(row.get("lab")), "UTC"))
            if local is None:
                return False
            value = evaluate.part_of(local, comparison.part)
            return evaluate.matches(
                str(value) if comparison.lookup in TEXT_LOOKUPS else value, comparison.lookup, wanted
            )

        zones = self.zones(comparison.endpoint)
        zone_of = {lab: zone for zone, labs in zones.items() for lab in labs or ()}
        needed = [name for name in (column, target.day, "lab") if name]
        there = ALL if target.day else f"{column} IS NOT NULL"
        return self._in_python(comparison.endpoint, there, needed, fits, within)

    def _of_json(self, comparison: Comparison, column: str, within: Listed | None) -> str:
        lookup, path, wanted = comparison.lookup, comparison.path, comparison.values[0]
        if column == "NULL":
            return ALL if lookup == "isnull" and wanted else NONE
        if not path and lookup == "exact" and wanted is None:
            return f"{column} IS NULL"
        if lookup.endswith("regex"):
            return self._json_regex(column, path, lookup, str(wanted))
        is_absent = lookup == "isnull" and wanted
        if is_absent:
            wanted = False  # those that have it are left out
        name = next((item for item in path if not item.isdecimal()), "")
        text = _as_text(column, self.backend)
        there = _like(text, "contains", f'"{name}"', self.backend) if name else f"{column} IS NOT NULL"

        def fits(row: Mapping[str, Any]) -> bool:
            return evaluate.json_matches(row[column], path, lookup, wanted)

        sql = self._in_python(comparison.endpoint, there, [column], fits, None if is_absent else within)
        return f"({sql}) IS NOT TRUE" if is_absent else sql

    def _json_regex(self, column: str, path: Sequence[str], lookup: str, pattern: str) -> str:
        """In the database, which gives up in time."""
        if self.backend == "postgresql":
            keys = values.literal("{" + ",".join(path) + "}", self.backend)
            text = f"(CAST({column} AS JSONB) #>> {keys})"
        else:
            keys = "$" + "".join(f"[{item}]" if item.isdecimal() else f'."{item}"' for item in path)
            text = f"(JSON_UNQUOTE(JSON_EXTRACT({column}, {values.literal(keys, self.backend)})) COLLATE UTF8MB4_BIN)"
        return _like(text, lookup, pattern, self.backend)

    def _in_python(
        self, endpoint: Endpoint, there: str, needed: Sequence[str], fits: Callable[[Mapping[str, Any]], bool],
        within: Listed | None,
    ) -> str:  # fmt: skip
        """The rows that fit, by their keys."""
        rows = restrict(within.rows if within is not None else endpoint.base(), there)
        key = [endpoint.unique] if endpoint.unique else table(endpoint.table)().primary_key
        names = [name for name in (*key, *needed) if name in rows.heading.names]
        matching = [row for row in self.database.select(rows, names) if fits(row)]
        return values.key_condition(key, matching, self.backend)


def _by_id(endpoint: Endpoint, text: str, database: Database) -> str:
    try:
        return by_id(endpoint, text, database)
    except NotFound:
        return NONE


def _as_text(column: str, backend: str) -> str:
    return f"CAST({column} AS {'TEXT' if backend == 'postgresql' else 'CHAR'})"


def _like(column: str, lookup: str, text: str, backend: str) -> str:
    """SQL that compares text; `!` escapes what LIKE takes for a wildcard."""
    if lookup in ("regex", "iregex"):
        if backend == "postgresql":
            return f"{column} {'~*' if lookup == 'iregex' else '~'} {values.literal(text, backend)}"
        flag = "(?i)" if lookup == "iregex" else "(?-i)"
        return f"{column} REGEXP {values.literal(flag + text, backend)}"
    if lookup.startswith("i"):
        column, text, lookup = f"LOWER({column})", text.lower(), lookup[1:]
    if lookup == "exact":
        return f"{column} = {values.literal(text, backend)}"
    escaped = re.sub(r"([!%_])", r"!\1", text)
    pattern = {"contains": f"%{escaped}%", "startswith": f"{escaped}%", "endswith": f"%{escaped}"}[lookup]
    return f"{column} LIKE {values.literal(pattern, backend)} ESCAPE '!'"
