"""Criteria on the metrics of units: which units meet a set of rules that is given as data."""

import difflib
import operator
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pipeline.analysis.arrays import Booleans

__all__ = ["OPERATORS", "apply_criteria"]

OPERATORS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def apply_criteria(metrics: Mapping[str, ArrayLike], rules: Iterable[Mapping[str, Any]]) -> Booleans:
    """Which units meet all rules.

    Parameters
    ----------
    metrics : name to (k,) array
    rules : each a mapping with `metric`, `op` (one of < <= > >= == !=) and `value`. A metric that is NaN meets no rule.

    Returns
    -------
    (k,) bool array

    Raises
    ------
    ValueError
        If a rule names a metric that is not there (near names are told) or an operator that does not exist, or the
        metrics differ in length.

    Examples
    --------
    >>> metrics = {"firing_rate": [0.1, 5.0, np.nan], "ibl_label": [1, 1, 1]}
    >>> apply_criteria(metrics, [{"metric": "firing_rate", "op": ">", "value": 0.2}])
    array([False,  True, False])
    """
    columns = {name: np.asarray(values) for name, values in metrics.items()}
    shapes = {column.shape for column in columns.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise ValueError(f"metrics must be one-dimensional and of equal length, not {sorted(shapes)}")
    passed = np.ones(next(iter(shapes)), dtype=bool)
    for rule in rules:
        name, op, value = rule["metric"], rule["op"], rule["value"]
        if name not in columns:
            near = difflib.get_close_matches(str(name), columns, n=3)
            raise ValueError(f"no metric {name!r}" + (f"; did you mean {', '.join(near)}?" if near else ""))
        if op not in OPERATORS:
            raise ValueError(f"no operator {op!r}; there are {' '.join(OPERATORS)}")
        column = columns[name]
        passed &= OPERATORS[op](column, value)
        if np.issubdtype(column.dtype, np.floating):
            passed &= ~np.isnan(column)
    return passed
