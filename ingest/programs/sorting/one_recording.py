"""One recording through one sorter: its job, the program, what that found, measured and written as ALF files.

`neurojoint sort` and the task kind `sort_spikes` both do it so; they differ in where they take the recording from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cbin
import numpy as np

from ingest.programs.sorting import alf_files, job, measures, process, results
from ingest.programs.sorting.job import Job
from pipeline.analysis import spikes


@dataclass(frozen=True)
class Samples:
    """The raw samples of a probe as sorters read them: int16, channels fastest.

    Attributes
    ----------
    sampling_rate : Hz
    n_channels : columns of the file
    n_samples : of each channel
    lateral, axial : um, of each neural channel
    shank : of each neural channel
    volts_per_bit : of each neural channel
    """

    path: Path
    sampling_rate: float
    n_channels: int
    n_samples: int
    lateral: Sequence[float]
    axial: Sequence[float]
    shank: Sequence[int]
    volts_per_bit: Sequence[float]


def prepare(folder: Path, samples: Samples, sorter: str, parameters: Mapping[str, Any], threads: int) -> Job:
    """The job of a sorter, written into `folder`, with its empty folders for results and scratch."""
    output, scratch = folder / "output", folder / "sorter"
    output.mkdir()
    scratch.mkdir()
    made = Job(
        sorter=sorter, recording=str(samples.path), sampling_rate=samples.sampling_rate,
        n_channels=samples.n_channels, n_samples=samples.n_samples, channels=list(range(len(samples.lateral))),
        positions=list(zip(samples.lateral, samples.axial, strict=True)), shanks=list(samples.shank),
        uv_per_bit=[1e6 * gain for gain in samples.volts_per_bit], parameters=parameters, threads=threads,
        output=str(output), scratch=str(scratch),
    )  # fmt: skip
    made.write(folder / "job.json")
    return made


def run(
    folder: Path, made: Job, command: Sequence[str], timeout: float, environment: Mapping[str, str] | None = None,
    tick: Callable[[], None] = lambda: None,
) -> process.Ended:  # fmt: skip
    """Run the program of a prepared job.

    Raises
    ------
    InvalidSettings : its command has a placeholder that there is not.
    """
    return process.run(job.command(command, made, folder / "job.json"), folder, timeout, environment, tick)


def read_output(made: Job) -> results.Sorted:
    """What the program left.

    Raises
    ------
    NeurojointError : nothing that can be the result for this recording.
    """
    return results.read(Path(made.output), made.n_samples)


def write(folder: Path, made: Job, result: results.Sorted, times: np.ndarray, says: Mapping[str, Any]) -> int:
    """Measure the spikes in the samples and write all files; returns the number of units.

    Parameters
    ----------
    folder : in which the files are written.
    times : of the spikes, s from session start.
    says : what goes into `_neurojoint_sorting.run.json`; sorter, parameters and numbers are added.
    """
    numbers, clusters, _ = spikes.number(result.clusters)
    gains, n = 1e-6 * np.array(made.uv_per_bit, np.float32), len(made.channels)
    positions = np.array(made.positions, np.float64)
    with cbin.open(made.recording, n_channels=made.n_channels, sample_rate=made.sampling_rate, dtype="int16") as opened:
        volts = measures.Recording(
            lambda first, last: opened[first:last, :n] * gains, made.n_samples, made.sampling_rate, positions
        )
        measured = measures.measure(volts, result.samples, clusters)
    told = {
        "sorter": made.sorter, "parameters": dict(made.parameters), "n_units": len(numbers),
        "n_spikes": len(result.samples),
    }  # fmt: skip
    alf_files.write(folder, result, measured, times, positions, np.array(made.channels), told | dict(says))
    return len(numbers)
