"""Who trained on a day and on the day before, who did not, and how far the pipeline is with what was recorded.

Every question is asked once for all mice; each lab has a day of its own, since it can be Monday in one and Sunday in
another.
"""

from __future__ import annotations

import datetime
import zoneinfo
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dashboard.queries import progress
from dashboard.queries.progress import Session
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import acquisition, action, behavior_analysis, data, lab, subject
from pipeline.worker import heartbeat

ACTIVE_DAYS = 14
"""A mouse without a session, a weighing or restriction for so many days is left out."""
UNKNOWN, ABSENT = "unknown", "absent"
"""What became of a day without a session: none is registered, but one may still come; the registration has seen the
whole day and found none. Otherwise a day is what became of its sessions, the worst first."""

Key = tuple[str, str]
Row = dict[str, Any]
_ONE_DAY = datetime.timedelta(days=1)


@dataclass
class MouseDay:
    """What a mouse did on one date of its lab.

    Attributes
    ----------
    refused : path, reason, what to do of files that belong to no session that could be registered
    weighed : it was weighed on that date
    """

    date: datetime.date
    kind: str
    sessions: list[Session] = field(default_factory=list)
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    weighed: bool = False

    @property
    def n_trials(self) -> int | None:
        """Of all sessions; None without any."""
        counts = [session.n_trials for session in self.sessions if session.n_trials is not None]
        return sum(counts) if counts else None

    @property
    def performance_easy(self) -> float | None:
        """Fraction of the easy responses of all sessions that were correct, 0-1."""
        n = sum(session.n_judged for session in self.sessions)
        return sum(session.n_judged_correct for session in self.sessions) / n if n else None


@dataclass
class Mouse:
    """One mouse on the day that is looked at.

    Attributes
    ----------
    status : of its training now
    before, today : the day before, the day
    last_session : at most `ACTIVE_DAYS` before the day
    weight, weight_pct, weight_date : last weighing up to the day: g with implant, percent of the expected weight
    underweight, critical : at that weighing
    water_given, water_due : mL, on the day; None where there is no entry, or nothing is due
    """

    lab: str
    subject: str
    responsible_user: str
    status: str
    before: MouseDay
    today: MouseDay
    last_session: datetime.date | None
    weight: float | None = None
    weight_pct: float | None = None
    weight_date: datetime.date | None = None
    underweight: bool = False
    critical: bool = False
    restricted: bool = False
    water_given: float | None = None
    water_due: float | None = None
    water_adlib: bool = False


@dataclass
class Summary:
    """All mice of a day.

    Attributes
    ----------
    mice : by lab, responsible user and name
    n_others : lab -> living mice that were left out
    registered : UTC, when files were last registered completely; None where that is not known
    workers : how many workers are alive
    newest : lab -> date of the last session up to the day; None where there is none
    """

    mice: list[Mouse]
    n_others: dict[str, int]
    registered: datetime.datetime | None
    workers: int
    newest: dict[str, datetime.date]


def labs() -> dict[str, str]:
    """Lab -> its time zone."""
    table = fetch_columns(lab.Lab, "lab", "time_zone", order_by="lab")
    return dict(zip(table["lab"].to_pylist(), table["time_zone"].to_pylist(), strict=True))


def summary(days: Mapping[str, datetime.date], rules: str = "ibl_pipeline_2021") -> Summary:
    """The day of each lab.

    Parameters
    ----------
    days : lab -> the date to look at; other labs are left out.
    rules : name of the rule set of the training status.
    """
    first = min(days.values(), default=datetime.date.today()) - ACTIVE_DAYS * _ONE_DAY
    last = max(days.values(), default=first)
    sessions, last_sessions = _sessions(days, first, last)
    by_key = {(*key, item.number): item for key, several in sessions.items() for item in several}
    progress.examine(by_key, first + (ACTIVE_DAYS - 1) * _ONE_DAY, last)
    lost = _lost_files(days)
    bodies, restricted, zones = _bodies(days, first, last), _restrictions(days, last), labs()
    statuses = _statuses(rules)
    registered = _registered()
    result = Summary([], defaultdict(int), registered, _workers(), _newest(days))
    names = ("lab", "subject", "responsible_user", "birth_date", "death_date")
    for row in fetch_columns(subject.Subject, *names, order_by="lab, responsible_user, subject").to_pylist():
        key = row["lab"], row["subject"]
        if key[0] not in days:
            continue
        day = days[key[0]]
        if (row["death_date"] and row["death_date"] < day - _ONE_DAY) or (row["birth_date"] or day) > day:
            continue
        body = bodies.get(key, {})
        if not (key in last_sessions or key in restricted or body):
            result.n_others[key[0]] += 1
            continue
        seen = _seen_until(registered, zones[key[0]])
        before, today = (
            _mouse_day(date, sessions.get((*key, date), []), lost.get((*key, date), []), body.get(date), seen)
            for date in (day - _ONE_DAY, day)
        )
        person = row["responsible_user"] or ""
        mouse = Mouse(key[0], key[1], person, statuses.get(key, ""), before, today, last_sessions.get(key))
        _add_body(mouse, body, day, key in restricted)
        result.mice.append(mouse)
    return result


def _sessions(
    days: Mapping[str, datetime.date], first: datetime.date, last: datetime.date
) -> tuple[dict[tuple, list[Session]], dict[Key, datetime.date]]:
    """Mouse and date -> sessions of the two days; mouse -> date of its last session."""
    table = fetch_columns(
        acquisition.Session & f"session_date BETWEEN '{first}' AND '{last}'",
        "lab", "subject", "session_date", "session_number", "start_time", "task_protocol",
        order_by="session_date, session_number",
    )  # fmt: skip
    sessions: dict[tuple, list[Session]] = defaultdict(list)
    latest: dict[Key, datetime.date] = {}
    for at, one, date, number, start, protocol in zip(*(column.to_pylist() for column in table.columns), strict=True):
        if at not in days or date > days[at]:
            continue
        latest[at, one] = date
        if date >= days[at] - _ONE_DAY:
            sessions[at, one, date].append(Session(number, protocol, start))
    return dict(sessions), latest


def _mouse_day(
    date: datetime.date, sessions: list[Session], lost: list[tuple], body: Row | None, seen: datetime.date | None
) -> MouseDay:
    kinds = {session.kind for session in sessions}
    order = (*progress.NOT_READY, progress.TRAINED, progress.OTHER)
    if kinds:
        kind = next(kind for kind in order if kind in kinds)
    elif lost:
        kind = progress.REFUSED
    else:
        kind = ABSENT if seen is not None and seen > date else UNKNOWN
    return MouseDay(date, kind, sessions, lost, bool(body and body["weighed"]))


def _seen_until(registered: datetime.datetime | None, zone: str) -> datetime.date | None:
    """The lab's date at the last registration: days before it have been seen whole."""
    if registered is None:
        return None
    return registered.replace(tzinfo=datetime.UTC).astimezone(zone_of(zone)).date()


def zone_of(name: str) -> zoneinfo.ZoneInfo:
    """A time zone by its name; UTC where there is none of that name."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return zoneinfo.ZoneInfo("UTC")


def _lost_files(days: Mapping[str, datetime.date]) -> dict[tuple, list[tuple[str, str, str]]]:
    """Mouse and date -> files in quarantine below a folder that could not become a session."""
    dates = {str(date - back * _ONE_DAY) for date in days.values() for back in (0, 1)}
    like = " OR ".join(f"quarantine_path LIKE '%%/{date}%%'" for date in sorted(dates))
    without = data.Quarantine & "resolved IS NULL" & "session_date IS NULL" & f"({like})" if like else None
    lost_files: dict[tuple, list] = defaultdict(list)
    if without is None:
        return lost_files
    for row in fetch_columns(without, "quarantine_path", "reason", "remedy").to_pylist():
        parts = row["quarantine_path"].split("/")
        place = next((i for i, part in enumerate(parts) if part in dates), 0)
        at = parts[place - 3] if place > 2 and parts[place - 2] == "Subjects" else ""
        if at in days:
            lost_files[at, parts[place - 1], datetime.date.fromisoformat(parts[place])].append(tuple(row.values()))
    return lost_files


def _bodies(
    days: Mapping[str, datetime.date], first: datetime.date, last: datetime.date
) -> dict[Key, dict[datetime.date, Row]]:
    """Mouse -> date -> weight and water, up to the day of its lab."""
    bodies: dict[Key, dict[datetime.date, Row]] = defaultdict(dict)
    names = (
        "lab", "subject", "session_date", "weighed", "day_weight", "weight_pct", "water_reward", "water_supplement",
        "day_adlib", "expected_water", "remaining_water", "underweight", "critical",
    )  # fmt: skip
    rows = fetch_columns(
        action.WaterStatus & f"session_date BETWEEN '{first}' AND '{last}'", *names, order_by="session_date"
    )
    for row in rows.to_pylist():
        if row["lab"] in days and row["session_date"] <= days[row["lab"]]:
            bodies[row["lab"], row["subject"]][row["session_date"]] = row
    return dict(bodies)


def _restrictions(days: Mapping[str, datetime.date], last: datetime.date) -> set[Key]:
    """The mice whose water is restricted on the day of their lab."""
    zones = labs()
    begun = action.WaterRestriction & f"restriction_start < '{last + 2 * _ONE_DAY}'"
    rows = fetch_columns(begun, "lab", "subject", "restriction_start", "restriction_end").to_pylist()

    def local(time: datetime.datetime, at: str) -> datetime.date:
        return time.replace(tzinfo=datetime.UTC).astimezone(zone_of(zones[at])).date()

    return {
        (row["lab"], row["subject"])
        for row in rows
        if row["lab"] in days
        and local(row["restriction_start"], row["lab"]) <= days[row["lab"]]
        and (row["restriction_end"] is None or local(row["restriction_end"], row["lab"]) >= days[row["lab"]])
    }


def _add_body(mouse: Mouse, body: Mapping[datetime.date, Row], day: datetime.date, restricted: bool) -> None:
    """Weight of the last weighing, water of the day; of a restricted mouse without an entry all is still due."""
    mouse.restricted = restricted
    if weighed := [row for row in body.values() if row["weighed"]]:
        row = weighed[-1]
        mouse.weight, mouse.weight_pct, mouse.weight_date = row["day_weight"], row["weight_pct"], row["session_date"]
        mouse.underweight, mouse.critical = bool(row["underweight"]), bool(row["critical"])
    if given := body.get(day):
        mouse.water_given = given["water_reward"] + row["water_supplement"]
        mouse.water_due, mouse.water_adlib = row["remaining_water"], bool(row["day_adlib"])
    elif restricted:
        known = [row["expected_water"] for row in body.values() if row["expected_water"] is not None]
        mouse.water_given, mouse.water_due = 0.0, known[-1] if known else None


def _statuses(rules: str) -> dict[Key, str]:
    names = ("lab", "subject", "training_status")
    trainings = behavior_analysis.SubjectTraining & {"criteria": rules}
    rows = fetch_columns(trainings, *names, order_by="criteria_version").to_pylist()
    return {(row["lab"], row["subject"]): row["training_status"] for row in rows}


def _registered() -> datetime.datetime | None:
    ended = fetch_columns(data.IngestRun & "run_end IS NOT NULL", "run_start", order_by="run_start DESC")
    return ended["run_start"][0].as_py() if ended.num_rows else None


def _workers() -> int:
    return sum(row["alive"] for row in heartbeat.workers(subject.Subject().connection))


def _newest(days: Mapping[str, datetime.date]) -> dict[str, datetime.date]:
    last = max(days.values(), default=datetime.date.today())
    past = acquisition.Session.proj() & f"session_date <= '{last}'"
    rows = fetch_columns(lab.Lab.proj().aggr(past, newest_session="max(session_date)"), "lab", "newest_session")
    newest = {row["lab"]: row["newest_session"] for row in rows.to_pylist()}
    return {name: datetime.date.fromisoformat(str(date)) for name, date in newest.items() if date is not None}
