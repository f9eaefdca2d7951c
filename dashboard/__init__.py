"""The training dashboard: pages over the analysis tables, and figures that are pure functions of rows."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["figures"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module 'dashboard' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
