"""The upload of a release: what goes where, and the record of it, by which an interrupted one goes on."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from exchange.releases import build
from exchange.releases.frozen import Release
from exchange.releases.uploads import stores
from exchange.releases.uploads.figshare import Figshare
from exchange.releases.uploads.service import Deposit, Item, Progress, Published
from exchange.releases.uploads.zenodo import Zenodo
from one_bridge.light.manifest import SUMS
from pipeline.errors import ConflictError, NotFoundError
from pipeline.schemas import data, publication

SERVICES: dict[str, type[Figshare] | type[Zenodo]] = {"figshare": Figshare, "zenodo": Zenodo}


def upload(
    release: Release, target: str, out: Path, *, publish: bool = False, progress: Progress = lambda n: None
) -> Published:
    """Bring a release that was built in `out` to a target; stopped anywhere, the same call goes on.

    Parameters
    ----------
    target : `figshare`, `zenodo`, `s3://bucket/prefix`, `user@host:/folder`, `sftp://user@host/folder` or a folder.
    publish : let everybody see it: after that nothing of it can be changed.

    Raises
    ------
    NotFoundError : it was not built there.
    ConflictError : it is published there, or what was built is not what was frozen.
    """
    key = release.key | {"upload_target": target}
    rows = (publication.Upload & key).to_dicts()
    row: dict[str, Any] = rows[0] if rows else key | {"upload_identifier": "", "upload_url": ""}
    if rows and row["upload_state"] == "published":
        raise ConflictError(
            f"{release.name} is published at {row['upload_url'] or target} and cannot be changed",
            "make a new version: `neurojoint release create`; check this one: `neurojoint release verify`",
        )
    files = release.files()
    if target not in SERVICES:
        items = _items_of_folder(release, out)
        _record(row, "running")
        stores.put(stores.place(target, release.row["manifest_hash"]), items, progress)
        _record(row | {"upload_url": target if "://" in target else ""}, "complete")
        if publish:
            _published(release, row | {"upload_url": target}, Published(target))
        return Published(target)
    items = _items_of_zips(release, out, build.descriptions(release, files))
    deposit: Deposit = SERVICES[target]()
    _record(row, "running")
    row["upload_identifier"] = deposit.open(release.row, row["upload_identifier"], _previous(release, target))
    _record(row, "running")
    deposit.put(row["upload_identifier"], items, progress)
    _record(row, "complete")
    if not publish:
        return Published()
    published = deposit.publish(row["upload_identifier"])
    _published(release, row | {"upload_url": published.address[:500]}, published)
    return published


def _previous(release: Release, target: str) -> str:
    """Identifier of the version before at the same service; empty where that one is not published there."""
    before = release.row["previous_version"]
    if before is None:
        return ""
    key = {"release": release.row["release"], "release_version": before, "upload_target": target}
    rows = (publication.Upload & key & {"upload_state": "published"}).to_dicts()
    return str(rows[0]["upload_identifier"]) if rows else ""


def _record(row: dict[str, Any], state: str) -> None:
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    row |= {"upload_state": state, "upload_time": now}
    key = {name: row[name] for name in publication.Upload.primary_key}
    if publication.Upload & key:
        publication.Upload.update1(row)
    else:
        publication.Upload.insert1(row)


def _published(release: Release, row: dict[str, Any], published: Published) -> None:
    """Write down that it is public, once."""
    with publication.Release().connection.transaction:
        _record(row, "published")
        before = (publication.Release & release.key).fetch1()
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        publication.Release.update1(
            release.key
            | {
                "release_published": before["release_published"] or now,
                "release_doi": before["release_doi"] or published.doi,
            }
        )
        data.Change.record(
            [data.ChangeNote("published", release.name, f"{row['upload_target']} {published.doi}".strip())]
        )


def _items_of_folder(release: Release, out: Path) -> list[Item]:
    """All files of the folder of a release."""
    folder = out / release.name
    if not (folder / SUMS).exists():
        raise NotFoundError(
            f"the folder of {release.name} is not in {out}", f"neurojoint release build {release.name} {out}"
        )
    files = release.files()
    items = [Item(file.path, folder / file.path, file.size, file.md5) for file in files]
    for name, content in build.descriptions(release, files).items():
        if not (folder / name).exists() or (folder / name).read_bytes() != content:
            raise ConflictError(f"{folder / name} is not what was frozen", "build the folder again")
        items.append(Item(name, folder / name, len(content), stores.md5_of(folder / name)))
    return items


def _items_of_zips(release: Release, out: Path, others: dict[str, bytes]) -> list[Item]:
    """The zips, and beside them what people read before they download."""
    zips = [*sorted(out.glob(f"{release.name}.part*.zip")), *out.glob(f"{release.name}.zip")]
    if not zips:
        raise NotFoundError(
            f"the zip of {release.name} is not in {out}", f"neurojoint release build {release.name} {out}"
        )
    beside = out / f"{release.name}.texts"
    beside.mkdir(exist_ok=True)
    for name in ("README.md", "LICENSE", "CITATION.cff", "datacite.json"):
        (beside / name).write_bytes(others[name])
    paths = [*zips, *sorted(beside.iterdir())]
    return [Item(path.name, path, path.stat().st_size, stores.md5_of(path)) for path in paths]
