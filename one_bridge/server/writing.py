"""Creates, changes and deletes records through `pipeline.entry`: names of the interface to columns, and errors back."""

from __future__ import annotations

import contextlib
import datetime
import functools
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import datajoint as dj

from one_bridge.server import field_getters, read_only, values
from one_bridge.server.endpoint_model import BadInput, Endpoint, Field, Many, Nested, NotFound, Refused, table
from one_bridge.server.experiment_hooks import ExperimentHooks
from one_bridge.server.query.parse import LONGEST_LIST
from one_bridge.server.record_hooks import Related
from one_bridge.server.serialise import Serialiser
from pipeline import entry
from pipeline.alf.names import shown
from pipeline.entry import rights
from pipeline.entry.correcting import correct, correctable
from pipeline.entry.parse import is_blank, parse
from pipeline.entry.policy import Person, person_of
from pipeline.entry.tables import TABLES
from pipeline.provenance.delete import going
from pipeline.web.accounts import Account
from pipeline.web.threads import Database

SOURCE = "rest"


class Writer:
    """Writes records of any endpoint.

    Parameters
    ----------
    database : the tables.
    serialiser : knows the labs' time zones.
    """

    def __init__(self, database: Database, serialiser: Serialiser) -> None:
        self.database, self.serialiser = database, serialiser
        self.hooks = ExperimentHooks(database, serialiser)

    def create(self, endpoint: Endpoint, body: Mapping[str, Any], account: Account) -> str:
        """Create a record; returns the restriction that finds it.

        Raises
        ------
        BadInput : a value is missing, wrong, or names what is not there; or the record exists.
        """
        return self.create_many(endpoint, [body], account)[0]

    def create_many(self, endpoint: Endpoint, bodies: Sequence[Mapping[str, Any]], account: Account) -> list[str]:
        """Create records, all or none; returns the restrictions that find them, in order.

        Raises
        ------
        BadInput : as of `create`; `which` names the record, where there are several.
        """
        write = _Write(endpoint, account)
        restrictions = []
        with self.database.writing():
            for index, body in enumerate(bodies):
                try:
                    with write.errors_as_bad_input():
                        restrictions.append(
                            values.restriction(self._create(write, body, account), self.database.backend)
                        )
                except BadInput as error:
                    if len(bodies) > 1:
                        error.problems |= {"which": [f"record {index + 1} of {len(bodies)}; none was made"]}
                    raise
        self.serialiser.forget()
        return restrictions

    def _create(self, write: _Write, body: Mapping[str, Any], account: Account) -> dict[str, Any]:
        endpoint = write.endpoint
        row = self._columns(endpoint, body, account)
        read_only.check(endpoint, "create", body)
        row |= self._owner(endpoint, body)
        row |= self._key(endpoint, row)
        rights.require_row(write.person, endpoint.table, row)
        related = Related()
        if endpoint.create:
            related = getattr(self.hooks, f"create_{endpoint.create}")(row, body)
        key = write.write(row, related, related.action)
        self._set_lists(write, key, body)
        return key

    def update(
        self, endpoint: Endpoint, restriction: str, body: Mapping[str, Any], account: Account,
        also: Callable[[], None] = lambda: None,
    ) -> str:  # fmt: skip
        """Change what `body` holds of one record; returns the restriction that finds it.

        Parameters
        ----------
        also : done in the same transaction, if the account may change the record.

        Raises
        ------
        NotFound : no such record.
        BadInput : a value is wrong, or is part of what identifies the record and differs.
        """
        write = _Write(endpoint, account)
        with self.database.writing(), write.errors_as_bad_input():
            before = self.find(endpoint, restriction)
            if not body or not set(body) <= set(endpoint.for_members):
                rights.require_row(write.person, endpoint.table, before)
            self._check_read_only(endpoint, restriction, body)
            body, before = self._corrected(write, body, before)
            key = {name: before[name] for name in table(endpoint.table).primary_key}
            row = self._columns(endpoint, body)
            related = Related()
            if endpoint.update:
                related = getattr(self.hooks, f"update_{endpoint.update}")(row, body, before)
            self._check_identity(endpoint, row, body, before)
            write.write(key | row, related, "update")
            self._set_lists(write, key, body)
            also()
        self.serialiser.forget()
        return values.restriction(key, self.database.backend)

    def _check_read_only(self, endpoint: Endpoint, restriction: str, body: Mapping[str, Any]) -> None:
        """Refuse other values of fields that cannot be set; a record that is sent back whole passes."""
        if read_only.names(endpoint, "update") & set(body):
            rows = endpoint.base() & restriction
            record = self.serialiser.records(endpoint, rows, "", detail=True, limit=1)[0]
            read_only.check(endpoint, "update", body, record)

    def _corrected(
        self, write: _Write, body: Mapping[str, Any], before: dict[str, Any]
    ) -> tuple[Mapping[str, Any], dict[str, Any]]:
        """What is left to change, and the row, once the day or time in its key is what the body says."""
        endpoint = write.endpoint
        columns = correctable(TABLES[endpoint.table]) if endpoint.table in TABLES else ()
        fields = [field for field in endpoint.fields if field.column in columns and body.get(field.name) is not None]
        if not fields:
            return body, before
        key = {name: before[name] for name in table(endpoint.table).primary_key}
        key = write.correct(key, {field.column: body[field.name] for field in fields})
        rest = {name: value for name, value in body.items() if name not in {field.name for field in fields}}
        return rest, self.find(endpoint, values.restriction(key, self.database.backend))

    def delete(self, endpoint: Endpoint, restriction: str, account: Account) -> None:
        """Delete one record and its dependent rows.

        Raises
        ------
        NotFound : no such record.
        Refused : a dataset that would go is protected.
        PermissionDenied : it is for others to delete.
        """
        with self.database.working() as connection, connection.transaction:
            row = self.find(endpoint, restriction)
            rights.require_removal(person_of(account.name, account.role), endpoint.table, row)
            target = table(endpoint.table)
            key = {name: row[name] for name in target.primary_key}
            self._refuse_protected(target & values.restriction(key, self.database.backend))
            reason = f"DELETE /{endpoint.name} by {account.name}"[:900]
            entry.remove(endpoint.table, [key], user=account.name, source=SOURCE, reason=reason)
        self.serialiser.forget()

    def find(self, endpoint: Endpoint, restriction: str) -> dict[str, Any]:
        """The row of one record.

        Raises
        ------
        NotFound : no such record.
        BadInput : several animals of different labs have this name.
        """
        rows = self.database.select(endpoint.base() & restriction, limit=2)
        if not rows:
            raise NotFound
        if len(rows) > 1:
            raise BadInput("id", f"Several labs have a {endpoint.label} of this name: use its id.")
        return rows[0]

    def _columns(self, endpoint: Endpoint, body: Mapping[str, Any], creator: Account | None = None) -> dict[str, Any]:
        """Column -> value as it was sent, of what the body says of the record itself; defaults for a new record."""
        parts: tuple[Field | Many | Nested, ...] = (*endpoint.fields, *endpoint.many, *endpoint.nested)
        known = {part.name for part in parts} | set(endpoint.unused)
        for name in body:
            if name not in known:
                raise BadInput(str(name)[:80], f"{endpoint.label} has no such field.")
        row: dict[str, Any] = {}
        for field in endpoint.fields:
            if not field.write or not field.column:
                continue
            if field.name in body:
                value = body[field.name]
            elif creator is not None and field.default is not None:
                value = self._default(field.default, creator)
                if value is None:
                    continue
            else:
                continue
            if field.getter is field_getters.dotted and isinstance(value, str):
                value = value.lstrip(".")
            row[field.column] = value
        return row

    def _owner(self, endpoint: Endpoint, body: Mapping[str, Any]) -> dict[str, Any]:
        """The lab of an animal that is named without it."""
        if endpoint.field("subject") is None or not body.get("subject") or body.get("lab"):
            return {}
        with _as_bad_input("subject"):
            name = parse(entry.field_of("subject.Subject", "subject"), body["subject"])
        there = table("subject.Subject") & values.key_condition(["subject"], [[name]], self.database.backend)
        labs = [row["lab"] for row in self.database.select(there, ["lab"])]
        if not labs:
            raise BadInput("subject", f"there is no animal {shown(name)}: enter it first, or correct the name")
        if len(labs) > 1:
            raise BadInput("lab", f"Several labs have a subject {name}: say which of {', '.join(labs)}.")
        return {"lab": labs[0], "subject": name}

    def _key(self, endpoint: Endpoint, row: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of the key as values of their types: others are asked for by them before the row is written."""
        known = TABLES.get(endpoint.table)
        made: set[str] = set()  # looked up by hooks
        if endpoint.create:
            made = {field.column for field in endpoint.fields if field.getter}
        key: dict[str, Any] = {}
        for name in table(endpoint.table).primary_key:
            column = known.field(name) if known else None
            if name not in row or column is None or name in made:
                continue
            if is_blank(row[name]):
                key[name] = row[name] if isinstance(row[name], str) else None
                continue
            with _as_bad_input(_field_of(endpoint, name)):
                key[name] = parse(column, row[name], self.serialiser.zone(key.get("lab")))
        return key

    def _check_identity(
        self, endpoint: Endpoint, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]
    ) -> None:
        """Take what identifies the record out of `row`; it must be what it is."""
        fixed = {*table(endpoint.table).primary_key, *endpoint.id}
        if endpoint.field("subject") is not None:
            fixed |= {"lab", "subject"}
        zone = self.serialiser.zone(before.get("lab"))
        for name in fixed:
            sent = row.pop(name, None)
            if sent is None and body.get(name) is not None and name in ("lab", "subject"):
                sent = body[name]
            if sent is None:
                continue
            known = entry.entry_of(endpoint.table).field(name)
            with _as_bad_input(_field_of(endpoint, name)):
                if known is not None:
                    sent = parse(known, sent, zone)
            if str(sent) != str(before[name]):
                raise BadInput(_field_of(endpoint, name), "It identifies the record and cannot be changed.")

    def _default(self, default: Any, creator: Account) -> Any:
        """The value of a field that a new record does not state; `user`, `now`, `today`: who sends it, and when."""
        if default == "now":
            return datetime.datetime.now(datetime.UTC).replace(tzinfo=None, microsecond=0)
        if default == "today":
            return datetime.datetime.now(datetime.UTC).date()
        return self._default_user(creator) if default == "user" else default

    def _default_user(self, account: Account) -> str | None:
        """Who sends it, if the pipeline knows them."""
        there = table("lab.LabMember") & values.restriction({"user_name": account.name}, self.database.backend)
        return account.name if self.database.count(there) else None

    def _set_lists(self, write: _Write, key: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        """Make the lists of a record what the body says."""
        for many in write.endpoint.many:
            if many.write and not many.single and body.get(many.name) is not None:
                given = body[many.name]
                wanted = given.split(",") if isinstance(given, str) else given
                if not isinstance(wanted, list) or len(wanted) > LONGEST_LIST:
                    raise BadInput(many.name, "Expected a list of names.")
                write.write_list(many, key, wanted)

    def _refuse_protected(self, rows: dj.Table) -> None:
        """Refuse to delete protected datasets, what belongs to them, and what would take them along."""
        tag = table("data.Tag") & {"tag_protected": True}
        tagged = table("data.DatasetTag") & tag.proj()
        if "tag" in rows.primary_key:
            blocking = table("data.DatasetTag") & (tag & rows.proj()).proj()
        elif "dataset_id" in rows.primary_key:
            blocking = tagged & rows.proj()
        elif (datasets := going(rows, table("data.Dataset"))) is not None:
            blocking = tagged & datasets.proj()
        else:
            return
        if self.database.count(blocking):
            raise Refused("One or more datasets is protected")


class _Write:
    """What belongs to one request: one batch of the audit, and the names of the interface for its errors."""

    def __init__(self, endpoint: Endpoint, account: Account) -> None:
        self.endpoint, self.account = endpoint, account
        self._origin: dict[str, Any] = {"user": account.name, "source": SOURCE, "batch": str(uuid.uuid4())}

    @functools.cached_property
    def person(self) -> Person:
        """Who sends it, with the roles that the tables hold: to be asked for while the database is open."""
        return person_of(self.account.name, self.account.role)

    def write(self, row: Mapping[str, Any], related: Related, action: Any) -> dict[str, Any]:
        """Write a row and what belongs to it; returns its key."""
        for other, key in related.remove:
            if table(other)() & dict(key):
                entry.remove(other, [key], **self._origin)
        for other, more in related.before:
            entry.write(other, [more], **self._origin)
        if self.endpoint.table not in TABLES:  # nobody enters its rows: the request was about what belongs to them
            return {name: row[name] for name in table(self.endpoint.table).primary_key}
        written = entry.write(self.endpoint.table, [row], action=action, **self._origin)
        for other, more in related.after:
            entry.write(other, [more], **self._origin)
        own = written.keys[0]
        if own is None:
            raise AssertionError("a row without errors has a key")
        return own

    def correct(self, key: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
        return correct(self.endpoint.table, key, changes, **self._origin)

    def write_list(self, many: Many, key: Mapping[str, Any], names: list[Any]) -> None:
        mine = {name: key[name] for name in table(many.table)().heading.names if name in key}
        with self.errors_as_bad_input(many):
            entry.write_list(many.table, mine, many.column, names, **self._origin)

    @contextlib.contextmanager
    def errors_as_bad_input(self, many: Many | None = None) -> Iterator[None]:
        """Turn what the entry room refuses into an answer that names the fields as the interface does."""
        try:
            yield
        except entry.InvalidEntry as error:
            problems: dict[str, list[str]] = {}
            for fault in error.errors:
                name = many.name if many else _field_of(self.endpoint, fault.column)
                problems.setdefault(name or "non_field_errors", []).append(fault.message)
            raise BadInput.of(problems) from error


@contextlib.contextmanager
def _as_bad_input(name: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise BadInput(name, str(error)) from None


def body_text(body: Mapping[str, Any], name: str) -> str:
    """A text of a body, or nothing.

    Raises
    ------
    BadInput : it is not text.
    """
    return values.parse(Field(name), body.get(name)) or ""


def _field_of(endpoint: Endpoint, column: str) -> str:
    return next((field.name for field in endpoint.fields if field.column == column), column)
