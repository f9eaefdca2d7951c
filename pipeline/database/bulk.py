"""Rows by the thousand, as columns: in by COPY (PostgreSQL) or multi-row INSERT (MySQL), out by COPY or one cursor.

Both work inside DataJoint's transaction and on DataJoint's own connection, with DataJoint's checks and errors.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import datajoint as dj
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from pipeline.database.columns import arrow_type, from_python, is_scalar, to_arrow
from pipeline.database.copy_format import binary_rows
from pipeline.database.together import batch_of

_ROWS_PER_BATCH = 200_000
_MANY = 50  # rows of a part from which one check of their master is worth three more statements
_BLOCK = 1 << 18  # byte of CSV that a thread parses at once


def insert_many(
    table: dj.Table | type[dj.Table],
    columns: pa.Table | Mapping[str, Any],
    on_duplicate: str = "error",
) -> int:
    """Insert rows given as columns.

    Parameters
    ----------
    table : the table or its class.
    columns : name -> array of one value a row, or one scalar for all rows; NaN and None become NULL.
        Columns of type json take a sequence of lists or dicts, or one dict for all rows.
    on_duplicate : `error`; `skip` keeps the row that is there; `update` overwrites its other columns.

    Returns
    -------
    How many rows were sent (with `skip`: also those that were there).

    Raises
    ------
    KeyError : a column that the table does not have.
    datajoint.errors.DuplicateError, IntegrityError, MissingAttributeError : as DataJoint's insert.
    datajoint.DataJointError : a value that does not fit the column's type, columns of unequal length,
        or a populated table outside its `make`.
    """
    table = table() if isinstance(table, type) else table
    if on_duplicate not in ("error", "skip", "update"):
        raise ValueError(f"on_duplicate is 'error', 'skip' or 'update', not {on_duplicate!r}")
    if not getattr(table, "_allow_insert", True):
        raise dj.DataJointError(
            f"{table.full_table_name} is populated: rows are inserted by its make() only, during populate"
        )
    rows = to_arrow(table, columns)
    if not rows.num_rows:
        return 0
    master = _key_of_master(table, columns)
    opened = batch_of(table.connection)
    if opened is not None and on_duplicate == "error":
        names = tuple(rows.column_names)
        if opened.wait_for_columns(table, names, (rows, master), lambda items: _insert_together(table, items)):
            return rows.num_rows
    with _prepared_for_raw_statements(table.connection, is_read=False), _one_transaction(table.connection):
        _insert(table, rows, [master], on_duplicate)
    return rows.num_rows


def _insert_together(table: dj.Table, items: Sequence[tuple[pa.Table, dict[str, Any] | None]]) -> None:
    """Insert the rows of several keys."""
    _insert(table, pa.concat_tables(rows for rows, _ in items), [master for _, master in items], "error")


def _insert(table: dj.Table, rows: pa.Table, masters: Sequence[dict[str, Any] | None], on_duplicate: str) -> None:
    with _one_check_of_masters(table, masters, rows.num_rows):
        for part in _split_by_defaults(table, rows):
            for batch in _batches(part):
                _insert_batch(table, batch, on_duplicate)


def fetch_columns(
    query: dj.expression.QueryExpression | type[dj.Table], *names: str, order_by: str | None = None
) -> pa.Table:
    """The rows of a query as columns.

    Parameters
    ----------
    query : any DataJoint query, restricted and projected as needed.
    names : the columns wanted; all when none is given. Columns with a codec (`<blob>` …) need `to_dicts`.
    order_by : column names with ASC or DESC, separated by commas.

    Returns
    -------
    A pyarrow table. Columns of type json hold JSON text (see `json_column`).
    """
    query = query() if isinstance(query, type) else query
    names = names or tuple(query.heading.names)
    for name in names:
        if name not in query.heading:
            raise dj.errors.UnknownAttributeError(f"`{name}` is not a column of the query")
        if query.heading[name].codec:
            raise dj.errors.DataJointError(f"`{name}` has a codec: fetch it with `to_dicts`")
    connection = query.connection
    quote = connection.adapter.quote_identifier
    sql = query.make_sql(list(names))
    if order_by:
        terms = [term.split() for term in order_by.split(",")]
        sql += " ORDER BY " + ", ".join(" ".join([quote(name), *direction]) for name, *direction in terms)
    return fetch_sql(connection, sql, {name: arrow_type(query.heading[name]) for name in names})


def fetch_sql(
    connection: dj.Connection, sql: str, types: Mapping[str, pa.DataType | None], values: Sequence[Any] = ()
) -> pa.Table:
    """The rows of a statement as columns.

    Parameters
    ----------
    connection : the database.
    sql : with `%s` for each of `values`, and `%%` for a per cent sign.
    types : name of each column, in the order of the statement -> its type, see `columns.arrow_type`.
    values : what stands for each `%s`.
    """
    if connection.adapter.backend == "postgresql":
        with _prepared_for_raw_statements(connection, is_read=True):
            return _copy_out(connection, sql, types, values)
    rows = connection.query(sql, tuple(values)).fetchall()
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(types)
    return pa.table({name: from_python(column, types[name]) for name, column in zip(types, columns, strict=True)})


def json_column(table: pa.Table, name: str) -> list[Any]:
    """The Python values of a JSON column that `fetch_columns` returned; None where the row has none."""
    return [None if text is None else json.loads(text) for text in table[name].to_pylist()]


def to_numpy(table: pa.Table) -> dict[str, np.ndarray]:
    """The columns as numpy arrays; NULL is NaN, so that nullable integers and booleans become float64.

    >>> to_numpy(pa.table({"choice": pa.array([1, None], pa.int32())}))["choice"]
    array([ 1., nan])
    """
    arrays = {}
    for name in table.column_names:
        column = table[name]
        if column.null_count and (pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)):
            column = column.cast(pa.int64()).cast(pa.float64()) if pa.types.is_boolean(column.type) else column
            column = column.cast(pa.float64())
        arrays[name] = column.to_numpy()
    return arrays


@contextlib.contextmanager
def _one_transaction(connection: dj.Connection) -> Iterator[None]:
    """All or nothing: DataJoint's transaction if one is open, else one of its own."""
    if connection.in_transaction:
        yield
    else:
        with connection.transaction:
            yield


@contextlib.contextmanager
def _prepared_for_raw_statements(connection: dj.Connection, is_read: bool) -> Iterator[None]:
    """Around statements that go to the driver itself: what keys that are computed together insert comes before them."""
    if (number := vars(connection).get("n_statements")) is not None:
        vars(connection)["n_statements"] = number + 1
    opened = batch_of(connection)
    if opened is None:
        yield
        return
    opened.before("SELECT" if is_read else "INSERT", ())
    try:
        yield
    except BaseException:
        opened.is_broken = True
        raise


@contextlib.contextmanager
def _one_check_of_masters(table: dj.Table, masters: Sequence[dict[str, Any] | None], n_rows: int) -> Iterator[None]:
    """Check the foreign key of a part's rows once for each row of the master that they belong to.

    PostgreSQL otherwise looks the same row up again for each of them, which takes longer than writing them. The rows of
    the master are looked up and locked as that check does it; where one is not there, the check goes on and says so.
    Only for roles that may turn the check off (`GRANT SET ON PARAMETER session_replication_role`), as the owner of the
    embedded database may, and only for parts that refer to nothing but their master.

    Parameters
    ----------
    masters : keys of all rows of the master; None among them: they are not known.
    """
    connection = table.connection
    keys = list({tuple(key.items()): key for key in masters if key is not None}.values())
    if n_rows < _MANY * len(keys) or None in masters or not _may_check_once(connection):
        yield
        return
    quote = connection.adapter.quote_identifier
    names = ", ".join(quote(name) for name in keys[0])
    places = ", ".join([f"({', '.join(['%s'] * len(keys[0]))})"] * len(keys))
    master = type(table).master.full_table_name
    values = tuple(value for key in keys for value in key.values())
    present = connection.query(f"SELECT 1 FROM {master} WHERE ({names}) IN ({places}) FOR KEY SHARE", values).fetchall()
    if len(present) < len(keys):
        yield
        return
    connection.query("SET LOCAL session_replication_role = replica")
    yield
    connection.query("SET LOCAL session_replication_role = origin")


def _key_of_master(table: dj.Table, columns: pa.Table | Mapping[str, Any]) -> dict[str, Any] | None:
    """The one row of the master that all rows belong to; None where there are several, and for other tables."""
    if not isinstance(table, dj.Part) or isinstance(columns, pa.Table):
        return None
    master = type(table).master
    refers_to = [line.strip() for line in str(table.definition).splitlines() if line.strip().startswith("->")]
    key = {name: columns[name] for name in master.primary_key if name in columns}
    is_one = len(key) == len(master.primary_key) and all(map(is_scalar, key.values()))
    return key if is_one and refers_to == ["-> master"] else None


def _may_check_once(connection: dj.Connection) -> bool:
    """Whether the role may turn off the check of foreign keys; asked once for each connection."""
    if connection.adapter.backend != "postgresql":
        return False
    known = vars(connection)
    if "_may_check_once" not in known:
        sql = "SELECT has_parameter_privilege('session_replication_role', 'SET')"
        known["_may_check_once"] = bool(connection.query(sql).fetchone()[0])
    return known["_may_check_once"]


def _split_by_defaults(table: dj.Table, rows: pa.Table) -> Iterator[pa.Table]:
    """Parts in which NULLs of a column that has a default, and may not be null, are left to the database."""
    for name in rows.column_names:
        attribute = table.heading[name]
        if not rows[name].null_count or attribute.nullable or attribute.default is None:
            continue
        absent = pc.is_null(rows[name])
        yield from _split_by_defaults(table, rows.filter(absent).drop_columns([name]))
        if rows[name].null_count == rows.num_rows:
            return
        rows = rows.filter(pc.invert(absent))
    yield rows


def _batches(rows: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, rows.num_rows, _ROWS_PER_BATCH):
        yield rows.slice(start, _ROWS_PER_BATCH)


def _insert_batch(table: dj.Table, rows: pa.Table, on_duplicate: str) -> None:
    connection = table.connection
    try:
        if connection.adapter.backend == "postgresql":
            _copy_in(table, rows, on_duplicate)
        else:
            _insert_rows(table, rows, on_duplicate)
    except dj.DataJointError:
        raise
    except Exception as error:
        _raise_translated(connection, error, f"insert into {table.full_table_name}")


def _raise_translated(connection: dj.Connection, error: Exception, statement: str) -> NoReturn:
    """Raise the error as DataJoint's; one that has no such form as it is."""
    translated = connection.adapter.translate_error(error, statement)
    if translated is error:
        raise error
    raise translated from error


def _copy_in(table: dj.Table, rows: pa.Table, on_duplicate: str) -> None:
    quote = table.connection.adapter.quote_identifier
    names = ", ".join(quote(name) for name in rows.column_names)
    buffer, form = binary_rows(table, rows), "binary"
    if buffer is None:
        buffer, form = io.BytesIO(), "csv"
        pa_csv.write_csv(rows, buffer, pa_csv.WriteOptions(include_header=False))
        buffer.seek(0)
    with table.connection._conn.cursor() as cursor:
        if on_duplicate == "error":
            cursor.copy_expert(f"COPY {table.full_table_name} ({names}) FROM STDIN (FORMAT {form})", buffer)
            return
        cursor.execute("DROP TABLE IF EXISTS _incoming")
        cursor.execute(
            f"CREATE TEMP TABLE _incoming ON COMMIT DROP AS SELECT {names} FROM {table.full_table_name} LIMIT 0"
        )
        cursor.copy_expert(f"COPY _incoming ({names}) FROM STDIN (FORMAT {form})", buffer)
        key = ", ".join(quote(name) for name in table.primary_key)
        rest = [quote(name) for name in rows.column_names if name not in table.primary_key]
        action = "NOTHING"
        if on_duplicate == "update" and rest:
            action = "UPDATE SET " + ", ".join(f"{name} = EXCLUDED.{name}" for name in rest)
        cursor.execute(
            f"INSERT INTO {table.full_table_name} ({names}) SELECT {names} FROM _incoming "
            f"ON CONFLICT ({key}) DO {action}"
        )


def _insert_rows(table: dj.Table, rows: pa.Table, on_duplicate: str) -> None:
    quote = table.connection.adapter.quote_identifier
    names = [quote(name) for name in rows.column_names]
    sql = f"INSERT INTO {table.full_table_name} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})"
    if on_duplicate != "error":
        rest = [quote(name) for name in rows.column_names if name not in table.primary_key]
        if on_duplicate == "skip" or not rest:
            rest = [quote(table.primary_key[0])]
            sql += f" ON DUPLICATE KEY UPDATE {rest[0]}={table.full_table_name}.{rest[0]}"
        else:
            sql += " ON DUPLICATE KEY UPDATE " + ", ".join(f"{name}=VALUES({name})" for name in rest)
    with table.connection._conn.cursor() as cursor:
        cursor.executemany(sql, list(zip(*(column.to_pylist() for column in rows.columns), strict=True)))


def _copy_out(connection: dj.Connection, sql: str, types: Mapping[str, pa.DataType], values: Sequence[Any]) -> pa.Table:
    buffer = io.BytesIO()
    try:
        with connection._conn.cursor() as cursor:  # COPY takes no values, and the text as it is
            text = cursor.mogrify(sql, values).decode() if values else sql.replace("%%", "%")
            cursor.copy_expert(f"COPY ({text}) TO STDOUT (FORMAT csv)", buffer)
    except Exception as error:
        _raise_translated(connection, error, sql)
    if not buffer.tell():
        return pa.table({name: pa.array([], kind) for name, kind in types.items()})
    content = buffer.getbuffer()
    try:
        return _parsed(content, types, _BLOCK)
    except pa.ArrowInvalid as error:
        if "straddl" not in str(error):
            raise
        return _parsed(content, types, len(content))  # a value is larger than a block


def _parsed(content: memoryview, types: Mapping[str, pa.DataType], block: int) -> pa.Table:
    return pa_csv.read_csv(
        pa.BufferReader(content),
        read_options=pa_csv.ReadOptions(column_names=list(types), use_threads=len(content) > block, block_size=block),
        # one column that is null makes an empty line, which is a row too
        parse_options=pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict(types),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
            timestamp_parsers=[pa_csv.ISO8601],
        ),
    )
