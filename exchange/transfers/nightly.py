"""The long-running service: in the nightly window of each lab it plans and runs what is due, then checks old copies."""

from __future__ import annotations

import contextlib
import datetime
import signal
import threading
from collections.abc import Callable, Iterator

from exchange.transfers import ledger, patrol, plan, run
from exchange.transfers.repositories import Repository, repositories
from pipeline.errors import NeurojointError, explain

LOOK_AGAIN_S = 300.0
"""Between two looks for new work while a window is open."""
PATROL_FILES, PATROL_DAYS, PATROL_RATE = 2_000, 30.0, 50.0
"""Of each night's check: at most so many copies, not read for so many days, at so many 10^6 byte per s."""


def serve(
    tell: Callable[[str], None] = print,
    stopped: threading.Event | None = None,
    wait: Callable[[float], None] | None = None,
) -> None:
    """Run until stopped (Ctrl-C, SIGTERM): whenever a window is open, do what is due; else sleep until one opens.

    Parameters
    ----------
    stopped : set from elsewhere to end it; between two groups of files it is looked at.
    wait : sleeps so many seconds, or until it is stopped.
    """
    stop = stopped or threading.Event()
    with _obeying(stop):
        pause = wait or (lambda seconds: stop.wait(seconds))
        while not stop.is_set():
            try:
                seconds = once(tell, stop.is_set)
            except NeurojointError as error:
                tell(explain(error))
                seconds = LOOK_AGAIN_S
            pause(seconds)


def once(tell: Callable[[str], None], until: Callable[[], bool] = lambda: False) -> float:
    """Do what is due now; returns after how many seconds to look again."""
    known = repositories()
    now = ledger.database_time()
    if not any(_is_open(value, now) for value in known.values()):
        seconds = seconds_to_opening(known, now)
        tell(f"no window is open; the next opens in {seconds / 3600:.1f} h")
        return min(seconds, 3600.0)
    plan.plan()
    summary = run.run(nightly=True, until=until)
    if summary.files or summary.failed or summary.waiting:
        tell(f"{summary.files:,} files copied and verified, {len(summary.failed):,} failed")
        for name, why in summary.waiting.items():
            tell(f"waiting for {name}: {why}")
    if not until() and not summary.transfers:
        names = [value.name for value in known.values() if _is_open(value, now) and value.enabled and not value.offline]
        report = patrol.verify(
            names, rate=PATROL_RATE, older_than=datetime.timedelta(days=PATROL_DAYS), most=PATROL_FILES
        ) if names else patrol.Report()  # fmt: skip
        if report.damaged or report.gone:
            tell(f"check of old copies: {len(report.damaged):,} damaged, {len(report.gone):,} gone")
    return LOOK_AGAIN_S


def seconds_to_opening(known: dict[str, Repository], now: datetime.datetime) -> float:
    """How long until the first window opens; a day where there is none."""
    opens = [value.window.next_change(now) for value in known.values() if value.window is not None]
    return min(((moment - now).total_seconds() for moment in opens), default=86_400.0)


def _is_open(one: Repository, now: datetime.datetime) -> bool:
    return one.window is None or one.window.is_open(now)


@contextlib.contextmanager
def _obeying(stop: threading.Event) -> Iterator[None]:
    """Let SIGTERM and Ctrl-C end the service after the group of files in work."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {item: signal.signal(item, lambda *_: stop.set()) for item in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
