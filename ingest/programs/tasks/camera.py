"""Times of the frames of a camera in the clock of the session: that of the state machine, or that of a NIDQ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ingest.programs import ffmpeg
from ingest.programs.tasks import behavior, synchronise
from pipeline.analysis import camera, frames
from pipeline.electrophysiology import clocks, wiring
from pipeline.errors import InvalidData
from pipeline.tasks import description as descriptions
from pipeline.tasks.kinds import Job, TaskFailure
from pipeline.tasks.plan import filled

_ALIKE = 0.01
"""The period of a line differs from that of the camera by less than so much of it."""
_STATED = "the experiment description says"
_SAME_S = 2e-3
"""Two lines whose pulses differ by less were made by one trigger."""


def times(job: Job) -> None:
    """The camera's own time stamps, brought to the session by the pulses that the state machine sent it."""
    told, own = _read(job)
    if own is None:
        raise TaskFailure("the time stamps of the camera are missing", "copy _iblrig_…Camera.timestamps.ssv")
    tasks = sorted(job.folder.glob("raw_*/_iblrig_taskData.raw.jsonable"))
    if not tasks:
        raise TaskFailure("the trials of the session are missing, which hold the pulses of the camera", "copy them")
    inner: Any = _Elsewhere(job, tasks[0].parent.relative_to(job.folder).as_posix())
    pulses = camera.pulses(behavior._records(inner))
    count = told.count if told is not None and len(told.count) == own.size else None
    try:
        frame_times = camera.align(own, pulses, _n_frames(job, own.size), count)
    except ValueError as error:
        raise TaskFailure(str(error), "see the cable between camera and state machine") from None
    _write(job, frame_times)


def times_nidq(job: Job) -> None:
    """The pulses that the camera sent to a NIDQ, each for the frame to which it belongs.

    Which line is the camera's, a wiring file beside the recording says; else the line whose pulses have the camera's
    period. Which pulse is that of the first frame, the camera's input pins tell, the number of the pulses, pauses of
    the camera, or a person in the experiment description (`extra_pulses`): then the QC of the times is WARNING.

    Raises
    ------
    TaskFailure : no line fits, several do, or nothing tells which pulse is that of the first frame.
    """
    told, own = _read(job)
    if told is not None and own is not None and len(told.count) < own.size - max(5, 0.001 * own.size):
        job.log(f"the frame counter has {len(told.count)} of {own.size} frames, and is not used")
        told = None
    if told is None:
        if own is None:
            raise TaskFailure("neither time stamps nor numbers of the frames are there", "copy them from the rig")
        told = frames.Embedded(frames.numbers(own))
    n_frames = _n_frames(job, len(told.count))
    if abs(len(told.count) - n_frames) > max(5, 0.001 * n_frames):
        raise TaskFailure(f"the video has {n_frames} frames, but the camera numbered {len(told.count)}",
                          "see whether all files were copied whole")  # fmt: skip
    path, rate = synchronise._nidq(job)
    with synchronise._opened(path) as recording:
        changes = clocks.read_changes(recording, with_analog=True)
    rises = {line: at[polarity > 0] / rate for line, (at, polarity) in changes.items()}
    label = job.arguments["label"]
    named = _wired(path, label)
    own_period = None if own is None else float(np.median(np.diff(own)))
    stated = _extra_pulses(job)
    fitting: dict[int, tuple[np.ndarray, str]] = {}
    close: dict[int, int] = {}
    for line, pulses in rises.items():
        if (named is not None and line != named) or len(pulses) < 2:
            continue
        period = float(np.median(np.diff(pulses)))
        if own_period is not None and abs(period / own_period - 1) > _ALIKE:
            continue
        close[line] = len(pulses)
        if len(pulses) <= told.count[-1]:
            continue
        first = frames.first_pulse(told.count, told.pins, pulses, {k: at for k, at in rises.items() if k != line})
        if first is None and own is not None:
            first = frames.by_pauses(told.count, own, pulses)
        if first is None and stated:
            extra = len(pulses) - int(told.count[-1]) - 1
            first = (extra if stated == "before" else 0), f"{_STATED} that {extra} pulses come {stated} the frames"
        if first is None:
            continue
        frame_times = pulses[first[0] + told.count]
        if own is None or own.size != len(frame_times) or _agree(frame_times, own, period):
            fitting[line] = frame_times, first[1]
    if not fitting:
        raise _unproven(path.name, label, int(told.count[-1]) + 1, close, named)
    (line, (frame_times, reason)), *others = fitting.items()
    if any(np.abs(other - frame_times).max() > _SAME_S for _, (other, _) in others):
        raise TaskFailure(
            f"lines {', '.join(map(str, fitting))} of {path.name} all fit the {label} camera, at different times",
            f"say which is its in {path.name.split('.')[0]}.nidq.wiring.json",
        )
    notes = [f"line {line} of {path.name}: {reason}"]
    if n_lost := int(told.count[-1]) + 1 - len(told.count):
        notes.append(f"the camera dropped {n_lost} frames, whose pulses are passed over")
    _write(job, frames.FrameTimes(frames.extended(frame_times, n_frames), tuple(notes)))
    if reason.startswith(_STATED):
        job.doubt(_output(job), f"{reason}, and nothing proves it")


def _unproven(name: str, label: str, n_taken: int, close: Mapping[int, int], named: int | None) -> TaskFailure:
    """Why no line gives the times of the frames, and what a person can do."""
    by_hand = "or write the times yourself (alf/_ibl_…Camera.times.npy)"
    if not close:
        where = f"line {named} of {name}, which the wiring names, does not have" if named is not None else \
                f"no line of {name} has"  # fmt: skip
        return TaskFailure(f"{where} the pulses of the {label} camera", f"see the cables, {by_hand}")
    counts = ", ".join(f"line {line} has {n} pulses" for line, n in close.items())
    if max(close.values()) < n_taken:
        return TaskFailure(
            f"{counts} of {name}, and the {label} camera took {n_taken} frames, some of them while the NIDQ did not "
            "record", f"nothing tells which: {by_hand.removeprefix('or ')}",
        )  # fmt: skip
    return TaskFailure(
        f"nothing tells which pulse is that of the first frame of the {label} camera: {counts} of {name}, and it took "
        f"{n_taken} frames; no pin of the camera saw another line, and no pause shows it",
        f"if you know where the other pulses lie, write `extra_pulses: before` or `extra_pulses: after` below devices, "
        f"cameras, {label} in {descriptions.FILE}, then restart the task (the QC of the times becomes WARNING), "
        f"{by_hand}",
    )  # fmt: skip


def _extra_pulses(job: Job) -> str:
    """Where the pulses without frames lie, as a person has stated it: before, after or nothing."""
    files = job.inputs(descriptions.FILE)
    try:
        told = descriptions.read(descriptions.parse_yaml(files[0].read_text(encoding="utf-8"))) if files else None
    except (InvalidData, UnicodeDecodeError) as error:
        raise TaskFailure(f"{descriptions.FILE} cannot be read: {error}", "correct it, then restart the task") from None
    cameras = told.labels("camera") if told else []
    return next((device.extra_pulses for device in cameras if device.label == job.arguments["label"]), "")


def _read(job: Job) -> tuple[frames.Embedded | None, np.ndarray | None]:
    """What the camera wrote into the frames, and their times by its clock (s from the first); None where it is missing.

    Raises
    ------
    TaskFailure : a file cannot be read.
    """
    base = "{folder}/_iblrig_{label}Camera"
    inputs = {name: job.inputs(f"{base}.{name}") for name in ("timestamps.ssv", "frameData.bin", "frame_counter.bin",
                                                              "GPIO.bin")}  # fmt: skip
    told, own, name = None, None, ""
    try:
        if inputs["frameData.bin"]:
            name = inputs["frameData.bin"][0].name
            told = frames.read_embedded(inputs["frameData.bin"][0].read_bytes())
            own = None if told.register is None else camera.unwrap(told.register)
        elif inputs["frame_counter.bin"]:
            name = inputs["frame_counter.bin"][0].name
            count, pins = frames.read_count(inputs["frame_counter.bin"][0].read_bytes()), None
            if inputs["GPIO.bin"]:
                name = inputs["GPIO.bin"][0].name
                pins = frames.read_pins(inputs["GPIO.bin"][0].read_bytes())
                if len(pins) != len(count):
                    raise ValueError(f"it has {len(pins)} frames, the frame counter {len(count)}")
            told = frames.Embedded(count, pins) if len(count) else None
        if own is None and inputs["timestamps.ssv"]:
            name = inputs["timestamps.ssv"][0].name
            own = camera.read_stamps(inputs["timestamps.ssv"][0].read_text(encoding="utf-8", errors="replace"))
            own = own if own.size > 1 else None
    except ValueError as error:
        raise TaskFailure(f"{name}: {error}", "see whether it was copied whole") from None
    return told, own


def _n_frames(job: Job, otherwise: int) -> int:
    """How many frames the video has; without one, as many as the camera says."""
    videos = job.inputs("{folder}/_iblrig_{label}Camera.raw.mp4|{folder}/_iblrig_{label}Camera.raw.avi")
    return ffmpeg.probe(videos[0]).n_frames if videos else otherwise


def _agree(pulses: np.ndarray, own: np.ndarray, period: float) -> bool:
    """Whether pulses and the camera's clock have the frames at the same distances, but for few."""
    far = np.abs(np.diff(pulses) - np.diff(own)) > 0.4 * period
    return float(far.mean()) < 1e-3


def _wired(recording: Any, label: str) -> int | None:
    """The digital line that the wiring file beside a recording gives to a camera; None where it does not say."""
    lines = wiring.line_names(recording)
    return next((line for line, name in lines.items() if name == f"{label}_camera" and line < wiring.WORD), None)


def _write(job: Job, frame_times: frames.FrameTimes) -> None:
    for note in frame_times.notes:
        job.log(note)
    np.save(job.output(_output(job)), frame_times.times)


def _output(job: Job) -> str:
    return f"alf/_ibl_{job.arguments['label']}Camera.times.npy"


class _Elsewhere:
    """The same job with the folder of a task in place of that of the camera."""

    def __init__(self, job: Job, folder: str) -> None:
        self._job, self.arguments = job, {**job.arguments, "folder": folder}

    def inputs(self, pattern: str) -> list:
        root = self._job.folder
        return sorted(path for item in filled(pattern, self.arguments) for path in root.glob(item) if path.is_file())

    def log(self, text: str) -> None:
        self._job.log(text)
