"""Who trained on a day and on the day before, who did not and why, and what each mouse weighed and drank."""

from __future__ import annotations

import datetime
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any

import dash
import dash_mantine_components as dmc
from dash import Input, Output, html

from dashboard import links
from dashboard.components import choices, shell
from dashboard.queries import daily as queries
from dashboard.queries import progress
from dashboard.site import Component, NotFound, Page, Site, Viewer
from pipeline.web.versioned_cache import Kept

PAGE = Page("daily", "Daily", order=20, in_menu=True, icon="calendar", refresh=False)

DEFAULTS = {"date": "", "lab": "", "user": "", "show": ""}
"""Names in the address. Without a date it is the present day of each lab."""
LOOKS = {
    progress.TRAINED: ("trained", "green"),
    progress.COMPUTING: ("computing", "blue"),
    progress.ERROR: ("error", "red"),
    progress.REFUSED: ("files refused", "orange"),
    progress.NO_TRIALS: ("no trials", "yellow"),
    progress.OTHER: ("no task", "teal"),
    queries.UNKNOWN: ("no session", "gray"),
    queries.ABSENT: ("not collected", "gray"),
}
"""What became of a day -> its chip; in the order in which they are counted."""
SHOWN = {
    "": "all mice", "idle": "did not train", "idle_before": "did not train the day before",
    "data": "data not ready", "water": "water due", "weight": "underweight",
}  # fmt: skip
LEAST_WATER = 0.005
"""mL; less than that is not due."""
YEARS = (1990, 2100)
FRESH_S = 8.0
"""How old a page may be that all viewers share while no data arrive."""


def layout(site: Site, viewer: Viewer, *, query: Mapping[str, str]) -> Component:
    """The page."""
    chosen = choices.read(query, DEFAULTS)
    if chosen["date"]:
        day = links.date_of(chosen["date"])
        if not YEARS[0] <= day.year <= YEARS[1]:
            raise links.BadAddress(f"{chosen['date']} is no day on which a mouse was trained.")
    labs = list(site.read(queries.labs))
    if not labs:
        hint = "Register files with `neurojoint ingest ROOT`."
        return shell.page("Daily summary", shell.sentence("There are no mice yet.", hint))
    if chosen["lab"] and chosen["lab"] not in labs:
        raise NotFound(f"There is no lab called {chosen['lab'][:60]}.")
    view = _view(site, viewer, chosen)
    return shell.page(
        "Daily summary",
        _controls(labs, view),
        html.Div(view.content, id="daily-content", className="nj-stack"),
        *choices.stores("daily", chosen, DEFAULTS),
        subtitle=html.Span(view.words, id="daily-words"),
        actions=html.Div(view.neighbours, id="daily-neighbours", className="nj-actions"),
    )


def register(app: dash.Dash, site: Site) -> None:
    """What is chosen, and the page for it; made again when data arrive."""
    choices.register(app, "daily")

    @app.callback(
        Output("daily-content", "children"),
        Output("daily-words", "children"),
        Output("daily-neighbours", "children"),
        Input(choices.store("daily"), "data"),
        Input("version", "data"),
        prevent_initial_call=True,
    )
    def renew(chosen: Mapping[str, str] | None, version: str) -> tuple:
        view = _view(site, site.viewer, choices.read(chosen or {}, DEFAULTS))
        return view.content, view.words, view.neighbours


def _view(site: Site, viewer: Viewer, chosen: Mapping[str, str]) -> View:
    """The day, made again when data have arrived, and for who asks later than a few seconds: jobs come and go."""
    name = (id(site), viewer.public, *chosen.items())
    return _kept.get(name, f"{site.live.version()} {time.monotonic() // FRESH_S}", lambda: View(site, viewer, chosen))


_kept = Kept(64)


class View:
    """The day that one viewer looks at.

    Parameters
    ----------
    chosen : as `DEFAULTS`.
    """

    def __init__(self, site: Site, viewer: Viewer, chosen: Mapping[str, str]) -> None:
        self.site, self.viewer, self.chosen = site, viewer, chosen
        labs = [chosen["lab"]] if chosen["lab"] else list(site.read(queries.labs))
        self.days = {lab: links.date_of(chosen["date"]) if chosen["date"] else site.today(lab) for lab in labs}
        self.day = max(self.days.values())
        self.summary = site.read(queries.summary, self.days)
        barred = site.barred(viewer)
        self.summary.mice = [mouse for mouse in self.summary.mice if (mouse.lab, mouse.subject) not in barred]
        self.users = [] if viewer.public else sorted({mouse.responsible_user for mouse in self.summary.mice} - {""})
        user = "" if viewer.public else chosen["user"]
        self.everyone = [mouse for mouse in self.summary.mice if not user or mouse.responsible_user == user]
        self.mice = [person for person in self.everyone if self._passes(person)]

    @cached_property
    def words(self) -> str:
        """One line about the day."""
        before = sum(person.before.kind == progress.TRAINED for person in self.everyone)
        return f"{_trained(self.everyone)} mice trained on {_day(self.day)}, {before:,} on the day before"

    @cached_property
    def neighbours(self) -> list[Component]:
        """Links to the days before and after."""
        kept = {name: value for name, value in self.chosen.items() if name != "date"}
        one = datetime.timedelta(days=1)
        back, on = self.day - one, self.day + one
        is_today = all(day == self.site.today(lab) for lab, day in self.days.items())
        return [
            shell.button_link("Today", None if is_today else links.daily(**kept), "t"),
            shell.neighbours([(_day(day), links.daily(**kept | {"date": day})) for day in (back, on)], "day"),
        ]

    @cached_property
    def content(self) -> list[Component]:
        """The two days in numbers, and the mice by lab and responsible person."""
        parts: list[Component] = [*self._older()]
        if not self.summary.mice:
            words = f"No mouse had a session, a weighing or restricted water in the {queries.ACTIVE_DAYS} days before."
            return [
                *parts,
                shell.sentence(words, self._left_out(self.summary.n_others), shell.link("All mice", links.overview())),
            ]
        if not self.mice:
            what = SHOWN.get(self.chosen["show"], self.chosen["show"])
            back = shell.link("All mice of the day", links.daily(date=self.chosen["date"], lab=self.chosen["lab"]))
            return [*parts, shell.sentence("No mouse of this day passes the filters.", f"Shown: {what}.", back)]
        titles = ("The day before", "The day") if self.chosen["date"] else ("Yesterday", "Today")
        both = [one.before for one in self.everyone], [person.today for person in self.everyone]
        counts = [_counts(title, days) for title, days in zip(titles, both, strict=True)]
        parts.append(shell.columns(*counts, least=320))
        for lab, mice in groupby(self.mice, key=lambda one: one.lab):
            parts.append(self._lab(lab, list(mice)))
        return parts

    def _passes(self, one: queries.Mouse) -> bool:
        kinds = {one.before.kind, one.today.kind}
        tests = {
            "idle": one.today.kind in (queries.UNKNOWN, queries.ABSENT),
            "idle_before": one.before.kind in (queries.UNKNOWN, queries.ABSENT),
            "data": bool(kinds & set(progress.NOT_READY)),
            "water": (one.water_due or 0) >= LEAST_WATER,
            "weight": one.underweight or one.critical,
        }
        return tests.get(self.chosen["show"], True)

    def _older(self) -> list[Component]:
        """Where the newest sessions are older than the two days: a sentence that leads there."""
        if any(day.sessions for mouse in self.summary.mice for day in (mouse.before, mouse.today)):
            return []
        newest = max((date for lab, date in self.summary.newest.items() if lab in self.days), default=None)
        if newest is None:
            return [shell.sentence("No session was registered up to this day.")]
        ago = (self.day - newest).days
        if ago < 2:
            return []
        words = f"Nobody trained on {_day(self.day)} or the day before: the last sessions are {ago:,} days older."
        there = links.daily(date=newest, lab=self.chosen["lab"], user=self.chosen["user"])
        return [shell.sentence(words, link=shell.link(f"Show {shell.date(newest)}", there))]

    def _lab(self, lab: str, mice: Sequence[queries.Mouse]) -> Component:
        day = self.days[lab]
        heads = ["Mouse", "Status", _day(mice[0].before.date), _day(day), "Weight", "Water given", "Still due"]
        rows: list[Component] = []
        by_user = [("", mice)] if self.viewer.public else groupby(mice, key=lambda one: one.responsible_user)
        for user, own in by_user:
            own = list(own)
            if not self.viewer.public:
                rows.append(self._user(user, own, len(heads)))
            rows += [self._row(item) for item in own]
        zone = self.site.zone(lab)
        count = _trained([person for person in self.everyone if person.lab == lab])
        hint = f"{count} trained on {_day(day)}; times of {zone.key}, where it is {datetime.datetime.now(zone):%H:%M}"
        table = html.Table(
            [
                html.Colgroup([html.Col(className=f"nj-daily-{i}") for i in range(len(heads))]),
                html.Thead(
                    html.Tr([html.Th(head, className="nj-number" if i > 3 else "") for i, head in enumerate(heads)])
                ),
                html.Tbody(rows),
            ],
            className="nj-table nj-daily",
        )
        rest = self._left_out({lab: self.summary.n_others.get(lab, 0)})
        under = html.P(rest, className="nj-hint", style={"marginTop": 8}) if rest else None
        return shell.section(lab, shell.card(html.Div(table, className="nj-scroll"), under), hint=hint)

    def _user(self, user: str, mice: Sequence[queries.Mouse], width: int) -> Component:
        count = "" if self.chosen["show"] else f"{_trained(mice)} trained"
        words = [html.Span(user or "nobody responsible"), html.Span(count, className="nj-hint")]
        return html.Tr(html.Th(words, colSpan=width, scope="rowgroup"), className="nj-daily-user")

    def _row(self, one: queries.Mouse) -> Component:
        name = self.site.name(one.lab, one.subject, self.viewer)
        weight: list[Component] = [shell.number(one.weight, 1, "g")]
        if one.weight_pct is not None:
            colour = "red" if one.critical else "orange" if one.underweight else ""
            text = f"{one.weight_pct:.0f} %"
            weight += [" ", shell.chip(text, colour, "of the expected weight")] if colour else [f" · {text}"]
        if one.weight_date is not None and one.weight_date != one.today.date:
            weight.append(html.Div(f"on {_day(one.weight_date)}", className="nj-hint"))
        given = "free" if one.water_adlib else shell.number(one.water_given, 2, "mL")
        due: Component = shell.DASH if one.water_due is None else "0"
        if (one.water_due or 0) >= LEAST_WATER:
            due = shell.chip(f"{one.water_due:.2f} mL", "blue", "still due on that day")
        cells = [
            (shell.link(name, links.mouse(one.lab, name)), ""), (shell.status(one.status), ""),
            (self._day_cell(one, one.before, name), "nj-daily-words"),
            (self._day_cell(one, one.today, name), "nj-daily-words"),
            (weight, "nj-number"), (given, "nj-number"), (due, "nj-number"),
        ]  # fmt: skip
        labels = ("", "", _day(one.before.date), _day(one.today.date), "Weight", "Given", "Due")
        return html.Tr(
            [
                html.Td(value, className=style, **{"data-label": label})
                for (value, style), label in zip(cells, labels, strict=True)
            ]
        )

    def _day_cell(self, one: queries.Mouse, day: queries.MouseDay, name: str) -> list[Component]:
        text, colour = LOOKS[day.kind]
        parts: list[Component] = [] if day.kind == progress.TRAINED else [shell.chip(text, colour)]
        for session in day.sessions:
            start = self.site.local(session.start, one.lab)
            facts = [f"{start:%H:%M}" if start else ""]
            facts.append(
                f"{session.n_trials:,} trials" if session.n_trials is not None else f"session {session.number}"
            )
            if session.n_judged:
                facts.append(f"{100 * session.n_judged_correct / session.n_judged:.0f} %")
            if session.minutes:
                facts.append(f"{session.minutes:.0f} min")
            judged = "correct on easy trials" if session.is_easy else "correct"
            tip = f"{session.protocol}: start, trials, {judged}, duration"
            label = " · ".join(fact for fact in facts if fact)
            parts.append(shell.link(label, links.session(one.lab, name, day.date, session.number), title=tip))
        if self.viewer.public:
            why = []
        else:
            why = explain(day, self.summary, self.site.local(self.summary.registered, one.lab))
        is_idle = not (one.before.sessions or one.today.sessions)
        if is_idle and day is one.today:
            last = one.last_session
            why.append(f"Last session: {_day(last)}." if last else f"None in the {queries.ACTIVE_DAYS} days before.")
        return [html.Div(parts, className="nj-daily-facts"), *(html.Div(words, className="nj-hint") for words in why)]

    def _left_out(self, counts: Mapping[str, int]) -> str:
        n = sum(counts.values())
        days = queries.ACTIVE_DAYS
        return f"Left out: {_mice(n)} without a session, a weighing or restriction for {days} days." if n else ""


def explain(day: queries.MouseDay, summary: queries.Summary, registered: datetime.datetime | None) -> list[str]:
    """Why a day is what it is, in sentences; none where everything is there.

    Parameters
    ----------
    registered : when files were last registered, in the lab's time.
    """
    words: list[str] = []
    if day.kind == queries.UNKNOWN and registered is not None:
        words.append(f"Files were last registered on {_day(registered.date())}, {registered:%H:%M}.")
    if day.kind == queries.ABSENT:
        words.append("No files came, although files were registered since.")
    if day.weighed and not day.sessions:
        words.append("It was weighed.")
    if day.refused:
        words.append(_files(day.refused) + " No session could be registered from them.")
    for session in day.sessions:
        if session.kind == progress.OTHER:
            words.append(f"{session.protocol}: no trials are expected.")
        if session.kind == progress.NO_TRIALS:
            words.append("The session is registered, but it has no files of trials: not extracted or not copied yet.")
        if session.refused:
            words.append(_files(session.refused))
        if session.kind == progress.COMPUTING:
            what = (
                f"Still missing: {', '.join(session.waits_for)}"
                if session.n_trials is not None
                else "Its trials wait to be read"
            )
            state = "; a worker is at it" if session.running else "" if summary.workers else "; no worker is running"
            words.append(f"{what}{state}.")
        words += [f"Error in {table}: {message[:300]}" for table, message in session.errors]
        words += [f"{what[:300]}. To act: {who}" for what, who in session.acts]
    return words


def _files(refused: Sequence[tuple[str, str, str]]) -> str:
    path, reason, remedy = refused[0]
    name, reason = path.rpartition("/")[2] or path, reason.replace("_", " ")
    more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
    return f"Refused: {name} ({reason}){more}. To do: {remedy}."


def _controls(labs: Sequence[str], view: View) -> Component:
    """What can be chosen."""
    chosen = view.chosen

    def pick(name: str, label: str, options: Sequence[Any], width: int) -> Component:
        given = choices.control("daily", name)
        return shell.select(given, label, options, chosen[name] or None, w=width, placeholder="all")

    shown = [{"value": name, "label": label} for name, label in SHOWN.items() if name]
    parts = [
        dmc.DatePickerInput(
            id=choices.control("daily", "date"), label="Day", value=chosen["date"] or None, placeholder="today",
            valueFormat="ddd D MMM YYYY", size="xs", w=150, clearable=True, firstDayOfWeek=1,
            clearButtonProps={"aria-label": "Show today"},
        ),
        pick("lab", "Lab", labs, 140) if len(labs) > 1 else None,
        None if view.viewer.public else pick("user", "Responsible", view.users, 150),
        pick("show", "Show", shown, 210),
    ]  # fmt: skip
    return html.Div([part for part in parts if part is not None], className="nj-bar-of-filters", role="search")


def _counts(title: str, days: Sequence[queries.MouseDay]) -> Component:
    """How many mice had which kind of day."""
    counts = Counter(day.kind for day in days)
    dates = sorted({day.date for day in days})
    heading = f"{title}, {' and '.join(_day(date) for date in dates)}"
    chips = [shell.chip(f"{counts[kind]:,} {LOOKS[kind][0]}", LOOKS[kind][1]) for kind in LOOKS if counts[kind]]
    trials = sum(day.n_trials or 0 for day in days)
    number = html.Span(f"{counts[progress.TRAINED]:,} of {len(days):,}", className="nj-daily-number")
    return shell.card(
        html.Div([number, html.Span(f"mice trained, {trials:,} trials", className="nj-hint")]),
        html.Div(chips, className="nj-daily-facts"),
        title=heading,
    )


def _trained(mice: Sequence[queries.Mouse]) -> str:
    return f"{sum(mouse.today.kind == progress.TRAINED for mouse in mice):,} of {len(mice):,}"


def _mice(n: int) -> str:
    return f"{n:,} mouse" if n == 1 else f"{n:,} mice"


def _day(date: datetime.date) -> str:
    return f"{date:%a} {date.day} {date:%b}"
