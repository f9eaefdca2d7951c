"""The files of the embedded database in the home, and what they tell: does a server live, and where does it answer."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.database.embedded_account import server_account
from pipeline.errors import DatabaseUnavailable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PORT = 5432  # without TCP it is only the number in the socket's name
LONGEST_SOCKET_PATH = 103  # bytes; Linux takes 107, macOS 103


@dataclass(frozen=True)
class Place:
    """The names in a home."""

    home: Path
    data: Path
    lock: Path
    log: Path
    password: Path

    @classmethod
    def of(cls, home: Path) -> Place:
        home = Path(home).expanduser().absolute()
        return cls(home, *(home / name for name in ("postgres", "postgres.lock", "postgres.log", "postgres.password")))

    @property
    def sockets(self) -> Path:
        """The folder of the unix socket: the data folder, or one in /tmp where that path is too long for a socket."""
        path = os.fsencode(self.data / f".s.PGSQL.{PORT:05}")
        if len(path) <= LONGEST_SOCKET_PATH and not re.search(rb"[,\"'\\]", path):
            return self.data
        owner = self.data.stat().st_uid if self.data.exists() else os.geteuid()
        name = hashlib.sha256(os.fsencode(self.data.resolve())).hexdigest()[:16]
        return Path("/tmp") / f"neurojoint-{owner}" / name  # noqa: S108 (checked for owner and mode before use)


@contextlib.contextmanager
def locked(place: Place, create: bool) -> Iterator[int | None]:
    """The open, locked file; None where another process, or the server itself, holds the lock."""
    if fcntl is None:
        raise DatabaseUnavailable(
            "the embedded database needs Linux or macOS", "set NEUROJOINT_DATABASE_URL to a database server, or use WSL"
        )
    if create:
        _make_home(place.home)
    elif not place.lock.exists():
        yield None
        return
    handle = os.open(place.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        except OSError as error:
            raise DatabaseUnavailable(
                f"the disk of {place.home} cannot lock files ({error.strerror})",
                "set NEUROJOINT_HOME to a folder on a local disk",
            ) from None
        yield handle
    finally:
        os.close(handle)


def pid_file(place: Place) -> list[str]:
    """Lines: process, data folder, start time, port, socket folder, TCP address, shared memory, state. [] without."""
    try:
        return (place.data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []
    except PermissionError:
        server_account(place.data)
        raise


def server_pid(place: Place) -> int | None:
    """The process of the server, if the number in its file is that of a living `postgres` of these data."""
    import psutil

    lines = pid_file(place)
    if not lines or not lines[0].strip().isdigit():
        return None
    try:
        process = psutil.Process(int(lines[0]))
        if process.status() == psutil.STATUS_ZOMBIE or not process.name().startswith("postgres"):
            return None
        arguments = process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    # A home that was copied holds the file of the original's server, and a home may be reached by several names.
    return process.pid if any(_same_folder(argument, place.data) for argument in arguments[1:]) else None


def _same_folder(name: str, folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return name.startswith("/") and folder.samefile(name)
    return False


def _make_home(home: Path) -> None:
    if home.is_dir():
        return
    root = os.geteuid() == 0
    missing = [path for path in (home, *home.parents) if not path.exists()]
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            # The server's user must pass through what root makes here; below, each folder is closed by itself.
            path.chmod(0o711 if root else 0o700)
