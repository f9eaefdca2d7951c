"""Raw recordings of probes: compressed without loss, judged channel by channel, sorted by a program of others."""

from __future__ import annotations

import datetime
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cbin
import numpy as np
from cbin.spikeglx import MetaError, read_meta

from ingest.files import channel_maps, copying
from ingest.programs.sorting import alf_files, one_recording
from ingest.programs.sorting import job as sorting_job
from pipeline.analysis import raw_quality
from pipeline.analysis.clocks import Clock
from pipeline.electrophysiology import clocks
from pipeline.tasks.kinds import Job, TaskFailure

SNIPPETS, SECONDS = 20, 1.0


def compress(job: Job) -> None:
    """Compress AP and LF bands; each is decoded again by another library and compared before the raw file may go."""
    folder = job.arguments["folder"]
    raws = job.inputs("{folder}/*.ap.bin") + job.inputs("{folder}/*.lf.bin")
    if not raws:  # compressed at the rig
        for path in job.inputs("{folder}/*.cbin") + job.inputs("{folder}/*.ch"):
            shutil.copyfile(path, job.output(f"{folder}/{path.name}"))
        return
    for number, raw in enumerate(raws):
        packed = job.output(f"{folder}/{raw.stem}.cbin")
        try:
            report = cbin.compress(
                raw, packed, threads=job.cores,
                progress=lambda done, total, number=number: job.progress(
                    (number + done / max(total, 1)) / len(raws) * 0.8, "compressing"),
            )  # fmt: skip
            job.progress(0.8 + 0.2 * number / len(raws), "verifying")
            cbin.compare_with_raw(packed, packed.with_suffix(".ch"), raw, job.cores)
        except cbin.CbinError as error:
            words = " ".join(part for part in (error.problem, error.remedy) if part)
            kind = "resource" if isinstance(error, cbin.DiskFull) else "data"
            raise TaskFailure(f"{raw.name}: {words}", exit=kind) from None
        ratio = report.raw_bytes / max(report.compressed_bytes, 1)
        job.log(f"{raw.name}: {report.raw_bytes / 1e9:.2f} GB became {ratio:.2f} times less, all samples equal")
        job.may_go(raw)


def quality(job: Job) -> None:
    """Noise, rate of large deflections and state of each channel, from snippets over the whole recording."""
    folder = job.arguments["folder"]
    with _opened(job) as (recording, meta, n_neural):
        rate, n_samples = meta.sample_rate, recording.shape[0]
        gains = np.asarray(meta.volts_per_bit[:n_neural], dtype=np.float64)
        length = min(int(SECONDS * rate), n_samples)
        starts = np.unique(np.linspace(0, n_samples - length, SNIPPETS).astype(np.int64))
        snippets = []
        for number, start in enumerate(starts):
            volts = recording[start : start + length, :n_neural].astype(np.float64) * gains
            snippets.append(raw_quality.snippet(volts, rate))
            job.progress((number + 1) / len(starts), "reading")
    summary = raw_quality.summary(snippets)
    for name, values in summary.items():
        np.save(job.output(f"{folder}/_iblqc_ephysChannels.{name}.npy"), values)
    n_bad = int((summary["labels"] != raw_quality.GOOD).sum())
    job.log(
        f"{n_bad} of {n_neural} channels are dead or noisy; median noise {np.median(summary['apRMS']) * 1e6:.1f} uV"
    )


def sort(job: Job) -> None:
    """Sort spikes by the program of the environment `sorting`, and write the results as ALF files."""
    if not job.command:
        raise TaskFailure("no program for the environment `sorting`", "neurojoint agent --env sorting=…", "program")
    path = job.inputs("{folder}/*.ap.cbin|{folder}/*.ap.bin")[0]
    meta = _meta(path)
    place = channel_maps.beside(path, meta)
    if place is None:
        raise TaskFailure(f"where the channels of {path.name} lie is not known", "put its .meta beside it")
    raw = path
    if path.suffix == ".cbin":
        raw = job.scratch / f"{path.stem}.bin"
        job.progress(0.0, "decompressing")
        cbin.decompress(path, raw, threads=job.cores)
    name = str(job.arguments.get("sorter") or _sorter_name(job.command))
    parameters: dict[str, Any] = dict(job.arguments.get("parameters") or {})
    n_samples = raw.stat().st_size // (2 * meta.n_channels)
    samples = one_recording.Samples(raw, meta.sample_rate, meta.n_channels, n_samples, place.lateral, place.axial,
                                    place.shank, place.volts_per_bit)  # fmt: skip
    made = one_recording.prepare(job.scratch, samples, name, parameters, job.cores)
    job.progress(0.1, "sorting")
    ended = one_recording.run(job.scratch, made, job.command, 7 * 86400)
    job.log(ended.tail)
    if ended.problem:
        last = ended.tail.rpartition("\n")[2].strip()
        raise TaskFailure(f"{name}: {ended.problem}; it said last: {last[:300]}", exit="program")
    result = one_recording.read_output(made)
    job.progress(0.9, "measuring")
    recording_hash = copying.hash_of(raw)  # of the samples, so that it is the same whether they are compressed
    parameters_hash = sorting_job.parameters_hash(name, result.version, parameters)
    says = {
        "version": result.version, "parameters_hash": parameters_hash, "recording_hash": recording_hash,
        "recording": path.relative_to(job.folder).as_posix(), "identity": f"{recording_hash}/{name}/{parameters_hash}",
    }  # fmt: skip
    target = f"alf/{job.arguments['label']}/{name}"
    if list((job.folder / target).glob("spikes.*")):  # another sorting is there: this one is a revision of it
        target += f"/#{datetime.datetime.now(datetime.UTC).date()}#"
    final = job.output(f"{target}/{alf_files.SAYS}").parent
    n_units = one_recording.write(final, made, result, _times(path, result.samples, meta.sample_rate), says)
    job.log(f"{n_units} units, {len(result.samples):,} spikes")


def _sorter_name(command: Sequence[str]) -> str:
    """The folder of the results: the name of the program, but not that of an interpreter of scripts.

    >>> _sorter_name(["/opt/run_kilosort4.sh", "{job}"]), _sorter_name(["/opt/ks/bin/python3.11", "ks4.py", "{job}"])
    ('run_kilosort4', 'ks4')
    """
    for part in command:
        stem = Path(part).stem if Path(part).suffix in (".py", ".sh", ".m", ".exe") else Path(part).name
        if "{" not in part and not part.startswith("-") and not re.fullmatch(r"(python|bash|sh|env)[\d.]*", stem):
            return re.sub(r"[^\w-]+", "_", stem)[:40]
    return "sorter"


def _times(recording: Path, samples: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Times (s from session start) of samples of a recording, by the file of its clock that lies beside it.

    That is `<name>.timestamps.npy` (rows of sample and time, s), as synchronisation leaves it; where there is none, the
    sampling rate counts from 0 on.
    """
    path = clocks.timestamps_path(recording)
    clock = clocks.from_file(path, sampling_rate) if path.is_file() else Clock.uniform(sampling_rate)
    return clock.convert(samples)


def _meta(path: Path) -> Any:
    try:
        return read_meta(path)
    except (MetaError, OSError) as error:
        raise TaskFailure(f"{path.name} has no readable .meta ({error})", "copy it from the rig") from None


class _opened:  # noqa: N801 - a context manager
    """The AP recording of a job with its header and its number of neural channels."""

    def __init__(self, job: Job) -> None:
        self._path = job.inputs("{folder}/*.ap.cbin|{folder}/*.ap.bin")[0]

    def __enter__(self) -> tuple[Any, Any, int]:
        meta = _meta(self._path)
        try:
            self._recording = cbin.open(self._path)
        except cbin.CbinError as error:
            raise TaskFailure(f"{self._path.name} cannot be read: {error.problem}", error.remedy or "") from None
        return self._recording, meta, sum(kind in ("AP", "LF") for kind in meta.channel_kinds)

    def __exit__(self, *_: object) -> None:
        self._recording.close()
