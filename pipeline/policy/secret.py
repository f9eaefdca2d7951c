"""The site's own secret, from which pseudonyms are made: 32 random bytes in a file of mode 600."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import stat
from pathlib import Path

from pipeline.errors import OperatorError


@functools.lru_cache(maxsize=8)
def of(folder: Path) -> bytes:
    """The secret in this folder, made when it is first asked for.

    Raises
    ------
    NeurojointError : others may read it.
    """
    path = folder / "secret"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f"secret.{secrets.token_hex(8)}"
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as out:
            out.write(secrets.token_bytes(32))
        with contextlib.suppress(FileExistsError):  # another process was faster: its secret counts
            os.link(fresh, path)
        fresh.unlink()
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise OperatorError(f"others may read the site's secret {path}", f"chmod 600 {path}")
    return path.read_bytes()
