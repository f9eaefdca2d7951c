"""Kinds of units: cell types by the waveform, units that follow light, and units that tell two groups apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import datajoint as dj

from pipeline.analysis.cell_types import BROAD, NARROW
from pipeline.database.bulk import fetch_columns
from pipeline.errors import UserError
from pipeline.schemas import ephys, ephys_analysis, photostimulation, selection

__all__ = ["CELL_TYPES", "DEFAULT_RULE", "UnitKinds", "kinds_of", "of_kind"]

CELL_TYPES = (NARROW, BROAD)
DEFAULT_RULE = "width_0.4"
"""The rule (`ephys_analysis.CellTypeRule`) by which cell types are told where none is named."""


def of_kind(
    cell_type: str | None = None, tagged: bool = False, selective: str | None = None
) -> list[dj.expression.QueryExpression]:
    """Queries by which units are restricted, one for each thing that is asked.

    Parameters
    ----------
    cell_type : of `CELL_TYPES`, by the width of the waveform; `fast-spiking:width_0.35` names the rule.
    tagged : only units that follow light.
    selective : name of a comparison (its latest version) whose groups the unit tells apart; `tone:1` names the version.

    Raises
    ------
    UserError : there is no such type, rule or comparison; the message lists what there is.
    """
    asked: list[dj.expression.QueryExpression] = []
    if cell_type is not None:
        name, _, rule = cell_type.partition(":")
        rules = sorted(ephys_analysis.CellTypeRule.to_arrays("cell_type_rule").tolist())
        if name not in CELL_TYPES:
            raise UserError(f"there is no cell type {name!r}", f"choose from {', '.join(CELL_TYPES)}")
        if rule and rule not in rules:
            raise UserError(f"there is no rule of cell types {rule!r}", f"choose from {', '.join(rules)}")
        chosen = {"cell_type": name, "cell_type_rule": rule or DEFAULT_RULE}
        asked.append((ephys_analysis.CellType.Unit & chosen).proj())
    if tagged:
        asked.append((photostimulation.OptoTagging.Unit & "is_tagged = TRUE").proj())
    if selective is not None:
        asked.append((ephys_analysis.UnitSelectivity.Unit & _comparison(selective) & "is_selective = TRUE").proj())
    return asked


@dataclass(frozen=True)
class UnitKinds:
    """What is known of the kinds of the units of one clustering.

    Attributes
    ----------
    cell_types : cluster_id -> cell type by `DEFAULT_RULE`; None where it is not computed.
    light : cluster_id -> row of OptoTagging.Unit; None where the session has no light.
    comparisons : rows of UnitSelectivity of the latest version of each comparison, with its conditions, and `units`:
        cluster_id -> row of UnitSelectivity.Unit.
    """

    cell_types: dict[int, str] | None = None
    light: dict[int, dict[str, Any]] | None = None
    comparisons: list[dict[str, Any]] = field(default_factory=list)


def kinds_of(key: Mapping[str, Any]) -> UnitKinds:
    """The kinds of the units of a clustering.

    Parameters
    ----------
    key : with the primary key of the clustering.
    """
    key = {name: key[name] for name in ephys.Clustering.primary_key}
    rule = key | {"cell_type_rule": DEFAULT_RULE}
    types = light = None
    if ephys_analysis.CellType & rule:
        rows = fetch_columns(ephys_analysis.CellType.Unit & rule, "cluster_id", "cell_type").to_pylist()
        types = {row["cluster_id"]: row["cell_type"] for row in rows}
    if photostimulation.OptoTagging & key:
        light = _by_unit(photostimulation.OptoTagging.Unit & key)
    judged = ephys_analysis.UnitSelectivity.proj(..., "-selectivity_periods") * selection.Comparison & key
    latest: dict[tuple, dict[str, Any]] = {}
    for row in judged.to_dicts(order_by="comparison_name, task_collection, comparison_version"):
        latest[row["comparison_name"], row["task_collection"]] = row
    for row in latest.values():
        own = {name: row[name] for name in ephys_analysis.UnitSelectivity.primary_key}
        row["units"] = _by_unit(ephys_analysis.UnitSelectivity.Unit & own)
    return UnitKinds(types, light, list(latest.values()))


def _by_unit(query: dj.expression.QueryExpression) -> dict[int, dict[str, Any]]:
    return {row["cluster_id"]: row for row in fetch_columns(query).to_pylist()}


def _comparison(text: str) -> dict[str, Any]:
    name, _, version = text.partition(":")
    versions = selection.Comparison & {"comparison_name": name}
    known = sorted(int(number) for number in versions.to_arrays("comparison_version"))
    if not known or (version and version not in map(str, known)):
        there = sorted(set((selection.Comparison & "period_name IS NOT NULL").to_arrays("comparison_name").tolist()))
        raise UserError(
            f"there is no comparison {text!r}",
            f"choose from {', '.join(there)}" if there else "add one with `neurojoint comparison add`",
        )
    return {"comparison_name": name, "comparison_version": int(version or known[-1])}
