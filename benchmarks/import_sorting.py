"""`neurojoint import-sorting` of a Kilosort folder with 500 units and 10^7 spikes, beside reading it with phylib.

    python -m benchmarks.import_sorting [--spikes 10000000]

Claim: 10^7 spikes in less than 20 s and 2 GB. Prints seconds and the peak of memory. The folder has templates, places
and amplitudes, and no raw recording, so that nothing is measured in samples.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

MOST_SECONDS, MOST_KB = 20.0, 2_000_000  # of 10^7 spikes
N_UNITS, N_CHANNELS, RATE = 500, 384, 30_000
SESSION = "lab/Subjects/mouse/2024-05-01/001"


def write(folder: Path, n_spikes: int) -> None:
    """A folder as Kilosort 4 leaves it, with random spikes over two hours."""
    folder.mkdir(parents=True)
    chance = np.random.default_rng(0)
    units = chance.integers(0, N_UNITS, n_spikes).astype(np.int32)
    places = np.column_stack([32.0 * (np.arange(N_CHANNELS) % 2), 20.0 * (np.arange(N_CHANNELS) // 2)])
    templates = np.zeros((N_UNITS, 61, N_CHANNELS), np.float32)
    templates[np.arange(N_UNITS), 20, chance.integers(0, N_CHANNELS, N_UNITS)] = -0.2
    depths = chance.uniform(0, 3800, N_UNITS)
    arrays = {
        "spike_times": np.sort(chance.integers(0, 7200 * RATE, n_spikes)),
        "spike_clusters": units,
        "spike_templates": units,
        "amplitudes": chance.normal(20, 3, n_spikes).astype(np.float32),
        "spike_positions": np.column_stack([np.zeros(n_spikes), depths[units] + chance.normal(0, 5, n_spikes)]),
        "templates": templates,
        "channel_positions": places,
        "channel_map": np.arange(N_CHANNELS),
    }
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    (folder / "params.py").write_text(f"sample_rate = {RATE}.0\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spikes", type=int, default=10_000_000)
    n_spikes = parser.parse_args().spikes
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)  # the server of the database may run as another account
        root = Path(place) / "data"
        source = root / SESSION / "raw_ephys_data/probe00/kilosort4"
        write(source, n_spikes)
        np.save(root / SESSION / "_ibl_licks.times.npy", np.arange(10.0))
        import ingest
        import pipeline
        from ingest.programs.sorting import imports
        from pipeline.database import embedded
        from pipeline.settings import override

        with override(home=Path(place) / "home", prefix="bench_"):
            pipeline.connect()
            ingest.register(root, processes=1)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            start = time.perf_counter()
            (result,) = imports.import_folder(source)
            seconds = time.perf_counter() - start
            embedded.stop(Path(place) / "home")
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        spikes = [np.load(source / f"{name}.npy") for name in ("spike_times", "spike_clusters", "amplitudes")]
        order = np.argsort(spikes[1], kind="stable")
        grouped = [values[order] for values in spikes]
        plain = time.perf_counter() - start
    print(f"{result.n_units} units, {result.n_spikes:,} spikes: {seconds:.1f} s, peak {peak / 1e6:.2f} GB")
    print(f"(before it {before / 1e6:.2f} GB); numpy reads and groups the three arrays in {plain:.1f} s")
    print(f"ratio {seconds / plain:.1f}, {len(grouped)} arrays")
    assert seconds < MOST_SECONDS and peak < MOST_KB, (seconds, peak)


if __name__ == "__main__":
    main()
