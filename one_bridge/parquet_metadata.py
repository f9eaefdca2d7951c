"""The footer of a Parquet file with the metadata that the ONE client cannot do without; data pages stay byte for byte.

`iblutil.io.parquet.load`, which the client reads tables with, fails on files whose schema has no metadata, as pyarrow,
Polars, DuckDB and R write them. The footer of a Parquet file is a Thrift struct in the compact protocol whose field 5
lists keys and values; one more is added, also to the copy of the schema that Arrow keeps under a key of its own.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

KEY, VALUE = b"one_metadata", b"{}"
ARROW = b"ARROW:schema"
LARGEST_FOOTER = 64 << 20  # byte
_MAGIC = b"PAR1"
_LIST, _STRUCTS, _BINARY, _STOP = 9, 12, 8, 0
_KEY_VALUES = 5  # field of FileMetaData


class Footer(NamedTuple):
    """The end of a file as it should be: it replaces everything from byte `begin` on."""

    begin: int
    content: bytes


def missing_footer(path: Path) -> Footer | None:
    """The footer that a file should have for the client to read it; None where it can read the file as it is.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is no Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(size - 8, 0))
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != _MAGIC or not 0 < length <= min(size - 12, LARGEST_FOOTER):
            raise ValueError(f"{path.name} is no Parquet file")
        file.seek(size - 8 - length)
        footer = file.read(length)
    try:
        if pq.read_schema(path).metadata is not None:
            return None
        kept = (pq.read_metadata(path).metadata or {}).get(ARROW)
        more = {ARROW: _with_metadata(kept)} if kept else {KEY: VALUE}  # Arrow looks at no other key beside its own
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path.name} is no Parquet file") from error
    changed = with_key_values(footer, more)
    return Footer(size - 8 - length, changed + len(changed).to_bytes(4, "little") + _MAGIC)


def _with_metadata(schema: bytes) -> bytes:
    """Arrow's own copy of a schema with the metadata that the client looks for."""
    import pyarrow as pa

    parsed = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(schema)))
    return base64.b64encode(parsed.with_metadata({KEY: VALUE}).serialize().to_pybytes())


def content(path: Path, footer: Footer, chunk: int = 1 << 20) -> Iterator[bytes]:
    """The bytes of a file with another footer."""
    left = footer.begin
    with path.open("rb") as file:
        while left > 0 and (part := file.read(min(chunk, left))):
            left -= len(part)
            yield part
    yield footer.content


def with_key_values(metadata: bytes, more: Mapping[bytes, bytes]) -> bytes:
    """A Thrift FileMetaData with these keys and values, which replace those of the same key.

    Raises
    ------
    ValueError
        The bytes are no such struct.
    """
    reader = _Reader(metadata)
    fields = {field: (kind, body) for field, kind, body in reader.fields()}
    pairs = _pairs(fields[_KEY_VALUES][1]) if _KEY_VALUES in fields else {}
    pairs |= more
    body = b"".join(_binary(1, key) + _binary(1, value) + b"\x00" for key, value in pairs.items())
    fields[_KEY_VALUES] = (_LIST, _list_header(len(pairs)) + body)
    written, last = bytearray(), 0
    for field, (kind, content) in sorted(fields.items()):
        written += bytes([field - last << 4 | kind]) if field - last < 16 else bytes([kind]) + _varint(field << 1)
        written += content
        last = field
    return bytes(written) + b"\x00" + metadata[reader.at :]


def _pairs(body: bytes) -> dict[bytes, bytes]:
    """The keys and values of a list of Thrift KeyValue."""
    reader = _Reader(body)
    header = reader.byte()
    pairs = {}
    for _ in range(reader.number() if header >> 4 == 15 else header >> 4):
        parts = {field: content for field, _, content in reader.fields()}
        key, value = (_text(parts[field]) if field in parts else b"" for field in (1, 2))
        pairs[key] = value
    return pairs


def _text(content: bytes) -> bytes:
    reader = _Reader(content)
    return content[-n:] if (n := reader.number()) else b""


def _binary(delta: int, content: bytes) -> bytes:
    return bytes([delta << 4 | _BINARY]) + _varint(len(content)) + content


class _Reader:
    """Walks a struct of the compact protocol."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def fields(self) -> Iterator[tuple[int, int, bytes]]:
        """Number, type and bytes of each field, up to the end of the struct."""
        field = 0
        while (header := self.byte()) != _STOP:
            kind, delta = header & 15, header >> 4
            if delta:
                field += delta
            else:
                number = self.number()
                field = (number >> 1) ^ -(number & 1)
            begin = self.at
            self._skip(kind)
            yield field, kind, self.content[begin : self.at]

    def _skip(self, kind: int, depth: int = 0) -> None:
        if depth > 64:
            raise ValueError("a footer that is nested too deeply")
        if kind in (1, 2):  # true, false: the value is the type
            return
        if kind == 3:
            self._advance(1)
        elif kind in (4, 5, 6):
            self.number()
        elif kind == 7:
            self._advance(8)
        elif kind == _BINARY:
            self._advance(self.number())
        elif kind in (9, 10):
            header = self.byte()
            count, inner = header >> 4, header & 15
            count = self.number() if count == 15 else count
            for _ in range(count):
                self._advance(1) if inner in (1, 2) else self._skip(inner, depth + 1)
        elif kind == _STRUCTS:
            while (header := self.byte()) != _STOP:
                if not header >> 4:
                    self.number()
                self._skip(header & 15, depth + 1)
        else:
            raise ValueError(f"a footer with a value of type {kind}")

    def byte(self) -> int:
        self._advance(1)
        return self.content[self.at - 1]

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("a footer with a number that is too long")

    def _advance(self, n: int) -> None:
        self.at += n
        if self.at > len(self.content):
            raise ValueError("a footer that ends too early")


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def _list_header(count: int) -> bytes:
    return bytes([count << 4 | _STRUCTS]) if count < 15 else bytes([15 << 4 | _STRUCTS]) + _varint(count)
