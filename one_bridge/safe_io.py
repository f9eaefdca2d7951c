"""The client's own readers of ALF files, with one difference: a pickle is never opened."""

from __future__ import annotations

from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import one.alf.io as alfio

from pipeline.alf.reasons import refuse
from pipeline.errors import InvalidData


def load_file_content(file: str | Path | None) -> Any:
    """What `one.alf.io.load_file_content` gives.

    Raises
    ------
    InvalidData : an npy file that holds Python objects, which would run code when it is read.
    """
    if not file or Path(file).suffix != ".npy" or not Path(file).stat().st_size:
        return alfio.load_file_content(file)
    try:
        values = np.load(file, allow_pickle=False)
    except ValueError as error:
        if "pickle" in str(error):
            raise _refused(file, error) from None
        raise
    return alfio._ensure_flat(values)


load_object = FunctionType(
    alfio.load_object.__code__,
    vars(alfio) | {"load_file_content": load_file_content},
    "load_object",
    alfio.load_object.__defaults__,
)
"""`one.alf.io.load_object`, reading each file with `load_file_content` above."""


def _refused(file: str | Path, error: ValueError) -> InvalidData:
    return refuse(str(file), "object_array", str(error).partition("(")[0].strip())
