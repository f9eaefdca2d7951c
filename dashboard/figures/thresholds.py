"""The thresholds that a rule set of training criteria states, as lines to draw; from the data, never from constants."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from dashboard.figures import style


class Threshold(NamedTuple):
    """One threshold of one measure, and the statuses that ask for it."""

    measure: str  # as pipeline.analysis.criteria.MEASURES names it
    value: float
    comparison: str
    statuses: tuple[str, ...]
    probability_left: float | None  # the block that it applies to, 0-1; None: all trials

    @property
    def words(self) -> str:
        """What it says, short.

        >>> Threshold("threshold", 19, "<", ("trained_1a",), None).words
        '1a < 19'
        """
        return f"{', '.join(style.status(name).short for name in self.statuses)} {self.comparison} {self.value:g}"


def thresholds(rules: Any, measure: str, statuses: Sequence[str] | None = None) -> list[Threshold]:
    """The thresholds of one measure in a rule set, in the order of the levels; equal ones of several levels are one.

    Parameters
    ----------
    rules : `TrainingCriteria.rules` as a dict, as JSON text, or a `pipeline.analysis.criteria.RuleSet`; None: no lines.
    measure : e.g. `threshold`, `bias_size`, `lapse_low`, `performance_easy`.
    statuses : only those of these levels; all when not given.

    Examples
    --------
    >>> from pipeline.analysis.criteria import IBL_PIPELINE_2021
    >>> [line.words for line in thresholds(IBL_PIPELINE_2021, "threshold")]
    ['1a < 19', '1b < 20']
    """
    if rules is None:
        return []
    plain = (
        json.loads(rules.to_json() if hasattr(rules, "to_json") else rules) if not isinstance(rules, dict) else rules
    )
    statuses_by_threshold: dict[tuple, list[str]] = {}
    for level in plain["levels"]:
        if statuses is not None and level["status"] not in statuses:
            continue
        for criterion in level["criteria"]:
            if criterion["measure"] == measure:
                key = (float(criterion["threshold"]), criterion["comparison"], criterion.get("probability_left"))
                asking = statuses_by_threshold.setdefault(key, [])
                if level["status"] not in asking:
                    asking.append(level["status"])
    return [
        Threshold(measure, value, comparison, tuple(asking), prior)
        for (value, comparison, prior), asking in statuses_by_threshold.items()
    ]


def shapes(
    lines: Sequence[Threshold], yref: str = "y", scale: float = 1.0, mirrored: bool = False
) -> list[dict[str, Any]]:
    """The thresholds as horizontal lines over the whole width, each with its words.

    Parameters
    ----------
    yref : the axis.
    scale : from the unit of the criterion to that of the axis.
    mirrored : also at the negative value.
    """
    drawn = []
    for number, line in enumerate(lines):
        look = style.status(line.statuses[0])
        for sign in (1, -1) if mirrored else (1,):
            place = sign * line.value * scale
            label = {
                "text": line.words, "font": {"size": 10, "color": look.color},
                "textposition": "start" if number % 2 else "end", "yanchor": "bottom" if sign > 0 else "top",
            }  # fmt: skip
            drawn.append(
                {
                    "type": "line",
                    "xref": "paper",
                    "x0": 0,
                    "x1": 1,
                    "yref": yref,
                    "y0": place,
                    "y1": place,
                    "line": {"color": look.color, "dash": style.CRITERION.dash, "width": 1},
                    "label": label if sign > 0 else {},
                    "name": f"{line.measure} {line.words}",
                    "layer": "below",
                }  # fmt: skip
            )
    return drawn
