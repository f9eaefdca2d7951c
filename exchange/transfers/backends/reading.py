"""Files of a folder read back from their disk, not from what the kernel remembers of them.

Small files are read past the page cache by the hundred: Linux takes one list of reads and joins those of neighbouring
blocks, so that a file costs a few microseconds in place of a turn of the disk. Where that is not to be had (another
system, a file system without it), and for large files, the page cache is dropped and the file is read in order.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import mmap
import os
import platform
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from exchange.transfers.protocol import Found, Progress

CHUNK = 1 << 22  # byte
SMALL = 1 << 20  # byte; smaller files are read in one go
THREADS = 4
SHARE = 128
"""So many files are read with one list. Each is open meanwhile."""
ARENA = 4 << 20
"""Byte: so much memory holds the files of one list."""
BLOCK = 4096
"""Byte: reads past the page cache begin and end at multiples of it, also in memory."""

_READ = 0  # IOCB_CMD_PREAD
_REQUEST = np.dtype(
    [("data", "u8"), ("key", "u4"), ("flags", "u4"), ("opcode", "u2"), ("priority", "i2"), ("fd", "u4"),
     ("buffer", "u8"), ("n_bytes", "u8"), ("offset", "i8"), ("reserved", "u8"), ("more_flags", "u4"), ("event", "u4")]
)  # fmt: skip
"""`struct iocb` of linux/aio_abi.h on a little-endian computer."""
_EVENT = np.dtype([("data", "u8"), ("request", "u8"), ("result", "i8"), ("result2", "i8")])
"""`struct io_event`."""
_CALLS = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}
"""Numbers of the system calls io_setup, io_destroy, io_getevents, io_submit."""


class Readers:
    """Threads that read files, and what they read them with; kept from one call to the next, since the kernel takes
    its time to give a queue of reads back."""

    def __init__(self) -> None:
        self._free: queue.SimpleQueue[Reader] = queue.SimpleQueue()
        self._all: list[Reader] = []
        self._lock = threading.Lock()

    def read(self, paths: Sequence[str], progress: Progress) -> Iterator[Found | Exception]:
        """Read files from their disk, several at once; what was found of each, in order.

        Parameters
        ----------
        progress : called by several threads, one at a time.
        """

        def count(n_bytes: int) -> None:
            with self._lock:
                progress(n_bytes)

        with ThreadPoolExecutor(THREADS) as pool:
            for start in range(0, len(paths), SHARE * 16):
                some = paths[start : start + SHARE * 16]
                shares = (some[at : at + SHARE] for at in range(0, len(some), SHARE))
                for part in pool.map(lambda share: self._read(share, count), shares):
                    yield from part

    def close(self) -> None:
        """Give back what the kernel gave; the next call opens it again."""
        while self._all:
            self._all.pop().close()
        self._free = queue.SimpleQueue()

    def _read(self, some: Sequence[str], count: Progress) -> list[Found | Exception]:
        try:
            reader = self._free.get_nowait()
        except queue.Empty:
            reader = Reader()
            self._all.append(reader)
        try:
            return reader.read(some, count)
        finally:
            self._free.put(reader)


def read_file(path: Path | str, progress: Progress = lambda n: None) -> Found:
    """Read a file from its disk: md5, size, time of change.

    Raises
    ------
    OSError : it cannot be read, or changed while it was read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        before = os.fstat(fd)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        digest = hashlib.md5(usedforsecurity=False)
        size = 0
        if before.st_size <= SMALL:
            while size < before.st_size and (block := os.read(fd, before.st_size + 1)):
                digest.update(block)
                size += len(block)
            progress(size)
        else:
            for part in _blocks(fd, path):
                digest.update(part)
                size += len(part)
                progress(len(part))
        after = os.fstat(fd)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or size != after.st_size:
            raise OSError(errno.EBUSY, "the file changed while it was read", str(path))
        return Found(digest.hexdigest(), size, after.st_mtime_ns)
    finally:
        os.close(fd)


def _blocks(fd: int, path: Path | str) -> Iterator[memoryview]:
    """The blocks of a large file. While one is looked at, the next is read; a block is valid until then.

    Past the page cache where that is to be had: it would be read ahead by little, and what others need be forgotten.
    """
    reading = fd
    with contextlib.suppress(OSError, AttributeError):
        reading = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
    try:
        at = 0
        with ThreadPoolExecutor(1) as ahead, mmap.mmap(-1, 2 * CHUNK) as memory, memoryview(memory) as view:
            halves = view[:CHUNK], view[CHUNK:]
            coming = ahead.submit(os.preadv, reading, [halves[0]], at)
            turn = 0
            try:
                while count := coming.result():
                    at += count
                    block, turn = halves[turn][:count], 1 - turn
                    if at % BLOCK:  # the end, where reads past the page cache end; from here as usual
                        coming = ahead.submit(os.preadv, fd, [halves[turn]], at)
                    else:
                        coming = ahead.submit(os.preadv, reading, [halves[turn]], at)
                    yield block
                    block.release()
            finally:
                if not coming.cancel():
                    coming.exception()  # it is waited for: it writes into the memory
                for half in halves:
                    half.release()
    finally:
        if reading != fd:
            os.close(reading)


class Reader:
    """Reads lists of files, small ones together; for one thread."""

    def __init__(self) -> None:
        self._queue = _Queue.open()
        self._memory = mmap.mmap(-1, ARENA)
        self._view = memoryview(self._memory)

    def close(self) -> None:
        """Give back the queue of the kernel and the memory."""
        if self._queue is not None:
            self._queue.close()
            self._queue = None
        self._view.release()
        self._memory.close()

    def read(self, paths: Sequence[str], progress: Progress) -> list[Found | Exception]:
        """What was found of each file, or why it could not be read."""
        results: list[Found | Exception | None] = [None] * len(paths)
        if self._queue is not None:
            at = 0
            while at < len(paths):
                at = self._read_together(self._queue, paths, at, results, progress)
        for number, path in enumerate(paths):
            if results[number] is None:
                try:
                    results[number] = read_file(path, progress)
                except Exception as error:
                    results[number] = error
        return [result for result in results if result is not None]

    def _read_together(
        self, queue: _Queue, paths: Sequence[str], at: int, results: list[Found | Exception | None], progress: Progress
    ) -> int:
        """Read files from one on, as many as there is memory for; the number of the next.

        What is not small, or cannot be read like this, stays without a result.
        """
        opened: list[tuple[int, int, os.stat_result, int]] = []  # number, descriptor, state before, place in memory
        used = 0
        try:
            while at < len(paths) and len(opened) < SHARE:
                try:
                    fd = os.open(paths[at], os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
                except OSError as error:
                    if error.errno != errno.EINVAL:  # a file system that always uses the page cache
                        results[at] = error
                    at += 1
                    continue
                before = os.fstat(fd)
                n_bytes = _whole_blocks(before.st_size + 1)
                if before.st_size > SMALL or used + n_bytes > ARENA:
                    os.close(fd)
                    if before.st_size <= SMALL:
                        break  # it is the first of the next list
                    at += 1
                    continue
                opened.append((at, fd, before, used))
                used += n_bytes
                at += 1
            starts = np.array([start for *_, start in opened], dtype=np.int64)
            ends = np.append(starts[1:], used)
            counts = queue.read([fd for _, fd, *_ in opened], self._memory, starts, ends - starts)
            total = 0
            for (number, fd, before, start), size in zip(opened, counts, strict=True):
                after = os.fstat(fd)
                same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
                if same and size == after.st_size:
                    digest = hashlib.md5(self._view[start : start + size], usedforsecurity=False)
                    results[number] = Found(digest.hexdigest(), size, after.st_mtime_ns)
                    total += size
        finally:
            for _, fd, *_ in opened:
                os.close(fd)
        progress(total)
        return at


class _Queue:
    """The asynchronous reads of Linux (`man 2 io_submit`), which also take files that lie beside one another as one."""

    def __init__(self, calls: tuple[int, int, int, int]) -> None:
        self._setup, self._destroy, self._get, self._submit = calls
        self._call = ctypes.CDLL(None, use_errno=True).syscall
        self._call.restype = ctypes.c_long
        self._context = ctypes.c_ulong(0)
        if self._call(ctypes.c_long(self._setup), ctypes.c_uint(SHARE), ctypes.byref(self._context)):
            raise OSError(ctypes.get_errno(), "the kernel gives no queue of reads")
        self._requests, self._events = np.zeros(SHARE, _REQUEST), np.zeros(SHARE, _EVENT)
        self._pointers = self._requests.ctypes.data + np.arange(SHARE, dtype=np.uint64) * _REQUEST.itemsize

    @classmethod
    def open(cls) -> _Queue | None:
        """A queue, where this computer has them."""
        calls = _CALLS.get(platform.machine())
        if calls is None or platform.system() != "Linux" or ctypes.sizeof(ctypes.c_void_p) != 8:
            return None
        try:
            return cls(calls)
        except OSError:
            return None

    def close(self) -> None:
        self._call(ctypes.c_long(self._destroy), self._context)

    def read(self, descriptors: Sequence[int], memory: mmap.mmap, starts: np.ndarray, n_bytes: np.ndarray) -> list[int]:
        """Read from the begin of each file to its place in the memory; how much came, -1 where it failed."""
        number = len(descriptors)
        base = np.frombuffer(memory, dtype=np.uint8).ctypes.data
        chosen = self._requests[:number]
        chosen["data"], chosen["opcode"], chosen["fd"] = np.arange(number), _READ, descriptors
        chosen["buffer"], chosen["n_bytes"] = base + starts, n_bytes
        submitted = 0
        while submitted < number:
            pointers = ctypes.c_void_p(self._pointers[submitted:].ctypes.data)
            taken = self._call(
                ctypes.c_long(self._submit), self._context, ctypes.c_long(number - submitted), pointers
            )  # fmt: skip
            if taken <= 0:
                break
            submitted += taken
        counts = np.full(number, -1)
        done = 0
        while done < submitted:
            left = ctypes.c_long(submitted - done)
            came = self._call(
                ctypes.c_long(self._get), self._context, left, left, ctypes.c_void_p(self._events.ctypes.data), None
            )
            if came < 0:
                if ctypes.get_errno() != errno.EINTR:
                    raise OSError(ctypes.get_errno(), "the kernel does not say what became of reads")
                continue
            events = self._events[:came]
            counts[events["data"].astype(np.int64)] = np.maximum(events["result"], -1)
            done += came
        return counts.tolist()


def _whole_blocks(n_bytes: int) -> int:
    return -(-n_bytes // BLOCK) * BLOCK
