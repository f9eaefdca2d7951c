"""Folders that only SFTP leads to: written beside the name and renamed, read back for their hash."""

from __future__ import annotations

import contextlib
import errno
import stat as modes
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import paramiko
from paramiko.sftp import CMD_EXTENDED

from exchange.transfers.backends import marker, streams
from exchange.transfers.backends.folder import INCOMING
from exchange.transfers.backends.marker import MARKER
from exchange.transfers.backends.reading import CHUNK
from exchange.transfers.backends.ssh import KEY_CHANGED
from exchange.transfers.protocol import Found, Job, Outcome, Place, Progress, Stat, Unavailable, inside
from exchange.transfers.throttle import Throttle, throttled
from pipeline.errors import NeurojointError

PATIENCE_S = 30.0


class Sftp:
    """A folder of `host` (`user@computer`). Options: `port`, `identity_file`, `known_hosts_file`; no passwords."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._root = place.root.rstrip("/") or "/"
        self._client: paramiko.SSHClient | None = None
        self._sftp: Any = None
        self._folders: set[str] = set()

    def check(self, writing: bool = False) -> None:
        """See `Backend.check`."""
        with self._explained():
            sftp = self._open()
            sftp.stat(self._root)
            try:
                with sftp.open(f"{self._root}/{MARKER}") as file:
                    said = file.read(200).decode("utf-8", "replace")
            except FileNotFoundError:
                said = ""
        marker.check(self.place, said, writing=writing)

    def mark(self, token: str) -> None:
        """See `Backend.mark`."""
        with self._explained():
            self._make(self._root)
            with self._open().open(f"{self._root}/{MARKER}", "w") as file:
                file.write(f"{token}\n")

    def stat(self, paths: Sequence[str]) -> dict[str, Stat]:
        """See `Backend.stat`."""
        stats = {}
        with self._explained():
            for path in paths:
                with contextlib.suppress(FileNotFoundError):
                    stats[path] = self._stat(path)
        return stats

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """See `Backend.list`."""
        waiting = [inside(prefix.rstrip("/")) if prefix else ""]
        while waiting:
            folder = waiting.pop()
            with self._explained():
                entries = sorted(self._open().listdir_attr(f"{self._root}/{folder}"), key=lambda one: one.filename)
            for entry in entries:
                path = f"{folder}/{entry.filename}" if folder else entry.filename
                if entry.filename.startswith("."):
                    continue
                if modes.S_ISDIR(entry.st_mode):
                    waiting.append(path)
                elif modes.S_ISREG(entry.st_mode):
                    yield Stat(path, entry.st_size, entry.st_mtime * 1_000_000_000)

    def send(self, jobs: Iterable[Job], progress: Progress) -> Iterator[Outcome]:
        """See `Backend.send`."""
        throttle = Throttle(self.place.bandwidth)

        def put(job: Job) -> None:
            with self._explained():
                self._put(job, throttled(progress, throttle))

        return streams.one_by_one(jobs, put)

    def fetch(self, jobs: Iterable[Job], progress: Progress) -> Iterator[Outcome]:
        """See `Backend.fetch`."""
        throttle = Throttle(self.place.bandwidth)

        def get(job: Job) -> None:
            with self._explained():
                streams.save(job.local, self._blocks(job.path), progress, throttle)

        return streams.one_by_one(jobs, get)

    def read(self, paths: Sequence[str], progress: Progress) -> Iterator[tuple[str, Found | Exception]]:
        """See `Backend.read`: the protocol has no hashes."""
        for path in paths:
            try:
                with self._explained():
                    digest = streams.md5_and_size(self._blocks(path), progress)
                    yield path, Found(*digest, self._stat(path).modified_ns)
            except Exception as error:
                yield path, error

    def delete(self, paths: Sequence[str]) -> None:
        """See `Backend.delete`."""
        with self._explained():
            for path in paths:
                with contextlib.suppress(FileNotFoundError):
                    self._open().remove(self._full(path))

    def close(self) -> None:
        """End the connection."""
        if self._client is not None:
            self._client.close()
        self._client = self._sftp = None

    def _put(self, job: Job, progress: Progress) -> None:
        sftp = self._open()
        target = self._full(job.path)
        self._make(target.rpartition("/")[0])
        self._make(f"{self._root}/{INCOMING}")
        temporary = f"{self._root}/{INCOMING}/{uuid.uuid4().hex}"
        sent = 0
        try:
            with job.local.open("rb") as source, sftp.open(temporary, "wb") as file:
                file.set_pipelined(True)
                while block := source.read(CHUNK // 8):
                    file.write(block)
                    sent += len(block)
                    progress(len(block))
                _to_disk(sftp, file)
            size = self._open().stat(temporary).st_size  # of writes that failed the server may have said nothing
            if size != sent:
                raise NeurojointError(
                    f"the SFTP server {self.place.host} took {size} of {sent} byte of {job.path}",
                    f"its disk may be full: look there (`df {self._root}`), then `neurojoint transfer run`",
                )
            self._rename(temporary, target)
        except BaseException:
            with contextlib.suppress(Exception):
                sftp.remove(temporary)
            raise

    def _rename(self, temporary: str, target: str) -> None:
        """Give a file its name, over what has it; in two steps where the server knows or allows no `posix-rename`."""
        sftp = self._open()
        try:
            sftp.posix_rename(temporary, target)
        except OSError as error:
            if error.errno != errno.EACCES and "nsupported" not in str(error):
                raise
            with contextlib.suppress(FileNotFoundError):
                sftp.remove(target)
            sftp.rename(temporary, target)

    def _blocks(self, path: str) -> Iterator[bytes]:
        with self._open().open(self._full(path), "rb") as file:
            size = file.stat().st_size
            file.prefetch(size)
            while block := file.read(CHUNK // 8):
                yield block

    def _stat(self, path: str) -> Stat:
        attributes = self._open().stat(self._full(path))
        return Stat(path, attributes.st_size, attributes.st_mtime * 1_000_000_000)

    def _make(self, folder: str) -> None:
        if folder in self._folders or not folder.strip("/"):
            return
        sftp = self._open()
        try:
            sftp.stat(folder)
        except FileNotFoundError:
            self._make(folder.rpartition("/")[0])
            with contextlib.suppress(OSError):  # another one made it meanwhile
                sftp.mkdir(folder)
        self._folders.add(folder)

    def _full(self, path: str) -> str:
        return f"{self._root}/{inside(path)}"

    def _open(self) -> Any:
        transport = self._client.get_transport() if self._client is not None else None
        if self._sftp is not None and transport is not None and transport.is_active():
            return self._sftp
        self._folders.clear()
        user, _, computer = self.place.host.rpartition("@")
        options = self.place.options
        client = paramiko.SSHClient()
        if options.get("known_hosts_file"):
            client.load_host_keys(str(Path(options["known_hosts_file"]).expanduser()))
        else:
            client.load_system_host_keys()
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        key = options.get("identity_file")
        client.connect(
            computer, port=int(options.get("port", 22)), username=user or None, timeout=PATIENCE_S,
            banner_timeout=PATIENCE_S, auth_timeout=PATIENCE_S, look_for_keys=not key, allow_agent=not key,
            key_filename=str(Path(key).expanduser()) if key else None,
        )  # fmt: skip
        client.get_transport().set_keepalive(15)
        self._client, self._sftp = client, client.open_sftp()
        self._sftp.get_channel().settimeout(PATIENCE_S * 2)
        return self._sftp

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (paramiko.SSHException, EOFError, TimeoutError, ConnectionError) as error:
            self.close()
            if isinstance(error, paramiko.BadHostKeyException):
                raise Unavailable(f"the key of {self.place.host} is not the one in known_hosts", KEY_CHANGED) from error
            raise Unavailable(
                f"{self.place.host} cannot be reached by SFTP ({error or type(error).__name__})"[:900],
                "check the network, the key and known_hosts; `sftp` by hand must work without a password",
            ) from error
        except OSError as error:
            if str(error) == "Failure":  # the only word that the protocol has for most things
                raise NeurojointError(
                    f"the SFTP server {self.place.host} says only 'Failure'",
                    f"its disk may be full: look there (`df {self._root}`), then `neurojoint transfer run`",
                ) from error
            if error.errno is None or isinstance(error, paramiko.ssh_exception.NoValidConnectionsError):
                self.close()
                raise Unavailable(
                    f"{self.place.host} cannot be reached ({error})"[:900], "check the network"
                ) from error
            raise


def _to_disk(sftp: Any, file: Any) -> None:
    """Let the server put a file on its disk, where it knows how (OpenSSH does): else it is read back from its memory.

    Raises
    ------
    OSError : the disk did not take it.
    """
    file.flush()
    try:
        sftp._request(CMD_EXTENDED, "fsync@openssh.com", file.handle)
    except OSError as error:
        if error.errno != errno.EACCES and "nsupported" not in str(error):  # it does not know it, or does not allow it
            raise
