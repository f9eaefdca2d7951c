"""The .ch header of mtscomp's format (version 1.0): reading, checking and writing it, and the names that go with it.

A recording is two files. `X.cbin` is a row of zlib streams, one per chunk, without anything between them. `X.ch` is
JSON that says which samples and which bytes each chunk holds, and how its samples were transformed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import DTypeLike

from .errors import FormatError, MissingFile, SizeMismatch, TruncatedFile

FORMAT_VERSION = "1.0"
MAX_HEADER_BYTES = 1 << 26
MAX_CHUNK_BYTES = 1 << 32
MAX_CHANNELS = 1 << 20
MAX_EXPANSION = 1032
"""DEFLATE cannot inflate by more than this factor (258 bytes from two bits, RFC 1951)."""

_KNOWN_KEYS = {
    "version", "algorithm", "comp_level", "do_time_diff", "do_spatial_diff", "dtype", "n_channels", "sample_rate",
    "chunk_bounds", "chunk_offsets", "chunk_order", "sha1_compressed", "sha1_uncompressed", "shape",
}  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What a .ch file says, checked.

    Attributes
    ----------
    n_channels : int
    sample_rate : float
        Samples per second and channel, Hz.
    dtype : numpy.dtype
    bounds : tuple of int, n_chunks + 1
        Chunk i holds the samples `bounds[i]` to `bounds[i + 1]` (excluded).
    offsets : tuple of int, n_chunks + 1
        Chunk i is the bytes `offsets[i]` to `offsets[i + 1]` (excluded) of the .cbin.
    order : {"F", "C"}
        Order of the transformed samples in a chunk: "F" channel after channel, "C" sample after sample.
    time_diff, spatial_diff : bool
        Whether each chunk holds differences along time (first row kept), then along channels (first column kept).
    sha1_compressed, sha1_uncompressed : str or None
        SHA-1 of the whole .cbin and of the whole raw file; None where unknown.
    shape : tuple of int
        Shape of the array that was compressed; may have more than two dimensions.
    extra : dict
        Keys of the header that the format does not define, kept as they are.
    """

    n_channels: int
    sample_rate: float
    dtype: np.dtype
    bounds: tuple[int, ...]
    offsets: tuple[int, ...]
    order: str = "F"
    time_diff: bool = True
    spatial_diff: bool = False
    sha1_compressed: str | None = None
    sha1_uncompressed: str | None = None
    shape: tuple[int, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def n_samples(self) -> int:
        return self.bounds[-1]

    @property
    def n_chunks(self) -> int:
        return len(self.bounds) - 1

    @property
    def row_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return self.n_channels * self.dtype.itemsize

    @property
    def raw_bytes(self) -> int:
        return self.n_samples * self.row_bytes

    @property
    def in_progress(self) -> bool:
        """Whether the recording may still grow: bytes behind the last chunk are then no error."""
        return self.extra.get("in_progress") is True

    @property
    def chunk_seconds(self) -> float:
        """Duration of the first chunk."""
        return (self.bounds[1] - self.bounds[0]) / self.sample_rate if self.n_chunks else 0.0

    def chunk_bytes(self, chunk: int) -> int:
        """Bytes of one chunk when inflated."""
        return (self.bounds[chunk + 1] - self.bounds[chunk]) * self.row_bytes

    def to_dict(self) -> dict[str, Any]:
        """The keys and values of the .ch file."""
        return self.extra | {
            "version": FORMAT_VERSION,
            "algorithm": "zlib",
            "comp_level": -1,
            "do_time_diff": self.time_diff,
            "do_spatial_diff": self.spatial_diff,
            "dtype": str(self.dtype),
            "n_channels": self.n_channels,
            "sample_rate": self.sample_rate,
            "chunk_bounds": list(self.bounds),
            "chunk_offsets": list(self.offsets),
            "chunk_order": self.order,
            "sha1_compressed": self.sha1_compressed,
            "sha1_uncompressed": self.sha1_uncompressed,
            "shape": list(self.shape or (self.n_samples, self.n_channels)),
        }

    def to_bytes(self) -> bytes:
        """The .ch file as mtscomp writes it: JSON, two blanks of indent, sorted keys."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True, allow_nan=False).encode()

    def with_changes(self, **changes: Any) -> Header:
        return replace(self, **changes)


def default_paths(raw: Path, out: Path | None = None, meta_out: Path | None = None) -> tuple[Path, Path]:
    """Where the two files of a raw recording go: .bin becomes .cbin and .ch, .dat becomes .cdat and .ch.

    Examples
    --------
    >>> [p.name for p in default_paths(Path("a_g0_t0.imec0.ap.bin"))]
    ['a_g0_t0.imec0.ap.cbin', 'a_g0_t0.imec0.ap.ch']
    """
    out = Path(out) if out is not None else raw.with_suffix(".c" + raw.suffix[1:] if raw.suffix else ".cbin")
    return out, Path(meta_out) if meta_out is not None else header_path(out)


def header_path(cbin: Path) -> Path:
    """The .ch that belongs to a .cbin: same stem, else the one whose name is the same but for UUIDs.

    Files of public servers have a UUID each: `x.<uuid>.cbin` goes with `x.ch` and with `x.<another uuid>.ch`. Where
    none is on disk, or several fit, it is the one of the same stem.
    """
    beside = cbin.with_suffix(".ch")
    if beside.exists() or not cbin.parent.is_dir():
        return beside
    wanted = _without_uuid(cbin.stem)
    candidates = [other for other in cbin.parent.glob("*.ch") if _without_uuid(other.stem) == wanted]
    return candidates[0] if len(candidates) == 1 else beside


def _without_uuid(stem: str) -> str:
    return re.sub(r"\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "", stem, flags=re.IGNORECASE)


def header_of(cbin: Path, meta: Path | str | None = None) -> Header:
    """The header of a .cbin: of the .ch that belongs to it, or of `meta`.

    Raises
    ------
    MissingFile
        One of the two is not there.
    FormatError
        As `read_header`.
    """
    if not cbin.exists():
        raise MissingFile("there is no such file.", file=cbin)
    return read_header(meta if meta is not None else header_path(cbin))


def read_header(path: Path | str) -> Header:
    """Read and check a .ch file.

    Raises
    ------
    MissingFile
        There is none.
    FormatError
        It is not a header of this format, or it contradicts itself.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            raw = file.read(min(size, MAX_HEADER_BYTES + 1))
    except FileNotFoundError:
        raise MissingFile(
            "the header is not there.",
            file=path,
            remedy="A .cbin cannot be read without its .ch: fetch both, or compress the raw file again.",
        ) from None
    if len(raw) > MAX_HEADER_BYTES:
        raise FormatError(f"more than {MAX_HEADER_BYTES} bytes are no header.", file=path)
    try:
        values = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"not readable as JSON ({_short(error)}).", file=path, remedy="Fetch or restore the .ch file."
        ) from error
    return header_from_dict(values, path)


def header_from_dict(values: dict[str, Any], path: Path | str | None = None) -> Header:
    """Check the values of a header; `path` only names the file in errors.

    Raises
    ------
    FormatError
        A key is missing, has the wrong type or an impossible value.
    """

    def fail(problem: str) -> NoReturn:
        raise FormatError(problem, file=path, remedy="Fetch or restore the .ch file, or compress again.")

    if not isinstance(values, dict):
        fail("the header is not a JSON object.")
    for key in ("dtype", "n_channels", "sample_rate", "chunk_bounds", "chunk_offsets"):
        if key not in values:
            fail(f"the header has no {key!r}.")
    version = str(values.get("version", FORMAT_VERSION))
    if version.split(".")[0] != "1":
        fail(f"format version {_short(version)} is not 1.x.")
    if values.get("algorithm", "zlib") != "zlib":
        fail(f"algorithm {_short(values['algorithm'])!r} is not zlib.")
    order = values.get("chunk_order", "F")
    if order not in ("F", "C"):
        fail(f"chunk_order {_short(order)!r} is neither F nor C.")
    flags = {key: values.get(key, default) for key, default in (("do_time_diff", True), ("do_spatial_diff", False))}
    for key, value in flags.items():
        if value not in (True, False):
            fail(f"{key} {_short(value)!r} is neither true nor false.")

    n_channels = values["n_channels"]
    if not _is_int(n_channels) or not 0 < n_channels <= MAX_CHANNELS:
        fail(f"n_channels {_short(n_channels)} is not between 1 and {MAX_CHANNELS}.")
    sample_rate = values["sample_rate"]
    if not isinstance(sample_rate, (int, float)) or isinstance(sample_rate, bool) or not 0 < sample_rate < 1e12:
        fail(f"sample_rate {_short(sample_rate)} is not a positive number.")
    dtype = _dtype(values["dtype"], fail)

    bounds = _increasing(values["chunk_bounds"], "chunk_bounds", fail)
    offsets = _increasing(values["chunk_offsets"], "chunk_offsets", fail)
    if len(bounds) != len(offsets):
        fail(f"{len(bounds)} chunk_bounds do not go with {len(offsets)} chunk_offsets.")
    row_bytes = n_channels * dtype.itemsize
    for chunk, ((first, last), (start, stop)) in enumerate(zip(pairwise(bounds), pairwise(offsets), strict=True)):
        size = (last - first) * row_bytes
        if size > MAX_CHUNK_BYTES:
            fail(f"chunk {chunk} would be {size} bytes; at most {MAX_CHUNK_BYTES} are accepted.")
        if size > MAX_EXPANSION * (stop - start):
            fail(f"chunk {chunk} cannot inflate from {stop - start} to {size} bytes: sizes or offsets are wrong.")
    hashes = {key: values.get(key) for key in ("sha1_compressed", "sha1_uncompressed")}
    for key, value in hashes.items():
        if value is not None and not (isinstance(value, str) and re.fullmatch(r"[0-9a-f]{40}", value)):
            fail(f"{key} is not a SHA-1 in hexadecimal.")
    shape = values.get("shape") or ()
    if not isinstance(shape, list | tuple) or not all(_is_int(n) and n >= 0 for n in shape):
        fail("shape is not a list of sizes.")
    return Header(
        n_channels=n_channels,
        sample_rate=float(sample_rate),
        dtype=dtype,
        bounds=bounds,
        offsets=offsets,
        order=order,
        time_diff=bool(flags["do_time_diff"]),
        spatial_diff=bool(flags["do_spatial_diff"]),
        shape=tuple(shape),
        extra={key: value for key, value in values.items() if key not in _KNOWN_KEYS},
        **hashes,
    )


def check_size(header: Header, size: int, path: Path | str) -> None:
    """Compare the size of a .cbin with its header.

    Raises
    ------
    TruncatedFile
        It is too short; the first chunk that is not whole is named.
    SizeMismatch
        It is too long, and not being written.
    """
    if size < header.offsets[-1]:
        chunk = int(np.searchsorted(header.offsets, size, side="right")) - 1
        raise TruncatedFile(
            f"the file has {size} bytes, its header {header.offsets[-1]}: chunks from {chunk} on are lost.",
            file=path,
            chunk=chunk,
            remedy="Fetch the file again; if it comes from another place, check that .cbin and .ch belong together.",
        )
    if size > header.offsets[-1] and not header.in_progress:
        raise SizeMismatch(
            f"the file has {size} bytes, its header {header.offsets[-1]}.",
            file=path,
            remedy="The .ch belongs to another file, or bytes were added: fetch both files again.",
        )


def check_dtype(dtype: DTypeLike | None, path: Path | str | None = None) -> np.dtype:
    """The NumPy type if this format can hold it: integers and floats of any size.

    Raises
    ------
    FormatError
        It cannot.
    """

    def fail(problem: str) -> NoReturn:
        raise FormatError(problem, file=path, remedy="Give the type of the samples, such as 'int16'.")

    return _dtype(dtype, fail)


def _dtype(name: Any, fail: Callable[[str], NoReturn]) -> np.dtype:
    if isinstance(name, str) and len(name) > 32:
        fail(f"{_short(name)!r} is not a NumPy type.")
    try:
        dtype: np.dtype = np.dtype(name)
    except (TypeError, ValueError, SyntaxError):
        fail(f"{_short(name)!r} is not a NumPy type.")
    if dtype.kind not in "iuf" or dtype.subdtype is not None or dtype.itemsize > 16:
        fail(f"samples of type {dtype} cannot be stored; integers and floats can.")
    return dtype


def _increasing(values: Any, name: str, fail: Callable[[str], NoReturn]) -> tuple[int, ...]:
    if not isinstance(values, list | tuple) or len(values) < 1:
        fail(f"{name} is not a list of numbers.")
    if not all(type(value) is int for value in values):
        fail(f"{name} holds something that is not a whole number.")
    if values[0] != 0:
        fail(f"{name} does not begin with 0.")
    for chunk, (low, high) in enumerate(pairwise(values)):
        if high <= low:
            fail(f"{name} does not increase at chunk {chunk} ({_short(low)}, {_short(high)}).")
    if values[-1] >= 1 << 62:
        fail(f"{name} ends with an impossible size.")
    return tuple(values)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _short(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 1000:
        return "a number of hundreds of digits"
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
