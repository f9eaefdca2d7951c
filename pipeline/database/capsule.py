"""Paper capsules: the tables of a paper as Parquet, brought back into an embedded database and only read there."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import datajoint as dj
import pyarrow as pa
import pyarrow.parquet as pq

import pipeline
from pipeline import settings
from pipeline.alf import parquet
from pipeline.database import embedded, registry
from pipeline.database.connection import Connection
from pipeline.errors import NeurojointError, NotFoundError
from pipeline.unfinished import unfinished

INFO = "capsule.json"
TABLES, FILES = "tables", "files"
FORMAT = 1


def dump(folder: Path) -> dict[str, int]:
    """Write every table with rows, as the database holds them, to `folder`/schema.Table.parquet: label -> rows."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = {}
    for table in _all_tables():
        query = table()
        names = list(query.heading.names)
        quote = query.connection.adapter.quote_identifier
        order = ", ".join(quote(name) for name in query.primary_key) or "1"
        columns = ", ".join(map(quote, names))
        rows = query.connection.query(f"SELECT {columns} FROM {query.full_table_name} ORDER BY {order}").fetchall()
        if rows:
            values = {name: pa.array(list(map(_stored, column)))
                      for name, column in zip(names, zip(*rows, strict=True), strict=True)}  # fmt: skip
            pq.write_table(pa.table(values), folder / f"{registry.label(table)}.parquet")
            counts[registry.label(table)] = len(rows)
    return counts


def load(folder: Path) -> None:
    """Bring back what `dump` wrote, into a database whose tables are declared."""
    from psycopg2.extras import execute_values

    known = {registry.label(table): table for table in _all_tables()}
    unknown = {path.stem for path in folder.glob("*.parquet")} - set(known)
    if unknown:
        raise NeurojointError(
            f"the capsule holds the table {min(unknown)}, which this version does not know",
            "install the version of its lock file",
        )
    connection = dj.conn()
    with connection.transaction:
        for label, table in known.items():
            path = folder / f"{label}.parquet"
            query = table()
            if not path.exists():
                continue
            rows = parquet.read(path)
            quote = connection.adapter.quote_identifier
            connection.query(f"DELETE FROM {query.full_table_name}") if getattr(table, "contents", None) else None
            names = ", ".join(quote(name) for name in rows.column_names)
            values = list(zip(*(column.to_pylist() for column in rows.columns), strict=True))
            with connection._conn.cursor() as cursor:
                execute_values(cursor, f"INSERT INTO {query.full_table_name} ({names}) VALUES %s "
                               "ON CONFLICT DO NOTHING", values, page_size=1000)  # fmt: skip


def content_hash(folder: Path) -> str:
    """SHA-256 over the tables of a capsule."""
    digest = hashlib.sha256()
    for path in sorted((folder / TABLES).glob("*.parquet")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def verify(folder: Path) -> None:
    """Compare tables and files of a capsule with what was written down when it was made.

    Raises
    ------
    NeurojointError : one is missing, or is another.
    """
    if content_hash(folder) != _info(folder)["content"]:
        raise NeurojointError("the tables of the capsule are not those that it was made with", "get it again")
    records = folder / TABLES / "data.FileRecord.parquet"
    if not records.exists():
        return
    rows = parquet.read(records, ["file_path", "record_hash", "file_state"]).to_pylist()
    for row in rows:
        path = folder / FILES / row["file_path"]
        if row["file_state"] != "online":
            continue
        if not path.is_file():
            raise NeurojointError(f"the file {row['file_path']} of the capsule is missing", "get it again")
        with path.open("rb") as file:
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if md5 != row["record_hash"]:
            raise NeurojointError(f"the file {row['file_path']} of the capsule is another", "get it again")


def connect(path: str | Path) -> Connection:
    """Open a capsule, a folder or a zip: its tables are bound, and can only be read.

    Raises
    ------
    NeurojointError : it is no capsule, or it was made by a newer version.
    """
    folder = unpacked(Path(path).expanduser())
    about = _info(folder)
    home = _home(folder, about)
    home.mkdir(mode=0o711, exist_ok=True)
    settings._current = settings.load(home=home, database_url=None, prefix="capsule_", data_root=folder / FILES)
    connection = pipeline.connect()
    done = home / "loaded"
    if not done.exists():
        load(folder / TABLES)
        done.touch()
    connection.query("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE")
    _place_files(connection, folder / FILES)
    connection.query("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    return connection


def stop(folder: Path) -> None:
    """Stop and remove the database of a capsule; it is made again when the capsule is opened."""
    home = _home(folder, _info(folder))
    if home.exists():
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)


def _home(folder: Path, about: dict[str, Any]) -> Path:
    mark = hashlib.sha256(f"{folder.resolve()}{about['content']}".encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"neurojoint-capsule-{mark}"


def unpacked(path: Path) -> Path:
    """The folder of a capsule; a zip is unpacked beside itself once.

    Raises
    ------
    NeurojointError : it is no capsule, or a path in it leads out of it.
    """
    if path.is_dir():
        return path
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise NotFoundError(f"{path} is no capsule", "give the folder or the zip that `neurojoint capsule create` made")
    target = path.with_suffix("")
    if (target / INFO).exists():
        return target
    with zipfile.ZipFile(path) as archive:
        size = sum(item.file_size for item in archive.infolist())
    free = shutil.disk_usage(path.parent).free
    if size > free:
        raise NeurojointError(
            f"unpacked the capsule has {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free beside it",
            "make room, or move the zip to a larger disk",
        )
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.startswith("/") or "\\" in name or ".." in name.split("/") or re.match(r"[A-Za-z]:", name):
                raise NeurojointError(f"the path {name!r} leads out of the capsule", "do not use it")
        if INFO not in archive.namelist():
            raise NotFoundError(f"{path} is no capsule", "it has no capsule.json")
        with unfinished(target, is_folder=True, private=True) as partial:
            archive.extractall(partial)
            partial.chmod(0o755)
            partial.rename(target)
    return target


def _info(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / INFO).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise NotFoundError(f"{folder} is no capsule", f"it has no {INFO}") from None
    if about.get("format") != FORMAT:
        raise NeurojointError(f"the capsule has format {about.get('format')}", "install a newer version of neurojoint")
    return about


def _place_files(connection: dj.Connection, root: Path) -> None:
    name = registry.bind("data").Repository().full_table_name
    connection.query(f"UPDATE {name} SET repository_root = %s", (str(root.resolve()),))


def _all_tables() -> list[type[dj.Table]]:
    skipped = ("task.", "audit.", "transfer.", "notification.", "publication.", "identity.")
    return [
        part
        for table in registry.tables()
        if not registry.label(table).startswith(skipped)
        for part in (table, *registry.parts(table))
    ]


def _stored(value: Any) -> Any:
    """A value as Parquet holds it: JSON as text, bytes as bytes."""
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, dict | list):
        return json.dumps(value)
    return value.rstrip() if isinstance(value, str) else value
