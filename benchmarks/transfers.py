"""Claims: 100,000 small files go to a folder, each on the disk and read back from there, at least 3 times as fast as
`rsync -a`, which leaves them in the memory of the kernel and reads nothing back; shown beside `rsync -a --fsync`
followed by `rsync -ac`, which is how rsync does the same. A large file at the speed of `cp` followed by
`sha256sum`; planning over 400,000 datasets and 4 repositories takes less than 2 s and 300 MB.

Run: python benchmarks/transfers.py [--files N] [--datasets N] [--large MB]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np

LEAST_SMALL, LEAST_LARGE, MOST_PLAN_S, MOST_PLAN_MB = 3.0, 1.0, 2.0, 300.0


def timed(what: Callable[[], object]) -> float:
    begin = time.perf_counter()
    what()
    return time.perf_counter() - begin


def measured(what: Callable[[], object]) -> np.ndarray:
    """Seconds by the clock, and of the processors (of this program and those that it starts)."""

    def computing() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in used)

    before = computing()
    seconds = timed(what)
    return np.array([seconds, computing() - before])


def forget(folder: Path) -> None:
    """Drop what the kernel remembers of files that are on the disk."""
    for path in folder.rglob("*.npy"):
        fd = os.open(path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def small_files(folder: Path, n_files: int) -> None:
    """Copy and verify many files, beside rsync."""
    from exchange.transfers.backends.folder import Folder
    from exchange.transfers.protocol import Job, Place

    source = folder / "source"
    jobs = []
    for number in range(n_files):
        path = f"lab/Subjects/m{number // 2500:03d}/2020-01-{1 + number // 250 % 10:02d}/001/alf/x.y{number % 250}.npy"
        file = source / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"%08d" % number * 100)
        jobs.append(Job(file, path, 800, ""))
    backend = Folder(Place("f", "local", str(folder / "ours")))
    backend.mark("")

    def ours() -> None:
        assert all(error is None for _, error in backend.send(jobs, lambda n: None))
        assert sum(1 for _ in backend.read([job.path for job in jobs], lambda n: None)) == n_files

    def peer(name: str) -> np.ndarray:
        os.sync()
        return measured(lambda: subprocess.run(["rsync", "-a", f"{source}/", str(folder / name)], check=True))

    def check(name: str) -> np.ndarray:
        written = measured(os.sync)
        forget(folder / name)
        names = b"".join(os.fsencode(job.path) + b"\0" for job in jobs)
        words = ["xargs", "-0", "md5sum"]
        return written + measured(
            lambda: subprocess.run(words, input=names, cwd=folder / name, check=True, stdout=subprocess.DEVNULL)
        )

    def as_sure(name: str, n_some: int) -> np.ndarray:
        """What rsync itself has for the same: each file to the disk, then all compared by their content."""
        some = folder / "some"
        for job in jobs[:n_some]:
            there = some / job.path
            there.parent.mkdir(parents=True, exist_ok=True)
            there.hardlink_to(job.local)
        os.sync()
        words = [f"{some}/", str(folder / name)]
        copied = measured(lambda: subprocess.run(["rsync", "-a", "--fsync", *words], check=True))
        forget(folder / name)
        compared = measured(lambda: subprocess.run(["rsync", "-ac", *words], check=True))
        return (copied + compared) * (n_files / n_some)

    before = peer("rsync")
    os.sync()
    taken = measured(ours)
    after = peer("again")
    rsync = (before + after) / 2  # before and after ours: nothing is removed between, which slows new files down
    checked = rsync + check("again")
    n_some = min(n_files, 5_000)
    for what, seconds, claim in (
        (f"rsync -a --fsync and rsync -ac (of {n_some:,})", as_sure("sure", n_some), ""),
        ("rsync -a, sync and md5sum from the disk", checked, f" (claim: {LEAST_SMALL})"),
        ("rsync -a", rsync, f" (claim: {LEAST_SMALL})"),
    ):
        print(
            f"{n_files:,} files: {what} {seconds[0]:.1f} s, copied, written to the disk and read back {taken[0]:.1f} s:"
            f" {seconds[0] / taken[0]:.2f} times as fast{claim}; "
            f"of the processors {seconds[1]:.1f} and {taken[1]:.1f} s: {seconds[1] / taken[1]:.2f}"
        )


def large_file(folder: Path, megabytes: int) -> None:
    """Copy and verify one large file, beside cp and sha256sum."""
    from exchange.transfers.backends.folder import Folder
    from exchange.transfers.protocol import Job, Place

    source = folder / "large.bin"
    with source.open("wb") as file:
        for number in range(megabytes):
            file.write(np.random.default_rng(number).bytes(1 << 20))
    os.sync()

    def peer() -> None:
        subprocess.run(["cp", str(source), str(folder / "copy")], check=True)
        os.sync()
        subprocess.run(["sha256sum", str(folder / "copy")], check=True, stdout=subprocess.DEVNULL)

    backend = Folder(Place("g", "local", str(folder / "ours2")))
    backend.mark("")
    job = Job(source, "large.bin", source.stat().st_size, "")

    def ours() -> None:
        assert all(error is None for _, error in backend.send([job], lambda n: None))
        assert all(True for _ in backend.read(["large.bin"], lambda n: None))

    theirs, seconds = timed(peer), timed(ours)
    print(
        f"{megabytes} MB: cp, sync and sha256sum {theirs:.1f} s, copied, synced and read back {seconds:.1f} s: "
        f"{theirs / seconds:.2f} times as fast (claim: {LEAST_LARGE})"
    )


def planning(folder: Path, n_datasets: int) -> None:
    """Plan over many datasets in four repositories, of which some lack some."""
    import pipeline
    from exchange.transfers import plan, policies
    from pipeline import settings
    from pipeline.database import embedded
    from pipeline.database.bulk import insert_many
    from pipeline.schemas import acquisition, data, lab, subject

    folder.chmod(0o711)
    with settings.override(home=folder / "home"):
        connection = pipeline.connect()
        names = ["rig", "store", "archive", "tape"]
        insert_many(lab.Lab, {"lab": ["l"]})
        insert_many(subject.Subject, {"lab": ["l"], "subject": ["m"], "subject_uuid": str(uuid.uuid4())})
        n_sessions = n_datasets // 25
        dates = np.datetime64("1990-01-01") + np.arange(n_sessions)
        key = {"lab": "l", "subject": "m", "session_date": dates, "session_number": 1}
        insert_many(acquisition.Session, key | {"eid": [str(uuid.uuid4()) for _ in range(n_sessions)]})
        insert_many(
            data.Repository,
            {"repository": names, "repository_kind": "local", "repository_root": [f"/{n}" for n in names]},
        )
        dice = np.random.default_rng(0)
        ids = [str(uuid.UUID(bytes=dice.bytes(16), version=4)) for _ in range(n_datasets)]
        hashes = [f"{number:032x}" for number in range(n_datasets)]
        paths = [f"alf/x.y{number % 25}.npy" for number in range(n_datasets)]
        insert_many(data.Dataset, {
            "dataset_id": ids, "lab": "l", "subject": "m", "session_date": np.repeat(dates, 25)[:n_datasets],
            "session_number": 1, "rel_path": paths, "collection": "alf", "alf_object": "x", "alf_attribute": "y",
            "extension": "npy", "dataset_hash": hashes, "file_size": 800, "default_dataset": True,
            "registered": np.datetime64("2026-01-01", "us"), "dataset_online": True,
        })  # fmt: skip
        for number, name in enumerate(names):
            some = slice(0, n_datasets - number * n_datasets // 400)
            insert_many(data.FileRecord, {
                "dataset_id": ids[some], "repository": name, "file_path": paths[some], "file_state": "online",
                "record_size": 800, "record_hash": hashes[some], "modified_ns": 1,
                "verified": np.datetime64("2026-01-01", "us"),
            })  # fmt: skip
        connection.query("VACUUM ANALYZE")  # as the server does by itself after a while
        policies.define("all", names[1:])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        plans: list[plan.Plan] = []
        seconds = timed(lambda: plans.append(plan.plan()))
        memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        again = timed(plan.plan)
        print(
            f"planning over {n_datasets:,} datasets in {len(names)} repositories: {plans[0].files:,} files planned in "
            f"{seconds:.2f} s, nothing left to plan in {again:.2f} s, {memory:.0f} MB more "
            f"(claims: {MOST_PLAN_S} s, {MOST_PLAN_MB:.0f} MB)"
        )
        connection.close()
        embedded.stop(folder / "home")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--datasets", type=int, default=400_000)
    parser.add_argument("--large", type=int, default=1_000, help="MB")
    chosen = parser.parse_args()
    if chosen.files:
        with tempfile.TemporaryDirectory() as folder:
            small_files(Path(folder), chosen.files)
    if chosen.large:
        with tempfile.TemporaryDirectory() as folder:
            large_file(Path(folder), chosen.large)
    if chosen.datasets:
        with tempfile.TemporaryDirectory() as folder:
            planning(Path(folder), chosen.datasets)


if __name__ == "__main__":
    main()
