"""From metadata files to rows, through `pipeline.entry`: labs, animals, weighings, water, restrictions."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ingest.files.scan import SessionKey
from ingest.metadata.files import Metadata, without_eid
from ingest.rows.session_keys import SESSION, fetch_for, session_key
from ingest.rows.sessions import SessionRows
from ingest.rows.sources import Fact, Sources, Statement, key_text
from ingest.rows.writing import Writer
from pipeline import entry
from pipeline.alf import identity
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns
from pipeline.entry.tables import class_of
from pipeline.provenance import delete
from pipeline.schemas import acquisition, ephys, subject

_ORDER = (
    "lab.Lab", "subject.Subject", "subject.SubjectProject", "subject.Implant", "action.Weighing",
    "action.WaterAdministration", "action.WaterRestriction", "acquisition.SessionWater", "histology.Trajectory",
)  # fmt: skip
"""The tables that metadata files fill, in the order of dependence."""
_OF_SESSION = "acquisition.SessionWater"

WATER_KEY = ("lab", "subject", "administration_time")
_OF_OTHER_TABLES = ("projects", "reference_weight", "implant_weight", "implant_date")


class MetadataRows:
    """Writes the rows of metadata files; what cannot be written becomes a problem of its file, and the rest counts.

    Parameters
    ----------
    writer : of this run.
    metadata : the rows.
    sources : where it is kept which file says what.
    """

    def __init__(self, writer: Writer, metadata: Metadata, sources: Sources) -> None:
        self.writer, self.metadata, self.sources = writer, metadata, sources
        self._said: dict[str, dict[Fact, Statement]] = defaultdict(dict)
        self._planned: dict[str, set[tuple]] = defaultdict(set)
        """Rows that a dry run does not write, and to which later ones refer."""
        self._linked: dict[tuple, SessionKey] = {}
        self._claimed: set[str] = set()
        """Uuids of animals that a file also gives to another name."""

    def write(self, table: str, rows: Sequence[Mapping[str, Any]], sources: Sequence[Mapping[str, Any]] = ()) -> int:
        """Write rows of one table; returns how many are new or changed.

        Parameters
        ----------
        sources : for each row the row of the file that says it; by default itself.
        """
        by_file: dict[str, list[int]] = defaultdict(list)
        sources = sources or rows
        for index, source in enumerate(sources):
            by_file[self.metadata.lines[id(source)][0]].append(index)
        n_changed = 0
        for file, indices in by_file.items():
            written = entry.write(
                table,
                [{name: value for name, value in rows[i].items() if value is not None} for i in indices],
                user=self.writer.user,
                source=f"metadata {file}",
                on_error="skip_value",
                create_missing=True,
                batch=self.writer.run_id,
                dry_run=self.writer.dry_run,
                planned=self._planned,
            )
            for error in written.errors:
                self.metadata.problem_of(sources[indices[error.row]], error.column, error.message)
            for index, key in zip(indices, written.keys, strict=True):
                if key is not None:
                    self._note(table, key, rows[index], sources[index])
            self._planned[table] |= {tuple(key.values()) for key in written.keys if key is not None}
            n_changed += written.changed
        return n_changed

    def _note(self, table: str, key: Mapping[str, Any], row: Mapping[str, Any], source: Mapping[str, Any]) -> None:
        """Remember that the file says this row."""
        file, line = self.metadata.lines[id(source)]
        values = {name: value for name, value in row.items() if name not in key and value is not None}
        has_times = any(isinstance(value, datetime.datetime) for value in (*key.values(), *values.values()))
        zone = self.metadata.zones.get(str(key.get("lab")), "UTC") if has_times else ""
        statement = Statement(table, dict(key), values, line, zone)
        self._said[file][statement.fact] = statement

    def withdraw(self, sessions: SessionRows) -> int:
        """Take back what the files said when they were last read and do not say any more; returns how many rows."""
        files = {file for file in self.metadata.files if file not in self.metadata.incomplete}
        for folder in self.metadata.folders:
            files |= self.sources.files_in(folder) - set(self.metadata.files)  # those that were taken away
        said_now = {file: self._said.get(file, {}) for file in self.metadata.files}
        files |= self.sources.moved_to(said_now, lambda file: (self.metadata.root / file).exists()).keys()
        before = {
            file: {fact: one for fact, one in said.items() if one.table != "acquisition.Session"}
            for file, said in self.sources.before(files).items()
        }
        gone = self.sources.replace(before, {file: self._said.get(file, {}) for file in files})
        n_rows = 0
        for table in reversed(_ORDER):
            statements = [item for item in gone.values() if item.table == table]
            if statements:
                n_rows += self._take_back(table, statements)
        n_rows += self._empty_columns(before)
        given = {
            _session_of(value) for said in before.values() for value in said.values() if value.table == _OF_SESSION
        }
        sessions.restore_water(given - set(self._linked.values()))
        return n_rows

    def _take_back(self, table: str, statements: Sequence[Statement]) -> int:
        """Delete rows that no file says any more; an animal or a lab on which others depend only loses its values."""
        if self.writer.dry_run:
            return len(statements)
        cls = class_of(table)
        there = (cls & [dict(statement.key) for statement in statements]).proj().to_dicts()
        origin: dict[str, Any] = {"user": self.writer.user, "source": "metadata", "batch": self.writer.run_id}
        reason = "the file that said it does not say it any more"
        n_rows = 0
        for start in range(0, len(there), 500):
            keys = there[start : start + 500]
            if table in ("lab.Lab", "subject.Subject"):
                for key in keys:
                    own = {registry.label(cls), "subject.SubjectProject", "action.WaterHistory"}
                    if set(delete.preview(cls & key)) <= own | {"action.WaterHistory.WaterStatus"}:
                        entry.remove(table, [key], reason=reason, **origin)
                        continue
                    values = dict(
                        next(statement.values for statement in statements if key_text(statement.key) == key_text(key))
                    )
                    if values.get("subject_uuid") in self._claimed:  # it stays until a person settles whose it is
                        del values["subject_uuid"]
                    entry.write(table, [key | dict.fromkeys(values)], on_error="skip_value", **origin)
            else:
                entry.remove(table, keys, reason=reason, **origin)
            n_rows += len(keys)
        return n_rows

    def _empty_columns(self, before: Mapping[str, Mapping[Fact, Statement]]) -> int:
        """Empty the columns that a file gave and does not give any more, of rows that it still says."""
        emptied: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for file, said in before.items():
            for fact, one in said.items():
                now = self._said.get(file, {}).get(fact)
                if now is not None and (names := one.values.keys() - now.values.keys()):
                    emptied[one.table].append(dict(one.key) | dict.fromkeys(sorted(names)))
        for table, rows in emptied.items():
            entry.write(
                table, rows, user=self.writer.user, source="metadata", on_error="skip_value",
                batch=self.writer.run_id, dry_run=self.writer.dry_run,
            )  # fmt: skip
        return sum(map(len, emptied.values()))

    def animals(self) -> int:
        """Write labs, subjects, their projects and implants; returns how many labs, animals and implants changed."""
        n_rows = self.write("lab.Lab", self.metadata.rows["labs"])
        animals = self.metadata.rows["subjects"] = self._with_own_uuids(self.metadata.rows["subjects"])
        plain = [{name: value for name, value in row.items() if name not in _OF_OTHER_TABLES} for row in animals]
        n_rows += self.write("subject.Subject", plain, animals)
        pairs = [
            ({"lab": row["lab"], "subject": row["subject"], "project": project}, row)
            for row in animals
            for project in row.get("projects", ())
        ]
        self.write("subject.SubjectProject", [row for row, _ in pairs], [source for _, source in pairs])
        implants, sources = [], []
        for row in animals:
            if not row.get("implant_weight"):
                continue
            day = row.get("implant_date") or row.get("birth_date")
            if day is None:
                message = "an implant needs its date, or the animal a birth_date"
                self.metadata.problem_of(row, "implant_date", message)
                continue
            key = {"lab": row["lab"], "subject": row["subject"], "implant_date": day}
            implants.append(key | {"implant_weight": row["implant_weight"]})
            sources.append(row)
        return n_rows + self.write("subject.Implant", implants, sources)

    def _with_own_uuids(self, animals: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows but for those of new animals that have the uuid of another: they are one animal under two names."""
        if not any(row.get("subject_uuid") for row in animals):
            return animals
        there = fetch_columns(subject.Subject, "subject_uuid", "lab", "subject").to_pylist()
        owners = {row["subject_uuid"]: (row["lab"], row["subject"]) for row in there}
        known = set(owners.values())
        kept = []
        for row in animals:
            key, uuid = (row["lab"], row["subject"]), row.get("subject_uuid")
            owner = owners.setdefault(uuid, key) if uuid else key
            if owner == key:
                kept.append(row)
                continue
            old, new = "/".join(owner), "/".join(key)
            command = f"merge {old} {new}" if key in known else f"rename {old} {key[1]}"
            if key not in known and owner[0] != key[0]:
                command = f"move-lab {old} {key[0]}"
            message = f"{uuid} is the uuid of {old}; if {new} is the same animal: neurojoint subject {command}"
            self.metadata.problem_of(row, "subject_uuid", message)
            self._claimed.add(str(uuid))
            if key in known:
                kept.append(row)
                del row["subject_uuid"]
        return kept

    def actions(self, sessions: SessionRows) -> int:
        """Write weighings, water and restrictions; returns how many rows are new or changed."""
        rows = self.metadata.rows
        self._planned["subject.Subject"] |= {(key.lab, key.subject) for key in sessions.known}
        n_rows = self.write("action.Weighing", rows["weighings"])
        references = {
            (row["lab"], row["subject"]): row["reference_weight"]
            for row in rows["subjects"]
            if row.get("reference_weight")
        }
        for row in rows["restrictions"]:
            row.setdefault("reference_weight", references.get((row["lab"], row["subject"])))
        n_rows += self.write("action.WaterRestriction", rows["restrictions"])
        return n_rows + self._water(sessions)

    def trajectories(self, sessions: SessionRows) -> int:
        """Write the tracks of insertions that are registered; returns how many rows are new or changed."""
        rows = self.metadata.rows["trajectories"]
        if self.writer.dry_run:  # insertions of recordings that are not registered yet
            key = ephys.ProbeInsertion.primary_key
            wanted = sorted({session_key(row) for row in rows} & sessions.known.keys())
            there = {session_key(row) for row in fetch_for(ephys.ProbeInsertion, wanted, key)}
            self._planned["ephys.ProbeInsertion"] |= {
                tuple(row[name] for name in key)
                for row in rows
                if session_key(row) in sessions.known and session_key(row) not in there
            }
            self._planned["acquisition.Session"] |= {
                tuple(row[name] for name in SESSION) for row in rows if session_key(row) in sessions.known
            }
        return self.write("histology.Trajectory", rows)

    def _water(self, sessions: SessionRows) -> int:
        rows = self.metadata.rows["water"]
        links: dict[tuple, SessionKey] = {}
        for row in rows:
            session = row["session"]
            if session is None:
                continue
            if session in sessions.known:
                links[row["lab"], row["subject"], row["administration_time"]] = session
            else:
                message = f"{row['subject']} has no session {session.number} on {session.date}"
                self.metadata.problem_of(row, "session_number", message)
        plain = [{name: value for name, value in row.items() if name != "session"} for row in rows]
        n_rows = self.write("action.WaterAdministration", plain, rows)
        self._linked = links
        if not links or self.writer.dry_run:
            return n_rows
        self._replace_water_of_settings(links)
        by_key = {tuple(row[name] for name in WATER_KEY): row for row in rows}
        linked = [
            dict(zip(WATER_KEY, key, strict=True)) | {"session_date": session.date, "session_number": session.number}
            for key, session in links.items()
        ]
        self.write("acquisition.SessionWater", linked, [by_key[key] for key in links])
        return n_rows

    def _replace_water_of_settings(self, links: Mapping[tuple, SessionKey]) -> None:
        """What the settings said of the water of these sessions does not count any more."""
        there = fetch_columns(acquisition.SessionWater & [{"lab": lab} for lab in sorted({key[0] for key in links})])
        replaced = set(links.values())
        old = []
        for row in there.to_pylist():
            session = SessionKey(row["lab"], row["subject"], str(row["session_date"]), row["session_number"])
            if session in replaced and links.get(tuple(row[name] for name in WATER_KEY)) != session:
                old.append({name: row[name] for name in WATER_KEY})
                reason = "water of the settings: a metadata file gives it"
                self.writer.change("removed", identity.session_path(*session), reason)
        origin: dict[str, Any] = {"user": self.writer.user, "source": "metadata", "batch": self.writer.run_id}
        if old:
            entry.remove("acquisition.SessionWater", old, **origin)
        if gone := [key for key in old if tuple(key.values()) not in links]:
            entry.remove("action.WaterAdministration", gone, **origin)


def _session_of(statement: Statement) -> SessionKey:
    """The session of a statement that water was given in it."""
    row = {**statement.key, **statement.values}
    return SessionKey(row["lab"], row["subject"], str(row["session_date"]), row["session_number"])


def check_eids(metadata: Metadata, sessions: SessionRows) -> None:
    """Take away the eids that another session has, and report them."""
    file = next((name for name in metadata.files if name.lower().endswith("sessions.json")), "")
    for key, facts in metadata.sessions.items():
        owner = sessions.eids.get(facts.eid, key) if facts.eid else key
        if owner != key:
            path = identity.session_path(*key)
            metadata.problem(file, "eid", path, f"{facts.eid} is the eid of {identity.session_path(*owner)}")
            metadata.sessions[key] = without_eid(facts)
