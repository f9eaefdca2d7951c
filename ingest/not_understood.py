"""What registered files hold that no table and no dataset type stands for, each with its shape and a suggestion."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.alf.aliases import meaning, names_of
from pipeline.alf.columns import columns_of
from pipeline.alf.dataset_types import DATASET_TYPES, suggest
from pipeline.alf.reader import HEADER, load, npy_header
from pipeline.database.bulk import fetch_columns
from pipeline.errors import InvalidData
from pipeline.schemas import data

_TABLES = ("pqt", "csv", "tsv", "ssv", "htsv", "mat")
_KEPT = "    kept as a column of the lab's own: behavior.fetch_trials returns it once the workers have read it"
_NOTHING_LIKE = "    no known type has a similar name: a module of the lab can read it (docs/modules.md)"
_LARGEST_TABLE = 64 << 20  # byte; larger ones are not opened only to name their columns


class Unknown(NamedTuple):
    """One name that is not understood.

    Attributes
    ----------
    name
        `object.attribute.extension` of the files, or `object.column` of a table.
    n_files, n_sessions
        How many files and sessions have it.
    shape
        Of the first of them, in words; empty where it is neither array nor table.
    example
        Path of the first of them below the root.
    suggestions
        Dataset types that may be meant, the likeliest first.
    """

    name: str
    n_files: int
    n_sessions: int
    shape: str
    example: str
    suggestions: list[str]


def find(repository: str, base: Path) -> list[Unknown]:
    """All names in a repository that are not understood, the most frequent first.

    Parameters
    ----------
    repository, base
        Name of the repository, and where it is.
    """
    datasets = (data.Dataset & {"default_dataset": True, "dataset_online": True} & "dataset_type IS NULL").proj(
        "lab", "subject", "session_date", "session_number", "alf_object", "alf_attribute", "extension"
    )
    records = (data.FileRecord & {"repository": repository, "file_state": "online"}).proj("file_path")
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in fetch_columns(datasets * records).to_pylist():
        groups[row["alf_object"], row["alf_attribute"], row["extension"]].append(row)
    unknown = [_of_files(base, name, rows) for name, rows in groups.items()]
    unknown += _of_columns()
    return sorted(unknown, key=lambda one: (-one.n_sessions, one.name))


def report(unknown: Iterable[Unknown]) -> str:
    """The names in words, one a paragraph."""
    lines = []
    for item in unknown:
        files = f"{item.n_files:,} file{'s' * (item.n_files != 1)}" if item.n_files else "a column"
        sessions = f"{item.n_sessions:,} session{'s' * (item.n_sessions != 1)}"
        lines.append(f"{item.name}: {files} in {sessions}" + (f", {item.shape}" if item.shape else ""))
        if item.example:
            lines.append(f"    e.g. {item.example}")
        hints = [f"    perhaps {name}: {DATASET_TYPES[name].description}" for name in item.suggestions]
        if item.name.startswith("trials."):
            hints.append(_KEPT)
        lines += hints or [_NOTHING_LIKE]
    if not lines:
        return "every file is of a known dataset type"
    return "\n".join(["not understood (it stays readable through ONE):", *lines])


def _of_files(base: Path, name: tuple[str, str, str], rows: list[dict[str, Any]]) -> Unknown:
    alf_object, attribute, extension = name
    example = min(row["file_path"] for row in rows)
    words, shape = _shape(base / example, extension)
    sessions = {(row["lab"], row["subject"], row["session_date"], row["session_number"]) for row in rows}
    likely = suggest(alf_object, attribute, shape) if words else []
    return Unknown(".".join(name), len(rows), len(sessions), words, example, likely)


def _shape(path: Path, extension: str) -> tuple[str, tuple[int, ...] | None]:
    """Shape of an array, or the columns of a table, in words; and the shape as numbers."""
    try:
        if extension == "npy":
            with path.open("rb") as file:
                header = npy_header(file.read(HEADER), path.name, path.stat().st_size)
            return f"shape {header.shape} of {header.dtype}", header.shape
        if extension in _TABLES and path.stat().st_size <= _LARGEST_TABLE:
            table = load(path, path.name)
            columns = ", ".join(table.column_names[:8]) + (", …" if table.num_columns > 8 else "")
            return f"{table.num_rows:,} rows with the columns {columns}", None
    except (InvalidData, OSError):
        pass
    return "", None


def _of_columns() -> list[Unknown]:
    """Columns of tables of known objects that no column of ours stands for."""
    objects = [{"object_name": name} for name in ("trials", "wheel", "licks")]
    rows = fetch_columns(data.AlfObject & objects, "object_name", "accepted_columns").to_pylist()
    n_sessions: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        known = {column.name for column in columns_of(row["object_name"])}
        for attribute in filter(None, row["accepted_columns"].split(",")):
            n_sessions[row["object_name"], attribute] += attribute not in known
    in_files = {
        (name, meaning(name, row["alf_attribute"]).attribute)
        for object_ in objects
        for name in names_of(object_["object_name"])
        for row in (data.Dataset & {"alf_object": name}).proj("alf_attribute").to_dicts()
    }
    return [
        Unknown(f"{alf_object}.{attribute}", 0, count, "", "", suggest(alf_object, attribute))
        for (alf_object, attribute), count in n_sessions.items()
        if count and f"{alf_object}.{attribute}" not in DATASET_TYPES and (alf_object, attribute) not in in_files
    ]
