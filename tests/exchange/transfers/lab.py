"""A small lab for the tests of transfers: registered files, and repositories of any kind beside them."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np

from exchange.transfers import ledger, policies, repositories
from exchange.transfers.protocol import Place
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import data
from tests.ingest.tree import ingest, write

SESSION = "mylab/Subjects/m1/2020-01-01/001"
RAW = f"{SESSION}/raw_video_data/_iblrig_leftCamera.raw.mp4"


def build(root: Path, sessions: int = 1, name: str = "rig") -> Path:
    """Register sessions with trials and a raw file each; the raw file of the first."""
    for number in range(1, sessions + 1):
        folder = write(root, f"mylab/Subjects/m1/2020-01-01/{number:03d}")
        video = folder / "raw_video_data" / "_iblrig_leftCamera.raw.mp4"
        video.parent.mkdir(exist_ok=True)
        video.write_bytes(np.random.default_rng(number).bytes(50_000))
    ingest(root, repository=name)
    return root / RAW


def add_repository(name: str, root: Path | str, kind: str = "local", host: str = "", **access) -> None:
    """Make a repository that transfers may write."""
    if kind == "local":
        Path(root).mkdir(exist_ok=True, parents=True)
    data.Repository.insert1(
        {"repository": name, "repository_kind": kind, "repository_root": str(root), "repository_host": host}
    )
    repositories.configure(name, **access)


def add_place(name: str, place: Place, **access) -> None:
    """The same from a place of a test server."""
    add_repository(name, place.root, place.kind, place.host, options=dict(place.options), **access)


def want(*destinations: str, name: str = "all", **rules) -> None:
    """A policy that wants all datasets in some repositories."""
    policies.define(name, destinations, **rules)


def copies(repository: str) -> dict[str, str]:
    """Path -> md5 of the copies that are recorded as online."""
    rows = fetch_columns(
        data.FileRecord & {"repository": repository, "file_state": "online"}, "file_path", "record_hash"
    )
    return dict(zip(*rows.to_pydict().values(), strict=True))


def changes(action: str) -> list[str]:
    rows = fetch_columns(data.Change & {"change_action": action}, "change_path")
    return sorted(rows["change_path"].to_pylist())


def later(**items_due: object) -> None:
    """Let failed files be tried again now."""
    from pipeline.schemas import transfer

    name = transfer.Transfer.Item().full_table_name
    now = ledger.database_time()
    ledger.connection().query(
        f"UPDATE {name} SET item_due = %s WHERE item_state = 'failed' AND item_attempts < 6", (now,)
    )


def new_bucket(server) -> str:
    from exchange.transfers.backends import open_backend

    bucket = f"b{uuid.uuid4().hex}"
    open_backend(server.place(bucket)).client.create_bucket(Bucket=bucket)
    return bucket
