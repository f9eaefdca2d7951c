"""Table classes that no module holds, such as those of a notebook, in worker processes.

A process that computes them cannot import them. What it is given instead is the class by value, with what its functions
use; connections and schemas are replaced by those of the process itself.
"""

from __future__ import annotations

import functools
import io
import pickle
import sys
from collections.abc import Callable, Sequence
from typing import Any

import cloudpickle
import datajoint as dj

import pipeline
from pipeline.database import registry

_BOUND = {"database", "_connection", "_heading", "_support", "declaration_context", "_jobs", "_master", "__dict__"}
_BOUND |= {"__weakref__", "_upstream", "_upstream_key", "_allow_insert"}


def is_importable(table: type[dj.Table]) -> bool:
    """Whether another process gets the same class by importing its module."""
    module = sys.modules.get(table.__module__)
    return table.__module__ != "__main__" and getattr(module, table.__qualname__, None) is table


def opener(tables: Sequence[type[dj.Table]]) -> Callable[[], list[type[dj.Table]]]:
    """What a worker process calls to connect and to get these tables."""
    written = io.BytesIO()
    _Pickler(written).dump(list(tables))
    return functools.partial(_open, written.getvalue())


def _open(pickled: bytes) -> list[type[dj.Table]]:
    pipeline.connect(create=False)
    tables: list[type[dj.Table]] = pickle.loads(pickled)  # noqa: S301 (made by the process that started this one)
    return tables


class _Pickler(cloudpickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, type) and issubclass(obj, dj.Table) and not is_importable(obj):
            bases = tuple(base for base in obj.__bases__)
            values = {name: value for name, value in vars(obj).items() if name not in _BOUND}
            values.pop("__doc__", None)
            database = getattr(obj, "database", None)
            return _skeleton, (type(obj), obj.__name__, bases), (values, database), None, None, _fill
        if isinstance(obj, dj.Schema):
            return _schema, (obj.database,)
        if isinstance(obj, dj.Connection):
            return registry.connection, ()
        return super().reducer_override(obj)


def _skeleton(kind: type[type], name: str, bases: tuple[type, ...]) -> type:
    return kind(name, bases, {"__module__": "__main__"})


def _fill(table: type[dj.Table], state: tuple[dict[str, Any], str | None]) -> None:
    values, database = state
    for name, value in values.items():
        setattr(table, name, value)
    if database is not None and not issubclass(table, dj.Part):
        for part in registry.parts(table):
            part._master = table
        _schema(database)(table, context={})


def _schema(database: str) -> dj.Schema:
    return dj.Schema(database, connection=registry.connection(), create_schema=False, create_tables=False)
