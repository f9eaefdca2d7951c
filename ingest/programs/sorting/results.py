"""Reads what a sorter left: a folder of phy or Kilosort, or one of SpikeInterface."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ingest.programs.sorting import label_tables, library_files
from pipeline.alf import unpacked_size
from pipeline.errors import NeurojointError

FEW, SMALL_SHARE = 10, 0.001
"""As many spikes outside of the recording are dropped and counted, or this share of all; more are another recording."""
NO_UNIT = np.uint32(2**32 - 1)
"""What -1, the unit of spikes without one, becomes without a sign."""
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
    n_rows: int = 0  # of the sorter's arrays of spikes
    notes: tuple[str, ...] = ()  # what is not used, in words

    def of_spikes(self, values: np.ndarray | None) -> np.ndarray | None:
        """The values of these spikes among those of the sorter's; None where there are not as many."""
        if values is None or self.kept is None or len(values) != self.n_rows:
            return None
        return values[self.kept]


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
                told = reader(place)
                version = _version(place) or _version(folder)
                made = _checked(place, told.samples, told.clusters, told.labels, version, n_samples)
                return replace(made, names=told.names, notes=_notes(told, made))
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


class _Read(NamedTuple):
    """Samples and units of the spikes, labels and names of the units; what of the tables is not used."""

    samples: np.ndarray
    clusters: np.ndarray
    labels: dict[int, str]
    names: dict[int, str]
    notes: tuple[str, ...] = ()
    person: tuple[str, dict[int, str]] | None = None  # the last table of labels that says something: name, labels


def _notes(told: _Read, made: Sorted) -> tuple[str, ...]:
    """What of the tables is not used; among it labels of units none of which has a spike."""
    if told.person is None or not told.person[1]:
        return told.notes
    name, labels = told.person
    used = np.unique(made.clusters)
    if np.isin(used, list(labels)).any():
        return told.notes
    units, named = (", ".join(map(str, sorted(some)[:3])) for some in (used.tolist(), labels))
    return (*told.notes, f"{name} labels none of the units: they are {units}, …, it names {named}, …")


def _phy(folder: Path) -> _Read:
    name = "spike_clusters.npy" if (folder / "spike_clusters.npy").is_file() else "spike_templates.npy"
    labels: dict[int, str] = {}
    notes: list[str] = []
    person = None
    for table, columns in _LABELS.items():
        for suffix in (".tsv", ".csv"):
            if (folder / f"{table}{suffix}").is_file():
                told, own = label_tables.read(folder / f"{table}{suffix}", columns)
                judged = {unit: one for unit, one in told.items() if one.lower() != label_tables.UNSORTED}
                labels |= {unit: one for unit, one in told.items() if unit in judged or unit not in labels}
                notes += own
                person = (f"{table}{suffix}", judged) if judged else person
    names: dict[int, str] = {}
    if (folder / SI_NAMES).is_file():
        names, own = label_tables.read(folder / SI_NAMES, ("si_unit_id",), 64)
        names = {number: name for number, name in names.items() if name != str(number)}
        notes += own
    return _Read(_load(folder / "spike_times.npy"), _load(folder / name), labels, names, tuple(notes), person)


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
    return _Read(spikes["sample_index"], units, _properties(folder, ids), names)


def _properties(folder: Path, ids: object) -> dict[int, str]:
    """Labels that SpikeInterface keeps with a sorting."""
    for name in ("quality", "curated_label", "KSLabel", "group"):
        path = folder / "properties" / f"{name}.npy"
        if path.is_file() and isinstance(ids, list):
            values = _load(path)
            if labels := library_files.labels_of(library_files.numbers_of(ids), values.tolist()):
                return labels
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
        return _Read(samples, units, {}, {})
    order = np.argsort(np.array(ids), kind="stable")
    place = order[np.searchsorted(np.array(ids), units, sorter=order)]
    return _Read(samples, numbers[place], {}, library_files.names_of(numbers, ids))


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
        if flat.dtype.kind == "f" and not (finite := np.isfinite(flat)).all():
            row = int(np.argmin(finite))
            raise _unfit(folder, f"its spike {name} are not all numbers: row {row} (from 0) is {flat[row]}")
        whole = flat.astype(np.int64, copy=False)
        if flat.dtype == np.uint32 and name == "clusters" and np.any(flat == NO_UNIT):
            whole[flat == NO_UNIT] = -1
        if flat.dtype.kind == "f" and not np.array_equal(flat, whole):
            raise _unfit(folder, f"its spike {name} are not whole numbers")
        columns.append(whole)
    samples, clusters = columns
    if len(samples) != len(clusters):
        raise _unfit(folder, f"it has times of {len(samples)} spikes and clusters of {len(clusters)}")
    if not len(samples):
        raise _unfit(folder, "it found no spike")
    n_rows = len(samples)
    kept: np.ndarray | slice = slice(0, n_rows)
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
    return Sorted(samples, clusters, labels, version, kept, folder, n_dropped, n_rows=n_rows)


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
