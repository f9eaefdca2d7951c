"""Names of the files that sorters, phy and SpikeInterface write beside or instead of ALF; importing reads them."""

from __future__ import annotations

from pathlib import Path

NAMES = (
    "params.py", "ops.npy", "rez.mat", "rez2.mat", "chanMap.mat", "*.prb", "*.probe.json", "*.imro",
    "whitening_mat*.npy", "similar_templates.npy", "amplitudes.npy", "channel_map.npy", "channel_positions.npy",
    "channel_shanks.npy", "pc_features*.npy", "pc_feature_ind.npy", "template_features.npy", "template_feature_ind.npy",
    "templates.npy", "templates_ind.npy", "templates_unw.npy", "spike_times*.npy", "spike_clusters.npy",
    "spike_templates.npy", "spike_positions.npy", "spike_detection_templates.npy", "spike_datasets.npy",
    "cluster_*.tsv", "cluster_*.csv", "iblsorter_parameters.yaml", "_iblsorter_parameters.yaml", "full_kilosort*.mat",
    "temp_wh.dat", "kept_spikes.npy", "times_*.mat",
    "spikes.npy", "numpysorting_info.json", "si_folder.json", "spikeinterface_*.json", "sorting_cached.npz",
    "firings.npz", "sparsity_mask.npy", "annotations.json", "provenance.json", "provenance.pkl",
)  # fmt: skip
"""Passed over, unless they are ALF names."""
WITH_SPIKES = frozenset({"spike_times.npy", "numpysorting_info.json", "sorting_cached.npz", "firings.npz"})
"""They make a session of a folder in which nothing else lies: its sorting can be imported."""
_PARTS = frozenset({"properties", "extensions", "recording_info", "sorting"})
_OWNERS = ("numpysorting_info.json", "si_folder.json", "spikeinterface_info.json")


def hold_spikes(folder: Path) -> bool:
    """Whether the results of a sorter lie in a folder or below it."""
    return any(path.name in WITH_SPIKES for path in folder.rglob("*.n*")) or any(
        path.name in WITH_SPIKES for path in folder.rglob("*.json")
    )


def is_part(folder: str, name: str) -> bool:
    """Whether a folder `name` is part of the folder of SpikeInterface that holds it: no data of a session."""
    return name in _PARTS and any(Path(folder, owner).is_file() for owner in _OWNERS)
