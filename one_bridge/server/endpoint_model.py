"""What an endpoint is made of: fields, lists kept in tables of their own, nested records, and paths of `django=`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import datajoint as dj

import pipeline
from pipeline.entry import policy
from pipeline.errors import NotFoundError, PermissionDenied, UserError

Kind = Literal["text", "int", "float", "bool", "date", "time", "json", "uuid", "token"]
Verb = Literal["list", "read", "create", "update", "delete"]


@dataclass(frozen=True)
class Field:
    """One value of a record.

    Attributes
    ----------
    name : as Alyx calls it.
    column : of the endpoint's rows that holds it; empty where `getter` makes it.
    kind : of the value; `time` is UTC in the tables and the lab's local time in records.
    filter : the lookup behind `?name=value`; empty: exact. Several values, between commas, mean OR.
    choices : the values there are.
    words : what clients write -> what the column holds; records say the first word for it.
    to : table and label of what the value names, so that a wrong name is told from a wrong value.
    required : in a POST.
    write : may be set by clients.
    detail : only in single records, not in lists.
    inside : only where the record stands inside one of another endpoint, whose `Nested` names the field.
    getter : makes the value from the row; `needs` are the columns that it looks at.
    sql : what filters compare, for a backend, where that is not the column.
    restrict : from one value and the backend to what the filter means, where that is more than comparing the column.
    among : value in the column -> what filters compare, for columns with few different values and an index.
    ranks : stored value -> number, where the values are in an order: filters take either.
    day : of a time, the column with its local day, which the record says even where the time is not known.
    default : of a POST that does not say it; `user`: who sends it; `now`, `today`: when; None: the column's own.
    """

    name: str
    column: str = ""
    kind: Kind = "text"
    filter: str = ""
    choices: tuple[str, ...] = ()
    words: Mapping[str, str] | None = None
    to: tuple[str, str] | None = None
    required: bool = False
    write: bool = True
    detail: bool = False
    inside: bool = False
    getter: Callable[[Mapping[str, Any]], Any] | None = None
    needs: tuple[str, ...] = ()
    sql: Callable[[str], str] | None = None
    restrict: Callable[[str, str], Any] | None = None
    among: Callable[[], Mapping[str, str]] | None = None
    ranks: Mapping[str, int] | None = None
    day: str = ""
    default: Any = None

    @property
    def spoken(self) -> dict[str, str]:
        """What the column holds -> what records say, of `words`."""
        return {stored: word for word, stored in reversed(list((self.words or {}).items()))}


@dataclass(frozen=True)
class Many:
    """A list of names that a table of its own holds, e.g. the users of a session; `single`: their sum, or null.

    Names that begin with `_` are not part of the record: getters use them. `rows`: the query, where it is
    not the whole table. `managed`: changed by managers only.
    """

    name: str
    table: str
    column: str
    to: tuple[str, str] | None = None
    filter: str = ""
    detail: bool = False
    write: bool = True
    single: bool = False
    kind: Kind = "text"
    managed: bool = False
    rows: Callable[[], dj.expression.QueryExpression] | None = None


@dataclass(frozen=True)
class Nested:
    """Records of another endpoint inside a single record: those whose `column` has the value of `id_column`.

    `restrict` gives a further restriction; `keep(parent, row)` says which rows stay.
    """

    name: str
    endpoint: str
    column: str
    id_column: str
    fields: tuple[str, ...]
    detail: bool = True
    restrict: Callable[[], Any] | None = None
    keep: Callable[[Mapping[str, Any], Mapping[str, Any]], bool] | None = None


@dataclass(frozen=True)
class Relation:
    """A path of `django=` from one endpoint to another.

    Attributes
    ----------
    endpoint : of the related records.
    on : columns of this endpoint's rows.
    theirs : columns of the related rows with the same values; by default those of the same names.
    via : a table that links both: its columns `on` are those of this endpoint, its columns `theirs` those of the other.
    rows : a query that links both in this way, where it is no table.
    by_name : the relation to follow instead where the name of the related record is compared: the client asks
        `datasets__name__icontains` for its term `dataset`, which means the files of the session.
    """

    endpoint: str
    on: tuple[str, ...]
    theirs: tuple[str, ...] = ()
    via: str = ""
    rows: Callable[[], dj.expression.QueryExpression] | None = None
    by_name: Relation | None = None


@dataclass(frozen=True)
class Endpoint:
    """One collection of records with all its verbs.

    Attributes
    ----------
    name : first part of the address.
    label : of one record, in messages.
    table : that is written, as `schema.Table`.
    rows : joins to rows of the table what the records say of their parents; neither adds nor drops a row.
    id : the columns that identify a record in the address; more than one become a token.
    alias : another column that also finds a record, e.g. the uuid of a subject.
    search, terms : the function of `one_bridge.query` that filters, and parameter -> its term.
    paths : parameter -> the path of `django=` that it is short for.
    filters : parameters that are no values of the records.
    dates : the column of time that `?date_range=` looks at, where the query core does not.
    order : of lists.
    aside : another endpoint whose records this one gives too: each is found by its identifier.
    is_aside : whether a list is about those records; without it, where `django=session__isnull,True` asks for them.
    writes_aside : whether the records there are those that are created, changed and deleted.
    verbs : what can be done.
    owner : the column with the person who entered the record, where members may delete their own only.
    create, update : what is done beyond setting columns; see `one_bridge.server.writing`.
    kept : whether lists may be some seconds old.
    hook_inputs : names in a body that `create` and `update` read though no column is set by them -> the verbs.
    own_verbs : further verbs, which have routes of their own.
    for_members : fields that members may change where it takes more to change others.
    for_managers : fields that members may not set, though they may set others -> the values that are meant; none: any.
    bulk : whether a POST may hold a list of records.
    unused : fields that clients send and that mean nothing here.
    """

    name: str
    label: str
    table: str
    id: tuple[str, ...]
    fields: tuple[Field, ...]
    rows: Callable[[Any], dj.expression.QueryExpression] | None = None
    alias: str = ""
    many: tuple[Many, ...] = ()
    nested: tuple[Nested, ...] = ()
    relations: Mapping[str, Relation] = field(default_factory=dict)
    search: Literal["", "sessions", "insertions", "datasets", "trajectories", "channels", "fields_of_view", "rois"] = ""
    terms: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    filters: tuple[Field, ...] = ()
    dates: str = ""
    order: tuple[str, ...] = ()
    aside: str = ""
    is_aside: Callable[[Any], bool] | None = None
    writes_aside: bool = False
    verbs: tuple[Verb, ...] = ("list", "read", "create", "update", "delete")
    owner: str = ""
    create: str = ""
    update: str = ""
    kept: bool = True
    for_members: tuple[str, ...] = ()
    for_managers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bulk: bool = False
    unused: tuple[str, ...] = ()
    own_verbs: tuple[Verb, ...] = ()
    hook_inputs: Mapping[str, tuple[Verb, ...]] = field(default_factory=dict)

    @property
    def write(self) -> str:
        """The role of an account from which on a request to write is looked at; see `pipeline.entry.rights`."""
        return policy.account_needed(self.table)

    @property
    def delete(self) -> str:
        """The same of a request to delete."""
        return policy.account_needed(self.table, removing=True)

    @property
    def unique(self) -> str:
        """The one column that tells any two rows apart; empty where it takes several."""
        if self.alias.endswith("uuid"):
            return self.alias
        return self.id[0] if len(self.id) == 1 else ""

    def base(self, rows: dj.expression.QueryExpression | None = None) -> dj.expression.QueryExpression:
        """The query behind the records: rows of the table (all, if none are given) with what is joined to them."""
        rows = table(self.table)() if rows is None else rows
        return rows if self.rows is None else self.rows(rows)

    def field(self, name: str) -> Field | None:
        """The field of this name; `pk` is the identifier."""
        return next((item for item in self.fields if item.name == name), None)


class BadInput(UserError):
    """What a client sent cannot be used: field -> messages. Becomes a 400."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.problems = {field: [message]}

    @classmethod
    def of(cls, problems: dict[str, list[str]]) -> BadInput:
        """Several problems at once: field -> messages."""
        name, messages = next(iter(problems.items()))
        error = cls(name, messages[0])
        error.problems = problems
        return error


class NotFound(NotFoundError):
    """There is no such record. Becomes a 404."""

    def __init__(self, message: str = "Not found.") -> None:
        super().__init__(message)


class Refused(PermissionDenied):
    """The account may not do this. Becomes a 403; `body` replaces the usual one."""

    def __init__(self, message: str, body: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.body = body


def table(name: str) -> type[dj.Table]:
    """The class of a table by its name.

    >>> table("acquisition.Session").__name__
    'Session'
    """
    schema, *path = name.split(".")
    target = getattr(pipeline, schema)
    for part in path:
        target = getattr(target, part)
    return target
