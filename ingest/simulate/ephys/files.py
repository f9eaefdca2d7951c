"""Writes a simulated insertion as ALF files below `alf/probe00`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
from iblutil.io import parquet

from .insertion import Insertion


def write_insertion(session: Path, insertion: Insertion, probe: str = "probe00", collection: str | None = None) -> Path:
    """Write the arrays of an insertion into a session folder; returns the folder of the files.

    Parameters
    ----------
    session : folder `<lab>/Subjects/<subject>/<date>/<number>`; what is absent is made.
    probe : label of the insertion.
    collection : folder below the session; by default `alf/<probe>`.
    """
    folder = Path(session) / (collection or f"alf/{probe}")
    folder.mkdir(parents=True, exist_ok=True)
    for name, attributes in insertion.objects.items():
        for attribute, values in attributes.items():
            np.save(folder / f"{name}.{attribute}.npy", values)
    metrics = pd.DataFrame({name: values.tolist() for name, values in insertion.metrics.items()})
    parquet.save(folder / "clusters.metrics.pqt", metrics)
    with (folder / "clusters.uuids.csv").open("w", newline="", encoding="utf-8") as out:
        csv.writer(out, lineterminator="\n").writerows([["uuids"], *([uuid] for uuid in insertion.uuids)])
    return folder


def write_probes(session: Path, insertions: dict[str, Insertion]) -> None:
    """Write `probes.description.json` and `probes.trajectory.json` (um, deg) of all probes of a session."""
    described = [{"label": label, "model": "NP1", "serial": serial_of(label)} for label in insertions]
    planned = [{"label": label, **one.truth["trajectory"]} for label, one in insertions.items()]
    for name, content in (("description", described), ("trajectory", planned)):
        (Path(session) / "alf" / f"probes.{name}.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def serial_of(label: str) -> int:
    """Serial number of a probe; the probe of a label is the same in all sessions."""
    return 18_005_110_000 + int("".join(c for c in label if c.isdigit()) or 0)
