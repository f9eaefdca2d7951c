"""What a person may do to one row of a table: the policy, for the lab and the animal that the row belongs to.

The site's grids and the REST server both ask here before they write or delete.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.entry import policy
from pipeline.entry.policy import OWNERS, REMOVERS, Person, Verb
from pipeline.entry.tables import TABLES, class_of
from pipeline.schemas import subject

Place = tuple[str, str | None]
"""Lab of a row, and the person who is responsible for its animal; the lab is empty where the row belongs to none."""


def verb_of(table: str, lab: str = "") -> Verb:
    """What it takes to write a row; remarks that are not on an animal of a lab are as what was recorded."""
    if table == "action.Note" and not lab:
        return "record"
    return policy.TABLE_VERBS.get(table, "administer")


def require_row(person: Person, table: str, row: Mapping[str, Any]) -> None:
    """Refuse to create or change a row that the person may not.

    Parameters
    ----------
    row : values as they were sent, or of the row that is there.

    Raises
    ------
    PermissionDenied
    """
    if table == "notification.Rule" and row.get("user_name") == person.name and person.name:
        return  # what people are told is their own choice
    there = _existing(table, row)
    rows = [row] if there is None else [there, row] if row.get("lab") else [there]
    for item in rows:
        place = _place(table, item)
        if not place[0] and _needs_lab(table):
            continue  # the writer refuses it and says what is missing
        _require(person, verb_of(table, place[0]), place, f"change a {_label(table)}")


def require_removal(person: Person, table: str, row: Mapping[str, Any]) -> None:
    """Refuse to delete a row that the person may not: what others entered is deleted by managers.

    Raises
    ------
    PermissionDenied
    """
    if table == "notification.Rule" and row.get("user_name") == person.name and person.name:
        return
    row = _existing(table, row) or row
    place = _place(table, row)
    verb = verb_of(table, place[0])
    what = f"delete a {_label(table)}"
    if verb in policy.BY_ACCOUNT:
        owned = table in OWNERS and _owner(table, row) == person.name
        _require(person, verb if owned else policy.REMOVAL_VERBS.get(table, "curate"), place, what)
        return
    _require(person, verb, place, what)
    is_own = table in OWNERS and person.name and _owner(table, row) == person.name
    if not is_own and person.role(place[0]) not in REMOVERS:
        policy.require(person, "manage", place[0], what=f"{what} that another person entered")


def _require(person: Person, verb: Verb, place: Place, what: str) -> None:
    lab, responsible = place
    if not lab and verb not in policy.BY_ACCOUNT and person.account not in ("manager", "admin"):
        verb = "administer"  # it belongs to no lab in which the person could have a role
    policy.require(person, verb, lab, responsible, what)


def _place(table: str, row: Mapping[str, Any]) -> Place:
    lab, name = str(row.get("lab") or ""), row.get("subject")
    if table == "action.Note" and not lab and row.get("note_object_id"):
        animals = (subject.Subject & {"subject_uuid": str(row["note_object_id"]).lower()}).to_dicts()
        return (animals[0]["lab"], animals[0]["responsible_user"]) if animals else ("", None)
    if not lab or not name:
        return lab, None
    there = (subject.Subject & {"lab": lab, "subject": str(name)}).to_dicts()
    if there:
        return lab, there[0]["responsible_user"]
    return lab, row.get("responsible_user") or None if table == "subject.Subject" else None


def _existing(table: str, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The row that is there, of tables whose keys do not say the lab."""
    cls = class_of(table)
    if "lab" in cls.primary_key or any(row.get(name) is None for name in cls.primary_key):
        return None
    if not {"lab", "note_object_id"} & set(cls().heading.names):
        return None
    rows = (cls & {name: str(row[name]) for name in cls.primary_key}).to_dicts()
    return rows[0] if rows else None


def _needs_lab(table: str) -> bool:
    entry = TABLES.get(table)
    one = None if entry is None else entry.field("lab")
    return one is not None and (one.required or "lab" in class_of(table).primary_key)


def _owner(table: str, row: Mapping[str, Any]) -> str | None:
    """Who entered a row, as the database holds it."""
    cls, column = class_of(table), OWNERS[table]
    key = {name: row[name] for name in cls.primary_key if name in row}
    rows = (cls & key).to_dicts() if len(key) == len(cls.primary_key) else []
    return rows[0][column] if len(rows) == 1 else None


def _label(table: str) -> str:
    return TABLES[table].label if table in TABLES else table.partition(".")[2]
