"""Which sessions are meant: by eid, animal, path, release, or by what `neurojoint find` takes."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import NeurojointError
from pipeline.queries import search
from pipeline.schemas import acquisition, data

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_PART = re.compile(r"[\w.-]+", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def sessions(
    words: Sequence[str] = (), *, tag: str | None = None, since: str | None = None, until: str | None = None,
    **asked: Any,
) -> list[dict[str, Any]]:  # fmt: skip
    """Keys of the sessions, in order of animal and date.

    Parameters
    ----------
    words : each an eid, an animal, or a path (lab/subject/date/number, from the right as short as wanted); without
        words all sessions that the options leave.
    tag : a release that one of the session's datasets belongs to.
    since, until : dates, both included.
    asked : as `pipeline.queries.search.find_insertions` takes it: lab, subject, region, good, criteria, min_units,
        status, rules. Any of region, good, criteria and min_units leaves only sessions with insertions.

    Raises
    ------
    NeurojointError : a word means no session, or nothing is asked for.
    """
    asked = {name: value for name, value in asked.items() if value not in (None, False, "")}
    if not words and not asked and tag is None and since is None and until is None:
        raise NeurojointError(
            "no session is named", "give eids, animals or paths, or options such as --tag and --subject"
        )
    query = acquisition.Session()
    if words:
        query &= [key for word in words for key in _meant(word)]
    if tag is not None:
        if not len(data.Tag & {"tag": tag}):
            raise NeurojointError(f"there is no tag {tag}", "`neurojoint tag` shows the tags")
        datasets = data.Dataset & (data.DatasetTag & {"tag": tag}).proj()
        query &= [{name: row[name] for name in query.primary_key} for row in datasets.to_dicts()] or "1=0"
    for sign, day in ((">=", since), ("<=", until)):
        if day is not None:
            query &= f"session_date {sign} '{_date(day)}'"
    if {"region", "good", "criteria", "min_units", "status"} & asked.keys():
        rows = search.find_insertions(**asked)
        query &= [{"eid": eid} for eid in sorted(set(rows["eid"].to_pylist()))] or "1=0"
    else:
        for name in ("lab", "subject"):
            if name in asked:
                query &= [{name: part.strip()} for part in str(asked[name]).split(",")]
    return query.keys(order_by="lab, subject, session_date, session_number")


def _meant(word: str) -> list[Mapping[str, Any]]:
    """The sessions of one word."""
    if _UUID.fullmatch(word):
        keys = (acquisition.Session & {"eid": word.lower()}).keys()
    else:
        given = _parts(word)
        keys = (acquisition.Session & given).keys()
    if not keys:
        raise NeurojointError(f"there is no session of {word}", "check the name; `neurojoint status` shows the labs")
    return keys


def _parts(word: str) -> dict[str, Any]:
    """The columns that a path gives, read from its date.

    >>> _parts("lab/Subjects/m1/2024-01-31/001")
    {'lab': 'lab', 'subject': 'm1', 'session_date': '2024-01-31', 'session_number': 1}
    >>> _parts("m1/2024-01-31"), _parts("lab/m1")
    ({'subject': 'm1', 'session_date': '2024-01-31'}, {'lab': 'lab', 'subject': 'm1'})
    """
    parts = [part for part in word.strip("/").split("/") if part != "Subjects"]
    at = next((index for index, part in enumerate(parts) if _DATE.fullmatch(part)), len(parts))
    before, after = parts[:at], parts[at:]
    is_path = 1 <= len(before) <= 2 and len(after) <= 2 and all(_PART.fullmatch(part) for part in parts)
    if not is_path or (len(after) == 2 and not after[1].isdecimal()):
        raise NeurojointError(f"{word!r} is no eid, animal or session path", "e.g. KS014 or lab/KS014/2024-01-31/1")
    given: dict[str, Any] = {"lab": before[0]} if len(before) == 2 else {}
    given["subject"] = before[-1]
    if after:
        given["session_date"] = _date(after[0]).isoformat()
    if len(after) == 2:
        given["session_number"] = int(after[1])
    return given


def _date(day: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(day)
    except ValueError:
        raise NeurojointError(f"{day!r} is no date", "write it as 2024-01-31") from None
