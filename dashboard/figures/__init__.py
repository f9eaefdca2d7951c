"""Rows in, plotly figures out: used by the pages, by notebooks and by tests alike.

`from dashboard import figures; figures.mouse.learning_curve(rows)`. A module is imported when
it is first asked for.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("_") or name not in __dir__():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__))
