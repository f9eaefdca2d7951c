"""Whether the disks have room for what is to be written, asked before anything is."""

from __future__ import annotations

import shutil
from pathlib import Path

from pipeline.errors import OperatorError

LEAST_TO_START = 100 << 20  # byte; a new database needs 60 MB
LEAST_TO_RUN = 16 << 20  # byte; below that a server does not come up again


def check(folder: Path, needed: int = LEAST_TO_START) -> None:
    """Refuse to begin what would end on a full disk.

    Parameters
    ----------
    folder : on the disk; it need not be there yet.
    needed : byte.

    Raises
    ------
    OperatorError : there is less room; the message says where, and how much.
    """
    free = free_bytes(folder)
    if free < needed:
        raise OperatorError(
            f"the disk of {folder} has no space left ({free / 1e6:,.0f} MB free, {needed / 1e6:,.0f} MB needed)",
            "free some space, then run the same command again",
        )


def free_bytes(folder: Path) -> int:
    """How much this user may still write on the disk of a folder, or of the nearest one above it that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free
