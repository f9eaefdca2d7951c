"""Everything that can go wrong with a compressed recording, each with the file, the chunk and what to do about it."""

from __future__ import annotations

from os import PathLike, fspath
from typing import Any


class CbinError(Exception):
    """Base class of every error of this package.

    Parameters
    ----------
    problem : str
        What is wrong, in one sentence.
    file : path, optional
        The file it concerns; starts the message.
    chunk : int, optional
        Index of the chunk it concerns.
    remedy : str, optional
        What the person can do; ends the message.

    Examples
    --------
    >>> print(CorruptChunk("its checksum is wrong.", file="a.cbin", chunk=3, remedy="Fetch the file again."))
    a.cbin, chunk 3: its checksum is wrong. Fetch the file again.
    """

    def __init__(
        self, problem: str, *, file: str | PathLike[str] | None = None, chunk: int | None = None, remedy: str = ""
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.file = None if file is None else fspath(file)
        self.chunk = chunk
        self.remedy = remedy

    def __str__(self) -> str:
        place = ", ".join(
            part for part in (self.file, None if self.chunk is None else f"chunk {self.chunk}") if part is not None
        )
        return " ".join(part for part in (f"{place}:" if place else "", self.problem, self.remedy) if part)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.problem, self.file, self.chunk, self.remedy)


class FormatError(CbinError):
    """The .ch header is not valid, contradicts itself, or asks for something this format cannot hold."""


class CorruptChunk(CbinError):
    """A chunk does not inflate to exactly the bytes that the header announces."""


class TruncatedFile(CbinError):
    """The .cbin ends before the last chunk of its header does."""


class SizeMismatch(CbinError):
    """The size of a file does not fit its channels, its header, or its hash."""


class DiskFull(CbinError):
    """There is no room (or no quota) left where the output is written."""


class OutputExists(CbinError):
    """A file is where the output should go, and overwriting was not asked for."""


class MissingFile(CbinError):
    """A file that is needed is not there."""


class Busy(CbinError):
    """Another process is writing the same output."""


class RawChanged(CbinError):
    """The raw file changed while it was being compressed."""


class VerificationFailed(CbinError):
    """What was written does not read back as what was read."""


def _rebuild(kind: type[CbinError], problem: str, file: Any, chunk: int | None, remedy: str) -> Exception:
    return kind(problem, file=file, chunk=chunk, remedy=remedy)
