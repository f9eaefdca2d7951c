"""Groups of mice: who they are, how they did on each day of training, and after how many days they reached a status.

What is asked of the tables is the same for all viewers (six queries, whatever is chosen), so a page keeps it for as
long as the tables do not change; choosing, grouping and averaging are numpy on these columns.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.analysis.criteria import RuleSet
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import behavior_analysis, subject

HIDDEN = ("subject_uuid", "subject_json", "subject_description", "ear_mark", "death_date", "wean_date")
"""Columns of Subject by which mice are not grouped: each mouse has its own, or it is no property."""
LABELS = {"lab": "Lab", "sex": "Sex", "line": "Line", "project": "Project", "responsible_user": "Responsible person",
          "birth_date": "Month of birth", "protocol_number": "Licence", "light_cycle": "Light cycle"}  # fmt: skip
"""Column -> what people read; others are named as they are."""
MEASURES = ("day_performance_easy", "day_performance", "day_trials", "day_response_time", "day_minutes")
"""Columns of DailySummary."""
PARAMETERS = ("window_bias", "window_threshold", "window_lapse_low", "window_lapse_high")
"""Columns of SessionTrainingStatus: the curve fitted to the sessions that the status is judged by."""
USUAL = "ibl_pipeline_2021"
"""The rule set that is meant where none is chosen."""
NONE, OTHERS = "not given", "all others"
MOST_VALUES = 60
"""A column with more values than that names single mice (cage, litter) and groups none."""


@dataclass(frozen=True, eq=False)
class Mice:
    """All mice with trials, and their days; nothing of this depends on what is chosen.

    Attributes
    ----------
    columns : name -> (n_mice,) array of text: lab, subject, columns of Subject by which mice can be grouped, project,
        alive (yes, no)
    n_training_days : (n_mice,) int
    days : training_day, mouse (its row) and the columns of `MEASURES`, each (n_days,), ordered by mouse and day;
        days before the first training day are left out
    reached : criteria -> status -> (n_mice,) training day on which a mouse had it or a higher one; NaN: not yet
    fits : criteria -> column of `PARAMETERS` -> (n_mice,) at the last session with a fit; NaN: none
    statuses : criteria -> its statuses above the first, from low to high
    """

    columns: dict[str, np.ndarray]
    n_training_days: np.ndarray
    days: dict[str, np.ndarray]
    reached: dict[str, dict[str, np.ndarray]]
    fits: dict[str, dict[str, np.ndarray]]
    statuses: dict[str, tuple[str, ...]]

    @property
    def n(self) -> int:
        """How many mice there are."""
        return len(self.n_training_days)

    def groupings(self, public: bool = False) -> dict[str, str]:
        """Column -> what people read, of those that tell at least two mice apart; without people for the public."""
        left_out = {"subject", "responsible_user"} if public else {"subject"}
        n_values = {name: len(set(self.columns[name])) for name in self.columns if name not in left_out}
        names = [name for name, n in n_values.items() if 1 < n <= MOST_VALUES]
        order = list(LABELS)
        names.sort(key=lambda name: order.index(name) if name in order else len(order))
        return {name: LABELS.get(name, name.replace("_", " ").capitalize()) for name in names}


@dataclass(frozen=True, eq=False)
class Chosen:
    """Some of the mice, in groups.

    Attributes
    ----------
    rows : (k,) rows of `Mice`
    group : (k,) group of each
    names : groups, the largest first; `OTHERS` last
    """

    rows: np.ndarray
    group: np.ndarray
    names: tuple[str, ...]

    def labels(self) -> np.ndarray:
        """(k,) names of the groups."""
        return np.array(self.names, dtype=object)[self.group] if self.names else np.empty(0, dtype=object)


def mice() -> Mice:
    """Ask the tables."""
    names = [name for name in subject.Subject.heading.names if name not in HIDDEN]
    animals = fetch_columns(
        subject.Subject * behavior_analysis.BehaviorHistory.proj("n_training_days"),
        *names, "death_date", "n_training_days", order_by="lab, subject",
    )  # fmt: skip
    keys = list(zip(animals["lab"].to_pylist(), animals["subject"].to_pylist(), strict=True))
    place = {key: number for number, key in enumerate(keys)}
    columns = {name: _texts(animals[name]) for name in names}
    columns["project"] = _projects(place)
    columns["alive"] = np.where(animals["death_date"].is_null().to_numpy(), "yes", "no").astype(object)
    latest, statuses = _rules()
    reached, fits = _reached(place, latest, statuses), _fits(place, latest)
    return Mice(columns, animals["n_training_days"].to_numpy(), _days(place), reached, fits, statuses)


def without(all_mice: Mice, barred: Collection[tuple[str, str]]) -> Mice:
    """All mice but some, of which nothing is left.

    Parameters
    ----------
    barred : lab and name.
    """
    own = zip(all_mice.columns["lab"], all_mice.columns["subject"], strict=True)
    stays = np.array([pair not in barred for pair in own], dtype=bool)
    if stays.all():
        return all_mice
    row = np.cumsum(stays) - 1
    days = stays[all_mice.days["mouse"]]
    kept = {name: values[days] for name, values in all_mice.days.items()}
    return Mice(
        {name: values[stays] for name, values in all_mice.columns.items()},
        all_mice.n_training_days[stays],
        kept | {"mouse": row[kept["mouse"]]},
        {rules: {name: one[stays] for name, one in some.items()} for rules, some in all_mice.reached.items()},
        {rules: {name: one[stays] for name, one in some.items()} for rules, some in all_mice.fits.items()},
        all_mice.statuses,
    )


def choose(all_mice: Mice, by: str, only: Mapping[str, Collection[str]], most: int = 8) -> Chosen:
    """The mice that all filters let through, grouped by a column.

    Parameters
    ----------
    by : a key of `Mice.groupings()`; "" for one group of all.
    only : column -> the values that it may have; a mouse of several projects needs one of them.
    most : how many groups; the smaller ones become `OTHERS`.
    """
    taken = np.ones(all_mice.n, dtype=bool)
    for name, values in only.items():
        if name == "project":
            own = [not set(text.split(", ")).isdisjoint(values) for text in all_mice.columns["project"]]
            taken &= np.array(own, dtype=bool)
        elif name in all_mice.columns:
            taken &= np.isin(all_mice.columns[name], list(values))
    rows = np.flatnonzero(taken)
    if by not in all_mice.columns:
        return Chosen(rows, np.zeros(rows.size, dtype=int), ("all mice",) if rows.size else ())
    values, inverse, counts = np.unique(all_mice.columns[by][rows], return_inverse=True, return_counts=True)
    order = np.lexsort((values, -counts))
    rank = np.empty(order.size, dtype=int)
    rank[order] = np.arange(order.size)
    names = [str(values[item]) or NONE for item in order]
    if len(names) > most:
        names, rank = [*names[: most - 1], OTHERS], np.minimum(rank, most - 1)
    return Chosen(rows, rank[inverse], tuple(names))


def day_rows(all_mice: Mice, chosen: Chosen, measure: str) -> dict[str, np.ndarray]:
    """The days of the chosen mice as columns: lab, subject, group, training_day and the measure."""
    group_of = np.full(all_mice.n, -1)
    group_of[chosen.rows] = chosen.group
    mouse = all_mice.days["mouse"]
    taken = group_of[mouse] >= 0
    mouse = mouse[taken]
    names = np.array(chosen.names, dtype=object)
    return {
        "lab": all_mice.columns["lab"][mouse],
        "subject": all_mice.columns["subject"][mouse],
        "group": names[group_of[mouse]] if names.size else np.empty(0, dtype=object),
        "training_day": all_mice.days["training_day"][taken],
        measure: all_mice.days[measure][taken],
    }


def status_rows(all_mice: Mice, chosen: Chosen, criteria: str, status: str) -> dict[str, np.ndarray]:
    """One row for each chosen mouse: lab, subject, group, days (of training, until the status or so far), reached."""
    day = all_mice.reached.get(criteria, {}).get(status, np.full(all_mice.n, np.nan))[chosen.rows]
    seen = np.isfinite(day)
    return {
        "lab": all_mice.columns["lab"][chosen.rows],
        "subject": all_mice.columns["subject"][chosen.rows],
        "group": chosen.labels(),
        "days": np.where(seen, day, all_mice.n_training_days[chosen.rows]),
        "reached": seen,
    }


def mouse_rows(all_mice: Mice, chosen: Chosen, criteria: str, last: int = 5) -> dict[str, np.ndarray]:
    """One row for each chosen mouse: lab, subject, group, the means of all measures over its last training days, and
    the parameters of its last fit.
    """
    means = {measure: _means(all_mice, measure, last) for measure in MEASURES}
    values = means | all_mice.fits.get(criteria, {name: np.full(all_mice.n, np.nan) for name in PARAMETERS})
    return {
        "lab": all_mice.columns["lab"][chosen.rows],
        "subject": all_mice.columns["subject"][chosen.rows],
        "group": chosen.labels(),
    } | {name: column[chosen.rows] for name, column in values.items()}


def _means(all_mice: Mice, measure: str, last: int) -> np.ndarray:
    """(n_mice,) means over the last training days of each mouse; NaN where none has the measure."""
    mouse, values = all_mice.days["mouse"], all_mice.days[measure]
    end = np.append(np.flatnonzero(np.diff(mouse)) + 1, mouse.size) if mouse.size else np.empty(0, dtype=int)
    last_of = np.zeros(all_mice.n, dtype=int)
    last_of[mouse[end - 1]] = end
    recent = (last_of[mouse] - np.arange(mouse.size) <= last) & np.isfinite(values)
    counts = np.bincount(mouse[recent], minlength=all_mice.n)
    sums = np.bincount(mouse[recent], values[recent], minlength=all_mice.n)
    return np.divide(sums, counts, out=np.full(all_mice.n, np.nan), where=counts > 0)


def _days(place: Mapping[tuple[str, str], int]) -> dict[str, np.ndarray]:
    table = fetch_columns(
        behavior_analysis.DailySummary & "training_day > 0",
        "lab", "subject", "training_day", *MEASURES, order_by="lab, subject, training_day",
    )  # fmt: skip
    pairs = zip(table["lab"].to_pylist(), table["subject"].to_pylist(), strict=True)
    mouse = np.array([place.get(pair, -1) for pair in pairs], dtype=int)
    kept = mouse >= 0  # a mouse that came between two of the queries
    order = np.lexsort((table["training_day"].to_numpy()[kept], mouse[kept]))
    numbers = {name: _numbers(table[name])[kept][order] for name in MEASURES}
    return {"mouse": mouse[kept][order], "training_day": table["training_day"].to_numpy()[kept][order]} | numbers


def _rules() -> tuple[dict[str, int], dict[str, tuple[str, ...]]]:
    """The latest version of each rule set, the usual one first, and its statuses above the first."""
    rows = behavior_analysis.TrainingCriteria.to_dicts(order_by="criteria, criteria_version")
    rows.sort(key=lambda row: row["criteria"] != USUAL)
    latest = {row["criteria"]: row for row in rows}
    statuses = {name: RuleSet.from_json(json.dumps(row["rules"])).statuses[1:] for name, row in latest.items()}
    return {name: row["criteria_version"] for name, row in latest.items()}, statuses


def _reached(
    place: Mapping[tuple[str, str], int], latest: Mapping[str, int], statuses: Mapping[str, tuple[str, ...]]
) -> dict[str, dict[str, np.ndarray]]:
    reached = {name: {status: np.full(len(place), np.nan) for status in own} for name, own in statuses.items()}
    table = fetch_columns(
        behavior_analysis.SubjectTraining, "lab", "subject", "criteria", "criteria_version", "days_to_status"
    )
    for lab, animal, name, version, text in zip(*(column.to_pylist() for column in table.columns), strict=True):
        number = place.get((lab, animal))
        if number is None or latest.get(name) != version:
            continue
        days = json.loads(text)
        lowest = np.nan
        for status in reversed(statuses[name]):  # a mouse can skip a status: then it has it with the next higher one
            lowest = np.fmin(lowest, days.get(status, np.nan))
            reached[name][status][number] = lowest
    return reached


def _fits(place: Mapping[tuple[str, str], int], latest: Mapping[str, int]) -> dict[str, dict[str, np.ndarray]]:
    fits = {name: {column: np.full(len(place), np.nan) for column in PARAMETERS} for name in latest}
    fitted = behavior_analysis.SessionTrainingStatus & "criteria <> ''" & "window_bias IS NOT NULL"
    last = behavior_analysis.SubjectTraining.proj().aggr(fitted, last_fit="max(session_date)")
    table = fetch_columns(
        fitted * last & "session_date = last_fit",
        "lab", "subject", "criteria", "criteria_version", *PARAMETERS, order_by="session_number",
    )  # fmt: skip
    for lab, animal, name, version, *values in zip(*(column.to_pylist() for column in table.columns), strict=True):
        number = place.get((lab, animal))
        if number is not None and latest.get(name) == version:
            for column, value in zip(PARAMETERS, values, strict=True):
                fits[name][column][number] = np.nan if value is None else value
    return fits


def _projects(place: Mapping[tuple[str, str], int]) -> np.ndarray:
    projects: list[list[str]] = [[] for _ in place]
    table = fetch_columns(subject.SubjectProject, "lab", "subject", "project", order_by="project")
    for lab, animal, project in zip(*(column.to_pylist() for column in table.columns), strict=True):
        if (number := place.get((lab, animal))) is not None:
            projects[number].append(project)
    return np.array([", ".join(names) for names in projects], dtype=object)


def _texts(column: pa.ChunkedArray) -> np.ndarray:
    """Values as text; dates as their month."""
    is_date = pa.types.is_date(column.type)
    values: Sequence[Any] = column.to_pylist()
    texts = ["" if value is None else f"{value:%Y-%m}" if is_date else str(value) for value in values]
    result = np.empty(len(texts), dtype=object)
    result[:] = texts
    return result


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.float64()).to_numpy()
