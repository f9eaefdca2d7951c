"""Files that are online only elsewhere: fetched by HTTP or from S3 into a cache of limited size, checked by their md5.

The cache is the folder `cache/files` of the home; its size is that of the setting `cache_size`. What was not used for
longest goes first.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import time
import urllib.parse
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.database import registry
from pipeline.errors import NeurojointError
from pipeline.settings import settings

data = registry.tables_of("data")
transfer = registry.tables_of("transfer")

logger = logging.getLogger(__name__)

READABLE = ("http", "s3")
"""Kinds of repositories that any computer can read, nearest first."""
CHUNK = 1 << 20  # byte
PATIENCE_S = (15, 60)
TRIES = 4
LINK_S = 3600
"""How long an address of a file in S3 leads to it."""


def addresses(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[tuple[str, Mapping[str, Any]]]]:
    """Dataset -> web addresses of its copies with the record of each, nearest first; empty without any.

    Parameters
    ----------
    rows : records of online copies: dataset_id, repository, file_path, record_size, record_hash.
    """
    kinds = data.Repository & [{"repository_kind": kind} for kind in READABLE]
    repositories = {row["repository"]: row for row in kinds.to_dicts()}
    if not repositories:
        return {}
    access = {row["repository"]: row for row in transfer.Access().to_dicts()}
    by_dataset: dict[str, list[tuple[tuple, str, Mapping[str, Any]]]] = {}
    clients: dict[str, Any] = {}
    for row in rows:
        one = repositories.get(row["repository"])
        rules = access.get(row["repository"], {})
        if one is None or rules.get("access_offline") or not rules.get("access_enabled", True):
            continue
        distance = (bool(rules.get("access_archive")), READABLE.index(one["repository_kind"]), one["repository"])
        with contextlib.suppress(ModuleNotFoundError):  # without boto3 nothing of S3 is near
            address = _address(one, rules.get("access_options") or {}, row["file_path"], clients)
            by_dataset.setdefault(row["dataset_id"], []).append((distance, address, row))
    nearest = {name: sorted(some, key=lambda one: one[0]) for name, some in by_dataset.items()}
    return {name: [(address, row) for _, address, row in some] for name, some in nearest.items()}


def fetch(rows: Iterable[Mapping[str, Any]]) -> dict[str, Path]:
    """Dataset -> its file in the cache of this computer, fetched if it is not there; those that cannot be had are absent.

    A file is taken only if its md5 is that of the record.
    """
    paths = {}
    for dataset_id, choices in addresses(rows).items():
        for address, row in choices:
            target = cached_path(row["record_hash"], row["file_path"])
            try:
                if not target.exists():
                    _download(address, target, row["record_size"], row["record_hash"])
                os.utime(target.parent)  # when it was used last
                paths[dataset_id] = target
                break
            except (NeurojointError, OSError) as error:
                logger.warning("%s cannot be fetched from %s: %s", row["file_path"], row["repository"], error)
    return paths


def cache_root() -> Path:
    """The folder of the cache."""
    return settings().home / "cache" / "files"


def cached_path(md5: str, file_path: str) -> Path:
    """Where a file with this content is kept; its name and the folders above it are as in the repository."""
    return cache_root() / md5[:2] / md5 / file_path


def trim(limit: float | None = None) -> int:
    """Remove what was not used for longest until the cache is within its limit (byte); returns the bytes that went."""
    limit = settings().cache_size * 1e9 if limit is None else limit
    entries = []
    for folder in cache_root().glob("??/*"):
        with contextlib.suppress(OSError):
            files = [path for path in folder.rglob("*") if path.is_file()]
            used = max((file.parent.stat().st_mtime for file in files), default=0.0)
            entries.append((used, sum(file.stat().st_size for file in files), folder))
    total, gone = sum(size for _, size, _ in entries), 0
    for _, size, folder in sorted(entries):
        if total - gone <= limit:
            break
        shutil.rmtree(folder, ignore_errors=True)
        gone += size
    return gone


def _address(repository: Mapping[str, Any], options: Mapping[str, Any], path: str, clients: dict[str, Any]) -> str:
    root = repository["repository_root"]
    if repository["repository_kind"] == "http":
        return f"{root.rstrip('/')}/{urllib.parse.quote(path)}"
    import boto3

    client = clients.get(repository["repository"])
    if client is None:
        session = boto3.Session(profile_name=options.get("profile"))
        client = clients[repository["repository"]] = session.client(
            "s3", endpoint_url=options.get("endpoint_url"),
            region_name=options.get("region") or session.region_name or "us-east-1",
        )  # fmt: skip
    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    key = f"{prefix.strip('/')}/{path}" if prefix.strip("/") else path
    return client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=LINK_S)


def _download(address: str, target: Path, size: int, md5: str) -> None:
    if shutil.disk_usage(_existing(target)).free < size + (1 << 28):
        raise NeurojointError("the disk of the cache is full", f"free some space, or lower cache_size ({cache_root()})")
    if size > settings().cache_size * 1e9:
        raise NeurojointError(
            f"it has {size / 1e9:.1f} GB, more than the cache may hold", "raise cache_size, or neurojoint retrieve"
        )
    trim(settings().cache_size * 1e9 - size)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{uuid.uuid4().hex}")
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with unfinished.open("wb") as file:
            for block in _blocks(address):
                digest.update(block)
                file.write(block)
            n_bytes = file.tell()
        if (digest.hexdigest(), n_bytes) != (md5, size):
            raise NeurojointError(
                "it is not what was registered", "neurojoint verify finds and replaces damaged copies"
            )
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _blocks(address: str) -> Iterator[bytes]:
    """The content behind an address; after a cut it goes on where it was."""
    import requests

    done, tag = 0, None
    for attempt in range(TRIES):
        headers = {"Accept-Encoding": "identity"} | (
            {"Range": f"bytes={done}-", "If-Range": tag} if done and tag else {}
        )
        try:
            with requests.get(address, headers=headers, stream=True, timeout=PATIENCE_S) as answer:
                if answer.status_code in (403, 404):
                    raise NeurojointError(f"the server answers {answer.status_code}", "neurojoint verify")
                answer.raise_for_status()
                if done and answer.status_code != 206:
                    raise NeurojointError("it cannot be continued after a cut", "try again")
                tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
                length = answer.headers.get("Content-Length")
                expected = None if length is None else done + int(length)
                for block in answer.iter_content(CHUNK):
                    done += len(block)
                    yield block
                if expected is not None and done < expected:
                    raise requests.ConnectionError("the connection ended early")
                return
        except requests.RequestException as error:
            if attempt == TRIES - 1:
                raise NeurojointError(f"no answer ({type(error).__name__})", "check the network") from None
            time.sleep(0.2 * 2**attempt)


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
