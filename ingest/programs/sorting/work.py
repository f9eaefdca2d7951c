"""Sorts recordings one by one: prepares the job, runs the program, turns its results into files, registers them."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cbin
import datajoint as dj
import numpy as np

from ingest.one_session import register_session
from ingest.programs.sorting import alf_files, job, one_recording, process, results
from ingest.programs.sorting.job import Job
from ingest.programs.sorting.runs import Item, Run, below, geometry, items, session_times
from ingest.rows.lock import repository_lock
from ingest.rows.repository import existing, repository_of
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
    for item in items(repository, below(folder, base), probe):
        run = Run(item, repository, name, work.parameters_hash)
        if run.is_done() and not again:
            summary.known.append(item.path)
        elif dry_run:
            summary.sorted.append(item.path)
        else:
            work.do(item, run, again, summary)
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
                    run.begin(self.parameters)
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
        run.begin(self.parameters)
        try:
            self.finish(one, run, self.sort_in(folder, one, run, place))
        except BaseException as error:
            with contextlib.suppress(Exception):  # the database may be what failed; the reason goes to the caller
                run.failed(explain(error))
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def sort_in(self, folder: Path, one: Item, run: Run, place: Path) -> Path:
        """Run the program and write what it found; returns the folder of the files."""
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
        samples = one_recording.Samples(
            raw, one.sampling_rate, one.n_channels, one.n_samples, there["lateral"], there["axial"], there["shank"],
            there["volts_per_bit"],
        )  # fmt: skip
        made = one_recording.prepare(folder, samples, self.name, self.parameters, settings().processes)
        self.tell(f"{one.path}: sorting with {self.name}")
        ended = one_recording.run(
            folder, made, self.sorter.command, self.sorter.timeout, self.sorter.environment, lambda: _keep(run)
        )
        run.log(f"{ended.tail}\n" + ("" if ended.exit_code is None else f"[exit code {ended.exit_code}]\n"))
        if ended.problem:
            last = ended.tail.rpartition("\n")[2].strip()
            raise NeurojointError(
                f"{self.name} failed on {one.path}: {ended.problem}"
                + (f"; it said last: {last[:300]}" if last else ""),
                f"the last lines of its log: neurojoint task log {run.id[:8]}",
            )
        self.check_unchanged(one)
        result = one_recording.read_output(made)
        if result.n_dropped:
            self.tell(f"{one.path}: {result.n_dropped:,} spikes outside of the recording or of no unit were dropped")
        self.tell(f"{one.path}: measuring {len(result.samples):,} spikes")
        return self.write(one, place, made, result)

    def check_unchanged(self, one: Item) -> None:
        """Raise NeurojointError where the recording is not the one that was registered."""
        status = (self.base / one.path).stat()
        if (status.st_size, status.st_mtime_ns) != one.modified:
            raise NeurojointError(f"{one.path} has changed since it was registered", f"neurojoint ingest {self.base}")

    def write(self, one: Item, place: Path, made: Job, result: results.Sorted) -> Path:
        """Measure the spikes and write the files, all or none."""
        says = {
            "version": result.version or self.sorter.version, "parameters_hash": self.parameters_hash,
            "recording": one.path.removeprefix(f"{one.folder}/"), "recording_hash": one.recording_hash,
            "identity": f"{one.dataset_id}/{self.name}/{self.parameters_hash}/{one.recording_hash}",
        }  # fmt: skip
        times = session_times([one], result.samples)
        unfinished = alf_files.unfinished(place)
        try:
            one_recording.write(unfinished, made, result, times, says)
            return alf_files.publish(unfinished, place)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise

    def finish(self, one: Item, run: Run, final: Path) -> None:
        """Register the files through the one path, then say that it is done."""
        self.tell(f"{one.path}: registering {final.relative_to(self.base / one.folder)}")
        register_session(self.repository, self.base, one.session, one.folder, {})
        folder = final.relative_to(self.base / one.folder).as_posix()
        says = json.loads((final / alf_files.SAYS).read_text(encoding="utf-8"))
        version = f"{says['version']}: " if says.get("version") else ""
        run.done(folder, f"{version}{says['n_units']:,} units, {says['n_spikes']:,} spikes in {folder}")


def _write_samples(one: Item, raw: Path) -> None:
    """Write the samples of a recording of another system, channels fastest."""
    with files.open_recording({"dataset_id": one.dataset_id}) as recording, raw.open("wb") as out:
        if recording.dtype != np.int16:
            raise NeurojointError(
                f"{one.path} holds {recording.dtype}, and sorters read int16", "convert it, and import what you sort"
            )
        for _, samples in recording.iter_chunks():
            samples.tofile(out)


def _keep(run: Run) -> None:
    """Keep the lease of a task; a database that ends connections which are silent for hours hears something."""
    with contextlib.suppress(Exception):  # if it is gone, the registration at the end will say so
        run.keep("sorting")


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NeurojointError(
            f"{folder} has {free / 1e9:.1f} GB free, and the raw samples need {needed / 1e9:.1f} GB",
            "set NEUROJOINT_SCRATCH to a folder on a larger disk",
        )
