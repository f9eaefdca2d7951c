"""What went wrong, in words that say what to do next: the error classes and the one map from errors to messages."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from typing import NamedTuple


class NeurojointError(Exception):
    """An error that a person can act on. `message` says what is wrong, `remedy` what to do or type next."""

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message if not remedy else f"{message}: {remedy}")
        self.message = message
        self.remedy = remedy


class UserError(NeurojointError):
    """What a person or a client asked or entered cannot be used; they can correct it."""


class NotFoundError(UserError):
    """What was asked for does not exist."""


class AmbiguousError(UserError):
    """Several things fit what was asked for; the remedy says how to choose one."""


class ConflictError(UserError):
    """It does not fit what is stored by now: somebody else was there first, or other rows depend on it."""


class PermissionDenied(NeurojointError):
    """This account may not do that."""


class OperatorError(NeurojointError):
    """Only who runs the program can mend it: settings, a file, a disk. Clients see a number, the log the text."""


class InvalidSettings(OperatorError):
    """A setting that does not exist or whose value cannot be used."""

    exit_code = 2


class DatabaseUnavailable(OperatorError):
    """No connection to the database: not running, unreachable, wrong password, wrong version."""

    exit_code = 75  # EX_TEMPFAIL: a supervisor may start the program again


class InvalidData(NeurojointError):
    """A file, or one column of it, that must not become rows.

    Attributes:
        path: the file, relative to the data root where that is known.
        reason: one of `pipeline.alf.reasons.Reason` (e.g. `truncated`, `unequal_length`).
        column: the column of the file that is refused; empty when it is the whole file.
    """

    def __init__(self, path: str, reason: str, detail: str, remedy: str, column: str = "") -> None:
        super().__init__(f"{path}: {detail}", remedy)
        self.path, self.reason, self.detail, self.column = str(path), reason, detail, column


class Answer(NamedTuple):
    """What the programs answer to a class of errors; what is said to whom is up to `pipeline.web.error_words`."""

    exit_code: int
    status: int  # of HTTP


ANSWERS: dict[type[BaseException], Answer] = {
    NotFoundError: Answer(1, 404),
    AmbiguousError: Answer(1, 400),
    ConflictError: Answer(1, 409),
    UserError: Answer(1, 400),
    PermissionDenied: Answer(1, 403),
    InvalidSettings: Answer(2, 500),
    DatabaseUnavailable: Answer(75, 503),
    OperatorError: Answer(1, 500),
    InvalidData: Answer(1, 500),
    NeurojointError: Answer(1, 500),
}
"""Class of error -> exit code of a command, HTTP status; the first class that fits counts."""


def answer_to(error: BaseException) -> Answer:
    """What is answered to an error, of whatever class.

    >>> answer_to(ConflictError("it exists already")).status
    409
    """
    if is_connection_error(error):
        return ANSWERS[DatabaseUnavailable]
    return next((answer for cls, answer in ANSWERS.items() if isinstance(error, cls)), Answer(1, 500))


def explain(error: BaseException) -> str:
    """One line that says what went wrong and what to do, without passwords.

    Examples
    --------
    >>> explain(FileNotFoundError(2, "No such file or directory", "/data/trials.npy"))
    '/data/trials.npy does not exist: check the path'
    >>> explain(OSError(28, "No space left on device", "/data/x.cbin"))
    '/data/x.cbin cannot be written, the disk is full: free some space, then run the same command again'
    """
    if isinstance(error, NeurojointError):
        return _one_line(str(error))
    if isinstance(error, KeyboardInterrupt):
        return "stopped: run the same command again to continue"
    if isinstance(error, MemoryError):
        return "not enough memory: run fewer processes at once (--processes, or NEUROJOINT_PROCESSES)"
    if is_connection_error(error) or _is_database_error(error):
        return str(unavailable(error))
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"the Python package {error.name} is missing: pip install {error.name.partition('.')[0]}"
    if isinstance(error, OSError):
        return _explain_os_error(error)
    return f"{type(error).__name__}: {_one_line(str(error))} (run again with `neurojoint --debug` to see where)"


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it was raised from or during, and so on; each once, since such a chain may lead back to itself.

    >>> wrong = ValueError("wrong")
    >>> wrong.__cause__ = KeyError("absent")
    >>> [type(one).__name__ for one in causes(wrong)]
    ['ValueError', 'KeyError']
    """
    known: set[int] = set()
    while error is not None and id(error) not in known:
        known.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def is_connection_error(error: BaseException) -> bool:
    """True where the database is out of reach or refuses this login, as opposed to refusing one statement."""
    kinds = {(cls.__module__.split(".")[0], cls.__name__) for cls in type(error).__mro__}
    if ("datajoint", "LostConnectionError") in kinds:
        return True
    if ("psycopg2", "OperationalError") in kinds or ("psycopg2", "InterfaceError") in kinds:
        return True
    return ("pymysql", "Error") in kinds and bool(error.args) and error.args[0] in _MYSQL_CONNECTION_CODES


def unavailable(error: BaseException, where: str = "") -> DatabaseUnavailable:
    """What a driver's or DataJoint's error means, with the address it came from where that is known."""
    text = _one_line(" ".join(str(part) for part in error.args) or type(error).__name__)
    place = f" ({where})" if where else ""
    for pattern, message, remedy in _DATABASE_ERRORS:
        if match := re.search(pattern, text, re.IGNORECASE):
            detail = next((group for group in match.groups() if group), "")
            return DatabaseUnavailable(message.format(detail) + place, remedy)
    return DatabaseUnavailable(f"the database reports an error{place}", text)


_MYSQL_CONNECTION_CODES = {0, 1040, 1044, 1045, 1049, 1053, 1129, 1130, 1156, 1158, 1159, 1160, 1161, 1184, 1203,
                           1251, 1698, 2002, 2003, 2005, 2006, 2013, 2026, 2055, 3118, 3159, 4031}  # fmt: skip

_RETRY = "run the same command again; what was committed is kept"
_FREE_SPACE = "free some space, then run the same command again"
_LOGIN = "check NEUROJOINT_DATABASE_URL and NEUROJOINT_DATABASE_PASSWORD (or the file that holds the password)"

# What the text of an error of psycopg2, pymysql (its code comes first) or DataJoint means: pattern, message, remedy.
# The first match counts; {} in a message stands for what the first group that matched holds.
_DATABASE_ERRORS = [
    (
        r"password authentication failed|no password supplied|^1045\b|^1698\b",
        "the database refuses the user or the password",
        _LOGIN,
    ),
    (r"role \"(.+?)\" does not exist", "the database knows no user {}", _LOGIN),
    (
        r"no pg_hba\.conf entry|^1130\b",
        "the database server does not admit this computer or user",
        "ask its administrator to allow it (PostgreSQL: pg_hba.conf)",
    ),
    (
        r"database \"(.+?)\" does not exist|^1049\b.*?'(.+?)'",
        "the server has no database {}",
        "correct the name at the end of NEUROJOINT_DATABASE_URL, or create it (createdb)",
    ),
    (
        r"could not translate host name \"(.+?)\"|server on '(.+?)' \(\[Errno -\d+\]",
        "no computer is called {}",
        "check the host in NEUROJOINT_DATABASE_URL, or the network",
    ),
    (r"socket \"(.+?)\" failed: No such file", "no database answers at {}", "start it: neurojoint db start"),
    (
        r"socket \"(.+?)\" failed: Permission denied",
        "this user may not use the database at {}",
        "run as the user who started it, or set a NEUROJOINT_HOME of your own",
    ),
    (
        r"timeout expired|timed out",
        "the database server did not answer in time",
        "check host, port and firewall, then run the same command again",
    ),
    (r"no route to host|network is unreachable", "the database server cannot be reached", "check the network"),
    (
        r"connection refused|^200[23]\b",
        "no database server answers",
        "start it, or check host and port in NEUROJOINT_DATABASE_URL",
    ),
    (
        r"database system is (starting up|shutting down|in recovery mode)|not yet accepting connections",
        "the database is {}",
        "wait a moment, then run the same command again",
    ),
    (
        r"too many (?:clients|connections)|remaining connection slots|^1040\b|^1203\b",
        "the database has no free connection",
        "stop some workers, or raise max_connections on the server",
    ),
    (
        r"does not support SSL|^2026\b|^3159\b|secure transport",
        "the database server and this computer do not agree on encryption",
        "set NEUROJOINT_DATABASE_TLS to true or false",
    ),
    (
        r"no space left on device|disk full|could not extend file|^1021\b|^1114\b|errcode: 28",
        "the disk of the database is full",
        _FREE_SPACE,
    ),
    (
        r"could not resize shared memory",
        "the shared memory of the container is too small",
        "give it more (docker run --shm-size=1g)",
    ),
    (
        r"permission denied|^1044\b|^1142\b|^1227\b|insufficient privileges|command denied",
        "the database user lacks a right",
        "ask the administrator for the rights that docs/database.md lists",
    ),
    (r"deadlock|^1213\b|^1205\b|lock timeout", "another session holds the same rows", _RETRY),
    (
        r"server closed the connection|terminating connection|connection already closed|lost connection|gone away|"
        r"connection was (?:lost|killed)|connection reset|broken pipe|^2006\b|^2013\b|connection to server was lost",
        "the connection to the database was lost",
        _RETRY,
    ),
    (
        r"^1153\b|max_allowed_packet",
        "a row is larger than the MySQL server accepts",
        "set its max_allowed_packet to 1G",
    ),
    (
        r"relation \"(.+?)\" does not exist|schema \"(.+?)\" does not exist|^1146\b.*?'(.+?)'",
        "the database has no table {}",
        "neurojoint db upgrade",
    ),
]


def _is_database_error(error: BaseException) -> bool:
    return any(cls.__module__.split(".")[0] in ("psycopg2", "pymysql") for cls in type(error).__mro__) or any(
        (cls.__module__, cls.__name__)
        in (("datajoint.errors", "AccessError"), ("datajoint.errors", "MissingTableError"))
        for cls in type(error).__mro__
    )


def _explain_os_error(error: OSError) -> str:
    name = str(error.filename) if error.filename is not None else "a file"
    known = {
        errno.ENOENT: (f"{name} does not exist", "check the path"),
        errno.EACCES: (f"{name} may not be read or written by this user", "check its owner and mode"),
        errno.EPERM: (f"{name} may not be changed by this user", "check its owner and mode"),
        errno.EROFS: (f"{name} is on a read-only disk", "use another folder"),
        errno.ENOSPC: (f"{name} cannot be written, the disk is full", _FREE_SPACE),
        errno.EDQUOT: (f"{name} cannot be written, your quota is used up", _FREE_SPACE),
        errno.EMFILE: ("too many files are open", "raise the limit (ulimit -n) or run fewer processes"),
        errno.EIO: (f"{name} cannot be read, the disk reports an error", "check the disk"),
        errno.EADDRINUSE: ("another program uses this port", "stop it or choose another port"),
        errno.ECONNREFUSED: ("nobody answers at that address", "check host and port"),
        errno.ENOTDIR: (f"{name} is not a folder", "check the path"),
        errno.EISDIR: (f"{name} is a folder, not a file", "check the path"),
        errno.EEXIST: (f"{name} exists already", "choose another name"),
        errno.ENAMETOOLONG: (f"{name} is too long a path", "use a shorter one"),
    }  # fmt: skip
    if error.errno in known:
        return ": ".join(known[error.errno])
    return f"{name}: {error.strerror or _one_line(str(error))}"


def _one_line(text: str) -> str:
    """The first line that says something, without the password of a URL in it."""
    text = re.sub(r"(\w+://[^\s/:@]*):[^\s]*@", r"\1:***@", text)
    return re.sub(r"\s+", " ", text).strip()
