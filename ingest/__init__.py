"""From files to rows: `register` brings the tables up to what is in an ALF tree, and quarantines what is invalid;
`compress` then puts compressed files into the place of raw recordings."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ingest.compression import compress
    from ingest.registration import register

__all__ = ["compress", "register"]

_MODULES = {"compress": "ingest.compression", "register": "ingest.registration"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:  # imported when they are used, as they take half a second
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'ingest' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
