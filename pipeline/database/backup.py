"""One file that holds all rows of the pipeline, and the way back, with the database's own programs."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from pipeline.database import embedded_account
from pipeline.database.address import Address
from pipeline.database.connection import raw_connection, server_version
from pipeline.errors import NeurojointError
from pipeline.unfinished import unfinished

CHUNK = 1 << 20
_MYSQL_HEADER = "-- neurojoint backup of schemas: "


class BackupError(NeurojointError):
    """A backup that cannot be made or brought back."""


def schemas_in_database(address: Address, prefix: str) -> list[str]:
    """The database schemas whose names begin with the prefix."""
    pattern = re.sub(r"([\\%_])", r"\\\1", prefix) + "%"
    with contextlib.closing(raw_connection(address)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE %s ORDER BY 1", (pattern,)
        )
        return [name for (name,) in cursor.fetchall()]


def backup(address: Address, prefix: str, file: Path) -> list[str]:
    """Write the pipeline's schemas, as they are at one moment, to a new file; work may go on meanwhile.

    PostgreSQL: `pg_dump`'s custom format, compressed. MySQL: compressed SQL. The file has mode 600 and gets its name
    when it is complete.

    Returns
    -------
    The names of the schemas.

    Raises
    ------
    BackupError
        The file exists, there is nothing to back up, the program is missing, or it fails.
    """
    file = Path(file).absolute()
    if file.exists():
        raise BackupError(f"{file} exists already", "choose another name; a backup is never overwritten")
    schemas = schemas_in_database(address, prefix)
    if not schemas:
        raise BackupError(f"there is no pipeline with the prefix {prefix} in {address}", "check NEUROJOINT_PREFIX")
    with unfinished(file, private=True) as partial:
        dump = _dump_postgresql if address.backend == "postgresql" else _dump_mysql
        dump(address, schemas, partial)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        os.link(partial, file)  # unlike a rename it never replaces a file that came to be meanwhile
    return schemas


def restore(address: Address, prefix: str, file: Path, replace: bool = False) -> list[str]:
    """Bring the rows of a backup back.

    On PostgreSQL this is one transaction: if it fails, the database is as it was. MySQL cannot undo: there the file is
    checked to its end before anything is dropped.

    Parameters
    ----------
    replace
        Drop the schemas that begin with the prefix first.

    Raises
    ------
    BackupError
        The database already has schemas with this prefix, or the file is of another prefix or another kind of database.
    """
    file = Path(file).absolute()
    in_file = schemas_in_file(file)
    foreign = [name for name in in_file if not name.startswith(prefix)]
    if foreign:
        raise BackupError(
            f"{file} holds the schema {foreign[0]}, which does not begin with {prefix}",
            "set NEUROJOINT_PREFIX to what it was when the backup was made",
        )
    if _is_mysql(file) != (address.backend == "mysql"):
        raise BackupError(f"{file} is not a backup of a {address.backend} database", "check NEUROJOINT_DATABASE_URL")
    present = schemas_in_database(address, prefix)
    if present and not replace:
        raise BackupError(
            f"the database already holds a pipeline with the prefix {prefix} ({', '.join(present)})",
            "restore with --force to replace it, or set NEUROJOINT_PREFIX or NEUROJOINT_DATABASE_URL to another",
        )
    bring_back = _restore_postgresql if address.backend == "postgresql" else _restore_mysql
    bring_back(address, present, file)
    return in_file


def schemas_in_file(file: Path) -> list[str]:
    """The names of the schemas in a backup."""
    if _is_mysql(file):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            return lines.readline().removeprefix(_MYSQL_HEADER).split()
    listed = _run([_postgresql_program("pg_restore"), "--list", file], "the backup cannot be read").stdout.decode()
    return sorted(set(re.findall(r"^\d+; \d+ \d+ SCHEMA - (\S+)", listed, re.MULTILINE)))


def shell_command(address: Address) -> tuple[list[str], dict[str, str]]:
    """The command line of the database's own client, and what the environment must hold for it (the password)."""
    if address.backend == "postgresql":
        return [str(_postgresql_program("psql", address)), *_postgresql_options(address)], _postgresql_secret(address)
    program = _first_on_path(["mariadb", "mysql"], "mariadb-client")
    return [program, *_mysql_options(address)], {"MYSQL_PWD": address.password.get_secret_value()}


def _dump_postgresql(address: Address, schemas: list[str], target: Path) -> None:
    chosen = [f'--schema="{name}"' for name in schemas]
    command = [_postgresql_program("pg_dump", address), *_postgresql_options(address), "--format=custom",
               "--no-owner", "--no-privileges", "--lock-wait-timeout=10min", *chosen]  # fmt: skip
    _run([*command, f"--file={target}"], "the backup failed", env=_environment(_postgresql_secret(address)))


def _restore_postgresql(address: Address, drop: list[str], file: Path) -> None:
    read = [_postgresql_program("pg_restore", address), "--no-owner", "--no-privileges", "--file=-", file]
    psql = [_postgresql_program("psql", address), *_postgresql_options(address), "--no-psqlrc", "--quiet",
            "--set=ON_ERROR_STOP=1"]  # fmt: skip

    def statements() -> Generator[bytes]:
        yield b"BEGIN;\n"
        for name in drop:
            yield f'DROP SCHEMA "{name}" CASCADE;\n'.encode()
        with _piped(read, "the backup cannot be read") as dump:
            # A setting that servers before 17 do not know stands in the first lines.
            yield dump.read(CHUNK).replace(b"SET transaction_timeout = 0;\n", b"")
            while block := dump.read(CHUNK):
                yield block
        yield b"\nCOMMIT;\n"  # not reached where the file ends early

    _feed(psql, statements(), _environment(_postgresql_secret(address)))


def _dump_mysql(address: Address, schemas: list[str], target: Path) -> None:
    program = _first_on_path(["mariadb-dump", "mysqldump"], "mariadb-client")
    with _mysql_login(address) as login:
        command = [program, f"--defaults-extra-file={login}", *_mysql_options(address), "--single-transaction",
                   "--quick", "--hex-blob", "--default-character-set=utf8mb4", "--databases", *schemas]  # fmt: skip
        with _piped(command, "the backup failed") as dump, gzip.open(target, "wb", compresslevel=3) as out:
            out.write(f"{_MYSQL_HEADER}{' '.join(schemas)}\n".encode())
            first = dump.readline()
            if b"sandbox mode" not in first:  # a line that only MariaDB's client understands
                out.write(first)
            shutil.copyfileobj(dump, out, CHUNK)


def _restore_mysql(address: Address, drop: list[str], file: Path) -> None:
    program = _first_on_path(["mariadb", "mysql"], "mariadb-client")
    try:
        for _ in _blocks(file):
            pass
    except (OSError, EOFError) as error:
        raise BackupError(f"{file} is damaged ({error})", "use another backup") from None

    def statements() -> Generator[bytes]:
        yield b"SET FOREIGN_KEY_CHECKS=0;\n"
        for name in drop:
            yield f"DROP DATABASE `{name}`;\n".encode()
        yield from _blocks(file)

    with _mysql_login(address) as login:
        charset = "--default-character-set=utf8mb4"
        _feed([program, f"--defaults-extra-file={login}", *_mysql_options(address), charset], statements(), None)


def _blocks(file: Path) -> Iterator[bytes]:
    with gzip.open(file, "rb") as opened:
        while block := opened.read(CHUNK):
            yield block


def _postgresql_program(name: str, address: Address | None = None) -> str:
    """The program that pip brought; the one on PATH where the server is newer, or must be reached through TLS."""
    newest = int(embedded_account.MAJOR_VERSION)
    server = newest
    if address is not None:
        with contextlib.closing(raw_connection(address)) as connection:
            server = int(server_version(connection)[1].partition(".")[0])
    if server <= newest and not (address and address.tls):
        with contextlib.suppress(NeurojointError):
            return str(embedded_account.installed_programs() / name)
    return _first_on_path([name], f"postgresql-client-{server}")


def _first_on_path(names: list[str], package: str) -> str:
    for name in names:
        if path := shutil.which(name):
            return path
    raise BackupError(f"the program {' or '.join(names)} is not installed", f"apt-get install {package}")


def _postgresql_options(address: Address) -> list[str]:
    return [f"--host={address.host}", f"--port={address.port}", f"--username={address.user}", "--no-password",
            f"--dbname={address.database}"]  # fmt: skip


def _postgresql_secret(address: Address) -> dict[str, str]:
    mode = {True: "require", False: "disable", None: "prefer"}[address.tls]
    return {"PGPASSWORD": address.password.get_secret_value(), "PGSSLMODE": mode}


def _mysql_options(address: Address) -> list[str]:
    place = [f"--socket={address.host}"] if address.is_socket else [f"--host={address.host}", f"--port={address.port}"]
    return [*place, f"--user={address.user}"]


@contextlib.contextmanager
def _mysql_login(address: Address) -> Iterator[Path]:
    """A file of mode 600 with the password: a command line and, on some systems, an environment show to others."""
    with unfinished(Path(tempfile.gettempdir()) / "neurojoint.cnf", private=True) as file:
        secret = address.password.get_secret_value().replace("\\", "\\\\").replace('"', '\\"')
        file.write_text(f'[client]\npassword="{secret}"\n')
        yield file


def _environment(extra: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("PG")} | extra


def _run(command: list[Any], failure: str, **options: Any) -> subprocess.CompletedProcess:
    words = [str(part) for part in command]
    done = subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        raise BackupError(failure, _last_words(done.stderr))
    return done


@contextlib.contextmanager
def _piped(command: list[Any], failure: str) -> Iterator[Any]:
    """What the command writes, as a file; an error after the block where it failed."""
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.PIPE, stderr=complaints, stdin=subprocess.DEVNULL
        )
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            yield process.stdout
        except BaseException:
            process.kill()
            raise
        finally:
            process.stdout.close()
            process.wait()
        if process.returncode != 0:
            complaints.seek(0)
            raise BackupError(failure, _last_words(complaints.read()))


def _feed(command: list[Any], statements: Generator[bytes], environment: dict[str, str] | None) -> None:
    """Run the client with the statements as its input; where they cannot be had to the end, it is killed."""
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=complaints,
            env=environment,
        )  # fmt: skip
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        try:
            # A client that stops early says why on its error output, which is read below.
            with contextlib.suppress(BrokenPipeError), contextlib.closing(statements):
                for block in statements:
                    process.stdin.write(block)
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        except BaseException:
            process.kill()
            raise
        finally:
            process.wait()
        if process.returncode != 0:
            complaints.seek(0)
            raise BackupError("the backup could not be brought back", _last_words(complaints.read()))


def _last_words(text: bytes) -> str:
    lines = [line for line in text.decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"error|fatal|cannot|denied", line, re.IGNORECASE)]
    return (errors or lines or ["it gave no reason"])[0].strip()


def _is_mysql(file: Path) -> bool:
    with file.open("rb") as opened:
        start = opened.read(5)
    if start.startswith(b"\x1f\x8b"):
        with contextlib.suppress(OSError, EOFError), gzip.open(file, "rt", encoding="utf-8") as lines:
            if lines.readline().startswith(_MYSQL_HEADER):
                return True
    elif start == b"PGDMP":
        return False
    raise BackupError(f"{file} is not a backup that neurojoint made", "choose another file")
