"""Checks and delivery together, and the watch over them: a check that does not run is told when somebody notices."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable

from pipeline.entry.events import now, tell
from pipeline.errors import is_connection_error
from pipeline.notifications import checks, outbox
from pipeline.notifications.outbox import Delivered
from pipeline.schemas import lab, notification
from pipeline.settings import Settings

logger = logging.getLogger(__name__)

NAME, DONE = "daily", "daily, done"
"""Of `notification.CheckRun`: when the checks were last begun, and when they last ended without an error."""
EVERY_S = 300.0
OVERDUE = datetime.timedelta(hours=3)
"""Checks run every few minutes: after this time without one, something is wrong."""


def once(
    utc: datetime.datetime | None = None, chosen: Settings | None = None, dry_run: bool = False
) -> tuple[dict[str, int], Delivered]:
    """Do all checks, then deliver; returns how many messages each check made, and what was delivered.

    With `dry_run` nothing is written or sent: the checks run in a transaction that is taken back.
    """
    moment = utc or now()
    link = notification.Message().connection
    if dry_run:
        link.start_transaction()
        try:
            return checks.run(moment), outbox.deliver(moment, chosen, dry_run=True)
        finally:
            link.cancel_transaction()
    gap = since_last(moment)
    if gap is not None and gap > OVERDUE:
        _report_gap(moment, gap)
    _note(NAME, started_time=moment, finished_time=None, check_error="")
    if not notification.CheckRun & {"check_name": DONE}:
        _note(DONE, started_time=moment)
    error = ""
    made = {}
    try:
        made = checks.run(moment)
    except checks.CheckFailed as failed:
        error = str(failed)[:500]
    delivered = outbox.deliver(moment, chosen)
    _note(NAME, started_time=moment, finished_time=None if error else moment,
          check_error=error or delivered.problem[:500])  # fmt: skip
    if not error:
        _note(DONE, started_time=moment, finished_time=moment)
    return made, delivered


def forever(say: Callable[[str], None], is_over: Callable[[], bool], every_s: float = EVERY_S) -> None:
    """Check and deliver until told to stop; a database that is away for a while is waited for.

    Where several programs do (workers on several computers), they take turns: a check that another has just done is
    not done again.
    """
    while not is_over():
        try:
            begun = (notification.CheckRun & {"check_name": NAME}).to_dicts()
            if not begun or (now() - begun[0]["started_time"]).total_seconds() >= 0.8 * every_s:
                say(summary(*once()))
        except Exception as error:
            if not is_connection_error(error):
                raise
            logger.warning("the database is out of reach: trying again")
        until = time.monotonic() + every_s
        while time.monotonic() < until and not is_over():
            time.sleep(min(0.5, every_s))


def watch(moment: datetime.datetime | None = None, chosen: Settings | None = None) -> bool:
    """Tell people by mail if the checks do not run: for programs that run beside them; returns whether they do not.

    What waits is delivered then, too.
    """
    moment = moment or now()
    gap = since_last(moment)
    if gap is None or gap <= OVERDUE:
        return False
    _report_gap(moment, gap)
    outbox.deliver(moment, chosen)
    return True


def summary(made: dict[str, int], delivered: Delivered) -> str:
    """What was done, in one line."""
    new = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in made.items() if count) or "nothing new"
    sent = f"{delivered.sent} sent, {delivered.waiting} waiting, {delivered.undeliverable} undeliverable"
    return f"{new}; {sent}" + (f" ({delivered.problem})" if delivered.problem else "")


def since_last(moment: datetime.datetime | None = None) -> datetime.timedelta | None:
    """How long ago the checks last ended without an error, or were first begun; None where they never were.

    Checks that are begun again and again and never end count as checks that do not run.
    """
    rows = {row["check_name"]: row for row in notification.CheckRun().to_dicts()}
    row = rows.get(DONE) or rows.get(NAME)
    return None if row is None else (moment or now()) - (row["finished_time"] or row["started_time"])


def warning(moment: datetime.datetime | None = None) -> str:
    """What people should know about the checks, for every page that shows animals; empty if all is well."""
    rows = (notification.CheckRun & {"check_name": NAME}).to_dicts()
    if not rows:
        return "Nobody is told of missing weights or water: the checks have never run (neurojoint notify)."
    gap = since_last(moment)
    said: list[str] = []
    if gap is not None and gap > OVERDUE:
        said.append(
            f"The checks have not run for {gap.total_seconds() / 3600:.0f} h: nobody is told of missing weights."
        )
    if rows[0]["check_error"]:
        said.append(f"The checks have a problem: {rows[0]['check_error']}")
    return " ".join(said)


def _report_gap(moment: datetime.datetime, gap: datetime.timedelta) -> None:
    last = moment - gap
    for row in lab.Lab().to_dicts():
        tell("check_missing", f"{row['lab']}/{last.isoformat(timespec='seconds')}", row["lab"], [],
             "The checks did not run", f"No check ran between {last:%Y-%m-%d %H:%M} and {moment:%Y-%m-%d %H:%M} UTC: "
             "look at the weights and the water of these days yourself, until they run (neurojoint notify).",
             when=moment)  # fmt: skip


def _note(name: str, **values: object) -> None:
    key = {"check_name": name}
    if notification.CheckRun & key:
        notification.CheckRun.update1(key | values)
    else:
        notification.CheckRun.insert1(key | values)
