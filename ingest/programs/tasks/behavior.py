"""Trials and wheel of the IBL's rigs, from the raw files of one task."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.analysis import bpod
from pipeline.analysis.wheel import first_movements, movements
from pipeline.tasks.kinds import Job, NothingToDo, TaskFailure

_NOT_FILES = ("goCueTrigger_times", "stimOnTrigger_times", "stimOff_times", "stimOffTrigger_times",
              "stimFreeze_times", "errorCueTrigger_times", "itiIn_times", "repNum", "quiescencePeriod")  # fmt: skip


Convert = Callable[[Any], Any]
"""From the clock of the state machine to that of the session."""


def trial_starts(job: Job) -> np.ndarray:
    """When the trials began, s in the clock of the state machine."""
    return np.asarray(_trials(_records(job), rig_version(job)).table["intervals_0"], dtype=np.float64)


def trials(job: Job, convert: Convert = np.asarray) -> None:
    """The table of trials, and the times that are files of their own.

    Parameters
    ----------
    convert : the clock of the session, where that is not the state machine's.
    """
    records, version = _records(job), rig_version(job)
    decoded = _trials(records, version)
    table = dict(decoded.table)
    turned = _wheel(job, records, decoded, required=False)
    if turned is not None and turned.times.size > 1:
        moves = movements(turned.position, turned.times)
        cues = np.fmin(table["goCue_times"], table["stimOn_times"])
        quiescence = 0.2
        table["firstMovement_times"] = first_movements(
            moves, cues, table["feedback_times"], quiescence=quiescence
        ).times
    else:
        job.log("without a wheel there are no first movements")
        table["firstMovement_times"] = np.full(len(records), np.nan)
    for note in decoded.notes:
        job.log(note)
    more = dict(decoded.more)
    for values in (table, more):
        for name in values:
            if name.endswith("_times") or name in ("intervals_0", "intervals_1"):
                values[name] = convert(np.asarray(values[name], dtype=np.float64))
    folder = job.arguments["collection"]
    pd.DataFrame(table).to_parquet(job.output(f"{folder}/_ibl_trials.table.pqt"), index=False)
    for name in _NOT_FILES:
        if not np.isnan(np.asarray(more[name], dtype=float)).all():
            np.save(job.output(f"{folder}/_ibl_trials.{name}.npy"), more[name])
    job.log(f"{len(records)} trials")


def wheel(job: Job, convert: Convert = np.asarray) -> None:
    """Position and movements of the wheel; `convert` as in `trials`."""
    records = _records(job)
    turned = _wheel(job, records, _trials(records, rig_version(job)), required=True)
    if turned is None or turned.times.size < 2:
        raise NothingToDo("the wheel was not turned")
    for note in turned.notes:
        job.log(note)
    folder, times = job.arguments["collection"], convert(turned.times)
    np.save(job.output(f"{folder}/_ibl_wheel.timestamps.npy"), times)
    np.save(job.output(f"{folder}/_ibl_wheel.position.npy"), turned.position)
    moves = movements(turned.position, times)
    np.save(job.output(f"{folder}/_ibl_wheelMoves.intervals.npy"), np.c_[moves.onsets, moves.offsets])
    np.save(job.output(f"{folder}/_ibl_wheelMoves.peakAmplitude.npy"), moves.peak_amplitude)
    job.log(f"{turned.times.size} samples of the wheel, {moves.onsets.size} movements")


def rig_version(job: Job) -> int:
    """The major version of the rig's software, which its settings state."""
    settings = _json(job.inputs("{folder}/_iblrig_taskSettings.raw.json")[0])
    text = str(settings.get("IBLRIG_VERSION_TAG") or settings.get("IBLRIG_VERSION") or "")
    match = re.match(r"(\d+)", text)
    if match is None:
        raise TaskFailure(
            "the settings do not state the version of the rig's software, on which the meaning of its files depends",
            "add IBLRIG_VERSION to _iblrig_taskSettings.raw.json",
        )
    return int(match[1])


def _records(job: Job) -> list[dict[str, Any]]:
    path = job.inputs("{folder}/_iblrig_taskData.raw.jsonable")[0]
    records = []
    lines = path.read_text(encoding="utf-8", errors="replace").rstrip("\n").split("\n")  # a text may hold other breaks
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            if number == len(lines):  # the rig was stopped while it wrote the last trial
                job.log(f"line {number} of {path.name} was cut off and is left out")
                break
            raise TaskFailure(
                f"line {number} of {path.name} is no JSON", "see whether the file was copied whole"
            ) from None
        if not isinstance(record, dict):
            raise TaskFailure(f"line {number} of {path.name} is no trial", "see whether the file was copied whole")
        records.append(record)
    if not records:
        raise NothingToDo(f"{path.name} has no trials")
    return records


def _trials(records: list[dict[str, Any]], version: int) -> bpod.Trials:
    try:
        return bpod.trials(records, version)
    except bpod.BadTrials as error:
        raise TaskFailure(str(error), "correct or leave out that trial in _iblrig_taskData.raw.jsonable") from None


def _wheel(job: Job, records: list[dict[str, Any]], decoded: bpod.Trials, required: bool) -> bpod.Wheel | None:
    files = [job.inputs(f"{{folder}}/_iblrig_encoder{name}.raw*.ssv") for name in ("Positions", "Events")]
    if not all(files):
        if required:
            raise TaskFailure("the events of the encoder are missing", "copy _iblrig_encoderEvents.raw.ssv")
        return None
    texts = [paths[0].read_text(encoding="utf-8", errors="replace") for paths in files]
    begin = decoded.table["intervals_0"]
    closed = begin + [float(record["behavior_data"]["States timestamps"]["closed_loop"][0][0]) for record in records]
    try:
        return bpod.wheel(bpod.read_encoder(texts[0]), bpod.read_encoder(texts[1]), closed)
    except bpod.BadTrials as error:
        if required:
            raise TaskFailure(f"the wheel has no times: {error}", "see _iblrig_encoderEvents.raw.ssv") from None
        job.log(f"the wheel has no times: {error}")
        return None


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except ValueError:
        raise TaskFailure(f"{path.name} is no JSON", "see whether the file was copied whole") from None
    if not isinstance(content, dict):
        raise TaskFailure(f"{path.name} is no mapping of names to values", "see whether the file was copied whole")
    return content
