"""What the page of a cell says beside its figures: facts, metrics, responses, comparisons and cell type."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from dash import html

from dashboard import links
from dashboard.components import shell
from dashboard.figures import metrics
from dashboard.queries import cells as queries
from dashboard.queries import insertion as insertions
from dashboard.site import Component
from pipeline.queries.unit_kinds import UnitKinds


def facts(insertion: insertions.Insertion, unit_id: int, unit: queries.Unit) -> Component:
    """The card of what is known of the unit."""
    row, units = row_of(insertion.units, unit_id), insertion.units

    def value(name: str, digits: int, of: str = "") -> str:
        return shell.number(float(units[name][row]), digits, of) if name in units else shell.DASH

    selected = float(units["selected"][row])
    passes = {1.0: shell.chip("passes", "green"), 0.0: shell.chip("does not pass", "gray")}.get(selected)
    region = units["acronym"][row]
    pairs = [
        (
            "Region",
            shell.link(region, links.region(region), title=units["region_name"][row]) if region else "not known",
        ),
        ("Depth", value("cluster_depth", 0, "um")),
        *([("Shank", value("cluster_shank", 0))] if len(insertions.shanks(insertion)) > 1 else []),
        ("Amplitude", value("cluster_amp", 0, "uV")),
        ("Firing rate", value("cluster_firing_rate", 2, "Hz")),
        ("Spikes", value("cluster_n_spikes", 0)),
        ("Criteria", passes),
        ("Sorter says", units["sorter_label"][row] or None),
        *([("Sorter's name", name)] if (name := units["unit_name"][row]) else []),
        ("Responds", _chip_of_response(unit)),
        ("Cell type", (insertion.kinds.cell_types or {}).get(unit_id)),
        ("Follows light", _chip_of_light(insertion.kinds, unit_id)),
    ]
    return shell.card(shell.facts(pairs))


def _chip_of_response(unit: queries.Unit) -> Component:
    if unit.response is None or unit.response["is_responsive"] is None:
        return None
    return shell.chip("yes", "teal") if unit.response["is_responsive"] else shell.chip("no", "gray")


def _chip_of_light(kinds: UnitKinds, unit_id: int) -> Component:
    row = (kinds.light or {}).get(unit_id)
    if row is None:
        return None
    if not row["is_tagged"]:
        return shell.chip("no", "gray")
    words = f"in {shell.percent(row['light_reliability'])} of the pulses, after {1000 * row['light_latency']:.1f} ms"
    return [shell.chip("yes", "blue"), html.Span(f" {words}", className="nj-hint")]


def comparisons(kinds: UnitKinds, unit_id: int) -> list[Component]:
    """The rates of the unit in the groups of each comparison."""
    rows = []
    for comparison in kinds.comparisons:
        unit = comparison["units"].get(unit_id)
        if unit is None or unit["period_p_corrected"] is None:
            continue
        title = f"{comparison['comparison_first']} → {comparison['comparison_second']}"
        rows.append([
            html.Span(comparison["comparison_name"], title=title), comparison["period_name"],
            f"{shell.number(unit['first_rate'], 1)} → {shell.number(unit['second_rate'], 1)}",
            f"{unit['period_selectivity']:.2f}", f"{unit['period_p_corrected']:.2g}",
            shell.chip("yes", "teal") if unit["is_selective"] else shell.chip("no", "gray"),
        ])  # fmt: skip
    heads = ["Comparison", "Period", "Rate (Hz)", "Selectivity", "p", "Tells apart"]
    if not rows:
        return []
    return [shell.card(shell.table(heads, rows, numbers=(2, 3, 4)), title="Comparisons", id="cells-comparisons")]


def table_of_metrics(insertion: insertions.Insertion, row: int) -> Component:
    """The metrics of the unit beside the criteria in force."""
    rules = {rule["metric"]: rule for rule in (insertion.criteria or {}).get("unit_rules", [])}
    rows = []
    for name, (title, _) in metrics.METRICS.items():
        if name not in insertion.units:
            continue
        rule = rules.get(name)
        limit = f"{metrics.SIGNS.get(rule['op'], rule['op'])} {rule['value']:g}" if rule else ""
        number = float(insertion.units[name][row])
        rows.append([title, _short(number), limit])
    if not rows:
        return shell.sentence("The metrics of this unit are not computed yet.")
    return shell.card(shell.table(["Metric", "Value", "Criterion"], rows, numbers=(1, 2)), title="Metrics")


def response_words(unit: queries.Unit) -> str:
    """Whether the unit responds, in words."""
    response = unit.response
    if response is None or response["response_p_corrected"] is None:
        return ""
    verb = "responds" if response["is_responsive"] else "does not respond"
    return (
        f"{verb}: {response['baseline_rate']:.1f} to {response['response_rate']:.1f} Hz, "
        f"corrected p = {response['response_p_corrected']:.2g}"
    )


def _short(number: float) -> str:
    """A value of any size with three digits."""
    if np.isnan(number):
        return shell.DASH
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def row_of(units: Mapping[str, np.ndarray], unit_id: int) -> int:
    """The place of a unit in the columns of the units."""
    return int(np.flatnonzero(units["cluster_id"] == unit_id)[0])
