"""Files over HTTP: downloads of registered datasets, pictures of notes, cache tables. Nothing outside the data root.

An address is never a path: it names a dataset, and the database says where its copy is.
"""

from __future__ import annotations

import contextlib
import getpass
import re
import threading
import time
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.files.scan import AGGREGATES
from one_bridge import cache, parquet_files, parquet_metadata
from one_bridge.server import values
from one_bridge.server.endpoint_model import BadInput, NotFound, table
from pipeline import entry
from pipeline.alf import disks, unpacked_size
from pipeline.web.threads import Database

LARGEST_IMAGE = 10 << 20  # byte
NOTES = ".notes"  # folder of the pictures below the data root; hidden, so that registration passes it by
CACHE_KEPT_S = 600.0  # how old exported cache tables may be
_ADDRESS = re.compile(
    r"(?P<lab>\w+)/Subjects/(?P<subject>[\w.-]+)/(?P<date>\d{4}-\d{2}-\d{2})/(?P<number>\d{1,3})/(?P<path>.+)"
)
_UUID_IN_NAME = re.compile(
    r"\.([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?=\.[^./]+$)", re.IGNORECASE
)
_IMAGES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpg", b"GIF87a": "gif", b"GIF89a": "gif"}


class Roots:
    """The folders of this computer that hold files.

    Parameters
    ----------
    database : that lists the repositories.
    data_root : of the settings, for pictures and for what no repository covers yet.
    """

    def __init__(self, database: Database, data_root: Path | None) -> None:
        self.database, self.data_root = database, data_root

    def local(self) -> dict[str, Path]:
        """Repository -> its folder, of those that are on this computer; that of the settings first."""
        rows = self.database.select(table("data.Repository") & {"repository_kind": "local"})
        roots = {row["repository"]: Path(row["repository_root"]) for row in rows}
        roots = {name: root for name, root in roots.items() if disks.is_there(root)}
        return dict(sorted(roots.items(), key=lambda one: one[1] != self.data_root))

    def announce(self) -> None:
        """Make the data root of the settings a repository, if none covers it."""
        if self.data_root is None or not disks.is_there(self.data_root):
            return
        root = self.data_root.resolve()
        rows = self.database.select(table("data.Repository")(), ["repository", "repository_root"])
        if any(root.is_relative_to(row["repository_root"]) for row in rows):
            return
        plain = re.sub(r"[^\w.-]", "_", root.name)[:50] or "local"
        taken = {row["repository"] for row in rows}
        name = next(item for item in (plain, *(f"{plain}_{i}" for i in range(2, 1000))) if item not in taken)
        with self.database.writing():
            row = {"repository": name, "repository_kind": "local", "repository_root": str(root)}
            entry.write("data.Repository", [row], user=getpass.getuser(), source="server", action="create")

    def images(self) -> Path:
        """The folder of the pictures of notes.

        Raises
        ------
        BadInput : the server has no data root.
        """
        root = self.data_root or next(iter(self.local().values()), None)
        if root is None:
            raise BadInput("image", "The server has no data root to keep pictures in.")
        return root / NOTES


def find_dataset(roots: Roots, address: str) -> Path:
    """The file behind an address below /data.

    Parameters
    ----------
    address : lab/Subjects/subject/date/number/path, or aggregates/…, with the uuid of the dataset before the last
        suffix or without.

    Raises
    ------
    NotFound : no such dataset, or no copy of it on this computer.
    """
    given = _UUID_IN_NAME.search(address)
    plain = _UUID_IN_NAME.sub("", address)
    try:
        values.printable(address)
    except ValueError:
        raise NotFound from None
    find = _copies_of_aggregate if plain.startswith(f"{AGGREGATES}/") else _copies_of_dataset
    rows = find(roots.database, plain, given and given[1].lower())
    local = roots.local()
    for row in rows:
        root = local.get(row["repository"])
        if root is not None and (path := _inside(root, root / row["file_path"])):
            return path
    raise NotFound


def with_metadata(path: Path) -> tuple[int, Iterator[bytes]] | None:
    """Size and content of a Parquet file with the metadata that the client needs; None where it is sent as it is."""
    if path.suffix != ".pqt":
        return None
    try:
        footer = parquet_metadata.missing_footer(path)
    except (OSError, ValueError):
        return None
    if footer is None:
        return None
    return footer.begin + len(footer.content), parquet_metadata.content(path, footer)


def _copies_of_dataset(database: Database, address: str, identifier: str | None) -> list[dict[str, Any]]:
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise NotFound
    wanted: dict[str, Any] = {
        "lab": match["lab"],
        "subject": match["subject"],
        "session_number": int(match["number"]),
        "rel_path": match["path"],
    }
    if identifier:
        wanted["dataset_id"] = identifier
    try:
        wanted["session_date"] = values._date(match["date"], "")
    except ValueError:
        raise NotFound from None
    condition = values.key_condition(list(wanted), [list(wanted.values())], database.backend)
    copies = table("data.FileRecord") & {"file_state": "online"}
    return database.select((table("data.Dataset") & condition) * copies.proj("file_path"), ["repository", "file_path"])


def _copies_of_aggregate(database: Database, address: str, identifier: str | None) -> list[dict[str, Any]]:
    wanted = {"aggregate_path": address} | ({"aggregate_id": identifier} if identifier else {})
    rows = table("data.Aggregate") & values.key_condition(list(wanted), [list(wanted.values())], database.backend)
    return database.select(rows.proj("repository", file_path="aggregate_path"), ["repository", "file_path"])


@contextlib.contextmanager
def saved_image(roots: Roots, content: bytes) -> Iterator[str]:
    """Keep the picture of a note, under a path below the data root; where the block fails, no picture is left.

    Raises
    ------
    BadInput : it is too large, in bytes or in pixels, or neither PNG, JPEG nor GIF.
    """
    if len(content) > LARGEST_IMAGE:
        raise BadInput("image", f"A picture has at most {LARGEST_IMAGE >> 20} MB.")
    suffix = next((one for magic, one in _IMAGES.items() if content.startswith(magic)), None)
    if suffix is None:
        raise BadInput("image", "Upload a PNG, JPEG or GIF file.")
    if unpacked_size.pixels(content) > unpacked_size.MOST_PIXELS:
        raise BadInput("image", f"A picture has at most {unpacked_size.MOST_PIXELS // 1_000_000} million pixels.")
    folder = roots.images()
    folder.mkdir(exist_ok=True)
    name = f"{uuid.uuid4()}.{suffix}"
    path = folder / name
    try:
        path.write_bytes(content)
        yield f"{NOTES}/{name}"
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def find_image(roots: Roots, name: str) -> Path:
    """The picture of a note by its file name.

    Raises
    ------
    NotFound : there is none.
    """
    if not re.fullmatch(r"[0-9a-f-]{36}\.(png|jpg|gif)", name):
        raise NotFound
    try:
        folder = roots.images()
    except BadInput:
        raise NotFound from None
    picture = _inside(folder, folder / name)
    if picture is None:
        raise NotFound
    return picture


def _inside(root: Path, path: Path) -> Path | None:
    """The file, if it is one and lies below the root once links are followed."""
    try:
        resolved = path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        return None
    return resolved if resolved.is_file() and resolved.is_relative_to(root.resolve()) else None


class CacheTables:
    """Exported cache tables, made when they are asked for and kept for some minutes.

    Parameters
    ----------
    database : the tables.
    folder : where the exports are kept.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder = database, folder
        self._lock = threading.Lock()

    def info(self, tag: str | None, root: str) -> dict[str, Any]:
        """What the client asks before it downloads: when they were made, where they are.

        Raises
        ------
        NotFound : no such tag.
        """
        import json

        made = self._made(tag)
        with zipfile.ZipFile(made) as archive:
            info = json.loads(archive.read("cache_info.json"))
        return info | {"location": f"{root}/cache.zip" + (f"?tag={tag}" if tag else "")}

    def archive(self, tag: str | None) -> Path:
        """The zip file with the tables.

        Raises
        ------
        NotFound : no such tag.
        """
        return self._made(tag)

    def _made(self, tag: str | None) -> Path:
        if tag is not None:
            there = table("data.Tag") & values.key_condition(["tag"], [[values.printable(tag)]], self.database.backend)
            if not self.database.count(there):
                raise NotFound
        name = "cache" if tag is None else f"tag-{uuid.uuid5(uuid.NAMESPACE_URL, tag)}"
        path = self.folder / f"{name}.zip"
        with self._lock:
            if path.is_file() and time.time() - path.stat().st_mtime < CACHE_KEPT_S:
                return path
            self._make(path, tag)
        return path

    def _make(self, path: Path, tag: str | None) -> None:
        import tempfile

        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder) as made:
            self.database.read(lambda: cache.export(Path(made), tag=tag, served=parquet_files.served_forms))
            unfinished = Path(made) / "cache.zip"
            with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
                for file in sorted(Path(made).iterdir()):
                    if file.suffix in (".pqt", ".json"):
                        archive.write(file, file.name)
            unfinished.replace(path)
