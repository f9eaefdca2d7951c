"""What services of deposits have in common: requests that are repeated where that is safe, and who may call them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import requests

from pipeline.errors import InvalidSettings, NeurojointError, PermissionDenied
from pipeline.settings import read_secret

TRIES = 8
CHUNK = 1 << 20
_T = TypeVar("_T")
Progress = Callable[[int], None]
"""Called with the number of bytes that went over since the last call."""

_wait_s = 0.5


class Lost(NeurojointError):
    """A request whose answer did not come, or was that the service failed: it may have been carried out."""


@dataclass(frozen=True)
class Item:
    """One file to upload: the name that it has there, where it is, size (byte) and md5."""

    name: str
    path: Path
    size: int
    md5: str


@dataclass(frozen=True)
class Published:
    """Where readers find it."""

    address: str = ""
    doi: str = ""


class Deposit(Protocol):
    """A service that takes files into a draft, which is published at the end."""

    def open(self, row: Mapping[str, Any], identifier: str = "", previous: str = "") -> str:
        """The draft of a release: the one that is known or found there, else a new one; returns its identifier.

        Parameters
        ----------
        previous : identifier of the version before, as it was published there.
        """

    def put(self, identifier: str, items: list[Item], progress: Progress) -> None:
        """Bring the draft to hold these files, each once, and no others."""

    def publish(self, identifier: str) -> Published:
        """Publish the draft; where it is published already, only say where it is."""


class Api:
    """A service behind an address.

    Parameters
    ----------
    headers : of each request; holds the token.
    """

    def __init__(self, name: str, base: str, headers: Mapping[str, str]) -> None:
        self.name, self.base = name, base.rstrip("/")
        self._session = requests.Session()
        self._session.headers.update(headers)

    def get(self, path: str, **more: Any) -> Any:
        """What the service says, as Python values."""
        return self.repeat(lambda: self.once("GET", path, **more)).json()

    def once(self, method: str, path: str, **more: Any) -> requests.Response:
        """One request, at a path below the address, or at an address.

        Raises
        ------
        Lost : no answer, or one that says nothing of what was done.
        PermissionDenied : the token has no right to that.
        NeurojointError : the service refuses.
        """
        address = path if "://" in path else f"{self.base}/{path.lstrip('/')}"
        try:
            answer = self._session.request(method, address, timeout=(15, 300), **more)
        except requests.RequestException as error:
            raise Lost(f"{self.name} did not answer ({error.__class__.__name__})", "try again later") from None
        if answer.status_code >= 500 or answer.status_code in (408, 409, 429):
            raise Lost(f"{self.name} answered {answer.status_code}", "try again later")
        if answer.status_code in (401, 403):
            raise PermissionDenied(
                f"{self.name} does not let this token do that ({answer.status_code})",
                "make one that may write deposits, see docs/releases.md",
            )
        if answer.status_code >= 400:
            raise Refused(
                f"{self.name} refuses {method} ({answer.status_code}): {_message(answer)}", answer.status_code
            )
        return answer

    def repeat(self, act: Callable[[], _T]) -> _T:
        """Do something that may be done again until its answer comes.

        Raises
        ------
        Lost : it never came.
        """
        for turn in range(TRIES):
            try:
                return act()
            except Lost:
                if turn == TRIES - 1:
                    raise
                time.sleep(min(_wait_s * 2**turn, 60))
        raise AssertionError

    def ensure(self, find: Callable[[], _T | None], make: Callable[[], object]) -> _T:
        """What `find` gives, made first where there is nothing: where the answer is lost, it is looked for again."""

        def act() -> _T:
            existing = find()
            if existing is None:
                make()
                existing = find()
            if existing is None:
                raise Lost(f"{self.name} does not show what was made", "try again later")
            return existing

        return self.repeat(act)


class Refused(NeurojointError):
    """A request that the service understands and does not carry out."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, "see docs/releases.md")
        self.status = status


def token(service: str) -> str:
    """The token for a service: `NEUROJOINT_<SERVICE>_TOKEN`, or the file `…_TOKEN_FILE` of mode 600.

    Raises
    ------
    InvalidSettings : there is none, or others may read the file.
    """
    name = f"NEUROJOINT_{service.upper()}_TOKEN"
    if value := os.environ.get(name):
        return value
    if file := os.environ.get(f"{name}_FILE"):
        return read_secret(Path(file))
    raise InvalidSettings(f"there is no token for {service}", f"set {name}_FILE to a file of mode 600 that holds it")


def blocks(path: Path, start: int, end: int, progress: Progress) -> Iterator[bytes]:
    """The content of a file from one position to before another."""
    with path.open("rb") as file:
        file.seek(start)
        left = end - start
        while left > 0 and (block := file.read(min(CHUNK, left))):
            left -= len(block)
            progress(len(block))
            yield block


class Body:
    """Part of a file as the body of a request: its length is known before it is read."""

    def __init__(self, path: Path, start: int, end: int, progress: Progress) -> None:
        self._args = path, start, end, progress
        self._length = end - start

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        return blocks(*self._args)


def _message(answer: requests.Response) -> str:
    try:
        return str(answer.json().get("message", ""))[:300]
    except (ValueError, AttributeError):
        return answer.reason or ""
