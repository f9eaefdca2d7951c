"""As `record_hooks`, for recordings and places in the brain: chronic probes, channels, fields of view, notices."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping
from typing import Any

from one_bridge.server import values
from one_bridge.server.endpoint_model import BadInput, table
from one_bridge.server.record_hooks import SESSION, RecordHooks, Related, parsed, value_of
from one_bridge.server.record_uuids import rows_of
from pipeline.entry.fields import Field

INSERTION = (*SESSION, "probe_label")
TRACK = (*INSERTION, "provenance")
FIELD = (*SESSION, "fov_name")
CORNERS = {"corners_ml": "x", "corners_ap": "y", "corners_dv": "z"}
_OF_CHANNELS = {"provenance": "trajectory_estimate", "aligned_axial": "axial", "aligned_lateral": "lateral"}
_UUID = Field("id", "uuid")


class ExperimentHooks(RecordHooks):
    """Methods `create_…` and `update_…`; see `RecordHooks`."""

    def create_insertion(self, row: dict[str, Any], body: Mapping[str, Any]) -> Related:
        chronic = row.pop("chronic_id", None)
        related = super().create_insertion(row, body)
        if chronic is not None:
            related.after.append(self._of_chronic(row, chronic, row.get("probe_serial")))
        return related

    def update_insertion(self, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]) -> Related:
        states_chronic = "chronic_id" in row
        chronic = row.pop("chronic_id", None)
        related = super().update_insertion(row, body, before)
        if states_chronic:
            key = {name: before[name] for name in INSERTION}
            related.remove.append(("ephys.ChronicRecording", key))
            if chronic is not None:
                serial = row["probe_serial"] if "probe_serial" in row else before["probe_serial"]
                related.after.append(self._of_chronic(key, chronic, serial))
        return related

    def _of_chronic(self, key: Mapping[str, Any], chronic: Any, serial: str | None) -> tuple[str, dict[str, Any]]:
        """The row that says with which implanted probe an insertion was recorded."""
        implanted = self._row("ephys.ChronicInsertion", "chronic_id", chronic, "chronic_insertion")
        if (implanted["lab"], implanted["subject"]) != (key["lab"], key["subject"]):
            raise BadInput("chronic_insertion", f"It is of another animal, {implanted['lab']}/{implanted['subject']}.")
        if (implanted["probe_serial"] or None) != (serial or None):
            raise BadInput("serial", "The serial numbers of the insertion and of the chronic insertion differ.")
        return "ephys.ChronicRecording", {name: key[name] for name in INSERTION} | {
            "chronic_id": implanted["chronic_id"]
        }

    def create_chronic(self, row: dict[str, Any], body: Mapping[str, Any]) -> Related:
        row.setdefault("chronic_id", str(uuid.uuid4()))
        return self._probe(row)

    def update_chronic(self, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]) -> Related:
        if "probe_model" in row and not row.get("probe_serial"):
            row["probe_serial"] = before["probe_serial"]
        return self._probe(row)

    def create_aligned_channel(self, row: dict[str, Any], body: Mapping[str, Any]) -> Related:
        for column, name in (
            ("provenance", "trajectory_estimate"),
            ("aligned_axial", "axial"),
            ("aligned_lateral", "lateral"),
        ):
            if row.get(column) is None:
                raise BadInput(name, "a value is needed here")
        track = value_of(_UUID, row.pop("provenance"), "trajectory_estimate")
        if not (rows := rows_of("histology.Trajectory", TRACK, track)):
            raise BadInput("trajectory_estimate", f"there is no trajectory {track}: create it first, or correct the id")
        row |= rows[0]
        there = table("histology.AlignedChannel") & values.restriction(rows[0], self.database.backend)
        places = self.database.select(there, ["aligned_channel", "aligned_axial", "aligned_lateral"])
        stated = tuple(
            parsed("histology.AlignedChannel", name, row[name]) for name in ("aligned_axial", "aligned_lateral")
        )
        if stated in {(place["aligned_axial"], place["aligned_lateral"]) for place in places}:
            raise BadInput(
                "axial", f"The trajectory has a channel at {stated[0]:g}, {stated[1]:g} um: change that one."
            )
        row["aligned_channel"] = max((place["aligned_channel"] for place in places), default=-1) + 1
        if row.get("region_id") == 0:
            row["region_id"] = None  # outside of the brain
        return Related()

    def update_aligned_channel(
        self, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]
    ) -> Related:
        track = row.pop("provenance", None)
        own = [{name: before[name] for name in TRACK}]
        if track is not None and rows_of("histology.Trajectory", TRACK, str(track)) != own:
            raise BadInput("trajectory_estimate", "It identifies the record and cannot be changed.")
        if row.get("region_id") == 0:
            row["region_id"] = None
        return Related()

    def update_region(self, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]) -> Related:
        """Labs describe regions; what the atlas says of them stays."""
        key = {"region_id": before["region_id"]}
        if "region_description" not in row:
            return Related()
        text = row.pop("region_description")
        if text is None or not str(text).strip():
            return Related(remove=[("histology.RegionDescription", key)])
        return Related(before=[("histology.RegionDescription", key | {"region_description": text})])

    def create_field_of_view(self, row: dict[str, Any], body: Mapping[str, Any]) -> Related:
        row |= self._session("session", row.pop("eid", None))
        self._check_stack(row.get("stack_id"), {name: row[name] for name in SESSION})
        if not isinstance(row.get("fov_name"), str):
            return Related()
        key = {name: row[name] for name in FIELD}
        there = table("imaging.FieldOfView") & values.restriction(key, self.database.backend)
        known = self.database.select(there, ["fov_uuid", "imaging_type", "stack_id"])
        if not known or known[0]["imaging_type"] is not None or known[0]["stack_id"] is not None:
            return Related()
        row.setdefault("fov_uuid", known[0]["fov_uuid"])
        return Related(action="update")

    def update_field_of_view(self, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]) -> Related:
        sent = row.pop("eid", None)
        if sent is not None and value_of(_UUID, sent, "session") != before["eid"]:
            raise BadInput("session", "It identifies the record and cannot be changed.")
        self._check_stack(row.get("stack_id"), {name: before[name] for name in SESSION})
        return Related()

    def _check_stack(self, stack: Any, session: Mapping[str, Any]) -> None:
        if stack is None:
            return
        stack = self._row("imaging.ImagingStack", "stack_id", stack, "stack")["stack_id"]
        there = table("imaging.FieldOfView") & values.restriction({"stack_id": stack}, self.database.backend)
        for other in self.database.select(there, SESSION):
            if any(other[name] != session[name] for name in SESSION):
                raise BadInput("stack", "The fields of view of a stack belong to one session, and this is of another.")

    def create_stack(self, row: dict[str, Any], body: Mapping[str, Any]) -> Related:
        if row.get("stack_name") is None or not str(row["stack_name"]).strip():
            raise BadInput("name", "a value is needed here")
        row.setdefault("stack_id", str(uuid.uuid4()))
        return Related()

    def create_field_location(self, row: dict[str, Any], body: Mapping[str, Any]) -> Related:
        field_row = self._row("imaging.FieldOfView", "fov_uuid", row.pop("fov_uuid", None), "field_of_view")
        row |= {name: field_row[name] for name in FIELD}
        related = self._placed(row, row)
        if isinstance(row.get("fov_provenance"), str):
            key = {name: row[name] for name in FIELD}
            key["fov_provenance"] = parsed("imaging.FieldLocation", "fov_provenance", row["fov_provenance"])
            there = table("imaging.FieldLocation") & values.restriction(key, self.database.backend)
            for known in self.database.select(there & {"location_of_files": True}, ["fov_location_uuid"]):
                row["fov_location_uuid"] = known["fov_location_uuid"]  # what files said until now
                related.action = "update"
        row.setdefault("fov_location_uuid", str(uuid.uuid4()))
        return related

    def update_field_location(self, row: dict[str, Any], body: Mapping[str, Any], before: Mapping[str, Any]) -> Related:
        sent = row.pop("fov_uuid", None)
        if sent is not None and value_of(_UUID, sent, "field_of_view") != before["fov_uuid"]:
            raise BadInput("field_of_view", "It identifies the record and cannot be changed.")
        return self._placed(row, before)

    def _placed(self, row: dict[str, Any], of: Mapping[str, Any]) -> Related:
        """Corners are 4 or 8 numbers along each axis; of several locations one is the default."""
        row["location_of_files"] = False
        row["location_changed"] = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        for column, name in CORNERS.items():
            if column in row:
                _check_numbers(row[column], name, (4, 8))
        if "n_pixels" in row:
            _check_numbers(row["n_pixels"], "n_xyz", (3,))
        if len({len(row[column]) for column in CORNERS if column in row}) > 1:
            raise BadInput("x", "x, y and z are of the same corners: as many numbers in each.")
        related = Related()
        if str(row.get("default_location", "")).lower() in ("true", "1"):
            field = {name: of[name] for name in FIELD}
            others = table("imaging.FieldLocation") & values.restriction(field, self.database.backend)
            for other in self.database.select(others & {"default_location": True}, (*FIELD, "fov_provenance")):
                if other["fov_provenance"] != of.get("fov_provenance"):
                    related.before.append(("imaging.FieldLocation", other | {"default_location": False}))
        return related

    def create_notice(self, row: dict[str, Any], body: Mapping[str, Any]) -> Related:
        row.setdefault("notice_id", str(uuid.uuid4()))
        row["notice_created"] = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        return Related()

    def _row(self, name: str, column: str, identifier: Any, field: str) -> dict[str, Any]:
        """The row of a table with this uuid.

        Raises
        ------
        BadInput : there is none.
        """
        if identifier is None:
            raise BadInput(field, "a value is needed here")
        identifier = value_of(_UUID, identifier, field)
        there = table(name)() & values.restriction({column: identifier}, self.database.backend)
        if not (rows := self.database.select(there)):
            raise BadInput(field, f"there is no such record ({identifier}): create it first, or correct the id")
        return rows[0]


def _check_numbers(content: Any, name: str, lengths: tuple[int, ...]) -> None:
    is_list = isinstance(content, list) and len(content) in lengths
    if not is_list or not all(isinstance(item, int | float) and not isinstance(item, bool) for item in content):
        raise BadInput(name, f"A list of {' or '.join(map(str, lengths))} numbers is required.")
