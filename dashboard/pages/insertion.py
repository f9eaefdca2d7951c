"""One probe insertion: what spiked where and when, its units by depth, the local field, metrics with the criteria."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dash
import numpy as np
from dash import Input, Output, State, html

from dashboard import links
from dashboard.components import shell
from dashboard.figures import insertion as figures
from dashboard.figures import track
from dashboard.pages import _insertion_units
from dashboard.pages._stores import clicked
from dashboard.queries import insertion as queries
from dashboard.site import Component, NotFound, Page, Site, Viewer
from pipeline.queries import search
from pipeline.web.versioned_cache import Kept

PAGE = Page("insertion", "Insertion", order=200)

_STATES = {
    "online": (
        "The units of this sorting are not computed yet.",
        "The workers are on it: this page updates by itself.",
    ),
    "refused": ("The files of this sorting are in quarantine.", "The page of the session says why."),
    "missing": ("The files of this sorting are gone.", "Bring them back, then run neurojoint ingest."),
}
"""State of a clustering without units -> what it means, and what to do."""

_kept = Kept(16)


def layout(
    site: Site, viewer: Viewer, *, query: Mapping[str, str], lab: str, subject: str, date: str, number: str, probe: str
) -> Component:
    """The page, kept until something new is in the tables."""
    name = (id(site), viewer.public, lab, subject, date, number, probe, *sorted(query.items()))
    return _kept.get(name, site.live.version(), lambda: _page(site, viewer, query, lab, subject, date, number, probe))


def _page(
    site: Site, viewer: Viewer, query: Mapping[str, str], lab: str, subject: str, date: str, number: str, probe: str
) -> Component:
    key = {"lab": lab, "subject": site.subject(lab, subject, viewer), "probe_label": probe}
    key |= links.session_key({"date": date, "number": number})
    criteria = site.read(queries.all_criteria)
    chosen = query.get("criteria", "")
    chosen = chosen if chosen in criteria else search.DEFAULT_CRITERIA
    insertion = site.read(queries.insertion, key, query.get("clustering", ""), chosen)
    if insertion is None:
        raise NotFound(f"There is no probe called {probe} in this session of {subject}.")
    events = site.read(queries.events)
    event = query.get("event", "")
    shanks = queries.shanks(insertion)
    shank = _shank(query, shanks)
    made = site.read(queries.pictures, insertion, event if event in events else events[0], shank)
    place: tuple[str, str, Any, Any] = (lab, subject, key["session_date"], key["session_number"])
    controls = html.Div(
        [
            shell.select(
                "insertion-clustering",
                "Sorting",
                [row["clustering"] for row in insertion.clusterings],
                insertion.clustering and insertion.clustering["clustering"],
                clearable=False,
                w=190,
            ),
            shell.select("insertion-criteria", "Good units", criteria, chosen, clearable=False, w=110),
            shell.select(
                "insertion-event",
                "Aligned to",
                [{"value": item, "label": item.replace("_", " ")} for item in events],
                made.event,
                clearable=False,
                w=150,
            ),
            shell.select(
                "insertion-value",
                "Drift map of",
                [{"value": "rate", "label": "rate"}, {"value": "amp", "label": "amplitude"}],
                _value(query),
                clearable=False,
                w=120,
            ),
            html.Div(
                shell.select(
                    "insertion-shank",
                    "Shank",
                    [{"value": str(item), "label": str(item)} for item in shanks],
                    None if shank is None else str(shank),
                    clearable=False,
                    w=90,
                ),
                hidden=shank is None,
            ),
        ],
        className="nj-actions",
    )
    day: Any = key["session_date"]
    return shell.page(
        f"{subject} · {shell.date(day)} · {probe}",
        shell.card(_facts(insertion)),
        controls,
        *_body(insertion, made, place, query, chosen),
        subtitle=_subtitle(insertion, place),
        actions=[
            _neighbours(insertion, place),
            shell.button_link("Cells", _cells(insertion, place, chosen), icon_name="probe")
            if insertion.clusters
            else None,
        ],
    )


def register(app: dash.Dash, site: Site) -> None:
    """The callbacks: choices go into the address, a click on a unit opens it."""

    @app.callback(
        Output("url", "search", allow_duplicate=True),
        Input("insertion-clustering", "value"),
        Input("insertion-criteria", "value"),
        Input("insertion-event", "value"),
        Input("insertion-value", "value"),
        Input("insertion-shank", "value"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def choose(clustering: str, criteria: str, event: str, value: str, shank: str | None, search: str | None) -> Any:
        if len(dash.ctx.triggered) > 1:  # the controls were only made
            return dash.no_update
        chosen = {"clustering": clustering, "criteria": criteria, "event": event, "value": value, "shank": shank}
        name = str(dash.ctx.triggered_id).removeprefix("insertion-")
        wanted = links.to("overview", **(links.query_of(search or "") | {name: chosen[name]})).partition("?")[2]
        return dash.no_update if wanted == (search or "").removeprefix("?") else f"?{wanted}"

    @app.callback(
        Output("url", "href", allow_duplicate=True),
        Input({"type": "figure", "name": "insertion-units", "axis": ""}, "clickData"),
        State("url", "pathname"),
        State("insertion-clustering", "value"),
        State("insertion-criteria", "value"),
        prevent_initial_call=True,
    )
    def open_unit(click: dict | None, path: str | None, clustering: str, criteria: str) -> Any:
        unit = clicked(click)
        if unit is None:
            return dash.no_update
        parts: list[Any] = list(links.parse(path or "").parts.values())
        return links.cells(*parts, unit=unit, clustering=clustering, criteria=criteria)


def _body(
    insertion: queries.Insertion,
    made: queries.Pictures,
    place: tuple[str, str, Any, Any],
    query: Mapping[str, str],
    criteria: str,
) -> list[Component]:
    parts: list[Component] = []
    shank = _shank(query, queries.shanks(insertion))
    channels = queries.of_shank(insertion.channels, "channel_shank", shank)
    if insertion.clustering is None:
        parts.append(
            shell.sentence("There are no sorted spikes of this probe.", "They are found below alf/ when they arrive.")
        )
    elif insertion.clusters is None:
        words, hint = _STATES.get(insertion.clustering["clustering_state"], _STATES["online"])
        parts.append(shell.sentence(words, hint, shell.link("To the session", links.session(*place))))
    else:
        marks = [
            (at, name)
            for at, name in zip(insertion.trials, ("first trial", "last trial"), strict=True)
            if at is not None
        ]
        nothing = np.empty(0)
        drift = figures.drift_map(
            made.drift.get("times", nothing),
            made.drift.get("depths", nothing),
            made.drift.get("rates", nothing),
            made.drift.get("amps"),
            value=_value(query),
            marks=marks,
        )
        units = figures.units_by_depth(queries.of_shank(insertion.units, "cluster_shank", shank))
        parts.append(
            shell.columns(
                shell.figure("insertion-drift", track.with_regions(drift, channels),
                             "Drift map" if shank is None else f"Drift map of shank {shank}",
                             "what spiked at which depth, over the session"),
                shell.figure("insertion-units", track.with_regions(units, channels),
                             "Units" if shank is None else f"Units of shank {shank}",
                             "filled: pass the criteria; click on one to open it"),
                least=460,
            )
        )  # fmt: skip
    signals = _signals(made, channels)
    if made.depth_peth:
        response = figures.depth_peth(
            made.depth_peth["times"], made.depth_peth["depths"], made.depth_peth["change"],
            event=made.event.replace("_", " "),
        )  # fmt: skip
        on = "" if made.depth_peth_shank is None else f" on shank {made.depth_peth_shank}"
        title = f"Activity around {made.event.replace('_', ' ')}{on}"
        signals.insert(0, shell.figure("insertion-response", track.with_regions(response, channels), title))
    if signals:
        parts.append(shell.columns(*signals, least=330))
    if made.missing:
        parts.append(shell.sentence("Some results are missing.", f"{'; '.join(made.missing)}."))
    if made.notes:
        parts.append(shell.sentence("Some values were repaired or are doubtful.", f"{'; '.join(made.notes)}."))
    if insertion.clusters is not None:
        parts.append(_insertion_units.metrics_of(insertion))
        parts += _insertion_units.comparisons(insertion)
        parts.append(_insertion_units.table(insertion, place, criteria))
    return parts


def _signals(made: queries.Pictures, channels: Mapping[str, np.ndarray]) -> list[Component]:
    parts = []
    if (field := made.signals.get("lf")) is not None and field["power"].size:
        power = figures.spectrum(field["frequencies"], field["power"], field["axial"])
        beside = channels if field["axial"] is not None else {}
        parts.append(shell.figure("insertion-spectrum", track.with_regions(power, beside), "Local field"))
    if made.signals:
        strength = figures.rms({band: (one["rms"], one["axial"]) for band, one in made.signals.items()})
        beside = channels if all(signal["axial"] is not None for signal in made.signals.values()) else {}
        parts.append(shell.figure("insertion-rms", track.with_regions(strength, beside), "Strength of the signal"))
    return parts


def _facts(insertion: queries.Insertion) -> Component:
    pairs: list[tuple[str, Component]] = []
    if insertion.clusters is not None:
        selected = insertion.units["selected"]
        pairs += [("Units", f"{insertion.clusters['n_clusters']:,}")]
        if np.isfinite(selected).any():
            pairs += [("Pass the criteria", f"{int(np.nansum(selected)):,}")]
        pairs += [("Spikes", f"{insertion.clusters['n_spikes']:,}")]
        pairs += _insertion_units.kinds(insertion)
        first, last = insertion.clusters["first_spike"], insertion.clusters["last_spike"]
        if first is not None:
            pairs += [("Recorded", f"{(last - first) / 60:.0f} min")]
    pairs += [("Probe", " ".join(filter(None, (insertion.row.get("probe_model"), insertion.row.get("probe_serial"))))),
              ("QC", insertion.row["insertion_qc"].replace("_", " ").lower())]  # fmt: skip
    if insertion.trajectories:
        best = insertion.trajectories[0]
        at = f"ML {best['entry_ml']:.0f}, AP {best['entry_ap']:.0f}, DV {best['entry_dv']:.0f} um"
        pairs += [("Enters at", at), ("Depth", f"{best['insertion_depth']:.0f} um"),
                  ("Angles", f"theta {best['theta']:.0f}°, phi {best['phi']:.0f}°"),
                  ("Known from", best["provenance"].replace("_", " "))]  # fmt: skip
    return shell.facts(pairs)


def _subtitle(insertion: queries.Insertion, place: tuple[str, str, Any, Any]) -> list[Component]:
    acronyms = insertion.channels.get("acronym", np.empty(0, dtype=object))
    named = list(dict.fromkeys(acronym for acronym in acronyms[::-1] if acronym))
    crumbs: list[Component] = [
        shell.link("Mouse", links.mouse(*place[:2])),
        shell.link("Session", links.session(*place)),
    ]
    return [*crumbs, *(shell.link(item, links.region(item)) for item in named)]


def _neighbours(insertion: queries.Insertion, place: tuple[str, str, Any, Any]) -> Component:
    at = insertion.siblings.index(insertion.row["probe_label"])
    before = insertion.siblings[at - 1] if at else None
    after = insertion.siblings[at + 1] if at + 1 < len(insertion.siblings) else None
    if before is None and after is None:
        return None
    pairs = [(item, links.insertion(*place, item)) if item else None for item in (before, after)]
    return shell.neighbours(pairs, "probe")


def _cells(insertion: queries.Insertion, place: tuple[str, str, Any, Any], criteria: str) -> str:
    clustering = insertion.clustering["clustering"] if insertion.clustering else ""
    return links.cells(*place, insertion.row["probe_label"], clustering=clustering, criteria=criteria)


def _shank(query: Mapping[str, str], shanks: list[int]) -> int | None:
    """The shank that is shown: the one asked for, else the first; None where there are not several."""
    if len(shanks) < 2:
        return None
    asked = query.get("shank", "")
    return int(asked) if asked.isdecimal() and int(asked) in shanks else shanks[0]


def _value(query: Mapping[str, str]) -> str:
    return "amp" if query.get("value") == "amp" else "rate"
