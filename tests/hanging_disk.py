"""A disk of its own that can begin to hang: the files of a folder behind FUSE, read-only, by the kernel's own protocol.

    python -m tests.hanging_disk SOURCE MOUNT PART    # as root; says `ready`, and serves until it is ended

While the process is stopped (SIGSTOP), every call for a file on the disk waits, as on NFS without its server. After
SIGUSR1 it stops itself as soon as somebody has opened a file whose path contains PART.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LOOKUP, FORGET, GETATTR, READLINK, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 5, 14, 15, 17, 18
FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT, BATCH_FORGET = 25, 26, 27, 28, 29, 36, 42
DIRECT_IO = 1  # nothing is kept in memory
NO_FLUSH = 32  # as NFS: nobody is asked when a file is closed, which would keep a process that ends
_LIBC = ctypes.CDLL(None, use_errno=True)


class HangingDisk:
    """The disk as a test has it."""

    def __init__(self, process: subprocess.Popen, mount: Path) -> None:
        self.process, self.mount = process, mount

    def hang(self) -> None:
        """From now on nothing on the disk is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def hang_when_opened(self) -> None:
        """From when the file is opened that was named at the mount."""
        self.process.send_signal(signal.SIGUSR1)

    @property
    def is_hanging(self) -> bool:
        """Whether it has been stopped."""
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def answer(self) -> None:
        """What waits is answered."""
        self.process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def hanging_disk(source: Path, mount: Path, part: str = "") -> Iterator[HangingDisk]:
    """Mount the files of a folder at another; skips the test where that cannot be."""
    mount.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.hanging_disk", source, mount, part], stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[1],
    )  # fmt: skip
    try:
        if process.stdout.readline() != "ready\n":
            pytest.skip("disks cannot be mounted here: needs root and /dev/fuse")
        yield HangingDisk(process, mount)
    finally:
        process.kill()
        process.wait(20)
        _LIBC.umount2(os.fsencode(mount), 2)


def serve(source: str, mount: str, part: str) -> None:
    """Answer the kernel until the disk is taken away."""
    armed: list[bool] = []
    signal.signal(signal.SIGUSR1, lambda *_: armed.append(True))
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40755,user_id=0,group_id=0,allow_other".encode()
    if _LIBC.mount(b"hanging", os.fsencode(mount), b"fuse", 1 | 2 | 4, options):
        sys.exit(os.strerror(ctypes.get_errno()))
    print("ready", flush=True)
    disk = _Disk(source)
    while True:
        try:
            request = os.read(device, 1 << 20)
        except OSError as error:
            if error.errno == errno.ENOENT:  # a request was withdrawn
                continue
            return
        _, code, unique, node = struct.unpack_from("<IIQQ", request)
        if code in (FORGET, BATCH_FORGET, INTERRUPT):
            continue
        number, answer = 0, b""
        try:
            answer = disk.answer(code, node, request[40:])
        except OSError as error:
            number = error.errno or errno.EIO
        with contextlib.suppress(OSError):  # nobody waits for it any more
            os.write(device, struct.pack("<IiQ", 16 + len(answer), -number, unique) + answer)
        if armed and code == OPEN and part in disk.paths[node]:
            armed.clear()
            os.kill(os.getpid(), signal.SIGSTOP)


class _Disk:
    def __init__(self, source: str) -> None:
        self.paths: list[str] = ["", source]  # by the number of the node
        self.nodes = {source: 1}

    def answer(self, code: int, node: int, body: bytes) -> bytes:
        """What the kernel is told."""
        path = self.paths[node] if node < len(self.paths) else ""
        if code == INIT:
            return struct.pack("<IIIIHHIIHHI28x", 7, 31, 1 << 16, 0, 16, 12, 1 << 16, 1, 0, 0, 0)
        if code == LOOKUP:
            whole = f"{path}/{os.fsdecode(body.rstrip(bytes(1)))}"
            about = os.lstat(whole)
            if whole not in self.nodes:
                self.nodes[whole] = len(self.paths)
                self.paths.append(whole)
            return struct.pack("<QQQQII", self.nodes[whole], 0, 0, 0, 0, 0) + self._attributes(about)
        if code == GETATTR:
            return struct.pack("<QII", 0, 0, 0) + self._attributes(os.lstat(path))
        if code == READLINK:
            return bytes(Path(path).readlink())
        if code in (OPEN, OPENDIR):
            return struct.pack("<QII", 0, DIRECT_IO | NO_FLUSH if code == OPEN else 0, 0)
        if code == READ:
            _, offset, size = struct.unpack_from("<QQI", body)
            with Path(path).open("rb") as file:
                return os.pread(file.fileno(), size, offset)
        if code == READDIR:
            _, offset, size = struct.unpack_from("<QQI", body)
            return self._entries(path, offset, size)
        if code == STATFS:
            return struct.pack("<QQQQQIIII24x", 1 << 20, 1 << 19, 1 << 19, 1 << 20, 1 << 19, 4096, 255, 4096, 0)
        if code in (RELEASE, RELEASEDIR, FLUSH):
            return b""
        raise OSError(errno.ENOSYS, "not done here")

    def _entries(self, path: str, offset: int, size: int) -> bytes:
        listed = b""
        for number, name in enumerate(sorted(os.listdir(path))):  # noqa: PTH208 - names as the kernel has them
            if number < offset:
                continue
            encoded, mode = os.fsencode(name), os.lstat(f"{path}/{name}").st_mode
            entry = struct.pack("<QQII", number + 2, number + 1, len(encoded), stat.S_IFMT(mode) >> 12) + encoded
            entry += bytes(-len(entry) % 8)
            if len(listed) + len(entry) > size:
                break
            listed += entry
        return listed

    @staticmethod
    def _attributes(about: os.stat_result) -> bytes:
        times = (about.st_atime_ns, about.st_mtime_ns, about.st_ctime_ns)
        return struct.pack(
            "<6Q10I", about.st_ino, about.st_size, about.st_blocks, *(t // 10**9 for t in times),
            *(t % 10**9 for t in times), about.st_mode, about.st_nlink, about.st_uid, about.st_gid, 0, 4096, 0,
        )  # fmt: skip


if __name__ == "__main__":
    serve(*sys.argv[1:])
