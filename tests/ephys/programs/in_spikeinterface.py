"""Runs in an environment with SpikeInterface: `export FOLDER` writes a sorting in all forms, `open FOLDER` reads ours.

Prints what it wrote or read as JSON.
"""

import json
import sys
from pathlib import Path

import numpy as np

IDS, RATE, SECONDS = [3, 7, 12, 20], 30_000.0, 4.0


def export(folder: Path) -> dict:
    """Recording and sorting with a phy export, analyzers on disk and the export for IBL's alignment GUI."""
    import spikeinterface as si
    from spikeinterface.exporters import export_to_phy

    recording, truth = si.generate_ground_truth_recording(
        num_channels=8, durations=[SECONDS], sampling_frequency=RATE, num_units=4, seed=1
    )
    spikes = truth.to_spike_vector()
    sorting = si.NumpySorting.from_samples_and_labels(
        [spikes["sample_index"]], [np.array(IDS)[spikes["unit_index"]]], RATE, unit_ids=IDS
    )
    sorting.set_property("quality", np.array(["good", "mua", "noise", "good"]))
    analyzers = {}
    for kind, name in (("binary_folder", "analyzer"), ("zarr", "analyzer.zarr")):
        analyzers[kind] = si.create_sorting_analyzer(
            sorting, recording, format=kind, folder=folder / name, sparse=False
        )
    one = analyzers["binary_folder"]
    one.compute(["random_spikes", "waveforms", "templates", "noise_levels", "spike_amplitudes", "spike_locations"])
    export_to_phy(one, folder / "phy", remove_if_exists=True, copy_binary=True, verbose=False)
    sorting.save(folder=folder / "numpy", format="numpy_folder")
    made = {"phy": "phy", "numpy_folder": "numpy", "analyzer": "analyzer", "zarr": "analyzer.zarr"}
    try:
        from spikeinterface.exporters import export_to_ibl_gui

        one.compute(["spike_locations", "template_metrics", "quality_metrics"])
        export_to_ibl_gui(one, folder / "ibl", verbose=False)
        made["ibl"] = "ibl"
    except Exception as error:  # noqa: BLE001 - the export is not in all versions
        print(f"no export for the GUI: {error!r}", file=sys.stderr)
    spikes = sorting.to_spike_vector()
    return {
        "made": made, "version": si.__version__, "samples": spikes["sample_index"].tolist(),
        "units": np.array(IDS)[spikes["unit_index"]].tolist(),
    }  # fmt: skip


def open_ours(folder: Path) -> dict:
    """The ALF files of a sorting, and a compressed recording, as SpikeInterface reads them."""
    from spikeinterface.extractors import read_alf_sorting

    sorting = read_alf_sorting(folder / "alf", RATE)
    trains = {str(unit_id_): (sorting.get_unit_spike_train(unit_id_) / RATE).tolist() for unit_id_ in sorting.unit_ids}
    return {"trains": trains}


def metrics(folder: Path) -> dict:
    """Metrics of the trains in `trains.npy` (sample, unit) of 600 s, with the refractory period of our defaults."""
    import spikeinterface as si
    from spikeinterface.metrics.quality import misc_metrics as quality

    samples, units = np.load(folder / "trains.npy").T
    sorting = si.NumpySorting.from_samples_and_labels([samples], [units], RATE)
    recording = si.generate_recording(num_channels=2, durations=[600.0], sampling_frequency=RATE)
    one = si.create_sorting_analyzer(sorting, recording, format="memory", sparse=False)
    isi = quality.compute_isi_violations(one, isi_threshold_ms=1.5, min_isi_ms=0.1)
    pairs = quality.compute_refrac_period_violations(one, refractory_period_ms=1.5, censored_period_ms=0.1)
    collected = {
        "firing_rate": quality.compute_firing_rates(one) if hasattr(quality, "compute_firing_rates") else {},
        "presence_ratio": quality.compute_presence_ratios(one, bin_duration_s=10),
        "isi_violations_hill": isi[0] if isinstance(isi, tuple) else isi.isi_violations_ratio,
        "isi_violations_llobet": pairs[0] if isinstance(pairs, tuple) else pairs.rp_contamination,
    }
    return {name: {str(unit): float(value) for unit, value in values.items()} for name, values in collected.items()}


if __name__ == "__main__":
    verb, place = sys.argv[1], Path(sys.argv[2])
    print(json.dumps({"export": export, "open": open_ours, "metrics": metrics}[verb](place)))
