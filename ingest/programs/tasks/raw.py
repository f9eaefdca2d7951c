"""Small raw files of a session: settings, trials, sensors. They are registered as they are."""

from __future__ import annotations

import shutil

from pipeline.alf import columns
from pipeline.tasks import description
from pipeline.tasks.kinds import Job, NothingToDo

LARGEST = 50 << 20  # byte; larger files are compressed by kinds of their own, or copied by transfers
_OF_OTHERS = (".avi", ".mp4", ".wav", ".flac", ".cbin", ".ch", ".ap.bin", ".lf.bin", ".nidq.bin")
"""What compression replaces or makes."""


def register(job: Job) -> None:
    """Hand over the description and all small raw files with ALF names."""
    count, passed = 0, 0
    for path in job.inputs(f"{description.FILE}|raw_*/*|raw_*/*/*"):
        place = path.relative_to(job.folder).as_posix()
        if path.name.startswith(".") or path.name.endswith(_OF_OTHERS):
            continue
        folder = place.rpartition("/")[0]
        is_alf = columns.parse_name(path.name) is not None and columns.parse_folder(folder) is not None
        if not is_alf or path.stat().st_size > LARGEST:
            job.log(f"{place} is left out: {'it is large' if is_alf else 'it has no ALF name'}")
            passed += 1
            continue
        shutil.copy2(path, job.output(place))
        count += 1
    if not count:
        raise NothingToDo("there are no small raw files with ALF names")
    job.log(f"{count} files registered, {passed} left out")
