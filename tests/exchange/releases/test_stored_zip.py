"""Zips of releases are to the byte what `zipfile` writes, also where its 64-bit fields are needed."""

from __future__ import annotations

import io
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.releases import stored_zip
from exchange.releases.stored_zip import MODE, StoredZip

DATE = (1980, 1, 1, 0, 0, 0)
names = st.lists(st.text("aé/ #日.", min_size=1, max_size=12), unique=True, max_size=6)


def theirs(members: list[tuple[str, bytes, str]]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content, _ in members:
            info = zipfile.ZipInfo(name, DATE)
            info.external_attr, info.create_system, info.file_size = MODE, 3, len(content)
            with archive.open(info, "w") as member:
                member.write(content)
    return sink.getvalue()


def ours(members: list[tuple[str, bytes, str]]) -> bytes:
    sink, rooms = io.BytesIO(), []
    archive = StoredZip(sink)
    for name, content, how in members:
        if how == "pieces":
            archive.begin(name, len(content))
            for start in range(0, len(content), 3):
                archive.write(content[start : start + 3])
            archive.finish(zlib.crc32(content))
        elif how == "room":
            rooms.append((archive.reserve([name], [len(content)]), name, content))
        else:
            archive.add(name, content, zlib.crc32(content))
    at = sink.tell()
    for room, name, content in reversed(rooms):  # those to whom the rooms were given write when they are ready
        written, records = stored_zip.packed(room.offset, [(name, content, zlib.crc32(content))])
        sink.seek(room.offset)
        sink.write(written)
        archive.settle(room, records)
    sink.seek(at)
    archive.close()
    return sink.getvalue()


@given(names, st.data())
def test_the_bytes_are_those_of_zipfile(paths, draw):
    ways = st.sampled_from(["whole", "pieces", "room"])
    members = [(path, draw.draw(st.binary(max_size=40)), draw.draw(ways)) for path in paths]
    assert ours(members) == theirs(members)


@pytest.mark.parametrize(
    ("size", "count", "step", "how"),
    [(100, 1 << 16, 40, "pieces"), (100, 1 << 16, 10, "room"), (1 << 31, 3, 40, "room")],
    ids=["large", "far from the beginning", "many"],
)
def test_64_bit_fields_are_where_zipfile_has_them(monkeypatch, size, count, step, how):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", size)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", count)
    monkeypatch.setattr(stored_zip, "LIMIT_SIZE", size)
    monkeypatch.setattr(stored_zip, "LIMIT_COUNT", count)
    members = [
        (f"f{number}", bytes([number]) * (40 + step * number), how if number else "whole") for number in range(5)
    ]
    made = ours(members)
    assert made == theirs(members)
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.testzip() is None and [archive.read(name) for name, _, _ in members] == [m[1] for m in members]


def test_a_member_that_outgrows_what_was_said_is_refused(monkeypatch):
    monkeypatch.setattr(stored_zip, "LIMIT_SIZE", 100)
    archive = StoredZip(io.BytesIO())
    archive.begin("a", 10)
    archive.write(b"x" * 101)
    with pytest.raises(ValueError, match="larger than was said"):
        archive.finish(0)
