"""Changes of the keys of animals and sessions: previewed, made in one transaction, written down, and undone."""

from __future__ import annotations

import datetime
import getpass
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import datajoint as dj

from pipeline.database import registry
from pipeline.entry import record_ids
from pipeline.entry.audit import Edit, Origin, record
from pipeline.entry.former_names import former_key, remember_sessions
from pipeline.entry.key_forms import SESSION, SUBJECT, from_json, path_of, to_json
from pipeline.errors import ConflictError, NotFoundError, UserError
from pipeline.provenance import rekey
from pipeline.schemas import acquisition, action, data, identity, lab, subject

_OF_SESSION = SESSION[2:]
_REGISTERED_AGAIN = frozenset({"data.AlfObject", "data.SessionScan"})
"""What the next ingest of a session folder writes again."""


@dataclass
class Change:
    """A change of keys that was prepared and not made yet.

    Attributes
    ----------
    kind
        `subject rename`, `subject merge`, `subject move-lab`, `session move` or `session merge`.
    before, after
        Primary key before and after.
    """

    kind: str
    before: dict[str, Any]
    after: dict[str, Any]

    @property
    def root(self) -> type[dj.Table]:
        """The table of which a row gets another key."""
        return acquisition.Session if self.kind.startswith("session") else subject.Subject

    @property
    def is_merge(self) -> bool:
        """Whether two rows become one."""
        return self.kind.endswith("merge")

    def preview(self) -> dict[str, int]:
        """How many rows of each table get another key, or are deleted to be computed again: label -> count."""
        return self._rekeying().preview()

    def conflicts(self) -> list[str]:
        """What stands in the way, in words with what to do; empty where nothing does.

        Rows that depend on a row that is named are left out: what is done about that row decides about them.
        """
        conflicts = []
        named: dict[tuple[str, ...], set[tuple[Any, ...]]] = {}  # the values of keys, by the names of these
        for label, clashing in self._rekeying().conflicts().items():
            keys = [key for key in clashing if not _depends_on(key, named)]
            for key in keys:
                named.setdefault(tuple(key), set()).add(tuple(key.values()))
            for key in keys[:10]:
                where = ", ".join(f"{name} {value}" for name, value in key.items() if name not in SUBJECT)
                remedy = "correct or delete one of them first"
                if label == "acquisition.Session":
                    here = path_of(self.before | {name: key[name] for name in _OF_SESSION})
                    remedy = f"give one another number first: neurojoint session move {here} …"
                conflicts.append(
                    f"{label}: both have a row at {where or path_of(key)} with different content; {remedy}"
                )
            if len(keys) > 10:
                conflicts.append(f"{label}: and {len(keys) - 10} more")
        if self.kind == "session merge":
            conflicts += self._same_files()
        return conflicts

    def apply(self, user: str | None = None) -> str:
        """Make the change in one transaction, with an entry in identity.KeyChange and data.Change.

        Returns
        -------
        str
            The identifier with which it can be undone.

        Raises
        ------
        UserError
            Rows stand in the way (see `conflicts`), or what is to be changed is not there any more.
        """
        change_id = str(uuid.uuid4())
        with self.root().connection.transaction:
            facts = self._undo_facts()
            counts = self._make(facts)
            identity.KeyChange.insert1(
                {
                    "key_change_id": change_id,
                    "key_change_kind": self.kind,
                    "key_before": to_json(self.before),
                    "key_after": to_json(self.after),
                    "changed_rows": counts,
                    "undo_facts": facts,
                    "key_change_user": (user or getpass.getuser())[:64],
                    "key_change_time": _now(),
                }
            )
            _note(self, counts, user or getpass.getuser(), change_id)
        return change_id

    def _make(self, facts: Mapping[str, Any]) -> dict[str, int]:
        if not (self.root & self.before):
            raise NotFoundError(f"{path_of(self.before)} is not there any more", "look at the list again")
        if wrong := self.conflicts():
            raise ConflictError("; ".join(wrong), "nothing was changed")
        if self.before["lab"] != self.after["lab"]:
            self._bring_lab_rows()
        links = self._move_water() if self.root is acquisition.Session else []
        sessions = (acquisition.Session & self.before).proj().to_dicts()
        counts = _run(self._rekeying())
        acquisition.SessionWater.insert(links, skip_duplicates=True)
        self._remember_name()
        if self.root is subject.Subject:
            remember_sessions((former, former | self.after) for former in sessions)
        if self.root is acquisition.Session:
            (data.SessionScan & self.after).delete_quick()  # the folder is read again under its new key
        return counts

    def _rekeying(self) -> rekey.Rekeying:
        columns = SESSION if self.root is acquisition.Session else SUBJECT
        old, new = (tuple(key[name] for name in columns) for key in (self.before, self.after))
        dropped: frozenset[str] = frozenset()
        if self.is_merge or old[:2] != new[:2]:
            if self.kind == "session merge":
                dropped = rekey.summaries(acquisition.Session) | _REGISTERED_AGAIN
            if self.kind in ("subject merge", "session move", "session merge"):
                dropped |= rekey.summaries(subject.Subject, but=_OF_SESSION)
        return rekey.Rekeying(self.root, old, new, dropped)

    def _same_files(self) -> list[str]:
        """Files that both sessions have under one name."""
        names = [set((data.Dataset & key).to_arrays("rel_path")) for key in (self.before, self.after)]
        both = sorted(names[0] & names[1])
        shown = ", ".join(both[:5]) + (f" and {len(both) - 5} more" if len(both) > 5 else "")
        return [f"data.Dataset: both sessions have {shown}; put one into another collection first"] if both else []

    def _undo_facts(self) -> dict[str, Any]:
        """What a merge loses: the row that goes, and which of the rows that stay were its own."""
        if not self.is_merge:
            return {}
        row = (self.root & self.before).fetch1()
        columns = SESSION if self.root is acquisition.Session else SUBJECT
        own: dict[str, list[dict[str, Any]]] = {}
        rekeying = self._rekeying()
        for place in rekey.places(self.root)[1:]:
            label, query = registry.label(place.table), place.table()
            if rekeying.drops(label) or (self.root is subject.Subject and set(_OF_SESSION) <= set(query.heading.names)):
                continue  # what a session has goes with it
            rest = [name for name in query.primary_key if not (place.key_roles and name in columns)]
            rows = (query & [dict(zip(role, rekeying.old, strict=True)) for role in place.roles]).proj().to_dicts()
            own[label] = [to_json({name: item[name] for name in rest}) for item in rows]
        sessions = (acquisition.Session & self.before).proj().to_dicts() if self.root is subject.Subject else []
        return {
            "row": to_json(row),
            "sessions": [to_json({name: session[name] for name in _OF_SESSION}) for session in sessions],
            "own_rows": own,
        }

    def _bring_lab_rows(self) -> None:
        """Rooms of the old lab that the rows name exist in the new one too."""
        rooms = lab.LabLocation & {"lab": self.before["lab"]}
        lab.LabLocation.insert((row | {"lab": self.after["lab"]} for row in rooms.to_dicts()), skip_duplicates=True)

    def _move_water(self) -> list[dict[str, Any]]:
        """Give water of the session to the animal that did it; returns the links to enter after the session moved."""
        links = (acquisition.SessionWater & self.before).to_dicts()
        if not links:
            return []
        times = [{name: row[name] for name in (*SUBJECT, "administration_time")} for row in links]
        animal = {name: self.after[name] for name in SUBJECT}
        given = (action.WaterAdministration & times).to_dicts()
        (acquisition.SessionWater & times).delete_quick()
        if any(animal[name] != self.before[name] for name in SUBJECT):
            (action.WaterAdministration & times).delete_quick()
            action.WaterAdministration.insert((row | animal for row in given), skip_duplicates=True)
        return [row | self.after for row in links]

    def _remember_name(self) -> None:
        if self.root is subject.Subject:
            former = {"former_lab": self.before["lab"], "former_subject": self.before["subject"]}
            now = {"former_lab": self.after["lab"], "former_subject": self.after["subject"]}
            known = (identity.FormerSession & former).to_dicts()
            identity.FormerSession.insert((row | now for row in known), skip_duplicates=True)
            table: type[dj.Table] = identity.FormerSubject
        else:
            names = ("former_lab", "former_subject", "former_date", "former_number")
            former, now = (
                dict(zip(names, (key[name] for name in SESSION), strict=True)) for key in (self.before, self.after)
            )
            table = identity.FormerSession
        (table & now).delete_quick()
        (table & former).delete_quick()
        table.insert1(former | self.after)


def undo(change_id: str, user: str | None = None) -> dict[str, int]:
    """Take a change back, in one transaction; returns how many rows of each table got their former key.

    Raises
    ------
    UserError
        There is no such change, it was undone before, or rows stand in the way.
    """
    rows = (identity.KeyChange & {"key_change_id": change_id}).to_dicts()
    if not rows:
        raise NotFoundError(f"there is no change {change_id}", "`neurojoint subject changes` lists them")
    if rows[0]["undone_time"] is not None:
        raise UserError(f"the change {change_id} was undone before", "make the change again if you need it")
    row = rows[0]
    before, after, facts = from_json(row["key_before"]), from_json(row["key_after"]), row["undo_facts"]
    change = Change(row["key_change_kind"], before, after)
    with change.root().connection.transaction:
        counts = _split(change, facts) if change.is_merge else Change(change.kind, after, before)._make({})
        for key in (before, after):
            if change.root is subject.Subject:
                (identity.FormerSubject & former_key(key, identity.FormerSubject)).delete_quick()
            columns = dict(zip(identity.FormerSession.primary_key, key.values(), strict=False))
            (identity.FormerSession & columns).delete_quick()
        identity.KeyChange.update1({"key_change_id": change_id, "undone_time": _now()})
        _note(change, counts, user or getpass.getuser(), change_id, undoes=True)
    return counts


def _split(change: Change, facts: Mapping[str, Any]) -> dict[str, int]:
    """Take a merge back: the row that went is there again, with what was its own."""
    change.root.insert1(from_json(facts["row"]))
    forward = change._rekeying()
    only: dict[str, list[dict[str, Any]]] = {registry.label(change.root): []}
    sessions = [from_json(session) for session in facts["sessions"]]
    for place in rekey.places(change.root)[1:]:
        label, names = registry.label(place.table), set(place.table().heading.names)
        of_session = change.root is subject.Subject and set(_OF_SESSION) <= names
        only[label] = sessions if of_session else [from_json(item) for item in facts["own_rows"].get(label, [])]
    return _run(rekey.Rekeying(change.root, forward.new, forward.old, forward.dropped, only))


def _run(rekeying: rekey.Rekeying) -> dict[str, int]:
    """Change the keys; the uuids by which other programs know the records stay."""
    moved = rekeying.moved(record_ids.TABLES)
    counts = rekeying.run()
    for label, pairs in moved.items():
        record_ids.keep(label, list(pairs[0][0]), pairs)
    return counts


def _depends_on(key: Mapping[str, Any], named: Mapping[tuple[str, ...], set[tuple[Any, ...]]]) -> bool:
    """Whether a row depends on one that is named: its key contains that of the other."""
    return any(
        key.keys() >= set(names) and tuple(key[name] for name in names) in known for names, known in named.items()
    )


def _note(change: Change, counts: Mapping[str, int], user: str, change_id: str, undoes: bool = False) -> None:
    """Write down who gave the row another key; `undoes` where it was given back."""
    batch = str(uuid.uuid4()) if undoes else change_id
    origin = Origin(user, f"{'undo of ' if undoes else ''}{change.kind}", batch, change_id if undoes else "")
    before, after = (change.after, change.before) if undoes else (change.before, change.after)
    table = registry.label(change.root)
    renamed = {name: value for name, value in after.items() if before[name] != value}
    record(origin, table, [Edit("update", before, {name: before[name] for name in renamed}, renamed)])
    total = sum(counts.values())
    note = data.ChangeNote("replaced", path_of(before), f"{change.kind}: {total} rows are of {path_of(after)}")
    data.Change.record([note], user, batch)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
