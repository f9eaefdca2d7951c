"""What compressing, decompressing and checking report back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .errors import CbinError

FALLBACK_VERSION = "0.1.0"

Progress = Callable[[int, int], None]
"""Called with how much is done, and how much there is."""


def package_version() -> str:
    """Version of the distribution that brought this package."""
    try:
        return version("neurojoint")
    except PackageNotFoundError:
        return FALLBACK_VERSION


@dataclass
class Report:
    """A finished compression or decompression.

    Attributes
    ----------
    raw_path, cbin_path, ch_path : Path
    raw_bytes, compressed_bytes : int
    seconds : float
        Wall time.
    layout : str
        "compat", "access", "auto" or "custom"; for a decompression, "".
    reason : str
        Why this order and these differences, in words.
    order, time_diff, spatial_diff, chunk_seconds, effort
        What was chosen.
    sha1_raw, sha1_compressed : str or None
    md5_raw, md5_compressed : str or None
        Only when asked for.
    version : str
        Of this package.
    verified : bool
        Whether what was written was read back and compared.
    resumed_chunks : int
        Chunks that an interrupted run had finished, and this one kept.
    raw_removed : bool
    warnings : list of str
        What a person should look at, such as a number of channels that does not fit the samples.
    """

    raw_path: Path
    cbin_path: Path
    ch_path: Path
    raw_bytes: int
    compressed_bytes: int
    seconds: float
    layout: str = ""
    reason: str = ""
    order: str = ""
    time_diff: bool = True
    spatial_diff: bool = False
    chunk_seconds: float = 0.0
    effort: str = ""
    n_channels: int = 0
    n_samples: int = 0
    sample_rate: float = 0.0
    sha1_raw: str | None = None
    sha1_compressed: str | None = None
    md5_raw: str | None = None
    md5_compressed: str | None = None
    version: str = field(default_factory=package_version)
    verified: bool = False
    resumed_chunks: int = 0
    raw_removed: bool = False
    warnings: list[str] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Raw bytes per compressed byte."""
        return self.raw_bytes / self.compressed_bytes

    @property
    def megabytes_per_second(self) -> float:
        """Raw megabytes (10^6 bytes) per second of wall time."""
        return self.raw_bytes / 1e6 / max(self.seconds, 1e-9)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON or a table row."""
        values = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}
        return values | {"ratio": self.ratio, "megabytes_per_second": self.megabytes_per_second}


@dataclass
class CheckReport:
    """What a check found.

    Attributes
    ----------
    path : Path
    errors : list of CbinError
        Everything that is wrong; empty when the file is sound.
    n_chunks, n_samples, n_channels : int
    raw_bytes, compressed_bytes : int
    seconds : float
    sha1_raw, sha1_compressed : str or None
        As computed now; None when a chunk could not be read.
    sha1_known : bool
        Whether the header has both hashes to compare with.
    """

    path: Path
    errors: list[CbinError]
    n_chunks: int = 0
    n_samples: int = 0
    n_channels: int = 0
    raw_bytes: int = 0
    compressed_bytes: int = 0
    seconds: float = 0.0
    sha1_raw: str | None = None
    sha1_compressed: str | None = None
    sha1_known: bool = False

    @property
    def ok(self) -> bool:
        return not self.errors

    def raise_if_bad(self) -> CheckReport:
        """Raise the first error, if there is one."""
        if self.errors:
            raise self.errors[0]
        return self
