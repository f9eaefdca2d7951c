"""Files that a web server gives out: they can be read, in parts after a cut, and not written."""

from __future__ import annotations

import re
import time
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from exchange.transfers.backends import streams
from exchange.transfers.backends.reading import CHUNK
from exchange.transfers.protocol import CannotDo, Found, Job, Outcome, Place, Progress, Stat, Unavailable, inside
from exchange.transfers.throttle import Throttle

PATIENCE_S = (15, 60)
TRIES = 4


class Http:
    """The files below a web address."""

    def __init__(self, place: Place) -> None:
        if not place.root.startswith(("http://", "https://")):
            raise CannotDo(f"{place.root!r} is no web address", "write the root of the repository as https://…")
        self.place = place
        self.session = requests.Session()

    def check(self, writing: bool = False) -> None:
        """See `Backend.check`."""
        if writing:
            raise self._cannot("written")
        try:
            self.session.head(self.place.root, timeout=PATIENCE_S, allow_redirects=True)
        except requests.RequestException as error:
            raise self._unavailable(error) from error

    def mark(self, token: str) -> None:
        """A web server has no marker."""

    def stat(self, paths: Sequence[str]) -> dict[str, Stat]:
        """See `Backend.stat`."""
        stats = {}
        for path in paths:
            try:
                answer = self.session.head(self.address(path), timeout=PATIENCE_S, allow_redirects=True)
            except requests.RequestException as error:
                raise self._unavailable(error) from error
            if answer.status_code >= 500 or answer.status_code in (401, 403, 429):
                raise self._unavailable(f"{answer.status_code} {answer.reason}")
            if answer.ok and "Content-Length" in answer.headers:
                stats[path] = Stat(path, int(answer.headers["Content-Length"]), _modified_ns(answer))
        return stats

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """Web servers have no common way to list files."""
        raise self._cannot("listed")

    def send(self, jobs: Iterable[Job], progress: Progress) -> Iterator[Outcome]:
        """A web server cannot be written."""
        yield from ((job, self._cannot("written")) for job in jobs)

    def fetch(self, jobs: Iterable[Job], progress: Progress) -> Iterator[Outcome]:
        """See `Backend.fetch`; after a cut it goes on where it was, if the server knows ranges."""
        throttle = Throttle(self.place.bandwidth)
        return streams.one_by_one(jobs, lambda job: streams.save(job.local, self._blocks(job.path), progress, throttle))

    def read(self, paths: Sequence[str], progress: Progress) -> Iterator[tuple[str, Found | Exception]]:
        """See `Backend.read`."""
        for path in paths:
            try:
                yield path, Found(*streams.md5_and_size(self._blocks(path), progress))
            except Exception as error:
                yield path, error

    def delete(self, paths: Sequence[str]) -> None:
        """A web server cannot be written."""
        raise self._cannot("written")

    def close(self) -> None:
        """Give back the connections."""
        self.session.close()

    def address(self, path: str) -> str:
        """The web address of a file."""
        return f"{self.place.root.rstrip('/')}/{urllib.parse.quote(inside(path))}"

    def _blocks(self, path: str) -> Iterator[bytes]:
        done, tag = 0, None
        for attempt in range(TRIES):
            headers: dict[str, Any] = {"Accept-Encoding": "identity"} | (
                {"Range": f"bytes={done}-", "If-Range": tag} if done else {}
            )
            try:
                with self.session.get(self.address(path), headers=headers, stream=True, timeout=PATIENCE_S) as answer:
                    if answer.status_code == 404:
                        raise FileNotFoundError(2, "No such file", self.address(path))
                    answer.raise_for_status()
                    now = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
                    begins = _begin(answer)
                    if done and (now != tag or begins not in (0, done)):
                        raise Unavailable(
                            f"{self.address(path)} cannot be continued after a cut: the server has another file by "
                            "now, or answers with another part than was asked for", "it is tried again as a whole",
                        )  # fmt: skip
                    tag, length = now, answer.headers.get("Content-Length")
                    expected = None if length is None else begins + int(length)
                    passed = begins  # a server that knows no ranges sends again what is here already
                    for block in answer.iter_content(CHUNK // 4):
                        new = block[max(0, done - passed) :]
                        passed += len(block)
                        done += len(new)
                        if new:
                            yield new
                    if expected is not None and done < expected:
                        raise requests.ConnectionError(f"the connection ended after {done} of {expected} bytes")
                    return
            except requests.HTTPError as error:
                raise self._unavailable(error) from error
            except requests.RequestException as error:
                if attempt == TRIES - 1 or (done and tag is None):
                    raise self._unavailable(error) from error
                time.sleep(0.2 * 2**attempt)

    def _cannot(self, what: str) -> CannotDo:
        return CannotDo(f"{self.place.name} is a web server and cannot be {what}", "choose another repository")

    def _unavailable(self, error: object) -> Unavailable:
        return Unavailable(f"{self.place.root} cannot be reached ({error})"[:900], "check the address and the network")


def _begin(answer: requests.Response) -> int:
    """The byte of the file with which an answer begins; -1 if a part does not say which it is."""
    if answer.status_code != 206:
        return 0
    part = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(part[1]) if part else -1


def _modified_ns(answer: requests.Response) -> int:
    text = answer.headers.get("Last-Modified")
    return int(parsedate_to_datetime(text).timestamp()) * 1_000_000_000 if text else 0
