"""Small sessions with probes whose channels have places, written as ALF files and registered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ingest.simulate.ephys.files import write_insertion
from ingest.simulate.ephys.insertion import Insertion, simulate_insertion
from pipeline.database import registry
from pipeline.schemas import ephys, histology
from pipeline.worker import drain
from tests.ingest import tree

KEY = {"lab": "lab", "subject": "m1", "session_date": "2024-05-01", "session_number": 1, "probe_label": "probe00"}
TABLES = [ephys.ClusterSet, histology.ChannelLocation, histology.ClusterLocation, histology.ClusterVoxel]
"""What is populated in these tests."""


def session(root: Path, subject: str = "m1", number: int = 1) -> Path:
    """A session with a few trials; its folder."""
    return tree.write(root, f"lab/Subjects/{subject}/2024-05-01/{number:03d}")


def probe(folder: Path, label: str = "probe00", collection: str | None = None, **options: Any) -> Insertion:
    """Write a simulated probe of a few units into a session."""
    insertion = simulate_insertion(**{"n_units": 8, "duration": 60.0, "seed": 1} | options)
    write_insertion(folder, insertion, label, collection)
    return insertion


def save(folder: Path, name: str, values: Any) -> None:
    """Write an array below `alf`, e.g. `probe00/channels.mlapdv`."""
    path = folder / "alf" / f"{name}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.asarray(values))


def remove(folder: Path, pattern: str) -> None:
    """Delete files below `alf`."""
    for path in (folder / "alf").glob(pattern):
        path.unlink()


def populate(root: Path) -> None:
    """Register what is below `root`, and fill the tables."""
    tree.ingest(root)
    drain([table for table in registry.populated_tables() if table in TABLES])
