"""The one safe reader of data files: arrays, tables, JSON and YAML, never pickles; what cannot be read says why."""

from __future__ import annotations

import ast
import io
import json
import os
import struct
import zlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.alf import parquet
from pipeline.alf.reasons import refuse
from pipeline.errors import InvalidData

if TYPE_CHECKING:
    import pyarrow as pa

LARGEST_ARRAY = 4 << 30  # byte
LARGEST_TEXT = 512 << 20  # byte
LARGEST_YAML = 4 << 20  # byte
_COMPRESSED = 15  # type of an element of a MATLAB file
HEADER = 64 << 10  # byte: no npy header is longer

_SEPARATORS = {"csv": ",", "tsv": "\t", "htsv": "\t", "ssv": " "}


class NpyHeader(NamedTuple):
    """What the first bytes of an npy file say."""

    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool
    offset: int  # byte, where the values begin

    @property
    def n_bytes(self) -> int:
        """Size that the file must have."""
        n_values = 1
        for length in self.shape:
            n_values *= length
        return self.offset + n_values * self.dtype.itemsize


def load(source: str | os.PathLike[str] | bytes, name: str = "") -> Any:
    """Read a file by its extension: npy, pqt, mat, csv, tsv, htsv, ssv, json, jsonable, yaml.

    Parameters
    ----------
    source : the path of the file, or its bytes.
    name : how the file is called in errors, and where `source` is bytes, what its extension is.

    Returns
    -------
    A numpy array (npy), a `pyarrow.Table` (pqt, mat, text tables), what JSON or YAML hold, or a list with one item for
    each line (jsonable).

    Raises
    ------
    InvalidData : with the reason `truncated`, `empty_file`, `object_array`, `unreadable_file`, `permission_denied`,
        `read_error` or `vanished`.

    Examples
    --------
    >>> load(b'{"a": [1, 2]}', "x.settings.json")
    {'a': [1, 2]}
    >>> load(b"a,b\\n1,2\\n", "x.table.csv").to_pydict()
    {'a': [1], 'b': [2]}
    """
    name = name or os.fsdecode(source)
    extension = name.rpartition(".")[2].lower()
    read = _READERS.get(extension)
    if read is None:
        known = ", ".join(sorted(_READERS))
        raise refuse(name, "unreadable_file", f"files of type {extension!r} are not read here, only {known}")
    content = source if isinstance(source, bytes) else _read(Path(source), name)
    if not content:
        raise refuse(name, "empty_file", "0 bytes")
    try:
        return read(content, name)
    except RecursionError:
        raise refuse(name, "unreadable_file", "it is nested too deeply") from None
    except MemoryError:
        raise refuse(name, "unreadable_file", "it does not fit into memory") from None


def npy_header(start: bytes, name: str, size: int | None = None) -> NpyHeader:
    """Check and parse the beginning of an npy file.

    Parameters
    ----------
    start : the first `HEADER` bytes, or all of them.
    name : how the file is called in errors.
    size : of the whole file, byte; by default the length of `start`.

    Raises
    ------
    InvalidData : `empty_file`, `truncated`, `object_array` or `unreadable_file`.
    """
    size = len(start) if size is None else size
    if not start:
        raise refuse(name, "empty_file", "0 bytes")
    if start[:6] != b"\x93NUMPY":
        if b"\x93NUMPY".startswith(start[:6]):
            raise refuse(name, "truncated", f"only {size} bytes of the header are there")
        if start[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
            raise refuse(name, "object_array", "it is a Python pickle, not an array")
        raise refuse(name, "unreadable_file", f"an npy file begins with \\x93NUMPY, this one with {start[:6]!r}")
    width = 2 if start[6:7] == b"\x01" else 4
    begin = 8 + width
    end = begin + int.from_bytes(start[8:begin], "little")
    if len(start) < begin or size < end:
        raise refuse(name, "truncated", f"only {size} bytes of the header are there")
    if start[6] > 3 or end > len(start):
        raise refuse(name, "unreadable_file", f"no npy header of version {start[6]} and {end} bytes is known")
    try:
        dtype, shape, fortran = _parse_header(start[begin:end])
    except (ValueError, TypeError, KeyError, SyntaxError, RecursionError, MemoryError, AttributeError) as error:
        raise refuse(name, "unreadable_file", f"its npy header makes no sense ({_short(error)})") from None
    if dtype.hasobject:
        raise refuse(name, "object_array", f"dtype {dtype.str}, shape {shape}")
    header = NpyHeader(dtype, shape, fortran, end)
    if size < header.n_bytes:
        raise refuse(name, "truncated", f"{size} of {header.n_bytes} bytes are there (shape {shape}, {dtype})")
    if size > header.n_bytes:
        detail = f"{size} bytes where the header says {header.n_bytes} (shape {shape}, {dtype})"
        raise refuse(name, "unreadable_file", detail)
    return header


def _read(path: Path, name: str) -> bytes:
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            limit = LARGEST_ARRAY if name.endswith((".npy", ".pqt")) else LARGEST_TEXT
            if size > limit:
                raise refuse(name, "unreadable_file", f"{size} bytes, and no more than {limit} are read at once")
            return file.read()
    except FileNotFoundError:
        raise refuse(name, "vanished", "the file is not there any more") from None
    except PermissionError as error:
        raise refuse(name, "permission_denied", error.strerror or "permission denied") from None
    except OSError as error:
        raise refuse(name, "read_error", error.strerror or _short(error)) from None


def _load_npy(content: bytes, name: str) -> np.ndarray:
    header = npy_header(content[:HEADER], name, len(content))
    values = np.frombuffer(content, header.dtype, offset=header.offset)
    return values.reshape(header.shape, order="F" if header.fortran else "C")


@lru_cache(maxsize=4096)
def _parse_header(text: bytes) -> tuple[np.dtype, tuple[int, ...], bool]:
    if len(text) > 10_000:
        raise ValueError(f"{len(text)} bytes long")
    fields = ast.literal_eval(text.decode("utf-8" if b"\xc3" in text else "latin-1").strip())
    if not isinstance(fields, dict) or fields.keys() != {"descr", "fortran_order", "shape"}:
        raise ValueError("descr, fortran_order and shape are expected")
    shape, fortran = fields["shape"], fields["fortran_order"]
    if not isinstance(shape, tuple) or not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"shape {shape!r}")
    if not isinstance(fortran, bool):
        raise ValueError(f"fortran_order {fortran!r}")
    dtype = np.lib.format.descr_to_dtype(fields["descr"])
    if not dtype.itemsize or dtype.subdtype:
        raise ValueError(f"dtype {fields['descr']!r}")
    return dtype, shape, fortran


def _load_parquet(content: bytes, name: str) -> pa.Table:
    import pyarrow as pa

    if content[:4] == b"PAR1" and content[-4:] != b"PAR1":
        raise refuse(name, "truncated", "the end of the parquet file is not there")
    try:
        return _without_index(parquet.read(content, limit=LARGEST_ARRAY), name)
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        raise refuse(name, "unreadable_file", f"not a parquet file ({_short(error)})") from None


def _load_table(content: bytes, name: str) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv

    separator = _SEPARATORS[name.rpartition(".")[2].lower()]
    try:
        table = csv.read_csv(
            io.BytesIO(content),
            read_options=csv.ReadOptions(use_threads=False),
            parse_options=csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        )
        return _without_index(table, name)
    except (pa.ArrowException, ValueError) as error:
        raise refuse(name, "unreadable_file", f"not a table ({_short(error)})") from None


def _load_mat(content: bytes, name: str) -> pa.Table:
    """The variables of a MATLAB file (version 7 or before), or the fields of its only structure, as columns.

    A matrix with several columns becomes the columns `name_0`, `name_1`, …
    """
    import pyarrow as pa
    import scipy.io

    if content[:8] == b"\x89HDF\r\n\x1a\n" or b"MATLAB 7.3 MAT-file" in content[:128]:
        raise refuse(name, "unreadable_file", "MATLAB 7.3 files are not read here: save it with -v7")
    if _inflated_size(content, LARGEST_ARRAY) > LARGEST_ARRAY:
        raise _too_large(name)
    try:
        contents = scipy.io.loadmat(io.BytesIO(content), squeeze_me=False, struct_as_record=True, appendmat=False)
    except Exception as error:  # whatever the file makes of the parser
        raise refuse(name, "unreadable_file", f"not a MATLAB file ({_short(error)})") from None
    variables = {key: value for key, value in contents.items() if not key.startswith("__")}
    if len(variables) == 1 and (only := next(iter(variables.values()))).dtype.names and only.size == 1:
        variables = {field: only[field].flat[0] for field in only.dtype.names}
    columns: dict[str, np.ndarray] = {}
    for key, value in variables.items():
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "bfiu" or value.ndim != 2:
            continue
        if 1 in value.shape:
            columns[key] = value.ravel()
        else:
            columns |= {f"{key}_{index}": value[:, index] for index in range(value.shape[1])}
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        what = "no numeric variables" if not lengths else f"variables of {len(lengths)} lengths"
        raise refuse(name, "unreadable_file", f"{what}; one row a trial or sample is expected")
    return pa.table(columns)


def _inflated_size(content: bytes, limit: int) -> int:
    """How large the compressed variables of a MATLAB file are when unpacked, counted not much beyond `limit`."""
    total, at = 0, 128
    while at + 8 <= len(content) and total <= limit:
        kind, size = struct.unpack_from("<II" if content[126:128] == b"IM" else ">II", content, at)
        at += 8
        if kind == _COMPRESSED:
            inflate, rest = zlib.decompressobj(), content[at : at + size]
            while rest and total <= limit:
                try:
                    total += len(inflate.decompress(rest, 1 << 20))
                except zlib.error:
                    break
                rest = inflate.unconsumed_tail
        at += size
    return total


def _too_large(name: str) -> InvalidData:
    return refuse(name, "unreadable_file", f"unpacked it is larger than {LARGEST_ARRAY} bytes")


def _without_index(table: pa.Table, name: str) -> pa.Table:
    """The columns without the row numbers that pandas writes; two columns of one name are refused.

    An index of text without a name, which says what each row is, becomes the column `index`.
    """
    import pyarrow as pa

    for unnamed in ("__index_level_0__", ""):
        if table.column_names.count(unnamed) == 1 and "index" not in table.column_names:
            kind = table.schema.field(unnamed).type
            if pa.types.is_string(kind) or pa.types.is_large_string(kind):
                names = ["index" if column == unnamed else column for column in table.column_names]
                table = table.replace_schema_metadata(None).rename_columns(names)
    names = table.column_names
    if twice := sorted({column for column in names if names.count(column) > 1}):
        raise refuse(name, "duplicate_column", f"the table has the column {twice[0]} twice", twice[0])
    index = [column for column in names if column in ("__index_level_0__", "")]
    return table.drop_columns(index) if index else table


def _load_json(content: bytes, name: str) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        cut = isinstance(error, json.JSONDecodeError) and error.pos >= len(error.doc.rstrip()) - 1
        raise refuse(name, "truncated" if cut else "unreadable_file", f"not JSON ({_short(error)})") from None


def _load_jsonable(content: bytes, name: str) -> list[Any]:
    rows, lines = [], content.splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            cut = number == len(lines) and not content.endswith(b"\n")
            reason = "truncated" if cut else "unreadable_file"
            raise refuse(name, reason, f"line {number} is not JSON ({_short(error)})") from None
    return rows


def _load_yaml(content: bytes, name: str) -> Any:
    import yaml

    if len(content) > LARGEST_YAML:
        raise refuse(name, "unreadable_file", f"{len(content)} bytes, and no more than {LARGEST_YAML} are read")
    try:
        parsed = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise refuse(name, "unreadable_file", f"not plain YAML ({_short(error)})") from None
    if b"*" in content and _written_out(parsed, {}) > LARGEST_YAML:
        raise refuse(name, "unreadable_file", f"its references stand for more than {LARGEST_YAML} values")
    return parsed


def _written_out(value: Any, known: dict[int, int]) -> int:
    """How many values there are when each reference is replaced by what it names; one that holds itself has no end."""
    if not isinstance(value, dict | list | tuple | set):
        return 1
    if id(value) not in known:
        known[id(value)] = LARGEST_YAML + 1  # while it is looked at
        parts = [*value, *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_written_out(part, known) for part in parts)
    return known[id(value)]


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


_READERS = {
    "npy": _load_npy,
    "pqt": _load_parquet,
    "mat": _load_mat,
    "json": _load_json,
    "jsonable": _load_jsonable,
    "yaml": _load_yaml,
    "yml": _load_yaml,
    **dict.fromkeys(_SEPARATORS, _load_table),
}
