"""How far the pipeline is with sessions: what was read and computed, what waits, what failed, what was refused."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.analysis import protocols
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns
from pipeline.queries import timeline
from pipeline.schemas import behavior, behavior_analysis, data

TRAINED, COMPUTING, ERROR = "trained", "computing", "error"
REFUSED, NO_TRIALS, OTHER = "refused", "no_trials", "other"
"""What became of a session: all that the pages show is in the tables; something is still to be computed; a job failed;
the files were refused; there are no files of trials; its task has no trials."""
NOT_READY = (ERROR, REFUSED, NO_TRIALS, COMPUTING)
"""Something was recorded that the pages do not show yet; the worst first."""


Row = dict[str, Any]
Key = tuple[str, str, datetime.date, int]
"""lab, subject, session_date, session_number"""
_SESSION = ("lab", "subject", "session_date", "session_number")
_STEPS = {
    "behavior.TrialSet": "reading the trials",
    "behavior_analysis.SessionPerformance": "performance",
    "behavior_analysis.PsychometricFit": "psychometric curve",
    "behavior_analysis.SubjectTraining": "training status",
    "behavior_analysis.BehaviorHistory": "daily summary",
}
"""Tables without which a session is not ready -> what they compute."""


@dataclass
class Session:
    """One session; what is not known is None.

    Attributes
    ----------
    start : UTC
    minutes : from the first to the last trial
    n_judged, n_judged_correct : responses, of which the share that was correct is made: to easy stimuli where the task
        has such (`is_easy`), else to all; 0 where no response is correct or wrong
    waits_for : what is still to be computed, in words
    running : a worker is at it
    errors : table, message of jobs that failed
    refused : path, reason, what to do
    acts : what of the preprocessing somebody must see to: what, who
    """

    number: int
    protocol: str
    start: datetime.datetime | None
    kind: str = TRAINED
    n_trials: int | None = None
    minutes: float | None = None
    n_judged: int = 0
    n_judged_correct: int = 0
    is_easy: bool = True
    waits_for: list[str] = field(default_factory=list)
    running: bool = False
    errors: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    acts: list[tuple[str, str]] = field(default_factory=list)


def examine(by_key: Mapping[Key, Session], first: datetime.date, last: datetime.date) -> None:
    """Add to sessions of these dates what the tables hold of them, what they wait for, and what went wrong."""
    within = f"session_date BETWEEN '{first}' AND '{last}'"
    trials = _sums(behavior.TrialSet & within, "n_trials", "trials_start", "trials_end")
    performance = _judged(within)
    fits = _by_session(behavior_analysis.PsychometricFit & within)
    training = _by_session(behavior_analysis.SessionTrainingStatus & within)
    summaries = behavior_analysis.DailySummary & f"session_date BETWEEN '{first}' AND '{last}'"
    counted = fetch_columns(summaries, "lab", "subject", "session_date").to_pylist()
    summarised = {tuple(row.values()) for row in counted}
    readable = _by_session(data.AlfObject & within & "object_name = 'trials'" & "accepted_columns <> ''")
    refused = _refused(within)
    acts = timeline.to_do(within)
    reserved, failed = _jobs(within, {key[:2] for key in by_key})
    for key, one in by_key.items():
        one.refused = refused.get(key, [])
        one.acts = [(step.what, step.who) for step in acts.get(key, ())]
        one.errors = [*failed.get(key, []), *failed.get(key[:2], [])]
        done = {
            "behavior.TrialSet": key in trials,
            "behavior_analysis.SessionPerformance": key in performance,
            "behavior_analysis.PsychometricFit": key in fits,
            "behavior_analysis.SubjectTraining": key in training,
            "behavior_analysis.BehaviorHistory": key[:3] in summarised,
        }
        if key in trials:
            one.n_trials = trials[key]["n_trials"]
            start, end = trials[key]["trials_start"], trials[key]["trials_end"]
            one.minutes = None if start is None or end is None else (end - start) / 60  # of sums: the tasks added up
        one.n_judged, one.n_judged_correct, one.is_easy = performance.get(key, (0, 0, True))
        one.waits_for = [words for table, words in _STEPS.items() if not done[table]]
        one.running = key in reserved or key[:2] in reserved
        one.kind = _kind(one, done["behavior.TrialSet"], key in readable)


def _judged(within: str) -> dict[tuple, tuple[int, int, bool]]:
    """Of each session the trials that are judged, those of them that were correct, and whether they are the easy ones.

    The easy ones count where any task of the session has such; else all trials of which is known whether they were
    correct, which in go/no-go tasks are more than those with a response.
    """
    names = ("performance", "n_correct", "n_responses", "n_easy", "n_easy_correct")
    found: dict[tuple, tuple[int, int, bool]] = {}
    for row in fetch_columns(behavior_analysis.SessionPerformance & within, *_SESSION, *names).to_pylist():
        key, easy = tuple(row[name] for name in _SESSION), row["n_easy"] or 0
        n, correct, is_easy = found.get(key, (0, 0, False))
        if easy:
            before = (n, correct) if is_easy else (0, 0)
            found[key] = before[0] + easy, before[1] + (row["n_easy_correct"] or 0), True
        elif not is_easy:
            own = row["n_correct"] or 0
            whole = round(own / row["performance"]) if row["performance"] else row["n_responses"] or 0
            judged = row["performance"] is not None
            found[key] = (n + whole, correct + own, False) if judged else (n, correct, False)
    return found


def _kind(one: Session, is_read: bool, is_readable: bool) -> str:
    if any(table in _STEPS for table, _ in one.errors) and one.waits_for:
        return ERROR
    if is_read:
        return COMPUTING if one.waits_for else TRAINED
    if is_readable:
        return COMPUTING
    if any("trials" in path.rpartition("/")[2] for path, _, _ in one.refused):
        return REFUSED
    if protocols.is_without_task(one.protocol):
        return OTHER
    return REFUSED if one.refused else NO_TRIALS


def _by_session(query: Any, *names: str) -> dict[tuple, Row]:
    rows = fetch_columns(query, *_SESSION, *names).to_pylist()
    return {tuple(row[name] for name in _SESSION): row for row in rows}


def _sums(query: Any, *names: str) -> dict[tuple, Row]:
    """Columns of each session, added up over its tasks; None where they are null in all."""
    sums: dict[tuple, Row] = {}
    for row in fetch_columns(query, *_SESSION, *names).to_pylist():
        total = sums.setdefault(tuple(row[name] for name in _SESSION), dict.fromkeys(names))
        for name in names:
            if row[name] is not None:
                total[name] = (total[name] or 0) + row[name]
    return sums


def _refused(within: str) -> dict[tuple, list[tuple[str, str, str]]]:
    """Session -> files that are in quarantine."""
    refused_files: dict[tuple, list] = defaultdict(list)
    open_ones = data.Quarantine & "resolved IS NULL" & within
    names = ("quarantine_path", "reason", "remedy")
    for row in fetch_columns(open_ones, *_SESSION, *names, order_by="quarantine_path").to_pylist():
        refused_files[tuple(row[name] for name in _SESSION)].append(tuple(row[name] for name in names))
    return refused_files


def _jobs(within: str, animals: Collection[tuple[str, str]]) -> tuple[set[tuple], dict[tuple, list[tuple[str, str]]]]:
    """Keys of sessions and of mice whose jobs run, and those whose jobs failed with table and message."""
    tables = list(registry.populated_tables())
    connection = tables[0]().connection
    quote = connection.adapter.quote_identifier
    by_session: list[str] = []
    by_mouse: list[str] = []
    for number, table in enumerate(tables):
        names = set(table().primary_key)
        is_of_session = set(_SESSION) <= names
        if not {"lab", "subject"} <= names:
            continue
        key = _SESSION if is_of_session else _SESSION[:2]
        select = (
            f"SELECT {number}, {', '.join(map(quote, key))}, CONCAT(status, ''), error_message "
            f"FROM {registry.jobs_name(table())} WHERE status IN ('reserved', 'error', 'ignore')"
        )
        (by_session if is_of_session else by_mouse).append(f"{select} AND {within}" if is_of_session else select)
    rows = [row for part in (by_session, by_mouse) if part for row in connection.query(" UNION ALL ".join(part))]
    running: set[tuple] = set()
    failed: dict[tuple, list[tuple[str, str]]] = defaultdict(list)
    for number, *key, status, message in rows:
        if tuple(key[:2]) not in animals:
            continue
        if status == "reserved":
            running.add(tuple(key))
        else:
            failed[tuple(key)].append((registry.label(tables[number]), message or "left out by a person"))
    return running, failed
