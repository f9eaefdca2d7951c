"""The files of a session: what is absent, refused or not yet computed and why, its QC, and all datasets with links."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboard import links
from dashboard.components import shell
from dashboard.queries.session import Session
from dashboard.site import Component, Viewer
from pipeline.alf import columns as alf
from pipeline.alf.reasons import REASONS

_QC = {"PASS": "green", "WARNING": "yellow", "FAIL": "orange", "CRITICAL": "red"}
_LOOKS = {name: {"text": name.lower(), "colour": colour} for name, colour in _QC.items()}
_STATES = {
    "refused": "red", "missing": "orange", "failed": "red", "fail": "red", "warning": "orange", "waits": "blue",
    "runs": "blue", "other task": "gray", "absent": "gray",
}  # fmt: skip
_JOBS = {"pending": "waits", "reserved": "runs", "error": "failed"}
_EXPECTED = ("trials", "wheel")
"""ALF objects that every session of the task has."""
_LONGEST = 240  # characters of a message that are shown


def sections(session: Session, viewer: Viewer) -> list[Component]:
    """What is not as it should be, QC, and the files."""
    return [_problems(session, viewer), _qc(session), _files(session, viewer)]


def qc(outcome: str) -> Component:
    """A QC outcome as a chip."""
    return shell.chip(f"QC {outcome.lower()}", _QC.get(outcome, "gray"))


def problems(session: Session, public: bool = False) -> list[tuple[str, str, str, str]]:
    """State, thing, reason, and what to do, of all that is refused, lost, absent or not computed; the worst first.

    Parameters
    ----------
    public : without what is found in a file and without error messages, which may hold names.
    """
    rows = []
    for item in session.quarantine:
        path = _below_session(item["quarantine_path"], session)
        name = f"{path}, {item['quarantine_column']}" if item["quarantine_column"] else path
        meaning, remedy = REASONS.get(item["reason"], (item["reason"].replace("_", " "), item["remedy"]))
        rows.append(
            ("refused", name, meaning if public or not item["detail"] else f"{meaning}: {item['detail']}", remedy)
        )
    for file in session.files:
        if not file["dataset_online"]:
            remedy = "bring the file back, then run `neurojoint ingest`"
            rows.append(("missing", file["rel_path"], "it was registered; no copy is here now", remedy))
    for job in session.jobs:
        message = job["error_message"] if job["status"] == "error" and not public else ""
        what = {"pending": "a worker takes it next", "reserved": "a worker is at it"}.get(job["status"], "see Health")
        rows.append((_JOBS[job["status"]], job["table"], message or "not computed yet", what))
    present = {object_["object_name"] for object_ in session.objects}
    rows += [("absent", name, f"no file of {name} is registered", "") for name in _EXPECTED if name not in present]
    rows += _absent_columns(session)
    rows += _doubts(session)
    order = list(_STATES)
    return sorted(rows, key=lambda row: order.index(row[0]))


def _doubts(session: Session) -> list[tuple[str, str, str, str]]:
    """What the checks of the trials and of the wheel found, and tasks that the page does not show."""
    rows = []
    for item in (session.trial_set or {}).get("trials_checks", []):
        if item["outcome"] in ("WARNING", "FAIL"):
            what = "left out of training and summaries" if item["outcome"] == "FAIL" else "see docs/ingest.md"
            rows.append((item["outcome"].lower(), f"trials: {item['check']}", item["detail"], what))
    if session.moves and session.moves["wheel_notes"]:
        state = "fail" if session.moves.get("wheel_qc") == "FAIL" else "warning"
        rows.append((state, "wheel", session.moves["wheel_notes"], "see docs/ingest.md"))
    shown = (session.trial_set or {}).get("task_collection")
    for task in session.tasks:
        if task["n_trials"] is not None and task["task_collection"] != shown:
            protocol = task["trials_protocol"] or task["protocol"] or "another task"
            what = f"behavior.TrialSet & {{'task_collection': '{task['task_collection']}'}}"
            rows.append(("other task", task["task_collection"], f"{task['n_trials']} trials of {protocol}", what))
    return rows


def _absent_columns(session: Session) -> list[tuple[str, str, str, str]]:
    """The columns of the trials that no file gives: those of a complete session, then others."""
    if session.trial_set is None:
        return []
    absent = set(session.trial_set["columns_absent"])
    named: dict[bool, list[Any]] = {True: [], False: []}
    for column in alf.TRIALS:
        shown = named[column.name in alf.COMPLETE_TRIALS]
        if column.name in absent and column.attribute not in shown:
            shown.append(column.attribute)
    words = {True: "no file gives these; a complete session has them", False: "no file gives these; they are optional"}
    return [("absent", f"trials: {', '.join(shown)}", words[needed], "") for needed, shown in named.items() if shown]


def _problems(session: Session, viewer: Viewer) -> Component:
    rows = [
        (shell.chip(state, _STATES[state]), name, _short(reason), remedy)
        for state, name, reason, remedy in problems(session, viewer.public)
    ]
    if not rows:
        return shell.section("Absent or refused", shell.sentence("Nothing is absent, refused or left to compute."))
    table = shell.table(["", "What", "Why", "What to do"], rows)
    return shell.section(
        "Absent or refused", html.Div(shell.card(table), className="nj-wrapped"), id="session-problems"
    )


def _qc(session: Session) -> Component:
    """The outcomes that are set: of the session, its metrics, its probes."""
    row = session.row
    rows: list[tuple[str, Component]] = [("session", qc(row["session_qc"]))] if row["session_qc"] != "NOT_SET" else []
    rows += [
        (insertion["probe_label"], qc(insertion["insertion_qc"]))
        for insertion in session.insertions
        if insertion["insertion_qc"] != "NOT_SET"
    ]
    rows += [(name, _outcome(value)) for name, value in sorted(row["extended_qc"].items())]
    if not rows:
        return None
    return shell.section("QC", shell.card(shell.facts(rows)))


def _outcome(value: Any) -> Component:
    """The outcome of one metric: a word of QC, a number, or several of them."""
    if isinstance(value, str) and value.upper() in _QC:
        return shell.chip(value.lower(), _QC[value.upper()])
    if isinstance(value, bool) or value is None:
        return shell.DASH if value is None else "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:.4g}"
    return _short(", ".join(map(str, value)) if isinstance(value, list) else str(value))


def _files(session: Session, viewer: Viewer) -> Component:
    if not session.files:
        return shell.section("Files", shell.sentence("No file of this session is registered."))
    rows = []
    for file in session.files:
        row = {
            "path": file["rel_path"],
            "size": file["file_size"],
            "state": _state(file),
            "registered": f"{file['registered']:%Y-%m-%d}",
            "qc": None if file["dataset_qc"] == "NOT_SET" else file["dataset_qc"],
        }
        if file["dataset_online"] and (file["is_public"] or not viewer.public):
            row["path_href"] = links.file(file["dataset_id"])
        rows.append(row)
    size = sum(file["file_size"] for file in session.files)
    columns = [
        {"field": "path", "headerName": "File", "flex": 1, "minWidth": 220, "cellRenderer": "File",
         "filter": "agTextColumnFilter", "tooltipField": "path"},
        {"field": "size", "headerName": "Size (kB)", "width": 110, "type": "rightAligned",
         "valueFormatter": {"function": "d3.format(',.1f')(params.value / 1000)"}},
        {"field": "registered", "headerName": "Registered", "width": 120},
        {"field": "state", "headerName": "State", "width": 150, "filter": "agTextColumnFilter"},
        {"field": "qc", "headerName": "QC", "width": 100, "cellRenderer": "Chip",
         "cellRendererParams": {"looks": _LOOKS}},
    ]  # fmt: skip
    hint = f"{size / 1e6:,.1f} MB; " + ("" if viewer.public else "click on a name to save the file")
    return shell.section(f"Files ({len(rows):,})", shell.grid("session-files", columns, rows), hint=hint.rstrip("; "))


def _state(one: dict[str, Any]) -> str:
    if not one["dataset_online"]:
        return "missing"
    return "" if one["default_dataset"] else "not the default version"


def _below_session(path: str, session: Session) -> str:
    """A path of the repository without the session's folder, which names the mouse."""
    row = session.row
    parts = path.split("/")
    folder = [str(row["session_date"]), f"{row['session_number']:03d}"]
    for start in range(len(parts) - 1):
        if parts[start : start + 2] == folder:
            return "/".join(parts[start + 2 :]) or path.rpartition("/")[2]
    return parts[-1]


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
