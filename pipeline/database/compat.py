"""What must be patched in DataJoint 2.3; each patch has a test that fails once upstream has mended what it mends."""

from __future__ import annotations

import difflib
import functools
import importlib.abc
import importlib.machinery
import importlib.util
import logging
import re
import struct
import sys
import types
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pipeline.database.string_literals import single_quoted


def apply(every_table: Callable[[], list[Any]]) -> None:
    """Install every patch; harmless when called again. `every_table` gives all tables, with their parts."""
    _every_table[0] = every_table
    _cache_visible_attributes()
    _cache_table_names()
    _fetch_rows_with_one_decoder_per_column()
    _read_arrays_in_one_step()
    _keep_declaring_transaction_alive()
    _take_double_quotes_for_text()
    _refuse_unknown_names_in_restrictions()
    _load_dependencies_once_for_all_job_tables()
    _resolve_types_once()
    _when_imported("datajoint.diagram", _know_headings_in_cascades)  # it imports matplotlib, and only deletes need it
    logging.getLogger("datajoint").setLevel(logging.WARNING)


def _cache_visible_attributes() -> None:
    """`Heading.attributes` builds a dict of all columns at every access, so a row costs the square of its columns."""
    from datajoint.heading import Heading

    if getattr(Heading.attributes.fget, "cached", False):
        return

    def attributes(self):
        if self._attributes is None:
            self._init_from_database()
        source = self._attributes
        cached = self.__dict__.get("_visible_attributes")
        if cached is None or cached[0] is not source:
            cached = (source, {name: attr for name, attr in source.items() if not attr.is_hidden})
            self.__dict__["_visible_attributes"] = cached
        return cached[1]

    attributes.cached = True  # type: ignore[attr-defined]
    Heading.attributes = property(attributes)


def _cache_table_names() -> None:
    """The name of a table is made from that of its class by regular expressions, dozens of times for each insert."""
    from datajoint import user_tables

    if not hasattr(user_tables.from_camel_case, "cache_info"):
        user_tables.from_camel_case = functools.cache(user_tables.from_camel_case)


def _fetch_rows_with_one_decoder_per_column() -> None:
    """`to_dicts` and iteration resolve the decoder of a column again for each value."""
    from datajoint import expression as dj_expression
    from datajoint.codecs import decode_attribute

    QueryExpression: Any = dj_expression.QueryExpression  # noqa: N806 - the class, whose methods are replaced
    if getattr(QueryExpression.to_dicts, "patched", False):
        return

    def rows(expression, squeeze):
        heading, names = expression.heading, expression.heading.names
        special = [
            (i, heading[name])
            for i, name in enumerate(names)
            if heading[name].codec or heading[name].json or heading[name].uuid or heading[name].is_blob
        ]
        for row in expression.cursor(as_dict=False):
            values = list(row)
            for i, attribute in special:
                if values[i] is not None:
                    values[i] = decode_attribute(attribute, values[i], squeeze, connection=expression.connection)
            yield dict(zip(names, values, strict=True))

    def to_dicts(self, order_by=None, limit=None, offset=None, squeeze=False):
        return list(rows(self._apply_top(order_by, limit, offset), squeeze))

    to_dicts.patched = True  # type: ignore[attr-defined]
    to_dicts.__doc__ = QueryExpression.to_dicts.__doc__
    QueryExpression.to_dicts = to_dicts
    QueryExpression.__iter__ = lambda self: rows(self, False)


def _read_arrays_in_one_step() -> None:
    """A blob that holds one vector of numbers is taken apart value by value, which takes twice as long as its bytes."""
    from datajoint import blob

    original = blob.Blob.unpack
    if hasattr(original, "by_parts"):
        return
    numeric = {number: known["dtype"] for number, known in blob.deserialize_lookup.items()
               if known["dtype"] is not None and known["dtype"].kind in "fiu"}  # fmt: skip
    vector = struct.Struct("<4scQQII")  # format, kind, dimensions, length, type, whether it is complex

    def unpack(self, packed):
        content: Any = memoryview(packed).cast("B")
        if content[:6] == b"ZL123\0" and len(content) > 14:
            (size,) = struct.unpack_from("<Q", content, 6)
            content = zlib.decompress(content[14:], bufsize=min(max(size, 1), 1 << 26))
            packed = content if len(content) == size else packed  # else the original says what is wrong
        if len(content) > vector.size and not blob.use_32bit_dims:
            form, kind, dimensions, length, number, is_complex = vector.unpack_from(content)
            dtype = numeric.get(number) if (form, kind, dimensions, is_complex) == (b"mYm\0", b"A", 1, 0) else None
            is_one = self._squeeze and length == 1  # and becomes a scalar
            if dtype is not None and not is_one and len(content) == vector.size + length * dtype.itemsize:
                return np.frombuffer(content, dtype, length, vector.size)
        return original(self, packed)

    unpack.by_parts = original  # type: ignore[attr-defined]
    blob.Blob.unpack = unpack


def _resolve_types_once() -> None:
    """DataJoint resolves the name of a type, e.g. `<blob>`, again for each value that it reads or writes."""
    from datajoint import codecs

    original = codecs.resolve_dtype
    if getattr(original, "patched", False):
        return
    kept: dict[tuple[str, str | None], Any] = {}

    def resolve_dtype(dtype, seen=None, store_name=None):
        if seen is not None:
            return original(dtype, seen, store_name)
        if (dtype, store_name) not in kept:
            kept[dtype, store_name] = original(dtype, store_name=store_name)
        final, chain, store = kept[dtype, store_name]
        return final, list(chain), store

    resolve_dtype.patched = True  # type: ignore[attr-defined]
    codecs.resolve_dtype = resolve_dtype


def _keep_declaring_transaction_alive() -> None:
    """`CREATE TYPE` of an enum that exists raises; DataJoint swallows that, but the transaction is aborted by then."""
    from datajoint.adapters.postgres import PostgreSQLAdapter

    original = PostgreSQLAdapter.get_pending_enum_ddl
    if getattr(original, "patched", False):
        return

    def get_pending_enum_ddl(self, schema_name):
        return [
            f"DO $$ BEGIN {statement}; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
            for statement in original(self, schema_name)
        ]

    get_pending_enum_ddl.patched = True  # type: ignore[attr-defined]
    PostgreSQLAdapter.get_pending_enum_ddl = get_pending_enum_ddl


def _take_double_quotes_for_text() -> None:
    """A restriction such as `'status = "x"'` compares with a column named x on PostgreSQL."""
    from datajoint import condition, expression, jobs, table

    original = condition.make_condition
    if getattr(original, "patched", False):
        return

    def make_condition(query_expression, restriction, columns, semantic_check=True):
        is_negated = isinstance(restriction, condition.Not)
        written = restriction.restriction if is_negated else restriction
        if isinstance(written, str) and '"' in written:
            heading = query_expression.heading
            if query_expression.connection.adapter.backend == "postgresql":
                written = single_quoted(written, {*heading.names, *(getattr(heading, "_attributes", None) or ())})
                restriction = condition.Not(written) if is_negated else written
        return original(query_expression, restriction, columns, semantic_check)

    make_condition.patched = True  # type: ignore[attr-defined]
    for module in (condition, expression, jobs, table):
        setattr(module, "make_condition", make_condition)  # noqa: B010 - the modules do not export it


def _refuse_unknown_names_in_restrictions() -> None:
    """A dictionary restricts by the names that the table has; DataJoint drops the others without a word.

    So `TrialSet & {"eid": eid}` selects every row. Here a name that the table does not have is an error, unless it is
    part of the key of some table: `lab.Lab & key` with the key of a session goes on meaning the lab of that session.
    """
    from datajoint import expression as dj_expression

    QueryExpression: Any = dj_expression.QueryExpression  # noqa: N806 - the class, whose method is replaced
    original = QueryExpression.restrict
    if getattr(original, "patched", False):
        return

    def restrict(self, restriction, semantic_check=True):
        for mapping in _mappings(restriction):
            _check_names(self, mapping)
        return original(self, restriction, semantic_check=semantic_check)

    restrict.patched = True  # type: ignore[attr-defined]
    restrict.__doc__ = original.__doc__
    QueryExpression.restrict = restrict


def _know_headings_in_cascades() -> None:
    """A cascade asks the database for the heading of each dependent table, and of each again at every step."""
    from datajoint.diagram import Diagram
    from datajoint.table import FreeTable

    original = Diagram._restricted_table
    if getattr(original, "patched", False):
        return

    def _restricted_table(self, node):
        known = self.__dict__.get("_known_headings")
        if known is None:
            bound = [item for item in _every_table[0]() if item.connection is self._connection]
            known = self.__dict__["_known_headings"] = {item.full_table_name: item().heading for item in bound}
        table = FreeTable(self._connection, node)
        table._heading = known.setdefault(node, table._heading)
        restrictions = (self._cascade_restrictions or self._restrict_conditions).get(node, [])
        if self._cascade_restrictions:
            return table.restrict(restrictions) if restrictions else table
        for restriction in restrictions:
            table = table.restrict(restriction)
        return table

    _restricted_table.patched = True  # type: ignore[attr-defined]
    Diagram._restricted_table = _restricted_table


def _when_imported(name: str, act: Callable[[], None]) -> None:
    """Call `act` as soon as somebody imports a module, or now if it is there."""
    if name in sys.modules:
        act()
    elif not any(isinstance(finder, _Awaited) and finder.name == name for finder in sys.meta_path):
        sys.meta_path.insert(0, _Awaited(name, act))


class _Awaited(importlib.abc.MetaPathFinder):
    """Stands before the other finders until the module is asked for, and adds a call to its import."""

    def __init__(self, name: str, act: Callable[[], None]) -> None:
        self.name, self._act = name, act

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: types.ModuleType) -> None:
                execute(module)
                self._act()

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _mappings(restriction: Any) -> list[Mapping[str, Any]]:
    """The dictionaries in a restriction; of a list, the first stands for all that have the same names."""
    if isinstance(restriction, Mapping):
        return [restriction]
    if type(restriction).__name__ == "Not":
        return _mappings(restriction.restriction)
    if isinstance(restriction, list | tuple | set):
        distinct = {frozenset(item): item for item in restriction if isinstance(item, Mapping)}
        return [
            *distinct.values(),
            *(mapping for part in restriction if isinstance(part, list) for mapping in _mappings(part)),
        ]
    return []


def _check_names(query: Any, restriction: Mapping[str, Any]) -> None:
    """Raise where a name of the restriction is neither a column of the query nor part of any table's key."""
    from datajoint.errors import DataJointError

    heading = query.heading
    unknown = [name for name in restriction if str(name).split(".", 1)[0] not in heading.names]
    if not unknown:
        return
    wrong = [name for name in unknown if name not in _key_names()]
    if not wrong or set(wrong) <= _of_rows(restriction):
        return
    name = wrong[0]
    if name == "eid":
        hint = "`pipeline.session(eid)` gives the key of that session"
    else:
        near = difflib.get_close_matches(str(name), heading.names, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(heading.names[:12])}"
    label = getattr(type(query), "__qualname__", "the query") if hasattr(query, "table_name") else "the query"
    raise DataJointError(f"{label} has no column {name!r} to restrict by: {hint}")


def _key_names() -> set[str]:
    """The names in the keys of all tables, also as foreign keys rename them, from the definitions."""
    tables = _every_table[0]()
    if _keys.get("n") != len(tables):
        names: set[str] = set()
        for table in tables:
            key = str(table.definition).partition("---")[0]
            names.update(re.findall(r"^\s*(\w+)\s*(?:=[^:]*)?:", key, re.MULTILINE))
            names.update(re.findall(r"(\w+)\s*=\s*['\"]", key))
        _keys.update(n=len(tables), names=names)
    return _keys["names"]


def _of_rows(restriction: Mapping[str, Any]) -> set[str]:
    """The columns of the tables whose whole key a restriction has: a row of one table restricts others by its key."""
    names: set[str] = set()
    for item in _every_table[0]():
        if item.connection is not None and set(item().primary_key) <= restriction.keys():
            names.update(item().heading.names)
    return names


_keys: dict[str, Any] = {}
_every_table: list[Callable[[], list[Any]]] = [list]  # set by `apply`


def _load_dependencies_once_for_all_job_tables() -> None:
    """Every access to `T.jobs` loads the foreign keys of the whole database, only to know the key of one job table."""
    from datajoint.jobs import Job

    original = Job._get_fk_derived_pk_attrs
    if getattr(original, "patched", False):
        return

    def attributes(self):
        kept = vars(self._connection).setdefault("_keys_of_job_tables", {})
        table = (self._target.full_table_name, tuple(self._target.primary_key))
        if table not in kept:
            graph = self._connection.dependencies
            graph.load(force=table[0] not in graph)
            graph.load = lambda *_, **__: None
            try:
                kept[table] = original(self)
            finally:
                del graph.load
        return list(kept[table])

    attributes.patched = True  # type: ignore[attr-defined]
    Job._get_fk_derived_pk_attrs = attributes
