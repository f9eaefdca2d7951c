"""How large a packed file becomes, read from its headers: what unpacks into more than there is room for is refused."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import IO, Any

from pipeline.alf.reader import LARGEST_ARRAY

MOST_PIXELS = 100_000_000  # 10,000 x 10,000


def check_zip(path: Path | IO[bytes], limit: int | None = None) -> None:
    """Refuse an archive (zip, npz) whose members say that they are larger than `limit` byte together.

    Python's `zipfile` unpacks no more of a member than it says.

    Raises
    ------
    ValueError : it is too large, or no zip.
    """
    limit = LARGEST_ARRAY if limit is None else limit
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(item.file_size for item in archive.infolist())
    except zipfile.BadZipFile as error:
        raise ValueError(str(error)) from None
    if size > limit:
        raise ValueError(f"unpacked it has {size} bytes, and at most {limit} are accepted")


def check_hdf5(*datasets: Any, limit: int | None = None) -> None:
    """Refuse datasets of an HDF5 file that are larger than `limit` byte together.

    Raises
    ------
    ValueError : they are too large.
    """
    limit = LARGEST_ARRAY if limit is None else limit
    size = sum(int(dataset.size or 0) * dataset.dtype.itemsize for dataset in datasets if hasattr(dataset, "dtype"))
    if size > limit:
        raise ValueError(f"its arrays have {size} bytes, and at most {limit} are accepted")


def pixels(content: bytes) -> int:
    """Pixels of a PNG, GIF or JPEG picture, from its header; 0 where the header does not say.

    >>> pixels(b"GIF89a" + (320).to_bytes(2, "little") + (200).to_bytes(2, "little"))
    64000
    """
    if content.startswith(b"\x89PNG") and len(content) >= 24:
        return _area(*struct.unpack(">II", content[16:24]))
    if content.startswith(b"GIF8") and len(content) >= 10:
        return _area(*struct.unpack("<HH", content[6:10]))
    if content.startswith(b"\xff\xd8"):
        return _pixels_of_jpeg(content)
    return 0


def _area(width: int, height: int) -> int:
    return width * height


def _pixels_of_jpeg(content: bytes) -> int:
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        kind = content[at + 1]
        if kind == 0xFF:  # fill byte
            at += 1
            continue
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):  # start of a frame
            return _area(*struct.unpack(">HH", content[at + 5 : at + 9]))
        at += 2 + max(2, int.from_bytes(content[at + 2 : at + 4], "big"))
    return 0
