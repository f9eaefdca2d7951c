"""What went wrong, in words that say what to do next: the error classes and the one map from errors to messages."""

from __future__ import annotations


class NeurojointError(Exception):
    """An error that a person can act on. `message` says what is wrong, `remedy` what to do or type next."""

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message if not remedy else f"{message}: {remedy}")
        self.message = message
        self.remedy = remedy


class InvalidSettings(NeurojointError):
    """A setting that does not exist or whose value cannot be used."""

    exit_code = 2


class DatabaseUnavailable(NeurojointError):
    """No connection to the database: not running, unreachable, wrong password, wrong version."""

    exit_code = 75  # EX_TEMPFAIL: a supervisor may start the program again


class InvalidData(NeurojointError):
    """A file, or one column of it, that must not become rows.

    Attributes:
        path: the file, relative to the data root where that is known.
        reason: a short code, one of `ingest`'s quarantine reasons (e.g. `truncated`, `unequal_length`).
        column: the column of the file that is refused; empty when it is the whole file.
    """

    def __init__(self, path: str, reason: str, detail: str, remedy: str, column: str = "") -> None:
        super().__init__(f"{path}: {detail}", remedy)
        self.path, self.reason, self.detail, self.column = str(path), reason, detail, column
