"""Sorted and measured spikes as ALF files, which appear under their final name all at once."""

from __future__ import annotations

import csv
import datetime
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from iblutil.io import parquet

from ingest.programs.sorting.measures import Measured
from ingest.programs.sorting.results import Sorted
from pipeline.alf.identity import NAMESPACE
from pipeline.analysis import spikes

SAYS = "_neurojoint_sorting.run.json"
"""Lies beside the files: sorter, version, parameters and their hash, recording."""
UNFINISHED = ".sorting-"
"""Begins the name of a folder that is being written; the registration passes over hidden folders."""


def write(
    folder: Path,
    result: Sorted,
    measured: Measured,
    times: np.ndarray,
    positions: np.ndarray,
    raw_channels: np.ndarray,
    says: Mapping[str, Any],
) -> None:
    """Write all files of a sorting into `folder`.

    Clusters are numbered from 0; `clusters.metrics.pqt` has the sorter's own numbers as `sorter_cluster_id`.

    Parameters
    ----------
    times : of the spikes, s from session start.
    positions : channels x 2, um, across and along the shank.
    raw_channels : column of each channel in the raw file.
    says : what goes into `_neurojoint_sorting.run.json`; its `identity` names the uuids of the units.
    """
    numbers, clusters, counts = spikes.number(result.clusters)
    means = {
        name: np.bincount(clusters, values) / counts
        for name, values in (("amps", measured.amps), ("depths", measured.depths))
    }
    arrays = {
        "spikes.times": times,
        "spikes.samples": result.samples,
        "spikes.clusters": clusters,
        "spikes.templates": clusters,
        "spikes.amps": measured.amps,
        "spikes.depths": measured.depths,
        "clusters.channels": measured.waveforms_channels[:, 0],
        "clusters.amps": means["amps"],
        "clusters.depths": means["depths"],
        "clusters.peakToTrough": measured.peak_to_trough,
        "clusters.waveforms": measured.waveforms,
        "clusters.waveformsChannels": measured.waveforms_channels,
        "templates.waveforms": measured.waveforms,
        "templates.waveformsChannels": measured.waveforms_channels,
        "channels.localCoordinates": positions,
        "channels.rawInd": raw_channels,
    }
    write_arrays(folder, arrays, numbers, counts, result.labels, says, result.names)


def write_arrays(
    folder: Path,
    arrays: Mapping[str, np.ndarray],
    numbers: np.ndarray,
    counts: np.ndarray,
    labels: Mapping[int, str],
    says: Mapping[str, Any],
    unit_names: Mapping[int, str] | None = None,
) -> None:
    """Write arrays (object.attribute -> values) and the tables of the units into `folder`.

    Parameters
    ----------
    numbers, counts : of the units in order: how the sorter numbers them, and their spikes.
    labels : sorter's number -> label.
    says : as in `write`.
    unit_names : sorter's number -> its name, where that is more than the number.
    """
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    metrics: dict[str, Any] = {
        "cluster_id": np.arange(len(numbers), dtype=np.int32),
        "sorter_cluster_id": numbers,
        "ks2_label": [labels.get(number) for number in numbers.tolist()],
        "spike_count": counts,
    }
    if not any(metrics["ks2_label"]):
        del metrics["ks2_label"]
    if unit_names:
        metrics["unit_name"] = [unit_names.get(number) for number in numbers.tolist()]
    parquet.save(folder / "clusters.metrics.pqt", pa.table(metrics).to_pandas())
    with (folder / "clusters.uuids.csv").open("w", newline="", encoding="utf-8") as out:
        names = [str(uuid.uuid3(NAMESPACE, f"{says['identity']}/{number}")) for number in numbers.tolist()]
        csv.writer(out, lineterminator="\n").writerows([["uuids"], *([item] for item in names)])
    (folder / SAYS).write_text(json.dumps(dict(says), indent=1, sort_keys=True), encoding="utf-8")


def unfinished(place: Path) -> Path:
    """A new hidden folder beside `place`, on the same disk; what killed runs left there is deleted."""
    place.parent.mkdir(parents=True, exist_ok=True)
    for left in place.parent.glob(f"{UNFINISHED}{place.name}-*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = place.parent / f"{UNFINISHED}{place.name}-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    return folder


def publish(folder: Path, place: Path, day: datetime.date | None = None) -> Path:
    """Rename a finished folder to `place`, or, where that is there, to a new revision in it; returns the final folder.

    Revisions are named `#2024-05-06#`, further ones of a day `#2024-05-06a#`, `#2024-05-06b#`, …
    """
    for file in folder.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())
    if not place.exists():
        try:
            return folder.rename(place)
        except OSError:  # another program made it meanwhile
            if not place.exists():
                raise
    if not list(place.glob("spikes.*")) and not list(place.glob("#*#")):  # the folder of a sorter, beside whose files
        for file in sorted(folder.iterdir(), key=lambda file: file.name == SAYS):
            file.rename(place / file.name)
        folder.rmdir()
        return place
    day = day or datetime.datetime.now(datetime.UTC).date()
    taken = {path.name for path in place.iterdir()}
    suffixes = ["", *"abcdefghijklmnopqrstuvwxyz"]
    free = [name for name in (f"#{day.isoformat()}{suffix}#" for suffix in suffixes) if name not in taken]
    return folder.rename(place / free[0])


def find(place: Path, parameters_hash: str, recording_hash: str) -> Path | None:
    """The folder that holds the results of this sorting already, as a run leaves that was killed before it said so."""
    for path in [place / SAYS, *sorted(place.glob(f"#*#/{SAYS}"), reverse=True)]:
        try:
            says = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if (says.get("parameters_hash"), says.get("recording_hash")) == (parameters_hash, recording_hash):
            return path.parent
    return None
