"""Inflating a zlib stream of known size into memory that the caller owns, by libdeflate, and by several threads."""

from __future__ import annotations

import ctypes
import functools
import itertools
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import deflate as libdeflate
import numpy as np

from .blocks import LITERALS_MARGIN, TOKENS_MARGIN, find_block, parse, resolve

Together = Callable[[Sequence[Callable[[], Any]]], list[Any]]
"""Calls all it is given, at the same time as far as it has threads; what they return, in their order."""


class InflateError(ValueError):
    """The stream is not valid, or not of the size it should have."""


def inflate_into(stream: np.ndarray, out: np.ndarray) -> None:
    """Inflate `stream` (array of uint8) so that it fills `out` (contiguous array) exactly.

    Never writes beyond `out`, whatever the stream says, and checks the stream's Adler-32.

    Raises
    ------
    InflateError
        The stream is corrupt, ends early, inflates to another size, or is followed by other bytes.
    """
    library = _library()
    if library is None:
        try:
            data = libdeflate.zlib_decompress(stream, out.nbytes)
        except libdeflate.DeflateError as error:
            raise InflateError("it is corrupt, or inflates to more than its header says.") from error
        if len(data) != out.nbytes:
            raise InflateError(f"it inflates to {len(data)} bytes instead of {out.nbytes}.")
        out.reshape(-1).view(np.uint8)[:] = np.frombuffer(data, np.uint8)
        return
    used, made = ctypes.c_size_t(), ctypes.c_size_t()
    result = library.libdeflate_zlib_decompress_ex(
        _decompressor(library), stream.ctypes.data, stream.nbytes, out.ctypes.data, out.nbytes,
        ctypes.byref(used), ctypes.byref(made),
    )  # fmt: skip
    if result == _INSUFFICIENT_SPACE:
        raise InflateError(f"it inflates to more than the {out.nbytes} bytes of its header.")
    if result != 0:
        raise InflateError("its compressed bytes are corrupt.")
    if made.value != out.nbytes:
        raise InflateError(f"it inflates to {made.value} bytes instead of {out.nbytes}.")
    if used.value != stream.nbytes:
        raise InflateError(f"its stream ends after {used.value} of {stream.nbytes} bytes.")


def inflate_together(stream: np.ndarray, out: np.ndarray, n_pieces: int, together: Together) -> None:
    """`inflate_into` (`out`: array of uint8) by several threads at once, each of which takes a piece of the stream.

    libdeflate inflates the first piece. The others are read into tokens meanwhile (see `cbin.blocks`), and what these
    say is written in their order afterwards. A stream that cannot be divided so, and one that is corrupt, is left to
    `inflate_into`.

    Raises
    ------
    InflateError
        As `inflate_into`.
    """
    library = _library()
    if library is None or not _inflate_pieces(library, stream, out, n_pieces, together):
        inflate_into(stream, out)


def _inflate_pieces(
    library: ctypes.CDLL, stream: np.ndarray, out: np.ndarray, n_pieces: int, together: Together
) -> bool:
    """Whether `stream` could be inflated in pieces; `out` then holds what its checksum is of."""
    head, body, checksum = stream[:2].tobytes(), stream[:-4], stream[-4:].tobytes()
    if stream.nbytes < 6 or head[0] != _DEFLATE or head[1] & _DICTIONARY or int.from_bytes(head, "big") % 31:
        return False
    end = 8 * body.nbytes
    cuts = [end * piece // n_pieces for piece in range(1, n_pieces + 1)]
    positions = together([partial(find_block, body, *span) for span in itertools.pairwise(cuts)])
    begins = [begin for begin in positions if begin >= 0]
    if not begins:
        return False
    spans = itertools.pairwise([*begins, end])
    tasks: list[Callable[[], Any]] = [partial(_inflate_until, library, body, begins[0], out)]
    tasks += [partial(_read, body, *span) for span in spans]
    place, *pieces = together(tasks)
    for piece in pieces:
        place = resolve(*piece, out, place) if piece is not None and place >= 0 else -1
    adler = int.from_bytes(checksum, "big")
    is_sound: bool = place == out.nbytes and library.libdeflate_adler32(1, out.ctypes.data, out.nbytes) == adler
    return is_sound


def _inflate_until(library: ctypes.CDLL, body: np.ndarray, end: int, out: np.ndarray) -> int:
    """Inflate the blocks from the first up to bit `end`; how many bytes they give, or -1 where these are no blocks."""
    whole, rest = divmod(end, 8)
    begin_of_next = int(body[whole]) & (1 << rest) - 1 | _EMPTY_LAST_BLOCK << rest
    part = np.concatenate([body[2:whole], np.frombuffer(begin_of_next.to_bytes(3, "little"), np.uint8)])
    made = ctypes.c_size_t()
    result = library.libdeflate_deflate_decompress_ex(
        _decompressor(library), part.ctypes.data, part.nbytes, out.ctypes.data, out.nbytes, None, ctypes.byref(made)
    )
    return made.value if result == 0 else -1


def _read(body: np.ndarray, begin: int, end: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Tokens and literals of the blocks between two bits."""
    n_bytes = (end - begin) // 8
    tokens = np.empty(n_bytes + TOKENS_MARGIN, np.uint32)
    literals = np.empty(2 * n_bytes + LITERALS_MARGIN, np.uint8)
    n_tokens = parse(body, begin, end, tokens, literals)
    return (tokens[:n_tokens], literals) if n_tokens >= 0 else None


_DEFLATE, _DICTIONARY = 0x78, 0x20  # first byte of a zlib stream with the usual window; flag in the second
_EMPTY_LAST_BLOCK = 0b0000000_01_1  # end, codes of RFC 1951, last
_INSUFFICIENT_SPACE = 3
_local = threading.local()


@functools.cache
def _library() -> ctypes.CDLL | None:
    """libdeflate's own C functions, where the `deflate` wheel exports them (it does on Linux): they inflate in place,
    which saves allocating, faulting in and copying as many bytes as the chunk has."""
    try:
        library = ctypes.CDLL(libdeflate._deflate.__file__)
        inflate, make, free = (
            library.libdeflate_zlib_decompress_ex,
            library.libdeflate_alloc_decompressor,
            library.libdeflate_free_decompressor,
        )
    except (AttributeError, OSError):
        return None
    size = ctypes.c_size_t
    inflate.argtypes = [
        ctypes.c_void_p, ctypes.c_void_p, size, ctypes.c_void_p, size, ctypes.POINTER(size), ctypes.POINTER(size),
    ]  # fmt: skip
    inflate.restype = ctypes.c_int
    library.libdeflate_deflate_decompress_ex.argtypes = inflate.argtypes
    library.libdeflate_deflate_decompress_ex.restype = ctypes.c_int
    library.libdeflate_adler32.argtypes = [ctypes.c_uint32, ctypes.c_void_p, size]
    library.libdeflate_adler32.restype = ctypes.c_uint32
    make.restype = ctypes.c_void_p
    free.argtypes = [ctypes.c_void_p]
    free.restype = None
    return library


class _Decompressor:
    """A libdeflate decompressor, which one thread may use at a time, freed with that thread."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.pointer = library.libdeflate_alloc_decompressor()
        if not self.pointer:
            raise MemoryError("libdeflate has no memory for a decompressor")
        weakref.finalize(self, library.libdeflate_free_decompressor, self.pointer)


def _decompressor(library: ctypes.CDLL) -> int:
    held = _local.__dict__.get("decompressor")
    if held is None:
        held = _local.decompressor = _Decompressor(library)
    pointer: int = held.pointer
    return pointer
