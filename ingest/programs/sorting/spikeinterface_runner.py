"""Runs a sorter of SpikeInterface for one job: `python spikeinterface_runner.py JOB.json`.

It runs in SpikeInterface's environment and needs nothing of neurojoint. The job's parameters are those of the sorter,
but for `sorter`: the name of another sorter of SpikeInterface than the job's.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path


def main(path: str) -> None:
    """Sort; leaves `sorting/` (numpysorting_info.json, spikes.npy) and `sorter.json` in the job's output folder."""
    import spikeinterface.core as core
    import spikeinterface.sorters as sorters
    from probeinterface import Probe

    job = json.loads(Path(path).read_text(encoding="utf-8"))
    if job["protocol"] != 1:
        raise SystemExit(f"this program knows jobs of protocol 1, not {job['protocol']}")
    parameters = dict(job["parameters"])
    name = parameters.pop("sorter", job["sorter"])
    core.set_global_job_kwargs(n_jobs=job["threads"], progress_bar=False)
    recording = core.read_binary(
        [job["recording"]],
        sampling_frequency=job["sampling_rate"],
        dtype="int16",
        num_channels=job["n_channels"],
    )
    recording = recording.select_channels([recording.channel_ids[column] for column in job["channels"]])
    recording.set_channel_gains(job["uv_per_bit"])
    recording.set_channel_offsets([0.0] * len(job["channels"]))
    probe = Probe(ndim=2, si_units="um")
    probe.set_contacts(
        positions=job["positions"],
        shapes="square",
        shape_params={"width": 12},
        shank_ids=[str(shank) for shank in job["shanks"]],
    )
    probe.set_device_channel_indices(list(range(len(job["channels"]))))
    recording = recording.set_probe(probe) or recording  # older versions return another one
    folder = Path(job["scratch"]) / "sorter"
    sorting = sorters.run_sorter(
        name,
        recording,
        folder=folder,
        remove_existing_folder=True,
        delete_output_folder=False,
        verbose=True,
        **parameters,
    )
    output = Path(job["output"])
    sorting.save(folder=output / "sorting", format="numpy_folder", overwrite=True)
    version = f"{name} {sorters.sorter_dict[name].get_sorter_version()}, spikeinterface "
    said = {"sorter": name, "version": version + importlib.metadata.version("spikeinterface")}
    (output / "sorter.json").write_text(json.dumps(said), encoding="utf-8")
    print(f"{len(sorting.unit_ids)} units", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
