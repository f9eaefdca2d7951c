"""Thousands of tiny valid sessions, fast: the load for registration benchmarks."""

# ruff: noqa: PTH103, PTH118, PTH120, PTH123 (hundreds of thousands of files: str paths cost a third of Path objects)

from __future__ import annotations

import io
import os
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from .files import ALF_NAMES
from .session import SessionParams, simulate_trials

_PER_SUBJECT = 80  # sessions of one subject
_TIMES = "times", "timestamps", "intervals"
_START = date(2019, 1, 7)


def write_many(
    root: Path | str,
    n_sessions: int,
    files_per_session: int = 25,
    lab: str = "manylab",
    n_trials: int = 12,
    seed: int = 0,
    workers: int | None = None,
) -> Path:
    """Write `n_sessions` sessions of `files_per_session` small valid ALF files each; returns the lab's folder.

    The trials of a session are complete (one of 64 simulated sessions of `n_trials` trials); its time columns are
    shifted by a session's own milliseconds, so that their bytes, unlike those of choices and contrasts, differ between
    sessions. From the 21st file on, the files are a probe's clusters and channels. The same arguments give the same
    bytes whatever the number of `workers` (default: one per core).
    """
    root = Path(root)
    lab_folder = root / lab / "Subjects"
    lab_folder.mkdir(parents=True)
    workers = workers or os.cpu_count() or 1
    subjects = range(0, n_sessions, _PER_SUBJECT)
    tasks = [(lab_folder, s, min(s + _PER_SUBJECT, n_sessions), files_per_session, n_trials, seed) for s in subjects]
    if workers == 1 or len(tasks) == 1:
        for task in tasks:
            _write_subject(task)
    else:
        with ProcessPoolExecutor(workers) as pool:
            list(pool.map(_write_subject, tasks))
    return root / lab


def _write_subject(task: tuple[Path, int, int, int, int, int]) -> None:
    lab_folder, first, last, n_files, n_trials, seed = task
    subject = lab_folder / f"many_{first // _PER_SUBJECT + 1:04d}"
    for index in range(first, last):
        day = _START + timedelta(days=index - first)
        session = os.path.join(subject, f"{day:%Y-%m-%d}", "001")
        folders = set()
        for name, header, values, is_time in _template(index % 64, n_files, n_trials, seed):
            path = f"{session}/{name}"
            folder = os.path.dirname(path)
            if folder not in folders:
                os.makedirs(folder, exist_ok=True)
                folders.add(folder)
            with open(path, "wb", buffering=0) as out:
                out.write(header + (values + index * 1e-3 if is_time else values).tobytes())


def _template(variant: int, n_files: int, n_trials: int, seed: int) -> list[tuple[str, bytes, np.ndarray, bool]]:
    """Relative path, npy header, values and whether they are times, for each file of one variant."""
    key = variant, n_files, n_trials, seed
    if key not in _templates:
        _templates[key] = [
            (name, _header(values), values, name.rsplit(".", 2)[-2].split("_")[-1] in _TIMES)
            for name, values in _arrays(*key)
        ]
    return _templates[key]


_templates: dict[tuple[int, int, int, int], list[tuple[str, bytes, np.ndarray, bool]]] = {}


def _arrays(variant: int, n_files: int, n_trials: int, seed: int) -> list[tuple[str, np.ndarray]]:
    rng = np.random.default_rng([seed, variant])
    trials = simulate_trials(SessionParams(n_trials=n_trials, stim_on_missing=0.0), rng)
    arrays = [("alf/_ibl_trials.intervals.npy", np.column_stack([trials["intervals_0"], trials["intervals_1"]]))]
    arrays += [(f"alf/_ibl_trials.{ALF_NAMES[k]}.npy", v) for k, v in trials.items() if k in ALF_NAMES]
    arrays.append(("alf/licks.times.npy", np.sort(rng.uniform(0, 60, 20))))
    probe = 0
    while len(arrays) < n_files:
        folder = f"alf/probe{probe:02d}"
        n_clusters, n_channels = 5, 8
        arrays += [
            (f"{folder}/clusters.channels.npy", rng.integers(0, n_channels, n_clusters)),
            (f"{folder}/clusters.depths.npy", rng.uniform(0, 3840, n_clusters)),
            (f"{folder}/clusters.amps.npy", rng.uniform(5e-5, 3e-4, n_clusters)),
            (f"{folder}/channels.rawInd.npy", np.arange(n_channels)),
            (f"{folder}/channels.localCoordinates.npy", rng.uniform(0, 3840, (n_channels, 2))),
        ]
        probe += 1
    return arrays[:n_files]


def _header(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()[: -values.nbytes]
