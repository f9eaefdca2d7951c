"""Arrays of an imported sorting that follow from several files of its folder: places and channels, amplitudes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ingest.programs.sorting import channels, measures
from ingest.programs.sorting.foreign import Beside


def from_waveforms(
    measured: measures.Waveforms, beside: Beside, clusters: np.ndarray, counts: np.ndarray
) -> dict[str, np.ndarray]:
    """Arrays from mean waveforms; amplitudes of spikes vary about that of their unit as the sorter's amplitudes do."""
    arrays = {
        "clusters.waveforms": measured.waveforms, "clusters.waveformsChannels": measured.channels,
        "clusters.channels": measured.channels[:, 0], "clusters.peakToTrough": measured.peak_to_trough,
        "clusters.amps": measured.amplitudes,
    }  # fmt: skip
    if beside.amplitudes is not None:
        own = np.abs(np.asarray(beside.amplitudes, np.float64))  # SpikeInterface writes those of troughs below 0
        some = measured.spikes[np.isfinite(own[measured.spikes])]
        n = np.bincount(clusters[some], minlength=len(counts))
        mean = np.bincount(clusters[some], own[some], len(counts)) / np.maximum(n, 1)
        scale = np.divide(measured.amplitudes, mean, out=np.full(len(counts), np.nan), where=mean > 0)
        arrays["spikes.amps"] = own * scale[clusters]
    return arrays


def in_um(beside: Beside, there: dict[str, list] | None, notes: list[str]) -> Beside:
    """The same with places and depths in um, where they are in mm by the map of the recording."""
    if there is None or beside.positions is None:
        return beside
    positions = np.asarray(beside.positions, np.float64)
    as_stated, in_mm = (channels.columns_of(beside.channels, positions * factor, there).raw for factor in (1, 1e3))
    if as_stated is not None or in_mm is None:
        return beside
    notes.append("the places of the sorter's channels are in mm, as the map of the recording shows")
    depths = None if beside.depths is None else beside.depths * 1e3
    return replace(beside, positions=positions * 1e3, depths=depths)


def of_channels(
    beside: Beside, there: dict[str, list] | None, notes: list[str]
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Places (um), columns of the raw file and shanks of the sorter's channels; the map of the recording goes first."""
    positions = None if beside.positions is None else np.asarray(beside.positions, np.float64)
    if there is None:
        return positions, beside.channels, beside.shanks
    raw, note = channels.columns_of(beside.channels, positions, there)
    if note:
        notes.append(note)
    if raw is None:
        return positions, None, beside.shanks
    places = np.column_stack([there["lateral"], there["axial"]]).astype(np.float64)
    return places[raw], raw, np.asarray(there["shank"], np.int64)[raw]


def commonest(units: np.ndarray, templates: np.ndarray, values: np.ndarray, n_units: int) -> np.ndarray:
    """The value that most spikes of each unit have, by the value of their templates."""
    n_templates, n_values = len(values), int(values.max()) + 1
    codes = units.astype(np.int64) * n_templates + templates
    if n_units * n_templates <= 1 << 24:
        counts = np.bincount(codes)
        pairs = np.flatnonzero(counts)
        counts = counts[pairs]
    else:
        pairs, counts = np.unique(codes, return_counts=True)
    of, template = np.divmod(pairs, n_templates)
    both, place = np.unique(of.astype(np.int64) * n_values + values[template], return_inverse=True)
    of, value = np.divmod(both, n_values)
    order = np.lexsort((np.bincount(place, counts), of))
    commonest = np.zeros(n_units, np.int64)
    commonest[of[order]] = value[order]
    return commonest
