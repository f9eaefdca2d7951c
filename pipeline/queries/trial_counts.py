"""How many trials of each session fulfil a condition: by the database where it can, else over the columns at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import datajoint as dj
import numpy as np
import pyarrow as pa

from pipeline.analysis import trial_conditions
from pipeline.analysis.trial_conditions import Condition
from pipeline.database.bulk import fetch_columns, to_numpy
from pipeline.errors import UserError
from pipeline.queries.condition_sql import to_sql
from pipeline.schemas import behavior, selection

_TRIALS_AT_ONCE = 2_000_000


def count_trials(condition: str, period: str | None = None, sessions: Any = None) -> pa.Table:
    """How many trials of each task of a session fulfil a condition.

    Parameters
    ----------
    condition : a name in `selection.TrialCondition`, or an expression over columns of the trials.
    period : count only trials that have this period, a name in `selection.Period`.
    sessions : a query that restricts `acquisition.Session`; by default all.

    Returns
    -------
    pa.Table
        The key of `behavior.TrialSet` and `n_fulfilling`, in order of the key; tasks without such a trial, and those
        whose trials lack a column of the condition, are left out.

    Raises
    ------
    UserError : there is no such condition or period, or no trials at all have a column of it.
    """
    parsed = selection.TrialCondition.read(condition)
    if period is not None:
        has_period = selection.Period.expression(period)
        parsed = trial_conditions.parse(f"({parsed.expression}) and {has_period}")
    trial_conditions.check_columns(parsed, dict.fromkeys(selection.known_columns()))
    heading = behavior.TrialSet.Trial().heading
    own = {name: "bool" if heading[name].type.startswith(("bool", "tinyint")) else "number"
           for name in heading.secondary_attributes}  # fmt: skip
    tasks = behavior.TrialSet.proj() if sessions is None else behavior.TrialSet.proj() & sessions.proj()
    _check_types(parsed, own)
    where = to_sql(parsed, own, "DOUBLE PRECISION" if tasks.connection.adapter.backend == "postgresql" else "DOUBLE")
    counted = _by_database(where, tasks, sessions) if where else _by_columns(parsed, set(own), tasks)
    with_all = _with_columns(tasks, [name for name in parsed.columns if name in own])
    keep = [row in with_all for row in _rows(counted)]
    return counted.filter(pa.array(keep, pa.bool_()))


def fulfilling(
    table: pa.Table, names: Sequence[str], condition: str | None, period: str | None = None, sessions: Any = None
) -> np.ndarray:
    """How many trials as in `count_trials` each row of a table has, (n rows,) int64.

    Parameters
    ----------
    table : with these columns.
    names : those of the key of `behavior.TrialSet`, or of a session, of which all tasks count.
    """
    counted = count_trials(condition or "true", period, sessions)
    total: dict[tuple, int] = {}
    for *key, number in zip(*(counted[name].to_pylist() for name in (*names, "n_fulfilling")), strict=True):
        total[tuple(key)] = total.get(tuple(key), 0) + number
    rows = zip(*(table[name].to_pylist() for name in names), strict=True)
    return np.array([total.get(row, 0) for row in rows], np.int64)


def _check_types(condition: Condition, own: dict[str, str]) -> None:
    """Raise where a condition over the program's own columns compares them with text."""
    if set(condition.columns) <= set(own):
        condition.holds({name: np.empty(0) for name in condition.columns}, 0)


def _by_database(where: str, tasks: dj.expression.QueryExpression, sessions: Any) -> pa.Table:
    names = behavior.TrialSet.primary_key
    trials = behavior.TrialSet.Trial & where
    if sessions is not None:
        trials = trials & tasks
    counted = fetch_columns(dj.U(*names).aggr(trials, n_fulfilling="COUNT(trial_id)"), *names, "n_fulfilling")
    number = counted["n_fulfilling"].cast(pa.float64()).cast(pa.int64())
    counted = counted.set_column(counted.column_names.index("n_fulfilling"), "n_fulfilling", number)
    return counted.sort_by([(name, "ascending") for name in names])


def _by_columns(condition: Condition, own: set[str], tasks: dj.expression.QueryExpression) -> pa.Table:
    """Some millions of trials at a time: the columns of many sessions, one after the other, are one array."""
    names = behavior.TrialSet.primary_key
    sizes = fetch_columns(behavior.TrialSet & tasks, *names, "n_trials", order_by=", ".join(names))
    n_trials = dict(zip(_rows(sizes), sizes["n_trials"].to_pylist(), strict=True))
    others = [name for name in condition.columns if name not in own]
    values = _other_columns(others, tasks)
    keys = [key for key in n_trials if all((key, name) in values for name in others)]
    stored = _own_columns([name for name in condition.columns if name in own], tasks)
    counts: dict[tuple, int] = {}
    refused: UserError | None = None
    for chunk in _chunks(keys, n_trials):
        for alike in _alike(chunk, others, values):
            total = sum(n_trials[key] for key in alike)
            columns = {name: np.concatenate([values[key, name] for key in alike]) for name in others}
            columns |= {name: np.concatenate([by_key[key] for key in alike]) for name, by_key in stored.items()}
            starts = np.cumsum([0, *(n_trials[key] for key in alike)])
            try:
                sums = np.concatenate([[0], np.cumsum(condition.holds(columns, total))])
            except UserError as error:  # here the column is of another kind than the condition takes it for
                refused = error
                continue
            counts |= dict(zip(alike, np.diff(sums[starts]).tolist(), strict=True))
    if refused is not None and not counts:
        raise refused
    kept = [key for key in keys if counts.get(key)]
    rows = {name: [key[place] for key in kept] for place, name in enumerate(names)}
    types = {name: sizes[name].type for name in names}
    return pa.table(
        {name: pa.array(column, types[name]) for name, column in rows.items()}
        | {"n_fulfilling": pa.array([counts[key] for key in kept], pa.int64())}
    )


def _own_columns(names: Sequence[str], tasks: dj.expression.QueryExpression) -> dict[str, dict[tuple, np.ndarray]]:
    """Column -> task -> values in the order of the trials."""
    if not names:
        return {}
    key = behavior.TrialSet.primary_key
    order = ", ".join([*key, "trial_id"])
    rows = fetch_columns(behavior.TrialSet.Trial & tasks, *key, *names, order_by=order)
    if not rows.num_rows:
        return {name: {} for name in names}
    codes = [rows[name].combine_chunks().dictionary_encode() for name in key]
    numbers = np.column_stack([np.asarray(code.indices) for code in codes])
    first = np.flatnonzero(np.r_[True, np.any(np.diff(numbers, axis=0) != 0, axis=1)])
    of_task = [tuple(code.dictionary[int(numbers[row, place])].as_py() for place, code in enumerate(codes))
               for row in first]  # fmt: skip
    columns = to_numpy(rows.select(list(names)))
    return {name: dict(zip(of_task, np.split(columns[name], first[1:]), strict=True)) for name in names}


def _other_columns(names: Sequence[str], tasks: dj.expression.QueryExpression) -> dict[tuple[tuple, str], np.ndarray]:
    """(task, column) -> values of the columns that only the files have; those of several dimensions are left out."""
    part = behavior.TrialSet.OtherColumn
    key = behavior.TrialSet.primary_key
    columns = {}
    for row in (part & tasks & [{"other_column": name} for name in names]).to_dicts() if names else ():
        values = row["other_values"]
        if row["other_type"] == "object":
            given, values = values, np.empty(len(values), object)
            values[:] = given
        if np.ndim(values) == 1:
            columns[tuple(row[name] for name in key), row["other_column"]] = np.asarray(values)
    return columns


def _chunks(keys: Sequence[tuple], n_trials: dict[tuple, int]) -> list[list[tuple]]:
    chunks: list[list[tuple]] = [[]]
    size = 0
    for key in keys:
        if size > _TRIALS_AT_ONCE:
            chunks.append([])
            size = 0
        chunks[-1].append(key)
        size += n_trials[key]
    return [chunk for chunk in chunks if chunk]


def _alike(keys: Sequence[tuple], names: Sequence[str], values: dict) -> list[list[tuple]]:
    """The tasks in groups whose columns are of the same types."""
    groups: dict[tuple, list[tuple]] = {}
    for key in keys:
        groups.setdefault(tuple(values[key, name].dtype for name in names), []).append(key)
    return list(groups.values())


def _with_columns(tasks: dj.expression.QueryExpression, names: Sequence[str]) -> set[tuple]:
    """The tasks whose trials have these of the program's columns."""
    key = behavior.TrialSet.primary_key
    rows = fetch_columns(behavior.TrialSet & tasks, *key, "columns_present")
    present = {text: set(json.loads(text)) >= set(names) for text in set(rows["columns_present"].to_pylist())}
    return {row for row, text in zip(_rows(rows), rows["columns_present"].to_pylist(), strict=True) if present[text]}


def _rows(table: pa.Table) -> list[tuple]:
    return list(zip(*(table[name].to_pylist() for name in behavior.TrialSet.primary_key), strict=True))
