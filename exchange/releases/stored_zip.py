"""Zip files whose members are not compressed: a header, the content, the next; the bytes are those of `zipfile`.

`zipfile` handles a member in some 50 calls, which for releases of hundreds of thousands of small files takes several
times as long as reading them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import IO, NamedTuple

DATE, TIME = 0x21, 0
"""1980-01-01 00:00: the time of building is not part of a release."""
MODE = 0o100644 << 16
LIMIT_SIZE, LIMIT_COUNT = (1 << 31) - 1, (1 << 16) - 1
"""What is larger, or more, is written in the 64-bit fields."""
UTF8 = 0x800
UNIX, VERSION, VERSION_64 = 3, 20, 45
_LOCAL = struct.Struct("<4s2B4HL2L2H")
_CENTRAL = struct.Struct("<4s4B4HL2L5H2L")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")
_FULL, _FULL_COUNT = 0xFFFFFFFF, 0xFFFF


class Room(NamedTuple):
    """A place in a zip that is kept for members which somebody else writes."""

    number: int
    """In the order of the zip."""
    offset: int  # byte


class _Member(NamedTuple):
    name: bytes
    flags: int
    offset: int
    is_64: bool
    """Whether the header before its content has 64-bit fields."""
    crc: int = 0
    size: int = 0


class StoredZip:
    """A zip file that is written member by member; several may be written by others, each share in its room.

    Parameters
    ----------
    file : opened for writing, at its beginning; it needs to be seekable where not all is written by `add`.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._records: list[bytes] = []
        """What the list at the end says of the members, in order."""
        self._count = 0
        self._position = 0
        self._open: _Member | None = None

    def add(self, path: str, content: bytes, crc: int) -> None:
        """Write a member whose whole content is at hand, with its CRC-32; large ones are written in pieces."""
        written, records = packed(self._position, [(path, content, crc)])
        self._write(written)
        self._records.append(records)
        self._count += 1

    def reserve(self, paths: Sequence[str], sizes: Sequence[int]) -> Room:
        """Keep a place for members of these sizes (byte), which others write as `packed` gives them; see `settle`."""
        room = Room(len(self._records), self._position)
        self._records.append(b"")
        self._count += len(paths)
        self._position += _LOCAL.size * len(paths) + len("".join(paths).encode()) + sum(sizes)
        self._file.seek(self._position)
        return room

    def settle(self, room: Room, records: bytes) -> None:
        """Note what `packed` gave for the members in a room."""
        self._records[room.number] = records

    def begin(self, path: str, size: int) -> None:
        """Begin a member that is written in pieces; `size` (byte) is what it will have."""
        self._open = _Member(*_encoded(path), self._position, size * 1.05 > LIMIT_SIZE)
        self._write(_local(self._open))

    def write(self, block: bytes) -> None:
        """Write a piece of the member that was begun."""
        self._write(block)

    def finish(self, crc: int) -> None:
        """End the member that was begun; its header gets its CRC-32 and size."""
        if self._open is None:
            raise ValueError("no member was begun")
        size = self._position - self._open.offset - len(_local(self._open))
        if size > LIMIT_SIZE and not self._open.is_64:
            raise ValueError(f"{self._open.name.decode()} is larger than was said")
        one = self._open._replace(crc=crc, size=size)
        self._file.seek(one.offset)
        self._file.write(_local(one))
        self._file.seek(self._position)
        self._records.append(_central(one))
        self._count += 1
        self._open = None

    def close(self) -> None:
        """Write the list of members; the file itself stays open."""
        start = self._position
        for records in self._records:
            self._write(records)
        count, size = self._count, self._position - start
        if count > LIMIT_COUNT or start > LIMIT_SIZE or size > LIMIT_SIZE:
            where = self._position
            self._write(_END_64.pack(b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start))
            self._write(_LOCATOR_64.pack(b"PK\6\7", 0, where, 1))
            count, size, start = min(count, _FULL_COUNT), min(size, _FULL), min(start, _FULL)
        self._write(_END.pack(b"PK\5\6", 0, 0, count, count, size, start, 0))

    def _write(self, block: bytes) -> None:
        self._file.write(block)
        self._position += len(block)


def packed(offset: int, members: Iterable[tuple[str, bytes, int]]) -> tuple[bytes, bytes]:
    """Members whose whole contents are at hand (path, content and CRC-32 of each), as they stand from `offset` on.

    Returns
    -------
    Their headers and contents, and what the list at the end of the zip says of them.
    """
    blocks: list[bytes] = []
    records: list[bytes] = []
    local, central = _LOCAL.pack, _CENTRAL.pack
    for path, content, crc in members:
        (name, flags), size = _encoded(path), len(content)
        fields = (VERSION, 0, flags, 0, TIME, DATE, crc, size, size, len(name))
        blocks += local(b"PK\3\4", *fields, 0), name, content
        if offset > LIMIT_SIZE or size > LIMIT_SIZE:
            records.append(_central(_Member(name, flags, offset, False, crc, size)))
        else:
            records += central(b"PK\1\2", VERSION, UNIX, *fields, 0, 0, 0, 0, MODE, offset), name
        offset += _LOCAL.size + len(name) + size
    return b"".join(blocks), b"".join(records)


def _encoded(path: str) -> tuple[bytes, int]:
    return (path.encode("ascii"), 0) if path.isascii() else (path.encode(), UTF8)


def _local(one: _Member) -> bytes:
    extra = struct.pack("<HHQQ", 1, 16, one.size, one.size) if one.is_64 else b""
    size, version = (_FULL, VERSION_64) if one.is_64 else (one.size, VERSION)
    fields = (version, 0, one.flags, 0, TIME, DATE, one.crc, size, size, len(one.name), len(extra))
    return _LOCAL.pack(b"PK\3\4", *fields) + one.name + extra


def _central(one: _Member) -> bytes:
    large: list[int] = []
    size, offset = one.size, one.offset
    if size > LIMIT_SIZE:
        large += [size, size]
        size = _FULL
    if offset > LIMIT_SIZE:
        large.append(offset)
        offset = _FULL
    extra = struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""
    version = VERSION_64 if large or one.is_64 else VERSION
    fields = (version, UNIX, version, 0, one.flags, 0, TIME, DATE, one.crc, size, size)
    return _CENTRAL.pack(b"PK\1\2", *fields, len(one.name), len(extra), 0, 0, 0, MODE, offset) + one.name + extra
