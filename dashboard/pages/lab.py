"""Groups of mice compared: how they learn, after how many days they are trained, and how their values are spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import dash
import dash_mantine_components as dmc
import numpy as np
from dash import Input, Output, html

from dashboard import links
from dashboard.components import choices, shell
from dashboard.components.icons import icon
from dashboard.figures import lab as figures
from dashboard.figures import style
from dashboard.queries import lab as queries
from dashboard.site import Component, Page, Site, Viewer
from pipeline.analysis.survival import kaplan_meier, log_rank
from pipeline.web.versioned_cache import Kept

PAGE = Page("lab", "Groups", order=30, in_menu=True, icon="group", refresh=False)

DEFAULTS = {
    "by": "lab", "measure": "day_performance_easy", "criteria": queries.USUAL, "status": "trained_1a", "only": "",
    "each": "1",
}  # fmt: skip
"""Names in the address and what they are where it does not say."""
SPREAD = (
    "day_performance_easy", "day_trials", "day_minutes", "day_response_time", "days", *queries.PARAMETERS,
)  # fmt: skip
"""The values whose distributions are shown."""
LAST_DAYS = 5
"""Of how many last training days the distributions show the mean."""

_kept, _views = Kept(4), Kept(32)


def layout(site: Site, viewer: Viewer, *, query: Mapping[str, str]) -> Component:
    """The page."""
    mice = _mice(site, site.barred(viewer))
    if not mice.n:
        hint = "They come with the first session whose trials were read: neurojoint ingest, then neurojoint work."
        return shell.page("Groups of mice", shell.sentence("No mouse has a day of training yet.", hint))
    view = _view(site, viewer, choices.read(query, DEFAULTS))
    made = view.figures
    spread = [shell.figure(f"spread-{value}", made[f"spread-{value}"], figures.VALUES[value].label) for value in SPREAD]
    return shell.page(
        "Groups of mice",
        _controls(view),
        html.Div(view.problem, id="lab-problem", style={"display": "contents"}),
        shell.figure("learning", made["learning"], "Learning curves",
                     "mean and 95 % interval of the mean; faint: each mouse; below: how many mice trained that long"),
        shell.columns(
            shell.figure("survival", made["survival"], "Days to the status",
                         "Kaplan-Meier with 95 % interval; ticks: mice that are not there yet"),
            html.Div(view.summary, id="lab-summary", className="nj-card"),
            least=460,
        ),
        shell.section(
            "Distributions",
            shell.columns(*spread, least=320),
            hint=f"each point a mouse: mean of its last {LAST_DAYS} training days; fit of its last sessions",
        ),
        shell.section("Mice", view.table, hint="click a heading to sort"),
        *choices.stores("lab", view.chosen, DEFAULTS),
        subtitle=html.Span(view.words, id="lab-words"),
        actions=html.Button([icon("link"), "Copy link"], className="nj-button", type="button", **{"data-copy": "1"}),
    )  # fmt: skip


def register(app: dash.Dash, site: Site) -> None:
    """What is chosen, and everything that follows from it."""
    choices.register(app, "lab")
    names = ["learning", "survival", *(f"spread-{value}" for value in SPREAD)]

    @app.callback(
        *[Output(shell.figure_data(name), "data") for name in names],
        Output("lab-summary", "children"),
        Output("lab-words", "children"),
        Output("lab-problem", "children"),
        Output("lab-mice", "rowData"),
        Output(choices.control("lab", "status"), "data"),
        Input(choices.store("lab"), "data"),
        Input("version", "data"),
        prevent_initial_call=True,
    )
    def renew(chosen: Mapping[str, str] | None, version: str) -> tuple:
        view = _view(site, site.viewer, choices.read(chosen or {}, DEFAULTS))
        return (
            *(view.figures[name] for name in names),
            view.summary,
            view.words,
            view.problem,
            view.rows,
            view.statuses(),
        )


def _view(site: Site, viewer: Viewer, chosen: Mapping[str, str]) -> View:
    """What was chosen, made again when data have arrived."""
    name = (id(site), viewer.public, *chosen.items())
    barred = site.barred(viewer)
    return _views.get((*name, barred), site.live.version(), lambda: View(site, viewer, _mice(site, barred), chosen))


def _mice(site: Site, barred: frozenset[tuple[str, str]]) -> queries.Mice:
    name = id(site), barred
    return _kept.get(name, site.live.version(), lambda: queries.without(site.read(queries.mice), barred))


class View:
    """What one viewer has chosen, and what follows from it.

    Parameters
    ----------
    chosen : as `DEFAULTS`; what does not exist is said in `problem` and left out.
    """

    def __init__(self, site: Site, viewer: Viewer, all_mice: queries.Mice, chosen: Mapping[str, str]) -> None:
        self.site, self.viewer, self.all_mice, self.chosen = site, viewer, all_mice, dict(chosen)
        self.groupings = all_mice.groupings(viewer.public)
        self._wrong: list[str] = []
        self._settle("criteria", list(all_mice.statuses), "rule set")
        self._settle("status", list(all_mice.statuses.get(self.chosen["criteria"], ())), "status of these rules")
        self._settle("measure", list(figures.MEASURES), "measure")
        only_all = self.chosen["by"] == "all" or (self.chosen["by"] == DEFAULTS["by"] and "lab" not in self.groupings)
        self.by = "" if only_all else self._settle("by", list(self.groupings), "property to group by")
        if only_all:
            self.chosen["by"] = "all"
        self.mice = queries.choose(all_mice, self.by, self._only())
        self.names = self.mice.names
        self.status_name = style.status(self.chosen["status"]).label
        self._until = queries.status_rows(all_mice, self.mice, self.chosen["criteria"], self.chosen["status"])
        self._values = queries.mouse_rows(all_mice, self.mice, self.chosen["criteria"], LAST_DAYS)
        self._values["days"] = np.where(self._until["reached"], self._until["days"], np.nan)
        pairs = zip(self._until["lab"], self._until["subject"], strict=True)
        self._called = {pair: site.name(*pair, viewer) for pair in pairs} if viewer.public else {}
        for rows in (self._until, self._values):
            rows["subject"] = self._name(rows)

    @cached_property
    def figures(self) -> dict[str, dict[str, Any]]:
        """Name -> figure as the browser takes it."""
        days = queries.day_rows(self.all_mice, self.mice, self.chosen["measure"])
        days["subject"] = self._name(days)
        made = {
            "learning": figures.learning_curves(
                days, self.chosen["measure"], groups=self.names, each=self.chosen["each"] != "0"
            ),
            "survival": figures.survival(self._until, self.status_name, groups=self.names),
        }
        for value in SPREAD:
            made[f"spread-{value}"] = figures.distribution(self._values, value, groups=self.names)
        return {name: shell.drawn(fig, name) for name, fig in made.items()}

    @cached_property
    def words(self) -> str:
        """How many mice are compared."""
        n, of = self.mice.rows.size, self.all_mice.n
        count = f"{n:,} mice" if n == of else f"{n:,} of {of:,} mice"
        days = int(self.all_mice.n_training_days[self.mice.rows].sum())
        by = f", by {self.groupings[self.by].lower()}" if self.by else ""
        return f"{count} with {days:,} training days{by}"

    @cached_property
    def problem(self) -> Component:
        """What was asked for and does not exist; nothing otherwise."""
        if not self.mice.rows.size:
            back = shell.link("All mice", links.lab())
            return shell.sentence("No mouse is like that.", "Fewer filters let more mice through.", back)
        if self._wrong:
            return shell.sentence(" ".join(self._wrong), "The rest of the page is shown.", kind="problem")
        return None

    @cached_property
    def summary(self) -> Component:
        """The groups as a table, and whether their times to the status differ."""
        rows, sets = [], []
        for number, name in enumerate(self.names):
            own = self._until["group"] == name
            days, reached = self._until["days"][own], self._until["reached"][own]
            sets.append((days, reached))
            half = kaplan_meier(days, reached).median
            last = self._values[DEFAULTS["measure"]][own]
            rows.append([
                html.Span([_swatch(number), name]), f"{own.sum():,}", f"{reached.sum():,}",
                shell.number(half), shell.percent(_mean(last)), shell.number(_mean(self._values["day_trials"][own])),
            ])  # fmt: skip
        test = log_rank(sets)
        heads = ["Group", "Mice", f"{self.status_name.capitalize()}", "Half by day", "Easy trials", "Trials a day"]
        hint = "Half by day: the training day by which half of the group had the status (Kaplan-Meier)."
        if np.isfinite(test.p_value):
            hint += f" Log-rank test that all groups have one curve: p = {test.p_value:.2g}."
        return [
            html.Div(html.H3("Groups"), className="nj-card-head"),
            shell.table(heads, rows, numbers=range(1, 6)),
            html.P(hint, className="nj-hint", style={"marginTop": 8}),
        ]

    @cached_property
    def table(self) -> Component:
        """The mice, with links."""

        def number(field: str, name: str, digits: int, tip: str = "") -> dict[str, Any]:
            form = {"function": f"params.value == null ? '' : d3.format(',.{digits}f')(params.value)"}
            return {"field": field, "headerName": name, "type": "rightAligned", "width": 124, "valueFormatter": form,
                    "headerTooltip": tip or None}  # fmt: skip

        columns = [
            {"field": "subject", "headerName": "Mouse", "cellRenderer": "Link", "width": 150, "pinned": "left"},
            {"field": "group", "headerName": "Group", "minWidth": 140, "flex": 1},
            {"field": "lab", "headerName": "Lab", "minWidth": 110, "flex": 1},
            number("training_days", "Training days", 0),
            number("days", "Days to status", 0, "Training days until the chosen status; empty: not yet"),
            number("day_performance_easy", "Easy %", 1, f"Correct on easy trials, last {LAST_DAYS} training days"),
            number("day_trials", "Trials a day", 0, f"Last {LAST_DAYS} training days"),
            number("window_bias", "Bias %", 1),
            number("window_threshold", "Threshold %", 1),
            number("window_lapse_low", "Lapse low", 2),
            number("window_lapse_high", "Lapse high", 2),
        ]
        options = {"domLayout": "normal"}
        return shell.grid("lab-mice", columns, self.rows, dashGridOptions=options,
                          style={"height": min(520, 50 + 30 * max(3, self.mice.rows.size))})  # fmt: skip

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """What the table holds."""
        values = {name: column.tolist() for name, column in self._values.items()}
        training = self.all_mice.n_training_days[self.mice.rows].tolist()
        rows = []
        for i, (lab, name) in enumerate(zip(values["lab"], values["subject"], strict=True)):
            numbers = {
                field: None if values[field][i] != values[field][i] else round(values[field][i], 4)
                for field in ("days", "day_performance_easy", "day_trials", *queries.PARAMETERS)
            }
            if numbers["day_performance_easy"] is not None:
                numbers["day_performance_easy"] *= 100
            rows.append(numbers | {
                "subject": name, "subject_href": links.mouse(lab, name), "lab": lab, "group": values["group"][i],
                "training_days": training[i],
            })  # fmt: skip
        return rows

    def statuses(self) -> list[dict[str, str]]:
        """The statuses of the chosen rules, for the choice among them."""
        return [{"value": name, "label": style.status(name).label} for name in self._of_rules()]

    def filters(self) -> list[dict[str, Any]]:
        """Column by column the values that mice have, for the choice among them."""
        groups = []
        for column, label in self.groupings.items():
            texts = self.all_mice.columns[column]
            values = {part for text in set(texts) for part in (text.split(", ") if column == "project" else [text])}
            items = [{"value": f"{column}:{value}", "label": value or queries.NONE} for value in sorted(values)]
            groups.append({"group": label, "items": items})
        return groups

    def _of_rules(self) -> Sequence[str]:
        return self.all_mice.statuses.get(self.chosen["criteria"], ())

    def _settle(self, name: str, known: Sequence[str], kind: str) -> str:
        """The chosen value, or the usual one where there is no such value."""
        value = self.chosen[name]
        if value not in known:
            if value != DEFAULTS[name]:
                self._wrong.append(f"{value[:40]!r} is no {kind}.")
            self.chosen[name] = DEFAULTS[name] if DEFAULTS[name] in known else next(iter(known), "")
        return self.chosen[name]

    def _only(self) -> dict[str, set[str]]:
        """The filters: column -> values; those that no mouse can have are taken out."""
        known = {item["value"] for part in self.filters() for item in part["items"]}
        terms = [term for term in self.chosen["only"].split("|") if term]
        if wrong := [term for term in terms if term not in known]:
            self._wrong.append(f"No mouse has {', '.join(repr(term[:40]) for term in wrong[:3])}.")
        terms = [term for term in terms if term in known]
        self.chosen["only"] = "|".join(terms)
        only: dict[str, set[str]] = {}
        for term in terms:
            column, _, value = term.partition(":")
            only.setdefault(column, set()).add(value)
        return only

    def _name(self, rows: Mapping[str, np.ndarray]) -> np.ndarray:
        """The names of the mice as this viewer may know them."""
        if not self._called:
            return rows["subject"]
        names = np.empty(len(rows["subject"]), dtype=object)
        names[:] = [self._called[pair] for pair in zip(rows["lab"], rows["subject"], strict=True)]
        return names


def _controls(view: View) -> Component:
    """What can be chosen."""

    def pick(name: str, label: str, options: Sequence[Any], width: int) -> Component:
        return shell.select(
            choices.control("lab", name),
            label,
            options,
            view.chosen[name],
            w=width,
            clearable=False,
            allowDeselect=False,
        )

    groupings = [{"value": name, "label": label} for name, label in view.groupings.items()]
    measures = [{"value": name, "label": what.label} for name, what in figures.MEASURES.items()]
    return html.Div(
        [
            pick("by", "Group by", [*groupings, {"value": "all", "label": "nothing: all mice"}], 160),
            pick("measure", "Learning curve of", measures, 190),
            pick("status", "Days to", view.statuses(), 170),
            pick("criteria", "by the criteria", list(view.all_mice.statuses), 165),
            dmc.MultiSelect(
                id=choices.control("lab", "only"), label="Only mice with", data=view.filters(), size="xs",
                value=[term for term in view.chosen["only"].split("|") if term], searchable=True, clearable=True,
                placeholder="" if view.chosen["only"] else "any property", miw=220, maw=420,
                comboboxProps={"shadow": "md"}, debounce=False,
            ),
            dmc.Switch(id=choices.switch("lab", "each"), label="Each mouse", checked=view.chosen["each"] != "0",
                       size="xs", mb=7),
        ],
        className="nj-bar-of-filters",
        role="search",
    )  # fmt: skip


def _swatch(number: int) -> Component:
    look = style.nth(number)
    line = {"display": "inline-block", "width": 18, "height": 0, "borderTop": f"3px solid {look.color}",
            "verticalAlign": "middle", "marginRight": 8}  # fmt: skip
    return html.Span(style=line)


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None
