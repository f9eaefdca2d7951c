"""Where a release lies: a folder, a web server, zips here or on the web, an article of figshare, a record of Zenodo."""

from __future__ import annotations

import io
import os
import re
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import requests

from one_bridge.light import manifest
from one_bridge.light.manifest import INFO, MANIFEST, SUMS, DamagedRelease, Manifest, safe
from pipeline.errors import NeurojointError, NotFoundError

CHUNK = 1 << 20
LARGEST_DESCRIPTION = 1 << 31  # byte; of what is read into memory
TRIES = 5
FIGSHARE_API = "https://api.figshare.com/v2"
_WAIT_S = 0.3


class Unreachable(NeurojointError):
    """A place that does not answer."""


class Place(Protocol):
    """A place that holds a release; paths are below the folder of the release."""

    threads: int
    """So many files can be read at once."""

    def chunks(self, path: str, start: int = 0) -> Iterator[bytes]:
        """The content of a file from a position on."""


def open_place(address: str | Path) -> Place:
    """The place at an address.

    Parameters
    ----------
    address : a folder, a zip (or a folder of zips), or an address http(s):// of either; the page of an article of
        figshare, or of a record of Zenodo.

    Raises
    ------
    NotFoundError : there is nothing.
    """
    text = str(address)
    if not re.match(r"https?://", text):
        path = Path(text.removeprefix("file://")).expanduser()
        if path.is_dir():
            zips = sorted(path.glob("*.zip"))
            return Zips(list(map(str, zips))) if zips and not (path / INFO).exists() else Folder(path)
        if path.is_file() and zipfile.is_zipfile(path):
            return Zips([str(path)])
        raise NotFoundError(f"{path} is no release", "give the folder of the release, its zip, or its web address")
    parts = urlsplit(text)
    if text.endswith(".zip"):
        return Zips([text])
    if figshare := re.search(r"figshare\..*?/articles/(?:.*/)?(\d+)(?:/\d+)?/?$", text):
        api = os.environ.get("NEUROJOINT_FIGSHARE_API", FIGSHARE_API)
        return Zips(_figshare(f"{api}/articles/{figshare[1]}"))
    if zenodo := re.search(r"/records?/(\d+)/?$", parts.path):
        return Zips(_zenodo(f"{parts.scheme}://{parts.netloc}/api/records/{zenodo[1]}"))
    return Web(text)


def read_manifest(place: Place, address: object = "") -> Manifest:
    """What the release at a place says that it holds.

    Raises
    ------
    DamagedRelease : its files contradict each other.
    NotFoundError : there is no release.
    """
    try:
        texts = [description(place, name) for name in (INFO, MANIFEST, SUMS)]
    except NotFoundError as error:
        raise NotFoundError(
            f"there is no release at {address or 'that place'} ({error.message})", "check the address"
        ) from None
    return manifest.parse(*texts)


def description(place: Place, path: str) -> bytes:
    """A file that describes the release, in memory."""
    content = bytearray()
    for chunk in place.chunks(path):
        content += chunk
        if len(content) > LARGEST_DESCRIPTION:
            raise DamagedRelease(f"{path} is larger than any release", "do not use it")
    return bytes(content)


class Folder:
    """A folder of this computer."""

    threads = 8

    def __init__(self, root: Path) -> None:
        self.root = root

    def chunks(self, path: str, start: int = 0) -> Iterator[bytes]:
        """See `Place.chunks`."""
        try:
            with (self.root / safe(path)).open("rb") as file:
                file.seek(start)
                while block := file.read(CHUNK):
                    yield block
        except (FileNotFoundError, IsADirectoryError):
            raise NotFoundError(f"{path} is not in {self.root}", "the release is not whole") from None


class Web:
    """A folder on a web server or in a public bucket, which needs to be nothing but that."""

    threads = 8

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")

    def chunks(self, path: str, start: int = 0) -> Iterator[bytes]:
        """See `Place.chunks`."""
        yield from download(f"{self.address}/{quote(safe(path))}", start)


class Zips:
    """One or several zips, read member by member: of one on the web only what is asked for goes over."""

    threads = 1

    def __init__(self, addresses: Sequence[str]) -> None:
        if not addresses:
            raise NotFoundError("there is no zip of a release", "check the address")
        self._members: dict[str, tuple[zipfile.ZipFile, zipfile.ZipInfo]] = {}
        for address in addresses:
            source: Any = io.BufferedReader(RangeFile(address), 1 << 18) if "://" in address else address
            try:
                archive = zipfile.ZipFile(source)
            except zipfile.BadZipFile:
                raise DamagedRelease(f"{address} is no zip", "get it again") from None
            for info in archive.infolist():
                if not info.is_dir():
                    self._members[safe(info.filename)] = archive, info

    def chunks(self, path: str, start: int = 0) -> Iterator[bytes]:
        """See `Place.chunks`."""
        if path not in self._members:
            raise NotFoundError(f"{path} is not in the zip", "the release is not whole")
        archive, info = self._members[path]
        try:
            with archive.open(info) as file:
                file.seek(start)
                while block := file.read(CHUNK):
                    yield block
        except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
            raise DamagedRelease(f"{path} cannot be read from the zip ({error})", "get the zip again") from None


class RangeFile(io.RawIOBase):
    """A file on the web, read in pieces by requests for ranges.

    Raises
    ------
    NeurojointError : the server does not give parts of files.
    """

    def __init__(self, address: str) -> None:
        self.address, self._at = address, 0
        answer = request(address, headers={"Range": "bytes=0-0"}, stream=True)
        answer.close()
        said = re.fullmatch(r"bytes 0-0/(\d+)", answer.headers.get("Content-Range", ""))
        if answer.status_code != 206 or not said:
            raise Unreachable(
                f"the server of {address} does not give parts of files", "download the zip, then name the file"
            )
        self._size = int(said[1])

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be read from any position."""
        return True

    def tell(self) -> int:
        """Where the next read begins, byte."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position, byte."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read what fits."""
        last = min(self._at + len(buffer), self._size) - 1
        if last < self._at:
            return 0
        content = request(self.address, headers={"Range": f"bytes={self._at}-{last}"}).content
        if len(content) != last + 1 - self._at:
            raise Unreachable(f"{self.address} gave {len(content)} byte instead of a part", "try again later")
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)


def download(address: str, start: int = 0) -> Iterator[bytes]:
    """The content of a file on the web from a position on; where it breaks off, it goes on from there.

    Raises
    ------
    NotFoundError : there is no such file.
    Unreachable : the server does not answer, or gives less than it says.
    """
    at, tries = start, 0
    while True:
        answer = request(address, headers={"Range": f"bytes={at}-"} if at else {}, stream=True)
        skip = at if at and answer.status_code == 200 else 0  # it gives the whole
        try:
            for block in answer.iter_content(CHUNK):
                if skip:
                    block, skip = block[skip:], max(0, skip - len(block))
                at += len(block)
                yield block
            return
        except requests.RequestException as error:
            tries += 1
            if tries >= TRIES:
                raise Unreachable(f"{address} breaks off", f"try again later ({error.__class__.__name__})") from None
            time.sleep(_WAIT_S * 2**tries)
        finally:
            answer.close()


def request(address: str, headers: dict[str, str] | None = None, stream: bool = False) -> requests.Response:
    """GET, once more where the server fails for a moment.

    Raises
    ------
    NotFoundError : there is no such file.
    Unreachable : the server does not answer, or refuses.
    """
    problem = ""
    for turn in range(TRIES):
        if turn:
            time.sleep(_WAIT_S * 2**turn)
        try:
            answer = requests.get(address, headers=(headers or {}) | {"Accept-Encoding": "identity"}, stream=stream, timeout=60)  # noqa: E501  # fmt: skip
        except requests.RequestException as error:
            problem = error.__class__.__name__
            continue
        if answer.status_code in (404, 410):
            raise NotFoundError(f"{address} is not there", "check the address")
        if answer.status_code == 416:  # nothing behind that position
            answer._content = b""
            return answer
        if answer.status_code < 400:
            return answer
        problem = f"status {answer.status_code}"
        if answer.status_code not in (408, 429) and answer.status_code < 500:
            break
    raise Unreachable(f"{address} cannot be read ({problem})", "check the address, or try again later")


def _figshare(address: str) -> list[str]:
    """The zips of an article."""
    files = request(f"{address}/files?page_size=1000").json()
    return [
        file["download_url"] for file in sorted(files, key=lambda one: one["name"]) if file["name"].endswith(".zip")
    ]


def _zenodo(address: str) -> list[str]:
    """The zips of a record."""
    files = request(address).json().get("files", [])
    return [file["links"]["self"] for file in sorted(files, key=lambda one: one["key"]) if file["key"].endswith(".zip")]
