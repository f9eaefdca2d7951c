"""How far the pipeline is: what is done, pending, running, failed and stale, what went wrong, and who works."""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import datajoint as dj

from pipeline.database import lab_modules, registry
from pipeline.database.bulk import fetch_columns, json_column
from pipeline.provenance import staleness
from pipeline.queries import transfers
from pipeline.schemas import behavior, data
from pipeline.worker import heartbeat

STALE_SECONDS = 30.0  # between two comparisons of fingerprints while someone watches


@dataclass
class TableStatus:
    """One populated table.

    Attributes
    ----------
    total : keys that should have a row
    done, running, failed, ignored : keys by what became of them; what is none of these is `pending`
    stale : rows made from files that have changed since; None where it was not asked for or the table cannot be stale
    rate : keys a minute, of all live workers over the last minute
    seconds_left : until the present total is done at that rate; None without a rate
    """

    table: str
    total: int = 0
    done: int = 0
    pending: int = 0
    running: int = 0
    failed: int = 0
    ignored: int = 0
    stale: int | None = None
    rate: float = 0.0
    seconds_left: float | None = None


@dataclass
class Problem:
    """Failed jobs of one table that say the same, or files that were refused for the same reason."""

    where: str
    what: str
    count: int
    example: str


@dataclass
class WorkerStatus:
    """A worker process; `seconds` since its last heartbeat."""

    host: str
    pid: int
    alive: bool
    seconds: float
    activity: str


@dataclass
class Status:
    """Everything that `neurojoint status` shows, at one moment (UTC)."""

    taken: datetime.datetime
    tables: list[TableStatus] = field(default_factory=list)
    errors: list[Problem] = field(default_factory=list)
    quarantine: list[Problem] = field(default_factory=list)
    doubts: list[Problem] = field(default_factory=list)
    """What the checks of trials and wheels found, see docs/ingest.md."""
    workers: list[WorkerStatus] = field(default_factory=list)
    modules: list[Problem] = field(default_factory=list)
    """Modules of the lab that are left out, and why."""
    transfers: str = ""
    """Files that wait, are late or stuck, in a line; empty where nothing is on its way."""

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON can hold it."""
        return asdict(self) | {"taken": self.taken.isoformat() + "Z"}


def collect(lab: str | None = None, stale: bool = True, tables: Sequence[type[dj.Table]] | None = None) -> Status:
    """Look at the database.

    Parameters
    ----------
    lab : only what belongs to this lab.
    stale : also compare fingerprints, by far the slowest part.
    tables : populated tables, all when not given.
    """
    chosen = list(registry.populated_tables() if tables is None else tables)
    connection = chosen[0]().connection
    status = Status(heartbeat.database_time(connection))
    status.workers = [
        WorkerStatus(row["worker_host"], row["worker_pid"], row["alive"], row["age"], row["worker_activity"])
        for row in heartbeat.workers(connection)
    ]
    status.tables = _tables(connection, chosen, lab)
    _add_rates(status)
    if stale:
        for table_status, table in zip(status.tables, chosen, strict=True):
            if hasattr(table, "fingerprint"):
                keys = staleness.stale_keys(table)
                table_status.stale = sum(lab is None or key.get("lab", lab) == lab for key in keys)
    status.errors = _errors(connection, chosen, lab)
    status.quarantine = _quarantine(connection, lab)
    status.modules = [Problem("module", failure.problem, 1, failure.module) for failure in lab_modules.failures()]
    status.transfers = transfers.line(lab)
    status.doubts = _doubts(lab)
    return status


def watch(lab: str | None = None, seconds: float = 2.0) -> Iterator[Status]:
    """`collect` again and again; fingerprints, which are slow to compare, only every `STALE_SECONDS`."""
    stale: dict[str, int | None] = {}
    compared = -STALE_SECONDS
    while True:
        is_due = time.monotonic() - compared >= STALE_SECONDS
        status = collect(lab, stale=is_due)
        if is_due:
            stale, compared = {table.table: table.stale for table in status.tables}, time.monotonic()
        for table in status.tables:
            table.stale = stale[table.table]
        yield status
        time.sleep(seconds)


def _tables(connection: dj.Connection, tables: Sequence[type[dj.Table]], lab: str | None) -> list[TableStatus]:
    """Two queries over all tables: keys and rows, and jobs by status."""
    counts, jobs = [], []
    for number, table in enumerate(tables):
        query = table()
        source = query.key_source
        source = (source() if isinstance(source, type) else source).proj()
        in_lab = _in_lab(connection, query.primary_key, lab)
        counts.append(
            f"SELECT {number}, (SELECT count(*) FROM ({source.make_sql()}) AS k{in_lab}), "
            f"(SELECT count(*) FROM {query.full_table_name}{in_lab})"
        )
        jobs.append(
            f"SELECT {number}, CONCAT(status, ''), count(*) FROM {registry.jobs_name(query)}{in_lab} GROUP BY status"
        )
    values = () if lab is None else (lab,) * _n_marks(counts)
    numbered = []
    for number, total, done in connection.query(" UNION ALL ".join(counts), values).fetchall():
        numbered.append((number, TableStatus(registry.label(tables[number]), total, done)))
    statuses = [status for _, status in sorted(numbered, key=lambda pair: pair[0])]
    values = () if lab is None else (lab,) * _n_marks(jobs)
    names = {"reserved": "running", "error": "failed", "ignore": "ignored"}
    for number, status, n_jobs in connection.query(" UNION ALL ".join(jobs), values).fetchall():
        if status in names:
            setattr(statuses[number], names[status], n_jobs)
    for item in statuses:
        item.pending = max(0, item.total - item.done - item.running - item.failed - item.ignored)
    return statuses


def _add_rates(status: Status) -> None:
    for worker in status.workers:
        match = re.fullmatch(r"(\S+) ([\d.]+)/min", worker.activity)
        for table in status.tables:
            if worker.alive and match and table.table == match[1]:
                table.rate += float(match[2])
    for table in status.tables:
        if table.rate:
            table.seconds_left = 60 * (table.pending + table.running) / table.rate


def _errors(connection: dj.Connection, tables: Sequence[type[dj.Table]], lab: str | None) -> list[Problem]:
    selects = []
    for number, table in enumerate(tables):
        jobs = registry.jobs_of(table)
        in_lab = _in_lab(connection, jobs.primary_key, lab, " AND ")
        quoted = [connection.adapter.quote_identifier(name) for name in jobs.primary_key]
        key = f"CONCAT({', '.join(part for name in quoted for part in (name, chr(39) + '/' + chr(39)))[:-5]})"
        selects.append(
            f"SELECT {number}, error_message, count(*), min({key}) FROM {jobs.full_table_name} "
            f"WHERE status = 'error'{in_lab} GROUP BY error_message"
        )
    values = () if lab is None else (lab,) * _n_marks(selects)
    grouped: dict[tuple[str, str], Problem] = {}
    for number, message, n_jobs, example in connection.query(" UNION ALL ".join(selects), values).fetchall():
        label, general = registry.label(tables[number]), _without_particulars(message)
        problem = grouped.setdefault((label, general), Problem(label, general, 0, f"{example}: {message}"))
        problem.count += n_jobs
    return sorted(grouped.values(), key=lambda problem: (-problem.count, problem.where, problem.what))


def _quarantine(connection: dj.Connection, lab: str | None) -> list[Problem]:
    in_lab = _in_lab(connection, ["lab"], lab, " AND ")
    rows = connection.query(
        f"SELECT reason, count(*), min(quarantine_path) FROM {data.Quarantine().full_table_name} "
        f"WHERE resolved IS NULL{in_lab} GROUP BY reason ORDER BY 2 DESC, 1",
        () if lab is None else (lab,),
    ).fetchall()
    return [Problem("quarantine", reason, count, path) for reason, count, path in rows]


def _doubts(lab: str | None) -> list[Problem]:
    """The checks that did not pass, each with how many tasks of sessions it concerns; the most serious first."""
    within = {} if lab is None else {"lab": lab}
    doubts: dict[tuple[str, str], Problem] = {}

    def add(outcome: str, what: str, row: dict[str, Any], detail: str) -> None:
        session = f"{row['lab']}/{row['subject']}/{row['session_date']}/{row['session_number']:03d}"
        doubt = doubts.setdefault((outcome, what), Problem(outcome, what, 0, f"{session}: {detail}"))
        doubt.count += 1

    names = behavior.TrialSet.primary_key
    wanted = behavior.TrialSet & within & "trials_qc IN ('WARNING', 'FAIL')"
    rows = fetch_columns(wanted, *names, "trials_checks", order_by=", ".join(names))
    for row, checks in zip(rows.to_pylist(), json_column(rows, "trials_checks"), strict=True):
        for check in checks or ():
            if check["outcome"] in ("WARNING", "FAIL"):
                add(check["outcome"], f"trials: {check['check']}", row, check["detail"])
    moves = behavior.WheelMoveSet & within & "wheel_notes <> ''"
    for row in fetch_columns(moves, *names, "wheel_qc", "wheel_notes", order_by=", ".join(names)).to_pylist():
        add("FAIL" if row["wheel_qc"] == "FAIL" else "WARNING", "wheel", row, row["wheel_notes"])
    for table, what, column in (
        (behavior.Lick, "licks", "lick_notes"), (behavior.Camera.View, "camera", "camera_notes"),
        (behavior.Pupil.View, "pupil", "pupil_notes"), (behavior.AmbientSensor, "air", "ambient_notes"),
    ):  # fmt: skip
        noted = table & within & f"{column} <> ''"
        for row in fetch_columns(noted, *noted.primary_key, column, order_by=", ".join(noted.primary_key)).to_pylist():
            add("WARNING", what, row, row[column])
    return sorted(doubts.values(), key=lambda doubt: (doubt.where != "FAIL", -doubt.count, doubt.what))


def _in_lab(connection: dj.Connection, names: Sequence[str], lab: str | None, word: str = " WHERE ") -> str:
    return "" if lab is None or "lab" not in names else f"{word}{connection.adapter.quote_identifier('lab')} = %s"


def _n_marks(parts: Sequence[str]) -> int:
    return sum(part.count("%s") for part in parts)


def _without_particulars(message: str) -> str:
    """The message with the paths and numbers of one session taken out, so that equal errors are one line.

    >>> _without_particulars("InvalidData: lab/Subjects/m1/2020-01-01/001/alf/x.npy: 17 rows, not 18")
    'InvalidData: …/x.npy: N rows, not N'
    """
    message = re.sub(r"(?:[^\s/:'\"]*/)+([^\s/:'\"]+)", r"…/\1", message)
    return re.sub(r"(?<![\w.])[+-]?\d+(?:\.\d+)?(?![\w])", "N", message)
