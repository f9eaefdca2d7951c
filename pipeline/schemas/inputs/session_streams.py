"""What the clocks of a session are made from: recordings, digital lines, timestamps beside them; and their rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.analysis.clocks import Clock
from pipeline.electrophysiology import clocks
from pipeline.electrophysiology.clocks import Changes, Stream, StreamClock
from pipeline.errors import InvalidData

SEVERITY = ("NOT_SET", "PASS", "WARNING", "FAIL", "CRITICAL")


@dataclass
class Found:
    """The recordings of a session that are here, and the clocks of timestamps files by dataset_id."""

    streams: list[Stream] = field(default_factory=list)
    timestamps: dict[str, Clock] = field(default_factory=dict)


def read(session: Mapping[str, Any]) -> tuple[Found, dict[str, Changes]]:
    """The recordings of a session, and the changes of their digital lines; the LF band has those of the AP band."""
    from pipeline.schemas import acquisition, data, ephys
    from pipeline.schemas.inputs import files

    key = {name: session[name] for name in acquisition.Session.primary_key}
    own = (data.Dataset & key & {"default_dataset": True}).proj("rel_path")
    columns = ("band", "sampling_rate", "n_samples")
    rows = (ephys.Recording.proj(*columns, label="probe_label") * own).to_dicts(order_by="rel_path")
    found = Found()
    changes: dict[str, Changes] = {}
    with_ap = {row["label"] for row in rows if row["band"] == "ap"}
    for row in rows:
        try:
            path = files.path_of(key, row["rel_path"])
        except InvalidData:  # its file is elsewhere
            continue
        stream = Stream(
            row["dataset_id"], row["rel_path"], row["band"], row["label"] or "", row["sampling_rate"],
            row["n_samples"], _first_sample(path),
        )  # fmt: skip
        found.streams.append(stream)
        if (there := clocks.timestamps_path(path)).is_file():
            found.timestamps[stream.dataset_id] = _of_band(clocks.from_file(there, stream.sampling_rate), stream, rows)
        if row["band"] != "lf" or row["label"] not in with_ap:
            with files.open_recording({"dataset_id": row["dataset_id"]}) as recording:
                changes[row["dataset_id"]] = clocks.read_changes(recording)
    return found, changes


def stream_row(one: StreamClock) -> dict[str, Any]:
    """The row of ephys.SessionClock.Stream."""
    row: dict[str, Any] = {
        "dataset_id": one.stream.dataset_id, "clock_source": one.source, "clock_samples": one.clock.source,
        "clock_times": one.clock.target, "clock_qc": one.qc, "clock_note": one.note, "clock_line": one.line,
    }  # fmt: skip
    if one.found is not None:
        row |= {
            "clock_offset": one.found.offset, "clock_drift": one.found.drift, "n_pulses": one.found.n_pulses,
            "linear_residual": one.found.linear_residual, "clock_residual": one.found.residual,
            "clock_residual_rms": one.found.residual_rms,
        }  # fmt: skip
    else:
        names = ("clock_offset", "clock_drift", "n_pulses", "linear_residual", "clock_residual", "clock_residual_rms")
        row |= dict.fromkeys(names)
    return row


def line_rows(changes: Mapping[str, Changes]) -> Iterator[dict[str, Any]]:
    """The rows of ephys.SessionClock.Line."""
    for dataset_id, lines in changes.items():
        for line, (samples, polarities) in lines.items():
            yield {
                "dataset_id": dataset_id, "line": line, "n_rising": int(np.sum(polarities > 0)),
                "n_falling": int(np.sum(polarities < 0)), "line_samples": samples, "line_polarities": polarities,
            }  # fmt: skip


def _of_band(clock: Clock, stream: Stream, rows: list[dict[str, Any]]) -> Clock:
    """Timestamps are of the AP band where a probe has both: the LF band has fewer samples."""
    if stream.band != "lf":
        return clock
    rates = [row["sampling_rate"] for row in rows if (row["band"], row["label"]) == ("ap", stream.probe_label)]
    return Clock(clock.source * (stream.sampling_rate / rates[0]), clock.target) if rates else clock


def _first_sample(path: Any) -> int | None:
    """What the device had counted to when the recording began; None where no header says it."""
    from cbin import CbinError
    from cbin.spikeglx import read_meta

    try:
        return int(read_meta(path).fields["firstSample"])
    except (CbinError, KeyError, ValueError):
        return None
