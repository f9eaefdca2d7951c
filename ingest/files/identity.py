"""Names that last: identifiers of subjects, sessions and datasets, derived from ALF paths where none is given."""

from __future__ import annotations

import re
import uuid

from pipeline.alf.columns import raw_form

NAMESPACE = uuid.UUID("6d1f7a0e-3c58-3d0b-9b55-0f4e7d4c3f5a")
"""Of all derived identifiers: two databases that register the same tree agree on them."""


def subject_uuid(lab: str, subject: str) -> str:
    """Identifier of a subject.

    >>> subject_uuid("ibl_KS014", "KS014") == subject_uuid("ibl_KS014", "KS014")
    True
    """
    return str(uuid.uuid3(NAMESPACE, f"{lab}/Subjects/{subject}"))


def eid(session_path: str) -> str:
    """Identifier of a session by its path `lab/Subjects/subject/date/NNN`.

    >>> uuid.UUID(eid("ibl_KS014/Subjects/KS014/2019-08-06/001")).version
    3
    """
    return str(uuid.uuid3(NAMESPACE, session_path))


def dataset_id(session_path: str, rel_path: str) -> str:
    """Identifier of a dataset by the path of its session and its path below that; compression does not change it.

    >>> dataset_id("x", "r.ap.bin") == dataset_id("x", "r.ap.cbin")
    True
    """
    return str(uuid.uuid3(NAMESPACE, f"{session_path}/{raw_form(rel_path)}"))


def session_path(lab: str, subject: str, date: object, number: int) -> str:
    """The path from which identifiers are derived, however many digits the folder of the session has.

    >>> session_path("ibl_KS014", "KS014", "2019-08-06", 1)
    'ibl_KS014/Subjects/KS014/2019-08-06/001'
    """
    return f"{lab}/Subjects/{subject}/{date}/{number:03d}"


def given(text: object) -> str:
    """A uuid that a person or a rig gives, in lower case.

    Raises
    ------
    ValueError
        It is not a uuid of version 3 or 4, which ONE demands.

    Examples
    --------
    >>> given("604E1DA8-1E3D-41C4-A29E-21D573A0B84C")
    '604e1da8-1e3d-41c4-a29e-21d573a0b84c'
    """
    lower = str(text).strip().lower()
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", lower):
        raise ValueError(f"{text!r} is not a uuid")
    if not re.fullmatch(r".{14}[34].{4}[89ab].*", lower):
        raise ValueError(f"{lower} is a uuid of a version that ONE does not accept (it must be 3 or 4)")
    return lower
