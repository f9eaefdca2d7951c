"""Lossless compression of raw electrophysiology in mtscomp's format (`.cbin` and `.ch`), many times faster.

import cbin
report = cbin.compress("probe.ap.bin", n_channels=385, sample_rate=30_000)
with cbin.open("probe.ap.cbin") as recording:
    second = recording[:30_000]
"""

import importlib
from typing import Any

from . import errors
from .errors import (
    Busy,
    CbinError,
    CorruptChunk,
    DiskFull,
    FormatError,
    MissingFile,
    OutputExists,
    RawChanged,
    SizeMismatch,
    TruncatedFile,
    VerificationFailed,
)  # fmt: skip

_WHERE = {
    "compress": "compressor", "decompress": "decompressor", "check": "verify", "compare_with_raw": "verify",
    "open": "reader", "Recording": "recording", "Reader": "reader", "RawReader": "raw", "Writer": "writer",
    "append": "writer", "Report": "report", "CheckReport": "report", "Header": "format", "read_header": "format",
}  # fmt: skip

__all__ = [
    "Busy", "CbinError", "CorruptChunk", "DiskFull", "FormatError", "MissingFile", "OutputExists", "RawChanged",
    "SizeMismatch", "TruncatedFile", "VerificationFailed", "errors", *_WHERE,
]  # fmt: skip


_SUBMODULES = ("adapters", "archive", "spikeglx", "synthetic")


def __getattr__(name: str) -> Any:
    """Public names are imported when first used: numba takes half a second."""
    if name in _SUBMODULES:
        return importlib.import_module(f".{name}", __name__)
    if name not in _WHERE:
        raise AttributeError(f"module 'cbin' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_WHERE[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
