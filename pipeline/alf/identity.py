"""Names that last: identifiers of subjects, sessions and datasets, derived from ALF paths where none is given."""

from __future__ import annotations

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
