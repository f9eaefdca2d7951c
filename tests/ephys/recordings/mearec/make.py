"""Makes the recordings beside it: `python make.py FOLDER`, with MEArec 1.11; units of 120 uV on a row of four sites."""

import lzma
import sys
from pathlib import Path

import MEArec
import numpy as np

N, RATE = 4, 16_000.0


def templates() -> "MEArec.TemplateGenerator":
    """Two excitatory and two inhibitory cells, each beside a site of its own."""
    t = np.arange(64)
    shape = -np.exp(-(((t - 24) / 3.0) ** 2)) + 0.4 * np.exp(-(((t - 36) / 8.0) ** 2))
    near = np.exp(-np.abs(np.arange(N)[None] - np.arange(N)[:, None]))
    content = {
        "templates": (120 * shape[None, None] * near[:, :, None]).astype("float32"),
        "locations": np.column_stack([np.full(N, 20.0), np.zeros(N), 25.0 * np.arange(N) - 37.5]),
        "rotations": np.zeros((N, 3)),
        "celltypes": np.array(["STPC", "NBC", "STPC", "NBC"]),
    }
    electrodes = {"electrode_name": "line", "dim": [N, 1], "pitch": 25.0, "shape": "square", "size": 5.0,
                  "type": "mea", "plane": "yz", "description": "line"}  # fmt: skip
    params = {"fs": RATE, "dt": 1000 / RATE, "cut_out": [1.5, 2.5], "overhang": 30.0, "det_thresh": 30, "n": 1,
              "max_drift": 100.0, "min_amp": 30.0, "ncontacts": 1, "probe": "line", "rot": "norm", "seed": 0,
              "sim_time": 1, "target_spikes": [3, 50], "xlim": [10, 80], "ylim": None, "zlim": None,
              "drifting": False}  # fmt: skip
    return MEArec.TemplateGenerator(temp_dict=content, info={"electrodes": electrodes, "params": params})


def main(folder: Path) -> None:
    for name, bits in (("float32", None), ("int16", 12)):
        params = MEArec.get_default_recordings_params()
        params["spiketrains"].update(n_exc=1, n_inh=1, duration=0.1, f_exc=40, f_inh=60, st_exc=2, st_inh=2, min_rate=1)
        params["templates"].update(min_dist=5, min_amp=10, n_overlap_pairs=None, xlim=None)
        params["recordings"].update(fs=RATE, dtype=name, noise_level=8.0, filter=False, chunk_duration=0,
                                    adc_bit_depth=bits, lsb=None if bits is None else 0.5)  # fmt: skip
        params["cell_types"] = {"excitatory": ["STPC"], "inhibitory": ["NBC"]}
        made = MEArec.gen_recordings(params=params, tempgen=templates(), n_jobs=1, verbose=False)
        path = folder / f"mearec_{name}.h5"
        MEArec.save_recording_generator(made, path, verbose=False)
        path.with_suffix(".h5.xz").write_bytes(lzma.compress(path.read_bytes()))
        path.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
