"""Rename, merge and move animals and sessions: uuid, eid, history and file records stay; previewed, audited, undoable.

    change = renaming.rename_subject("mylab", "KS14", "KS014")
    change.preview()          # {'acquisition.Session': 12, …}
    change.apply(user="ada")  # one transaction; `key_changes.undo(change_id)` takes it back

Files stay where they are: the former name is kept, so that a folder of that name goes on meaning the same animal or
session, whether or not it is renamed later.
"""

from __future__ import annotations

import datetime
import getpass
from typing import Any

from pipeline.alf import names
from pipeline.entry.key_changes import Change
from pipeline.entry.key_forms import path_of, session_key
from pipeline.errors import ConflictError, NotFoundError, UserError
from pipeline.schemas import acquisition, data, identity, lab, subject


def rename_subject(lab_name: str, old: str, new: str) -> Change:
    """Prepare to give an animal another name.

    Raises
    ------
    UserError
        There is no such animal, or another has the new name: then merge them.
    """
    before, after = _animal(lab_name, old), {"lab": lab_name, "subject": _name(new)}
    if subject.Subject & after:
        raise ConflictError(
            f"{lab_name} has an animal {new} already",
            f"if both are one animal: neurojoint subject merge {lab_name}/{old} {lab_name}/{new}",
        )
    return Change("subject rename", before, after)


def merge_subjects(lab_name: str, old: str, into_lab: str, into: str) -> Change:
    """Prepare to make one animal of two: what `old` has goes to `into`, whose uuid and description stay.

    Raises
    ------
    UserError
        One of them is not there, or both are the same.
    """
    before, after = _animal(lab_name, old), _animal(into_lab, into)
    if before == after:
        raise UserError(f"{path_of(before)} cannot be merged with itself", "name two animals")
    return Change("subject merge", before, after)


def move_subject(lab_name: str, name: str, to_lab: str) -> Change:
    """Prepare to move an animal to another lab.

    Raises
    ------
    UserError
        There is no such animal or lab, or that lab has an animal of this name: then rename one first.
    """
    before, after = _animal(lab_name, name), {"lab": to_lab, "subject": name}
    if not (lab.Lab & {"lab": to_lab}):
        raise NotFoundError(f"there is no lab {to_lab}", "enter it first, e.g. in labs.csv")
    if subject.Subject & after:
        raise ConflictError(
            f"{to_lab} has an animal {name} already",
            f"give one another name first: neurojoint subject rename {lab_name}/{name} …; or, if both are one animal: "
            f"neurojoint subject merge {lab_name}/{name} {to_lab}/{name}",
        )
    return Change("subject move-lab", before, after)


def move_session(old: str, new: str) -> Change:
    """Prepare to give a session another animal, date or number.

    Parameters
    ----------
    old, new
        `lab/Subjects/subject/date/number`.

    Raises
    ------
    UserError
        There is no such session, no such animal, or there is a session at the new place: then merge them.
    """
    before, after = _session(old), session_key(new)
    _animal(after["lab"], after["subject"])
    if acquisition.Session & after:
        raise ConflictError(
            f"there is a session {path_of(after)} already",
            f"choose another number; or, if both are one session: neurojoint session merge {old} {new}",
        )
    return Change("session move", before, after)


def merge_sessions(old: str, into: str) -> Change:
    """Prepare to make one session of two: the files of `old` become files of `into`, whose eid and facts stay.

    Raises
    ------
    UserError
        One of them is not there, or both are the same.
    """
    before, after = _session(old), _session(into)
    if before == after:
        raise UserError(f"{path_of(before)} cannot be merged with itself", "name two sessions")
    return Change("session merge", before, after)


def confirm_session(path: str, settings_subject: str, user: str | None = None) -> None:
    """Note that a session's folder is right although its settings name another animal; the next ingest reads it.

    Raises
    ------
    UserError
        There is no such session.
    """
    key = _session(path)
    connection = acquisition.Session().connection
    with connection.transaction:
        identity.SessionConfirmation.insert1(
            key
            | {
                "settings_subject": _name(settings_subject),
                "confirmation_user": (user or getpass.getuser())[:64],
                "confirmation_time": datetime.datetime.now(datetime.UTC).replace(tzinfo=None),
            },
            skip_duplicates=True,
        )
        (data.SessionScan & key).delete_quick()


def _animal(lab_name: str, name: str) -> dict[str, Any]:
    key = {"lab": lab_name, "subject": name}
    if not (subject.Subject & key):
        near = (subject.Subject & {"lab": lab_name}).to_arrays("subject") if lab.Lab & {"lab": lab_name} else []
        known = f"; {lab_name} has {', '.join(sorted(near)[:10])}" if len(near) else ""
        raise NotFoundError(f"there is no animal {lab_name}/{name}{known}", "write it as LAB/SUBJECT")
    return key


def _session(path: str) -> dict[str, Any]:
    key = session_key(path)
    if not (acquisition.Session & key):
        raise NotFoundError(f"there is no session {path_of(key)}", "`neurojoint find` lists the sessions")
    return key


def _name(text: str) -> str:
    try:
        return names.check(text, "subject")
    except ValueError as error:
        raise UserError(str(error), "choose another name") from None
