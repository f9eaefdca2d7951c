"""Inflating a zlib stream of known size into memory that the caller owns, through libdeflate."""

from __future__ import annotations

import ctypes
import functools
import threading
import weakref

import deflate as libdeflate
import numpy as np


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
        _decompressor(), stream.ctypes.data, stream.nbytes, out.ctypes.data, out.nbytes,
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


def _decompressor() -> int:
    held = _local.__dict__.get("decompressor")
    if held is None:
        held = _local.decompressor = _Decompressor(_library())
    return held.pointer
