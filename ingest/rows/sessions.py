"""The rows of sessions: what metadata files, descriptions and settings say of them, who ran them, weights and water."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ingest.files.report import Report
from ingest.files.scan import Problem, SessionKey
from ingest.files.session_metadata import Facts
from ingest.metadata.files import Metadata
from ingest.rows.session_keys import SESSION, fetch_for, primary_key, session_key
from ingest.rows.session_statements import (
    FACTS,
    differences,
    facts_are_new,
    said_columns,
    said_values,
    statements_of,
    tells,
)
from ingest.rows.sources import FOLDER, Fact, Sources, Statement, key_text
from ingest.rows.writing import Writer
from pipeline import entry
from pipeline.alf import identity
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import acquisition, action, lab, subject

_LISTS = (
    (acquisition.SessionUser, "users"),
    (acquisition.SessionProject, "projects"),
    (acquisition.SessionProcedure, "procedures"),
)


class SessionRows:
    """The sessions that are registered, and those that are being registered."""

    def __init__(self, writer: Writer, sources: Sources) -> None:
        self._writer, self.sources = writer, sources
        self.metadata = Metadata()
        """What metadata files say of sessions takes precedence over what the session folders say."""
        rows = fetch_columns(acquisition.Session, *SESSION, *FACTS).to_pylist()
        self.known = {session_key(row): {name: row[name] for name in FACTS} for row in rows}
        self.eids = {row["eid"]: session_key(row) for row in rows}

    def write(self, reports: Sequence[Report], datasets: Mapping[SessionKey, Mapping[str, dict]]) -> None:
        """Write the sessions of a batch; `datasets` are those that were registered before."""
        rows, changed, sets, unlinked = [], [], [], []
        telling = {report.folder.path: report for report in reports if tells(report)}
        before = self.sources.before(telling)
        told_before = self._told([report.folder.key for report in reports])
        new: list[tuple[SessionKey, Facts]] = []
        for report in reports:
            key, said = report.folder.key, before.get(report.folder.path, {})
            told = self.metadata.sessions.get(key) or told_before.get(key, Facts())
            facts = told.over(report.facts)
            lists_told: dict[str, Any] = {name: [] for _, name in _LISTS if getattr(told, name)}
            sets.append((key, replace(report.facts, **lists_told)))
            if key not in self.known:
                eid = self._free_eid(told.eid, key)
                row = {name: getattr(report.facts, name) for name in FACTS} | {"eid": eid}
                new.append((key, told))
                self.known[key] = row
                self.eids[eid] = key
                rows.append((*key, *(row[name] for name in FACTS)))
                self._writer.change("registered", report.folder.path, f"{len(report.files)} files")
                continue
            known = {}
            if report.folder.path in telling:
                statement = said.get(("acquisition.Session", key_text(primary_key(key))))
                if statement is not None:
                    old = told.over(Facts(**statement.values))
                    known = differences(old, facts)
                    unlinked.append((key, old, facts))
                else:
                    again = facts_are_new(report, datasets.get(key, {}))
                    known = {n: v for n in FACTS if (v := getattr(facts, n)) is not None}
                    known = {n: v for n, v in known.items() if again or not self.known[key][n]}
            changed += self._change_session(key, {n: v for n, v in known.items() if n not in said_columns(told)})
        names = (*SESSION, *FACTS)
        self._lookups(sets)
        self._writer.put(acquisition.Session, names, rows, "skip")
        self._writer.put(acquisition.Session, names, changed, "update")
        self._links(sets)
        self._unlink(unlinked)
        if not self._writer.dry_run:  # in which they do not exist
            self._enter_told(new)
        now = {path: statements_of(report) for path, report in telling.items()}
        gone = self.sources.replace({path: before.get(path, {}) for path in telling}, now)
        self._take_back(gone.values())
        self._actions(telling, before, datasets)

    def apply_metadata(self, metadata: Metadata) -> int:
        """Bring sessions that are registered up to what metadata files say of them; returns how many changed.

        What they do not say any more is as the session folders have it. An eid stays: others know the session by it.
        """
        self.metadata, told = metadata, metadata.sessions
        files = {file for file in metadata.files if file.lower().endswith("sessions.json")} - metadata.incomplete
        for folder in metadata.folders:
            absent = self.sources.files_in(folder) - set(metadata.files)
            files |= {file for file in absent if file.lower().endswith("sessions.json")}
        now: dict[str, dict[Fact, Statement]] = {file: {} for file in files}
        for key, facts in told.items():
            file = metadata.session_files[key]
            if file in now:
                zone = metadata.zones.get(key.lab, "UTC") if facts.start_time or facts.end_time else ""
                one = Statement("acquisition.Session", primary_key(key), said_values(facts), 1, zone)
                now[file][one.fact] = one
        before = {
            file: {fact: one for fact, one in said.items() if one.table == "acquisition.Session"}
            for file, said in self.sources.before(files).items()
        }
        self.sources.replace(before, now)
        old = {session_key(item.key): Facts(**item.values) for said in before.values() for item in said.values()}
        keys = [key for key in told.keys() | old.keys() if key in self.known]
        folders = self._said_of("acquisition.Session", keys, f"source_line = {FOLDER}")
        changed: list[tuple[SessionKey, dict[str, Any]]] = []
        sets, unlinked = [], []
        for key in keys:
            by_folder = folders.get(key, Facts())
            facts, previous = told.get(key, Facts()), old.get(key)
            known = said_columns(facts)
            if previous is not None:
                merged = previous.over(by_folder), facts.over(by_folder)
                known = differences(*merged) | known
                unlinked.append((key, *merged))
            stored = dict(self.known[key])
            if self._change_session(key, known, note=False):
                changed.append((key, {name: value for name, value in self.known[key].items() if stored[name] != value}))
            sets.append((key, facts))
        n_changed = self._enter(changed)
        self._enter_lists(sets, unlinked)
        return n_changed

    def _enter_told(self, new: Sequence[tuple[SessionKey, Facts]]) -> None:
        """Enter what metadata files say of sessions that have just been registered."""
        changed = []
        for key, told in new:
            given = {name: value for name, value in said_columns(told).items() if name != "eid"}
            if given:
                changed.append((key, given))
                self.known[key] = self.known[key] | given
        self._enter(changed)
        self._enter_lists(new)

    def _enter(self, changed: Sequence[tuple[SessionKey, dict[str, Any]]]) -> int:
        """Change sessions as metadata files say; what cannot be is a problem of the file, and stays as it was."""
        if not changed:
            return 0
        rows = [primary_key(key) | values for key, values in changed]
        written = entry.write(
            "acquisition.Session", rows, action="update", on_error="skip_value", create_missing=True,
            dry_run=self._writer.dry_run, **self._origin(),
        )  # fmt: skip
        self._note_errors(written.errors, [key for key, _ in changed])
        return written.updated

    def _enter_lists(
        self,
        sets: Sequence[tuple[SessionKey, Facts]],
        changes: Sequence[tuple[SessionKey, Facts, Facts]] = (),
    ) -> None:
        """Make the users, projects and procedures of sessions those that metadata files name.

        Parameters
        ----------
        sets : of each session, what the files say; a list that they do not give stays as it is.
        changes : of each session what was said before, and now: what is not said any more is taken away.
        """
        for table, name in _LISTS:
            label, column = f"acquisition.{table.__name__}", table.primary_key[-1]
            lists = [(key, getattr(facts, name)) for key, facts in sets if getattr(facts, name)]
            if lists:
                written = entry.write_lists(
                    label, column, [(primary_key(key), names) for key, names in lists], create_missing=True,
                    on_error="skip_row", dry_run=self._writer.dry_run, **self._origin(),
                )  # fmt: skip
                self._note_errors(written.errors, [key for key, names in lists for _ in names])
            unsaid = [
                primary_key(key) | {column: item}
                for key, old, now in changes
                for item in getattr(old, name)
                if item not in getattr(now, name)
            ]
            present = (table & unsaid).proj().to_dicts() if unsaid else []
            if present and not self._writer.dry_run:
                entry.remove(label, present, **self._origin())

    def _origin(self) -> dict[str, Any]:
        return {"user": self._writer.user, "source": "metadata sessions.json", "batch": self._writer.run_id}

    def _note_errors(self, errors: Iterable[entry.RowError], keys: Sequence[SessionKey]) -> None:
        """Report values of sessions that cannot be written; `keys` are the sessions of the rows."""
        for error in errors:
            key = keys[error.row]
            file = self.metadata.session_files.get(key, "sessions.json")
            self.metadata.problem(file, error.column, identity.session_path(*key), error.message)

    def restore_water(self, sessions: set[SessionKey]) -> None:
        """Let settings say again how much water was given in sessions of which no metadata file says it any more."""
        if not sessions or self._writer.dry_run:
            return
        labs = [{"stated_lab": name} for name in sorted({key.lab for key in sessions})]
        links = self.sources.all_of("acquisition.SessionWater", labs, f"source_line = {FOLDER}")
        links = [link for link in links if session_key({**link.key, **link.values}) in sessions]
        given = self.sources.of_rows("action.WaterAdministration", [link.key for link in links])
        water = [
            (session_key({**link.key, **link.values}), link.key["administration_time"], said.values["water_volume"],
             said.values["water_type"], said.values.get("water_user"))
            for link in links
            for said in given.get(key_text(link.key), [])[:1]
        ]  # fmt: skip
        self._put_water(water)

    def _told(self, keys: Sequence[SessionKey]) -> dict[SessionKey, Facts]:
        """What metadata files that are not read now said of sessions."""
        return self._said_of(
            "acquisition.Session", [k for k in keys if k not in self.metadata.sessions], f"source_line > {FOLDER}"
        )

    def _said_of(self, table: str, keys: Sequence[SessionKey], restriction: str) -> dict[SessionKey, Facts]:
        """The facts that files of one kind say of sessions; of several files the first by name counts."""
        by_key = self.sources.of_rows(table, [primary_key(key) for key in keys], restriction)
        result = {}
        for statements in by_key.values():
            merged = Facts()
            for statement in statements:
                merged = merged.over(Facts(**statement.values))
            result[session_key(statements[0].key)] = merged
        return result

    def _change_session(self, key: SessionKey, known: Mapping[str, Any], note: bool = True) -> list[tuple]:
        """The row of a session whose facts differ from `known`, else nothing."""
        before = self.known[key]
        empty = dict.fromkeys(("task_protocol", "rig", "session_narrative"), "")
        known = {name: empty.get(name) if value is None else value for name, value in known.items()}
        differs = {name: value for name, value in known.items() if before[name] != value}
        if "eid" in differs and self._free_eid(differs["eid"], key) != differs["eid"]:
            del differs["eid"]
        if not differs:
            return []
        said = ", ".join(f"{name}: {before[name]} -> {value}" for name, value in differs.items())
        if note:
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
        users |= {
            user for _, facts in sets for *_, user in (*facts.weighings, *facts.water) if isinstance(user, str) and user
        }
        ensure(lab.LabMember, {(user,) for user in users})
        ensure(lab.Project, {(project,) for _, facts in sets for project in facts.projects})
        ensure(action.ProcedureType, {(procedure,) for _, facts in sets for procedure in facts.procedures})
        ensure(action.WaterType, {(item[2],) for _, facts in sets for item in facts.water})

    def _links(self, sets: Sequence[tuple[SessionKey, Facts]]) -> None:
        """Users, projects and procedures of sessions."""
        for table, name in _LISTS:
            rows = {(*key, item) for key, facts in sets for item in getattr(facts, name)}
            names = (*SESSION, table.primary_key[-1])
            self._writer.put(table, names, sorted(rows), "skip")

    def _unlink(self, changes: Sequence[tuple[SessionKey, Facts, Facts]]) -> None:
        """Take away users, projects and procedures that the settings named before and do not name any more."""
        for table, name in _LISTS:
            names = (*SESSION, table.primary_key[-1])
            rows = [
                dict(zip(names, (*key, item), strict=True))
                for key, old, now in changes
                for item in getattr(old, name)
                if item not in getattr(now, name)
            ]
            if rows and not self._writer.dry_run:
                (table & rows).delete_quick()

    def _take_back(self, statements: Iterable[Statement]) -> None:
        """Delete weighings and water that settings said before and do not say any more."""
        keys: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for statement in statements:
            keys[statement.table].append(dict(statement.key))
        for table, label in (
            (acquisition.SessionWater, "acquisition.SessionWater"),
            (action.WaterAdministration, "action.WaterAdministration"),
            (action.Weighing, "action.Weighing"),
        ):
            if keys[label] and not self._writer.dry_run:
                (table & keys[label]).delete_quick()
                for key in keys[label]:
                    path = "/".join(str(value) for value in key.values())
                    self._writer.change("removed", path, f"{label}: the settings do not say it any more")

    def _actions(
        self,
        telling: Mapping[str, Report],
        before: Mapping[str, Mapping[Fact, Statement]],
        datasets: Mapping[SessionKey, Mapping],
    ) -> None:
        """Weights and water that the settings of sessions tell, where these are new or other than before."""
        weighings: list[tuple] = []
        water: list[tuple] = []
        linked = self._water_times([r.folder.key for r in telling.values() if r.facts.water])
        for path, report in telling.items():
            key, facts, said = report.folder.key, report.facts, before.get(path, {})
            if not said and key in datasets and not facts_are_new(report, datasets.get(key, {})):
                continue  # registered before it was kept which file says what
            is_new = {fact for fact, one in statements_of(report).items() if said.get(fact) != one}
            animal = {"lab": key.lab, "subject": key.subject}
            for when, weight, user in facts.weighings:
                if ("action.Weighing", key_text(animal | {"weighing_time": when})) in is_new:
                    weighings.append((key.lab, key.subject, when, weight, user))
            times = {
                value.key["administration_time"] for value in said.values() if value.table == "acquisition.SessionWater"
            }
            if key in self.metadata.water_told or linked.get(key, set()) - {item[0] for item in facts.water} - times:
                continue
            for when, *rest in facts.water:
                if ("action.WaterAdministration", key_text(animal | {"administration_time": when})) in is_new:
                    water.append((key, when, *rest))
        names = ("lab", "subject", "weighing_time", "weight", "weighing_user")
        self._writer.put(action.Weighing, names, list({row[:3]: row for row in weighings}.values()), "update")
        self._put_water(water)

    def _put_water(self, water: Sequence[tuple]) -> None:
        """Enter water of sessions: session, time, volume, type, user."""
        key_names = ("lab", "subject", "administration_time")
        self._writer.put(
            action.WaterAdministration,
            (*key_names, "water_volume", "water_type", "water_user"),
            list({(k.lab, k.subject, t): (k.lab, k.subject, t, *rest) for k, t, *rest in water}.values()),
            "update",
        )
        links = {(k.lab, k.subject, t): (k.lab, k.subject, t, k.date, k.number) for k, t, *_ in water}
        names = (*key_names, "session_date", "session_number")
        self._writer.put(acquisition.SessionWater, names, list(links.values()), "skip")

    def _water_times(self, keys: list[SessionKey]) -> dict[SessionKey, set[datetime.datetime]]:
        times: dict[SessionKey, set[datetime.datetime]] = defaultdict(set)
        for row in fetch_for(acquisition.SessionWater, keys, (*SESSION, "administration_time")):
            times[session_key(row)].add(row["administration_time"])
        return times


def after_death(sessions: Iterable[SessionKey]) -> list[Problem]:
    """What is said of the sessions among `sessions` that are later than the death of their animal."""
    died = [
        (subject.Subject & "death_date IS NOT NULL").proj(last_day="death_date"),
        subject.Cull.proj(last_day="cull_date"),
    ]
    there, problems = set(sessions), []
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
