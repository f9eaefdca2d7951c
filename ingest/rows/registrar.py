"""From reports of session folders to rows: sessions, datasets, copies, objects; what was replaced, lost or restored."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ingest.files.report import Found, ObjectState, Recording, Report, default_versions, without_revision
from ingest.files.scan import Folder, SessionKey
from ingest.files.tasks import RawTask, tasks_of
from ingest.rows import clusterings, fields_of_view, other_roots
from ingest.rows import recordings as recording_rows
from ingest.rows.quarantine import Quarantine
from ingest.rows.recordings import Registered
from ingest.rows.session_keys import SESSION, fetch_for, keys_of, session_key
from ingest.rows.sessions import SessionRows
from ingest.rows.sources import Sources
from ingest.rows.writing import Writer
from pipeline.alf import identity
from pipeline.alf.columns import raw_form
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import acquisition, behavior, data, lab, subject

DATASET = (
    "dataset_id", *SESSION, "rel_path", "collection", "alf_object", "alf_attribute", "extension", "dataset_revision",
    "dataset_type", "dataset_hash", "file_size", "default_dataset", "dataset_qc", "registered", "dataset_online",
)  # fmt: skip
RECORD = (
    "dataset_id", "repository", "file_path", "file_state", "record_size", "record_hash", "modified_ns", "verified",
)  # fmt: skip
OBJECT = (
    *SESSION, "object_collection", "object_name", "object_fingerprint", "accepted_columns", "refused_columns",
)  # fmt: skip


@dataclass
class Counts:
    """What registration did with files and sessions."""

    sessions_new: int = 0
    sessions_changed: int = 0
    files_new: int = 0
    files_replaced: int = 0
    files_missing: int = 0
    files_restored: int = 0
    files_compressed: int = 0


class Registrar:
    """Turns reports into rows of one repository."""

    def __init__(self, writer: Writer, repository: str, quarantine: Quarantine) -> None:
        self._writer, self._repository, self._quarantine = writer, repository, quarantine
        self.sessions = SessionRows(writer, Sources(writer, repository))
        self.counts = Counts()

    def register(self, reports: Sequence[Report]) -> None:
        """Write a batch of reports in one transaction: all of it is there, or nothing."""
        if self._writer.dry_run:
            self.write(reports)
            return
        with self._writer.connection.transaction:
            self.write(reports)

    def lose(self, sessions: Sequence[SessionKey]) -> None:
        """Mark all copies in folders that are gone as missing, in one transaction."""
        self.register([Report(Folder(key, identity.session_path(*key), "0" * 32, 0, 0, 0)) for key in sessions])

    def known_files(self, sessions: Sequence[SessionKey], paths: Mapping[SessionKey, str]) -> dict[SessionKey, dict]:
        """Per session, path below its folder -> size (byte), time (ns) and md5 of the copies in this repository."""
        known: dict[SessionKey, dict] = {key: {} for key in sessions}
        there = [key for key in sessions if key in self.sessions.known]
        if there:
            datasets = (data.Dataset & keys_of(there)).proj(*SESSION)
            records = data.FileRecord & {"repository": self._repository}
            compressed = {}
            for row in fetch_columns(datasets * records).to_pylist():
                key = session_key(row)
                path = row["file_path"][len(paths[key]) + 1 :]
                known[key][path] = (row["record_size"], row["modified_ns"], row["record_hash"])
                if path.endswith(".cbin"):
                    compressed[row["dataset_id"]] = key
            for dataset_id, (path, *facts) in recording_rows.raw_files(compressed, self._repository).items():
                known[compressed[dataset_id]][path] = tuple(facts)
        return known

    def write(self, reports: Sequence[Report]) -> None:
        """Write a batch of reports within a transaction of the caller."""
        put, ensure = self._writer.put, self._writer.ensure
        keys = [report.folder.key for report in reports]
        new = [key for key in keys if key not in self.sessions.known]
        ensure(lab.Lab, {(key.lab,) for key in keys})
        subjects = {(key.lab, key.subject) for key in keys}
        ensure(
            subject.Subject,
            {(*item, identity.subject_uuid(*item)) for item in subjects},
            ("lab", "subject", "subject_uuid"),
        )
        datasets = self._datasets([key for key in keys if key in self.sessions.known])
        problems = [(report.folder.key, report.problems) for report in reports]
        unread = [report for report in reports if _is_unread(report, datasets.get(report.folder.key, {}))]
        held = {report.folder.key for report in unread}
        reports = [report for report in reports if report.folder.key not in held]
        self.sessions.write(reports, datasets)
        beyond = self._files(reports, datasets)
        self._objects(reports, beyond)
        self._tasks(reports, beyond)
        elsewhere = {key: {r["rel_path"] for r in there.values() if r["elsewhere"]} for key, there in datasets.items()}
        clusterings.write(self._writer, reports, elsewhere)
        fields_of_view.write(self._writer, reports)
        self._quarantine.sessions_update(problems)
        now = self._writer.now
        scans = [
            (*r.folder.key, self._repository, r.folder.signature or "", r.folder.n_files, r.folder.n_bytes, now)
            for r in reports
        ]
        scans += [(*r.folder.key, self._repository, "", r.folder.n_files, r.folder.n_bytes, now) for r in unread]
        names = (*SESSION, "repository", "scan_signature", "scanned_files", "scanned_bytes", "scanned")
        put(data.SessionScan, names, scans, "update")
        self.counts.sessions_new += len(new)
        self._writer.flush_changes()

    def _datasets(self, keys: list[SessionKey]) -> dict[SessionKey, dict[str, dict[str, Any]]]:
        """Session -> path before compression -> row of the dataset, with its `record` in this repository and those of
        the copies that are online `elsewhere`."""
        by_session: dict[SessionKey, dict[str, dict[str, Any]]] = defaultdict(dict)
        if not keys:
            return by_session
        datasets = data.Dataset & keys_of(keys)
        by_id = {}
        for row in fetch_columns(datasets).to_pylist():
            row |= {"record": None, "elsewhere": []}
            by_id[row["dataset_id"]] = by_session[session_key(row)][raw_form(row["rel_path"])] = row
        for record in fetch_columns(data.FileRecord & datasets.proj()).to_pylist():
            if record["repository"] == self._repository:
                by_id[record["dataset_id"]]["record"] = record
            elif record["file_state"] == "online":
                by_id[record["dataset_id"]]["elsewhere"].append(record)
        shared = [one for one, row in by_id.items() if row["elsewhere"] and row["rel_path"].endswith(".cbin")]
        for dataset_id, md5 in recording_rows.raw_hashes(shared).items():
            by_id[dataset_id]["raw_hash"] = md5
        return by_session

    def _files(
        self, reports: Sequence[Report], datasets: Mapping[SessionKey, dict[str, dict[str, Any]]]
    ) -> dict[SessionKey, other_roots.Rest]:
        """Write datasets and copies; returns what other roots hold of the sessions beyond what is here."""
        beyond: dict[SessionKey, other_roots.Rest] = {}
        new_datasets: list[tuple] = []
        changed_datasets: list[tuple] = []
        new_records: list[tuple] = []
        changed_records: list[tuple] = []
        now = self._writer.now
        taken = self._taken_ids(reports)
        recordings: list[Registered] = []
        for report in reports:
            key, there = report.folder.key, datasets.get(report.folder.key, {})
            for change in report.changes:
                self._writer.change(*change)
            present = {raw_form(file.rel_path) for file in report.files}
            forms = {recording.rel_path: recording for recording in report.recordings}
            kept = [row for path, row in there.items() if path not in present]
            lost = [row for row in kept if row["record"] is not None and row["record"]["file_state"] == "online"]
            online = [(f.rel_path, f.revision) for f in report.files]
            online += [(row["rel_path"], row["dataset_revision"]) for row in kept if row["elsewhere"]]
            gone = [(row["rel_path"], row["dataset_revision"]) for row in kept if not row["elsewhere"]]
            default = _defaults(online, gone)
            rest = [row for row in kept if row["elsewhere"] and row["rel_path"] in default]
            if rest:
                beyond[key] = other_roots.Rest(default, rest)
            changed_before = self.counts.files_replaced + self.counts.files_new
            for file in report.files:
                row = there.get(raw_form(file.rel_path))
                is_default = file.rel_path in default
                if row is None:
                    here = (key, file.rel_path)
                    is_free = file.given_id and taken[file.given_id] == here
                    dataset_id = file.given_id if is_free else file.derived_id
                    new_datasets.append(_dataset(dataset_id, key, file, is_default, now))
                    new_records.append(self._record(dataset_id, file, now))
                    self.counts.files_new += 1
                    if there:
                        self._writer.change("registered", file.file_path, "", "", file.md5)
                    recordings += _registered(report, dataset_id, file, forms)
                    continue
                now_is: dict[str, Any] = {"default_dataset": is_default}
                if not (row["elsewhere"] and file.md5 == row.get("raw_hash")):  # else: raw here, compressed elsewhere
                    recordings += _registered(report, row["dataset_id"], file, forms)
                    now_is |= {"rel_path": file.rel_path, "extension": file.extension, "dataset_hash": file.md5}
                    now_is |= {"file_size": file.size}
                if any(row[name] != value for name, value in now_is.items()):
                    row |= now_is
                    changed_datasets.append(tuple(row[name] for name in DATASET))
                record = row["record"]
                if record is None:
                    new_records.append(self._record(row["dataset_id"], file, now))
                    self.counts.files_new += 1
                elif self._differs(record, file, forms.get(file.rel_path)):
                    changed_records.append(self._record(row["dataset_id"], file, now))
            for row in kept:
                if row["default_dataset"] != (row["rel_path"] in default):
                    row["default_dataset"] = not row["default_dataset"]
                    changed_datasets.append(tuple(row[name] for name in DATASET))
            for row in lost:
                record = row["record"]
                reason = next((p.reason for p in report.problems if p.path == record["file_path"]), "")
                detail = f"refused: {reason}" if reason else "the file is gone"
                self._writer.change("deleted", record["file_path"], detail, record["record_hash"])
                changed_records.append(tuple((record | {"file_state": "missing"})[name] for name in RECORD))
                self.counts.files_missing += 1
            if there and (lost or self.counts.files_replaced + self.counts.files_new > changed_before):
                self.counts.sessions_changed += 1
        self._writer.ensure(data.Revision, {(f.revision,) for report in reports for f in report.files if f.revision})
        self._writer.put(data.Dataset, DATASET, new_datasets)
        self._writer.put(data.Dataset, DATASET, changed_datasets, "update")
        self._writer.put(data.FileRecord, RECORD, new_records)
        self._writer.put(data.FileRecord, RECORD, changed_records, "update")
        if (new_records or changed_records) and not self._writer.dry_run:
            data.note_online(data.Dataset & keys_of([report.folder.key for report in reports]))
        recording_rows.write(self._writer, self._repository, recordings)
        return beyond

    def _differs(self, record: Mapping[str, Any], file: Found, recording: Recording | None) -> bool:
        """Whether the record of a copy must be written again; notes what happened to it."""
        compressed = recording.compressed if recording is not None else None
        if record["file_state"] == "missing":
            self.counts.files_restored += 1
            self._writer.change("restored", file.file_path, "", record["record_hash"], file.md5)
        elif compressed is not None and record["record_hash"] == compressed.raw_md5 != file.md5:
            self.counts.files_compressed += 1
            detail = f"{compressed.raw_size / file.size:.3f} times smaller, {compressed.layout}, {compressed.encoder}"
            self._writer.change("compressed", file.file_path, detail, record["record_hash"], file.md5)
        elif record["record_hash"] != file.md5:
            self.counts.files_replaced += 1
            self._writer.change("replaced", file.file_path, "", record["record_hash"], file.md5)
        now = (file.file_path, "online", file.size, file.md5, file.modified_ns)
        return now != tuple(record[n] for n in ("file_path", "file_state", "record_size", "record_hash", "modified_ns"))

    def _record(self, dataset_id: str, file: Found, now: datetime.datetime) -> tuple:
        return (dataset_id, self._repository, file.file_path, "online", file.size, file.md5, file.modified_ns, now)

    def _taken_ids(self, reports: Sequence[Report]) -> dict[str, tuple[SessionKey, str]]:
        """Of the identifiers that file names give, those that a dataset has already -> session and path of it."""
        given: dict[str, tuple[SessionKey, str]] = {}
        for report in reports:
            for file in report.files:
                if file.given_id:
                    given.setdefault(file.given_id, (report.folder.key, file.rel_path))
        if not given:
            return given
        rows = fetch_columns(
            data.Dataset & [{"dataset_id": value} for value in given], "dataset_id", *SESSION, "rel_path"
        )
        return given | {row["dataset_id"]: (session_key(row), row["rel_path"]) for row in rows.to_pylist()}

    def _objects(self, reports: Sequence[Report], beyond: Mapping[SessionKey, other_roots.Rest]) -> None:
        """The ALF objects of each session, as all roots together hold it."""
        keys = [r.folder.key for r in reports]
        there: dict[SessionKey, dict[tuple[str, str], ObjectState]] = defaultdict(dict)
        for row in fetch_for(data.AlfObject, keys, OBJECT):
            there[session_key(row)][row["object_collection"], row["object_name"]] = other_roots.state_of(row)
        rows = []
        for report in reports:
            key = report.folder.key
            if key in beyond:
                report.objects = other_roots.complete(report, beyond[key], there[key], self._repository)
            rows += [
                (*key, o.collection, o.alf_object, o.fingerprint, _joined(o.accepted), o.refused)
                for o in report.objects
            ]
        now = {row[:6] for row in rows}
        before = {(*key, *group): state.fingerprint for key, of in there.items() for group, state in of.items()}
        gone = [dict(zip(OBJECT, item, strict=False)) for item in before.keys() - now]
        if gone and not self._writer.dry_run:
            (data.AlfObject & gone).delete_quick()
        self._writer.put(data.AlfObject, OBJECT, [row for row in rows if before.get(row[:6]) != row[6]], "update")

    def _tasks(self, reports: Sequence[Report], beyond: Mapping[SessionKey, other_roots.Rest]) -> None:
        """The tasks of each session; one that is not there any more goes, unless something was read of it."""
        names = (
            *SESSION, "task_collection", "task_number", "protocol", "raw_collection", "task_water",
        )  # fmt: skip
        there, told_elsewhere = {}, defaultdict(list)
        for row in fetch_for(acquisition.SessionTask, [report.folder.key for report in reports], names):
            key = session_key(row)
            values = (*key, *(row[name] for name in names[len(SESSION) :]))
            there[values[: len(SESSION) + 1]] = values
            if key in beyond and row["raw_collection"] in beyond[key].collections:
                told_elsewhere[key].append(RawTask(row["raw_collection"], row["protocol"], None, row["task_water"]))
        now = {}
        for report in reports:
            objects = [(object_.collection, object_.alf_object) for object_ in report.objects]
            for task in tasks_of([*report.facts.tasks, *told_elsewhere[report.folder.key]], objects):
                now[*report.folder.key, task.collection] = (*report.folder.key, *task)
        gone = [dict(zip(names, item, strict=False)) for item in there.keys() - now.keys()]
        if gone and not self._writer.dry_run:
            unread = acquisition.SessionTask & gone
            for table in (behavior.TrialSet, behavior.WheelMoveSet, behavior.AmbientSensor):
                unread -= table.proj()
            if keys := unread.keys():
                (acquisition.SessionTask & keys).delete_quick()
        changed = [row for key, row in now.items() if there.get(key) != row]
        self._writer.put(acquisition.SessionTask, names, changed, "update")


def _dataset(dataset_id: str, key: SessionKey, file: Found, is_default: bool, now: datetime.datetime) -> tuple:
    return (
        dataset_id, *key, file.rel_path, file.collection, file.alf_object, file.attribute, file.extension,
        file.revision, file.dataset_type, file.md5, file.size, is_default, "NOT_SET", now, True,
    )  # fmt: skip


def _registered(report: Report, dataset_id: str, file: Found, forms: Mapping[str, Recording]) -> list[Registered]:
    """The recording that a file is, if it is one."""
    if file.rel_path not in forms:
        return []
    return [Registered(report.folder.key, report.folder.path, dataset_id, file.md5, file.size, forms[file.rel_path])]


def _defaults(online: list[tuple[str, str]], gone: list[tuple[str, str]]) -> set[str]:
    """Paths of the default datasets: of each file the last revision that is online, else the last there was."""
    paths = {(without_revision(path, revision), revision): path for path, revision in (*gone, *online)}
    chosen = dict(default_versions([(without_revision(*item), item[1]) for item in gone]))
    chosen |= dict(default_versions([(without_revision(*item), item[1]) for item in online]))
    return {paths[item] for item in chosen.items()}


def _is_unread(report: Report, datasets: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a file that is registered here is there, but cannot be read now: its session is left as it is until then.

    What the disk, the network or the rights of this account refuse for a while is neither deleted nor changed.
    """
    away = {problem.path for problem in report.problems if problem.reason in ("read_error", "permission_denied")}
    records = (row["record"] for row in datasets.values() if row["record"] is not None) if away else ()
    return any(record["file_state"] == "online" and record["file_path"] in away for record in records)


def _joined(columns: list[str]) -> str:
    """`,a,b,`, at most 4000 characters."""
    text = ","
    for column in columns:
        if len(text) + len(column) >= 4000:
            break
        text += f"{column},"
    return text if len(text) > 1 else ""
