"""Sessions as NWB files: `nwbfile` and `export` write them, `ingest` reads them, `check` says what one holds.

Needs the extra `nwb` (`pip install "neurojoint[nwb]"`). Importing this package imports neither pynwb nor a database.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exchange.nwb.checking import check
    from exchange.nwb.export import export
    from exchange.nwb.intake import ingest
    from exchange.nwb.session import nwbfile

__all__ = ["check", "export", "ingest", "nwbfile"]

_WHERE = {"export": "export", "ingest": "intake", "check": "checking", "nwbfile": "session"}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'exchange.nwb' has no attribute {name!r}")
    return getattr(importlib.import_module(f"exchange.nwb.{_WHERE[name]}"), name)
