"""A home for the database of a benchmark."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def own_home(keep: Path | None = None) -> Iterator[Path]:
    """A folder for database and data, of this process and those that it starts; removed at the end unless `keep` is it.

    As root the database runs as another user, who may enter it.
    """
    home = keep or Path(tempfile.mkdtemp(prefix="neurojoint-benchmark-"))
    home.mkdir(exist_ok=True)
    home.chmod(0o711)
    os.environ["NEUROJOINT_HOME"] = str(home)
    from pipeline import settings
    from pipeline.database import embedded

    try:
        with settings.override(home=home):
            yield home
    finally:
        embedded.stop(home)
        if keep is None:
            shutil.rmtree(home, ignore_errors=True)
