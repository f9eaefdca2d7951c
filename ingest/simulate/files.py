"""Writes one simulated session as a rig and an extractor leave it: trials, wheel, settings, air."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from iblutil.io import parquet

from .wheel import Wheel

FORMS = ("npy", "table", "plain", "revision")
"""`npy`: `_ibl_trials.*.npy`; `table`: `_ibl_trials.table.pqt` and the columns it lacks; `plain`: `trials.*.npy`, no
namespace; `revision`: as `npy`, with some columns replaced in the folder `#2024-01-01#`, which holds the right ones."""

REVISION = "#2024-01-01#"

ALF_NAMES = {
    "stim_on_times": "stimOn_times",
    "stim_off_times": "stimOff_times",
    "stim_on_trigger_times": "stimOnTrigger_times",
    "stim_off_trigger_times": "stimOffTrigger_times",
    "go_cue_times": "goCue_times",
    "go_cue_trigger_times": "goCueTrigger_times",
    "response_times": "response_times",
    "feedback_times": "feedback_times",
    "first_movement_times": "firstMovement_times",
    "choice": "choice",
    "feedback_type": "feedbackType",
    "contrast_left": "contrastLeft",
    "contrast_right": "contrastRight",
    "probability_left": "probabilityLeft",
    "reward_volume": "rewardVolume",
    "rep_num": "repNum",
    "included": "included",
    "quiescence_period": "quiescencePeriod",
}
"""Table column -> ALF attribute of the object trials; intervals_0 and intervals_1 make the attribute intervals."""

TABLE_COLUMNS = (
    "intervals_0",
    "intervals_1",
    "go_cue_times",
    "response_times",
    "choice",
    "stim_on_times",
    "contrast_left",
    "contrast_right",
    "feedback_times",
    "feedback_type",
    "reward_volume",
    "probability_left",
    "first_movement_times",
)
"""What an extractor puts into `_ibl_trials.table.pqt`; the other columns stay single files."""


def write_trials(alf: Path, trials: Mapping[str, np.ndarray], form: str = "npy") -> None:
    """Write `trials` (house names) below the folder `alf` in one of the `FORMS`; creates the folder."""
    alf.mkdir(parents=True, exist_ok=True)
    if form == "revision":
        old = _before_revision(trials)
        write_trials(alf, old, "npy")
        changed = {name: trials[name] for name in ("stim_on_times", "choice", "feedback_type", "reward_volume")}
        (alf / REVISION).mkdir()
        _save_columns(alf / REVISION, changed, "_ibl_trials")
    elif form == "table":
        table = pd.DataFrame({ALF_NAMES.get(name, name): trials[name] for name in TABLE_COLUMNS})
        parquet.save(alf / "_ibl_trials.table.pqt", table)
        _save_columns(alf, {k: v for k, v in trials.items() if k not in TABLE_COLUMNS}, "_ibl_trials")
    else:
        prefix = {"npy": "_ibl_trials", "plain": "trials"}[form]
        np.save(alf / f"{prefix}.intervals.npy", np.column_stack([trials["intervals_0"], trials["intervals_1"]]))
        _save_columns(alf, {k: v for k, v in trials.items() if k in ALF_NAMES}, prefix)


def write_wheel(alf: Path, wheel: Wheel, unit: str = "rad", ticks: int = 4096) -> None:
    """Write `_ibl_wheel.timestamps.npy` and `_ibl_wheel.position.npy`; no `_ibl_wheelMoves`, which are computed.

    Rigs write radians, centimetres at the rim (of a wheel of 3.1 cm), degrees, or the count of an encoder with so many
    `ticks` a turn.
    """
    turns = wheel.position / (2 * np.pi)
    of_turn = {"rad": 2 * np.pi, "cm": 2 * np.pi * 3.1, "deg": 360.0, "ticks": float(ticks)}[unit]
    position = np.rint(turns * of_turn).astype(np.int64) if unit == "ticks" else turns * of_turn
    np.save(alf / "_ibl_wheel.timestamps.npy", wheel.timestamps)
    np.save(alf / "_ibl_wheel.position.npy", wheel.position if unit == "rad" else position)


def write_settings(session: Path, info: Mapping[str, object], version: int) -> None:
    """Write `_iblrig_taskSettings.raw.json` as iblrig 7 or 8 does, and for 8 `_ibl_experiment.description.yaml`.

    iblrig 7 puts it into `raw_behavior_data` and iblrig 8 into `raw_task_data_00`. Keys of `info`: lab, subject, user,
    project, start_time and end_time (datetime), number, protocol, version (of iblrig), rig, weight (g), delay (s),
    n_trials, n_correct, water (uL), reward_volume (uL), contrasts (fractions), duration (s).
    """
    collection = "raw_behavior_data" if version == 7 else "raw_task_data_00"
    settings = (_settings_7 if version == 7 else _settings_8)(info)
    folder = session / collection
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(settings, indent=4 if version == 8 else 1, sort_keys=version == 8)
    (folder / "_iblrig_taskSettings.raw.json").write_text(text, encoding="utf-8")
    if version == 8:
        description = {
            "devices": {"cameras": {"left": {"collection": "raw_video_data", "sync_label": "audio"}}},
            "procedures": ["Behavior training/tasks"],
            "projects": [info["project"]],
            "sync": {"bpod": {"collection": collection, "acquisition_software": "pybpod", "extension": ".jsonable"}},
            "tasks": [{info["protocol"]: {"collection": collection, "sync_label": "bpod"}}],
            "version": "1.0.0",
        }
        text = yaml.safe_dump(description)
        (session / "_ibl_experiment.description.yaml").write_text(text, encoding="utf-8")


AMBIENT_FORMS = ("lists", "numbers", "text")
"""How a rig writes a reading: as a list of one number (iblrig), as a number, or as text with gaps."""


def write_ambient(session: Path, rng: np.random.Generator, version: int, form: str = "lists") -> dict[str, float]:
    """Write `_iblrig_ambientSensorData.raw.jsonable`, a line for each reading; returns the medians.

    Temperature (deg C), air pressure (mbar) and relative humidity (percent) under the names that iblrig gives them.
    """
    folder = session / ("raw_behavior_data" if version == 7 else "raw_task_data_00")
    folder.mkdir(parents=True, exist_ok=True)
    columns = {
        "Temperature_C": rng.normal(24.4, 0.05, 12).round(3),
        "AirPressure_mb": rng.normal(1012, 0.2, 12).round(3),
        "RelativeHumidity": rng.normal(45, 0.3, 12).round(3),
    }
    lines = []
    for i in range(12):
        values = {name: float(column[i]) for name, column in columns.items()}
        written = {
            "lists": {name: [value] for name, value in values.items()},
            "numbers": values,
            "text": {name: f"{value:.3f}" for name, value in values.items()},
        }[form]
        lines.append(json.dumps(written))
    if form == "text":  # a sensor that did not answer
        lines.insert(3, json.dumps(dict.fromkeys(columns, "nan")))
    (folder / "_iblrig_ambientSensorData.raw.jsonable").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {name: float(np.median(column)) for name, column in columns.items()}


def _save_columns(folder: Path, columns: Mapping[str, np.ndarray], prefix: str) -> None:
    for name, values in columns.items():
        np.save(folder / f"{prefix}.{ALF_NAMES[name]}.npy", values)


def _before_revision(trials: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a faulty first extraction found: stimulus 20 ms early, no response in the last five trials."""
    old = {name: values.copy() for name, values in trials.items()}
    old["stim_on_times"] -= 0.02
    old["choice"][-5:] = 0
    old["feedback_type"][-5:] = -1
    old["reward_volume"][-5:] = 0
    return old


def _settings_7(info: Mapping[str, Any]) -> dict[str, object]:
    start: datetime = info["start_time"]
    return {
        "CONTRAST_SET": list(info["contrasts"]),
        "IBLRIG_VERSION_TAG": info["version"],
        "PYBPOD_BOARD": info["rig"],
        "PYBPOD_CREATOR": [info["user"], "", "local"],
        "PYBPOD_PROJECT": info["project"],
        "PYBPOD_PROTOCOL": info["protocol"],
        "PYBPOD_SESSION": f"{start:%Y%m%d-%H%M%S}",
        "PYBPOD_SUBJECTS": [info["subject"], ""],
        "RESPONSE_WINDOW": 60,
        "REWARD_AMOUNT": info["reward_volume"],
        "REWARD_TYPE": "Water 10% Sucrose",
        "SESSION_DATE": f"{start:%Y-%m-%d}",
        "SESSION_DATETIME": start.isoformat(),
        "SESSION_NUMBER": f"{info['number']:03d}",
        "SESSION_START_DELAY_SEC": info["delay"],
        "STIM_GAIN": 4.0,
        "STIM_POSITIONS": [-35, 35],
        "SUBJECT_NAME": info["subject"],
        "SUBJECT_WEIGHT": info["weight"],
    }


def _settings_8(info: Mapping[str, Any]) -> dict[str, object]:
    return {
        "ALYX_LAB": info["lab"],
        "ALYX_USER": info["user"],
        "CONTRAST_SET": list(info["contrasts"]),
        "IBLRIG_VERSION": info["version"],
        "NTRIALS": info["n_trials"],
        "NTRIALS_CORRECT": info["n_correct"],
        "PROCEDURES": ["Behavior training/tasks"],
        "PROJECTS": [info["project"]],
        "PYBPOD_PROTOCOL": info["protocol"],
        "RESPONSE_WINDOW": 60,
        "REWARD_AMOUNT_UL": info["reward_volume"],
        "REWARD_TYPE": "Water 10% Sucrose",
        "RIG_NAME": info["rig"],
        "SESSION_END_TIME": info["end_time"].isoformat(),
        "SESSION_NUMBER": info["number"],
        "SESSION_START_DELAY_SEC": info["delay"],
        "SESSION_START_TIME": info["start_time"].isoformat(),
        "STIM_GAIN": 4.0,
        "STIM_POSITIONS": [-35, 35],
        "SUBJECT_NAME": info["subject"],
        "SUBJECT_WEIGHT": info["weight"],
        "TOTAL_WATER_DELIVERED": info["water"],
    }
