"""Sortings in files of libraries: zarr (SortingAnalyzer), the units of NWB files, `times_*.mat` of WaveClus."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from pipeline.alf.unpacked_size import check_hdf5
from pipeline.errors import NeurojointError

CODECS = frozenset({"blosc", "zstd", "zlib", "gzip", "lz4", "lzma", "bz2", "delta", "vlen-utf8", "bytes", "crc32c",
                    "numcodecs.delta", "transpose", "shuffle"})  # fmt: skip
"""Codecs of zarr arrays that decode numbers and text, and run nothing."""
UNIT_NAMES = ("unit_name", "unit_id", "original_cluster_id", "cluster_id")
"""Columns of a table of units that hold their names; the first that is there counts."""
LABELS = ("quality", "curated_label", "label", "KSLabel", "ks_label", "group")
NO_LABEL = ("", "nan", "none", "null", "<na>")
"""As programs write that a unit has no label."""
_PER_FILE = 1000  # numbers of units of each further file of WaveClus begin so much later


class Spikes(NamedTuple):
    """Spikes as a file has them."""

    samples: np.ndarray
    units: np.ndarray  # number of the unit of each spike; -1: of none
    labels: dict[int, str]
    sampling_rate: float | None  # Hz
    times: np.ndarray | None = None  # s, where the file has these and not samples
    names: Mapping[int, str] = MappingProxyType({})  # number -> name, of units whose name is not that number


def zarr_analyzer(folder: Path) -> Spikes:
    """The sorting in the zarr folder of a SortingAnalyzer of SpikeInterface.

    Raises
    ------
    NeurojointError : zarr is not installed, a codec of an array is not known, or there are several segments.
    """
    try:
        import zarr
    except ModuleNotFoundError:
        raise NeurojointError(f"{folder} is read by the package zarr, which is not here", "pip install zarr") from None
    for part in ("sorting/spikes/sample_index", "sorting/spikes/unit_index", "sorting/unit_ids"):
        _check_codecs(folder / part)
    try:
        group: Any = zarr.open_group(str(folder), mode="r")["sorting"]
        samples = np.asarray(group["spikes/sample_index"][:])
        index = np.asarray(group["spikes/unit_index"][:])
        ids = np.asarray(group["unit_ids"][:])
        attributes = dict(group.attrs)
    except (KeyError, ValueError, OSError, TypeError) as error:
        raise NeurojointError(f"{folder} cannot be read ({error})", "write it again with SpikeInterface") from None
    if attributes.get("num_segments", 1) != 1:
        raise NeurojointError(f"{folder} has several segments", "import a sorting of one recording")
    if len(index) and not 0 <= index.min() <= index.max() < len(ids):
        raise NeurojointError(f"{folder}: its spikes are of units that it does not name", "write it again")
    numbers = numbers_of(ids.tolist())
    labels: dict[int, str] = {}
    for name in LABELS:
        place = folder / "sorting" / "properties" / name
        if not labels and place.is_dir():
            _check_codecs(place)
            labels = labels_of(numbers, np.asarray(group[f"properties/{name}"][:]).tolist())
    rate = attributes.get("sampling_frequency")
    return Spikes(samples, numbers[index], labels, float(rate) if rate else None, names=names_of(numbers, ids.tolist()))


def nwb_units(path: Path) -> Spikes:
    """The table of units of an NWB file (HDF5).

    Times stay what they are in the file, s from its start; samples follow where it states its resolution.

    Raises
    ------
    NeurojointError : h5py is not installed, the file cannot be read, or it has no units with spikes.
    """
    try:
        import h5py
    except ModuleNotFoundError:
        raise NeurojointError(f"{path} is read by the package h5py, which is not here", "pip install h5py") from None
    try:
        with h5py.File(path, "r") as file:
            units: Any = file["units"]
            needed = ("spike_times", "spike_times_index", "id", *UNIT_NAMES, *LABELS)
            check_hdf5(*(units[name] for name in needed if name in units))
            times = np.asarray(units["spike_times"], np.float64)
            ends = np.asarray(units["spike_times_index"], np.int64)
            ids = np.asarray(units["id"], np.int64) if "id" in units else np.arange(len(ends))
            resolution = float(units["spike_times"].attrs.get("resolution", 0) or 0)
            name = next((label for label in LABELS if label in units and f"{label}_index" not in units), None)
            labels = [_text(value) for value in np.asarray(units[name]).tolist()] if name else []
            name = next(
                (unit_name for unit_name in UNIT_NAMES if unit_name in units and f"{unit_name}_index" not in units),
                None,
            )
            names = [_text(value) for value in np.asarray(units[name]).tolist()] if name else ids.tolist()
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise NeurojointError(f"{path} has no units that can be read ({error})", "name a file with /units") from None
    counts = np.diff(ends, prepend=0)
    if len(ids) != len(ends) or (counts < 0).any() or (len(ends) and ends[-1] != len(times)):
        raise NeurojointError(f"{path}: the index of its spike times does not fit them", "write the file again")
    names = names if len(names) == len(ids) else ids.tolist()
    numbers = numbers_of(names)
    if names_of(numbers, names):  # they are more than numbers
        numbers = numbers_of(ids.tolist())
    of = np.repeat(numbers, counts)
    order = np.argsort(times, kind="stable")
    rate = 1 / resolution if resolution > 0 else None
    samples = np.round(times[order] * (rate or 1e6)).astype(np.int64)
    return Spikes(samples, of[order], labels_of(numbers, labels), rate, times[order], names_of(numbers, names))


def wave_clus(folder: Path) -> Spikes:
    """The files `times_*.mat` of WaveClus: class and time (ms) of each spike; class 0 is of no unit.

    Of several files, one a channel, the units of the second are numbered from 1001, those of the third from 2001, ….

    Raises
    ------
    NeurojointError : a file cannot be read, or none states the sampling rate.
    """
    from scipy.io import loadmat

    rate: float | None = None
    samples, units = [], []
    for number, path in enumerate(sorted(folder.glob("times_*.mat"))):
        try:
            variables = loadmat(path, variable_names=["cluster_class", "par"], squeeze_me=True, struct_as_record=False)
            classes = np.atleast_2d(np.asarray(variables["cluster_class"], np.float64))
            rate = rate or float(getattr(variables.get("par"), "sr", 0) or 0) or None
        except (KeyError, ValueError, TypeError, OSError, NotImplementedError) as error:
            remedy = "save it in MATLAB with -v7"
            raise NeurojointError(f"{path} is no file of WaveClus that can be read ({error})", remedy) from None
        if rate is None:
            raise NeurojointError(f"{path} does not state the sampling rate (par.sr)", "run WaveClus 2 or later")
        own = classes[:, 0].astype(np.int64)
        units.append(np.where(own > 0, own + _PER_FILE * number, -1))
        samples.append(np.round(classes[:, 1] / 1e3 * rate).astype(np.int64))
    return Spikes(np.concatenate(samples), np.concatenate(units), {}, rate)


def numbers_of(ids: list[Any]) -> np.ndarray:
    """Numbers of units by their names: these, where all are different numbers of 31 bits, else their places.

    >>> numbers_of(["3", "12"]).tolist(), numbers_of(["a", "b"]).tolist(), numbers_of([7, 1 << 40]).tolist()
    ([3, 12], [0, 1], [0, 1])
    """
    texts = [_plain(id_) for id_ in ids]
    if texts and all(text.isascii() and text.isdecimal() and int(text) < 1 << 31 for text in texts):
        numbers = np.array([int(text) for text in texts], np.int64)
        if len(np.unique(numbers)) == len(numbers):
            return numbers
    return np.arange(len(ids), dtype=np.int64)


def names_of(numbers: np.ndarray, ids: list[Any]) -> dict[int, str]:
    """Number -> name, of the units whose name is not just that number.

    >>> names_of(np.arange(2), ["tetrode1#2", "1"]), names_of(np.array([7, 8]), ["7", "08"])
    ({0: 'tetrode1#2'}, {8: '08'})
    """
    pairs = zip(numbers.tolist(), map(_plain, ids), strict=True)
    return {number: name[:64] for number, name in pairs if name and name != str(number)}


def labels_of(numbers: np.ndarray, values: list[Any]) -> dict[int, str]:
    """Number -> label, of those that have one.

    >>> labels_of(np.arange(4), ["good", "", float("nan"), None])
    {0: 'good'}
    """
    if len(values) != len(numbers):
        return {}
    pairs = [(number, str(one).strip()) for number, one in zip(numbers.tolist(), values, strict=True)]
    return {number: label[:16] for number, label in pairs if label.lower() not in NO_LABEL}


def _check_codecs(array: Path) -> None:
    """Refuse arrays whose codecs could do anything, like pickles."""
    for name in (".zarray", "zarr.json"):
        path = array / name
        if not path.is_file():
            continue
        try:
            used = set(_codecs(json.loads(path.read_text(encoding="utf-8"))))
        except ValueError as error:
            raise NeurojointError(f"{path} cannot be read ({error})", "write it again with SpikeInterface") from None
        if used - CODECS:
            unknown = ", ".join(sorted(used - CODECS))
            raise NeurojointError(f"{array} is coded with {unknown}, which is not read", "save it with another codec")


def _codecs(header: Any) -> Iterator[str]:
    parts = [*(header.get("filters") or []), header.get("compressor"), *(header.get("codecs") or [])]
    for part in parts:
        if isinstance(part, dict):
            yield str(part.get("id") or part.get("name"))


def _plain(value: Any) -> str:
    """A name as text; whole numbers of a floating type without the point."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _text(value).strip()


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
