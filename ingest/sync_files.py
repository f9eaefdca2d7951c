"""Writes what is known of the clocks of a session as ALF files: `timestamps` of recordings, `sync` objects."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ingest.one_session import register_session
from ingest.programs.sorting.sessions import session_of
from ingest.rows.repository import existing
from pipeline.analysis.clocks import Clock
from pipeline.electrophysiology import clocks
from pipeline.errors import InvalidData, NeurojointError
from pipeline.schemas import data, ephys
from pipeline.schemas.inputs import local_copies
from pipeline.unfinished import unfinished

NAMESPACE = "spikeglx"
"""As the acquisition's own sync objects are called: `_spikeglx_sync.times`."""


@dataclass
class Written:
    """What became of the files of a session."""

    files: list[Path] = field(default_factory=list)
    there: list[Path] = field(default_factory=list)  # that were there already, and stay


def write(session: Path | str) -> Written:
    """Write `<recording>.timestamps.npy` and `_spikeglx_sync.*` beside the recordings of a session, and register them.

    Timestamps are rows of sample and time (s from session start), of the knots of the clock and of both ends of the
    recording. A sync object has a row for each change of a digital line: `times` (s from session start), `channels`
    (the line) and `polarities` (1 rises, -1 falls); where lines have names, `_spikeglx_syncLines.table.csv` says which
    channel is called how, and how often it rises and falls. Files that are there are left as they are. A recording
    that could not be aligned has no timestamps: its times would only look like session time.

    Parameters
    ----------
    session : the folder of a registered session.

    Raises
    ------
    NeurojointError : the session is not registered, or its clocks are not computed.
    """
    repository, base, path, key = session_of(existing(Path(session)))
    session_key = dict(zip(("lab", "subject", "session_date", "session_number"), key, strict=True))
    rows = (ephys.SessionClock.Stream & session_key).to_dicts()
    if not rows:
        raise NeurojointError(f"the clocks of {path} are not computed", "run `neurojoint work` first")
    made = Written()
    for row in rows:
        chosen = {"dataset_id": row["dataset_id"]}
        recording = ((ephys.Recording & chosen).proj("n_samples", "band") * data.Dataset.proj("rel_path")).fetch1()
        try:
            file = local_copies.path_of(session_key, recording["rel_path"])
        except InvalidData:  # it is elsewhere
            continue
        if not file.is_relative_to(base):
            continue
        clock = Clock(row["clock_samples"], row["clock_times"])
        if row["clock_source"] in ("aligned", "reference") and recording["band"] != "lf":
            _save(made, clocks.timestamps_path(file), clocks.table_of(clock, recording["n_samples"]))
        lines = (ephys.SessionClock.Line & session_key & chosen).to_dicts(order_by="line")
        if lines and row["clock_source"] != "unaligned":
            for name, values in sync_object(lines, clock).items():
                _save(made, file.parent / f"_{NAMESPACE}_sync.{name}.npy", values)
            if any(line["line_name"] for line in lines):
                _save_names(made, file.parent / f"_{NAMESPACE}_syncLines.table.csv", lines)
    if made.files:
        register_session(repository, base, key, path, {})
    return made


def sync_object(lines: list[dict[str, Any]], clock: Clock) -> dict[str, np.ndarray]:
    """The columns of a sync object from rows of ephys.SessionClock.Line, in order of time."""
    samples = np.concatenate([line["line_samples"] for line in lines])
    channels = np.repeat([line["line"] for line in lines], [len(one["line_samples"]) for one in lines])
    polarities = np.concatenate([line["line_polarities"] for line in lines])
    order = np.lexsort((channels, samples))
    return {
        "times": clock.convert(samples[order]),
        "channels": channels[order].astype(np.int16),
        "polarities": polarities[order].astype(np.int8),
    }


def _save_names(made: Written, path: Path, lines: list[dict[str, Any]]) -> None:
    if path.exists():
        made.there.append(path)
        return
    with unfinished(path) as partial:
        with partial.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(["channel", "name", "n_rising", "n_falling"])
            rows.writerows(
                [line["line"], line["line_name"] or "", line["n_rising"], line["n_falling"]] for line in lines
            )
        partial.rename(path)
    made.files.append(path)


def _save(made: Written, path: Path, values: np.ndarray) -> None:
    if path.exists():
        made.there.append(path)
        return
    with unfinished(path) as partial:
        with partial.open("wb") as file:
            np.save(file, values)
        partial.rename(path)
    made.files.append(path)
