"""Runs in an environment with phylib: `alf FOLDER OUT` turns a phy folder into ALF files, `open FOLDER` reads it.

Prints spikes and units as JSON.
"""

import json
import sys
from pathlib import Path

import numpy as np
from phylib.io.model import load_model


def main(verb: str, folder: Path, out: Path | None) -> dict:
    """Read the folder; with `alf` write it again as phylib's converter does."""
    model = load_model(folder / "params.py")
    if verb == "alf":
        from phylib.io.alf import EphysAlfCreator

        EphysAlfCreator(model).convert(out, label="")
    return {
        "samples": np.asarray(model.spike_samples).tolist(),
        "units": np.asarray(model.spike_clusters).tolist(),
        "times": np.asarray(model.spike_times).tolist(),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)))
