"""The embedded PostgreSQL: start it or join it, stop it, look at it. It outlives the program that started it.

One lock file tells whether a server lives: whoever starts the server locks it, the server's processes inherit the open
file, and the kernel frees the lock when the last of them is gone. A process number in a file says nothing after a
reboot, in a container, or when the dead process has not been collected; this does.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shutil
import signal
import stat
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from pipeline.database import free_space
from pipeline.database.address import Address
from pipeline.database.embedded_account import (
    MAJOR_VERSION,
    Account,
    check_reachable,
    programs,
    server_account,
)
from pipeline.database.embedded_place import PORT, Place, locked, pid_file, server_pid
from pipeline.errors import DatabaseUnavailable

USER = DATABASE = "neurojoint"
START_TIMEOUT_S = 900  # crash recovery of a large database takes minutes
STOP_TIMEOUT_S = 120
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
    place = Place.of(home)
    deadline, next_word = time.monotonic() + timeout, time.monotonic() + 5
    launches, log_start = 0, 0
    while True:
        if address := _answering(place, tcp_port):
            return address
        free_space.check(place.home, free_space.LEAST_TO_RUN if place.data.exists() else free_space.LEAST_TO_START)
        with locked(place, create=True) as lock:
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
    place = Place.of(home)
    deadline = time.monotonic() + timeout
    asked = None
    while True:
        with locked(place, create=False) as lock:
            if lock is not None or not place.lock.exists():
                return asked is not None
        pid = server_pid(place)
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
    place = Place.of(home)
    version_file = place.data / "PG_VERSION"
    version = version_file.read_text().strip() if version_file.exists() else None
    address = _answering(place, None)
    size = None
    if address:
        with contextlib.closing(_connect(address)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('server_version'), pg_database_size(current_database())")
            version, size = cursor.fetchone()
    return Status(address is not None, place.data, place.log, version, address, server_pid(place), size)


def _answering(place: Place, tcp_port: int | None) -> Address | None:
    """The address of the server that runs on these data and takes connections, else None."""
    import psycopg2

    lines = pid_file(place)
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


def _launch(place: Place, lock: int, tcp_port: int | None) -> int:
    """Start a server that holds `lock` as long as it lives, without waiting; returns how long the log was before."""
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


def _initialise(place: Place, account: Account, binaries: Path, lock: int) -> None:
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
        ("random_page_cost", "1.1"),  # SSD: an index look-up costs little more than reading on
        ("work_mem", "'16MB'"),
        ("max_wal_size", "'2GB'"),
        ("log_checkpoints", "off"),
        ("log_line_prefix", "'%t '"),
    ]


def _must(done) -> None:
    if done.returncode != 0:
        raise _reason(done.stderr) or DatabaseUnavailable("a new database cannot be made", _worst_line(done.stderr))


def _check_version(place: Place) -> None:
    version = (place.data / "PG_VERSION").read_text().strip()
    if version != MAJOR_VERSION:
        raise DatabaseUnavailable(
            f"the data in {place.data} are of PostgreSQL {version}, the installed programs of {MAJOR_VERSION}",
            f"install the version of neurojoint that made them, `neurojoint db backup`, move {place.data.name} away, "
            "install this version again, `neurojoint db restore`",
        )


def _remove_leftovers(place: Place) -> None:
    """Remove the files by which PostgreSQL believes another server runs. The lock says none does.

    Except one that somebody started by hand, without the lock: that is looked for by its process.
    """
    if pid := server_pid(place):
        raise DatabaseUnavailable(
            f"a PostgreSQL that neurojoint did not start runs on {place.data} (process {pid})",
            f"stop it: kill -INT {pid}",
        )
    (place.data / "postmaster.pid").unlink(missing_ok=True)
    if place.sockets.is_dir():
        for leftover in place.sockets.glob(".s.PGSQL.*"):
            leftover.unlink()


def _socket_folder(place: Place, account: Account) -> Path:
    """Make the folder of the socket; one in /tmp must belong to the server's user and be closed to all others."""
    folder = place.sockets
    if folder == place.data:
        return folder
    for path in (folder.parent, folder):
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
            account.give(path)
        info = path.lstat()
        if not stat.S_ISDIR(info.st_mode) or info.st_uid != account.uid or info.st_mode & 0o077:
            raise DatabaseUnavailable(
                f"{path} is not a folder that only user {account.name} may enter",
                "remove it, or use a shorter NEUROJOINT_HOME",
            )
    return folder


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


def _did_not_start(place: Place, log_start: int) -> DatabaseUnavailable:
    text = place.log.read_bytes()[log_start:].decode(errors="replace")
    if known := _reason(text):
        return known
    return DatabaseUnavailable(f"the database in {place.data} does not start: {_worst_line(text)}", f"see {place.log}")


def _worst_line(text: str) -> str:
    lines = re.findall(r"(?:FATAL|PANIC|ERROR|error): +(.*)", text) or text.strip().splitlines() or ["no message"]
    return lines[-1]


def _reason(text: str) -> DatabaseUnavailable | None:
    """What the log of a start that failed means, where that is known."""
    for pattern, message, remedy in _START_ERRORS:
        if re.search(pattern, text):
            return DatabaseUnavailable(message, remedy)
    return None


_START_ERRORS = [
    (
        "No space left on device|Disk quota exceeded|Check free disk space",
        "the disk of the database is full",
        "free some space there, then start it again",
    ),
    (
        "could not bind IPv4 address.*Address already in use",
        "another program uses the TCP port of the database",
        "set NEUROJOINT_EMBEDDED_TCP_PORT to a free one",
    ),
    (
        "could not look up effective user ID",
        "this user has no name on this system, and PostgreSQL wants one",
        "add the user to /etc/passwd, or run as one that is there",
    ),
    (
        "Read-only file system",
        "the disk of the database is read-only",
        "set NEUROJOINT_HOME to another folder",
    ),
    (
        "has group or world access|has invalid permissions",
        "others may enter the folder of the data",
        "chmod 700 the folder `postgres` in NEUROJOINT_HOME",
    ),
    (
        "could not create Unix socket|could not bind Unix address",
        "the disk of the database holds no unix sockets",
        "set NEUROJOINT_HOME to a folder on a local disk",
    ),
    (
        "could not (?:create|map|attach to).*shared memory",
        "there is not enough memory to start the database",
        "free some, or lower shared_buffers in postgresql.conf",
    ),
]
