"""What lies in a sorter's folder beside spike times and units: who made it, its sampling rate, places, amplitudes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingest.programs.sorting import sorted_file
from ingest.programs.sorting.results import Sorted
from pipeline.errors import NeurojointError

TEMPLATE_CHANNELS = ("templates_ind.npy", "template_ind.npy")
"""Channels of each sparse template, as Kilosort and as SpikeInterface call the file."""
_ROWS = 1 << 20  # spikes whose features are read at once
_MARKS = (  # file or folder in the place, or above it -> sorter
    ("_iblsorter_parameters.yaml", "iblsorter"), ("iblsorter_parameters.yaml", "iblsorter"),
    ("kilosort4.log", "kilosort4"), ("whitening_mat_dat.npy", "kilosort4"), ("spike_positions.npy", "kilosort4"),
    ("rez2.mat", "kilosort3"), ("rez.mat", "kilosort2_5"),
)  # fmt: skip


@dataclass(frozen=True)
class Beside:
    """What the folder says; None where it does not."""

    sorter: str
    sampling_rate: float | None  # Hz
    positions: np.ndarray | None  # (n channels, 2) um, of the sorter's channels
    channels: np.ndarray | None  # (n channels,) columns of the raw file
    shanks: np.ndarray | None  # (n channels,)
    amplitudes: np.ndarray | None  # (n spikes,) in a unit of the sorter
    depths: np.ndarray | None  # (n spikes,) um
    best: np.ndarray | None  # (n templates,) the sorter's channel on which each template is largest
    templates: np.ndarray | None  # (n spikes,) template of each spike
    notes: tuple[str, ...] = ()  # what is left out, in words


def read(result: Sorted, name: str | None = None) -> Beside:
    """Read what lies beside the spikes of a result; arrays of spikes come in the order of `result`."""
    place = result.place
    if place is None or result.kept is None:
        known = result.sampling_rate if result.times is None else None
        sorter = name or (sorter_of(place) if place is not None else "imported")
        return Beside(sorter, known, None, None, None, None, None, None, None)
    positions = _array(place / "channel_positions.npy", 2)
    positions = None if positions is None or positions.shape[1] < 2 else positions
    channels = _array(place / "channel_map.npy", 1)
    shanks = _array(place / "channel_shanks.npy", 1)
    n = len(positions) if positions is not None else None
    notes: list[str] = []
    best = _best_channels(place)
    if best is not None and n is not None and best.max() >= n:
        notes.append(f"templates.npy is not used: it has a channel {best.max()}, but channel_positions.npy {n} rows")
        best = None
    templates = _of_spikes(place, "spike_templates.npy", result, notes)
    if templates is not None and (wrong := _no_templates(templates, best)):
        notes.append(f"spike_templates.npy is not used: {wrong}")
        templates = None
    return Beside(
        name or sorter_of(place),
        sampling_rate(place),
        positions,
        channels.astype(np.int64) if channels is not None and len(channels) == n else None,
        shanks.astype(np.int64) if shanks is not None and len(shanks) == n else None,
        _of_spikes(place, "amplitudes.npy", result, notes),
        _depths(place, result, positions, notes),
        best,
        templates,
        tuple(notes),
    )


def _of_spikes(place: Path, name: str, result: Sorted, notes: list[str], n_dimensions: int = 1) -> np.ndarray | None:
    """The rows of the spikes in a file; one with another number of rows is of another sorting, and not used."""
    values = _array(place / name, n_dimensions)
    if values is not None and len(values) != result.n_rows:
        notes.append(f"{name} is not used: it has {len(values):,} rows, but there are {result.n_rows:,} spikes")
        return None
    return result.of_spikes(values)


def _no_templates(templates: np.ndarray, best: np.ndarray | None) -> str:
    """Why numbers cannot be those of templates; empty where they can."""
    if not len(templates):
        return ""
    if templates.dtype.kind == "f" and not np.isfinite(templates).all():
        return "not all of its values are numbers"
    low, high = int(templates.min()), int(templates.max())
    if low < 0:
        return f"it names a template {low}"
    if best is not None and high >= len(best):
        return f"it names template {high}, but templates.npy has {len(best)}"
    return ""


def sorter_of(place: Path) -> str:
    """The sorter that wrote a folder, by files that only it writes, else the name of the folder."""
    for folder in (place, place.parent):
        for name, sorter in _MARKS:
            if (folder / name).exists():
                return sorter
        log = folder / "spikeinterface_log.json"
        if log.is_file() and (sorter_name := _json(log).get("sorter_name")):
            return plain(str(sorter_name))
    if list(place.glob("times_*.mat")):
        return "waveclus"
    names = [
        item.name for item in (place, *place.parents) if item.name not in ("sorter_output", "sorting", "output", "phy")
    ]
    return plain(names[0])


def plain(name: str) -> str:
    """A name as a folder below the probe may have it.

    >>> plain("Kilosort 2.5")
    'kilosort_2_5'
    """
    return re.sub(r"\W+", "_", name.lower()).strip("_")[:48] or "imported"


def sampling_rate(place: Path) -> float | None:
    """Hz, from `params.py` (read as text, never run) or SpikeInterface's description; None where neither is there."""
    if told := sorted_file.read(place).sampling_rate:
        return told
    for name in ("numpysorting_info.json", "si_folder.json", "spikeinterface_params.json"):
        rate = _json(place / name).get("sampling_frequency") if (place / name).is_file() else None
        if isinstance(rate, int | float) and rate > 0:
            return float(rate)
    for name in ("sorting_cached.npz", "firings.npz"):
        if (place / name).is_file():
            with np.load(place / name, allow_pickle=False) as arrays:
                rate = float(arrays["sampling_frequency"].item()) if "sampling_frequency" in arrays else 0.0
            return rate if rate > 0 else None
    return None


def _depths(place: Path, result: Sorted, positions: np.ndarray | None, notes: list[str]) -> np.ndarray | None:
    """Depth of each spike, um: as Kilosort 4 locates it, else the channels' mean weighted by the first feature.

    Only Kilosort's features are projections on the shape of spikes; those of SpikeInterface's export are deviations
    from the mean, of either sign, and tell no depth.
    """
    located = _of_spikes(place, "spike_positions.npy", result, notes, 2)
    if located is not None and located.shape[1] > 1:
        return np.asarray(located[:, 1], np.float64)
    if (place / "cluster_si_unit_ids.tsv").is_file() or (place / "channel_map_si.npy").is_file():
        return None
    features, where = _array(place / "pc_features.npy", 3), _array(place / "pc_feature_ind.npy", 2)
    templates = _array(place / "spike_templates.npy", 1)
    if features is None or where is None or templates is None or positions is None:
        return None
    if len(features) != len(templates) or len(features) != result.n_rows or features.shape[2] != where.shape[1]:
        notes.append("pc_features.npy is not used: it is not as long as the spikes, or as wide as pc_feature_ind.npy")
        return None
    if len(templates) and not 0 <= templates.min() <= templates.max() < len(where):
        notes.append(f"pc_features.npy is not used: spike_templates.npy names other than its {len(where)} templates")
        return None
    axial = np.asarray(positions[:, 1], np.float64)[np.asarray(where, np.int64).clip(0, len(positions) - 1)]
    depths = np.empty(len(templates))
    for first in range(0, len(templates), _ROWS):
        part = slice(first, first + _ROWS)
        weights = np.asarray(features[part, 0], np.float64).clip(min=0) ** 2
        total = weights.sum(axis=1)
        mean = (weights * axial[np.asarray(templates[part], np.int64)]).sum(axis=1)
        depths[part] = np.divide(mean, total, out=np.full(len(total), np.nan), where=total > 0)
    return result.of_spikes(depths)


def _best_channels(place: Path) -> np.ndarray | None:
    """The channel on which each template is largest, in the sorter's numbering."""
    templates = _array(place / "templates.npy", 3)
    if templates is None or 0 in templates.shape:
        return None
    best = np.array([int(np.ptp(np.asarray(template, np.float32), axis=0).argmax()) for template in templates])
    for name in TEMPLATE_CHANNELS:
        where = _array(place / name, 2)
        if where is not None and where.shape == (len(templates), templates.shape[2]):
            chosen = np.asarray(where, np.int64)[np.arange(len(best)), best]
            return chosen if (chosen >= 0).all() else None  # -1 fills up, where a template has nothing
    channels = _array(place / "channel_map.npy", 1)
    return best if channels is None or templates.shape[2] == len(channels) else None


def _array(path: Path, n_dimensions: int) -> np.ndarray | None:
    """A numeric array of a file, mapped from the disk; None where there is none of that shape."""
    if not path.is_file():
        return None
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise NeurojointError(f"{path} cannot be read ({error})", "copy the folder of the sorter again") from None
    if n_dimensions == 1 and values.ndim == 2 and 1 in values.shape:
        values = values.reshape(-1)
    return values if values.ndim == n_dimensions and values.dtype.kind in "fiu" else None


def _json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
