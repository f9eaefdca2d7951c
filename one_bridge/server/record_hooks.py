"""Rows are completed before they are written: the session that an eid names, probes, links, dates of sessions."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from one_bridge.server import values
from one_bridge.server.endpoint_model import BadInput, table
from one_bridge.server.serialise import Serialiser
from pipeline import entry
from pipeline.entry.fields import Field
from pipeline.entry.parse import is_blank, parse
from pipeline.web.threads import Database

SESSION = ("lab", "subject", "session_date", "session_number")
SURGERY = ("lab", "subject", "surgery_start")
RESTRICTION = ("lab", "subject", "restriction_start")
WATER = ("lab", "subject", "administration_time")
_UUID, _COUNT = Field("id", "uuid"), Field("n_trials", "integer", low=0, high=1e9)
_OBJECTS = {
    "acquisition.Session": "eid",
    "subject.Subject": "subject_uuid",
    "ephys.ProbeInsertion": "pid",
    "data.Dataset": "dataset_id",
    "ephys.ChronicInsertion": "chronic_id",
    "imaging.FieldOfView": "fov_uuid",
}  # what notes can be on -> column of its uuid


@dataclass
class Related:
    """Rows of other tables that belong to a record: deleted first, written before it, and after it.

    `action` is what is done with a new record: `update` where registration has made it from files, and nobody has said
    anything of it.
    """

    remove: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    before: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    after: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    action: Literal["create", "update"] = "create"


class RecordHooks:
    """Methods `create_…` and `update_…`, named by an endpoint's `create` and `update`.

    Each completes the row that is going to be written, whose values are as the client sent them, and returns what else
    has to be written. All raise `BadInput` for what a client got wrong; what `pipeline.entry` checks is left to it.

    Parameters
    ----------
    database : the tables.
    serialiser : knows the labs' time zones.
    """

    def __init__(self, database: Database, serialiser: Serialiser) -> None:
        self.database, self.serialiser = database, serialiser

    def create_session(self, row: dict[str, Any], body: Mapping[str, Any]) -> Related:
        begin = body.get("start_time")
        if begin is None:
            begin = datetime.datetime.now(datetime.UTC).replace(tzinfo=None, microsecond=0)  # as in Alyx
        if "lab" in row and "subject" in row:
            self._set_start(row, begin, None)
            if is_blank(row.get("session_number")):
                row["session_number"] = self._next_number(row, 0 if row.get("session_type") == "Base" else 1)
        self._count_trials(row, body)
        return Related()

    def update_session(self, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]) -> Related:
        row.pop("eid", None)
        if body.get("start_time") is not None:
            self._set_start(row | {"lab": before["lab"]}, body["start_time"], before, row)
        self._count_trials(row, body, before["session_json"])
        return Related()

    def _next_number(self, row: Mapping[str, Any], first: int) -> int:
        """The number after those of the day; a base session, which stands for the day, is 0 where that is free."""
        key = {name: parsed("acquisition.Session", name, row[name]) for name in SESSION[:3]}
        there = table("acquisition.Session") & values.restriction(key, self.database.backend)
        numbers = [item["session_number"] for item in self.database.select(there, ["session_number"])]
        return max(numbers, default=0) + 1 if first in numbers or (numbers and first) else first

    def _set_start(
        self, row: dict[str, Any], text: Any, before: Mapping[str, Any] | None, target: dict[str, Any] | None = None
    ) -> None:
        """The date of the session, as in its path, and its start; midnight means that only the date is known."""
        target = row if target is None else target
        zone = self.serialiser.zone(str(row["lab"]))
        utc = parsed("acquisition.Session", "start_time", text, zone)
        local = datetime.datetime.fromisoformat(values.local_time(utc, zone) or "")
        if before is not None and local.date() != before["session_date"]:
            raise BadInput("start_time", "Its date is not that of the session, which cannot be changed.")
        if before is None:
            target["session_date"] = local.date()
        if local.time() != datetime.time():
            target["start_time"] = utc

    def _count_trials(self, row: dict[str, Any], body: Mapping[str, Any], before: Any = None) -> None:
        """Counts that the rig states are kept in the JSON: the tables count the trials themselves."""
        told = {
            name: value_of(_COUNT, body[name], name)
            for name in ("n_trials", "n_correct_trials")
            if body.get(name) is not None
        }
        kept = row.get("session_json", before)
        if told and not isinstance(kept, list | str):
            row["session_json"] = (kept or {}) | told

    def create_insertion(self, row: dict[str, Any], body: Mapping[str, Any]) -> Related:
        row |= self._session("session", row.pop("eid", None))
        return self._probe(row)

    def update_insertion(self, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]) -> Related:
        sent = row.pop("eid", None)
        if sent is not None and value_of(_UUID, sent, "session") != before["eid"]:
            raise BadInput("session", "It identifies the record and cannot be changed.")
        if "probe_model" in row and not row.get("probe_serial"):
            row["probe_serial"] = before["probe_serial"]
        return self._probe(row)

    def create_trajectory(self, row: dict[str, Any], body: Mapping[str, Any]) -> Related:
        pid = row.pop("pid", None)
        if pid is None:
            raise BadInput("probe_insertion", "a value is needed here")
        pid = value_of(_UUID, pid, "probe_insertion")
        there = table("ephys.ProbeInsertion") & values.restriction({"pid": pid}, self.database.backend)
        if not (rows := self.database.select(there, [*SESSION, "probe_label"])):
            raise BadInput("probe_insertion", f"there is no insertion {pid}: register it first, or correct the id")
        row |= rows[0]
        return Related()

    def update_trajectory(self, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]) -> Related:
        sent = row.pop("pid", None)
        if sent is not None and value_of(_UUID, sent, "probe_insertion") != before["pid"]:
            raise BadInput("probe_insertion", "It identifies the record and cannot be changed.")
        return Related()

    def _probe(self, row: dict[str, Any]) -> Related:
        """The probe of an insertion, which is known by its serial number."""
        model = row.pop("probe_model", None)
        serial = row.get("probe_serial") or None
        if "probe_serial" in row:
            row["probe_serial"] = serial
        if serial is None:
            if model is not None:
                raise BadInput("serial", "A model needs the serial number of the probe.")
            return Related()
        probe = {"probe_serial": serial} | ({"probe_model": model} if model else {})
        return Related(before=[("ephys.Probe", probe)])

    def create_subject(self, row: dict[str, Any], body: Mapping[str, Any]) -> Related:
        if row.get("lab") is None:
            labs = [item["lab"] for item in self.database.select(table("lab.Lab")(), ["lab"], limit=2)]
            if len(labs) == 1:
                row["lab"] = labs[0]
        return Related()

    def create_repository(self, row: dict[str, Any], body: Mapping[str, Any]) -> Related:
        return self._globus(row, row, body)

    def update_repository(self, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]) -> Related:
        return self._globus(row, before, body)

    def _globus(self, row: dict[str, Any], of: Mapping[str, Any], body: Mapping[str, Any]) -> Related:
        """The collection of Globus that a repository is stands where others have their computer."""
        collection = body.get("globus_endpoint_id")
        if collection is None:
            return Related()
        kind = row.get("repository_kind", of.get("repository_kind"))
        if kind != "globus":
            raise BadInput("globus_endpoint_id", f"It is for repositories of type globus; this one is {kind}.")
        row["repository_host"] = value_of(_UUID, collection, "globus_endpoint_id")
        return Related()

    def create_request(self, row: dict[str, Any], body: Mapping[str, Any]) -> Related:
        row.setdefault("request_id", str(uuid.uuid4()))
        return Related()

    def create_cull(self, row: dict[str, Any], body: Mapping[str, Any]) -> Related:
        """The animal is dead from that day on."""
        animal = {name: row.get(name) for name in ("lab", "subject")}
        return Related(after=[("subject.Subject", animal | {"death_date": row.get("cull_date")})])

    def create_surgery(self, row: dict[str, Any], body: Mapping[str, Any]) -> Related:
        return self._implant(row, row)

    def update_surgery(self, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]) -> Related:
        return self._implant(row, before)

    def _implant(self, row: dict[str, Any], of: Mapping[str, Any]) -> Related:
        """What a surgery says that it implanted is an implant of the animal from that day on."""
        if "implant_weight" not in row:
            return Related()
        weight = row.pop("implant_weight")
        zone = self.serialiser.zone(of.get("lab"))
        key = {name: of.get(name) for name in SURGERY}
        start = parsed("action.Surgery", "surgery_start", key["surgery_start"], zone, "start_time")
        if start is None:
            raise BadInput("start_time", "a value is needed here")
        animal = {name: key[name] for name in SURGERY[:2]}
        day = datetime.datetime.fromisoformat(values.local_time(start, zone) or "").date()
        implant = animal | {"implant_date": day}
        if weight is None:
            return Related(
                remove=[("action.Surgery.Implant", key | {"surgery_start": start}), ("subject.Implant", implant)]
            )
        return Related(
            before=[("subject.Implant", implant | {"implant_weight": weight})],
            after=[("action.Surgery.Implant", key | implant)],
        )

    def create_restriction(self, row: dict[str, Any], body: Mapping[str, Any]) -> Related:
        """Of one animal one restriction is open at a time."""
        animal = {name: row.get(name) for name in ("lab", "subject")}
        if row.get("restriction_end") is None and None not in animal.values():
            there = table("action.WaterRestriction") & values.restriction(animal, self.database.backend)
            for other in self.database.select(there & "restriction_end IS NULL", ["restriction_start"], limit=1):
                since = values.local_time(other["restriction_start"], self.serialiser.zone(row["lab"]))
                raise BadInput(
                    "start_time", f"{row['subject']} is on water restriction since {since}: end that one first."
                )
        return self._water_type(row, row)

    def update_restriction(self, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]) -> Related:
        return self._water_type(row, before)

    def _water_type(self, row: dict[str, Any], of: Mapping[str, Any]) -> Related:
        if "water_type" not in row:
            return Related()
        water_type = row.pop("water_type")
        key = {name: of.get(name) for name in RESTRICTION}
        if water_type is None:
            return Related(remove=[("action.WaterRestriction.Water", key)])
        return Related(after=[("action.WaterRestriction.Water", key | {"water_type": water_type})])

    def create_water(self, row: dict[str, Any], body: Mapping[str, Any]) -> Related:
        eid = row.pop("eid", None)
        return Related() if eid is None else Related(after=[self._link(row, eid)])

    def update_water(self, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]) -> Related:
        if "eid" not in row:
            return Related()
        key = {name: before[name] for name in WATER}
        related = Related(remove=[("acquisition.SessionWater", key)])
        if (eid := row.pop("eid")) is not None:
            related.after.append(self._link(key, eid))
        return related

    def _link(self, row: Mapping[str, Any], eid: Any) -> tuple[str, dict[str, Any]]:
        """The row that says in which session water was given."""
        session = self._session("session", eid)
        if (session["lab"], session["subject"]) != (row["lab"], row["subject"]):
            raise BadInput("session", "It is a session of another subject.")
        return "acquisition.SessionWater", {name: row.get(name) for name in WATER} | session

    def create_note(self, row: dict[str, Any], body: Mapping[str, Any]) -> Related:
        row["note_id"] = str(uuid.uuid4())
        row.setdefault("note_time", datetime.datetime.now(datetime.UTC).replace(tzinfo=None))
        if body.get("image"):
            row["note_image"] = body["image"]
        if row.get("note_object") is not None and row.get("note_object_id") is not None:
            kind = parsed("action.Note", "note_object", row["note_object"], name="content_type")
            identifier = value_of(_UUID, row["note_object_id"], "object_id")
            objects = table(kind) & values.restriction({_OBJECTS[kind]: identifier}, self.database.backend)
            if not self.database.count(objects):
                raise BadInput("object_id", f"There is no {body['content_type']} {identifier}.")
        return Related()

    def _session(self, name: str, eid: Any) -> dict[str, Any]:
        if eid is None:
            raise BadInput(name, "a value is needed here")
        eid = value_of(_UUID, eid, name)
        sessions = table("acquisition.Session") & values.restriction({"eid": eid}, self.database.backend)
        rows = self.database.select(sessions, SESSION)
        if not rows:
            raise BadInput(name, f"there is no session {eid}: create it first, or correct the id")
        return rows[0]


def parsed(table_name: str, column: str, value: Any, zone: str = "UTC", name: str = "") -> Any:
    """A value as the entry room reads it, before it gets there."""
    return value_of(entry.field_of(table_name, column), value, name or column, zone)


def value_of(column: Field, value: Any, name: str, zone: str = "UTC") -> Any:
    try:
        return parse(column, value, zone)
    except ValueError as error:
        raise BadInput(name, str(error)) from None
