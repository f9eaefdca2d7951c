"""What the prediction of training time takes of each mouse: its first five days, and how it is kept."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.analysis import early_training
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns, json_column
from pipeline.provenance import fingerprints
from pipeline.settings import settings

action = registry.tables_of("action")
behavior = registry.tables_of("behavior")
behavior_analysis = registry.tables_of("behavior_analysis")
lab = registry.tables_of("lab")
subject = registry.tables_of("subject")

TRAINED = ("trained_1a", "trained_1b")
_MOUSE = ["lab", "subject"]


@dataclass
class Mice:
    """Features of mice with five days of training.

    Attributes
    ----------
    keys : lab and subject of each.
    features : name -> (n,); what is not known is NaN. Everything is of the first five days.
    late : the features of `early_training.LATE` as published: up to the day on which the mouse was trained.
    days_to_trained : (n,) days of training before it was trained; NaN of those that are not.
    """

    keys: list[dict[str, str]]
    features: dict[str, np.ndarray]
    late: dict[str, np.ndarray]
    days_to_trained: np.ndarray


def mice(restriction: Any = True) -> Mice:
    """The features of the mice of a restriction (of lab, subject)."""
    days = _frame(
        behavior_analysis.DailySummary & restriction & "training_day > 0",
        *_MOUSE, "session_date", "training_day", "day_performance_easy", "day_trials",
        "day_response_time_easy",
    )  # fmt: skip
    days = days[days.groupby(_MOUSE)["training_day"].transform("max") >= early_training.N_DAYS] if len(days) else days
    if not len(days):
        return Mice([], {name: np.empty(0) for name in early_training.FEATURES}, {}, np.empty(0))
    days = days.drop_duplicates([*_MOUSE, "training_day"])
    days = days.merge(_of_sessions(restriction), on=[*_MOUSE, "session_date"], how="left")
    about = _about(restriction).merge(_first_dates(days), on=_MOUSE)
    index = pd.MultiIndex.from_frame(about[_MOUSE])
    trained = _trained(restriction)
    about["days_to_trained"] = [trained.get(pair, (np.nan, None))[0] for pair in index]
    about["trained_date"] = [trained.get(pair, (np.nan, None))[1] for pair in index]
    early = days[days["training_day"] <= early_training.N_DAYS]
    names = {
        "performance_easy": "day_performance_easy",
        "n_trials": "day_trials",
        "reaction_time": "day_response_time_easy",
        **{name: name for name in ("disp_norm", "moves_time", "temperature_c", "air_pressure_mb", "relative_humidity")},
    }
    features = early_training.first_days(
        index.get_indexer(pd.MultiIndex.from_frame(early[_MOUSE])),
        early["training_day"].to_numpy(),
        {name: early[column].to_numpy(float) for name, column in names.items()},
    )
    features |= _kept(about)
    features |= _weights(about, restriction)
    features["weekend_water"] = _citric(about, about["fifth_date"], restriction)
    late = {"weekend_water": _citric(about, about["trained_date"].fillna(about["fifth_date"]), restriction)}
    upto = days.merge(about[[*_MOUSE, "trained_date"]], on=_MOUSE)
    upto = upto[upto["trained_date"].isna() | (upto["session_date"] <= upto["trained_date"])]
    for name in early_training.LATE[:3]:
        late[name] = upto.groupby(_MOUSE)[name].median().reindex(index).to_numpy(float)
    keys = [dict(zip(_MOUSE, pair, strict=True)) for pair in index]
    return Mice(keys, features, late, about["days_to_trained"].to_numpy(float))


def _frame(query: Any, *names: str) -> pd.DataFrame:
    return fetch_columns(query, *names).to_pandas()


def _of_sessions(restriction: Any) -> pd.DataFrame:
    """Of each date: the wheel, and the air at the rig."""
    key = [*_MOUSE, "session_date"]
    wheel = _frame(
        behavior.WheelMoveSet & restriction, *key, "wheel_displacement", "wheel_distance", "wheel_start", "wheel_end"
    ).astype(dict.fromkeys(("wheel_displacement", "wheel_distance", "wheel_start", "wheel_end"), float))
    distance = wheel["wheel_distance"].where(wheel["wheel_distance"] > 0)
    wheel["disp_norm"] = (wheel["wheel_displacement"] / distance).abs()
    wheel["moves_time"] = wheel["wheel_distance"] / (wheel["wheel_end"] - wheel["wheel_start"])
    air = _frame(behavior.AmbientSensor & restriction, *key, "temperature", "air_pressure", "relative_humidity")
    air = air.rename(columns={"temperature": "temperature_c", "air_pressure": "air_pressure_mb"})
    names = ["temperature_c", "air_pressure_mb", "relative_humidity"]
    daily = wheel.groupby(key)[["disp_norm", "moves_time"]].mean()
    return daily.join(air.astype(dict.fromkeys(names, float)).groupby(key)[names].mean(), how="outer").reset_index()


def _about(restriction: Any) -> pd.DataFrame:
    """How the mice are kept; what the animal does not state is what the lab says."""
    mice = _frame(subject.Subject & restriction, *_MOUSE, "subject_uuid", "sex", "birth_date", "light_cycle",
                  "food_protein", "weekend_water")  # fmt: skip
    labs = _frame(lab.Lab, "lab", "lab_light_cycle", "lab_food_protein", "lab_weekend_water")
    # By identity, not by name: the order decides who is judged together, and a mouse may be renamed.
    return mice.merge(labs, on="lab").sort_values(["lab", "subject_uuid"], ignore_index=True)


def _first_dates(days: pd.DataFrame) -> pd.DataFrame:
    first = days[days["training_day"] == 1].set_index(_MOUSE)["session_date"].rename("first_date")
    fifth = days[days["training_day"] == early_training.N_DAYS].set_index(_MOUSE)["session_date"].rename("fifth_date")
    return pd.concat([first, fifth], axis=1).reset_index()


def _trained(restriction: Any) -> dict[tuple[str, str], tuple[float, datetime.date]]:
    """Mouse -> days of training before the first day on which it was trained, and that date."""
    rows = fetch_columns(
        behavior_analysis.SubjectTraining & restriction & {"criteria": settings().criteria},
        *_MOUSE,
        "days_to_status",
        "first_dates",
    )
    trained = {}
    for row, days, dates in zip(
        rows.to_pylist(), json_column(rows, "days_to_status"), json_column(rows, "first_dates"), strict=True
    ):
        reached = [name for name in TRAINED if days.get(name) is not None]
        if reached:
            first = min(reached, key=lambda name: days[name])
            date = datetime.date.fromisoformat(dates[first])
            trained[row["lab"], row["subject"]] = float(days[first]) - 1, date
    return trained


def _kept(about: pd.DataFrame) -> dict[str, np.ndarray]:
    light = about["light_cycle"].where(about["light_cycle"].fillna("") != "", about["lab_light_cycle"]).fillna("")
    protein = about["food_protein"].astype(float).fillna(about["lab_food_protein"].astype(float))
    age = (pd.to_datetime(about["first_date"]) - pd.to_datetime(about["birth_date"])).dt.days
    return {
        "sex": about["sex"].map({"F": 1.0, "M": 0.0}).to_numpy(float),
        "age_start": age.to_numpy(float),
        "light": light.map({"inverted": 1.0, "normal": 0.0}).to_numpy(float),
        "food": protein.to_numpy(float),
    }


def _weights(about: pd.DataFrame, restriction: Any) -> dict[str, np.ndarray]:
    """Weight on the first day of training (g), and over the reference weight of the restriction of that day."""
    status = _frame(action.WaterStatus & restriction, *_MOUSE, "session_date", "day_weight", "day_reference_weight")
    merged = about.merge(
        status, left_on=[*_MOUSE, "first_date"], right_on=[*_MOUSE, "session_date"], how="left"
    ).drop_duplicates(_MOUSE)
    weight = merged["day_weight"].to_numpy(float)
    reference = merged["day_reference_weight"].to_numpy(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"weight_start": weight, "weight_loss": np.where(reference > 0, weight / reference, np.nan)}


def _citric_waters(restriction: Any) -> pd.DataFrame:
    citric = action.WaterAdministration & restriction & "water_type LIKE '%%Citric Acid%%'"
    return _frame(citric, *_MOUSE, "administration_time")


def _citric(about: pd.DataFrame, until: pd.Series, restriction: Any) -> np.ndarray:
    """1 where water with citric acid was given up to a date, or where it is stated for days off."""
    waters = _citric_waters(restriction)
    stated = about["weekend_water"].where(about["weekend_water"].fillna("") != "", about["lab_weekend_water"])
    last = dict(zip(zip(about["lab"], about["subject"], strict=True), until, strict=True))
    given = set()
    for row in waters.itertuples():
        limit = last.get((row.lab, row.subject))
        when: Any = row.administration_time
        if limit is not None and when.date() <= limit:
            given.add((row.lab, row.subject))
    pairs = zip(about["lab"], about["subject"], stated.fillna(""), strict=True)
    return np.array([float((a, b) in given or word == "citric acid") for a, b, word in pairs])


def _used_of_water(key: Any) -> list[pa.Table]:
    """What `_weights` and `_citric` take of each mouse: weights of its first day of training, first citric acid.

    Not the fingerprint of its whole water: that keeps what was given in sessions that have been removed since.
    """
    first = _frame(behavior_analysis.DailySummary & key & "training_day = 1", *_MOUSE, "session_date")
    status = _frame(action.WaterStatus & key, *_MOUSE, "session_date", "day_weight", "day_reference_weight")
    weights = first.merge(status, on=[*_MOUSE, "session_date"]).astype(
        dict.fromkeys(("day_weight", "day_reference_weight"), float)
    )
    waters = _citric_waters(key).sort_values("administration_time").drop_duplicates(_MOUSE)
    said: dict[str, pd.DataFrame] = {"weights": weights, "citric acid": waters}
    parts = []
    for name, rows in said.items():
        values = rows.drop(columns=_MOUSE).itertuples(index=False, name=None)
        words = ["|".join([name, *map(str, row)]) for row in values]
        columns = [rows["lab"].tolist(), rows["subject"].tolist(), words]
        parts.append(pa.table([pa.array(column, pa.string()) for column in columns], [*_MOUSE, "part"]))
    return parts


def fingerprints_of_forecasts(key: Any) -> pa.Table:
    """Lab and fingerprint of all that goes into the forecasts of its mice; the name of a mouse is not part of it."""
    sources = (
        (behavior_analysis.BehaviorHistory, "history_fingerprint"),
        (behavior_analysis.SubjectTraining & {"criteria": settings().criteria}, "training_fingerprint"),
        (behavior.WheelMoveSet, "wheel_fingerprint"),
        (behavior.AmbientSensor, "ambient_fingerprint"),
    )
    parts = [fetch_columns(table & key, *_MOUSE, name).rename_columns([*_MOUSE, "part"]) for table, name in sources]
    parts += _used_of_water(key)
    for table, names in (
        (subject.Subject & key, ("sex", "birth_date", "light_cycle", "food_protein", "weekend_water")),
        (lab.Lab.proj("lab_light_cycle", "lab_food_protein", "lab_weekend_water") & key,
         ("lab_light_cycle", "lab_food_protein", "lab_weekend_water")),
    ):  # fmt: skip
        rows = fetch_columns(table, *table.primary_key, *names).to_pylist()
        said = ["|".join(str(row[name]) for name in names) for row in rows]
        columns = [[row["lab"] for row in rows], [row.get("subject", "") for row in rows], said]
        parts.append(pa.table([pa.array(column, pa.string()) for column in columns], [*_MOUSE, "part"]))
    labs = set(fetch_columns(behavior_analysis.BehaviorHistory & key, "lab")["lab"].to_pylist())
    rows = pa.concat_tables([part.cast(parts[-1].schema) for part in parts])
    mice = fetch_columns(subject.Subject & key, *_MOUSE, "subject_uuid").cast(
        pa.schema([(name, pa.string()) for name in (*_MOUSE, "subject_uuid")])
    )
    rows = rows.join(mice, _MOUSE)
    digests = fingerprints.combine(rows, ["lab"], ["subject_uuid", "part"])
    return digests.filter(pc.is_in(digests["lab"], pa.array(sorted(labs), pa.string())))
