"""The former names of animals and sessions: a folder of that name goes on meaning the same animal or session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import datajoint as dj

from pipeline.entry.key_forms import SESSION, SUBJECT
from pipeline.schemas import identity, subject


class Former:
    """The former names of animals and sessions, read once.

    Attributes
    ----------
    subjects
        (lab, subject) as folders name it -> as it is called now.
    sessions
        The same for (lab, subject, date, number); dates as text.
    confirmed
        Session -> animals that its settings name wrongly, as a person found.
    """

    def __init__(self) -> None:
        rows = identity.FormerSubject().to_dicts()
        taken = {(row["lab"], row["subject"]) for row in subject.Subject.proj().to_dicts()} if rows else set()
        self.subjects = {
            (row["former_lab"], row["former_subject"]): (row["lab"], row["subject"])
            for row in rows
            if (row["former_lab"], row["former_subject"]) not in taken
        }
        self.sessions = {
            (row["former_lab"], row["former_subject"], str(row["former_date"]), row["former_number"]): (
                row["lab"], row["subject"], str(row["session_date"]), row["session_number"],
            )
            for row in identity.FormerSession().to_dicts()
        }  # fmt: skip
        self.confirmed: dict[tuple[Any, ...], set[str]] = {}
        for row in identity.SessionConfirmation().to_dicts():
            key = (row["lab"], row["subject"], str(row["session_date"]), row["session_number"])
            self.confirmed.setdefault(key, set()).add(row["settings_subject"])

    def animal(self, lab_name: str, name: str) -> tuple[str, str]:
        """Lab and name of an animal now."""
        return self.subjects.get((lab_name, name), (lab_name, name))

    def session(self, key: tuple[Any, ...]) -> tuple[Any, ...]:
        """The key of a session now."""
        seen = set()
        while key not in seen:
            seen.add(key)
            key = self.sessions.get(key) or (*self.animal(*key[:2]), *key[2:])
        return key

    def names(self, key: tuple[Any, ...]) -> frozenset[str]:
        """The names by which the settings of a session may call its animal."""
        known = {old[1] for old, new in self.subjects.items() if new == key[:2]}
        return frozenset({key[1]} | known | self.confirmed.get(key, set()))


def remember_sessions(pairs: Iterable[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """Let the folders of sessions mean them also when another animal has the name one day."""
    rows = []
    for before, after in pairs:
        former = former_key(before, identity.FormerSession)
        rows.append(former | {name: after[name] for name in SESSION})
        (identity.FormerSession & former_key(after, identity.FormerSession)).delete_quick()
    identity.FormerSession.insert(rows, skip_duplicates=True)


def former_key(key: Mapping[str, Any], table: type[dj.Table]) -> dict[str, Any]:
    """The primary key, in a table of former names, of what was called so."""
    columns = SESSION if table is identity.FormerSession else SUBJECT
    return dict(zip(table().primary_key, (key[name] for name in columns), strict=True))
