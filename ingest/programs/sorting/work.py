"""Sorts recordings one by one: prepares the job, runs the program, turns its results into files, registers them."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datajoint as dj
import numpy as np

from ingest import registration
from ingest.programs.sorting import alf_files, job, measures, process, results
from ingest.programs.sorting.job import Job
from ingest.programs.sorting.runs import Item, Run, below, geometry, items, session_times
from ingest.rows.lock import repository_lock
from ingest.rows.repository import existing, repository_of
from pipeline.analysis import spikes
from pipeline.database.bulk import fetch_columns
from pipeline.errors import InvalidSettings, NeurojointError, explain
from pipeline.schemas import data
from pipeline.schemas.inputs import files
from pipeline.settings import Sorter, settings

Tell = Callable[[str], None]


@dataclass
class Summary:
    """What one call did; the lists hold the paths of recordings below the root of the repository."""

    sorter: str
    dry_run: bool = False
    sorted: list[str] = field(default_factory=list)  # or, in a dry run, what would be
    adopted: list[str] = field(default_factory=list)  # results that lay there already
    known: list[str] = field(default_factory=list)  # sorted before with these parameters
    busy: list[str] = field(default_factory=list)  # another process sorts them now
    failures: list[tuple[str, str]] = field(default_factory=list)  # with the reason


def sort(
    root: Path | str, name: str, *, parameters: Mapping[str, Any] | None, probe: str | None, again: bool,
    dry_run: bool, tell: Tell,
) -> Summary:  # fmt: skip
    """Sort the recordings below `root` (see `ingest.programs.sorting.sort`)."""
    if name not in settings().sorters:
        known = ", ".join(settings().sorters) or "none"
        raise InvalidSettings(
            f"the settings know no sorter {name} (known: {known})",
            f"add [sorters.{name}] with a command to neurojoint.toml (docs/sorting.md)",
        )
    folder = existing(Path(root))
    repository, base = repository_of(folder, None)
    if not data.Repository & {"repository": repository, "repository_kind": "local"}:
        raise NeurojointError(f"nothing below {folder} is registered", f"neurojoint ingest {folder}")
    work = _Work(repository, base, name, settings().sorters[name], parameters or {}, tell)
    summary = Summary(name, dry_run)
    for one in items(repository, below(folder, base), probe):
        run = Run(one, name, work.parameters_hash)
        if run.is_done() and not again:
            summary.known.append(one.path)
        elif dry_run:
            summary.sorted.append(one.path)
        else:
            work.do(one, run, again, summary)
    return summary


class _Work:
    """One sorter with its parameters, over recordings of one repository."""

    def __init__(
        self, repository: str, base: Path, name: str, sorter: Sorter, parameters: Mapping[str, Any], tell: Tell
    ) -> None:
        self.repository, self.base, self.name, self.sorter, self.tell = repository, base, name, sorter, tell
        self.parameters = {**sorter.parameters, **parameters}
        self.parameters_hash = job.parameters_hash(name, sorter.version, self.parameters)

    def do(self, one: Item, run: Run, again: bool, summary: Summary) -> None:
        """Sort one recording, unless another process does; what goes wrong is noted."""
        connection = dj.conn()
        with contextlib.ExitStack() as stack:
            try:
                lock = repository_lock(connection, settings().prefix, f"sorting {one.dataset_id}")
                stack.enter_context(lock)
            except NeurojointError:
                summary.busy.append(one.path)
                return
            if run.is_done() and not again:  # by another process, while this one was at the recordings before
                summary.known.append(one.path)
                return
            place = self.base / one.folder / "alf" / one.probe / self.name
            there = None if again else alf_files.find(place, self.parameters_hash, one.recording_hash)
            try:
                if there is not None:
                    run.begin(self.parameters, self.sorter.version, list(self.sorter.command))
                    self.finish(one, run, there)
                    summary.adopted.append(one.path)
                else:
                    self.sort(one, run, place)
                    summary.sorted.append(one.path)
            except (NeurojointError, OSError) as error:
                summary.failures.append((one.path, explain(error)))

    def sort(self, one: Item, run: Run, place: Path) -> None:
        """Sort one recording in a scratch folder of its own, which is gone afterwards."""
        scratch = settings().scratch or settings().home / "scratch"
        folder = scratch / f"{self.name}-{one.dataset_id}-{self.parameters_hash[:8]}"
        if folder.exists():
            process.end_left_over(folder)
            shutil.rmtree(folder)
        folder.mkdir(parents=True, mode=0o700)
        ended: dict[str, Any] = {}
        run.begin(self.parameters, self.sorter.version, list(self.sorter.command))
        try:
            final = self.sort_in(folder, one, place, ended)
            self.finish(one, run, final, ended)
        except BaseException as error:
            with contextlib.suppress(Exception):  # the database may be what failed; the reason goes to the caller
                run.end("failed", **({"sorting_problem": explain(error)[:1000]} | ended))
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def sort_in(self, folder: Path, one: Item, place: Path, ended: dict[str, Any]) -> Path:
        """Run the program and write what it found; returns the folder of the files. Fills `ended` on the way."""
        import cbin

        raw = recorded = self.base / one.path
        self.check_unchanged(one)
        if one.is_compressed:
            self.tell(f"{one.path}: decompressing")
            raw = folder / f"{recorded.stem}.bin"
            _check_room(folder, 2 * one.n_channels * one.n_samples)
            cbin.decompress(recorded, raw, threads=settings().processes)
        elif not one.is_multiplexed:
            self.tell(f"{one.path}: writing its samples as int16")
            raw = folder / f"{recorded.stem}.bin"
            _check_room(folder, 2 * one.n_channels * one.n_samples)
            _write_samples(one, raw)
        there = geometry(one.dataset_id)
        if there is None:
            raise NeurojointError(
                f"where the channels of {one.path} lie is not known", "put its .meta beside it, then ingest again"
            )
        task = self.job(folder, one, raw, there)
        argv = job.command(self.sorter.command, task, folder / "job.json")
        self.tell(f"{one.path}: sorting with {self.name}")
        found = process.run(argv, folder, self.sorter.timeout, self.sorter.environment, _keep_alive)
        ended |= {
            "sorting_duration": found.seconds, "sorting_exit_code": found.exit_code, "sorting_log": found.tail,
        }  # fmt: skip
        if found.problem:
            last = found.tail.rpartition("\n")[2].strip()
            raise NeurojointError(
                f"{self.name} failed on {one.path}: {found.problem}"
                + (f"; it said last: {last[:300]}" if last else ""),
                "the last lines of its log are in task.SortingRun",
            )
        self.check_unchanged(one)
        result = results.read(Path(task.output), one.n_samples)
        if result.n_dropped:
            self.tell(f"{one.path}: {result.n_dropped:,} spikes outside of the recording or of no unit were dropped")
        self.tell(f"{one.path}: measuring {len(result.samples):,} spikes")
        return self.write(one, place, raw, task, result, ended)

    def check_unchanged(self, one: Item) -> None:
        """Raise NeurojointError where the recording is not the one that was registered."""
        found = (self.base / one.path).stat()
        if (found.st_size, found.st_mtime_ns) != one.modified:
            raise NeurojointError(f"{one.path} has changed since it was registered", f"neurojoint ingest {self.base}")

    def job(self, folder: Path, one: Item, raw: Path, there: Mapping[str, list]) -> Job:
        """The job, written into its folder."""
        output, scratch = folder / "output", folder / "scratch"
        output.mkdir()
        scratch.mkdir()
        task = job.Job(
            sorter=self.name, recording=str(raw), sampling_rate=one.sampling_rate, n_channels=one.n_channels,
            n_samples=one.n_samples, channels=list(range(len(there["lateral"]))),
            positions=list(zip(there["lateral"], there["axial"], strict=True)), shanks=there["shank"],
            uv_per_bit=[1e6 * gain for gain in there["volts_per_bit"]], parameters=self.parameters,
            threads=settings().processes, output=str(output), scratch=str(scratch),
        )  # fmt: skip
        task.write(folder / "job.json")
        return task

    def write(
        self, one: Item, place: Path, raw: Path, task: Job, result: results.Sorted, ended: dict[str, Any]
    ) -> Path:
        """Measure the spikes and write the files, all or none."""
        import cbin

        numbers, clusters, _ = spikes.number(result.clusters)
        gains, n = 1e-6 * np.array(task.uv_per_bit, np.float32), len(task.channels)
        positions = np.array(task.positions, np.float64)
        with cbin.open(raw, n_channels=one.n_channels, sample_rate=one.sampling_rate, dtype="int16") as recording:
            measured = measures.measure(
                lambda first, last: recording[first:last, :n] * gains, one.n_samples, one.sampling_rate, positions,
                result.samples, clusters,
            )  # fmt: skip
        ended |= {
            "n_sorted_units": len(numbers), "n_sorted_spikes": len(result.samples),
            "sorting_version": result.version or self.sorter.version,
        }  # fmt: skip
        says = {
            "sorter": self.name, "version": ended["sorting_version"], "parameters": self.parameters,
            "parameters_hash": self.parameters_hash, "recording": one.path.removeprefix(f"{one.folder}/"),
            "recording_hash": one.recording_hash, "n_units": len(numbers), "n_spikes": len(result.samples),
            "identity": f"{one.dataset_id}/{self.name}/{self.parameters_hash}/{one.recording_hash}",
        }  # fmt: skip
        times = session_times([one], result.samples)
        unfinished = alf_files.unfinished(place)
        try:
            alf_files.write(unfinished, result, measured, times, positions, np.array(task.channels), says)
            return alf_files.publish(unfinished, place)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise

    def finish(self, one: Item, run: Run, final: Path, ended: Mapping[str, Any] | None = None) -> None:
        """Register the files through the one path, then say that it is done."""
        self.tell(f"{one.path}: registering {final.relative_to(self.base / one.folder)}")
        registration.register_session(self.repository, self.base, one.session, one.folder, {})
        folder = final.relative_to(self.base / one.folder).as_posix()
        run.end("done", sorting_folder=folder, **(ended or {}))


def _write_samples(one: Item, raw: Path) -> None:
    """Write the samples of a recording of another system, channels fastest."""
    with files.open_recording({"dataset_id": one.dataset_id}) as recording, raw.open("wb") as out:
        if recording.dtype != np.int16:
            raise NeurojointError(
                f"{one.path} holds {recording.dtype}, and sorters read int16", "convert it, and import what you sort"
            )
        for _, samples in recording.iter_chunks():
            samples.tofile(out)


def _keep_alive() -> None:
    """Say something to the database, which may end connections that are silent for hours."""
    with contextlib.suppress(Exception):  # if it is gone, the registration at the end will say so
        fetch_columns(data.Repository, "repository")


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NeurojointError(
            f"{folder} has {free / 1e9:.1f} GB free, and the raw samples need {needed / 1e9:.1f} GB",
            "set NEUROJOINT_SCRATCH to a folder on a larger disk",
        )
