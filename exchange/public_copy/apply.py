"""Make a database and a data root be a snapshot: rows and files that are missing come, others change or go."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datajoint as dj
import pyarrow as pa

import pipeline
from exchange.public_copy.snapshot import Snapshot, _table, take
from pipeline import policy
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns, insert_many
from pipeline.errors import ConflictError, NeurojointError
from pipeline.provenance import delete, staleness
from pipeline.schemas import data
from pipeline.settings import override
from pipeline.unfinished import unfinished

REPOSITORY = "public"
REASON = "not public any more, or changed"
Progress = Callable[[int], None]


@dataclass
class Result:
    """What was done.

    Attributes
    ----------
    added, removed : label -> rows; a changed row is both.
    files, size : copied, and of how many byte together.
    files_removed : files that are not public any more.
    """

    added: dict[str, int]
    removed: dict[str, int]
    files: int = 0
    size: int = 0
    files_removed: int = 0


def publish(tag: str, url: str, root: Path, progress: Progress = lambda n: None) -> Result:
    """Bring the public copy at `url` up to date with the public tag; what is there and equal stays.

    Computed tables are not copied: the workers of the copy compute them from the public files alone.

    Parameters
    ----------
    url : of the second database, `postgresql://…` or `mysql://…`.
    root : data root of the copy.

    Raises
    ------
    ConflictError : it is the database of the settings itself.
    """
    return publish_to(tag, root, progress, database_url=url)


def publish_to(tag: str, root: Path, progress: Progress = lambda n: None, **options: Any) -> Result:
    """The same; the copy is named by its settings, e.g. by another prefix on the same server."""
    snapshot = take(tag, policy.current(pseudonymous=True))
    identity = _identity(dj.conn())
    with other_database(**options) as connection:
        if _identity(connection) == identity:
            raise ConflictError("the public copy would be the database itself", "give the address of another")
        return apply(snapshot, root, progress)


@contextlib.contextmanager
def other_database(**options: Any) -> Iterator[dj.Connection]:
    """For the time of a `with` block all tables are bound to another database."""
    before = dj.conn()
    try:
        with override(**options):
            connection = pipeline.connect()
            try:
                yield connection
            finally:
                connection.close()
    finally:
        before.close()
        pipeline.connect(create=False)


def apply(snapshot: Snapshot, root: Path, progress: Progress = lambda n: None) -> Result:
    """Make the connected database and a data root be what a snapshot says."""
    result = Result({}, {})
    _claim(root)
    _write_files(snapshot, root, result, progress)
    tables = snapshot.tables | {"data.Repository": _repository(root), "data.FileRecord": _records(snapshot, root)}
    order = [*tables]
    order.remove("data.Repository")
    order.insert(order.index("data.Dataset"), "data.Repository")
    order.remove("data.FileRecord")
    order.insert(order.index("data.Dataset") + 1, "data.FileRecord")
    registry.bind("data")
    connection = data.Dataset().connection
    with connection.transaction:
        differing = {label: _difference(label, tables[label]) for label in order}
        for label in reversed(order):
            gone = differing[label][1]
            if gone:
                for start in range(0, len(gone), 500):
                    counts = delete.delete(_table(label) & gone[start : start + 500], REASON, keep_master=True)
                    for name, count in counts.items():
                        result.removed[name] = result.removed.get(name, 0) + count
        if result.removed:  # rows of other tables may have gone with them
            differing = {label: _difference(label, tables[label]) for label in order}
        for label in order:
            new, _ = differing[label]
            if new.num_rows:
                insert_many(_table(label), new)
                result.added[label] = new.num_rows
        data.note_online(data.Dataset())
    staleness.refresh()
    _remove_files(snapshot, root, result)
    return result


def _difference(label: str, rows: pa.Table) -> tuple[pa.Table, list[dict[str, Any]]]:
    """The rows that are missing, and the keys of those that are there and should not be, or not so."""
    table = _table(label)
    key = list(table.primary_key)
    names = [name for name in rows.column_names if name not in ("dataset_online", "verified", "registered")]
    stored = fetch_columns(table, *dict.fromkeys([*key, *names]))
    there = dict(zip(_tuples(stored, key), _tuples(stored, names, _plain), strict=True))
    shipped = {tuple(item[name] for name in key) for item in getattr(table, "contents", ()) if isinstance(item, dict)}
    wanted = _tuples(rows, key)
    is_new = [
        there.get(mine) != content and not (mine in shipped and mine in there)
        for mine, content in zip(wanted, _tuples(rows, names, _plain), strict=True)
    ]
    changed = {mine for mine, new in zip(wanted, is_new, strict=True) if new and mine in there}
    gone = (there.keys() - set(wanted) - shipped) | changed
    return rows.filter(pa.array(is_new, pa.bool_())), [
        dict(zip(key, item, strict=True)) for item in sorted(gone, key=repr)
    ]


def _tuples(rows: pa.Table, names: Sequence[str], text: Callable[[Any], Any] | None = None) -> list[tuple[Any, ...]]:
    """The rows of some columns; `text` is applied to what is no number or date."""
    columns = []
    for name in names:
        values, kind = rows[name].to_pylist(), rows.schema.field(name).type
        is_plain = pa.types.is_integer(kind) or pa.types.is_temporal(kind) or pa.types.is_boolean(kind)
        columns.append(values if text is None or is_plain else list(map(text, values)))
    return list(zip(*columns, strict=True))


def _plain(value: Any) -> Any:
    """A value as it is compared: text that is JSON by its content, padding left out."""
    if isinstance(value, str):
        text = value.rstrip()
        if text[:1] in ("[", "{") and text[-1:] in ("]", "}"):
            with contextlib.suppress(ValueError):
                return json.dumps(json.loads(text), sort_keys=True)
        return text
    return value


def _repository(root: Path) -> pa.Table:
    where = str(root.absolute())
    row = {"repository": REPOSITORY, "repository_kind": "local", "repository_root": where, "repository_host": ""}
    return pa.Table.from_pylist([row])


def _records(snapshot: Snapshot, root: Path) -> pa.Table:
    rows = [
        {
            "dataset_id": dataset, "repository": REPOSITORY, "file_path": path, "file_state": "online",
            "record_size": size, "record_hash": md5, "modified_ns": (root / path).stat().st_mtime_ns,
            "verified": datetime.datetime.now(datetime.UTC).replace(tzinfo=None),
        }
        for dataset, (_, path, md5, size) in sorted(snapshot.files.items())
    ]  # fmt: skip
    names = (
        "dataset_id",
        "repository",
        "file_path",
        "file_state",
        "record_size",
        "record_hash",
        "modified_ns",
        "verified",
    )
    return pa.table({name: [row[name] for row in rows] for name in names})


def _write_files(snapshot: Snapshot, root: Path, result: Result, progress: Progress) -> None:
    known = _known(root)
    for source, path, md5, size in snapshot.files.values():
        target = root / path
        if target.is_file() and known.get(path) == (md5, size, target.stat().st_mtime_ns):
            progress(size)
            continue
        if target.is_file() and target.stat().st_size == size and _md5(target) == md5:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.md5(usedforsecurity=False)
        with unfinished(target) as partial:
            with source.open("rb") as reading, partial.open("wb") as writing:
                while block := reading.read(1 << 20):
                    digest.update(block)
                    writing.write(block)
                    progress(len(block))
            if digest.hexdigest() != md5:
                raise NeurojointError(
                    f"{source} is not what was registered", "run `neurojoint ingest` on its data root"
                )
            partial.replace(target)
        result.files += 1
        result.size += size


def _known(root: Path) -> dict[str, tuple[str, int, int]]:
    columns = ("file_path", "record_hash", "record_size", "modified_ns")
    rows = fetch_columns(data.FileRecord & {"repository": REPOSITORY}, *columns).to_pylist()
    return {row["file_path"]: (row["record_hash"].strip(), row["record_size"], row["modified_ns"]) for row in rows}


MARKER = ".neurojoint-public-copy"


def _claim(root: Path) -> None:
    """Refuse a folder with other files: what is not public is removed from a copy."""
    if not (root / MARKER).exists():
        if root.exists() and any(root.iterdir()):
            raise ConflictError(f"{root} holds other files", "give an empty folder for the public copy")
        root.mkdir(parents=True, exist_ok=True)
        (root / MARKER).touch()


def _remove_files(snapshot: Snapshot, root: Path, result: Result) -> None:
    wanted = {path for _, path, _, _ in snapshot.files.values()}
    for path in sorted(root.rglob("*"), reverse=True):
        relative = path.relative_to(root).as_posix()
        if path.is_dir():
            with contextlib.suppress(OSError):
                path.rmdir()  # only if it is empty
        elif relative not in wanted and relative != MARKER:
            path.unlink()
            result.files_removed += 1


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _identity(connection: dj.Connection) -> Sequence[Any]:
    address = connection.address
    schema = data.schema.database
    return address.backend, address.host, address.port, address.database, schema
