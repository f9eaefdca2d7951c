"""Rows of some kinds are completed or checked before they are written: derived keys, probes, links, times of start."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping
from typing import Any

from one_bridge.server import values
from one_bridge.server.endpoint_model import BadInput, Field, table
from one_bridge.server.serialise import Serialiser
from pipeline.alf import identity
from pipeline.entry.fields import Field as Column
from pipeline.entry.parse import parse
from pipeline.web.threads import Database

_UUID = Column("id", "uuid")
SESSION = ("lab", "subject", "session_date", "session_number")


class Completion:
    """Methods `create_…` and `update_…`, named by an endpoint's `create` and `update`.

    Each completes or checks the row that is going to be written. `create_…` returns the rows of other tables that
    follow it, as pairs of table and row. All raise `BadInput` for what a client got wrong.

    Parameters
    ----------
    database : the tables.
    serialiser : knows the labs' time zones.
    """

    def __init__(self, database: Database, serialiser: Serialiser) -> None:
        self.database, self.serialiser = database, serialiser

    def create_session(self, row: dict[str, Any], body: Mapping[str, Any]) -> list:
        begin = body.get("start_time")
        if begin is None:
            raise BadInput("start_time", "This field is required.")
        self._set_start(row, begin, None)
        if row.get("session_number") is None:
            there = table("acquisition.Session") & values.restriction(
                {n: row[n] for n in SESSION[:3]}, self.database.backend
            )
            numbers = [one["session_number"] for one in self.database.select(there, ["session_number"])]
            row["session_number"] = max(numbers, default=0) + 1
        if not 0 <= row["session_number"] <= 999:
            raise BadInput("number", "A session number has one to three digits.")
        path = identity.session_path(*(row[name] for name in SESSION))
        row["eid"] = _checked_uuid("id", row.get("eid")) or identity.eid(path)
        self._count_trials(row, body)
        return []

    def update_session(self, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]) -> None:
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

    def create_insertion(self, row: dict[str, Any], body: Mapping[str, Any]) -> list:
        session = self._session("session", row.pop("eid"))
        path = identity.session_path(*(session[name] for name in SESSION))
        row |= {name: session[name] for name in SESSION}
        row["pid"] = _checked_uuid("id", row.get("pid")) or identity.dataset_id(path, f"alf/{row['probe_label']}")
        return self._probe(row)

    def update_insertion(self, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        if row.pop("eid", before["eid"]) != before["eid"]:
            raise BadInput("session", "It identifies the record and cannot be changed.")
        if "probe_model" in row and not row.get("probe_serial"):
            row["probe_serial"] = before["probe_serial"]
        for target, probe in self._probe(row):
            target.insert1(probe, skip_duplicates=True)

    def create_trajectory(self, row: dict[str, Any], body: Mapping[str, Any]) -> list:
        pid = row.pop("pid")
        there = table("ephys.ProbeInsertion") & values.restriction({"pid": pid}, self.database.backend)
        if not (rows := self.database.select(there, [*SESSION, "probe_label"])):
            raise BadInput("probe_insertion", f"Object with id={pid} does not exist.")
        row |= rows[0]
        return []

    def update_trajectory(self, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]) -> None:
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
        if model and probe & values.restriction({"probe_serial": serial}, self.database.backend):
            probe.update1({"probe_serial": serial, "probe_model": model})
            return []
        probe.insert1({"probe_serial": serial} | ({"probe_model": model} if model else {}), skip_duplicates=True)
        return []

    def create_subject(self, row: dict[str, Any], body: Mapping[str, Any]) -> list:
        if row.get("lab") is None:
            labs = [one["lab"] for one in self.database.select(table("lab.Lab")(), ["lab"], limit=2)]
            if len(labs) != 1:
                raise BadInput("lab", "This field is required.")
            row["lab"] = labs[0]
        row["subject_uuid"] = _checked_uuid("id", row.get("subject_uuid")) or identity.subject_uuid(
            row["lab"], row["subject"]
        )
        return []

    def create_water(self, row: dict[str, Any], body: Mapping[str, Any]) -> list:
        eid = row.pop("eid", None)
        if eid is None:
            return []
        session = self._session("session", eid)
        if (session["lab"], session["subject"]) != (row["lab"], row["subject"]):
            raise BadInput("session", "It is a session of another subject.")
        link = {name: row[name] for name in ("lab", "subject", "administration_time")}
        return [(table("acquisition.SessionWater"), link | {name: session[name] for name in SESSION})]

    def update_water(self, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        if "eid" not in row:
            return
        key = {name: before[name] for name in ("lab", "subject", "administration_time")}
        links = table("acquisition.SessionWater")
        (links & values.restriction(key, self.database.backend)).delete_quick()
        for target, link in self.create_water(row | key, body):
            target.insert1(link)
        row.pop("eid")

    def create_note(self, row: dict[str, Any], body: Mapping[str, Any]) -> list:
        row["note_id"] = str(uuid.uuid4())
        row.setdefault("note_time", datetime.datetime.now(datetime.UTC).replace(tzinfo=None))
        if body.get("image"):
            row["note_image"] = body["image"]
        columns = {"acquisition.Session": "eid", "subject.Subject": "subject_uuid", "ephys.ProbeInsertion": "pid",
                   "data.Dataset": "dataset_id"}  # fmt: skip
        target = table(row["note_object"])
        found = target & values.restriction({columns[row["note_object"]]: row["note_object_id"]}, self.database.backend)
        if not self.database.count(found):
            raise BadInput("object_id", f"There is no {body['content_type']} {row['note_object_id']}.")
        return []

    def _session(self, name: str, eid: str) -> dict[str, Any]:
        found = table("acquisition.Session") & values.restriction({"eid": eid}, self.database.backend)
        rows = self.database.select(found, SESSION)
        if not rows:
            raise BadInput(name, f"Object with id={eid} does not exist.")
        return rows[0]


def _checked_uuid(name: str, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return parse(_UUID, text)
    except ValueError as error:
        raise BadInput(name, str(error)) from None
