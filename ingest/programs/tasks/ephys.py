"""Raw recordings of probes: compressed without loss, judged channel by channel, sorted by a program of others."""

from __future__ import annotations

import datetime
import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from cbin.spikeglx import MetaError, read_meta

from ingest.files import channel_maps
from ingest.programs.sorting import alf_files, measures, process, results
from ingest.programs.sorting import job as sorting_job
from pipeline.analysis import raw_quality
from pipeline.analysis.clocks import Clock
from pipeline.electrophysiology import clocks
from pipeline.tasks.kinds import Job, TaskFailure

SNIPPETS, SECONDS = 20, 1.0


def compress(job: Job) -> None:
    """Compress AP and LF bands; each is decoded again by another library and compared before the raw file may go."""
    import cbin

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
        found = []
        for number, start in enumerate(starts):
            volts = recording[start : start + length, :n_neural].astype(np.float64) * gains
            found.append(raw_quality.snippet(volts, rate))
            job.progress((number + 1) / len(starts), "reading")
    summary = raw_quality.summary(found)
    for name, values in summary.items():
        np.save(job.output(f"{folder}/_iblqc_ephysChannels.{name}.npy"), values)
    n_bad = int((summary["labels"] != raw_quality.GOOD).sum())
    job.log(
        f"{n_bad} of {n_neural} channels are dead or noisy; median noise {np.median(summary['apRMS']) * 1e6:.1f} uV"
    )


def sort(job: Job) -> None:
    """Sort spikes by the program of the environment `sorting`, and write the results as ALF files."""
    import cbin

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
    n = len(place.channels)
    output, scratch = job.scratch / "output", job.scratch / "sorter"
    output.mkdir()
    scratch.mkdir()
    name = Path(job.command[0]).stem if len(job.command) == 1 else "sorter"
    name = str(job.arguments.get("sorter") or name)[:40]
    parameters: dict[str, Any] = dict(job.arguments.get("parameters") or {})
    n_samples = raw.stat().st_size // (2 * meta.n_channels)
    told = sorting_job.Job(
        name, str(raw), meta.sample_rate, meta.n_channels, n_samples, list(range(n)),
        list(zip(place.lateral, place.axial, strict=True)), list(place.shank),
        [1e6 * one for one in place.volts_per_bit],
        parameters, job.cores, str(output), str(scratch),
    )  # fmt: skip
    told.write(job.scratch / "job.json")
    argv = sorting_job.command(job.command, told, job.scratch / "job.json")
    job.progress(0.1, "sorting")
    ended = process.run(argv, job.scratch, 7 * 86400)
    job.log(ended.tail)
    if ended.problem:
        last = ended.tail.rpartition("\n")[2].strip()
        raise TaskFailure(f"{name}: {ended.problem}; it said last: {last[:300]}", exit="program")
    result = results.read(output, n_samples)
    numbers, clusters = np.unique(result.clusters, return_inverse=True)
    gains = np.asarray(place.volts_per_bit, np.float32)
    positions = np.array(told.positions, np.float64)
    job.progress(0.9, "measuring")
    with cbin.open(raw, n_channels=meta.n_channels, sample_rate=meta.sample_rate, dtype="int16") as recording:
        measured = measures.measure(
            lambda first, last: recording[first:last, :n] * gains, n_samples, meta.sample_rate, positions,
            result.samples, clusters,
        )  # fmt: skip
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    parameters_hash = sorting_job.parameters_hash(name, result.version, parameters)
    says = {
        "sorter": name, "version": result.version, "parameters": parameters, "parameters_hash": parameters_hash,
        "recording": path.relative_to(job.folder).as_posix(), "recording_hash": digest.hexdigest(),
        "n_units": len(numbers), "n_spikes": len(result.samples),
        "identity": f"{digest.hexdigest()}/{name}/{parameters_hash}",
    }  # fmt: skip
    target = f"alf/{job.arguments['label']}/{name}"
    if list((job.folder / target).glob("spikes.*")):  # another sorting is there: this one is a revision of it
        target += f"/#{datetime.datetime.now(datetime.UTC).date()}#"
    final = job.output(f"{target}/{alf_files.SAYS}").parent
    times = _times(path, result.samples, meta.sample_rate)
    alf_files.write(final, result, measured, times, positions, np.array(told.channels), says)
    job.log(f"{len(numbers)} units, {len(result.samples):,} spikes")


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
        import cbin

        meta = _meta(self._path)
        try:
            self._recording = cbin.open(self._path)
        except cbin.CbinError as error:
            raise TaskFailure(f"{self._path.name} cannot be read: {error.problem}", error.remedy or "") from None
        return self._recording, meta, sum(kind in ("AP", "LF") for kind in meta.channel_kinds)

    def __exit__(self, *_: object) -> None:
        self._recording.close()
