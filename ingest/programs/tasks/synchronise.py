"""Clocks of a session with a NIDQ: recordings against its lines, then trials and wheel of the state machine's clock.

Session time counts from the first sample of the NIDQ. Nothing is written whose clock is not shown by pulses.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cbin
import numpy as np
from cbin import CbinError
from cbin.spikeglx import read_meta

from ingest.programs.tasks import behavior
from pipeline.analysis.clocks import Alignment, Clock, align
from pipeline.electrophysiology import clocks
from pipeline.electrophysiology.clocks import Changes, Stream
from pipeline.tasks.kinds import Job, TaskFailure

NAMESPACE = "spikeglx"
SHORT_S = 1.5e-3
"""State machines mark the start of a trial by a pulse shorter than this; their other pulses are longer."""
FEWEST_TRIALS = 4
LARGEST_RESIDUAL_S = 2e-3
SHARE = 0.9
"""Of the trials that a line must have marked to be that of the state machine."""
_BANDS = ("nidq", "ap", "lf")


def recordings(job: Job) -> None:
    """Write the clock of each recording, and the changes of the digital lines in session time."""
    streams, changes, folders = _read(job)
    stream_clocks = clocks.session_clocks(streams, changes, {})
    lost = []
    for number, told in enumerate(stream_clocks):
        job.progress((number + 1) / len(stream_clocks), "writing")
        name = told.stream.rel_path
        if told.source == "unaligned":
            lost.append(f"{name}: {told.note}")
            continue
        if told.alignment is not None:
            job.log(f"{name}: line {told.line}, {told.alignment.n_pulses:,} pulses, {told.alignment.drift:+.2f} ppm, "
                    f"{told.alignment.residual * 1e3:.3f} ms at most from pulses, {told.qc}")  # fmt: skip
        if told.qc == "FAIL":
            lost.append(f"{name}: its pulses do not fit those of the reference")
            continue
        if told.stream.band == "lf":  # it has the clock of the AP band, in whose file that is
            continue
        target = clocks.timestamps_path(folders[name])
        np.save(
            job.output(target.relative_to(job.folder).as_posix()), clocks.table_of(told.clock, told.stream.n_samples)
        )
        if lines := changes.get(name):
            base = folders[name].parent.relative_to(job.folder).as_posix()
            for attribute, values in sync_object(lines, told.clock).items():
                np.save(job.output(f"{base}/_{NAMESPACE}_sync.{attribute}.npy"), values)
    for words in lost:
        job.log(f"no clock: {words}")
    if lost:
        raise TaskFailure(f"{len(lost)} of {len(stream_clocks)} recordings have no clock: {lost[0]}",
                          "see the cables of the sync line, or give the clock as …timestamps.npy")  # fmt: skip


def trials(job: Job) -> None:
    """The trials in session time."""
    clock = state_machine_clock(job)
    behavior.trials(job, clock.convert)


def wheel(job: Job) -> None:
    """Position and movements of the wheel in session time."""
    clock = state_machine_clock(job)
    behavior.wheel(job, clock.convert)


def state_machine_clock(job: Job) -> Clock:
    """From the clock of the state machine to session time, by the starts of trials on a line of the NIDQ.

    Raises
    ------
    TaskFailure : no line has them.
    """
    starts = behavior.trial_starts(job)
    path, rate = _nidq(job)
    with _opened(path) as recording:
        lines = clocks.read_changes(recording, with_analog=True)
    best = state_machine_line(starts, lines, rate)
    if best is None:
        raise TaskFailure(
            f"no line of {path.name} has the starts of the {len(starts)} trials",
            "see the cable between state machine and NIDQ",
        )
    line, alignment = best
    job.log(f"state machine on line {line} of {path.name}: {alignment.n_pulses} of {len(starts)} trials, "
            f"{alignment.drift:+.2f} ppm, {alignment.residual * 1e3:.3f} ms at most from pulses")  # fmt: skip
    if alignment.n_pulses < len(starts):
        job.log(f"{len(starts) - alignment.n_pulses} trials were not marked: their times are between those of others")
    return alignment.clock


def state_machine_line(starts: np.ndarray, lines: Changes, rate: float) -> tuple[int, Alignment] | None:
    """The line on which a state machine marked the starts of its trials, and how its clock becomes the line's.

    Parameters
    ----------
    starts : (n,) of trials, s in the clock of the state machine.
    lines : line -> samples and polarities of its changes.
    rate : samples/s of the lines.

    Returns
    -------
    None where no line has nine in ten of the trials within 2 ms, or where two have.
    """
    good: dict[int, Alignment] = {}
    for line, (samples, polarities) in lines.items():
        for pulses in _candidates(samples / rate, polarities):
            alignment = align(starts, pulses) if len(pulses) >= FEWEST_TRIALS else None
            fits = alignment is not None and alignment.residual <= LARGEST_RESIDUAL_S
            if alignment is not None and fits and alignment.n_pulses >= max(SHARE * len(starts), FEWEST_TRIALS):
                good.setdefault(line, alignment)
    return next(iter(good.items())) if len(good) == 1 else None


def _candidates(times: np.ndarray, polarities: np.ndarray) -> list[np.ndarray]:
    """Rising edges that may be starts of trials: those of short pulses, then all."""
    rises, falls = times[polarities > 0], times[polarities < 0]
    if not len(rises) or not len(falls):
        return []
    ends = np.searchsorted(falls, rises, side="right")
    lengths = np.where(ends < len(falls), falls[np.minimum(ends, len(falls) - 1)] - rises, np.inf)
    short = rises[lengths < SHORT_S]
    return [short, rises] if 0 < len(short) < len(rises) else [rises]


def sync_object(lines: Changes, clock: Clock) -> Mapping[str, np.ndarray]:
    """The columns of a sync object, in order of time."""
    samples = np.concatenate([at for at, _ in lines.values()])
    channels = np.repeat(list(lines), [len(at) for at, _ in lines.values()])
    polarities = np.concatenate([sign for _, sign in lines.values()])
    order = np.lexsort((channels, samples))
    return {
        "times": clock.convert(samples[order]), "channels": channels[order].astype(np.int16),
        "polarities": polarities[order].astype(np.int8),
    }  # fmt: skip


def _read(job: Job) -> tuple[list[Stream], dict[str, Changes], dict[str, Path]]:
    """The recordings of a session, the changes of their lines, and their files; by path below the session."""
    streams: list[Stream] = []
    changes: dict[str, Changes] = {}
    files: dict[str, Path] = {}
    for band in _BANDS:
        ends = [f"*.{band}.bin", f"*.{band}.cbin"]
        for path in job.inputs("|".join(f"{{folder}}/{end}|{{folder}}/*/{end}" for end in ends)):
            if path.suffix == ".bin" and path.with_suffix(".cbin").is_file():
                continue
            name = path.relative_to(job.folder).as_posix()
            job.progress(0.0, f"reading {path.name}")
            with _opened(path) as recording:
                rate, n_samples = float(recording.sample_rate), int(recording.n_samples)
                if band != "lf":
                    changes[name] = clocks.read_changes(recording, with_analog=band == "nidq")
            probe = "" if band == "nidq" else path.parent.name
            streams.append(Stream(name, name, band, probe, rate, n_samples, _first_sample(path)))
            files[name] = path
    if not any(stream.band == "nidq" for stream in streams):
        raise TaskFailure("the recording of the NIDQ is missing", "copy …nidq.bin and its .meta")
    return streams, changes, files


def _nidq(job: Job) -> tuple[Path, float]:
    paths = sorted({*job.folder.glob("raw_ephys_data/*.nidq.bin"), *job.folder.glob("raw_ephys_data/*.nidq.cbin")})
    whole = [path for path in paths if path.suffix == ".cbin" or not path.with_suffix(".cbin").is_file()]
    if len(whole) != 1:
        raise TaskFailure(f"the session has {len(whole)} recordings of the NIDQ, not one",
                          "which one holds the trials is not known: keep that in raw_ephys_data")  # fmt: skip
    with _opened(whole[0]) as recording:
        return whole[0], float(recording.sample_rate)


def _first_sample(path: Path) -> int | None:
    """What the device had counted to when the recording began; None where no header says it."""
    try:
        return int(read_meta(path).fields["firstSample"])
    except (CbinError, KeyError, ValueError, OSError):
        return None


def _opened(path: Path) -> Any:
    try:
        return cbin.open(path)
    except cbin.CbinError as error:
        raise TaskFailure(f"{path.name} cannot be read: {error.problem}", error.remedy or "") from None
