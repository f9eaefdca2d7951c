"""One hash over everything that a row was made from: when it changes, the row is stale."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa


def combine(table: pa.Table, key: Sequence[str], parts: Sequence[str]) -> pa.Table:
    """A fingerprint for each key, over the values of all its rows, whatever their order.

    Parameters
    ----------
    table : rows with the columns `key` and `parts`.
    key : columns that name what the fingerprint is of.
    parts : columns that go into it.

    Returns
    -------
    The keys, each once, with the column `fingerprint` (md5, 32 hexadecimal digits).

    >>> rows = pa.table({"subject": ["b", "a", "a"], "hash": ["z", "y", "x"]})
    >>> digests = combine(rows, ["subject"], ["hash"])
    >>> digests["subject"].to_pylist(), combine(rows.take([2, 1, 0]), ["subject"], ["hash"]) == digests
    (['a', 'b'], True)
    """
    ordered = table.select([*key, *parts]).sort_by([(name, "ascending") for name in (*key, *parts)])
    columns = [ordered[name].to_pylist() for name in ordered.column_names]
    groups: dict[tuple, list[tuple]] = {}
    for row in zip(*columns, strict=True):
        groups.setdefault(row[: len(key)], []).append(row[len(key) :])
    keys = list(zip(*groups, strict=True)) if groups else [()] * len(key)
    arrays = [pa.array(values, table.schema.field(name).type) for name, values in zip(key, keys, strict=True)]
    hashes = [_digest(rows) for rows in groups.values()]
    return pa.table([*arrays, pa.array(hashes, pa.string())], [*key, "fingerprint"])


def of_rows(rows: Iterable[tuple[Any, ...]]) -> str:
    """The fingerprint that `combine` gives one key over the values of these rows, whatever their order.

    >>> rows = pa.table({"subject": ["a", "a"], "hash": ["y", "x"]})
    >>> combine(rows, ["subject"], ["hash"])["fingerprint"].to_pylist() == [of_rows([("x",), ("y",)])]
    True
    """
    return _digest(sorted(rows, key=lambda row: [(value is None, value) for value in row]))


def _digest(rows: Iterable[tuple[Any, ...]]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for row in rows:
        digest.update(repr(row).encode())
    return digest.hexdigest()


def extend(fingerprint: str, part: str) -> str:
    """The fingerprint of a row that was made from something else as well, e.g. from a setting."""
    return hashlib.md5(f"{fingerprint} {part}".encode(), usedforsecurity=False).hexdigest()
