"""The container of an archive: a Zarr (version 2) group in one uncompressed zip file, encoded by `numcodecs`.

The group has the layout that SpikeInterface gives its own recordings, so that one description serves every reader:
`traces_seg0` (samples x channels), `channel_ids`, `properties/gain_to_uV`, and attributes.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .disk import open_to_read, read_into
from .errors import CorruptChunk, FormatError, TruncatedFile

TRACES = "traces_seg0"
PAGE = 30000  # values that share one table of probabilities in pcodec: longer chunks of a channel gain little more
MAX_DOCUMENT_BYTES = 1 << 26
MAX_CHUNK_BYTES = 1 << 31
INSTALL = "pip install 'neurojoint[archive]' (or: pip install 'numcodecs>=0.15' pcodec)"

_PCODEC_KINDS = ("i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)
_LOCAL_HEADER = struct.Struct("<4s22xHH")


def array_document(shape: tuple[int, ...], chunks: tuple[int, ...], dtype: np.dtype) -> dict[str, Any]:
    """The `.zarray` of the samples: channel after channel within a chunk, so that neighbours are neighbours in time.

    Integers and floats of 2 to 8 bytes go through pcodec with first differences; other types through differences,
    bit planes and Zstandard.
    """
    rows = chunks[0]
    if dtype.str[1:] in _PCODEC_KINDS:
        # `delta_spec` is left at its default: older numcodecs know only the order
        order = 0 if dtype.kind == "f" else 1
        compressor = {"id": "pcodec", "level": 8, "mode_spec": "classic", "delta_encoding_order": order}
        compressor["equal_pages_up_to"] = max(rows, PAGE)
        filters = None
    else:
        compressor = {"id": "blosc", "cname": "zstd", "clevel": 5, "shuffle": 2, "blocksize": 0}
        filters = [{"id": "delta", "dtype": dtype.str, "astype": dtype.str}]
    return _document(shape, chunks, dtype.str, compressor, filters, order="F")


def plain_array(values: np.ndarray) -> tuple[dict[str, Any], bytes]:
    """Document and only chunk of a small uncompressed array."""
    return _document(values.shape, values.shape, values.dtype.str, None, None), values.tobytes()


def get_codec(config: Mapping[str, Any], path: Path) -> Any:
    """The `numcodecs` codec of a document; our own are the only ones that a file may ask for.

    Raises
    ------
    FormatError : numcodecs or the codec is not installed, or the file asks for another one
    """
    if config.get("id") not in ("pcodec", "blosc", "delta"):
        raise FormatError(f"the codec {config.get('id')!r} is none that an archive uses.", file=path)
    try:
        import numcodecs

        return numcodecs.get_codec(dict(config))
    except ImportError as error:
        raise FormatError(
            "archives need numcodecs and pcodec.", file=path, remedy=f"Install them: {INSTALL}."
        ) from error
    except (TypeError, ValueError, LookupError) as error:
        if config["id"] == "pcodec" and not _importable("pcodec"):
            raise FormatError("archives need pcodec.", file=path, remedy=f"Install it: {INSTALL}.") from error
        raise FormatError(f"the codec's settings {dict(config)} are not known: {error}", file=path) from error


class ZipWriter:
    """Zarr keys into an open file, one after the other, as a zip file without compression."""

    def __init__(self, fd: int):
        # a descriptor of its own: buffers that are emptied late must not meet a number that another file has by then
        self._file = os.fdopen(os.dup(fd), "wb")
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED, allowZip64=True)
        self._documents: dict[str, dict[str, Any]] = {}

    def put(self, key: str, content: bytes) -> None:
        info = zipfile.ZipInfo(key, _FIXED_DATE)
        info.external_attr = 0o644 << 16
        self._zip.writestr(info, content)

    def put_document(self, key: str, content: Mapping[str, Any]) -> None:
        """A JSON document (`.zarray`, `.zgroup`, `.zattrs`), kept for `.zmetadata` too."""
        self._documents[key] = dict(content)
        self.put(key, json.dumps(content, indent=2).encode())

    def put_array(self, name: str, values: np.ndarray) -> None:
        document, content = plain_array(values)
        self.put_document(f"{name}/.zarray", document)
        self.put(f"{name}/{'.'.join('0' * values.ndim)}", content)

    def finish(self) -> None:
        """Write the consolidated metadata and the directory, and wait until all is on the disk."""
        consolidated = {"zarr_consolidated_format": 1, "metadata": self._documents}
        self.put(".zmetadata", json.dumps(consolidated, indent=2).encode())
        self._zip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def __enter__(self) -> ZipWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        """Without `finish`, what was written gets no directory and is no archive."""
        self._zip.fp = None
        with contextlib.suppress(OSError):
            self._file.close()


class ZipReader:
    """Keys of a zip file that holds a Zarr group; reads are independent, so that threads may share it.

    Raises
    ------
    MissingFile, FormatError, TruncatedFile : not there, not a zip file, or without its directory
    """

    def __init__(self, path: Path):
        self.path = path
        self._fd = open_to_read(path)
        try:
            with zipfile.ZipFile(path) as archive:
                self._entries = {info.filename: info for info in archive.infolist()}
        except zipfile.BadZipFile as error:
            self.close()
            raise TruncatedFile("not a zip file, or its end is missing.", file=path) from error
        self._size = os.fstat(self._fd).st_size

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def closed(self) -> bool:
        return self._fd < 0

    def document(self, key: str) -> dict[str, Any]:
        try:
            value = json.loads(self.read(key, MAX_DOCUMENT_BYTES).tobytes())
        except ValueError as error:
            raise FormatError(f"{key} is not JSON.", file=self.path) from error
        if not isinstance(value, dict):
            raise FormatError(f"{key} is not a JSON object.", file=self.path)
        return value

    def array(self, name: str) -> np.ndarray:
        """A small uncompressed array that `ZipWriter.put_array` wrote."""
        document = self.document(f"{name}/.zarray")
        content = self.read(f"{name}/{'.'.join('0' * len(document.get('shape', [0])))}", MAX_DOCUMENT_BYTES)
        try:
            return np.frombuffer(content, np.dtype(document["dtype"])).reshape(document["shape"])
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"{name} is not an array: {error}", file=self.path) from error

    def read(self, key: str, limit: int, chunk: int | None = None) -> np.ndarray:
        """The bytes of one key (uint8), compared with their checksum in the zip directory."""
        info = self._entries.get(key)
        if info is None:
            raise CorruptChunk(f"{key} is missing from the archive.", file=self.path, chunk=chunk)
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size > min(limit, self._size):
            raise CorruptChunk(f"{key} has an impossible size or is compressed.", file=self.path, chunk=chunk)
        header = np.empty(_LOCAL_HEADER.size, np.uint8)
        read_into(self._fd, header, info.header_offset, self.path, chunk)
        signature, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        if signature != b"PK\x03\x04":
            raise CorruptChunk(f"{key} is not where the directory says.", file=self.path, chunk=chunk)
        content = np.empty(info.compress_size, np.uint8)
        read_into(self._fd, content, info.header_offset + len(header) + name_length + extra_length, self.path, chunk)
        if zlib.crc32(content) != info.CRC:
            raise CorruptChunk("its checksum is wrong.", file=self.path, chunk=chunk, remedy="Fetch the file again.")
        return content

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _document(shape: Any, chunks: Any, dtype: Any, compressor: Any, filters: Any, order: str = "C") -> dict[str, Any]:
    return {
        "zarr_format": 2,
        "shape": list(shape),
        "chunks": list(chunks),
        "dtype": dtype,
        "compressor": compressor,
        "fill_value": None,
        "order": order,
        "filters": filters,
    }


def _importable(name: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(name) is not None
