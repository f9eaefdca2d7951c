"""Processes that this one starts: they do not run a person's script once more."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def without_main(called: Callable[..., Any] | None = None) -> Iterator[None]:
    """Processes started inside do not import the script that runs here as `__main__`.

    Python imports it in each of them, so a script without `if __name__ == "__main__":` would begin again there, and
    connect, declare and start processes itself. What our processes are given names nothing in `__main__`.

    Parameters
    ----------
    called : what the processes call; where `__main__` defines it, they need the script, and import it.

    Examples
    --------
    >>> with without_main():
    ...     getattr(sys.modules["__main__"], "__file__", None)
    """
    main = sys.modules.get("__main__")
    if main is None or _is_of_main(called):
        yield
        return
    hidden: dict[str, Any] = {name: vars(main)[name] for name in ("__file__", "__spec__") if name in vars(main)}
    vars(main).pop("__file__", None)
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(hidden)


def _is_of_main(called: Callable[..., Any] | None) -> bool:
    while isinstance(called, functools.partial):
        called = called.func
    return getattr(called, "__module__", None) == "__main__"
