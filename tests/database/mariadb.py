"""A real, private MariaDB server for tests: Debian's `mariadb-server`, in a folder of its own, on 127.0.0.1."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pymysql
import pytest

USER = "neurojoint"
START_SECONDS = 120


def start(folder: Path, *options: str) -> tuple[str, Callable[[], None]]:
    """Start a server that keeps everything in `folder`; skip the test where MariaDB is not installed.

    Parameters
    ----------
    folder
        An empty or missing folder that the server's user may enter (as root the server runs as `mysql` or `nobody`).
        Where that user may not enter (pytest's `tmp_path` of root), a folder of the system's temporary folder is used.
    options
        More options for `mariadbd`.

    Returns
    -------
    url, stop
        `mysql://neurojoint:…@127.0.0.1:port/`, and a function that stops the server and removes its files.
    """
    server, install = _program("mariadbd"), _program("mariadb-install-db")
    as_user = _unprivileged()
    # A unix socket's path holds at most 107 bytes; servers that share a folder for scratch files delete one another's.
    data, socket_folder = _enterable(folder, as_user) / "mariadb", Path(tempfile.mkdtemp(prefix="mariadb-"))
    data.mkdir(mode=0o700)
    if as_user:
        for path in (data, socket_folder):
            os.chown(path, as_user["user"], as_user["group"])
    common = ["--no-defaults", f"--datadir={data}", f"--tmpdir={socket_folder}"]
    subprocess.run(
        [install, *common, "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"],
        **as_user, cwd="/", check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    sock, password = socket_folder / "s", secrets.token_urlsafe(12)
    port = free_port()
    log = data.with_suffix(".log").open("wb")
    process = subprocess.Popen(
        [server, *common, f"--socket={sock}", f"--port={port}", "--bind-address=127.0.0.1", f"--pid-file={data}/pid",
         "--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin",
         "--max-allowed-packet=256M", "--skip-name-resolve", "--local-infile=1", *options],
        **as_user, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
    )  # fmt: skip

    def stop() -> None:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()
        for made in (data, socket_folder, *([data.parent] if data.parent != folder else [])):
            shutil.rmtree(made, ignore_errors=True)
        Path(log.name).unlink(missing_ok=True)

    try:
        with contextlib.closing(_first_connection(process, sock, Path(log.name))) as connection:
            cursor = connection.cursor()
            cursor.execute(f"CREATE USER '{USER}'@'%' IDENTIFIED BY '{password}'")
            cursor.execute(f"GRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION")
    except BaseException:
        stop()
        raise
    return f"mysql://{USER}:{password}@127.0.0.1:{port}/", stop


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _program(name: str) -> str:
    program = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin"]))
    if not program:
        pytest.skip(f"{name} is not installed (apt-get install mariadb-server)")
    return program


def _unprivileged() -> dict:
    """For `subprocess`: the user to run as. MariaDB refuses root, and so would a careful administrator."""
    if os.geteuid() != 0:
        return {}
    import pwd

    for name in ("mysql", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise LookupError("no unprivileged user to run MariaDB as")


def _enterable(folder: Path, as_user: dict) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if not as_user:
        return folder
    reached = subprocess.run(["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)], **as_user, cwd="/", capture_output=True)
    if reached.returncode == 0:
        return folder
    other = Path(tempfile.mkdtemp(prefix="mariadb-data-"))
    other.chmod(0o711)
    return other


def _first_connection(process: subprocess.Popen, sock: Path, log: Path) -> pymysql.Connection:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(pymysql.err.OperationalError):
            return pymysql.connect(unix_socket=str(sock), user="root", autocommit=True)
        time.sleep(0.05)
    raise RuntimeError(f"MariaDB did not start:\n{log.read_text(errors='replace')[-3000:]}")
