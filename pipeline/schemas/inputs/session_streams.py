"""What the clocks of a session are made from: recordings, digital lines, timestamps beside them; and their rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cbin import CbinError
from cbin.spikeglx import read_meta

from pipeline.analysis.clocks import Clock
from pipeline.database import registry
from pipeline.electrophysiology import clocks, raw_formats, wiring
from pipeline.electrophysiology.clocks import Changes, Stream, StreamClock
from pipeline.errors import InvalidData
from pipeline.schemas.inputs import files, local_copies

BESIDE = (".timestamps.npy", "/timestamps.npy", "/sample_numbers.npy", "/states.npy", "/channel_states.npy",
          "Camera.times.npy", ".wiring.json", ".nev")  # fmt: skip
"""Ends of the paths of files, beside recordings, that say when something was."""

acquisition = registry.tables_of("acquisition")
data = registry.tables_of("data")
ephys = registry.tables_of("ephys")

SEVERITY = ("NOT_SET", "PASS", "WARNING", "FAIL", "CRITICAL")


@dataclass
class Found:
    """The recordings of a session that are here, and the clocks of timestamps files by dataset_id."""

    streams: list[Stream] = field(default_factory=list)
    timestamps: dict[str, Clock] = field(default_factory=dict)
    line_names: dict[str, dict[int, str]] = field(default_factory=dict)  # dataset_id -> line -> its name
    cameras: dict[str, np.ndarray] = field(default_factory=dict)  # name -> times of the frames, s


def read(session: Mapping[str, Any]) -> tuple[Found, dict[str, Changes]]:
    """The recordings of a session, and the changes of their digital lines; the LF band has those of the AP band."""
    key = {name: session[name] for name in acquisition.Session.primary_key}
    own = (data.Dataset & key & {"default_dataset": True}).proj("rel_path")
    columns = ("band", "sampling_rate", "n_samples")
    rows = (ephys.Recording.proj(*columns, label="probe_label") * own).to_dicts(order_by="rel_path")
    inputs = Found()
    changes: dict[str, Changes] = {}
    by_system: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    with_ap = {row["label"] for row in rows if row["band"] == "ap"}
    for row in rows:
        try:
            path = local_copies.path_of(key, row["rel_path"])
        except InvalidData:  # its file is elsewhere
            continue
        stream = Stream(
            row["dataset_id"], row["rel_path"], row["band"], row["label"] or "", row["sampling_rate"],
            row["n_samples"], _first_sample(path),
        )  # fmt: skip
        inputs.streams.append(stream)
        is_foreign = raw_formats.format_of(row["rel_path"]) is not None
        if (there := clocks.timestamps_path(path)).is_file():
            inputs.timestamps[stream.dataset_id] = _of_band(clocks.from_file(there, stream.sampling_rate), stream, rows)
        elif is_foreign and (told := raw_formats.own_times(path, row["rel_path"])) is not None:
            by_system[stream.dataset_id] = told
        lines = raw_formats.own_changes(path, row["rel_path"]) if is_foreign else {}
        n_words = 1
        if lines:
            changes[row["dataset_id"]] = lines
        elif row["band"] != "lf" or row["label"] not in with_ap or is_foreign:
            with files.open_recording({"dataset_id": row["dataset_id"]}) as recording:
                changes[row["dataset_id"]] = clocks.read_changes(recording, row["band"] in ("nidq", "obx"))
                n_words = clocks.n_words(recording)
        if changes.get(row["dataset_id"]):
            named = raw_formats.line_names(path, row["rel_path"]) if is_foreign else {}
            inputs.line_names[row["dataset_id"]] = named | wiring.line_names(path, n_words)
    inputs.cameras = _cameras(key)
    inputs.timestamps |= clocks.from_own_times(inputs.streams, by_system)
    return inputs, changes


def stream_row(one: StreamClock) -> dict[str, Any]:
    """The row of ephys.SessionClock.Stream."""
    row: dict[str, Any] = {
        "dataset_id": one.stream.dataset_id, "clock_source": one.source, "clock_samples": one.clock.source,
        "clock_times": one.clock.target, "clock_qc": one.qc, "clock_note": one.note[:255], "clock_line": one.line,
    }  # fmt: skip
    if one.alignment is not None:
        row |= {
            "clock_offset": one.alignment.offset, "clock_drift": one.alignment.drift, "n_pulses": one.alignment.n_pulses,
            "linear_residual": one.alignment.linear_residual, "clock_residual": one.alignment.residual,
            "clock_residual_rms": one.alignment.residual_rms,
        }  # fmt: skip
    else:
        names = ("clock_offset", "clock_drift", "n_pulses", "linear_residual", "clock_residual", "clock_residual_rms")
        row |= dict.fromkeys(names)
    return row


def _cameras(key: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The times of the frames of each camera of a session that has them."""
    rows = (data.AlfObject & key & "object_name LIKE '%%Camera'").to_dicts(order_by="object_collection DESC")
    times_of_cameras: dict[str, np.ndarray] = {}
    for row in rows:
        if "times" in row["accepted_columns"].split(","):
            name, collection = row["object_name"], row["object_collection"]
            with contextlib.suppress(InvalidData):
                times_of_cameras[name] = files.read_object(key, name, ("times",), collection).values["times"]
    return times_of_cameras


def camera_rows(inputs: Found, made: list[StreamClock], changes: Mapping[str, Changes]) -> Iterator[dict[str, Any]]:
    """The rows of ephys.SessionClock.Camera."""
    own = {item.stream.dataset_id: item.clock for item in made if item.stream.band in ("nidq", "obx") or len(made) == 1}
    lines = {
        (dataset_id, line): own[dataset_id].convert(samples[polarities > 0])
        for dataset_id, changed in changes.items()
        if dataset_id in own
        for line, (samples, polarities) in changed.items()
    }
    for name, times in inputs.cameras.items():
        one = clocks.camera_clock(name, times, lines)
        yield {
            "camera": name.removesuffix("Camera"), "dataset_id": one.dataset_id, "camera_line": one.line, "n_timed_frames": one.n_frames,
            "n_camera_pulses": one.n_pulses, "n_matched": one.n_matched, "camera_offset": one.offset,
            "camera_drift": one.drift, "camera_residual": one.residual, "camera_qc": one.qc,
        }  # fmt: skip


def line_rows(
    changes: Mapping[str, Changes], names: Mapping[str, Mapping[int, str]] | None = None
) -> Iterator[dict[str, Any]]:
    """The rows of ephys.SessionClock.Line; `names` are dataset_id -> line -> its name."""
    for dataset_id, lines in changes.items():
        for line, (samples, polarities) in lines.items():
            yield {
                "dataset_id": dataset_id, "line": line,
                "line_name": (names or {}).get(dataset_id, {}).get(line, "")[:128] or None, "n_rising": int(np.sum(polarities > 0)),
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
    try:
        return int(read_meta(path).fields["firstSample"])
    except (CbinError, KeyError, ValueError):
        return None
