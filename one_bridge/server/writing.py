"""Creates, changes and deletes records: checks every value, resolves names to keys, one transaction a request."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Mapping
from typing import Any

import datajoint as dj

from ingest import identity
from one_bridge.server import filters, say, values
from one_bridge.server.serialise import Serialiser
from one_bridge.server.shapes import BadInput, Endpoint, Field, Many, NotFound, Refused, table
from pipeline.database.threads import Database
from pipeline.users import Account

SESSION = ("lab", "subject", "session_date", "session_number")


class Writer:
    """Writes records of any endpoint.

    Parameters
    ----------
    database : the tables.
    serialiser : knows the labs' time zones.
    """

    def __init__(self, database: Database, serialiser: Serialiser) -> None:
        self.database, self.serialiser = database, serialiser

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
                later = getattr(self, f"_create_{endpoint.create}")(row, body)
            target = table(endpoint.table)
            for name in target.primary_key:
                if row.get(name) is None:
                    raise BadInput(_field_of(endpoint, name), "This field is required.")
            key = {name: row[name] for name in target.primary_key}
            if target & _restriction(key, self.database.backend):
                raise BadInput("non_field_errors", f"This {endpoint.label} exists already.")
            target.insert1({name: value for name, value in row.items() if value is not None})
            for other, more in later:
                other.insert1(more, skip_duplicates=True)
            self._set_lists(endpoint, key, body, account)
            self._audit("created", endpoint, key, body, account)
        self.serialiser.forget_zones()
        return _restriction(key, self.database.backend)

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
                getattr(self, f"_update_{endpoint.update}")(row, body, before)
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
        return _restriction(key, self.database.backend)

    def delete(self, endpoint: Endpoint, restriction: str, account: Account) -> None:
        """Delete one record and all that hangs on it.

        Raises
        ------
        NotFound : no such record.
        Refused : a dataset that would go is protected.
        """
        from pipeline.database.delete import delete

        with self.database.working() as connection, connection.transaction:
            row = self.find(endpoint, restriction)
            target = table(endpoint.table)
            key = {name: row[name] for name in target.primary_key}
            condition = _restriction(key, self.database.backend)
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
            if field.say is say.dotted:
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
        if not self.database.count(target & _restriction(restriction, self.database.backend)):
            raise BadInput(name, f"Object with {to[1]}={value} does not exist.")

    def _default_user(self, account: Account) -> str | None:
        """Who sends it, if the pipeline knows them."""
        there = table("lab.LabMember") & _restriction({"user_name": account.name}, self.database.backend)
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
        there = target & _restriction(mine, self.database.backend)
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

    def _create_session(self, row: dict[str, Any], body: Mapping[str, Any]) -> list:
        begin = body.get("start_time")
        if begin is None:
            raise BadInput("start_time", "This field is required.")
        self._set_start(row, begin, None)
        if row.get("session_number") is None:
            there = table("acquisition.Session") & _restriction({n: row[n] for n in SESSION[:3]}, self.database.backend)
            numbers = [one["session_number"] for one in self.database.select(there, ["session_number"])]
            row["session_number"] = max(numbers, default=0) + 1
        if not 0 <= row["session_number"] <= 999:
            raise BadInput("number", "A session number has one to three digits.")
        path = identity.session_path(*(row[name] for name in SESSION))
        row["eid"] = _checked_uuid("id", row.get("eid")) or identity.eid(path)
        self._count_trials(row, body)
        return []

    def _update_session(self, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        row.pop("eid", None)
        if body.get("start_time") is not None:
            self._set_start(row, body["start_time"], before)

    def _set_start(self, row: dict[str, Any], text: Any, before: Mapping[str, Any] | None) -> None:
        """The date of the session, as in its path, and its start; midnight means that only the date is known."""
        field = Field("start_time", kind="time")
        zone = self.serialiser.zone(row["lab"])
        utc = values.parse(field, text, zone=zone)
        local = datetime.datetime.fromisoformat(values.local_time(utc, zone))
        if before is not None and local.date() != before["session_date"]:
            raise BadInput("start_time", "Its date is not that of the session, which cannot be changed.")
        row["session_date"] = local.date()
        if local.time() != datetime.time():
            row["start_time"] = utc

    def _count_trials(self, row: dict[str, Any], body: Mapping[str, Any]) -> None:
        """Counts that the rig states are kept in the JSON: the tables count the trials themselves."""
        told = {name: body[name] for name in ("n_trials", "n_correct_trials") if body.get(name) is not None}
        for name, value in told.items():
            values.parse(Field(name, kind="int"), value)
        if told and not isinstance(row.get("session_json"), list):
            row["session_json"] = told | (row.get("session_json") or {})

    def _create_insertion(self, row: dict[str, Any], body: Mapping[str, Any]) -> list:
        session = self._session("session", row.pop("eid"))
        path = identity.session_path(*(session[name] for name in SESSION))
        row |= {name: session[name] for name in SESSION}
        row["pid"] = _checked_uuid("id", row.get("pid")) or identity.dataset_id(path, f"alf/{row['probe_label']}")
        return self._probe(row)

    def _update_insertion(self, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        if row.pop("eid", before["eid"]) != before["eid"]:
            raise BadInput("session", "It identifies the record and cannot be changed.")
        if "probe_model" in row and not row.get("probe_serial"):
            row["probe_serial"] = before["probe_serial"]
        for target, probe in self._probe(row):
            target.insert1(probe, skip_duplicates=True)

    def _create_trajectory(self, row: dict[str, Any], body: Mapping[str, Any]) -> list:
        pid = row.pop("pid")
        there = table("ephys.ProbeInsertion") & _restriction({"pid": pid}, self.database.backend)
        if not (rows := self.database.select(there, [*SESSION, "probe_label"])):
            raise BadInput("probe_insertion", f"Object with id={pid} does not exist.")
        row |= rows[0]
        return []

    def _update_trajectory(self, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        if row.pop("pid", before["pid"]) != before["pid"]:
            raise BadInput("probe_insertion", "It identifies the record and cannot be changed.")

    def _probe(self, row: dict[str, Any]) -> list:
        """The probe of an insertion, which is known by its serial number."""
        model = row.pop("probe_model", None)
        serial = row.get("probe_serial") or None
        if "probe_serial" in row:
            row["probe_serial"] = serial
        if serial is None:
            if model is not None:
                raise BadInput("serial", "A model needs the serial number of the probe.")
            return []
        probe = table("ephys.Probe")
        if model and probe & _restriction({"probe_serial": serial}, self.database.backend):
            probe.update1({"probe_serial": serial, "probe_model": model})
            return []
        probe.insert1({"probe_serial": serial} | ({"probe_model": model} if model else {}), skip_duplicates=True)
        return []

    def _create_subject(self, row: dict[str, Any], body: Mapping[str, Any]) -> list:
        if row.get("lab") is None:
            labs = [one["lab"] for one in self.database.select(table("lab.Lab")(), ["lab"], limit=2)]
            if len(labs) != 1:
                raise BadInput("lab", "This field is required.")
            row["lab"] = labs[0]
        row["subject_uuid"] = _checked_uuid("id", row.get("subject_uuid")) or identity.subject_uuid(
            row["lab"], row["subject"]
        )
        return []

    def _create_water(self, row: dict[str, Any], body: Mapping[str, Any]) -> list:
        eid = row.pop("eid", None)
        if eid is None:
            return []
        session = self._session("session", eid)
        if (session["lab"], session["subject"]) != (row["lab"], row["subject"]):
            raise BadInput("session", "It is a session of another subject.")
        link = {name: row[name] for name in ("lab", "subject", "administration_time")}
        return [(table("acquisition.SessionWater"), link | {name: session[name] for name in SESSION})]

    def _update_water(self, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        if "eid" not in row:
            return
        key = {name: before[name] for name in ("lab", "subject", "administration_time")}
        links = table("acquisition.SessionWater")
        (links & _restriction(key, self.database.backend)).delete_quick()
        for target, link in self._create_water(row | key, body):
            target.insert1(link)
        row.pop("eid")

    def _create_note(self, row: dict[str, Any], body: Mapping[str, Any]) -> list:
        row["note_id"] = str(uuid.uuid4())
        row.setdefault("note_time", datetime.datetime.now(datetime.UTC).replace(tzinfo=None))
        if body.get("image"):
            row["note_image"] = body["image"]
        columns = {"acquisition.Session": "eid", "subject.Subject": "subject_uuid", "ephys.ProbeInsertion": "pid",
                   "data.Dataset": "dataset_id"}  # fmt: skip
        target = table(row["note_object"])
        found = target & _restriction({columns[row["note_object"]]: row["note_object_id"]}, self.database.backend)
        if not self.database.count(found):
            raise BadInput("object_id", f"There is no {body['content_type']} {row['note_object_id']}.")
        return []

    def _session(self, name: str, eid: str) -> dict[str, Any]:
        found = table("acquisition.Session") & _restriction({"eid": eid}, self.database.backend)
        rows = self.database.select(found, SESSION)
        if not rows:
            raise BadInput(name, f"Object with id={eid} does not exist.")
        return rows[0]


def body_text(body: Mapping[str, Any], name: str) -> str:
    """A text of a body, or nothing.

    Raises
    ------
    BadInput : it is not text.
    """
    return values.parse(Field(name), body.get(name)) or ""


def _restriction(key: Mapping[str, Any], backend: str) -> str:
    return values.key_condition(list(key), [list(key.values())], backend)


def _field_of(endpoint: Endpoint, column: str) -> str:
    return next((one.name for one in endpoint.fields if one.column == column), column)


def _may_be_null(heading: Any, column: str) -> bool:
    return column not in heading.names or heading[column].nullable


def _checked_uuid(name: str, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return identity.given(text)
    except ValueError as error:
        raise BadInput(name, str(error)) from None


def _check_key_text(field: Field, value: Any, in_key: bool) -> None:
    """Keys hold no `%`, backslash or control character, and are not empty (see the portable subset)."""
    if (
        in_key
        and isinstance(value, str)
        and (not value.strip() or "%" in value or "\\" in value or not value.isprintable() or "/" in value)
    ):
        raise BadInput(field.name, "A name is not empty and has no %, slash, backslash or control character.")
