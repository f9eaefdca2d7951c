"""All mice, one row each: status, last session, performance, weight, water and what needs attention.

A handful of queries over all mice at once; the page keeps the result as long as nothing has changed.
"""

from __future__ import annotations

import datetime
import zoneinfo
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from pipeline.analysis import protocols
from pipeline.database.bulk import fetch_columns, json_column
from pipeline.schemas import acquisition, action, behavior, behavior_analysis, data, lab, subject

SPARK_DAYS = 20
"""How many of the last days of training the sparkline shows."""
IDLE_DAYS = 4
"""From how many days without a session on a living mouse needs attention."""
UNWEIGHED_DAYS = 2
"""From how many days without a weighing on a restricted mouse needs attention."""
FRESH_DAYS = 7
"""For how many days a newly reached status is shown; and in which sessions without trials count as missing."""
LOST_DAYS = 60
"""After that many days without a weighing or a session one alert says all."""
EVENING = 18
"""The hour (of the lab) from which water that is still due today needs attention."""
LEAST_WATER = 0.05
"""What is due is due from this volume on (mL)."""
DROP = 0.15
"""How far the mean of the last three days may fall below the best three days in a row before them (fraction)."""
_LONG = datetime.timedelta(days=60)

Row = dict[str, Any]
Key = tuple[str, str]


def rule_sets() -> list[str]:
    """The names of the rule sets that training was judged by, the usual one first."""
    names = fetch_columns(behavior_analysis.TrainingCriteria, "criteria")["criteria"].to_pylist()
    return sorted(set(names), key=lambda name: (name != "ibl_pipeline_2021", name))


def mice(rules: str, now: datetime.datetime) -> list[Row]:
    """Every mouse, by lab and name.

    Parameters
    ----------
    rules : name of the rule set of the training status; its latest version counts.
    now : UTC; what "today" is follows from it and the time zone of each lab.

    Returns
    -------
    Rows with lab, subject, sex, line, birth_date, alive, responsible_user, projects (comma-separated), protocol,
    status, next_status, last_session, days_since, n_sessions, performance_easy (0-1, last day), spark (list of 0-1),
    weight (g), weight_pct, water_today (mL), water_due (mL; None without restriction), alerts (list of kind, text).
    """
    zones = {row["lab"]: _zone(row["time_zone"]) for row in fetch_columns(lab.Lab, "lab", "time_zone").to_pylist()}
    there = {name: now.replace(tzinfo=datetime.UTC).astimezone(zone) for name, zone in zones.items()}
    projects = _grouped(fetch_columns(subject.SubjectProject), "project")
    training, performance, sessions = _training(rules), _performance(), _sessions()
    bodies, missing = _bodies(), _missing(now.date())
    names = ("lab", "subject", "sex", "birth_date", "death_date", "line", "responsible_user")
    rows = []
    for item in fetch_columns(subject.Subject, *names, order_by="lab, subject").to_pylist():
        key = item["lab"], item["subject"]
        trained, done, body = training.get(key, {}), sessions.get(key, {}), bodies.get(key, {})
        days = performance.get(key, [])
        row = item | {
            "alive": item.pop("death_date") is None,
            "projects": ", ".join(sorted(projects.get(key, ()))),
            "status": trained.get("training_status", ""),
            "next_status": trained.get("next_status", ""),
            "last_session": done.get("session_date"),
            "n_sessions": int(done.get("n_sessions", 0)),
            "protocol": done.get("task_protocol", ""),
            "spark": days[-SPARK_DAYS:],
            "performance_easy": next((value for value in reversed(days) if value is not None), None),
        }
        moment = there[item["lab"]]
        row["days_since"] = _days(row["last_session"], moment.date())
        row |= _water(body, moment.date(), row["alive"])
        row["alerts"] = _alerts(row, trained, days, missing.get(key, 0), body, moment)
        rows.append(row)
    return rows


def _training(rules: str) -> dict[Key, Row]:
    """Status, next status and first dates of each mouse by the latest version of the rules."""
    names = ("lab", "subject", "criteria_version", "training_status", "next_status", "first_dates")
    table = fetch_columns(behavior_analysis.SubjectTraining & {"criteria": rules}, *names, order_by="criteria_version")
    dates = json_column(table, "first_dates")
    return {
        (row["lab"], row["subject"]): row | {"first_dates": first}
        for row, first in zip(table.to_pylist(), dates, strict=True)
    }


def _performance() -> dict[Key, list[float | None]]:
    """Performance on easy trials of the last days of each mouse, in order; on all where its task has no easy ones."""
    days = behavior_analysis.DailySummary * behavior_analysis.BehaviorHistory.proj("last_training_date")
    recent = f"session_date >= last_training_date - INTERVAL '{_LONG.days}' DAY"
    table = fetch_columns(
        days & "day_trials > 0" & recent, "lab", "subject", "session_date", "day_performance_easy", "day_performance",
        order_by="lab, subject, session_date",
    )  # fmt: skip
    easy, whole = _grouped(table, "day_performance_easy"), _grouped(table, "day_performance")
    return {key: days if any(day is not None for day in days) else whole[key] for key, days in easy.items()}


def _sessions() -> dict[Key, Row]:
    """Number of sessions, date and protocol of the last of each mouse."""
    counted = subject.Subject.proj().aggr(
        acquisition.Session.proj(), n_sessions="count(*)", last_session="max(session_date)"
    )
    last = counted * acquisition.Session.proj("task_protocol") & "session_date = last_session"
    table = fetch_columns(
        last, "lab", "subject", "n_sessions", "session_date", "session_number", "task_protocol",
        order_by="session_number",
    )  # fmt: skip
    return {(row["lab"], row["subject"]): row for row in table.to_pylist()}


def _bodies() -> dict[Key, Row]:
    """Water and weight of the last day that is known of each mouse, and its last weighing."""
    last = action.WaterHistory.aggr(action.WaterStatus, last_status="max(session_date)")
    table = fetch_columns(
        action.WaterHistory.proj("last_weighing_date") * last * action.WaterStatus & "session_date = last_status"
    )
    bodies = {(row["lab"], row["subject"]): row for row in table.to_pylist()}
    weighed = action.WaterHistory.proj("last_weighing_date") * action.WaterStatus & "session_date = last_weighing_date"
    for row in fetch_columns(
        weighed, "lab", "subject", "day_weight", "weight_pct", "underweight", "critical"
    ).to_pylist():
        bodies[row["lab"], row["subject"]] |= row
    on = {(row["lab"], row["subject"]) for row in fetch_columns(
        action.WaterRestriction & "restriction_end IS NULL", "lab", "subject").to_pylist()}  # fmt: skip
    for key, row in bodies.items():
        row["on_restriction"] = key in on
    return bodies


def _missing(today: datetime.date) -> dict[Key, int]:
    """How many sessions of the last days of each mouse are registered but have no trials that could be read."""
    since = today - datetime.timedelta(days=FRESH_DAYS)
    recent = acquisition.Session.proj("task_protocol") & f"session_date >= '{since}'"
    table = fetch_columns(recent - behavior.TrialSet.proj(), "lab", "subject", "task_protocol")
    counts: dict[Key, int] = defaultdict(int)
    for row in table.to_pylist():
        if not protocols.is_without_task(row["task_protocol"]):
            counts[row["lab"], row["subject"]] += 1
    refused = data.Quarantine.proj("lab", "subject", "session_date", "resolved") & "resolved IS NULL"
    refused = fetch_columns(refused & f"session_date >= '{since}'", "lab", "subject")
    for row in refused.to_pylist():
        counts[row["lab"], row["subject"]] = max(1, counts[row["lab"], row["subject"]])
    return dict(counts)


def _water(body: Row, today: datetime.date, alive: bool) -> Row:
    """Weight, and the water of today: of a restricted mouse without an entry today all of it is still due."""
    row: Row = {"weight": body.get("day_weight"), "weight_pct": body.get("weight_pct")}
    row["water_today"] = row["water_due"] = None
    if not body or not alive:
        return row
    if body["session_date"] == today:
        row["water_today"] = body["water_reward"] + body["water_supplement"]
        row["water_due"] = body["remaining_water"]
    elif body["on_restriction"]:
        row["water_today"], row["water_due"] = 0.0, body["expected_water"]
    return row


def _alerts(
    row: Row, trained: Row, days: Sequence[float | None], n_missing: int, body: Row, now: datetime.datetime
) -> list[dict[str, str]]:
    """What a person should look at, the most urgent first."""
    alerts: list[dict[str, str]] = []
    today = now.date()
    unweighed, idle = _days(body.get("last_weighing_date"), today), row["days_since"]
    if row["alive"] and min((days for days in (unweighed, idle) if days is not None), default=0) > LOST_DAYS:
        return [{"kind": "idle", "text": f"nothing for {min(filter(None, (unweighed, idle))):,} d"}]
    restricted = row["alive"] and body.get("on_restriction", False)
    pct = f"{row['weight_pct']:.0f} %" if row["weight_pct"] is not None else ""
    if restricted and body.get("critical"):
        alerts.append({"kind": "critical", "text": f"critical weight {pct}"})
    elif restricted and body.get("underweight"):
        alerts.append({"kind": "underweight", "text": f"underweight {pct}"})
    if restricted and unweighed is not None and unweighed >= UNWEIGHED_DAYS:
        alerts.append({"kind": "unweighed", "text": f"not weighed for {unweighed} d"})
    if restricted and (due := _overdue(body, row, now)) >= LEAST_WATER:
        alerts.append({"kind": "water", "text": f"{due:.1f} mL due"})
    if row["alive"] and idle is not None and idle >= IDLE_DAYS:
        alerts.append({"kind": "idle", "text": f"no session for {idle} d"})
    if row["alive"] and (fall := _fall(days)) >= DROP:
        alerts.append({"kind": "dropping", "text": f"performance −{100 * fall:.0f} %"})
    if n_missing:
        alerts.append({"kind": "missing", "text": "missing data"})
    reached = trained.get("first_dates", {}).get(row["status"])
    if reached and row["status"] != "in_training":
        since = _days(datetime.date.fromisoformat(reached), today)
        if since is not None and since <= FRESH_DAYS:
            alerts.append({"kind": "reached", "text": f"new status, {since} d ago" if since else "new status today"})
    return alerts


def _overdue(body: Row, row: Row, now: datetime.datetime) -> float:
    """Water (mL) that is due and late: what was not given on the last day, and by the evening what is due today."""
    ago = _days(body.get("session_date"), now.date())
    if ago is None or (ago == 0 and now.hour < EVENING):
        return 0.0
    if ago == 1 and now.hour < EVENING:
        return body["remaining_water"] or 0.0
    return row["water_due"] or 0.0


def _fall(days: Sequence[float | None]) -> float:
    """How far the mean of the last three days lies below the best mean of three days in a row before them.

    >>> round(_fall([0.8, 0.9, 0.9, 0.9, 0.6, 0.7, 0.65]), 2), _fall([0.9, 0.2])
    (0.25, 0.0)
    """
    known = [value for value in days[-SPARK_DAYS:] if value is not None]
    means = [sum(known[i : i + 3]) / 3 for i in range(len(known) - 2)]
    return max(0.0, max(means[:-3]) - means[-1]) if len(means) > 3 else 0.0


def _days(then: datetime.date | None, today: datetime.date) -> int | None:
    return None if then is None else (today - then).days


def _grouped(table: pa.Table, name: str) -> dict[Key, list[Any]]:
    groups: dict[Key, list[Any]] = defaultdict(list)
    for at, one, value in zip(*(table[column].to_pylist() for column in ("lab", "subject", name)), strict=True):
        groups[at, one].append(value)
    return groups


def _zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return zoneinfo.ZoneInfo("UTC")
