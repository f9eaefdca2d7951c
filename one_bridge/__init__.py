"""ONE on the tables: a Python class, an HTTP server and cache tables that give the same answers."""

from __future__ import annotations

from typing import Any

import pipeline  # noqa: F401 - it says where DataJoint's settings come from, before anything here imports DataJoint

__all__ = ["ONE"]


def __getattr__(name: str) -> Any:
    if name == "ONE":
        from one_bridge.api import ONE  # start-up time

        return ONE
    raise AttributeError(f"module 'one_bridge' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
