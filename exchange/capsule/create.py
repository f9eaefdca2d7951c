"""Make a capsule: the public copy of a tag, computed from its files alone, with notebooks and what they showed."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import importlib.metadata
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from exchange.capsule import outputs
from exchange.public_copy import apply
from exchange.public_copy.snapshot import take
from exchange.releases.build import MODE, TIME
from pipeline import policy, worker
from pipeline.database import capsule, embedded, registry
from pipeline.errors import ConflictError, NeurojointError, NotFoundError

NOTEBOOKS, EXPECTED, LOCK = "notebooks", "expected", "requirements.lock"
RUN = """#!/bin/sh
# Rebuild the figures: a virtual environment with the packages of the lock file, then every notebook; offline after pip.
set -eu
cd "$(dirname "$0")"
[ -d .venv ] || python3 -m venv .venv
.venv/bin/pip install --quiet --requirement requirements.lock --find-links packages
.venv/bin/python -m exchange.capsule .
"""
Say = Callable[[str], None]


def create(
    name: str, tag: str, notebooks: Sequence[Path], out: Path, *, archive: bool = True, say: Say = lambda words: None
) -> Path:
    """Write the capsule `out`/`name`, and a zip of it.

    Raises
    ------
    ConflictError : the folder is there.
    NotFoundError : no such notebook, or no such public tag.
    NeurojointError : a notebook fails.
    """
    for path in notebooks:
        if not path.is_file():
            raise NotFoundError(f"there is no notebook {path}", "check the path")
    target = out / name
    if target.exists():
        raise ConflictError(f"{target} is there", "remove it, or choose another name")
    found = take(tag, policy.current())
    out.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=out))
    partial.chmod(0o755)
    try:
        say(f"{len(found.files):,} files")
        with _home() as home, apply.other_database(home=home, database_url=None, prefix="capsule_"):
            apply.apply(found, partial / capsule.FILES)
            say("computing the tables from the files")
            worker.drain(registry.populated_tables())
            n_rows = capsule.dump(partial / capsule.TABLES)
        (partial / capsule.FILES / apply.MARKER).unlink()
        _write_sqlite(partial)
        (partial / LOCK).write_text(_lock(partial / "packages"), encoding="utf-8")
        (partial / "run").write_text(RUN, encoding="utf-8")
        (partial / "run").chmod(0o755)
        (partial / NOTEBOOKS).mkdir()
        for path in notebooks:
            shutil.copy(path, partial / NOTEBOOKS / path.name)
        _describe(partial, name, tag, n_rows)
        for path in sorted((partial / NOTEBOOKS).glob("*.ipynb")):
            say(f"running {path.name}")
            shown = outputs.run(path, partial)
            (partial / EXPECTED).mkdir(exist_ok=True)
            (partial / EXPECTED / f"{path.stem}.json").write_text(json.dumps(shown, indent=1), encoding="utf-8")
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    if archive:
        _zip(target)
    return target


@contextlib.contextmanager
def _home() -> Iterator[Path]:
    """A folder for a database of its own, which is stopped and removed afterwards."""
    home = Path(tempfile.mkdtemp(prefix="neurojoint-capsule-"))
    home.chmod(0o711)
    try:
        yield home
    finally:
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)


def _write_sqlite(folder: Path) -> None:
    """`tables.sqlite`, to look at the tables with any program."""
    with contextlib.closing(sqlite3.connect(folder / "tables.sqlite")) as database:
        for path in sorted((folder / capsule.TABLES).glob("*.parquet")):
            rows = pq.read_table(path)
            names = ", ".join(f'"{name}"' for name in rows.column_names)
            database.execute(f'CREATE TABLE "{path.stem}" ({names})')
            values = zip(*(map(_plain, column.to_pylist()) for column in rows.columns), strict=True)
            marks = ", ".join("?" * rows.num_columns)
            database.executemany(f'INSERT INTO "{path.stem}" VALUES ({marks})', values)  # noqa: S608 - our own names
        database.commit()


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.date) else value


def _lock(packages: Path) -> str:
    """Every installed package with its version; of neurojoint a wheel, where it is installed from its sources."""
    lines = {
        f"{one.metadata['Name']}=={one.version}"
        for one in importlib.metadata.distributions()
        if one.metadata["Name"] and one.metadata["Name"].lower() != "neurojoint"
    }
    lines.add(f"neurojoint=={importlib.metadata.version('neurojoint')}")
    sources = Path(__file__).parents[2]
    if (sources / "setup.py").exists():
        packages.mkdir()
        unneeded = shutil.ignore_patterns(".*", "tests", "build", "*.egg-info", "__pycache__")
        with tempfile.TemporaryDirectory() as copy:
            shutil.copytree(sources, Path(copy, "src"), ignore=unneeded)
            words = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(packages.resolve())]
            command = [sys.executable, "-m", "pip", *words, str(Path(copy, "src"))]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NeurojointError("the wheel of neurojoint cannot be built", done.stderr.strip()[-300:])
    return "".join(f"{line}\n" for line in sorted(lines, key=str.lower))


def _describe(folder: Path, name: str, tag: str, n_rows: dict[str, int]) -> None:
    digest = hashlib.sha256()
    for path in sorted((folder / capsule.TABLES).glob("*.parquet")):
        digest.update(path.name.encode() + path.read_bytes())
    about = {
        "format": capsule.FORMAT,
        "name": name,
        "tag": tag,
        "policy": policy.current().described(),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "tables": n_rows,
        "content": digest.hexdigest(),
    }
    (folder / capsule.INFO).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    text = f"""# {name}

Tables (`tables/*.parquet`; `tables.sqlite` to look at), files (`files/`), notebooks and environment of a paper.

- Rebuild the figures: `./run` (Python {about["python"]} and pip; offline once the packages are installed).
- Use the tables: `pip install -r requirements.lock --find-links packages`, then

```python
import neurojoint as nj
nj.connect("{name}.zip")
```
"""
    (folder / "README.md").write_text(text, encoding="utf-8")


def _zip(folder: Path) -> Path:
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                info = zipfile.ZipInfo(path.relative_to(folder).as_posix(), TIME)
                mode = 0o100755 << 16 if os.access(path, os.X_OK) else MODE
                info.external_attr, info.create_system, info.compress_type = mode, 3, zipfile.ZIP_DEFLATED
                archive.writestr(info, path.read_bytes())
    return target
