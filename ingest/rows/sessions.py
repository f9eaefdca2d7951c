"""The rows of sessions: what metadata files, descriptions and settings say of them, who ran them, weights and water."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import datajoint as dj

from ingest.files.inspect_session import Report
from ingest.files.scan import Problem, SessionKey
from ingest.files.session_metadata import DESCRIPTION, SETTINGS, Facts
from ingest.rows.writing import Writer
from pipeline.alf import identity
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import acquisition, action, lab, subject

SESSION = ("lab", "subject", "session_date", "session_number")
FACTS = ("eid", "start_time", "end_time", "task_protocol", "rig", "start_delay", "location", "session_narrative")
"""Columns of acquisition.Session that sources fill."""


class SessionRows:
    """The sessions that are registered, and those that are being registered."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.told: Mapping[SessionKey, Facts] = {}
        """What metadata files say of sessions; it goes before what the session folders say."""
        self.water_told: set[SessionKey] = set()
        """Sessions whose water a metadata file gives: what the settings say of it does not count."""
        rows = fetch_columns(acquisition.Session, *SESSION, *FACTS).to_pylist()
        self.known = {session_key(row): {name: row[name] for name in FACTS} for row in rows}
        self.eids = {row["eid"]: session_key(row) for row in rows}

    def write(self, reports: Sequence[Report], datasets: Mapping[SessionKey, Mapping[str, dict]]) -> None:
        """Write the sessions of a batch; `datasets` are those that were registered before."""
        rows, changed, sets = [], [], []
        for report in reports:
            key = report.folder.key
            told, facts = self.told.get(key, Facts()), report.facts
            facts = told.over(facts)
            sets.append((key, facts))
            before = self.known.get(key)
            if before is None:
                eid = self._free_eid(told.eid, key)
                row = {name: getattr(facts, name) for name in FACTS} | {"eid": eid}
                self.known[key] = row
                self.eids[eid] = key
                rows.append((*key, *(row[name] for name in FACTS)))
                self._writer.change("registered", report.folder.path, f"{len(report.files)} files")
                continue
            told_again = _facts_are_new(report, datasets.get(key, {}))
            known = {n: v for n in FACTS if (v := getattr(facts, n)) is not None and (told_again or not before[n])}
            changed += self._change_session(key, known | _given(told))
        names = (*SESSION, *FACTS)
        self._lookups(sets)
        self._writer.put(acquisition.Session, names, rows, "skip")
        self._writer.put(acquisition.Session, names, changed, "update")
        self._links(sets)
        self._actions(reports, datasets)

    def tell(self, told: Mapping[SessionKey, Facts]) -> int:
        """Bring sessions that are registered up to what metadata files say of them; returns how many changed."""
        changed, sets = [], []
        for key, facts in told.items():
            if key in self.known:
                changed += self._change_session(key, _given(facts))
                sets.append((key, facts))
        self._lookups(sets)
        self._writer.put(acquisition.Session, (*SESSION, *FACTS), changed, "update")
        self._links(sets, exactly=True)
        return len(changed)

    def _change_session(self, key: SessionKey, known: Mapping[str, Any]) -> list[tuple]:
        """The row of a session whose facts differ from `known`, else nothing."""
        before = self.known[key]
        differs = {name: value for name, value in known.items() if before[name] != value}
        if "eid" in differs and self._free_eid(differs["eid"], key) != differs["eid"]:
            del differs["eid"]
        if not differs:
            return []
        said = ", ".join(f"{name}: {before[name]} -> {value}" for name, value in differs.items())
        self._writer.change("replaced", identity.session_path(*key), f"Session {said}")
        if "eid" in differs:
            self.eids.pop(before["eid"], None)
            self.eids[differs["eid"]] = key
        self.known[key] = before | differs
        return [(*key, *(self.known[key][name] for name in FACTS))]

    def _free_eid(self, given: str | None, key: SessionKey) -> str:
        """The eid that is given, unless another session has it; else the derived one."""
        if given and self.eids.get(given, key) == key:
            return given
        return identity.eid(identity.session_path(*key))

    def _lookups(self, sets: Sequence[tuple[SessionKey, Facts]]) -> None:
        ensure = self._writer.ensure
        ensure(lab.LabLocation, {(key.lab, facts.location) for key, facts in sets if facts.location})
        users = {user for _, facts in sets for user in facts.users}
        users |= {one[-1] for _, facts in sets for one in (*facts.weighings, *facts.water) if one[-1]}
        ensure(lab.LabMember, {(user,) for user in users})
        ensure(lab.Project, {(project,) for _, facts in sets for project in facts.projects})
        ensure(action.ProcedureType, {(one,) for _, facts in sets for one in facts.procedures})
        ensure(action.WaterType, {(one[2],) for _, facts in sets for one in facts.water})

    def _links(self, sets: Sequence[tuple[SessionKey, Facts]], exactly: bool = False) -> None:
        """Users, projects and procedures of sessions; with `exactly`, those that are not named any more go."""
        for table, name in (
            (acquisition.SessionUser, "users"),
            (acquisition.SessionProject, "projects"),
            (acquisition.SessionProcedure, "procedures"),
        ):
            rows = {(*key, one) for key, facts in sets for one in getattr(facts, name)}
            names = (*SESSION, table.primary_key[-1])
            if exactly and rows:
                keys = [key for key, facts in sets if getattr(facts, name)]
                there = {tuple(row.values()) for row in fetch_for(table, keys, names)}
                there = {(row[0], row[1], str(row[2]), *row[3:]) for row in there}
                if (extra := there - rows) and not self._writer.dry_run:
                    (table & [dict(zip(names, row, strict=True)) for row in extra]).delete_quick()
                rows -= there
            self._writer.put(table, names, sorted(rows), "skip")

    def _actions(self, reports: Sequence[Report], datasets: Mapping[SessionKey, Mapping]) -> None:
        """Weights and water that the settings of the sessions tell, where these are new."""
        reports = [report for report in reports if _facts_are_new(report, datasets.get(report.folder.key, {}))]
        weighings: list[tuple] = []
        water: list[tuple] = []
        given = self._water_times([r.folder.key for r in reports if r.facts.water and r.folder.key in datasets])
        for report in reports:
            key, facts = report.folder.key, report.facts
            weighings += [(key.lab, key.subject, *one) for one in facts.weighings]
            if key in self.water_told or given.get(key, set()) - {one[0] for one in facts.water}:
                continue
            water += [(key, *one) for one in facts.water]
        put, names = self._writer.put, ("lab", "subject", "weighing_time", "weight", "weighing_user")
        put(action.Weighing, names, list({row[:3]: row for row in weighings}.values()), "update")
        key_names = ("lab", "subject", "administration_time")
        put(
            action.WaterAdministration,
            (*key_names, "water_volume", "water_type", "water_user"),
            list({(k.lab, k.subject, t): (k.lab, k.subject, t, *rest) for k, t, *rest in water}.values()),
            "update",
        )
        links = {(k.lab, k.subject, t): (k.lab, k.subject, t, k.date, k.number) for k, t, *_ in water}
        names = (*key_names, "session_date", "session_number")
        put(acquisition.SessionWater, names, list(links.values()), "skip")

    def _water_times(self, keys: list[SessionKey]) -> dict[SessionKey, set[datetime.datetime]]:
        found: dict[SessionKey, set[datetime.datetime]] = defaultdict(set)
        for row in fetch_for(acquisition.SessionWater, keys, (*SESSION, "administration_time")):
            found[session_key(row)].add(row["administration_time"])
        return found


def after_death(found: Iterable[SessionKey]) -> list[Problem]:
    """What is said of the sessions among `found` that are later than the death of their animal."""
    died = [
        (subject.Subject & "death_date IS NOT NULL").proj(last_day="death_date"),
        subject.Cull.proj(last_day="cull_date"),
    ]
    there, problems = set(found), []
    for animals in died:
        late = (acquisition.Session.proj() * animals) & "session_date > last_day"
        for row in late.to_dicts():
            key = session_key(row)
            if key in there:
                detail = (
                    f"the animal died on {row['last_day']}: correct that date (subjects.csv), or, if another animal "
                    f"did it: neurojoint session move {identity.session_path(*key)} …"
                )
                problems.append(Problem(identity.session_path(*key), "after_death", detail))
    return list({problem.path: problem for problem in problems}.values())


def session_key(row: Mapping[str, Any]) -> SessionKey:
    """The session that a row belongs to."""
    return SessionKey(row["lab"], row["subject"], str(row["session_date"]), row["session_number"])


def keys_of(sessions: Sequence[SessionKey]) -> list[dict[str, Any]]:
    """Restriction to some sessions."""
    return [dict(zip(SESSION, key, strict=True)) for key in sessions]


def fetch_for(table: type[dj.Table], sessions: Sequence[SessionKey], names: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of these sessions as dicts."""
    return fetch_columns(table & keys_of(sessions), *names).to_pylist() if sessions else []


def _given(told: Facts) -> dict[str, Any]:
    return {name: value for name in FACTS if (value := getattr(told, name)) is not None}


def _facts_are_new(report: Report, there: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a file that tells of the session is new, or replaced since it was last read."""
    return any(
        file.rel_path.endswith((DESCRIPTION, SETTINGS))
        and (file.rel_path not in there or there[file.rel_path]["dataset_hash"] != file.md5)
        for file in report.files
    )
