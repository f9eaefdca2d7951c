"""Rows as the client holds them: parquet tables with its types and marks, and pandas frames equal to those it loads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from one.alf.cache import EMPTY_DATASETS_FRAME, EMPTY_SESSIONS_FRAME, QC_TYPE, cast_index_object

_EMPTY = {
    "sessions": EMPTY_SESSIONS_FRAME,
    "datasets": EMPTY_DATASETS_FRAME.assign(default_revision=pd.Series(dtype=bool)),
    "insertions": pd.DataFrame(columns=["eid", "id", "name", "serial", "model", "qc"])
    .astype({"qc": QC_TYPE})
    .set_index(["eid", "id"]),
    "aggregates": EMPTY_DATASETS_FRAME.droplevel("eid").assign(
        default_revision=pd.Series(dtype=bool), relation=pd.Series(dtype=str), identifier=pd.Series(dtype=str)
    ),
}
QC_NAMES = pa.array(list(QC_TYPE.categories), pa.string())
FEW = 2000  # paths
_TYPES = {"date": pa.date32(), "number": pa.uint16(), "file_size": pa.uint64()}


def table(name: str, rows: pa.Table, marks: Mapping[str, Any] | None = None) -> pa.Table:
    """A table of the client (sessions, datasets, insertions, aggregates) as it is written to parquet.

    Parameters
    ----------
    rows : as `one_bridge.query` gives them; the order stays.
    marks : what the client wants to know of the table: date_created, origin, min_api_version, database_tags.
    """
    if name == "sessions":
        rows = rows.rename_columns({"eid": "id"})
    schema = _schema(name)
    columns = [_column(rows[field.name], field.type) for field in schema]
    result = pa.Table.from_arrays(columns, schema=schema)
    if marks is None:
        return result
    return result.replace_schema_metadata({**schema.metadata, b"one_metadata": json.dumps(dict(marks)).encode()})


def frame(name: str, rows: pa.Table) -> pd.DataFrame:
    """The same as a pandas frame, indexed by uuids, equal to what the client loads from parquet."""
    return cast_index_object(table(name, rows).to_pandas(), UUID)


def paths(rows: pa.Table) -> pd.DataFrame:
    """Columns rel_path and qc of datasets, of rel_path and dataset_qc: what the client's filters look at.

    The paths are Arrow's text where there are many, and Python's where there are few: pandas takes a regular expression
    apart for each search in Arrow's text, which costs more than the search.
    """
    qc = pd.Categorical.from_codes(_codes(rows["dataset_qc"]).to_numpy(), dtype=QC_TYPE)
    text = "str" if rows.num_rows > FEW else object
    return pd.DataFrame({"rel_path": pd.Series(rows["rel_path"].to_pylist(), dtype=text), "qc": qc})


@lru_cache
def _schema(name: str) -> pa.Schema:
    """Types of the columns, with what pandas must know to give the client's dtypes back."""
    inferred = pa.Schema.from_pandas(_EMPTY[name])
    types = {field.name: field.type for field in inferred}
    for column in types:
        if column in _TYPES:
            types[column] = _TYPES[column]
        elif column == "qc":
            types[column] = pa.dictionary(pa.int8(), pa.string(), ordered=True)
        elif pa.types.is_null(types[column]):
            types[column] = pa.string()
    return pa.schema(list(types.items()), metadata=inferred.metadata)


def _column(values: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_dictionary(kind):
        return values.cast(kind)
    return pa.DictionaryArray.from_arrays(_codes(values), QC_NAMES, ordered=True)


def _codes(names: pa.ChunkedArray) -> pa.Array:
    """QC outcomes as places in `QC_NAMES`."""
    return pc.index_in(names.cast(pa.string()), QC_NAMES).cast(pa.int8()).combine_chunks()
