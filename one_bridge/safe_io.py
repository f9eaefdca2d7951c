"""Loads ALF files as `one.alf.io` does, but never opens a pickle, and reads Parquet files of any program."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import one.alf.io as alfio
import pandas as pd
from one.alf.path import ALFPath

from pipeline.alf.reasons import refuse
from pipeline.errors import InvalidData


def load_file_content(file: str | Path | None) -> Any:
    """What `one.alf.io.load_file_content` gives, and the table of a Parquet file whatever program wrote it.

    Raises
    ------
    InvalidData
        An npy file that holds Python objects, which would run code when it is read.
    """
    if not file or not Path(file).stat().st_size:
        return None
    suffix = Path(file).suffix
    if suffix == ".pqt":
        import pyarrow.parquet as pq

        return pq.read_table(file).to_pandas()
    if suffix != ".npy":
        return alfio.load_file_content(file)
    try:
        values = np.load(file, allow_pickle=False)
    except ValueError as error:
        if "pickle" in str(error):
            raise _pickled(file, error) from None
        raise
    return values.flatten() if values.ndim == 2 and values.shape[1] == 1 else values


def load_object(
    alfpath: str | Path | Sequence[Path], object: str | None = None, short_keys: bool = False, **filters: Any
) -> alfio.AlfBunch:
    """All files of one ALF object as a dictionary of attributes, as `one.alf.io.load_object` gives it.

    Parameters
    ----------
    alfpath : str, Path or sequence of Path
        The files of the object, or a folder or one of its files, whose folder is searched.
    object : str, optional
        Name of the object, where a folder is given.
    short_keys : bool
        Keys are attribute and time scale only, without what follows them in the file name.
    **filters
        Other parts of the names, where a folder is given.

    Raises
    ------
    ValueError
        A folder without the name of an object.
    AssertionError
        Two files of one attribute; the class is that of ONE's own reader, which scripts may catch.
    one.alf.exceptions.ALFObjectNotFound
        No such object.
    InvalidData
        See `load_file_content`.
    """
    files = [ALFPath(item) for item in _listed(alfpath, object, filters)]
    if len(names := {file.object for file in files}) > 1:
        raise ValueError(f"files of several objects: {', '.join(sorted(names))}")
    descriptions = {file: _description(file) for file in files}
    files = [file for file in files if descriptions[file] != file]
    keys = [_key(file, short_keys) for file in files]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise AssertionError(f"several files have the attribute {twice[0]}: restrict the namespace or the extra parts")
    attributes = alfio.AlfBunch({})
    for file, key in zip(files, keys, strict=True):
        attributes[key] = load_file_content(file)
        if (description := descriptions[file]) is not None:
            _describe(attributes, key, load_file_content(description))
    _merge_table(attributes)
    _expand_timestamps(attributes)
    return attributes


def _listed(alfpath: str | Path | Sequence[Path], name: str | None, filters: dict[str, Any]) -> Sequence[Path]:
    if not isinstance(alfpath, str | Path):
        return alfpath
    path = ALFPath(alfpath)
    if path.is_dir() and name is None:
        raise ValueError("a folder holds several objects: name one")
    folder, name = (path, name) if path.is_dir() else (path.parent, path.object)
    files = alfio.filter_by(folder, object=name, **filters)[0] if folder.is_dir() else []
    if not files:
        raise alfio.ALFObjectNotFound(f'No object "{name}" found in {folder}')
    return [folder / file for file in files]


def _description(file: ALFPath) -> ALFPath | None:
    """The metadata file of a file, which may be the file itself."""
    return next(file.parent.glob(f"{'.'.join(file.name.split('.')[:2])}*.metadata*.json"), None)


def _key(file: ALFPath, short: bool) -> str:
    """The attribute, with time scale and, unless short, the extra parts of a file name."""
    _, _, attribute, timescale, extra, _ = file.dataset_name_parts
    key = f"{attribute}_{timescale}" if timescale else attribute
    return key if short or not extra else f"{key}.{extra}"


def _describe(attributes: alfio.AlfBunch, key: str, description: dict[str, Any]) -> None:
    """Name the columns of an array as its metadata file does; what else that says goes beside it."""
    if columns := description.pop("columns", None):
        values = attributes.pop(key)
        attributes.update({name: values[..., i] for i, name in enumerate(columns)})
    if description:
        attributes[f"{key}metadata"] = description


def _merge_table(attributes: alfio.AlfBunch) -> None:
    """Put the columns of an attribute `table` beside the other attributes, with its time scale and extra parts."""
    key = next((item for item in attributes if re.match(r"table([_.]|$)", item)), None)
    if key is None:
        return
    more = key.removeprefix("table")

    def renamed(column: str) -> str:
        is_pair = re.match(r".+?_[01]$", column)
        return f"{column[:-2]}{more}{column[-2:]}" if is_pair else f"{column}{more}"

    attributes.update(alfio.AlfBunch.from_df(attributes.pop(key).rename(columns=renamed)))


def _expand_timestamps(attributes: alfio.AlfBunch) -> None:
    """Interpolate timestamps that are given for some samples only; say where lengths differ."""
    differs = attributes.check_dimensions
    if differs:
        sizes = {key: one.shape for key, one in attributes.items() if isinstance(one, np.ndarray | pd.DataFrame)}
        alfio._logger.warning("Inconsistent dimensions: %s", ", ".join(f"{key} {size}" for key, size in sizes.items()))
        return
    others = [one for key, one in attributes.items() if "timestamps" not in key and "meta" not in key]
    if others:
        for key in [key for key in attributes if "timestamps" in key]:
            attributes[key] = alfio.ts2vec(attributes[key], others[0].shape[0])


def _pickled(file: str | Path, error: ValueError) -> InvalidData:
    return refuse(str(file), "object_array", str(error).partition("(")[0].strip())
