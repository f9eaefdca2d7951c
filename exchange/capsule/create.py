"""Make a capsule: the public copy of a tag, computed from its files alone, with notebooks and what they showed."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from exchange.capsule import environment, outputs
from exchange.public_copy import apply
from exchange.public_copy.snapshot import take
from exchange.releases.stored_zip import MODE
from pipeline import policy, worker
from pipeline.database import capsule, embedded, registry
from pipeline.errors import ConflictError, NotFoundError
from pipeline.unfinished import unfinished

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
TIME = (1980, 1, 1, 0, 0, 0)
"""Of all files in the zip: the time of writing is not part of a capsule."""
NOTEBOOKS, EXPECTED, LOCK = "notebooks", "expected", "requirements.lock"
RUN = """#!/bin/sh
# Rebuild the figures: a virtual environment with the packages of the lock file, then every notebook; offline after pip.
# The environment is made in .venv beside this file, or where CAPSULE_VENV says; PYTHON names another interpreter.
set -eu
cd "$(dirname "$0")"
unset PYTHONPATH PYTHONHOME || true
export PYTHONNOUSERSITE=1
venv="${{CAPSULE_VENV:-$PWD/.venv}}"
python="${{PYTHON:-python3}}"
if [ "$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" != "{python}" ]; then
    echo "this capsule needs Python {python}, and $python is another: install it, then PYTHON=python{python} ./run" >&2
    exit 2
fi
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
if ! cmp -s requirements.lock "$venv/requirements.lock"; then
    "$venv/bin/python" -m pip install --quiet --requirement requirements.lock --find-links packages
    cp requirements.lock "$venv/requirements.lock"
fi
exec "$venv/bin/python" -m exchange.capsule .
"""
"""The script of a capsule. What pip installed is noted, so that nothing is asked of a registry again."""
Tell = Callable[[str], None]


def create(
    name: str, tag: str, notebooks: Sequence[Path], out: Path, *, archive: bool = True, tell: Tell = lambda words: None
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
    snapshot = take(tag, policy.current())
    out.mkdir(parents=True, exist_ok=True)
    with unfinished(target, is_folder=True, private=True) as partial:
        partial.chmod(0o755)
        tell(f"{len(snapshot.files):,} files")
        with _home() as home, apply.other_database(home=home, database_url=None, prefix="capsule_"):
            apply.apply(snapshot, partial / capsule.FILES)
            tell("computing the tables from the files")
            worker.drain(registry.populated_tables())
            n_rows = capsule.dump(partial / capsule.TABLES)
        (partial / capsule.FILES / apply.MARKER).unlink()
        _write_sqlite(partial)
        environment.write(partial / "packages", partial / LOCK, notebooks)
        (partial / "run").write_text(RUN.format(python=PYTHON), encoding="utf-8")
        (partial / "run").chmod(0o755)
        (partial / NOTEBOOKS).mkdir()
        for path in notebooks:
            shutil.copy(path, partial / NOTEBOOKS / path.name)
        _describe(partial, name, tag, n_rows)
        for path in sorted((partial / NOTEBOOKS).glob("*.ipynb")):
            tell(f"running {path.name}")
            shown = outputs.run(path, partial)
            (partial / EXPECTED).mkdir(exist_ok=True)
            (partial / EXPECTED / f"{path.stem}.json").write_text(json.dumps(shown, indent=1), encoding="utf-8")
        partial.rename(target)
    if archive:
        _zip(target)
    return target


@contextlib.contextmanager
def _home() -> Iterator[Path]:
    """A folder for a database of its own, which is stopped and removed afterwards."""
    with unfinished(Path(tempfile.gettempdir()) / "neurojoint-capsule", is_folder=True, private=True) as home:
        home.chmod(0o711)
        try:
            yield home
        finally:
            embedded.stop(home)


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


def _describe(folder: Path, name: str, tag: str, n_rows: dict[str, int]) -> None:
    about = {
        "format": capsule.FORMAT,
        "name": name,
        "tag": tag,
        "policy": policy.current().described(),
        "python": PYTHON,
        "tables": n_rows,
        "content": capsule.content_hash(folder),
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
