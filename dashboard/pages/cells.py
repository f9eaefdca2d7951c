"""The cells of one insertion, one at a time; the arrow keys go from one to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dash
import dash_mantine_components as dmc
import numpy as np
from dash import Input, Output, State, html

from dashboard import links
from dashboard.components import shell
from dashboard.figures import cells as figures
from dashboard.figures import insertion as along
from dashboard.figures import responses, track
from dashboard.pages import _cell_details as details
from dashboard.pages._stores import clicked
from dashboard.queries import cells as queries
from dashboard.queries import insertion as insertions
from dashboard.site import Component, NotFound, Page, Site, Viewer
from pipeline.errors import UserError
from pipeline.queries import search
from pipeline.web.error_words import words_for

PAGE = Page("cells", "Cells", order=210)

WHICH = {"": "all units", "good": "that pass"}
SORTS = {"": "number", "depth": "depth", "rate": "firing rate", "amp": "amplitude"}
_COLUMN = {"": "cluster_id", "depth": "cluster_depth", "rate": "cluster_firing_rate", "amp": "cluster_amp"}


def layout(
    site: Site, viewer: Viewer, *, query: Mapping[str, str], lab: str, subject: str, date: str, number: str, probe: str
) -> Component:
    """The page."""
    key = {"lab": lab, "subject": site.subject(lab, subject, viewer), "probe_label": probe}
    key |= links.session_key({"date": date, "number": number})
    place: tuple[Any, ...] = (lab, subject, key["session_date"], key["session_number"], probe)
    criteria = site.read(insertions.all_criteria)
    chosen = {
        "clustering": query.get("clustering", ""),
        "criteria": _known(query.get("criteria"), criteria, search.DEFAULT_CRITERIA),
        "which": _known(query.get("which"), WHICH, ""),
        "sort": _known(query.get("sort"), SORTS, ""),
        "split": _known(query.get("split"), queries.SPLITS, ""),
        "condition": query.get("condition", "").strip(),
    }
    conditions, periods = site.read(queries.choices)
    chosen["period"] = _known(query.get("period"), periods, "")
    insertion = site.read(insertions.insertion, key, chosen["clustering"], chosen["criteria"])
    if insertion is None:
        raise NotFound(f"There is no probe called {probe} in this session of {subject}.")
    day: Any = key["session_date"]
    title = f"{subject} · {shell.date(day)} · {probe}"
    back = shell.link("To the insertion", links.insertion(*place))
    if insertion.clusters is None or insertion.clustering is None or not len(insertion.units["cluster_id"]):
        return shell.page(title, shell.sentence("There are no units of this probe to look at yet.", link=back))
    ordered = _ordered(insertion.units, chosen)
    if not ordered:
        return shell.page(title, shell.sentence(f"No unit passes the criteria {chosen['criteria']}.", link=back))
    one = _asked(query.get("unit", ""), insertion.units, ordered)
    events = site.read(insertions.events)
    chosen["event"] = _known(query.get("event"), events, events[0])
    listed = site.read(queries.list_signals, insertion)
    chosen["signal"] = _known(query.get("signal"), listed, "")
    asked = (chosen["event"], chosen["split"], chosen["condition"], chosen["period"], chosen["signal"])
    unit = site.read(queries.unit, insertion, one, *asked)
    return shell.page(
        f"Unit {one}",
        details.facts(insertion, one, unit),
        _controls(insertion, chosen, events, criteria),
        _trials(chosen, conditions, periods, listed),
        *(
            _figures(viewer, insertion, one, unit, chosen)
            if unit.choice_problem is None
            else [_no_choice(viewer, unit)]
        ),
        _raw(site, viewer, insertion, one, unit, chosen, place, query.get("at", "")),
        subtitle=[
            shell.link(title, links.insertion(*place, clustering=chosen["clustering"])),
            html.Span(insertion.clustering["clustering"]),
            _rank(ordered, one),
        ],
        actions=_neighbours(ordered, one, place, chosen),
    )


def register(app: dash.Dash, site: Site) -> None:
    """The callbacks: choices go into the address, a click on a unit goes to it."""

    @app.callback(
        Output("url", "search", allow_duplicate=True),
        Input("cells-which", "value"),
        Input("cells-sort", "value"),
        Input("cells-event", "value"),
        Input("cells-split", "value"),
        Input("cells-criteria", "value"),
        Input("cells-unit", "value"),
        Input("cells-condition", "value"),
        Input("cells-period", "value"),
        Input("cells-signal", "value"),
        Input({"type": "figure", "name": "cells-units", "axis": ""}, "clickData"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def choose(
        which: str, sort: str, event: str, split: str, criteria: str, unit: str, condition: str, period: str,
        signal: str, click: dict | None, search: str | None,
    ) -> Any:  # fmt: skip
        before = links.query_of(search or "")
        cause = dash.ctx.triggered_id
        if len(dash.ctx.triggered) > 1 or (cause == "cells-unit" and not unit):  # the controls were only made
            return dash.no_update
        if isinstance(cause, dict):
            number = clicked(click)
            if number is None:
                return dash.no_update
            after: dict[str, Any] = {**before, "unit": number}
        else:
            chosen = {"which": which, "sort": sort, "event": event, "split": split, "criteria": criteria, "unit": unit}
            chosen |= {"condition": condition, "period": period, "signal": signal}
            name = str(cause).removeprefix("cells-")
            after = {**before, name: chosen.get(name) or ""}
        wanted = links.to("overview", **after).partition("?")[2]
        return dash.no_update if wanted == (search or "").removeprefix("?") else f"?{wanted}"


def _figures(
    viewer: Viewer, insertion: insertions.Insertion, one: int, unit: queries.Unit, chosen: Mapping[str, str]
) -> list[Component]:
    event, row = chosen["event"].replace("_", " "), details.row_of(insertion.units, one)
    contamination = (
        float(insertion.units["isi_violations_hill"][row]) if "isi_violations_hill" in insertion.units else None
    )
    on = float(insertion.units["cluster_shank"][row]) if len(insertions.shanks(insertion)) > 1 else float("nan")
    shank = None if np.isnan(on) else int(on)
    same = insertions.of_shank(insertion.units, "cluster_shank", shank)
    beside = insertions.of_shank(insertion.channels, "channel_shank", shank)
    units = track.with_regions(along.units_by_depth(same, chosen=one, height=340), beside)
    shape = figures.waveform(
        unit.waveform.get("template", np.empty((0, 0))),
        unit.waveform.get("lateral", np.empty(0)),
        unit.waveform.get("axial", np.empty(0)),
        channels=unit.waveform.get("channels"),
    )
    correlogram = figures.autocorrelogram(
        unit.acg.get("lags", np.empty(0)), unit.acg.get("counts", np.empty(0)), contamination=contamination, height=340
    )
    rate = responses.peth(
        unit.peth.get("times", np.empty(0)), unit.peth.get("mean", np.empty(0)), unit.peth.get("sem"),
        unit.peth.get("conditions"), event=event,
    )  # fmt: skip
    parts: list[Component] = [
        shell.columns(
            shell.figure(
                "cells-units",
                units,
                "Units" if shank is None else f"Units of shank {shank}",
                "click on one to go there",
            ),
            shell.figure("cells-waveform", shape, "Waveform", "blue: the largest"),
            shell.figure("cells-correlogram", correlogram, "Autocorrelogram"),
            least=330,
        )
    ]
    if unit.problem:
        why = str(words_for(unit.problem, viewer.role, "the spikes of a unit"))
        parts.append(shell.sentence("The spikes of this unit are not on this computer.", why))
        return [*parts, shell.figure("cells-rate", rate, f"Rate around {event}", details.response_words(unit))]
    spikes = unit.raster or {
        "trials": np.empty(0),
        "times": np.empty(0),
        "groups": (),
        "marks": {},
        "window": (-0.5, 1),
    }
    raster = responses.raster(
        spikes["trials"],
        spikes["times"],
        spikes["groups"],
        window=spikes["window"],
        marks=spikes["marks"],
        event=event,
        height=640,
    )
    clusters = insertion.clusters or {}
    first, last = clusters["first_spike"] or 0.0, clusters["last_spike"] or 1.0
    span = (min(0.0, first), last)
    times = np.empty(0) if unit.times is None else unit.times
    amps = np.full(len(times), np.nan) if unit.amps is None else unit.amps
    size = figures.amplitudes(times, amps, span=span)
    pace = figures.rate_over_time(times, span=span, width=max(5.0, (span[1] - span[0]) / 150), height=220)
    axis_event, axis_time = "event", "time"
    parts.append(
        shell.columns(
            html.Div(
                [
                    shell.figure(
                        "cells-rate", rate, f"Rate around {event}", details.response_words(unit), axis=axis_event
                    ),
                    shell.figure(
                        "cells-raster",
                        raster,
                        f"Spikes around {event}",
                        "a row a trial, by time of response" + (f"; {chosen['condition']}" * bool(chosen["condition"])),
                        axis=axis_event,
                    ),
                    *_signal(viewer, unit, chosen, event, axis_event),
                ],
                style=_STACK,
            ),
            html.Div(
                [
                    shell.figure(
                        "cells-amplitudes", size, "Amplitudes", "a gap: the unit was not seen", axis=axis_time
                    ),
                    shell.figure("cells-pace", pace, "Rate over the session", axis=axis_time),
                    *details.comparisons(insertion.kinds, one),
                    details.table_of_metrics(insertion, row),
                ],
                style=_STACK,
            ),
            least=420,
        )
    )
    return parts


def _signal(viewer: Viewer, unit: queries.Unit, chosen: Mapping[str, str], event: str, axis: str) -> list[Component]:
    """The signal in the trials of the raster, in the same rows."""
    if unit.signal_problem is not None:
        words = words_for(unit.signal_problem, viewer.role, "a signal of the session")
        return [shell.sentence(f"{chosen['signal']} cannot be shown. {words.text}", words.hint)]
    if not unit.signal:
        return []
    picture = responses.signal_raster(
        unit.signal["times"], unit.signal["values"], unit.raster["groups"], name=chosen["signal"], event=event
    )
    hint = "the rows of the spikes; a gap: not known there"
    return [shell.figure("cells-signal", picture, f"{chosen['signal']} around {event}", hint, axis=axis)]


def _raw(
    site: Site, viewer: Viewer, insertion: insertions.Insertion, one: int, unit: queries.Unit,
    chosen: Mapping[str, str], place: tuple, at: str,
) -> Component:  # fmt: skip
    """The raw samples at a time that the address names; without one a link to those around a spike."""
    if unit.times is None or not len(unit.times):
        return None

    def link(words: str, time: float | None) -> Component:
        address = links.cells(*place, **dict(chosen, unit=str(one), at=f"{time:.4f}")) if time is not None else ""
        return shell.link(words, address) if address else html.Span(words, className="nj-hint")

    moment = _time(at)
    if moment is None:
        middle = float(unit.times[len(unit.times) // 2])
        hint = "They are read from the recording of the probe, where that is on this computer."
        return shell.section("Raw samples", shell.sentence(hint, link=link("Show them around a spike", middle)))
    steps: list[Component] = []
    for words, times in (("spike", unit.times), (chosen["event"].replace("_", " "), unit.events)):
        before, after = (int(np.searchsorted(times, moment + shift)) for shift in (-5e-4, 5e-4))
        steps += [
            link(f"previous {words}", float(times[before - 1]) if before > 0 else None),
            link(f"next {words}", float(times[after]) if after < len(times) else None),
        ]
    raw = site.read(queries.raw_samples, insertion, unit, moment)
    if raw.problem:
        why = str(words_for(raw.problem, viewer.role, "the raw samples of a probe"))
        return shell.section("Raw samples", shell.sentence("The raw samples cannot be shown.", why))
    picture = figures.raw_samples(raw.times, raw.volts * 1e6, raw.channels, raw.spikes, at=moment)
    title = f"Raw samples at {moment:,.4f} s"
    return shell.section(
        "Raw samples",
        html.Div(steps, className="nj-actions"),
        shell.figure("cells-raw", picture, title, "the channels of the waveform; lines: spikes of this unit"),
    )


def _time(text: str) -> float | None:
    """Seconds of the session that the address names."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if np.isfinite(seconds) and abs(seconds) < 1e7 else None


_STACK = {"display": "flex", "flexDirection": "column", "gap": 12, "minWidth": 0}


def _controls(
    insertion: insertions.Insertion, chosen: Mapping[str, str], events: list[str], criteria: list[str]
) -> Component:
    def options(values: Mapping[str, str]) -> list[dict[str, str]]:
        return [{"value": name, "label": label} for name, label in values.items()]

    numbers, names = insertion.units["cluster_id"].tolist(), insertion.units["unit_name"].tolist()
    ids = [
        {"value": str(number), "label": f"{number} {name}" if name else str(number)}
        for number, name in zip(numbers, names, strict=True)
    ]
    splits = {"": "nothing"} | {name: name for name in queries.SPLITS}
    return html.Div(
        [
            shell.select("cells-unit", "Go to", ids, None, placeholder="number", w=110),
            shell.select("cells-which", "Units", options(WHICH), chosen["which"], clearable=False, w=120),
            shell.select("cells-criteria", "Criteria", criteria, chosen["criteria"], clearable=False, w=100),
            shell.select("cells-sort", "In order of", options(SORTS), chosen["sort"], clearable=False, w=130),
            shell.select("cells-event", "Aligned to", options({event: event.replace("_", " ") for event in events}),
                         chosen["event"], clearable=False, w=150),
            shell.select("cells-split", "Trials by", options(splits), chosen["split"], clearable=False, w=120),
        ],
        className="nj-actions",
    )  # fmt: skip


def _trials(chosen: Mapping[str, str], conditions: list[str], periods: list[str], signals: list[str]) -> Component:
    """Which trials are shown: a condition by name or as an expression, a period that is marked, a signal beside."""
    where = dmc.Autocomplete(
        id="cells-condition", label="Trials where", value=chosen["condition"], data=conditions, debounce=True,
        placeholder="all, or e.g. choice == -1", clearable=True, size="xs", w=330,
    )  # fmt: skip
    return html.Div(
        [
            where,
            shell.select("cells-period", "Mark the period", periods, chosen["period"] or None, w=160,
                         placeholder="none" if periods else "there is none yet"),
            shell.select("cells-signal", "Beside the spikes", signals, chosen["signal"] or None, w=230,
                         placeholder="no signal" if signals else "the session has no signal"),
        ],
        className="nj-actions",
    )  # fmt: skip


def _no_choice(viewer: Viewer, unit: queries.Unit) -> Component:
    words = words_for(unit.choice_problem or UserError(""), viewer.role, "trials of a condition")
    return shell.sentence(words.text, words.hint, kind="problem")


def _ordered(units: Mapping[str, np.ndarray], chosen: Mapping[str, str]) -> list[int]:
    """The units that are gone through, in order."""
    taken = units["selected"] == 1 if chosen["which"] == "good" else np.ones(len(units["cluster_id"]), dtype=bool)
    values = np.asarray(units[_COLUMN[chosen["sort"]]], dtype=float)
    down = chosen["sort"] in ("rate", "amp")
    order = np.lexsort((units["cluster_id"], np.where(np.isnan(values), np.inf, -values if down else values)))
    return [int(units["cluster_id"][place]) for place in order if taken[place]]


def _asked(text: str, units: Mapping[str, np.ndarray], ordered: list[int]) -> int:
    """The unit that the address names; the first where it names none."""
    if not text:
        return ordered[0]
    named = np.flatnonzero(units["unit_name"] == text)
    if len(named) == 1:
        return int(units["cluster_id"][named[0]])
    if not text.isdecimal() or int(text) not in set(units["cluster_id"].tolist()):
        raise NotFound(f"There is no unit {text[:20]} in this sorting.")
    return int(text)


def _neighbours(ordered: list[int], one: int, place: tuple[Any, ...], chosen: Mapping[str, str]) -> Component:
    at = ordered.index(one) if one in ordered else -1
    before = ordered[at - 1] if at > 0 else None
    after = ordered[at + 1] if at + 1 < len(ordered) else None
    pairs = [
        None if unit is None else (f"unit {unit}", links.cells(*place, **dict(chosen, unit=str(unit))))
        for unit in (before, after)
    ]
    return shell.neighbours(pairs, "unit")


def _rank(ordered: list[int], one: int) -> Component:
    words = (
        f"{ordered.index(one) + 1:,} of {len(ordered):,}" if one in ordered else f"not among the {len(ordered):,} shown"
    )
    return html.Span(words)


def _known(text: str | None, values: Any, default: str) -> str:
    return text if text is not None and text in values else default
