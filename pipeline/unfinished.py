"""Files and folders that are not complete yet."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def unfinished(target: Path, *, is_folder: bool = False, private: bool = False) -> Iterator[Path]:
    """An empty file or folder beside `target`; what is still there at the end is removed.

    With `private` only its owner may read it. Rename it to `target` once it is complete. Its name is chosen before it
    is made, so that an interrupt at any moment leaves nothing behind.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with unfinished(folder / "notes.txt") as path:
    ...     _ = path.write_text("done")
    ...     _ = path.replace(folder / "notes.txt")
    >>> [path.name for path in folder.iterdir()]
    ['notes.txt']
    """
    path = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    name = str(path)
    try:
        if is_folder:
            path.mkdir(mode=0o700 if private else 0o777)
        else:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if private else 0o666))
        yield path
    finally:  # Python looks for interrupts when its own functions begin and when others have ended: not before `unlink`
        try:
            if is_folder:
                shutil.rmtree(name, ignore_errors=True)
            else:
                os.unlink(name)  # noqa: PTH108
        except FileNotFoundError:
            pass
        except BaseException as error:
            shutil.rmtree(name, ignore_errors=True)
            if isinstance(error.__context__, KeyboardInterrupt):  # which rmtree turns into an error of its own
                raise error.__context__ from None
            raise
