"""Reads what a sorter left: a folder of phy or Kilosort, or one of SpikeInterface."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ingest.programs.sorting import library_files
from pipeline.alf import unpacked_size
from pipeline.errors import NeurojointError

UNSORTED = "unsorted"
"""What phy says of a unit that nobody judged: no label of a person, so one of the sorter stays."""
FEW, SMALL_SHARE = 10, 0.001
"""As many spikes outside of the recording are dropped and counted, or this share of all; more are another recording."""
SAYS = "sorter.json"
"""What a sorter may say of itself: {"sorter": name, "version": text}."""


@dataclass(frozen=True)
class Sorted:
    """Spikes in order of time."""

    samples: np.ndarray  # int64
    clusters: np.ndarray  # int64, numbers as the sorter gives them
    labels: dict[int, str] = field(default_factory=dict)  # cluster -> good, mua, noise
    version: str = ""
    kept: np.ndarray | slice | None = None  # rows of the sorter's arrays in this order; None: not by rows
    place: Path | None = None  # the folder in which they lie
    n_dropped: int = 0  # spikes before the first or after the last sample of the recording, or of no unit (-1)
    sampling_rate: float | None = None  # Hz, where the file of the spikes states it
    times: np.ndarray | None = None  # s, where the file has times and not samples
    names: dict[int, str] = field(default_factory=dict)  # cluster -> its name, where that is not its number

    def of_spikes(self, values: np.ndarray | None) -> np.ndarray | None:
        """The values of these spikes among those of the sorter's; None where there are not as many."""
        if values is None or self.kept is None:
            return None
        last = self.kept.stop - 1 if isinstance(self.kept, slice) else int(self.kept.max(initial=-1))
        return values[self.kept] if len(values) > last else None


def read(folder: Path, n_samples: int) -> Sorted:
    """Read the results in a folder, or in its only folder below that holds some.

    Known are `spike_times.npy` (samples) with `spike_clusters.npy` or `spike_templates.npy`, and labels in
    `cluster_group.tsv` or `cluster_KSLabel.tsv`; SpikeInterface's `numpysorting_info.json` with `spikes.npy`, and its
    `sorting_cached.npz`.

    Raises
    ------
    NeurojointError : there is nothing of that kind, or it cannot be the result for a recording of `n_samples`.
    """
    places = [folder, *sorted(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())]
    for place in places:
        for name, reader in _READERS.items():
            if (place / name).is_file():
                samples, clusters, labels, names = reader(place)
                version = _version(place) or _version(folder)
                return replace(_checked(place, samples, clusters, labels, version, n_samples), names=names)
        for pattern, of_library in LIBRARY_FILES.items():
            if paths := sorted(place.glob(pattern)):
                spikes = of_library(paths[0])
                limit = n_samples if spikes.times is None else _UNLIMITED
                made = _checked(place, spikes.samples, spikes.units, spikes.labels, _version(folder), limit)
                times = None if spikes.times is None or made.kept is None else spikes.times[made.kept]
                names = dict(spikes.names)
                return replace(made, kept=None, sampling_rate=spikes.sampling_rate, times=times, names=names)
    raise NeurojointError(
        f"the sorter left no results in {folder}", "it must write a folder as phy, Kilosort or SpikeInterface do"
    )


_Read = tuple[np.ndarray, np.ndarray, dict[int, str], dict[int, str]]
"""Samples and units of the spikes, labels and names of the units."""


def _phy(folder: Path) -> _Read:
    name = "spike_clusters.npy" if (folder / "spike_clusters.npy").is_file() else "spike_templates.npy"
    labels: dict[int, str] = {}
    for table, columns in _LABELS.items():
        for suffix, separator in ((".tsv", "\t"), (".csv", None)):
            if (folder / f"{table}{suffix}").is_file():
                told = _labels(folder / f"{table}{suffix}", columns, separator)
                labels |= {number: one for number, one in told.items() if one != UNSORTED or number not in labels}
    names: dict[int, str] = {}
    if (folder / SI_NAMES).is_file():
        names = _labels(folder / SI_NAMES, ("si_unit_id",), "\t", 64)
        names = {number: name for number, name in names.items() if name != str(number)}
    return _load(folder / "spike_times.npy"), _load(folder / name), labels, names


def _labels(path: Path, columns: tuple[str, ...], separator: str | None, longest: int = 16) -> dict[int, str]:
    """cluster -> label of a table of phy or Kilosort; older ones are called csv and separated by tabs all the same."""
    labels: dict[int, str] = {}
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        first = file.readline()
        file.seek(0)
        for row in csv.DictReader(file, delimiter=separator or ("\t" if "\t" in first else ",")):
            number = re.sub(r"\.0+$", "", (row.get("cluster_id") or row.get("id") or "").strip())
            told = [text for name in columns if (text := (row.get(name) or "").strip())]
            label = next((text for text in told if text != UNSORTED), told[0] if told else "")
            if label and number.isdecimal():
                labels[int(number)] = label[:longest]
    return labels


def _numpy_folder(folder: Path) -> _Read:
    info = _json(folder / "numpysorting_info.json")
    spikes = _load(folder / "spikes.npy")
    if not {"sample_index", "unit_index"} <= set(spikes.dtype.names or ()):
        raise _unfit(folder, "its spikes.npy has no columns sample_index and unit_index")
    if "segment_index" in (spikes.dtype.names or ()) and np.any(spikes["segment_index"]):
        raise _unfit(folder, "it has several segments")
    ids = info.get("unit_ids")
    units = _unit_ids(folder, ids, spikes["unit_index"])
    names = library_files.names_of(library_files.numbers_of(ids), ids) if isinstance(ids, list) else {}
    return spikes["sample_index"], units, _properties(folder, ids), names


def _properties(folder: Path, ids: object) -> dict[int, str]:
    """Labels that SpikeInterface keeps with a sorting."""
    for name in ("quality", "curated_label", "KSLabel", "group"):
        path = folder / "properties" / f"{name}.npy"
        if path.is_file() and isinstance(ids, list):
            values = _load(path)
            numbers = _unit_ids(folder, ids, np.arange(len(ids))).tolist()
            if len(values) == len(numbers):
                pairs = zip(numbers, values.tolist(), strict=True)
                return {number: str(value)[:16] for number, value in pairs if str(value).strip()}
    return {}


def _npz(folder: Path, name: str = "sorting_cached.npz") -> _Read:
    path = folder / name
    try:
        unpacked_size.check_zip(path)
        with np.load(path, allow_pickle=False) as arrays:
            samples, units = arrays["spike_indexes_seg0"], np.asarray(arrays["spike_labels_seg0"])
            used = np.unique(units)
            ids = arrays.get("unit_ids", used)
            ids = ids.tolist() if ids.ndim == 1 and set(used.tolist()) <= set(ids.tolist()) else used.tolist()
    except (KeyError, ValueError, OSError, EOFError) as error:
        raise _unfit(path, str(error)) from None
    numbers = library_files.numbers_of(ids)
    is_plain = units.dtype.kind in "iuf" and [float(id_) for id_ in ids] == numbers.tolist()
    if is_plain or (units.dtype.kind in "if" and -1 in ids):  # spikes of no unit
        return samples, units, {}, {}
    order = np.argsort(np.array(ids), kind="stable")
    place = order[np.searchsorted(np.array(ids), units, sorter=order)]
    return samples, numbers[place], {}, library_files.names_of(numbers, ids)


LIBRARY_FILES = {
    "sorting/.zattrs": lambda path: library_files.zarr_analyzer(path.parents[1]),
    "sorting/zarr.json": lambda path: library_files.zarr_analyzer(path.parents[1]),
    "times_*.mat": lambda path: library_files.wave_clus(path.parent),
    "*.nwb": library_files.nwb_units,
}
"""Pattern of a file in the folder -> its reader: SortingAnalyzer in zarr, WaveClus, NWB."""
SI_NAMES = "cluster_si_unit_ids.tsv"
"""Names of the units that SpikeInterface exported to phy."""
_UNLIMITED = 1 << 62
_LABELS = {
    "cluster_KSLabel": ("KSLabel",),
    "cluster_groups": ("group",),
    "cluster_info": ("group", "KSLabel"),
    "cluster_group": ("group", "KSLabel"),  # Kilosort 4 copies its own labels into it
}
"""Tables of labels without their suffix -> columns; the later ones, which a person wrote, go before the others."""

_READERS = {
    "spike_times.npy": _phy,
    "numpysorting_info.json": _numpy_folder,
    "sorting_cached.npz": _npz,
    "firings.npz": lambda folder: _npz(folder, "firings.npz"),  # MountainSort 5
}


def _unit_ids(folder: Path, ids: object, index: np.ndarray) -> np.ndarray:
    """Number of the unit of each spike: its name where all names are numbers, else its place."""
    if not isinstance(ids, list) or (len(index) and not 0 <= index.min() <= index.max() < len(ids)):
        raise _unfit(folder, "its spikes are of units that it does not name")
    return library_files.numbers_of(ids)[index] if len(ids) else index


def _checked(
    folder: Path, samples: np.ndarray, clusters: np.ndarray, labels: dict[int, str], version: str, n_samples: int
) -> Sorted:
    columns = []
    for name, values in (("times", samples), ("clusters", clusters)):
        flat = values.reshape(-1) if values.ndim == 2 and 1 in values.shape else values
        if flat.ndim != 1 or flat.dtype.kind not in "iuf":
            raise _unfit(folder, f"its spike {name} are no list of numbers")
        whole = flat.astype(np.int64, copy=False)
        if flat.dtype.kind == "f" and not np.array_equal(flat, whole):
            raise _unfit(folder, f"its spike {name} are not whole numbers")
        columns.append(whole)
    samples, clusters = columns
    if len(samples) != len(clusters):
        raise _unfit(folder, f"it has times of {len(samples)} spikes and clusters of {len(clusters)}")
    if not len(samples):
        raise _unfit(folder, "it found no spike")
    kept: np.ndarray | slice = slice(0, len(samples))
    n_dropped = 0
    if samples.min() < 0 or samples.max() >= n_samples or clusters.min() == -1:
        is_inside = (samples >= 0) & (samples < n_samples)
        n_outside = len(samples) - int(is_inside.sum())
        if n_outside > max(FEW, SMALL_SHARE * len(samples)) or 2 * n_outside >= len(samples):
            where = f"{samples.min()} and {samples.max()} of {n_samples}, {n_outside:,} of {len(samples):,} outside"
            raise _unfit(folder, f"its spikes lie between samples {where}")
        kept = np.flatnonzero(is_inside & (clusters != -1))
        n_dropped = len(samples) - len(kept)
        samples, clusters = samples[kept], clusters[kept]
    if not len(samples):
        raise _unfit(folder, "none of its spikes is of a unit")
    if clusters.min() < 0 or clusters.max() > np.iinfo(np.int32).max:
        raise _unfit(folder, "a cluster has a number below -1 or above 2^31")
    if not (samples[1:] >= samples[:-1]).all():
        order = np.argsort(samples, kind="stable")
        samples, clusters = samples[order], clusters[order]
        kept = order if isinstance(kept, slice) else kept[order]
    return Sorted(samples, clusters, labels, version, kept, folder, n_dropped)


def _load(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _unfit(path, getattr(error, "strerror", None) or str(error)) from None


def _json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unfit(path, str(error)) from None
    return content if isinstance(content, dict) else {}


def _version(folder: Path) -> str:
    return str(_json(folder / SAYS).get("version", ""))[:64] if (folder / SAYS).is_file() else ""


def _unfit(path: Path, problem: str) -> NeurojointError:
    return NeurojointError(f"the results in {path} cannot be used, as {problem}", "look into the sorter's log")
