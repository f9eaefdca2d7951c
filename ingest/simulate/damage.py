"""Sessions that must not become rows as they are: one function per kind of damage, and what an ingest has to say.

A kind takes the folder `<root>/<lab>/Subjects/<subject>/<date>/<number>` of a session that `write_valid` made, damages
it and returns what must be quarantined. What is not named there stays valid and must still be ingested. A pickle, a
YAML tag and two links hold absolute paths, so that the bytes of those files depend on where the root is.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import files
from .session import SessionParams, simulate_trials
from .wheel import simulate_wheel

N_TRIALS = 60


class Expected(NamedTuple):
    """One quarantine entry."""

    path: str  # of the file (for bad_session_path: the session folder), relative to the data root, POSIX
    reason: str  # quarantine code
    column: str = ""  # table column refused; empty: the whole file (or, for wheel files, the ALF attribute)


KINDS: dict[str, Callable[[Path], list[Expected]]] = {}
"""Name of the kind -> function that does the damage."""


def write_damaged(root: Path, lab: str, start: date, seed: int) -> list[dict[str, str]]:
    """Write one session per kind, of the subject `damaged_<kind>`; returns the expectations with their `kind`."""
    expected = []
    for kind, do_damage in KINDS.items():
        session = root / lab / "Subjects" / f"damaged_{kind}" / start.isoformat() / "001"
        write_valid(session, seed)
        expected += [{"kind": kind, **entry._asdict()} for entry in do_damage(session)]
    return expected


def write_valid(session: Path, seed: int = 0) -> dict[str, np.ndarray]:
    """Write a small valid session (60 training trials as npy, wheel, iblrig 8 settings); returns its trials."""
    rng = np.random.default_rng([seed, 77])
    params = SessionParams(n_trials=N_TRIALS, stim_on_missing=0.0)
    trials = simulate_trials(params, rng)
    files.write_trials(session / "alf", trials, "npy")
    files.write_wheel(session / "alf", simulate_wheel(trials, rng))
    begin = datetime.fromisoformat(f"{session.parent.name}T10:00:00")
    info = {
        "lab": session.parents[3].name,
        "subject": session.parents[1].name,
        "user": "ada",
        "project": "simulated_damage",
        "number": int(session.name),
        "start_time": begin,
        "end_time": begin.replace(hour=11),
        "rig": "_iblrig_behavior_0",
        "protocol": "_iblrig_tasks_trainingChoiceWorld",
        "version": "8.15.6",
        "delay": 0,
        "weight": 22.0,
        "n_trials": N_TRIALS,
        "n_correct": int(np.sum(trials["feedback_type"] == 1)),
        "contrasts": params.contrasts,
        "water": float(trials["reward_volume"].sum()),
        "reward_volume": params.reward_volume,
    }
    files.write_settings(session, info, version=8)
    return trials


def marker(session: Path) -> Path:
    """The file that appears if the pickle or the YAML tag of a damaged session is ever executed."""
    return session.absolute() / "executed.marker"


def write_object_array(path: Path, size: int, session: Path) -> None:
    """An array of Python objects: a pickle that makes the file `marker(session)` where it is loaded."""
    opens_marker = f"cbuiltins\nopen\n(V{marker(session)}\nVw\ntR.".encode()
    header = f"{{'descr': '|O', 'fortran_order': False, 'shape': ({size},), }}".ljust(117).encode() + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + opens_marker)


def write_broken_parquet(path: Path) -> None:
    """A file with the marks of Parquet and nothing valid between them."""
    path.write_bytes(b"PAR1" + bytes(range(256)) * 4 + struct.pack("<I", 512) + b"PAR1")


def kind(function: Callable[[Path], list[Expected]]) -> Callable[[Path], list[Expected]]:
    """Register a kind of damage under the name of its function."""
    KINDS[function.__name__] = function
    return function


@kind
def truncated_npy(session: Path) -> list[Expected]:
    """A copy that stopped: the header promises more values than the file holds."""
    path = _trials_file(session, "choice")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - N_TRIALS * 4])
    return [_expect(path, "truncated")]


@kind
def truncated_header(session: Path) -> list[Expected]:
    """A copy that stopped within the header of the file."""
    path = _trials_file(session, "choice")
    path.write_bytes(path.read_bytes()[:20])
    return [_expect(path, "truncated")]


@kind
def empty_file(session: Path) -> list[Expected]:
    """A file of no bytes."""
    path = _trials_file(session, "choice")
    path.write_bytes(b"")
    return [_expect(path, "empty_file")]


@kind
def object_array(session: Path) -> list[Expected]:
    """An array of Python objects: a pickle that makes the file `marker(session)` where it is loaded."""
    path = _trials_file(session, "choice")
    write_object_array(path, N_TRIALS, session)
    return [_expect(path, "object_array")]


@kind
def unreadable_parquet(session: Path) -> list[Expected]:
    """A trials table with the marks of a parquet file and nothing valid between them."""
    _trials_as_table(session)
    path = session / "alf" / "_ibl_trials.table.pqt"
    write_broken_parquet(path)
    return [_expect(path, "unreadable_file")]


@kind
def not_npy(session: Path) -> list[Expected]:
    """Text in a file that is called npy."""
    path = _trials_file(session, "choice")
    path.write_text("1\n-1\n" * 40, encoding="ascii")
    return [_expect(path, "unreadable_file")]


@kind
def unequal_length_one(session: Path) -> list[Expected]:
    """One column is a trial shorter than all the others."""
    path = _trials_file(session, "response_times")
    np.save(path, np.load(path)[:-1])
    return [_expect(path, "unequal_length", "response_times")]


@kind
def unequal_length_all(session: Path) -> list[Expected]:
    """No two columns have the same length: nothing says which is right."""
    paths = sorted((session / "alf").glob("_ibl_trials.*.npy"))
    for shorter, path in enumerate(paths):
        np.save(path, np.load(path)[: N_TRIALS - shorter])
    return [_expect(path, "unequal_length", _column(path)) for path in paths]


@kind
def trial_times_backwards(session: Path) -> list[Expected]:
    """Stimulus times that run backwards from trial to trial."""
    path = _trials_file(session, "stim_on_times")
    times = np.load(path)
    times[20:30] = times[20:30][::-1]
    np.save(path, times)
    return [_expect(path, "time_backwards", "stim_on_times")]


@kind
def wheel_times_backwards(session: Path) -> list[Expected]:
    """Wheel timestamps that jump back, as after a restart of the clock."""
    path = session / "alf" / "_ibl_wheel.timestamps.npy"
    times = np.load(path)
    times[len(times) // 2 :] -= 30
    np.save(path, times)
    return [_expect(path, "time_backwards", "timestamps")]


@kind
def choice_range(session: Path) -> list[Expected]:
    """Choices 2 and -3."""
    return _set_values(session, "choice", {3: 2, 7: -3})


@kind
def contrast_percent(session: Path) -> list[Expected]:
    """Contrasts in percent where fractions belong."""
    path = _trials_file(session, "contrast_left")
    np.save(path, np.load(path) * 100)
    return [_expect(path, "value_range", "contrast_left")]


@kind
def feedback_range(session: Path) -> list[Expected]:
    """Feedback 0 and 2."""
    return _set_values(session, "feedback_type", {3: 0, 7: 2})


@kind
def probability_range(session: Path) -> list[Expected]:
    """A probability of 80."""
    return _set_values(session, "probability_left", {5: 80.0})


@kind
def not_alf_names(session: Path) -> list[Expected]:
    """Files that are not named as ALF wants."""
    paths = [session / "alf" / name for name in ("spike_train.npy", "obj-x.a.npy", "trials choice.npy")]
    for path in paths:
        np.save(path, np.arange(3.0))
    return [_expect(path, "not_alf") for path in paths]


@kind
def symlink_file(session: Path) -> list[Expected]:
    """A link to a valid file outside the data root (`<root>.outside`, beside it)."""
    path = _trials_file(session, "choice")
    outside = _outside(session) / path.name
    path.rename(outside)
    path.symlink_to(outside.absolute())
    return [_expect(path, "symlink_outside")]


@kind
def symlink_folder(session: Path) -> list[Expected]:
    """A folder that is a link to a folder outside the data root."""
    outside = _outside(session) / "probe00"
    outside.mkdir(exist_ok=True)
    np.save(outside / "spikes.times.npy", np.arange(5.0))
    path = session / "alf" / "probe00"
    path.symlink_to(outside.absolute(), target_is_directory=True)
    return [_expect(path, "symlink_outside")]


@kind
def permission_denied(session: Path) -> list[Expected]:
    """A file nobody may read. The superuser reads it all the same: run as root, nothing is expected."""
    path = _trials_file(session, "choice")
    path.chmod(0)
    return [] if os.access(path, os.R_OK) else [_expect(path, "permission_denied")]


@kind
def duplicate_npy(session: Path) -> list[Expected]:
    """Two files for one column that disagree. One of the two entries may be missing, if the other names both files."""
    path = _trials_file(session, "choice")
    other = path.with_name("trials.choice.npy")
    np.save(other, -np.load(path))
    return [_expect(p, "duplicate_column", "choice") for p in (path, other)]


@kind
def duplicate_table_and_npy(session: Path) -> list[Expected]:
    """A table and a file of one column that disagree. One of the two entries may be missing, as in `duplicate_npy`."""
    choice = np.load(_trials_file(session, "choice"))
    _trials_as_table(session)
    path = session / "alf" / "_ibl_trials.choice.npy"
    np.save(path, -choice)
    return [_expect(p, "duplicate_column", "choice") for p in (path.with_name("_ibl_trials.table.pqt"), path)]


@kind
def bad_json(session: Path) -> list[Expected]:
    """Task settings that stop in the middle."""
    path = session / "raw_task_data_00" / "_iblrig_taskSettings.raw.json"
    path.write_bytes(path.read_bytes()[:150])
    return [_expect(path, "bad_metadata")]


@kind
def bad_yaml(session: Path) -> list[Expected]:
    """An experiment description that is not YAML."""
    path = session / "_ibl_experiment.description.yaml"
    path.write_text("projects: [one\ntasks: }{\n", encoding="utf-8")
    return [_expect(path, "bad_metadata")]


@kind
def yaml_python_tag(session: Path) -> list[Expected]:
    """An experiment description with a tag that runs code (makes `marker(session)`) in an unsafe loader."""
    path = session / "_ibl_experiment.description.yaml"
    call = f'!!python/object/apply:builtins.open [{json.dumps(str(marker(session)))}, "w"]'
    path.write_text(f"projects: {call}\n", encoding="utf-8")
    return [_expect(path, "bad_metadata")]


@kind
def impossible_date(session: Path) -> list[Expected]:
    """A session of the 45th of the 13th month."""
    path = session.parents[1] / "2020-13-45" / session.name
    path.parent.mkdir()
    session.rename(path)
    session.parent.rmdir()
    return [_expect(path, "bad_session_path")]


def _root(session: Path) -> Path:
    return session.parents[4]


def _outside(session: Path) -> Path:
    root = _root(session)
    folder = root.with_name(f"{root.name}.outside") / session.parents[1].name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _trials_file(session: Path, column: str) -> Path:
    return session / "alf" / f"_ibl_trials.{files.ALF_NAMES[column]}.npy"


def _column(path: Path) -> str:
    """Table column of a trials file; `intervals` for the two columns of intervals."""
    attribute = path.name.split(".")[1]
    return next((column for column, name in files.ALF_NAMES.items() if name == attribute), attribute)


def _expect(path: Path, reason: str, column: str = "") -> Expected:
    subjects = next(parent for parent in path.parents if parent.name == "Subjects")
    return Expected(path.relative_to(subjects.parents[1]).as_posix(), reason, column)


def _set_values(session: Path, column: str, values: dict[int, float]) -> list[Expected]:
    path = _trials_file(session, column)
    array = np.load(path)
    array[list(values)] = list(values.values())
    np.save(path, array)
    return [_expect(path, "value_range", column)]


def _trials_as_table(session: Path) -> None:
    """Put the trials of the session into a table, in place of the single files of those columns."""
    alf = session / "alf"
    trials = {column: np.load(alf / f"_ibl_trials.{name}.npy") for column, name in files.ALF_NAMES.items()}
    trials["intervals_0"], trials["intervals_1"] = np.load(alf / "_ibl_trials.intervals.npy").T
    for path in alf.glob("_ibl_trials.*.npy"):
        path.unlink()
    files.write_trials(alf, trials, "table")
