"""Creates, changes and deletes records: checks every value, resolves names to keys, one transaction a request."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Mapping
from typing import Any

import datajoint as dj

from one_bridge.server import field_getters, values
from one_bridge.server.endpoint_model import BadInput, Endpoint, Field, Many, NotFound, Refused, table
from one_bridge.server.query import filters
from one_bridge.server.record_hooks import Completion
from one_bridge.server.serialise import Serialiser
from pipeline.web.accounts import Account
from pipeline.web.threads import Database


class Writer:
    """Writes records of any endpoint.

    Parameters
    ----------
    database : the tables.
    serialiser : knows the labs' time zones.
    """

    def __init__(self, database: Database, serialiser: Serialiser) -> None:
        self.database, self.serialiser = database, serialiser
        self.completion = Completion(database, serialiser)

    def create(self, endpoint: Endpoint, body: Mapping[str, Any], account: Account) -> str:
        """Create a record; returns the restriction that finds it.

        Raises
        ------
        BadInput : a value is missing, wrong, or names what is not there; or the record exists.
        """
        with self.database.writing():
            row = self._columns(endpoint, body, account, creating=True)
            later = []
            if endpoint.create:
                later = getattr(self.completion, f"create_{endpoint.create}")(row, body)
            target = table(endpoint.table)
            for name in target.primary_key:
                if row.get(name) is None:
                    raise BadInput(_field_of(endpoint, name), "This field is required.")
            key = {name: row[name] for name in target.primary_key}
            if target & values.restriction(key, self.database.backend):
                raise BadInput("non_field_errors", f"This {endpoint.label} exists already.")
            target.insert1({name: value for name, value in row.items() if value is not None})
            for other, more in later:
                other.insert1(more, skip_duplicates=True)
            self._set_lists(endpoint, key, body, account)
            self._audit("created", endpoint, key, body, account)
        self.serialiser.forget_zones()
        return values.restriction(key, self.database.backend)

    def update(self, endpoint: Endpoint, restriction: str, body: Mapping[str, Any], account: Account) -> str:
        """Change what `body` holds of one record; returns the restriction that finds it.

        Raises
        ------
        NotFound : no such record.
        BadInput : a value is wrong, or is part of what identifies the record and differs.
        """
        with self.database.writing():
            before = self.find(endpoint, restriction)
            target = table(endpoint.table)
            key = {name: before[name] for name in target.primary_key}
            row = self._columns(endpoint, body, account, creating=False, before=before)
            if endpoint.update:
                getattr(self.completion, f"update_{endpoint.update}")(row, body, before)
            for name in target.primary_key:
                if name in row and str(row.pop(name)) != str(key[name]):
                    raise BadInput(_field_of(endpoint, name), "It identifies the record and cannot be changed.")
            for column in endpoint.id:
                if column in row and row.pop(column) != before[column]:
                    raise BadInput(_field_of(endpoint, column), "It identifies the record and cannot be changed.")
            row = {name: value for name, value in row.items() if name in target.heading.names}
            if row:
                target().update1(key | row)
            self._set_lists(endpoint, key, body, account)
            self._audit("edited", endpoint, key, body, account)
        self.serialiser.forget_zones()
        return values.restriction(key, self.database.backend)

    def delete(self, endpoint: Endpoint, restriction: str, account: Account) -> None:
        """Delete one record and all that hangs on it.

        Raises
        ------
        NotFound : no such record.
        Refused : a dataset that would go is protected.
        """
        from pipeline.provenance.delete import delete

        with self.database.working() as connection, connection.transaction:
            row = self.find(endpoint, restriction)
            target = table(endpoint.table)
            key = {name: row[name] for name in target.primary_key}
            condition = values.restriction(key, self.database.backend)
            self._refuse_protected(target & condition)
            delete(target & condition, f"DELETE /{endpoint.name} by {account.name}"[:900])
        self.serialiser.forget_zones()

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

    def _columns(
        self, endpoint: Endpoint, body: Mapping[str, Any], account: Account, creating: bool, before: Any = None
    ) -> dict[str, Any]:
        """Column -> value of what the body says of the record itself."""
        known = {one.name for one in (*endpoint.fields, *endpoint.many, *endpoint.nested)}
        for name in body:
            if name not in known:
                raise BadInput(str(name)[:80], f"{endpoint.label} has no such field.")
        heading = table(endpoint.table)().heading
        row: dict[str, Any] = {}
        owner = self._owner(endpoint, body, before)
        zone = self.serialiser.zone(owner.get("lab") or body_text(body, "lab"))
        for field in endpoint.fields:
            value = body.get(field.name)
            if value is None and creating and field.default is not None and field.name not in body:
                value = self._default_user(account) if field.default == "user" else field.default
                if value is None:
                    continue
            elif field.name not in body:
                if field.required and creating and field.column not in owner:
                    raise BadInput(field.name, "This field is required.")
                continue
            if not field.write or not field.column:
                continue
            if value is None and (field.required or not _may_be_null(heading, field.column)):
                if creating and not field.required:
                    continue
                if field.required:
                    raise BadInput(field.name, "This field may not be null.")
            attribute = heading[field.column] if field.column in heading.names else None
            if field.column == "session_number" and isinstance(value, str):
                value = value.lstrip("0") or "0"
            row[field.column] = values.parse(field, value, attribute, zone)
            if field.say is field_getters.dotted:
                row[field.column] = row[field.column].lstrip(".")
            if field.to and value is not None and field.column not in owner:
                self._must_exist(field.name, field.to, row[field.column], owner)
            _check_key_text(field, row[field.column], attribute is not None and attribute.in_key)
        return row | owner

    def _owner(self, endpoint: Endpoint, body: Mapping[str, Any], before: Any) -> dict[str, Any]:
        """Lab and subject of what belongs to an animal."""
        if endpoint.field("subject") is None:
            return {}
        if before is not None:
            for name in ("subject", "lab"):
                if body.get(name) not in (None, before[name]):
                    raise BadInput(name, "It identifies the record and cannot be changed.")
            return {"lab": before["lab"], "subject": before["subject"]}
        field = Field("subject", required=True)
        name = values.parse(field, body.get("subject"))
        if not name:
            raise BadInput("subject", "This field is required.")
        there = table("subject.Subject") & values.key_condition(["subject"], [[name]], self.database.backend)
        labs = [row["lab"] for row in self.database.select(there, ["lab"])]
        wanted = body_text(body, "lab")
        if not labs or (wanted and wanted not in labs):
            raise BadInput("subject", f"Object with nickname={name} does not exist.")
        if not wanted and len(labs) > 1:
            raise BadInput("lab", f"Several labs have a subject {name}: say which of {', '.join(labs)}.")
        return {"lab": wanted or labs[0], "subject": name}

    def _must_exist(self, name: str, to: tuple[str, str], value: Any, owner: Mapping[str, Any]) -> None:
        target = table(to[0])()
        column = target.primary_key[-1]
        restriction = {column: value} | {
            key: owner[key] for key in target.primary_key if key in owner and key != column
        }
        if not self.database.count(target & values.restriction(restriction, self.database.backend)):
            raise BadInput(name, f"Object with {to[1]}={value} does not exist.")

    def _default_user(self, account: Account) -> str | None:
        """Who sends it, if the pipeline knows them."""
        there = table("lab.LabMember") & values.restriction({"user_name": account.name}, self.database.backend)
        return account.name if self.database.count(there) else None

    def _set_lists(self, endpoint: Endpoint, key: Mapping[str, Any], body: Mapping[str, Any], account: Account) -> None:
        """Make the lists of a record what the body says."""
        for many in endpoint.many:
            if many.write and not many.single and body.get(many.name) is not None:
                self._set_list(many, key, body[many.name])

    def _set_list(self, many: Many, key: Mapping[str, Any], given: Any) -> None:
        wanted = given.split(",") if isinstance(given, str) else given
        if not isinstance(wanted, list) or len(wanted) > filters.LONGEST_LIST:
            raise BadInput(many.name, "Expected a list of names.")
        target = table(many.table)()
        attribute = target.heading[many.column]
        names = [values.parse(Field(many.name), one, attribute) for one in wanted if one not in ("", None)]
        for one in names:
            if many.to:
                self._must_exist(many.name, many.to, one, {})
        mine = {name: key[name] for name in target.heading.names if name in key}
        there = target & values.restriction(mine, self.database.backend)
        present = {row[many.column] for row in self.database.select(there, [many.column])}
        if gone := present - set(names):
            (there & values.key_condition([many.column], [[one] for one in gone], self.database.backend)).delete_quick()
        target.insert([mine | {many.column: one} for one in dict.fromkeys(names) if one not in present])

    def _refuse_protected(self, rows: dj.Table) -> None:
        """Refuse to delete what protected datasets hang on."""
        tag = table("data.Tag") & {"tag_protected": True}
        protected = table("data.Dataset") & (table("data.DatasetTag") & tag.proj()).proj()
        if "tag" in rows.primary_key:
            found = table("data.DatasetTag") & (tag & rows.proj()).proj()
        elif shared := [name for name in rows.primary_key if name in protected.heading.names]:
            found = protected & rows.proj(*shared)
        else:
            return
        if self.database.count(found):
            raise Refused("One or more datasets is protected")

    def _audit(self, what: str, endpoint: Endpoint, key: Mapping[str, Any], body: Any, account: Account) -> None:
        said = json.dumps({name: value for name, value in body.items() if name != "image"}, default=str)
        table("data.Change").insert1(
            {
                "change_id": str(uuid.uuid4()),
                "change_time": datetime.datetime.now(datetime.UTC).replace(tzinfo=None),
                "change_action": what,
                "change_path": f"{endpoint.name}/{'/'.join(str(value) for value in key.values())}"[:500],
                "change_detail": said.encode("utf-8", "replace").decode()[:1000],
                "change_user": account.name,
            }
        )


def body_text(body: Mapping[str, Any], name: str) -> str:
    """A text of a body, or nothing.

    Raises
    ------
    BadInput : it is not text.
    """
    return values.parse(Field(name), body.get(name)) or ""


def _field_of(endpoint: Endpoint, column: str) -> str:
    return next((one.name for one in endpoint.fields if one.column == column), column)


def _may_be_null(heading: Any, column: str) -> bool:
    return column not in heading.names or heading[column].nullable


def _check_key_text(field: Field, value: Any, in_key: bool) -> None:
    """Keys hold no `%`, backslash or control character, and are not empty (see the portable subset)."""
    if (
        in_key
        and isinstance(value, str)
        and (not value.strip() or "%" in value or "\\" in value or not value.isprintable() or "/" in value)
    ):
        raise BadInput(field.name, "A name is not empty and has no %, slash, backslash or control character.")
