"""The `neurojoint` command: one module `cmd_NAME.py` for each command, each a call into code that works without it."""

from __future__ import annotations

import importlib
import pkgutil

from neurojoint.cli.group import ExplainedGroup, main

__all__ = ["ExplainedGroup", "main"]

for _module in pkgutil.iter_modules(__path__):
    if _module.name.startswith("cmd_"):
        importlib.import_module(f"{__name__}.{_module.name}")  # adds its command to `main`
