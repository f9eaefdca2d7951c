"""A brain region: what is within it, how many units were recorded there and respond, the insertions that reach it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from dash import html

from dashboard import links
from dashboard.components import shell
from dashboard.figures import region as figures
from dashboard.queries import region as queries
from dashboard.site import Component, NotFound, Page, Site, Viewer

PAGE = Page("region", "Regions", order=50, in_menu=True, parts=(queries.ROOT,), icon="brain")

OPEN_TO, SMALL = 5, 60  # levels of the tree that are open from the beginning; rows of one that is open altogether


def layout(site: Site, viewer: Viewer, *, query: Mapping[str, str], acronym: str) -> Component:
    """The page."""
    barred = site.barred(viewer)
    region = site.read(queries.region, acronym, barred=barred)
    if region is None:
        raise NotFound(
            f"The Allen atlas has no region {acronym[:30]!r} (upper and lower case differ). {queries.near(acronym)}"
        )
    title = region.name if acronym != queries.ROOT else "Brain regions"
    head: list[Component] = [_swatch(region.color), f"{acronym} · {title}" if acronym != queries.ROOT else title]
    if not region.n_units and not region.insertions:
        back = shell.link("To all regions", links.region(queries.ROOT)) if acronym != queries.ROOT else None
        words = "No probe has recorded here yet."
        hint = "Regions come from the files channels.brainLocationIds_ccf_2017 or electrodeSites of an insertion."
        return shell.page(head, shell.sentence(words, hint, back), subtitle=_path(region))
    names = {(row["lab"], row["subject"]): site.name(row["lab"], row["subject"], viewer) for row in region.insertions}
    parts: list[Component] = []
    if region.n_units:
        rows = [row | {"n_units": row["own_units"]} for row in region.tree if row["own_units"]]
        responses = [row | {"acronym": ""} for row in site.read(queries.responsive, acronym, barred=barred)]
        counts = figures.counts(_own(rows, region))
        share = figures.responsive(responses)
        parts.append(
            shell.columns(
                shell.section("Regions within", shell.card(_tree(region))),
                html.Div([
                    shell.figure("region-responsive", share, "Units that respond", "after correction, at each event"),
                    shell.figure("region-counts", counts, "Units by region", "the regions with most units"),
                ], className="nj-stack"),
                least=420,
            )
        )  # fmt: skip
    parts.append(shell.section("Insertions", _insertions(region, names), hint=f"{len(region.insertions):,}"))
    if region.n_units and acronym != queries.ROOT:
        shown = region.units.num_rows
        hint = (
            f"{region.n_units:,}"
            if shown == region.n_units
            else f"{shown:,} of {region.n_units:,}, those that pass first"
        )
        parts.append(shell.section("Units", _units(region, names), hint=hint))
    return shell.page(head, shell.card(shell.facts(_facts(region))), *parts, subtitle=_path(region))


def _facts(region: queries.Region) -> list[tuple[str, Component]]:
    return [
        ("Units", f"{region.n_units:,}"),
        ("Pass the IBL criteria", f"{region.n_selected:,}"),
        ("Insertions", f"{len(region.insertions):,}"),
        ("Regions within, with units", f"{sum(row['own_units'] > 0 for row in region.tree):,}"),
    ]


def _path(region: queries.Region) -> list[Component]:
    return [shell.link("all regions" if one == queries.ROOT else name, links.region(one)) for one, name in region.path]


def _tree(region: queries.Region) -> Component:
    """The structures with units as a tree that opens and closes, without any script."""
    if not region.tree:
        return shell.sentence("No unit was found in a known region.")
    top = region.tree[0]["region_depth"]
    place = 0

    def build(depth: int) -> list[Component]:
        nonlocal place
        items: list[Component] = []
        while place < len(region.tree) and region.tree[place]["region_depth"] >= depth:
            row = region.tree[place]
            place += 1
            has_more = place < len(region.tree) and region.tree[place]["region_depth"] > row["region_depth"]
            line = _line(row)
            if has_more:
                inside = build(row["region_depth"] + 1)
                items.append(
                    html.Details(
                        [html.Summary(line), html.Div(inside, className="nj-tree-inside")],
                        open=row["region_depth"] - top < OPEN_TO or len(region.tree) < SMALL,
                    )
                )
            else:
                items.append(html.Div(line, className="nj-tree-leaf"))
        return items

    numbers = [html.Span(words, className="nj-number") for words in ("units", "pass", "insertions")]
    head = html.Div([html.Span(), *numbers], className="nj-tree-line nj-hint")
    return html.Div([head, *build(top)], className="nj-tree")


def _line(row: Mapping[str, Any]) -> Component:
    name = html.Span(
        [
            _swatch(row["region_color"]),
            shell.link(row["acronym"], links.region(row["acronym"]), title=row["region_name"]),
            html.Span(row["region_name"], className="nj-hint"),
        ]
    )
    numbers = (row["n_units"], row["n_selected"], row["n_insertions"])
    return html.Span(
        [name, *(html.Span(f"{number:,}", className="nj-number") for number in numbers)], className="nj-tree-line"
    )


def _swatch(color: str) -> Component:
    return html.Span(className="nj-swatch", style={"background": color})


def _own(rows: list[dict[str, Any]], region: queries.Region) -> list[dict[str, Any]]:
    """The rows of the figure: each structure with its own units and how many of these pass."""
    if region.units is None:
        return rows
    acronyms = np.array(region.units["acronym"].to_pylist(), dtype=object)
    selected = np.array(region.units["selected"].to_pylist(), dtype=bool)
    if (
        acronyms.size < region.n_units
    ):  # not all units are here: the counts of the tree, without those of what is within
        return [row for row in rows if row["n_units"]]
    return [row | {"n_selected": int(selected[acronyms == row["acronym"]].sum())} for row in rows]


def _insertions(region: queries.Region, names: Mapping[tuple[str, str], str]) -> Component:
    rows = []
    for row in region.insertions:
        name = names[row["lab"], row["subject"]]
        place = (row["lab"], name, row["session_date"], row["session_number"], row["probe_label"])
        rows.append({
            "probe": row["probe_label"], "probe_href": links.insertion(*place), "mouse": name,
            "mouse_href": links.mouse(row["lab"], name), "lab": row["lab"],
            "session": f"{row['session_date']} {row['session_number']}", "session_href": links.session(*place[:4]),
            "channels": row["n_channels"], "units": row["n_units"], "good": row["n_selected"],
        })  # fmt: skip
    columns = [
        {"field": "probe", "headerName": "Probe", "cellRenderer": "Link", "width": 110},
        {"field": "mouse", "headerName": "Mouse", "cellRenderer": "Link", "minWidth": 140, "flex": 1, "filter": True},
        {"field": "session", "headerName": "Session", "cellRenderer": "Link", "width": 140},
        {"field": "lab", "headerName": "Lab", "width": 130, "filter": True},
        {"field": "channels", "headerName": "Channels here", "type": "rightAligned", "width": 130},
        {"field": "units", "headerName": "Units here", "type": "rightAligned", "width": 120},
        {"field": "good", "headerName": "Pass", "type": "rightAligned", "width": 100},
    ]
    return shell.grid("region-insertions", columns, rows)


def _units(region: queries.Region, names: Mapping[tuple[str, str], str]) -> Component:
    rows = []
    for row in region.units.to_pylist():
        name = names.get((row["lab"], row["subject"]))
        if name is None:
            continue
        place = (row["lab"], name, row["session_date"], row["session_number"], row["probe_label"])
        rows.append(
            {
                "unit": row["cluster_id"],
                "unit_href": links.cells(*place, unit=row["cluster_id"], clustering=row["clustering"]),
                "region": row["acronym"],
                "good": "yes" if row["selected"] else "no",
                "mouse": name,
                "session": f"{row['session_date']} {row['session_number']}",
                "probe": row["probe_label"],
                "probe_href": links.insertion(*place),
                "rate": _rounded(row["cluster_firing_rate"], 2),
                "amp": _rounded(row["cluster_amp"], 0),
                "depth": _rounded(row["cluster_depth"], 0),
                "shank": row["cluster_shank"],
                "ml": _rounded(row["cluster_ml"], 0),
                "ap": _rounded(row["cluster_ap"], 0),
                "dv": _rounded(row["cluster_dv"], 0),
            }
        )
    columns = [
        {"field": "unit", "headerName": "Unit", "cellRenderer": "Link", "width": 80},
        {"field": "region", "headerName": "Region", "width": 100, "filter": True},
        {"field": "good", "headerName": "Passes", "width": 90, "filter": True},
        {"field": "mouse", "headerName": "Mouse", "minWidth": 120, "flex": 1, "filter": True},
        {"field": "session", "headerName": "Session", "width": 130},
        {"field": "probe", "headerName": "Probe", "cellRenderer": "Link", "width": 100},
        *(
            {"field": name, "headerName": title, "type": "rightAligned", "width": 120}
            for name, title in (
                ("rate", "Rate (Hz)"),
                ("amp", "Amplitude (uV)"),
                ("depth", "Depth (um)"),
                *((("shank", "Shank"),) if any(row["shank"] is not None for row in rows) else ()),
                ("ml", "ML (um)"),
                ("ap", "AP (um)"),
                ("dv", "DV (um)"),
            )
        ),
    ]
    return shell.grid("region-units", columns, rows)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
