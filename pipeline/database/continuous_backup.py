"""Backups of the embedded database that hold every moment: copies of what changed, and the log of the changes between.

In the folder of the backups, `copies/` holds the data as they were at some moments (each only what changed since the
one before), `wal/` the log of the changes, which the server copies there within a minute. Together they lead back to
any moment since the first copy.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.database import embedded
from pipeline.database.backup import BackupError
from pipeline.database.connection import raw_connection
from pipeline.database.embedded_account import Account, programs, server_account
from pipeline.database.embedded_place import Place, locked
from pipeline.errors import DatabaseUnavailable
from pipeline.unfinished import unfinished

LONGEST_CHAIN = 14  # copies that build on one whole copy; then comes another whole one
OLDEST_DAYS = 9  # the server keeps for ten days what it needs to know what changed
ARCHIVE_SECONDS = 60  # after which also a log that is not full is copied
_NOTE = "neurojoint.json"


@dataclass(frozen=True)
class Copy:
    """One copy: its name, when it was complete (UTC), and the copy it builds on (None: it is whole)."""

    name: str
    complete: datetime.datetime
    previous: str | None


def copies(folder: Path) -> list[Copy]:
    """The complete copies in a folder of backups, oldest first."""
    complete = []
    for note in sorted((folder / "copies").glob(f"*/{_NOTE}")):
        told = json.loads(note.read_text(encoding="utf-8"))
        complete.append(Copy(note.parent.name, datetime.datetime.fromisoformat(told["complete"]), told["previous"]))
    return complete


def backup(home: Path, folder: Path, say: Any = lambda line: None) -> Copy:
    """Add a copy to a folder of backups, and let the server copy its log there from now on.

    The first time the database is started again for it; programs that use it connect again by themselves.

    Raises
    ------
    BackupError : the folder cannot be used, or PostgreSQL's own program fails.
    """
    folder, place = _usable(folder), Place.of(home)
    address = embedded.start(home)
    account = server_account(place.data)
    for path in (folder, folder / "copies", folder / "wal"):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        account.give(path)
    if not account.may_enter(folder / "wal"):
        raise BackupError(f"user {account.name}, as whom the database runs, cannot reach {folder}", "choose another")
    if _archive(address, folder / "wal"):
        say("the database is started again, to keep its log from now on")
        embedded.stop(home)
        address = embedded.start(home)
    previous = _to_build_on(copies(folder))
    now = datetime.datetime.now(datetime.UTC)
    name = now.strftime("%Y-%m-%dT%H%M%S.%fZ")
    command = [programs(place.home, account) / "pg_basebackup", f"--host={place.sockets}", f"--port={address.port}",
               f"--username={address.user}", "--checkpoint=fast", "--wal-method=stream", "--no-password"]  # fmt: skip
    if previous is not None:
        command.append(f"--incremental={folder / 'copies' / previous.name / 'backup_manifest'}")
    with unfinished(folder / "copies" / name, is_folder=True, private=True) as target:
        account.give(target)
        _run(account, [*command, f"--pgdata={target}"], "the copy failed")
        made = Copy(name, _clock(address), None if previous is None else previous.name)
        note = {"complete": made.complete.isoformat(), "previous": made.previous}
        (target / _NOTE).write_text(json.dumps(note), encoding="utf-8")
        target.rename(folder / "copies" / name)
    with contextlib.closing(raw_connection(address)) as raw, raw.cursor() as cursor:
        cursor.execute("SELECT pg_switch_wal()")
    return made


def restore(folder: Path, home: Path, at: datetime.datetime | None = None) -> Copy:
    """Make the database of a home that has none as it was at a moment.

    Parameters
    ----------
    folder : of the backups.
    at : the moment (with its time zone); None: the last one that the backups hold.

    Returns
    -------
    The copy that it was made from; the log did the rest.

    Raises
    ------
    BackupError : the home has a database, or the backups do not go back that far.
    """
    folder, place = _usable(folder), Place.of(home)
    if place.data.exists():
        raise BackupError(f"there is a database in {place.data}", "set NEUROJOINT_HOME to a new folder")
    candidates = [copy for copy in copies(folder) if at is None or copy.complete <= at]
    if not candidates:
        raise BackupError(f"the backups in {folder} do not go back to {at or 'any moment'}", "choose a later --at")
    chain = [candidates[-1]]
    by_name = {copy.name: copy for copy in copies(folder)}
    while chain[0].previous is not None:
        if chain[0].previous not in by_name:
            raise BackupError(f"the copy {chain[0].previous} is gone, on which {chain[0].name} builds", "choose --at")
        chain.insert(0, by_name[chain[0].previous])
    with locked(place, create=True) as lock:
        if lock is None:
            raise BackupError(f"another program uses {place.home}", "wait until it has ended")
        account = server_account(place.data)
        new = place.home / "postgres.restored"
        shutil.rmtree(new, ignore_errors=True)
        place.home.mkdir(exist_ok=True)
        new.mkdir(mode=0o700)
        account.give(new)
        parts = [folder / "copies" / item.name for item in chain]
        _run(
            account, [programs(place.home, account) / "pg_combinebackup", *parts, f"--output={new}"],
            "the copies cannot be put together",
        )  # fmt: skip
        (new / _NOTE).unlink(missing_ok=True)
        moment = "" if at is None else f"{at.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S.%f+00}"
        target = [f"recovery_target_time = '{moment}'"] if moment else []
        with (new / "postgresql.auto.conf").open("a", encoding="utf-8") as configuration:
            configuration.write("\n".join([
                "", f"restore_command = 'cp \"{folder}/wal/%f\" \"%p\"'", "recovery_target_action = 'promote'",
                "archive_command = '/bin/true'", *target, "",
            ]))  # fmt: skip
        signal = new / "recovery.signal"
        signal.touch(mode=0o600)
        account.give(signal)
        place.password.unlink(missing_ok=True)
        embedded._write_private(place.password, secrets.token_urlsafe(24))
        new.rename(place.data)
    try:
        address = embedded.start(home)
    except DatabaseUnavailable as error:
        raise BackupError(f"the log does not lead to that moment ({error.message})", "choose an earlier --at") from None
    with contextlib.closing(raw_connection(address)) as raw, raw.cursor() as cursor:
        _wait_until_open(cursor)
        for name in ("restore_command", "recovery_target_time", "recovery_target_action"):
            cursor.execute(f"ALTER SYSTEM RESET {name}")
        cursor.execute("ALTER ROLE CURRENT_USER PASSWORD %s", (place.password.read_text().strip(),))
    return chain[-1]


def _wait_until_open(cursor: Any) -> None:
    """Wait until the log is applied: before that the server only lets people read."""
    end = time.monotonic() + embedded.START_TIMEOUT_S
    while True:
        cursor.execute("SELECT pg_is_in_recovery()")
        if not cursor.fetchone()[0]:
            return
        if time.monotonic() > end:
            raise BackupError("the log is not applied yet", "wait until `neurojoint db status` answers")
        time.sleep(0.1)


def _usable(folder: Path) -> Path:
    folder = Path(folder).expanduser().absolute()
    if any(sign in str(folder) for sign in "'\"%\\$`\n"):
        raise BackupError(f"the name of {folder} holds a sign that PostgreSQL cannot take", "choose another folder")
    return folder


def _archive(address: Any, wal: Path) -> bool:
    """Let the server copy its log; returns whether it has to be started again for it."""
    copied = f'test -f "{wal}/%f" && cmp -s "%p" "{wal}/%f"'
    command = f'({copied}) || (cp "%p" "{wal}/.%f.part" && mv "{wal}/.%f.part" "{wal}/%f")'
    wanted = {
        "archive_command": command, "archive_timeout": f"{ARCHIVE_SECONDS}s", "summarize_wal": "on",
        "archive_mode": "on",
    }  # fmt: skip
    with contextlib.closing(raw_connection(address)) as raw, raw.cursor() as cursor:
        for name, value in wanted.items():
            cursor.execute(f"ALTER SYSTEM SET {name} = %s", (value,))
        cursor.execute("SELECT pg_reload_conf()")
        cursor.execute("SHOW archive_mode")
        return cursor.fetchone()[0] != "on"


def _to_build_on(existing: list[Copy]) -> Copy | None:
    """The copy that the next one builds on; None where it is to be whole."""
    if not existing:
        return None
    age = datetime.datetime.now(datetime.UTC) - existing[-1].complete
    since_whole = next((n for n, one in enumerate(reversed(existing)) if one.previous is None), len(existing))
    return None if age > datetime.timedelta(days=OLDEST_DAYS) or since_whole >= LONGEST_CHAIN else existing[-1]


def _clock(address: Any) -> datetime.datetime:
    with contextlib.closing(raw_connection(address)) as raw, raw.cursor() as cursor:
        cursor.execute("SELECT CLOCK_TIMESTAMP()")
        return cursor.fetchone()[0].astimezone(datetime.UTC)


def _run(account: Account, command: list[Any], failure: str) -> None:
    done = account.run_to_the_end(command)
    if done.returncode != 0:
        raise BackupError(failure, (done.stderr.strip().splitlines() or ["no message"])[-1])
