"""What nobody writes and yet has to be told: weighings and water that are missing, dates that have come, what failed.

Each check looks at the tables as they are and calls `events.tell`, whose occasion (an animal on a day of its lab) keeps
a second run from telling it twice.
"""

from __future__ import annotations

import datetime
import hashlib
import itertools
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.database import registry
from pipeline.entry import status
from pipeline.entry.events import now, tell
from pipeline.entry.parse import zone_or_utc
from pipeline.errors import is_connection_error
from pipeline.queries import timeline, transfers
from pipeline.schemas import acquisition, action, behavior_analysis, data, notification, subject
from pipeline.schemas import lab as labs
from pipeline.settings import settings

logger = logging.getLogger(__name__)

LEAST_WATER = 0.005  # mL; less is not due
GESTATION = 20  # days from plug to litter
LEAST_FREE = 0.05  # of a disk
LOOK_BACK = datetime.timedelta(days=7)
"""How far checks look back for what happened while none ran."""
DEFAULTS = {
    "water_due_hour": 18, "weigh_due_hour": 14, "longest_restriction": 0, "wean_age": 21, "genotype_age": 28,
}  # fmt: skip


@dataclass(frozen=True)
class Moment:
    """One lab at the time of the check.

    Attributes
    ----------
    lab : name.
    utc : the time.
    local : what clocks show there.
    rules : of husbandry.
    """

    lab: str
    utc: datetime.datetime
    local: datetime.datetime
    rules: Mapping[str, Any]

    @property
    def day(self) -> datetime.date:
        """The date there."""
        return self.local.date()

    @property
    def clock(self) -> str:
        """The time with its zone written out."""
        return f"{self.local:%Y-%m-%d %H:%M} {self.local.tzname()}"


def run(utc: datetime.datetime | None = None) -> dict[str, int]:
    """Do all checks of all labs; returns how many messages each made. One that fails does not stop the others.

    Raises
    ------
    CheckFailed
        After all others ran: some failed, and which.
    """
    moment = utc or now()
    made: dict[str, int] = {}
    failed: list[str] = []
    for row in labs.Lab().to_dicts(order_by="lab"):
        local = moment.replace(tzinfo=datetime.UTC).astimezone(zone_or_utc(row["time_zone"]))
        stored = (labs.HusbandryRules & {"lab": row["lab"]}).to_dicts()
        here = Moment(row["lab"], moment, local, DEFAULTS | (stored[0] if stored else {}))
        for name, check in CHECKS.items():
            try:
                made[name] = made.get(name, 0) + check(here)
            except Exception as error:
                if is_connection_error(error):
                    raise
                logger.exception("the check %s of %s failed", name, row["lab"])
                failed.append(f"{name} of {row['lab']}: {error}")
    if failed:
        raise CheckFailed(failed)
    return made


class CheckFailed(RuntimeError):
    """Some checks failed; `reasons` says which and why."""

    def __init__(self, reasons: list[str]) -> None:
        self.reasons = reasons
        super().__init__("; ".join(reasons)[:500])


def _restricted(here: Moment) -> list[dict[str, Any]]:
    """Living animals under restriction since a day before today, with `restriction_start`."""
    alive = subject.Subject.proj("responsible_user", "death_date") & {"lab": here.lab} & "death_date IS NULL"
    rows = (alive * action.WaterRestriction.proj("restriction_end") & "restriction_end IS NULL").to_dicts()
    zone = here.local.tzinfo
    return [
        row for row in rows if row["restriction_start"].replace(tzinfo=datetime.UTC).astimezone(zone).date() < here.day
    ]


def not_weighed(here: Moment) -> int:
    """Restricted animals without a weighing today, from the hour that the lab sets; not on the first day."""
    if here.local.hour < here.rules["weigh_due_hour"]:
        return 0
    count = 0
    for row in _restricted(here):
        key = {name: row[name] for name in ("lab", "subject")}
        last = (action.Weighing & key).to_dicts(order_by="weighing_time DESC", limit=1)
        when = last[0]["weighing_time"].replace(tzinfo=datetime.UTC).astimezone(here.local.tzinfo) if last else None
        if when is not None and when.date() >= here.day:
            continue
        known = f"The last weighing was on {when:%Y-%m-%d at %H:%M}." if when else "It was never weighed."
        count += tell("not_weighed", f"{_path(row)}/{here.day}", here.lab, [row["responsible_user"]],
                      f"{row['subject']} was not weighed today", f"Its water is restricted. {known} "
                      f"Checked at {here.clock}.", link=_link(row), when=here.utc)  # fmt: skip
    return count


def water_due(here: Moment) -> int:
    """Restricted animals that still need water today, from the hour that the lab sets; not on the first day."""
    if here.local.hour < here.rules["water_due_hour"]:
        return 0
    count = 0
    for row in _restricted(here):
        state = status.today(row, here.day)
        if state is None or state.due is None or state.due < LEAST_WATER:
            continue
        body = (f"Needed {state.needed:.2f} mL, given {state.in_task + state.supplement:.2f} mL. "
                f"Checked at {here.clock}.")  # fmt: skip
        count += tell("water_due", f"{_path(row)}/{here.day}", here.lab, [row["responsible_user"]],
                      f"{row['subject']} still needs {state.due:.2f} mL of water", body, link=_link(row),
                      when=here.utc)  # fmt: skip
    return count


def restriction_long(here: Moment) -> int:
    """Restrictions that last longer than the lab allows."""
    longest = here.rules["longest_restriction"]
    count = 0
    for row in _restricted(here) if longest else ():
        days = (here.utc - row["restriction_start"]).days
        if days > longest:
            count += tell("restriction_long", f"{_path(row)}/{row['restriction_start']}", here.lab,
                          [row["responsible_user"]], f"The water of {row['subject']} is restricted for {days} days",
                          f"The lab allows {longest} days.", link=_link(row), when=here.utc)  # fmt: skip
    return count


def no_session(here: Moment) -> int:
    """Planned trainings of the last days without a session."""
    since, until = here.day - LOOK_BACK, here.day - datetime.timedelta(days=1)
    planned = action.PlannedTraining & {"lab": here.lab} & f"planned_date BETWEEN '{since}' AND '{until}'"
    sessions = acquisition.Session & {"lab": here.lab} & f"session_date BETWEEN '{since}' AND '{until}'"
    trained = {(row["subject"], row["session_date"]) for row in sessions.proj().to_dicts()}
    count = 0
    for row in planned.to_dicts():
        day = row["planned_date"]
        if (row["subject"], day) in trained:
            continue
        person = (subject.Subject & _animal(row)).fetch1("responsible_user")
        count += tell("no_session", f"{_path(row)}/{day}", here.lab, [person, row["planned_user"]],
                      f"{row['subject']} has no session of {day}", "Its training was planned. Was it not trained, or "
                      "have the files not arrived?", link=_link(row), when=here.utc)  # fmt: skip
    return count


def weaning_due(here: Moment) -> int:
    """Litters of the lab that have reached the age of weaning."""
    count = 0
    born = here.day - datetime.timedelta(days=int(here.rules["wean_age"]))
    waiting = (subject.Litter & f"litter_birth_date <= '{born}'" & "litter_wean_date IS NULL").to_dicts()
    for row in waiting:
        if subject.Litter.Pup & {"litter": row["litter"]}:
            continue
        parents = _parents(row["breeding_pair"], here.lab)
        if parents is None:
            continue
        count += tell("weaning_due", row["litter"], here.lab, parents, f"The litter {row['litter']} is to be weaned",
                      f"Born on {row['litter_birth_date']}, {row['n_born'] or 'some'} pups.", link="/colony",
                      when=here.utc)  # fmt: skip
    return count


def litter_due(here: Moment) -> int:
    """Pairs with a plug 20 days ago that have no litter since."""
    count = 0
    seen = here.day - datetime.timedelta(days=GESTATION)
    for row in (subject.Plug & "plug_seen = TRUE" & f"plug_date <= '{seen}'").to_dicts():
        if (here.day - row["plug_date"]).days > 2 * GESTATION:
            continue
        since = {"breeding_pair": row["breeding_pair"]}
        parents = _parents(row["breeding_pair"], here.lab)
        if parents is None or (subject.Litter & since & f"litter_birth_date >= '{row['plug_date']}'"):
            continue
        count += tell("litter_due", f"{row['breeding_pair']}/{row['plug_date']}", here.lab, parents,
                      f"A litter of {row['breeding_pair']} is expected", f"A plug was seen on {row['plug_date']}.",
                      link="/colony", when=here.utc)  # fmt: skip
    return count


def genotype_due(here: Moment) -> int:
    """Animals that are to be genotyped and are older than the lab wants."""
    count = 0
    born = here.day - datetime.timedelta(days=int(here.rules["genotype_age"]))
    wanted = subject.Subject & {"lab": here.lab} & "to_be_genotyped = TRUE" & "death_date IS NULL"
    for row in (wanted & f"birth_date <= '{born}'").to_dicts():
        count += tell("genotype_due", _path(row), here.lab, [row["responsible_user"]],
                      f"{row['subject']} is not genotyped", f"Born on {row['birth_date']}.", link=_link(row),
                      when=here.utc)  # fmt: skip
    return count


def session_refused(here: Moment) -> int:
    """Files that were refused in the last days: one message for each session folder and run that met them."""
    since = here.utc - LOOK_BACK
    rows = (data.Quarantine & f"first_seen >= '{since}'" & "resolved IS NULL").to_dicts(order_by="quarantine_path")
    prefixes = _prefixes() if rows else {}
    met: dict[tuple[str, str, datetime.datetime], list[dict[str, Any]]] = {}
    for row in rows:
        name, folder = _session_of(row, prefixes.get(row["repository"], ""), here.lab)
        if folder:
            met.setdefault((name, folder, row["first_seen"]), []).append(row)
    count = 0
    for (name, folder, when), refused in met.items():
        people = [row["responsible_user"] for row in (subject.Subject & {"lab": here.lab, "subject": name}).to_dicts()]
        body = "\n".join(f"{row['quarantine_path']}: {row['reason']}" for row in refused[:20])
        files = f"{len(refused)} files" if len(refused) > 1 else "A file"
        count += tell("session_refused", f"{folder}/{when.isoformat()}", here.lab, people,
                      f"{files} of {folder} {'were' if len(refused) > 1 else 'was'} refused", body, link="/health",
                      when=here.utc)  # fmt: skip
    return count


def _session_of(refused: Mapping[str, Any], prefix: str, lab: str) -> tuple[str, str]:
    """Animal and folder of the session of a lab to which a refused file belongs; empty for others."""
    if refused["lab"] is not None:
        day, number = refused["session_date"], refused["session_number"]
        folder = f"{lab}/Subjects/{refused['subject']}/{day}/{number:03d}"
        return (refused["subject"], folder) if refused["lab"] == lab else ("", "")
    parts = f"{prefix}{refused['quarantine_path']}".split("/")
    if len(parts) >= 5 and parts[0] == lab and parts[1] == "Subjects":
        return parts[2], "/".join(parts[:5])
    return "", ""


def _prefixes() -> dict[str, str]:
    """Repository -> what its paths leave out of lab/Subjects/subject."""
    left_out = {"labs": "", "subjects_folder": "{lab}/", "subjects": "{lab}/Subjects/"}
    rows = data.RepositoryLayout().to_dicts()
    return {row["repository"]: left_out.get(row["layout"], "").format(lab=row["layout_lab"]) for row in rows}


def task_failed(here: Moment) -> int:
    """Sessions of the last week whose preprocessing waits for a person; each is told once for what it waits for."""
    since = here.day - datetime.timedelta(days=7)
    within = f"lab = '{here.lab}' AND session_date BETWEEN '{since}' AND '{here.day}'"
    count = 0
    for (lab, name, date, number), steps in timeline.to_do(within).items():
        people = [row["responsible_user"] for row in (subject.Subject & {"lab": lab, "subject": name}).to_dicts()]
        place = f"{lab}/{name}/{date}/{number:03d}"
        marks = hashlib.md5("\n".join(sorted(step.what for step in steps)).encode(), usedforsecurity=False)
        body = "\n".join(f"{step.what[:300]}\n  To act: {step.who}" for step in steps[:20])
        count += tell("task_failed", f"{place}/{marks.hexdigest()[:12]}", lab, people,
                      f"Preprocessing of {name} {date} needs somebody", body,
                      link=f"/session/{lab}/{name}/{date}/{number}", when=here.utc)  # fmt: skip
    return count


def status_changed(here: Moment) -> int:
    """Training statuses that were reached or lost in sessions of the last days."""
    since = here.day - LOOK_BACK
    statuses = behavior_analysis.SubjectTraining.SessionTrainingStatus & {"lab": here.lab}
    recent = {row["subject"] for row in (statuses & f"session_date >= '{since}'").proj().to_dicts()}
    count = 0
    for name in sorted(recent):
        key = {"lab": here.lab, "subject": name}
        person = (subject.Subject & key).fetch1("responsible_user")
        rows = (statuses & key).to_dicts(order_by="session_date, session_number")
        for before, after in itertools.pairwise(rows):
            if after["session_date"] < since or before["session_status"] == after["session_status"]:
                continue
            was, by_now = (str(row["session_status"]).replace("_", " ") for row in (before, after))
            count += tell("status_changed", f"{_path(key)}/{after['session_date']}/{by_now}", here.lab, [person],
                          f"{name} is now {by_now}", f"It was {was} before the session of {after['session_date']}.",
                          link=_link(key), when=here.utc)  # fmt: skip
    return count


def job_failed(here: Moment) -> int:
    """Computations of the lab's sessions that ended in an error since this was last told: at most once a day."""
    failed = []
    since = _last_told("job_failed", here) or here.utc - LOOK_BACK
    for table in registry.populated_tables():
        jobs = registry.jobs_of(table) & "status = 'error'" & f"completed_time >= '{since}'"
        if "lab" in jobs.heading.names:
            n = len(jobs & {"lab": here.lab})
            if n:
                failed.append(f"{registry.label(table)}: {n}")
    if not failed:
        return 0
    return tell("job_failed", f"{here.lab}/{here.day}", here.lab, [], "Computations failed", "\n".join(failed),
                link="/health", when=here.utc)  # fmt: skip


def _last_told(event: str, here: Moment) -> datetime.datetime | None:
    """When the managers of the lab were last told of something whose occasions are days of the lab."""
    days = [f"{here.lab}/{here.day - datetime.timedelta(days=n)}" for n in range(LOOK_BACK.days + 1)]
    told = (notification.Message & {"message_event": event} & [{"occasion": day} for day in days]).to_arrays(
        "created_time"
    )
    return max(told.tolist(), default=None)


def transfer_stuck(here: Moment) -> int:
    """Copies of files that failed again and again."""
    count = 0
    for item in transfers.on_the_way(here.lab):
        if item.stuck:
            count += tell("transfer_stuck", f"{here.lab}/{item.repository}/{here.day}", here.lab, [],
                          f"{item.stuck} copies to {item.repository} are stuck", "See the page Copies.",
                          link="/transfers", when=here.utc)  # fmt: skip
    return count


def disk_full(here: Moment) -> int:
    """The disks of the data root and of the home."""
    chosen = settings()
    count = 0
    for name, path in (("data root", chosen.data_root), ("home", chosen.home)):
        if path is None or not path.exists():
            continue
        usage = shutil.disk_usage(path)
        if usage.free < LEAST_FREE * usage.total:
            count += tell("disk_full", f"{name}/{here.day}", here.lab, [],
                          f"The disk of the {name} is nearly full", f"{usage.free / 1e9:.1f} GB of "
                          f"{usage.total / 1e9:.0f} GB are free.", link="/health", when=here.utc)  # fmt: skip
    return count


CHECKS: dict[str, Callable[[Moment], int]] = {
    check.__name__: check
    for check in (
        not_weighed, water_due, restriction_long, no_session, weaning_due, litter_due, genotype_due, session_refused,
        task_failed, status_changed, job_failed, transfer_stuck, disk_full,
    )
}  # fmt: skip
"""Name of an event -> the check that finds it."""


def _parents(pair: str | None, lab: str) -> list[str | None] | None:
    """Responsible people of the parents of a pair of a lab; None for pairs of other labs."""
    if pair is None:
        return None
    parents = subject.BreedingPair.Parent & {"breeding_pair": pair, "lab": lab}
    people = (subject.Subject.proj("responsible_user") & parents.proj()).to_dicts()
    return [row["responsible_user"] for row in people] if people else None


def _animal(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("lab", "subject")}


def _path(row: Mapping[str, Any]) -> str:
    return f"{row['lab']}/{row['subject']}"


def _link(row: Mapping[str, Any]) -> str:
    return f"/mouse/{row['lab']}/{row['subject']}"
