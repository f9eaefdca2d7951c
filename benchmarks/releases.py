"""Claims: manifest and tables of a release of 400,000 small files take less than 60 s of computing; its zip, for which
the database says where the files lie and every file is hashed again, is made as fast as `tar` writes and `sha256sum`
hashes the same files; one mouse is read without opening a file of another.

Run: python benchmarks/releases.py [--files N]

Times are of the processor (this program, its threads and children), which other programs on the computer do not change;
the wall clock stands beside.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

MOST_TABLES_S, LEAST_ZIP = 60.0, 1.0
FILES_OF_SESSION, SIZE = 25, 800  # byte


class Times(NamedTuple):
    """Seconds of the processor and of the clock."""

    cpu: float
    wall: float


def timed(what: Callable[[], object]) -> Times:
    """How long something takes."""
    cpu, wall = _cpu(), time.perf_counter()
    what()
    return Times(_cpu() - cpu, time.perf_counter() - wall)


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(item.ru_utime + item.ru_stime for item in used)


def lab(root: Path, n_files: int) -> None:
    """Files of a lab with mice of 100 sessions, and their rows; all have the tag `all`."""
    from pipeline.database.bulk import insert_many
    from pipeline.schemas import acquisition, data, subject
    from pipeline.schemas import lab as lab_schema

    n_sessions = -(-n_files // FILES_OF_SESSION)
    numbers = np.arange(n_files)
    sessions = numbers // FILES_OF_SESSION
    names = np.array([f"m{number:04d}" for number in range(-(-n_sessions // 100))])
    dates = np.datetime64("2020-01-01") + np.arange(100)
    of_session = {"subject": names[np.arange(n_sessions) // 100], "session_date": dates[np.arange(n_sessions) % 100]}
    insert_many(lab_schema.Lab, {"lab": ["l"]})
    insert_many(subject.Subject, {"lab": "l", "subject": names, "subject_uuid": [str(uuid.uuid4()) for _ in names]})
    eids = [str(uuid.uuid4()) for _ in range(n_sessions)]
    insert_many(acquisition.Session, of_session | {"lab": "l", "session_number": 1, "eid": eids})
    paths = [f"alf/x.y{number % FILES_OF_SESSION}.npy" for number in numbers]
    places = [
        f"l/Subjects/{of_session['subject'][session]}/{of_session['session_date'][session]}/001"
        for session in range(n_sessions)
    ]
    full = [f"{places[session]}/{path}" for session, path in zip(sessions, paths, strict=True)]
    hashes = []
    for place in places:
        (root / place / "alf").mkdir(parents=True)
    for number, path in enumerate(full):
        content = b"%08d" % number * (SIZE // 8)
        (root / path).write_bytes(content)
        hashes.append(hashlib.md5(content, usedforsecurity=False).hexdigest())
    ids = [str(uuid.UUID(int=int(number), version=4)) for number in numbers]
    insert_many(data.Repository, {"repository": ["local"], "repository_kind": "local", "repository_root": str(root)})
    insert_many(data.Dataset, {name: values[sessions] for name, values in of_session.items()} | {
        "dataset_id": ids, "lab": "l", "session_number": 1, "rel_path": paths, "collection": "alf", "alf_object": "x",
        "alf_attribute": [f"y{number % FILES_OF_SESSION}" for number in numbers], "extension": "npy",
        "dataset_hash": hashes, "file_size": SIZE, "default_dataset": True,
        "registered": np.datetime64("2026-01-01", "us"), "dataset_online": True,
    })  # fmt: skip
    insert_many(data.FileRecord, {
        "dataset_id": ids, "repository": "local", "file_path": full, "file_state": "online", "record_size": SIZE,
        "record_hash": hashes, "modified_ns": 1, "verified": np.datetime64("2026-01-01", "us"),
    })  # fmt: skip
    insert_many(data.Tag, {"tag": ["all"], "tag_description": ""})
    insert_many(data.DatasetTag, {"tag": "all", "dataset_id": ids})


def _sums(root: Path) -> None:
    """Hash all files as a shell would."""
    found = subprocess.run(["find", str(root), "-type", "f", "-print0"], check=True, capture_output=True).stdout
    subprocess.run(["xargs", "-0", "sha256sum"], input=found, check=True, stdout=subprocess.DEVNULL)


def measure(folder: Path, n_files: int) -> None:
    """Freeze, build and read a release, beside `tar`."""
    import pipeline
    from exchange.releases import build, frozen
    from one_bridge.light import places
    from pipeline import settings
    from pipeline.database import embedded

    folder.chmod(0o711)
    with settings.override(home=folder / "home"):
        connection = pipeline.connect()
        lab(folder / "data", n_files)
        connection.query("ANALYZE")
        made: list[frozen.Release] = []
        freezing = timed(lambda: made.append(frozen.create("all", "all")[0]))
        (release,) = made
        print(f"{n_files:,} files read, hashed and frozen: {freezing.cpu:.1f} s of computing, {freezing.wall:.1f} s")
        tables = timed(lambda: build.descriptions(release, release.files()))
        print(
            f"manifest and tables: {tables.cpu:.1f} s of computing, {tables.wall:.1f} s (claim for 400,000: "
            f"{MOST_TABLES_S:.0f} s)"
        )
        archive = str(folder / "all.tar")
        tar = timed(lambda: subprocess.run(["tar", "-cf", archive, "-C", str(folder / "data"), "l"], check=True))
        hashing = timed(lambda: _sums(folder / "data"))
        zipped = timed(lambda: build.build(release, folder / "out", folder=False))
        written = Times(zipped.cpu - tables.cpu, zipped.wall - tables.wall)
        print(
            f"zip, files found and hashed again: {written.cpu:.1f} s of computing, {written.wall:.1f} s; tar "
            f"{tar.cpu:.1f} and {tar.wall:.1f} s, sha256sum {hashing.cpu:.1f} and {hashing.wall:.1f} s: "
            f"{(tar.wall + hashing.wall) / written.wall:.2f} times as fast as both (claim: {LEAST_ZIP}), "
            f"{tar.wall / written.wall:.2f} times as tar alone"
        )
        place = places.open_place(folder / "out" / f"{release.name}.zip")
        manifest = places.read_manifest(place)
        chosen = manifest.choose(subject="m0000")
        reading = timed(lambda: [b"".join(place.chunks(item.path)) for item in chosen])
        print(f"one mouse of the zip: {len(chosen):,} of {len(manifest.files):,} files read in {reading.wall:.2f} s")
        connection.close()
        embedded.stop(folder / "home")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=400_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), chosen.files)


if __name__ == "__main__":
    main()
