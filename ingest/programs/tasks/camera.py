"""Times of the frames of a camera in the clock of the session."""

from __future__ import annotations

from typing import Any

import numpy as np

from ingest.programs import ffmpeg
from ingest.programs.tasks import behavior
from pipeline.analysis import camera
from pipeline.tasks.kinds import Job, TaskFailure


def times(job: Job) -> None:
    """The camera's own time stamps, brought to the session by the pulses that the state machine sent it."""
    stamps = job.inputs("{folder}/_iblrig_{label}Camera.timestamps.ssv")
    if not stamps:
        raise TaskFailure("the time stamps of the camera are missing", "copy _iblrig_…Camera.timestamps.ssv")
    own = camera.read_stamps(stamps[0].read_text(encoding="utf-8", errors="replace"))
    tasks = sorted(job.folder.glob("raw_*/_iblrig_taskData.raw.jsonable"))
    if not tasks:
        raise TaskFailure("the trials of the session are missing, which hold the pulses of the camera", "copy them")
    inner: Any = _Elsewhere(job, tasks[0].parent.relative_to(job.folder).as_posix())
    records = behavior._records(inner)
    pulses = camera.pulses(records)
    videos = job.inputs("{folder}/_iblrig_{label}Camera.raw.mp4|{folder}/_iblrig_{label}Camera.raw.avi")
    n_frames = ffmpeg.probe(videos[0]).n_frames if videos else own.size
    try:
        found = camera.align(own, pulses, n_frames)
    except ValueError as error:
        raise TaskFailure(str(error), "see the cable between camera and state machine") from None
    for note in found.notes:
        job.log(note)
    np.save(job.output(f"alf/_ibl_{job.arguments['label']}Camera.times.npy"), found.times)


class _Elsewhere:
    """The same job with the folder of a task in place of that of the camera."""

    def __init__(self, job: Job, folder: str) -> None:
        self._job, self.arguments = job, {**job.arguments, "folder": folder}

    def inputs(self, pattern: str) -> list:
        from pipeline.tasks.plan import filled

        root = self._job.folder
        return sorted(path for one in filled(pattern, self.arguments) for path in root.glob(one) if path.is_file())

    def log(self, text: str) -> None:
        self._job.log(text)
