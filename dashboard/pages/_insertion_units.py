"""What the page of an insertion says of its units: metrics with the criteria, comparisons, kinds, and a table."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from dash import html

from dashboard import links
from dashboard.components import shell
from dashboard.figures import metrics
from dashboard.queries import insertion as queries
from dashboard.site import Component
from pipeline.queries.unit_kinds import CELL_TYPES

HISTOGRAMS = (
    "firing_rate",
    "presence_ratio",
    "isi_violations_hill",
    "refractory_confidence",
    "noise_cutoff",
    "amplitude_cutoff",
    "amp_median",
    "spike_width",
    "drift_ptp",
)
HISTOGRAMS_SHOWN, UNITS_SHOWN = 9, 5000


def metrics_of(insertion: queries.Insertion) -> Component:
    """Histograms of the metrics, with the limits of the criteria."""
    known = [name for name in HISTOGRAMS if name in insertion.units and np.isfinite(insertion.units[name]).any()]
    if not known:
        return shell.sentence("The metrics of these units are not computed yet.")
    rules = insertion.criteria["unit_rules"] if insertion.criteria else []
    ruled = [rule["metric"] for rule in rules if rule["metric"] not in known and rule["metric"] in insertion.units]
    cards = [
        shell.figure(f"insertion-{name}", metrics.metric_histogram(insertion.units[name], name, rules, height=190),
                     metrics.METRICS.get(name, (name.replace("_", " "),))[0].partition(" (")[0].partition(",")[0])
        for name in [*dict.fromkeys(ruled), *known][:HISTOGRAMS_SHOWN]
    ]  # fmt: skip
    words = insertion.criteria["unit_criteria_description"] if insertion.criteria else ""
    name = (
        f"{insertion.criteria['unit_criteria']} {insertion.criteria['unit_criteria_version']}"
        if insertion.criteria
        else ""
    )
    return shell.section("Metrics", shell.columns(*cards, least=300), hint=f"criteria {name}: {words}" if words else "")


def comparisons(insertion: queries.Insertion) -> list[Component]:
    """How many units tell the groups of each comparison apart; nothing where none was made."""
    rows = [
        [
            html.Span(row["comparison_name"], title=f"{row['comparison_first']} → {row['comparison_second']}"),
            row["period_name"], f"{shell.number(row['n_first_trials'])} and {shell.number(row['n_second_trials'])}",
            f"{row['n_selective']:,} of {len(row['units']):,}",
        ]
        for row in insertion.kinds.comparisons
        if not row["selectivity_missing"]
    ]  # fmt: skip
    if not rows:
        return []
    table = shell.table(["Comparison", "Period", "Trials", "Units that tell them apart"], rows, numbers=(2, 3))
    return [shell.section("Comparisons", shell.card(table), hint="the page of a cell has its rates")]


def table(insertion: queries.Insertion, place: tuple[str, str, Any, Any], criteria: str) -> Component:
    """A row for each unit, which leads to its page."""
    units, probe = insertion.units, insertion.row["probe_label"]
    clustering = insertion.clustering["clustering"] if insertion.clustering else ""
    on_shanks = len(queries.shanks(insertion)) > 1
    names = [
        *([("cluster_shank", "Shank", 0)] if on_shanks else []),
        ("cluster_depth", "Depth (um)", 0),
        ("cluster_amp", "Amp. (uV)", 0),
        ("cluster_firing_rate", "Rate (Hz)", 2),
        ("presence_ratio", "Presence", 2),
        ("isi_violations_hill", "Contam.", 3),
        ("refractory_confidence", "Refr. (%)", 0),
        ("noise_cutoff", "Noise (SD)", 1),
        ("ibl_label", "IBL label", 2),
    ]
    rows = []
    for number in range(min(len(units["cluster_id"]), UNITS_SHOWN)):
        one = int(units["cluster_id"][number])
        row = {
            "unit": one,
            "unit_href": links.cells(*place, probe, unit=one, clustering=clustering, criteria=criteria),
            "region": units["acronym"][number],
            "label": units["sorter_label"][number] or "",
            "name": units["unit_name"][number] or "",
            "type": (insertion.kinds.cell_types or {}).get(one, ""),
            "light": "yes" if (insertion.kinds.light or {}).get(one, {}).get("is_tagged") else "",
            "good": {1.0: "yes", 0.0: "no"}.get(float(units["selected"][number]), ""),
        }
        for name, _, digits in names:
            value = float(units[name][number]) if name in units else float("nan")
            row[name] = None if np.isnan(value) else round(value, digits)
        rows.append(row)
    columns = [
        {"field": "unit", "headerName": "Unit", "cellRenderer": "Link", "width": 70, "pinned": "left"},
        {"field": "region", "headerName": "Region", "width": 100, "filter": True},
        {"field": "good", "headerName": "Passes", "width": 80, "filter": True},
        *(
            {
                "field": name,
                "headerName": title,
                "type": "rightAligned",
                "filter": "agNumberColumnFilter",
                "minWidth": 88,
                "flex": 1,
            }
            for name, title, _ in names
        ),
        {"field": "label", "headerName": "Sorter says", "width": 105, "filter": True},
    ]
    for name, title in (("type", "Cell type"), ("light", "Follows light")):
        if any(row[name] for row in rows):
            columns.append({"field": name, "headerName": title, "width": 115, "filter": True})
    if any(row["name"] for row in rows):
        columns.append({"field": "name", "headerName": "Sorter's name", "width": 130, "filter": True})
    return shell.section("Units", shell.grid("insertion-table", columns, rows), hint=f"{len(rows):,}")


def kinds(insertion: queries.Insertion) -> list[tuple[str, Component]]:
    """How many units are of which cell type, and how many follow light."""
    types, light = Counter((insertion.kinds.cell_types or {}).values()), insertion.kinds.light
    pairs: list[tuple[str, Component]] = [(name.capitalize(), f"{types[name]:,}") for name in CELL_TYPES if types]
    if light is not None:
        pairs.append(("Follow light", f"{sum(bool(row['is_tagged']) for row in light.values()):,}"))
    return pairs
