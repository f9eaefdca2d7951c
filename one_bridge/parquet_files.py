"""Registered Parquet files that the unmodified client cannot read: how they are served, and how to mend them."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from ingest.files.scan import SessionKey
from ingest.one_session import register_session
from ingest.rows import layouts
from one_bridge import file_locations, parquet_metadata
from one_bridge.matching import by_ids, literal
from one_bridge.terms import online
from pipeline.database.bulk import fetch_columns
from pipeline.errors import NeurojointError
from pipeline.schemas import data
from pipeline.unfinished import unfinished

MOST_KNOWN = 1 << 18


class Form(NamedTuple):
    """Hash (md5) and size (byte) of a file once the client can read it."""

    md5: str
    size: int


_known: dict[tuple[str, int, int], Form | None] = {}
"""Path, size (byte), time of change (ns) -> form; None where the client can read the file as it is."""
_lock = threading.Lock()


def form_of(path: Path) -> Form | None:
    """The form of a file that lacks what the client needs; None where it lacks nothing, or is no Parquet file."""
    try:
        stat = path.stat()
        key = (str(path), stat.st_size, stat.st_mtime_ns)
        if key in _known:
            return _known[key]
        footer = parquet_metadata.missing_footer(path)
        form = None
        if footer is not None:
            digest = hashlib.md5(usedforsecurity=False)
            for part in parquet_metadata.content(path, footer):
                digest.update(part)
            form = Form(digest.hexdigest(), footer.begin + len(footer.content))
    except (OSError, ValueError):
        return None
    with _lock:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        _known[key] = form
    return form


def served_forms(dataset_ids: Iterable[str]) -> dict[str, Form]:
    """Dataset -> its form, of those whose file on this computer lacks what the client needs."""
    copies = file_locations.locate(dataset_ids)
    return {one: form for one, copy in copies.items() if (form := form_of(copy.path)) is not None}


def lacking(root: Path) -> dict[str, Path]:
    """The registered Parquet files of a data root that the client cannot read, but for protected ones: dataset -> file.

    Parameters
    ----------
    root : Path
        Of a repository.
    """
    roots = {name: path for name, path in file_locations.local_roots().items() if path.resolve() == root.resolve()}
    files = {}
    backend = data.Dataset().connection.adapter.backend
    tagged = data.DatasetTag() & (data.Tag() & {"tag_protected": True}).proj()
    protected = set(fetch_columns(tagged, "dataset_id")["dataset_id"].to_pylist())
    for name, path in roots.items():
        copies = online() & f"repository = {literal(name, backend)}" & "file_path LIKE '%%.pqt'"
        for row in fetch_columns(copies, "dataset_id", "file_path").to_pylist():
            if row["dataset_id"] not in protected and form_of(path / row["file_path"]) is not None:
                files[row["dataset_id"]] = path / row["file_path"]
    return files


def mend(files: Mapping[str, Path]) -> int:
    """Give files the footer that the client needs, and register their sessions again; returns how many were changed.

    The data pages stay byte for byte; hash and size change, and `data.Change` says so.

    Raises
    ------
    NeurojointError
        A file cannot be written.
    """
    n_changed = 0
    for path in files.values():
        footer = parquet_metadata.missing_footer(path)
        if footer is None:
            continue
        try:
            with unfinished(path, private=True) as partial:
                with partial.open("wb") as file:
                    file.writelines(parquet_metadata.content(path, footer))
                    file.flush()
                    os.fsync(file.fileno())
                partial.chmod(path.stat().st_mode)
                partial.replace(path)
        except OSError as error:
            raise NeurojointError(
                f"{path} cannot be written ({error.strerror})", "check its mode and the disk"
            ) from error
        n_changed += 1
    rows = fetch_columns(
        data.Dataset() & by_ids("dataset_id", files), "lab", "subject", "session_date", "session_number"
    )
    sessions = {
        SessionKey(r["lab"], r["subject"], str(r["session_date"]), r["session_number"]) for r in rows.to_pylist()
    }
    for repository, root in file_locations.local_roots().items():
        folders: dict[SessionKey, str] = defaultdict(str, layouts.registered_places(repository, sorted(sessions)))
        for key in sorted(sessions):
            if folders[key] and any(path.is_relative_to(root / folders[key]) for path in files.values()):
                register_session(repository, root, key, folders[key])
    return n_changed
