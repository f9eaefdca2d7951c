"""The health of the pipeline: what waits, runs, failed and is stale; who works; what was refused and what to do."""

from __future__ import annotations

import json
import weakref
from collections.abc import Mapping
from typing import Any

import dash
import dash_mantine_components as dmc
from dash import ALL, Input, Output, State, dcc, html

from dashboard import links
from dashboard.components import shell
from dashboard.queries import health
from dashboard.site import Component, Page, Site, Viewer
from pipeline.alf.reasons import REASONS
from pipeline.errors import PermissionDenied
from pipeline.web.error_words import InvalidRequest
from pipeline.worker.status import Problem, TableStatus, WorkerStatus

PAGE = Page("health", "Health", order=60, in_menu=True, icon="pulse", refresh=False)

MAY_RETRY = "manager"
FULL = 0.9  # of a disk, from which on it is a warning


def layout(site: Site, viewer: Viewer, *, query: Mapping[str, str]) -> Component:
    """The page; its content is made again every few seconds."""
    return shell.page(
        "Health",
        html.Div(_content(site, viewer), id="health-content", className="nj-stack"),
        dcc.Store(id="health-asked"),
        dmc.Modal(
            [
                html.P(id="health-question"),
                html.Div(
                    [
                        html.Button("Retry", id="health-yes", className="nj-button nj-done", type="button"),
                        html.Button("Leave as it is", id="health-no", className="nj-button", type="button"),
                    ],
                    className="nj-actions",
                    style={"marginTop": 16},
                ),
            ],
            id="health-confirm",
            title="Try failed jobs again?",
            centered=True,
        ),
        subtitle="What the workers have done, what waits, and what needs somebody.",
    )


def register(app: dash.Dash, site: Site) -> None:
    """The callbacks: new content, and retrying with a question before it."""

    @app.callback(
        Output("health-content", "children"),
        Input("tick", "n_intervals"),
        Input("version", "data"),
        State("url", "pathname"),
        prevent_initial_call=True,
    )
    def renew(n: int, version: str, path: str) -> Any:
        return _content(site, site.viewer)

    @app.callback(
        Output("health-confirm", "opened"),
        Output("health-question", "children"),
        Output("health-asked", "data"),
        Input({"type": "retry", "what": ALL}, "n_clicks"),
        Input("health-no", "n_clicks"),
        prevent_initial_call=True,
    )
    def ask(clicks: list[int | None], leave: int | None) -> tuple:
        cause = dash.ctx.triggered_id
        if not isinstance(cause, dict):
            return False, dash.no_update, None
        if not any(clicks):  # the buttons were only made again
            return dash.no_update, dash.no_update, dash.no_update
        try:
            table, like = json.loads(bytes.fromhex(cause["what"]))
        except (ValueError, TypeError):
            raise InvalidRequest("There is no such failure") from None
        return True, _question(table, like), [table, like]

    @app.callback(
        Output("health-confirm", "opened", allow_duplicate=True),
        Output("health-content", "children", allow_duplicate=True),
        Output("notices", "sendNotifications", allow_duplicate=True),
        Input("health-yes", "n_clicks"),
        State("health-asked", "data"),
        prevent_initial_call=True,
    )
    def retry(n: int | None, asked: list[str] | None) -> tuple:
        if not n or not asked or len(asked) != 2:
            return dash.no_update, dash.no_update, dash.no_update
        viewer = site.viewer
        if not viewer.may(MAY_RETRY):
            raise PermissionDenied(f"only a {MAY_RETRY} may retry failed jobs", "ask one of them")
        with site.database.working():
            n_jobs = health.retry(asked[0], asked[1], viewer.name)
        _watch(site).forget()
        words = f"{n_jobs:,} jobs given back to the workers." if n_jobs else "No job says that any more."
        note = {"action": "show", "title": words, "message": "It was written down under your name.", "color": "teal"}
        return False, _content(site, viewer), [note]


def _watch(site: Site) -> health.Watch:
    """The one watch of a site, kept with it."""
    if site not in _watches:
        _watches[site] = health.Watch(site.read, site.settings)
    return _watches[site]


_watches: weakref.WeakKeyDictionary[Site, health.Watch] = weakref.WeakKeyDictionary()


def _content(site: Site, viewer: Viewer) -> list[Component]:
    state = _watch(site).health()
    tables = [table for table in state.status.tables if table.total or table.done or table.failed]
    may = viewer.may(MAY_RETRY)
    parts = [shell.card(shell.facts(_summary(state, tables, viewer)))]
    if not tables:
        hint = "neurojoint ingest ROOT registers a folder of sessions, neurojoint work computes."
        return [*parts, shell.sentence("Nothing has been registered yet.", hint)]
    parts.append(
        shell.section(
            "Tables", shell.card(_tables(tables)), hint="keys that should have a row, and what became of them"
        )
    )
    if viewer.public:
        return parts
    parts.append(
        shell.section("What went wrong", _errors(state.status.errors, may), hint="failed jobs that say the same")
    )
    parts.append(shell.section("Workers", _workers(state.status.workers, tables)))
    if state.status.modules and not viewer.public:
        rows = [[module.example, module.what] for module in state.status.modules]
        parts.append(shell.section("Modules left out", shell.card(shell.table(["Module", "Why"], rows))))
    parts.append(
        shell.section("Quarantine", *_quarantine(state, site), hint="files that were refused, why, and what to do")
    )
    parts.append(
        shell.columns(
            shell.section("Disks", _disks(state)),
            shell.section("Registration", _runs(state), hint="times in UTC"),
            least=420,
        )
    )
    return parts


def _summary(state: health.Health, tables: list[TableStatus], viewer: Viewer) -> list[tuple[str, Component]]:
    def total(name: str) -> int:
        return sum(getattr(table, name) or 0 for table in tables)

    def alarm(number: int, colour: str) -> Component:
        return shell.chip(f"{number:,}", colour) if number else "0"

    alive = sum(worker.alive for worker in state.status.workers)
    waiting = total("pending")
    left = max((table.seconds_left or 0 for table in tables), default=0)
    pairs: list[tuple[str, Component]] = [
        ("Pending", f"{waiting:,}"),
        ("Running", f"{total('running'):,}"),
        ("Failed", alarm(total("failed"), "red")),
        ("Stale", alarm(total("stale"), "orange")),
        ("In quarantine", alarm(state.n_refused, "orange")),
        ("Workers alive", shell.chip("none, and work waits", "red") if waiting and not alive else f"{alive}"),
    ]
    if left:
        pairs.append(("Left at this rate", duration(left)))
    if state.database_bytes and not viewer.public:
        pairs.append(("Database", size(state.database_bytes)))
    return [*pairs, ("Looked at", f"{state.status.taken:%H:%M:%S} UTC")]


def _tables(tables: list[TableStatus]) -> Component:
    heads = ["Table", "Done", "", "Pending", "Running", "Failed", "Stale"]
    is_busy = any(table.rate for table in tables)
    rows = [
        [
            table.table,
            _bar(table),
            f"{table.done:,} of {table.total:,}",
            _quiet(table.pending),
            _quiet(table.running),
            shell.chip(f"{table.failed:,}", "red") if table.failed else _quiet(0),
            shell.DASH
            if table.stale is None
            else shell.chip(f"{table.stale:,}", "orange")
            if table.stale
            else _quiet(0),
            *(
                [f"{table.rate:.0f}" if table.rate else "", duration(table.seconds_left) if table.seconds_left else ""]
                * is_busy
            ),
        ]
        for table in tables
    ]
    words = "Stale rows were made from files that have changed since: `neurojoint refresh` shows their dependent rows."
    stale = [html.P(words, className="nj-hint")] if any(table.stale for table in tables) else []
    return html.Div([shell.table(heads + ["Per minute", "Left"] * is_busy, rows, numbers=range(3, 9)), *stale])


def _bar(one: TableStatus) -> Component:
    """Done, running and failed as shares of all; the numbers stand beside it."""
    total = max(one.total, one.done, 1)
    shares = ((one.done, "var(--nj-accent)"), (one.running, "#e6a700"), (one.failed, "#d62839"))
    parts = [
        html.Span(style={"width": f"{100 * n / total:.2f}%", "minWidth": "2px", "background": colour, "height": "100%"})
        for n, colour in shares
        if n
    ]
    style = {"display": "flex", "width": 160, "height": 8, "borderRadius": 4, "overflow": "hidden",
             "background": "var(--nj-line)"}  # fmt: skip
    return html.Div(parts, style=style, role="img", **{"aria-label": f"{one.done} of {one.total} done"})


def _errors(errors: list[Problem], may: bool) -> Component:
    if not errors:
        return shell.sentence("No job has failed.")
    rows = []
    for error in errors:
        like = health.fragment(error.what)
        title = html.Div([shell.chip(f"{error.count:,}", "red"), html.Strong(f" {error.where}")])
        words = [title, html.Div(error.what), html.Div(f"for example {error.example}", className="nj-hint")]
        rows.append(html.Li([html.Div(words), _retry(error.where, like, "Retry") if may else None]))
    everything = _retry("", "", "Retry all failed jobs") if may else html.Span(
        f"A {MAY_RETRY} can give failed jobs back to the workers.", className="nj-hint"
    )  # fmt: skip
    return shell.card(html.Ul(rows, className="nj-errors"), html.Div(everything, className="nj-actions"))


def _retry(table: str, like: str, label: str) -> Component:
    key = {"type": "retry", "what": json.dumps([table, like]).encode().hex()}  # ids do not take every sign
    return html.Button(label, id=key, className="nj-button", type="button")


def _question(table: str, like: str) -> str:
    of = f" of {table}" if table else ""
    if like:
        return (
            f"All failed jobs{of} whose message contains “{like}” go back to the workers. It is written down who did."
        )
    return f"All failed jobs{of} go back to the workers. It is written down who did."


def _workers(workers: list[WorkerStatus], tables: list[TableStatus]) -> Component:
    if not workers:
        waits = any(table.pending for table in tables)
        hint = "Start them: neurojoint work" if waits else "There is nothing for them to do."
        return shell.sentence("No worker is running.", hint, kind="problem" if waits else "empty")
    rows = [
        [
            worker.host,
            str(worker.pid),
            shell.chip("alive", "green") if worker.alive else shell.chip("dead", "red"),
            f"{duration(worker.seconds)} ago",
            worker.activity or "waits for work",
        ]
        for worker in workers
    ]
    return shell.card(shell.table(["Computer", "Process", "", "Last heartbeat", "Does"], rows, numbers=(1,)))


def _quarantine(state: health.Health, site: Site) -> list[Component]:
    if not state.refused:
        return [shell.sentence("Nothing is in quarantine.")]
    counts: dict[str, int] = {}
    for row in state.refused:
        counts[row["reason"]] = counts.get(row["reason"], 0) + 1
    chips = [
        shell.chip(f"{reason.replace('_', ' ')}: {n:,}", "orange", REASONS.get(reason, ("",))[0])
        for reason, n in sorted(counts.items(), key=lambda pair: -pair[1])
    ]
    rows = []
    for row in state.refused:
        has_session = row["session_date"] is not None
        rows.append({
            "reason": row["reason"].replace("_", " "), "path": row["quarantine_path"],
            "column": row["quarantine_column"], "detail": row["detail"], "remedy": row["remedy"],
            "session": f"{row['subject']} {row['session_date']} {row['session_number']}" if has_session else "",
            "session_href": links.session(row["lab"], row["subject"], row["session_date"], row["session_number"])
            if has_session else "",
            "first_seen": f"{row['first_seen']:%Y-%m-%d %H:%M}", "last_seen": f"{row['last_seen']:%Y-%m-%d %H:%M}",
        })  # fmt: skip
    whole = {"wrapText": True, "autoHeight": True, "cellClass": "nj-words"}
    columns = [
        {"field": "reason", "headerName": "Reason", "width": 120, "filter": True},
        {"field": "session", "headerName": "Session", "width": 190, "cellRenderer": "Link"},
        {"field": "path", "headerName": "File", "minWidth": 240, "flex": 3, "filter": True} | whole,
        {"field": "column", "headerName": "Column", "width": 110},
        {"field": "detail", "headerName": "What was found", "minWidth": 200, "flex": 2} | whole,
        {"field": "remedy", "headerName": "What to do", "minWidth": 220, "flex": 2} | whole,
        {"field": "first_seen", "headerName": "First seen (UTC)", "width": 140},
        {"field": "last_seen", "headerName": "Last seen (UTC)", "width": 140},
    ]
    more = []
    if state.n_refused > len(rows):
        more = [
            html.P(
                f"The latest {len(rows):,} of {state.n_refused:,}; all are in the table data.Quarantine.",
                className="nj-hint",
            )
        ]
    return [html.Div(chips, className="nj-chips", style={"flexWrap": "wrap", "height": "auto", "marginBottom": 8}),
            shell.grid("health-refused", columns, rows), *more]  # fmt: skip


def _disks(state: health.Health) -> Component:
    rows = []
    for disk in state.disks:
        colour = "red" if disk.fraction > FULL else "teal"
        bar = dmc.Progress(value=100 * disk.fraction, color=colour, size=8, w=120, **{"aria-label": "full"})
        rows.append([disk.name, disk.path, bar, f"{100 * disk.fraction:.0f} %", f"{size(disk.free)} free"])
    return shell.card(shell.table(["For", "Folder", "Full", "", ""], rows, numbers=(3, 4)))


def _runs(state: health.Health) -> Component:
    if not state.runs:
        return shell.sentence("Nothing was ever registered here.")
    rows = []
    for row in state.runs:
        took = duration((row["run_end"] - row["run_start"]).total_seconds()) if row["run_end"] else "not ended"
        rows.append([f"{row['run_start']:%a %d %b %H:%M}", took, row["run_root"], row["run_user"]])
    week = ", ".join(f"{n:,} {action}" for action, n in state.changes.items())
    last = (
        html.P(f"Written down in the last seven days: {week}.", className="nj-hint", style={"marginTop": 8})
        if week
        else None
    )
    return shell.card(shell.table(["Began", "Took", "Folder", "By"], rows), last)


def _quiet(number: int) -> Component:
    return f"{number:,}" if number else html.Span("0", className="nj-hint")


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(4.2), duration(200), duration(9000), duration(200000)
    ('4 s', '3 min', '2.5 h', '2.3 days')
    """
    for limit, unit, name, digits in ((90, 1, "s", 0), (5400, 60, "min", 0), (129600, 3600, "h", 1)):
        if seconds < limit:
            return f"{seconds / unit:.{digits}f} {name}"
    return f"{seconds / 86400:.1f} days"


def size(n_bytes: float) -> str:
    """Bytes for people.

    >>> size(512), size(2.5e9)
    ('512 B', '2.5 GB')
    """
    for name in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {name}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"
