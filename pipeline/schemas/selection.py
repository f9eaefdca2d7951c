"""Named choices of trials and of times within trials: data that analyses, plots and searches share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import datajoint as dj
import numpy as np

from pipeline.analysis import trial_conditions
from pipeline.database import registry
from pipeline.errors import ConflictError, UserError

schema = registry.schema(__name__)
behavior = registry.tables_of("behavior")  # which in turn reads conditions


LONGEST = 4000
"""Characters of a condition with a name."""


def known_columns() -> set[str]:
    """The columns that trials can have: those of the program, and those that files of any session brought."""
    return set(text_columns())


def text_columns() -> dict[str, bool | None]:
    """The same columns: whether each holds text, else numbers or truth values; None where sessions differ in that."""
    heading = behavior.TrialSet.Trial().heading
    columns: dict[str, bool | None] = {name: heading[name].string for name in heading.secondary_attributes}
    others = (dj.U("other_column", "other_type") & behavior.TrialSet.OtherColumn).to_arrays(
        "other_column", "other_type"
    )
    for name, kind in zip(*others, strict=True):
        is_text = kind.startswith(("object", "str"))  # from tables, and from `.npy` files
        columns[name] = is_text if columns.get(name, is_text) == is_text else None
    return columns


def check(condition: trial_conditions.Condition) -> None:
    """Raise `InvalidCondition` where it can hold of no trial: it names no column, or compares numbers with text."""
    is_text = text_columns()
    trial_conditions.check_columns(condition, is_text)
    kinds = {name: is_text[name] for name in condition.columns}
    if None not in kinds.values():
        condition.holds(
            {name: np.array([""], object) if kind else np.array([np.nan]) for name, kind in kinds.items()}, 1
        )


@schema
class TrialCondition(dj.Manual):
    definition = """
    # a named choice of trials; a change makes a new version
    condition_name             : varchar(64)
    condition_version          : int32           # from 1
    ---
    condition_expression       : varchar(4000)   # over the columns of trials, e.g. choice == -1 and not earlyLick
    condition_columns          : json            # list of the columns that it uses
    condition_description=""   : varchar(1000)
    """

    @classmethod
    def define(cls, name: str, expression: str, description: str = "") -> int:
        """Save a condition under a name; returns its version, which is a new one where the expression has changed.

        Raises
        ------
        UserError : the expression cannot be read, names a column that no trials have, or compares numbers with text.
        """
        if not name.isidentifier():
            raise UserError(f"{name!r} cannot be the name of a condition", "use letters, digits and _")
        if len(expression) > LONGEST:
            raise UserError(
                f"the condition has {len(expression)} characters",
                f"one with a name may have {LONGEST}: write it shorter",
            )
        parsed = trial_conditions.parse(expression)
        check(parsed)
        versions = (cls & {"condition_name": name}).to_dicts(order_by="condition_version")
        if versions and versions[-1]["condition_expression"] == expression:
            return int(versions[-1]["condition_version"])
        version = len(versions) + 1
        cls.insert1(
            {
                "condition_name": name,
                "condition_version": version,
                "condition_expression": expression,
                "condition_columns": list(parsed.columns),
                "condition_description": description,
            }
        )
        return version

    @classmethod
    def read(cls, condition: str) -> trial_conditions.Condition:
        """A condition by its name (the last version, or `name@2`), or an expression.

        Raises
        ------
        UserError : there is no such condition, and it is no expression either.
        """
        name, _, version = condition.partition("@")
        if not name.isidentifier() or (version and not version.isdigit()):
            return trial_conditions.parse(condition)
        wanted = {"condition_name": name} | ({"condition_version": int(version)} if version else {})
        rows = (cls & wanted).to_dicts(order_by="condition_version")
        if rows:
            return trial_conditions.parse(rows[-1]["condition_expression"])
        if version or name not in known_columns():
            listed = ", ".join(sorted(set(cls.to_arrays("condition_name")))) or "none yet"
            raise UserError(
                f"there is no condition called {condition} (there are: {listed})", "see `neurojoint condition`"
            )
        return trial_conditions.parse(condition)


@schema
class Period(dj.Manual):
    definition = """
    # a named part of a trial, from one event to another
    period_name                : varchar(64)
    ---
    starts_at               : varchar(64)     # column of trials with the time of the first event
    starts_shift=0       : float64         # added to it, s
    ends_at                 : varchar(64)     # column of trials with the time of the second event
    ends_shift=0         : float64         # added to it, s
    period_description=""      : varchar(1000)
    """

    @classmethod
    def define(
        cls, name: str, start: str, end: str, shifts: tuple[float, float] = (0.0, 0.0), description: str = ""
    ) -> None:
        """Save a period under a new name.

        Raises
        ------
        UserError : a column that no trials have.
        ConflictError : another period has this name.
        """
        known = known_columns()
        for column in (start, end):
            if column not in known:
                raise UserError(f"trials have no column {column}", f"choose from {', '.join(sorted(known))}")
        row = {
            "period_name": name,
            "starts_at": start,
            "starts_shift": shifts[0],
            "ends_at": end,
            "ends_shift": shifts[1],
            "period_description": description,
        }
        if present := (cls & {"period_name": name}).to_dicts():
            if present[0] == row:
                return
            raise ConflictError(f"there is another period {name}", "choose another name, or delete that one")
        cls.insert1(row)

    @classmethod
    def intervals(cls, name: str, trials: Mapping[str, Any]) -> np.ndarray:
        """Start and end of a period in each trial, s from session start; shape (n trials, 2), NaN where unknown.

        Raises
        ------
        UserError : there is no such period, or these trials lack a column of it.
        """
        row = cls._row(name)
        for column in (row["starts_at"], row["ends_at"]):
            if column not in trials:
                raise UserError(f"these trials have no column {column}", f"they have {', '.join(trials)}")
        start = np.asarray(trials[row["starts_at"]], float) + row["starts_shift"]
        end = np.asarray(trials[row["ends_at"]], float) + row["ends_shift"]
        bounds = np.column_stack([start, end])
        bounds[~(bounds[:, 0] <= bounds[:, 1])] = np.nan
        return bounds

    @classmethod
    def expression(cls, name: str) -> str:
        """The condition that a trial has the period: both events are known, and the end is not before the start.

        Raises
        ------
        UserError : there is no such period.
        """
        row = cls._row(name)
        return f"({row['starts_at']} + {row['starts_shift']!r} <= {row['ends_at']} + {row['ends_shift']!r})"

    @classmethod
    def _row(cls, name: str) -> dict[str, Any]:
        rows = (cls & {"period_name": name}).to_dicts()
        if not rows:
            listed = ", ".join(cls.to_arrays("period_name")) or "none yet"
            raise UserError(f"there is no period {name} (there are: {listed})", "see `neurojoint period`")
        return rows[0]


@schema
class Comparison(dj.Manual):
    definition = """
    # two groups of trials to compare, and in which period of them; a change makes a new version
    comparison_name            : varchar(64)
    comparison_version         : int32           # from 1
    ---
    comparison_first           : varchar(4000)   # condition of the first group
    comparison_second          : varchar(4000)   # of the second; trials that fulfil both are left out
    -> [nullable] Period
    comparison_description=""  : varchar(1000)
    """

    @classmethod
    def define(cls, name: str, first: str, second: str, period: str | None = None, description: str = "") -> int:
        """Save a comparison under a name; returns its version, which is a new one where anything but words has changed.

        Parameters
        ----------
        first, second : conditions, by name (as they are now) or as expressions.
        period : name of a period in which units are compared; without one only the animal is.

        Raises
        ------
        UserError : there is no such condition or period.
        """
        if not name.isidentifier():
            raise UserError(f"{name!r} cannot be the name of a comparison", "use letters, digits and _")
        read = [TrialCondition.read(item) for item in (first, second)]
        for item in read:
            check(item)
        if period is not None:
            Period.expression(period)
        row = {"comparison_first": read[0].expression, "comparison_second": read[1].expression, "period_name": period}
        versions = (cls & {"comparison_name": name}).to_dicts(order_by="comparison_version")
        if versions and all(versions[-1][column] == value for column, value in row.items()):
            return int(versions[-1]["comparison_version"])
        key = {"comparison_name": name, "comparison_version": len(versions) + 1}
        cls.insert1(key | row | {"comparison_description": description})
        return len(versions) + 1

    @staticmethod
    def groups(row: Mapping[str, Any], trials: Mapping[str, Any]) -> np.ndarray:
        """0 for trials of the first group, 1 for those of the second, -1 for others, (n trials,).

        Raises
        ------
        UserError : the trials lack a column of a condition.
        """
        first, second = (
            trial_conditions.parse(row[f"comparison_{which}"]).holds(trials) for which in ("first", "second")
        )
        return np.where(first == second, -1, second.astype(int))
