"""Small sessions with sorted spikes for the tests, of which everything is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import ingest
from pipeline import worker
from pipeline.database import registry
from pipeline.provenance import staleness
from tests.ingest import tree

SESSION = "lab/Subjects/mouse/2024-05-01/001"
N_CHANNELS = 12


def sorting(seed: int = 0, n_units: int = 5, seconds: float = 60.0, ids: list[int] | None = None) -> dict[str, Any]:
    """Files of a clustering (object.attribute -> array) of units that fire at 2, 4, 6 … Hz, in order of time."""
    chance = np.random.default_rng(seed)
    counts = [int(2 * (unit + 1) * seconds) for unit in range(n_units)]
    times = np.concatenate([chance.uniform(0, seconds, count) for count in counts])
    units = np.repeat(np.arange(n_units), counts)
    order = np.argsort(times)
    times, units = times[order], units[order]
    depths = 200.0 * (units + 1) + chance.normal(0, 5, len(units))
    return {
        "spikes.times": times,
        "spikes.clusters": (np.asarray(ids or np.arange(n_units))[units]).astype(np.int32),
        "spikes.amps": (60e-6 + 20e-6 * units) * chance.uniform(0.8, 1.2, len(units)),
        "spikes.depths": depths,
        "clusters.channels": np.arange(n_units),
        "clusters.depths": 200.0 * (np.arange(n_units) + 1),
        "clusters.amps": 60e-6 + 20e-6 * np.arange(n_units),
        "clusters.peakToTrough": 0.3 + 0.1 * np.arange(n_units),
        "channels.localCoordinates": np.column_stack([np.full(N_CHANNELS, 16.0), 20.0 * np.arange(N_CHANNELS)]),
    }


def write(root: Path, files: dict[str, Any], collection: str = "alf/probe00", session: str = SESSION) -> Path:
    """Write arrays as npy and strings as text (csv) below a session; returns the folder."""
    folder = root / session / collection
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in files.items():
        if isinstance(values, str):
            (folder / f"{name}.csv").write_text(values)
        elif values is not None:
            np.save(folder / f"{name}.npy", values)
    return folder


def tuned(root: Path) -> dict[str, Any]:
    """Five units, of which unit 2 also fires after stimuli on the right and the others fire at random."""
    files = sorting(3)
    extra = np.concatenate([6.0 + 2 * np.arange(20) + delay for delay in np.linspace(0.05, 0.25, 9)])
    rows = np.searchsorted(files["spikes.times"], extra)
    for name, values in {"times": extra, "clusters": 2, "amps": 1e-4, "depths": 600.0}.items():
        files[f"spikes.{name}"] = np.insert(files[f"spikes.{name}"], rows, values)
    order = np.argsort(files["spikes.times"], kind="stable")
    for name in ("times", "clusters", "amps", "depths"):
        files[f"spikes.{name}"] = files[f"spikes.{name}"][order]
    write(root, files)
    return files


def trials(root: Path, session: str = SESSION, **columns: Any) -> None:
    """Forty trials, one a second, stimuli left and right in turn; keyword arguments replace ALF attributes."""
    start = 5.0 + np.arange(40.0)
    side = np.arange(40) % 2
    given = {
        "intervals": np.column_stack([start - 0.3, start + 0.6]),
        "stimOn_times": start,
        "goCue_times": start + 0.01,
        "firstMovement_times": start + 0.2,
        "response_times": start + 0.3,
        "feedback_times": start + 0.31,
        "choice": np.where(np.arange(40) % 4 < 2, 1, -1),
        "feedbackType": np.where(np.arange(40) % 3, 1, -1),
        "contrastLeft": np.where(side == 0, 1.0, np.nan),
        "contrastRight": np.where(side == 1, 0.25, np.nan),
        "probabilityLeft": np.where(np.arange(40) < 20, 0.8, 0.2),
    }
    tree.write(root, session, **(given | columns))


def bring_up_to_date(root: Path) -> None:
    """Register, refresh and compute; fails where a job does."""
    ingest.register(root, processes=1)
    staleness.refresh()
    tables = registry.populated_tables()
    worker.drain(tables)
    failed = [row["error_message"] for table in tables for row in table().jobs.errors.to_dicts()]
    assert not failed, failed
