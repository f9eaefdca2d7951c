"""A small program that speaks the protocol of sorters: crossings of a threshold, one unit for each channel.

`python toy_sorter.py JOB.json`; the parameter `mode` says what goes wrong.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np


def main(path: str) -> None:
    job = json.loads(Path(path).read_text())
    parameters, output = job["parameters"], Path(job["output"])
    mode = parameters.get("mode", "phy")
    print("environment:", " ".join(sorted(name for name in os.environ if "NEUROJOINT" in name)), flush=True)
    Path(job["scratch"], "temporary.bin").write_bytes(bytes(1000))
    if mode == "fail":
        print("working 10%\rworking 20%\nno GPU found", flush=True)
        np.save(output / "spike_times.npy", np.arange(3))
        sys.exit(3)
    if mode == "hang" or (mode == "hang_once" and not Path(parameters["marks"]).exists()):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(parameters["marks"]).write_text(f"{os.getpid()} {child.pid}")
        time.sleep(600)
    samples, clusters = detect(job, parameters.get("threshold", 60.0))
    if mode == "nothing":
        return
    if mode == "beyond":
        samples = samples + job["n_samples"]
    if mode == "numpy_folder":
        folder = output / "sorting"
        folder.mkdir()
        ids, index = np.unique(clusters, return_inverse=True)
        kind = [("sample_index", "i8"), ("unit_index", "i8"), ("segment_index", "i8")]
        spikes = np.zeros(len(samples), kind)
        spikes["sample_index"], spikes["unit_index"] = samples, index
        np.save(folder / "spikes.npy", spikes)
        (folder / "numpysorting_info.json").write_text(json.dumps({"unit_ids": [str(id_) for id_ in ids]}))
    else:
        np.save(output / "spike_times.npy", samples[:, None])
        np.save(output / "spike_clusters.npy", clusters)
        lines = [f"{item}\tgood" for item in np.unique(clusters)]
        (output / "cluster_KSLabel.tsv").write_text("\n".join(["cluster_id\tKSLabel", *lines]) + "\n")
    (output / "sorter.json").write_text(json.dumps({"sorter": "toy", "version": "toy 7"}))


def detect(job: dict, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Samples at which a channel falls below -threshold (uV) and no other channel is lower within 0.5 ms."""
    raw = np.memmap(job["recording"], np.int16, "r").reshape(-1, job["n_channels"])
    signal = raw[:, job["channels"]] * np.array(job["uv_per_bit"])
    low, best = signal.min(axis=1), signal.argmin(axis=1)
    below = np.flatnonzero(low < -threshold)
    window = np.arange(-15, 16)
    lowest = low[(below[:, None] + window).clip(0, len(low) - 1)].min(axis=1)
    result = below[low[below] == lowest]
    result = result[np.diff(result, prepend=-100) > 15]
    return result, 10 * best[result]


if __name__ == "__main__":
    main(sys.argv[1])
