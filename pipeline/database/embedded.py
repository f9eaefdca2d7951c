"""The embedded PostgreSQL: start it or join it, stop it, look at it. It outlives the program that started it.

One lock file tells whether a server lives: whoever starts the server locks it, the server's processes inherit the open
file, and the kernel frees the lock when the last of them is gone. A process number in a file says nothing after a
reboot, in a container, or when the dead process has not been collected; this does.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import secrets
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from pipeline.database.address import Address
from pipeline.database.embedded_account import (
    MAJOR_VERSION,
    Account,
    check_reachable,
    programs,
    server_account,
)
from pipeline.errors import DatabaseUnavailable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

USER = DATABASE = "neurojoint"
PORT = 5432  # without TCP it is only the number in the socket's name
START_TIMEOUT_S = 900  # crash recovery of a large database takes minutes
STOP_TIMEOUT_S = 120
LONGEST_SOCKET_PATH = 103  # bytes; Linux takes 107, macOS 103
LARGEST_LOG = 10_000_000  # bytes, before a start

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Status:
    """What `neurojoint db status` shows of the embedded database; `version` is None before the first start."""

    running: bool
    data: Path
    log: Path
    version: str | None = None
    address: Address | None = None
    pid: int | None = None
    size_bytes: int | None = None


def start(home: Path, tcp_port: int | None = None, timeout: float = START_TIMEOUT_S) -> Address:
    """Start the server of this home, or join the one that runs; any number of processes may do so at once.

    Parameters
    ----------
    home
        The folder that holds the data; made where it is missing.
    tcp_port
        Listen on 127.0.0.1 at this port as well, with a password. None: on a unix socket only, in a folder that only
        the server's user (and root) may enter.
    timeout
        In seconds.

    Raises
    ------
    DatabaseUnavailable
        It does not start, or runs without the TCP port that is asked for; the message says what to do.
    """
    place = _Place.of(home)
    deadline, next_word = time.monotonic() + timeout, time.monotonic() + 5
    launches, log_start = 0, 0
    while True:
        if address := _answering(place, tcp_port):
            return address
        with _lock(place, create=True) as lock:
            if lock is not None:
                if launches == 2:
                    raise _did_not_start(place, log_start)
                log_start = _launch(place, lock, tcp_port)
                launches += 1
        now = time.monotonic()
        if now > deadline:
            raise DatabaseUnavailable(
                f"the database in {place.data} did not answer within {timeout:.0f} s", f"see {place.log}"
            )
        if now > next_word:
            next_word = now + 15
            logger.warning("waiting for the database in %s: %s", place.data, _last_line(place.log) or "starting")
        time.sleep(0.03)


def stop(home: Path, timeout: float = STOP_TIMEOUT_S) -> bool:
    """Stop the server: open transactions are rolled back, what was committed stays. False where none ran.

    Raises
    ------
    DatabaseUnavailable
        It does not end in time, or runs out of this process's sight (in another container or on another computer).
    """
    place = _Place.of(home)
    deadline = time.monotonic() + timeout
    asked = None
    while True:
        with _lock(place, create=False) as lock:
            if lock is not None or not place.lock.exists():
                return asked is not None
        pid = _server_pid(place)
        if pid and pid != asked:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)  # "fast shutdown"
            asked = pid
        if time.monotonic() > deadline:
            where = "" if asked else "; it may run in another container or on another computer"
            raise DatabaseUnavailable(f"the database in {place.data} does not stop{where}", f"see {place.log}")
        time.sleep(0.05)


def status(home: Path) -> Status:
    """Whether the server of this home runs, and where. Starts and changes nothing."""
    place = _Place.of(home)
    version_file = place.data / "PG_VERSION"
    version = version_file.read_text().strip() if version_file.exists() else None
    address = _answering(place, None)
    size = None
    if address:
        with contextlib.closing(_connect(address)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('server_version'), pg_database_size(current_database())")
            version, size = cursor.fetchone()
    return Status(address is not None, place.data, place.log, version, address, _server_pid(place), size)


@dataclass(frozen=True)
class _Place:
    home: Path
    data: Path
    lock: Path
    log: Path
    password: Path

    @classmethod
    def of(cls, home: Path) -> _Place:
        home = Path(home).expanduser().absolute()
        return cls(
            home,
            home / "postgres",
            home / "postgres.lock",
            home / "postgres.log",
            home / "postgres.password",
        )

    @property
    def sockets(self) -> Path:
        """The folder of the unix socket: the data folder, or one in /tmp where that path does not fit into a socket's."""
        path = os.fsencode(self.data / f".s.PGSQL.{PORT:05}")
        if len(path) <= LONGEST_SOCKET_PATH and not re.search(rb"[,\"'\\]", path):
            return self.data
        owner = self.data.stat().st_uid if self.data.exists() else os.geteuid()
        name = hashlib.sha256(os.fsencode(self.data.resolve())).hexdigest()[:16]
        return Path("/tmp") / f"neurojoint-{owner}" / name  # noqa: S108 (checked for owner and mode before use)


@contextlib.contextmanager
def _lock(place: _Place, create: bool) -> Iterator[int | None]:
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


def _answering(place: _Place, tcp_port: int | None) -> Address | None:
    """The address of the server that runs on these data and takes connections, else None."""
    import psycopg2

    lines = _pid_file(place)
    if len(lines) < 8 or lines[7].strip() != "ready" or not lines[3].strip().isdigit():
        return None
    port, listens = int(lines[3]), bool(lines[5].strip())
    address = Address("postgresql", str(place.sockets), port, USER, SecretStr(""), DATABASE)
    try:
        _connect(address).close()
    except psycopg2.OperationalError as error:
        if "Permission denied" in str(error):
            server_account(place.data)  # says whose it is
        if not re.search("too many clients|connection slots", str(error)):
            return None
    if tcp_port is None:
        return address
    if not listens or port != tcp_port:
        raise DatabaseUnavailable(
            f"the database runs without TCP port {tcp_port}", "neurojoint db stop, then neurojoint db start"
        )
    password = SecretStr(place.password.read_text().strip())
    return Address("postgresql", "127.0.0.1", port, USER, password, DATABASE, tls=False)


def _connect(address: Address):
    import psycopg2

    return psycopg2.connect(
        host=address.host, port=address.port, user=USER, dbname=DATABASE, connect_timeout=30,
        password=address.password.get_secret_value(), application_name="neurojoint",
    )  # fmt: skip


def _launch(place: _Place, lock: int, tcp_port: int | None) -> int:
    """Start a server that holds `lock` as long as it lives; returns how long the log was before. Does not wait for it."""
    account = server_account(place.data)
    check_reachable(account, place.home)
    binaries = programs(place.home, account)
    if not place.data.exists():
        _initialise(place, account, binaries, lock)
    _check_version(place)
    _remove_leftovers(place)
    sockets = _socket_folder(place, account)
    if place.log.exists() and place.log.stat().st_size > LARGEST_LOG:
        place.log.replace(place.log.with_suffix(".log.1"))
    options = {
        "unix_socket_directories": f'"{sockets}"',
        "unix_socket_permissions": "0700",
        "listen_addresses": "127.0.0.1" if tcp_port else "",
        "port": tcp_port or PORT,
    }
    command = [binaries / "postgres", "-D", place.data]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    log = os.open(place.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        before = os.fstat(log).st_size
        # The shell ends at once and leaves the server behind, in a session of its own: Ctrl-C here does not reach it.
        account.run(
            ["/bin/sh", "-c", '"$@" </dev/null &', "sh", *command],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[lock], start_new_session=True, check=True,
        )  # fmt: skip
    finally:
        os.close(log)
    return before


def _initialise(place: _Place, account: Account, binaries: Path, lock: int) -> None:
    """Make the data folder under another name and give it its name when it is complete: it is whole or not there."""
    logger.info("making a new database in %s", place.data)
    new, password_file = place.home / "postgres.new", place.home / "postgres.new.password"
    shutil.rmtree(new, ignore_errors=True)
    password_file.unlink(missing_ok=True)
    new.mkdir(mode=0o700)
    account.give(new)
    password = secrets.token_urlsafe(24)
    _write_private(password_file, password)
    account.give(password_file)
    try:
        _must(account.run(
            [binaries / "initdb", "-D", new, "-U", USER, f"--pwfile={password_file}", "--auth-local=trust",
             "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
             "--builtin-locale=C.UTF-8", "--no-instructions"],
            capture_output=True, text=True, pass_fds=[lock],
        ))  # fmt: skip
        with (new / "postgresql.conf").open("a") as configuration:
            configuration.write("\n# neurojoint\n" + "".join(f"{key} = {value}\n" for key, value in _configuration()))
        _must(account.run(
            [binaries / "postgres", "--single", "-j", "-D", new, "template1"], pass_fds=[lock],
            input=f"CREATE DATABASE {DATABASE};\n", capture_output=True, text=True,
        ))  # fmt: skip
    finally:
        password_file.unlink(missing_ok=True)
    place.password.unlink(missing_ok=True)
    _write_private(place.password, password)
    new.rename(place.data)


def _configuration() -> list[tuple[str, str]]:
    import psutil

    memory_mb = psutil.virtual_memory().total // 2**20
    return [
        ("timezone", "'UTC'"),
        ("log_timezone", "'UTC'"),
        ("max_connections", "200"),
        ("shared_buffers", f"'{min(max(memory_mb // 32, 64), 512)}MB'"),
        ("max_wal_size", "'2GB'"),
        ("log_checkpoints", "off"),
        ("log_line_prefix", "'%t '"),
    ]


def _must(done) -> None:
    if done.returncode != 0:
        text = done.stderr.strip()
        raise _reason(text) or DatabaseUnavailable("a new database cannot be made", text or "no message")


def _check_version(place: _Place) -> None:
    found = (place.data / "PG_VERSION").read_text().strip()
    if found != MAJOR_VERSION:
        raise DatabaseUnavailable(
            f"the data in {place.data} are of PostgreSQL {found}, the installed programs of {MAJOR_VERSION}",
            f"install the version of neurojoint that made them, `neurojoint db backup`, move {place.data.name} away, "
            "install this version again, `neurojoint db restore`",
        )


def _remove_leftovers(place: _Place) -> None:
    """Remove the files by which PostgreSQL believes another server runs. The lock says none does.

    Except one that somebody started by hand, without the lock: that is looked for by its process.
    """
    if pid := _server_pid(place):
        raise DatabaseUnavailable(
            f"a PostgreSQL that neurojoint did not start runs on {place.data} (process {pid})",
            f"stop it: kill -INT {pid}",
        )
    (place.data / "postmaster.pid").unlink(missing_ok=True)
    if place.sockets.is_dir():
        for leftover in place.sockets.glob(".s.PGSQL.*"):
            leftover.unlink()


def _pid_file(place: _Place) -> list[str]:
    """Process, data folder, start time, port, socket folder, TCP address, shared memory, state; empty if there is none."""
    try:
        return (place.data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []
    except PermissionError:
        server_account(place.data)
        raise


def _server_pid(place: _Place) -> int | None:
    """The process of the server, if the number in its file is that of a living `postgres` of these data."""
    import psutil

    lines = _pid_file(place)
    if not lines or not lines[0].strip().isdigit():
        return None
    try:
        process = psutil.Process(int(lines[0]))
        if process.status() == psutil.STATUS_ZOMBIE or not process.name().startswith("postgres"):
            return None
        arguments = process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return process.pid if str(place.data) in arguments or lines[1].strip() in arguments else None


def _socket_folder(place: _Place, account: Account) -> Path:
    """Make the folder of the socket; one in /tmp must belong to the server's user and be closed to all others."""
    folder = place.sockets
    if folder == place.data:
        return folder
    for path in (folder.parent, folder):
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
            account.give(path)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid or found.st_mode & 0o077:
            raise DatabaseUnavailable(
                f"{path} is not a folder that only user {account.name} may enter",
                "remove it, or use a shorter NEUROJOINT_HOME",
            )
    return folder


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


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(text)


def _last_line(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 2000))
            return file.read().decode(errors="replace").strip().rpartition("\n")[2]
    except OSError:
        return ""


def _did_not_start(place: _Place, log_start: int) -> DatabaseUnavailable:
    text = place.log.read_bytes()[log_start:].decode(errors="replace")
    if known := _reason(text):
        return known
    worst = re.findall(r"(?:FATAL|PANIC|ERROR): +(.*)", text) or text.strip().splitlines() or ["it wrote nothing"]
    return DatabaseUnavailable(f"the database in {place.data} does not start: {worst[-1]}", f"see {place.log}")


def _reason(text: str) -> DatabaseUnavailable | None:
    """What the log of a start that failed means, where that is known."""
    for pattern, message, remedy in _START_ERRORS:
        if re.search(pattern, text):
            return DatabaseUnavailable(message, remedy)
    return None


_START_ERRORS = [
    ("No space left on device|Disk quota exceeded", "the disk of the database is full", "free some space there, then start it again"),
    ("could not bind IPv4 address.*Address already in use", "another program uses the database's TCP port",
     "set NEUROJOINT_EMBEDDED_TCP_PORT to a free one"),
    ("could not look up effective user ID", "this user has no name on this system, and PostgreSQL wants one",
     "add the user to /etc/passwd, or run as one that is there"),
    ("Read-only file system", "the disk of the database is read-only", "set NEUROJOINT_HOME to another folder"),
    ("has group or world access", "others may enter the folder of the data", "chmod 700 the folder `postgres` in the home"),
    ("could not create Unix socket|could not bind Unix address", "the disk of the database holds no unix sockets",
     "set NEUROJOINT_HOME to a folder on a local disk"),
    ("could not (?:create|map|attach to).*shared memory", "there is not enough memory to start the database",
     "free some, or lower shared_buffers in postgresql.conf"),
]  # fmt: skip
