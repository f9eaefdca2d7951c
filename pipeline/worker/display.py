"""What a person sees of the workers: bars on a terminal, plain lines elsewhere, and what `neurojoint status` prints."""

from __future__ import annotations

import time
from collections import deque
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.worker.progress_counters import Board
from pipeline.worker.status import Problem, Status
from pipeline.worker.supervisor import Summary

PLAIN_SECONDS = 10.0  # between two lines where there is no terminal
_WINDOW_SECONDS = 30.0  # over which a rate is taken
_BAR = 24


class Progress:
    """Shows a run while it goes on; use it as context manager and give `watch` and `tell` to `work`.

    Parameters
    ----------
    console : where to write.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._history: dict[str, deque[tuple[float, int]]] = {}
        self._next_line = time.monotonic() + PLAIN_SECONDS

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def watch(self, board: Board) -> None:
        """Draw the counters."""
        rows = self._rows(board)
        if self._live:
            self._live.update(_bars(rows), refresh=True)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + PLAIN_SECONDS
            for label, finished, total, failed, rate in rows:
                if finished < total:
                    wrong = f", {failed} failed" if failed else ""
                    pace = f", {rate:.1f}/s, {duration((total - finished) / rate)} left" if rate else ""
                    self.tell(f"{label} {finished:,}/{total:,}{wrong}{pace}")

    def tell(self, line: str) -> None:
        """Print one line, above the bars where there are any."""
        self.console.print(Text(line), soft_wrap=True)

    def _rows(self, board: Board) -> list[tuple[str, int, int, int, float]]:
        now, finished, failed, left = time.monotonic(), board.finished(), board.failed(), board.left()
        rows = []
        for label in board.labels:
            if not finished[label] and not left[label]:
                continue
            history = self._history.setdefault(label, deque())
            history.append((now, finished[label]))
            while history[0][0] < now - _WINDOW_SECONDS:
                history.popleft()
            seconds = now - history[0][0]
            rate = (finished[label] - history[0][1]) / seconds if seconds > 0.5 else 0.0
            rows.append((label, finished[label], finished[label] + left[label], failed[label], rate))
        return rows


def describe(summary: Summary) -> str:
    """The one line that ends a run.

    >>> describe(Summary({"behavior.TrialSet": 1200}, {"behavior.TrialSet": 3}, 62.0))
    '1,200 computed in 1 min 2 s, 3 failed: neurojoint status shows why, neurojoint retry tries again'
    """
    done, failed = sum(summary.done.values()), sum(summary.failed.values())
    wrong = f", {failed:,} failed: neurojoint status shows why, neurojoint retry tries again" if failed else ""
    return f"{done:,} computed in {duration(summary.seconds)}{wrong}"


def duration(seconds: float) -> str:
    """Time in words.

    >>> duration(0.4), duration(62), duration(7300), duration(200000)
    ('0.4 s', '1 min 2 s', '2 h 1 min', '2 d 7 h')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    seconds = round(seconds)
    for large, small, size, part in (("d", "h", 86400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if seconds >= size:
            return f"{seconds // size} {large} {seconds % size // part} {small}"
    return f"{seconds} s"


def show(status: Status) -> RenderableType:
    """All of a status, for a console."""
    parts: list[RenderableType] = [_tables(status)]
    if status.errors:
        parts.append(_problems("Failed (neurojoint retry tries again)", "table", status.errors))
    if status.doubts:
        parts.append(_problems("Doubtful data", "outcome", status.doubts))
    if status.quarantine:
        parts.append(_problems("Files in quarantine", "", status.quarantine))
    if status.modules:
        parts.append(_modules(status.modules))
    if status.transfers:
        parts.append(Text(status.transfers))
    alive = [worker for worker in status.workers if worker.alive]
    dead = len(status.workers) - len(alive)
    hosts = ", ".join(sorted({worker.host for worker in alive}))
    line = f"{len(alive)} workers alive on {hosts}" if alive else "no worker is running: neurojoint work"
    parts.append(Text(line + (f"; {dead} dead, their jobs are taken up by the next" if dead else "")))
    return Group(*parts)


def _tables(status: Status) -> Table:
    columns = {
        "total": [_number(table.total) for table in status.tables],
        "done": [_number(table.done) for table in status.tables],
        "pending": [_number(table.pending) for table in status.tables],
        "running": [_number(table.running) for table in status.tables],
        "failed": [_number(table.failed) for table in status.tables],
        "ignored": [_number(table.ignored) for table in status.tables],
        "stale": [_number(table.stale) for table in status.tables],
        "per min": [f"{table.rate:,.0f}" if table.rate else "" for table in status.tables],
        "time left": [duration(table.seconds_left) if table.seconds_left else "" for table in status.tables],
    }
    columns = {name: cells for name, cells in columns.items() if any(cells) or name in ("total", "done", "pending")}
    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column("table", no_wrap=True, min_width=max(len(table.table) for table in status.tables))
    for name in columns:
        grid.add_column(name, justify="right")
    for number, counts in enumerate(status.tables):
        style = "red" if counts.failed else "yellow" if counts.stale else "dim" if not counts.total else None
        grid.add_row(counts.table, *(cells[number] for cells in columns.values()), style=style)
    return grid


def _number(value: int | None) -> str:
    return f"{value:,}" if value else ""


def _problems(title: str, where: str, problems: list[Problem]) -> Table:
    grid = Table(
        title=f"\n{title}", title_justify="left", title_style="bold", box=None, pad_edge=False, show_header=False
    )
    grid.add_column(justify="right")
    for problem in problems[:20]:
        cells = [f"{problem.count:,}", *([problem.where] if where else []), problem.what, f"e.g. {problem.example}"]
        grid.add_row(*map(Text, cells[:-1]), Text(cells[-1], style="dim"))
    if len(problems) > 20:
        grid.add_row("", f"and {len(problems) - 20} more")
    return grid


def _modules(left_out: list[Problem]) -> Text:
    lines = "".join(f"\n  {item.example}: {item.what}" for item in left_out)
    return Text(f"\nModules left out (neurojoint module list shows where){lines}", style="red")


def _bars(rows: list[tuple[str, int, int, int, float]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for label, finished, total, failed, rate in rows:
        filled = _BAR * finished // total if total else 0
        bar = Text("█" * filled, style="green") + Text("░" * (_BAR - filled), style="dim")
        left = f"{duration((total - finished) / rate)} left" if rate and finished < total else ""
        wrong = Text(f"{failed} failed" if failed else "", style="red")
        grid.add_row(label, bar, f"{finished:,}/{total:,}", f"{rate:.1f}/s" if rate else "", left, wrong)
    return grid
