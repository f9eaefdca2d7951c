"""Compares NWB files by what they hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

PASSING = {"object_id", "file_create_date", ".specloc", "namespace"}


def content(path: Path) -> dict[str, Any]:
    """Place -> value of everything in a file but for identifiers and times of writing."""
    collected: dict[str, Any] = {}
    with h5py.File(path, "r") as file:

        def look(name: str, thing: Any) -> None:
            if name.split("/")[0] in ("specifications", "file_create_date"):
                return
            for key, value in thing.attrs.items():
                if key not in PASSING:
                    collected[f"{name}@{key}"] = _plain(file, value)
            if isinstance(thing, h5py.Dataset):
                collected[name] = (str(thing.dtype), thing.shape, _plain(file, thing[()]))

        file.visititems(look)
    return collected


def _plain(file: h5py.File, value: Any) -> Any:
    if isinstance(value, h5py.Reference):
        return file[value].name
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return [_plain(file, item) for item in value.ravel()]
        return value.tobytes()
    return value


def differences(one: Path, other: Path) -> list[str]:
    """Places whose values differ."""
    first, second = content(one), content(other)
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
