"""What all tables hold, in a file of the repository: a change of any column of any table is seen, and named.

`check(name)` compares the tables of the open database with `tests/snapshots/<name>.json`. A change that is meant is
written with `NEUROJOINT_WRITE_SNAPSHOTS=1 pytest …`, and said in the list `agreed` of that file. Of columns of floats
the file has sums, which other processors change in the last digits; of all other columns a hash.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.database import registry

FOLDER = Path(__file__).with_name("snapshots")
PRECISION = 1e-6  # relative, of sums of floats

VOLATILE = {
    "data.Change": None, "data.IngestRun": None, "data.SourceRow": None, "task.Worker": None, "data.SessionScan": None,
    "task.SchemaMigration": None,
    "audit.Edit": None, "data.Repository": None, "data.FileRecord": {"file_path", "modified_ns", "verified"},
    "data.Dataset": {"registered"}, "data.Quarantine": {"first_seen", "last_seen", "quarantine_root"},
}  # fmt: skip
"""Table -> columns that say when and where a test ran; None: the whole table."""
HASHES = ("_hash", "_fingerprint", "_signature", "_size")
"""Ends of names of columns that change with the version of the programs that write files."""


def digest() -> dict[str, dict[str, Any]]:
    """Table with rows -> `rows`, and of each column a hash, or the sums of its numbers."""
    result: dict[str, dict[str, Any]] = {}
    for table in registry.tables():
        if not table.__module__.startswith("pipeline.schemas."):  # a module of a lab that another test loaded
            continue
        for item in (table, *registry.parts(table)):
            label = registry.label(item)
            left_out = VOLATILE.get(label, set())
            if left_out is None:
                continue
            rows = item.to_dicts()
            if not rows:
                continue
            names = [name for name in item.heading.names if name not in left_out and not name.endswith(HASHES)]
            key = [name for name in item.primary_key if name in names]
            rows.sort(key=lambda row, key=key: [str(row[name]) for name in key])
            result[label] = {"rows": len(rows)} | {name: _summary(row[name] for row in rows) for name in names}
    return result


def check(name: str) -> None:
    """Fail where the tables differ from the snapshot of this name; the message names tables and columns."""
    path, now = FOLDER / f"{name}.json", digest()
    there = json.loads(path.read_text()) if path.exists() else {"agreed": [], "tables": {}}
    if os.environ.get("NEUROJOINT_WRITE_SNAPSHOTS"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(json.dumps(there | {"tables": now}, indent=1, sort_keys=True) + "\n")
        return
    changes = list(differences(there["tables"], now))
    assert not changes, "the tables differ from the snapshot (see tests/snapshot.py):\n" + "\n".join(changes)


def differences(before: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]]) -> Iterator[str]:
    """What differs between two digests, a line each: a table, or a column of it; what is new changes no rows."""
    for table in sorted(before):
        if table not in now:
            yield f"{table}: is gone, or has no rows"
            continue
        old, new = before[table], now[table]
        for column in sorted(old):
            if column not in new:
                yield f"{table}.{column}: is gone"
            elif column == "rows" and old[column] != new[column]:
                yield f"{table}: {old[column]} rows before, {new[column]} now"
            elif column != "rows" and not _alike(old[column], new[column]):
                yield f"{table}.{column}: {old[column]} before, {new[column]} now"


def _summary(values: Iterable[Any]) -> dict[str, Any]:
    numbers: list[float] = []
    words: list[str] = []
    for value in values:
        _collect(value, numbers, words)
    made: dict[str, Any] = {"hash": hashlib.md5("\n".join(words).encode(), usedforsecurity=False).hexdigest()[:12]}
    if numbers:
        array = np.array(numbers)
        places = np.arange(1, array.size + 1) / array.size
        sums = (array.sum(), np.abs(array).sum(), (array * places).sum())
        made |= {"n": array.size, "sums": [float(f"{one:.12g}") for one in sums]}
    return made


def _collect(value: Any, numbers: list[float], words: list[str]) -> None:
    """Finite floats go to the numbers, all else as text to the words."""
    if isinstance(value, np.ndarray | list | tuple):
        items = value.tolist() if isinstance(value, np.ndarray) else value
        words.append(f"[{len(items)}")
        for item in items:
            _collect(item, numbers, words)
    elif isinstance(value, dict):
        for name in sorted(value):
            words.append(f"{name}:")
            _collect(value[name], numbers, words)
    elif isinstance(value, float | np.floating):
        if math.isfinite(value):
            numbers.append(float(value))
        else:
            words.append(str(float(value)))
    elif isinstance(value, bool | np.bool_):
        words.append(str(int(value)))
    else:
        words.append(repr(value) if isinstance(value, bytes) else str(value))


def _alike(old: dict[str, Any], new: dict[str, Any]) -> bool:
    if (old["hash"], old.get("n")) != (new["hash"], new.get("n")):
        return False
    if "sums" not in old:
        return True
    scale = max(old["sums"][1], 1e-12)  # of the sizes: sums near zero are compared by what they are made of
    return all(abs(a - b) <= PRECISION * scale for a, b in zip(old["sums"], new["sums"], strict=True))
