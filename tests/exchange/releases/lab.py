"""A small lab with files of all kinds that a release may hold."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from one_bridge import dataset_admin, query
from pipeline.database.bulk import insert_many
from pipeline.schemas import lab
from tests.ingest.tree import ingest, write

SESSIONS = (
    "mylab/Subjects/m1/2020-01-01/001",
    "mylab/Subjects/m1/2020-01-02/001",
    "mylab/Subjects/m2/2020-01-01/001",
)


def build(root: Path, tag: str = "paper") -> None:
    """Register sessions with trials, a table that the client cannot read as it is, and a revision; tag all."""
    for number, session in enumerate(SESSIONS):
        folder = write(root, session, probabilityLeft=np.full(6, 0.5 + number))
        np.save(folder / "alf" / "wheel.position.npy", np.arange(50.0) + number)
        np.save(folder / "alf" / "wheel.timestamps.npy", np.arange(50.0))
        pq.write_table(pa.table({"x": [1.0, 2.0 + number]}), folder / "alf" / "stimuli.table.pqt")
    revised = root / SESSIONS[0] / "alf" / "#2024-01-01#"
    revised.mkdir()
    np.save(revised / "_ibl_trials.choice.npy", np.array([-1, -1, 1, 1, -1, 0]))
    ingest(root)
    tag_all(tag)


def tag_all(tag: str, **terms: str) -> None:
    dataset_admin.define_tag(tag)
    dataset_admin.tag(tag, query.datasets(terms))


def people() -> None:
    insert_many(lab.LabMember, {"user_name": ["mia"], "full_name": ["Mia Secret"], "email": ["mia@x.org"]})


DAY = datetime.date(2020, 1, 1)
