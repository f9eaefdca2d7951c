"""A row in each table that people fill, made from its definition: what comes tomorrow is there, too."""

from __future__ import annotations

import datetime
import re
from typing import Any

import datajoint as dj

from exchange.nwb import rows
from pipeline.database import registry
from pipeline.database.bulk import insert_many
from pipeline.schemas import acquisition, data, subject

DAY = datetime.date(2024, 5, 1)
MEANT: dict[str, Any] = {
    "selection.Comparison.comparison_first": "choice == -1",
    "selection.Comparison.comparison_second": "choice == 1",
    "selection.Period.starts_at": "stim_on_times",
    "selection.Period.ends_at": "feedback_times",
    "ephys.GoodPeriod.good_start": 0.0,
    "ephys.GoodPeriod.good_end": 60.0,
    "photostimulation.StimulationSite.stimulated_ml": -1200.0,
    "identity.SessionConfirmation.settings_subject": "other",
    "subject.Subject.protocol_number": "protocol",
    "subject.Subject.cage": "cage",
    "subject.Protocol.approved_protocol": "protocol",
    "subject.Cage.cage_label": "cage",
}
"""Values of columns that are read when other tables are computed."""


NOT_COMPUTED = {
    "task_analysis": "no lab has described a task",
    "ephys.RecordingSignal": "no recording; test_raw_recordings_are_in_the_time_of_the_session has one",
    "ephys.SessionClock": "the same",
    "imaging.FileLocation": "the files tell of no field of view",
    "imaging.RoiSet": "the same",
    "behavior_analysis.SubjectTraining": "one session reaches no rank",
    "behavior_analysis.TrainingTimeForecast": "needs five sessions",
}
"""Computed table with its parts, or schema, that is empty in a session of every modality -> why."""


def not_computed() -> set[str]:
    """Tables that no row was computed for, without a reason."""
    return {
        registry.label(table)
        for master in registry.populated_tables()
        for table in (master, *registry.parts(master))
        if not len(table())
        and not {registry.label(master), registry.label(master).partition(".")[0]} & NOT_COMPUTED.keys()
    }


def fill() -> None:
    """Give each table whose rows go with a session a row, where it has none."""
    subject.Subject.update1({"lab": "lab", "subject": "mouse", "cage": "cage", "protocol_number": "protocol"})
    session = acquisition.Session.keys()[0]
    given = session | {
        "dataset_id": data.Dataset.keys(order_by="rel_path")[0]["dataset_id"],
        "user_name": "ann",
        "note_object_id": (acquisition.Session & session).fetch1("eid"),
    }
    for table in rows.carried():
        if not len(table()) and registry.label(table) != "data.Revision":  # its rows are named by files
            insert_many(table, {name: [value] for name, value in row_of(table, given).items()})
    for table in rows.carried():  # what is there refers to what came now
        if not len(table()):
            continue
        key, row = table.keys(order_by="KEY")[0], table().to_dicts(order_by="KEY", limit=1)[0]
        if lacking := {name: value for name, value in references(table, given).items() if row[name] is None}:
            table.update1(key | lacking)


def references(table: type[dj.Table], given: dict[str, Any]) -> dict[str, Any]:
    """The columns by which a row refers to rows that are there: those of the session, or the first."""
    collected = {}
    for parent, info in table().parents(as_objects=True, foreign_key_info=True):
        known = {name: given[name] for name in parent.heading.names if name in given}
        there = ((parent & known) if len(parent & known) else parent).to_dicts(order_by="KEY", limit=1)
        collected |= {child: there[0][up] for child, up in info["attr_map"].items()} if there else {}
    return collected


def row_of(table: type[dj.Table], given: dict[str, Any]) -> dict[str, Any]:
    """A row that refers to the session, its animal, or to rows that are there; no column is empty."""
    row = references(table, given)
    for name, column in table().heading.attributes.items():
        meant = MEANT.get(f"{registry.label(table)}.{name}")
        words = re.search(rf"^\s*{name}\b[^\n]*enum\(([^)]*)\)", table.definition, re.MULTILINE)
        made = (
            re.findall(r"'([^']*)'", words[1])[-1]
            if words
            else value_of(name, "json" if column.json else str(column.original_type or column.type))
        )
        row.setdefault(name, given.get(name, made) if meant is None else meant)
    return row


def value_of(name: str, kind: str) -> Any:
    """A value of a type of column."""
    if length := re.search(r"char\w*(?: varying)?\((\d+)\)", kind):
        text = f"{name}_of_this_row_and_no_other"[: int(length[1])]
        return text.ljust(int(length[1]), "x") if kind.startswith("char") and "var" not in kind else text
    if "json" in kind:
        return {"a": [1, None]}
    if "datetime" in kind or "timestamp" in kind:
        return datetime.datetime(2024, 5, 1, 8, 30, 0, 250000)
    if kind.startswith("date"):
        return DAY
    if kind.startswith("bool"):
        return True
    return 1.5 if "float" in kind or kind.startswith(("real", "double")) else 3
