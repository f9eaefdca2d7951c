"""Prediction of training time from the tables, or from a file of daily summaries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.analysis import early_training, training_time
from pipeline.errors import UserError
from pipeline.schemas.inputs import training_features
from pipeline.settings import settings

DAILY = {"performance_easy", "reaction_time", "n_trials"}
"""Columns of a file of daily summaries that are needed, beside subject, training_day and training_time."""
_MORE_DAILY = ("disp_norm", "moves_time", *early_training.LATE[:3])
_NAMES = {"subject", "training_time", "training_day"}


@dataclass
class Table:
    """Trained mice with the features that are known of them.

    Attributes
    ----------
    features : name -> (n,), of the first five days.
    published : the same with those that are taken up to the day on which the mouse was trained.
    training_time : (n,) days of training before that day.
    left_out : mice that lack a feature.
    unused : feature, or column of a file, -> why it is none of `features`.
    """

    features: dict[str, np.ndarray]
    published: dict[str, np.ndarray]
    training_time: np.ndarray
    left_out: int = 0
    unused: dict[str, str] = field(default_factory=dict)


def from_tables(restriction: Any = True) -> Table:
    """The trained mice of the database, of a restriction of lab and subject."""
    mice = training_features.mice(restriction)
    return _complete(mice.features, mice.late, mice.days_to_trained)


def from_file(path: Path) -> Table:
    """The mice of a CSV file.

    With a column `training_day` (from 1) it has a line a day: `subject`, `training_time` (days of training before the
    mouse was trained), `performance_easy` (0-1), `reaction_time` (s), `n_trials`, and any further features, which are
    taken from the first day or averaged. Without it, a line is a mouse, with `training_time` and features by name.

    Raises
    ------
    UserError : a column is missing, or holds something else.
    """
    try:
        rows = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error})", "give a CSV file with a line of names") from None
    needed = {"subject", "training_time"} | (DAILY if "training_day" in rows else set())
    if lacking := sorted(needed - set(rows.columns)):
        raise UserError(f"{path} has no column {', '.join(lacking)}", "see docs/releases.md for its columns")
    names = [name for name in (*early_training.FEATURES, *DAILY, "training_time") if name in rows]
    for name in names:
        rows[name] = rows[name].map({"F": 1, "M": 0}) if rows[name].isin(["F", "M"]).any() else rows[name]
        numbers = pd.to_numeric(rows[name], errors="coerce")
        wrong = rows.index[numbers.isna() & rows[name].notna()]
        if len(wrong):
            raise UserError(f"{path}, line {wrong[0] + 2}: {name} is {rows[name][wrong[0]]!r}", "write it as a number")
        rows[name] = numbers
    if "performance_easy" in rows and rows["performance_easy"].max() > 1:
        raise UserError(f"{path}: performance_easy is above 1", "write it as a fraction, 0-1")
    if "training_day" not in rows:
        features = {name: rows[name].to_numpy(float) for name in early_training.FEATURES if name in rows}
        if not features:
            raise UserError(f"{path} has no feature", f"features are {', '.join(early_training.FEATURES)}")
        return _complete(features, {}, rows["training_time"].to_numpy(float), rows.columns)
    subjects, index = np.unique(rows["subject"].astype(str), return_inverse=True)
    daily = {name: rows[name].to_numpy(float) for name in (*DAILY, *_MORE_DAILY) if name in rows}
    features = early_training.first_days(index, rows["training_day"].to_numpy(), daily)
    first = rows.sort_values("training_day").groupby(index).first()
    for name in early_training.FEATURES:
        if name not in features and name in rows:
            features[name] = first[name].to_numpy(float)
    days = first["training_time"].reindex(range(len(subjects))).to_numpy(float)
    return _complete(features, {}, days, set(rows.columns) - DAILY - set(_MORE_DAILY))


def _complete(
    features: Mapping[str, np.ndarray], late: Mapping[str, np.ndarray], days: np.ndarray, columns: Iterable[str] = ()
) -> Table:
    """The trained mice that have all features that are known of most; `columns`: those that a file has."""
    trained = np.isfinite(days)
    mine = {name: np.asarray(values, float)[trained] for name, values in features.items()}
    required = ("perf_delta1",) if "perf_delta1" in mine else tuple(list(mine)[:1])
    names = early_training.usable(mine, required) if trained.any() else []
    published = {name: np.asarray(late[name], float)[trained] if name in late else mine[name] for name in names}
    known = np.all([np.isfinite(mine[name]) & np.isfinite(published[name]) for name in names], axis=0) if names else np.zeros(int(trained.sum()), bool)  # noqa: E501  # fmt: skip
    return Table(
        {name: mine[name][known] for name in names},
        {name: published[name][known] for name in names},
        days[trained][known],
        int(trained.sum() - known.sum()),
        dict.fromkeys(sorted(set(columns) - set(early_training.FEATURES) - _NAMES), "no feature is called so")
        | {name: "known of too few mice, or the same in all" for name in mine if name not in names},
    )


def judge(
    table: Table, *, seed: int = 0, n_shuffles: int = training_time.N_SHUFFLES, n_trees: int = training_time.N_TREES
) -> dict[str, training_time.Judgement]:
    """The models of the published figure and their leak-free variants: what each is called -> how it did.

    Raises
    ------
    UserError : there are too few mice.
    """
    options = {"seed": seed, "n_shuffles": n_shuffles, "n_trees": n_trees, "n_threads": settings().processes}
    judgements = {}
    try:
        for name, features, leak_free in (
            ("as published", table.published, False),
            ("leak-free", table.features, True),
        ):
            judgements[name] = training_time.judge(features, table.training_time, leak_free=leak_free, **options)
            if "perf_delta1" in features and len(features) > 1:
                alone = {"perf_delta1": features["perf_delta1"]}
                judgements[f"{name}, performance change alone"] = training_time.judge(
                    alone, table.training_time, leak_free=leak_free, **options
                )  # fmt: skip
    except ValueError as error:
        raise UserError(str(error), "train more mice, or give a file: --features FILE") from None
    return judgements


def report(table: Table, judged: Mapping[str, training_time.Judgement]) -> str:
    """The numbers, beside those of the published figure."""
    known = training_time.PUBLISHED
    lines = [
        f"{len(table.training_time)} trained mice ({table.left_out} left out, since a feature is not known), "
        f"{len(table.features)} feature{'s' * (len(table.features) != 1)}; "
        f"published: {known['mice']} mice, 20 features",
        *(f"not used: {name} ({why})" for name, why in table.unused.items()),
        "",
        f"{'model':<46}{'F1':>8}{'permuted':>11}{'published':>11}",
    ]
    published = {
        "as published": known["f1"],
        "as published, performance change alone": known["f1_perf_delta1"],
    }
    for name, one in judged.items():
        beside = f"{published[name]:.3f}" if name in published else "-"
        chance = f"{one.shuffled_f1.mean():.3f}" if len(one.shuffled_f1) else "-"
        lines.append(f"{name:<46}{one.f1:>8.3f}{chance:>11}{beside:>11}")
    first = next(iter(judged.values()))
    edges = ", ".join(f"{edge:g}" for edge in first.edges)
    lines += ["", f"limits of the quartiles: {edges} days; published: 9.75, 15.5, 24", "", "importance (fall of F1)"]
    names = [name for name in ("as published", "leak-free") if name in judged]
    lines.append(f"{'':<30}" + "".join(f"{name:>16}" for name in names) + f"{'published':>16}")
    order = np.argsort(-judged[names[-1]].importance.mean(axis=1), kind="stable")
    for index in order:
        feature = first.names[index]
        values = "".join(f"{judged[name].importance[index].mean():>16.4f}" for name in names)
        beside = {"perf_delta1": "0.0750", "age_start": "0.0034"}.get(feature, "0.0000")
        lines.append(f"{early_training.FEATURES.get(feature, feature):<30}{values}{beside:>16}")
    return "\n".join(lines)
