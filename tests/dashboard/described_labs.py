"""Three labs with tasks of their own, for the pages: `python -m tests.dashboard.described_labs ROOT` builds them.

What the tasks mean is in the settings of the environment (`NEUROJOINT_TASKS`, `NEUROJOINT_MODULES`), see `environment`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np

from tests.behavior import test_described_tasks as labs

BROKEN = "raise RuntimeError('this module does not load')\n"


def environment(folder: Path) -> dict[str, str]:
    """The settings of the three labs; the modules are written into `folder`. One of them is broken."""
    (folder / "portlab.py").write_text(labs.PORTS)
    (folder / "brokenlab.py").write_text(BROKEN)
    return {
        "NEUROJOINT_TASKS": json.dumps([labs.TONES, labs.ODOURS]),
        "NEUROJOINT_MODULES": json.dumps(["portlab", "brokenlab"]),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")])),
    }


def build(root: Path) -> None:
    """Write the files, register them, and compute everything."""
    import ingest
    import pipeline
    from pipeline import worker

    random = np.random.default_rng(11)
    labs.write(root, "auditory", "auditory_tone2afc", labs.tones(random))
    labs.write(root, "olfactory", "olfactory_discrimination", labs.odours(random))
    labs.light(root / "olfactory" / "Subjects" / "m1" / "2024-05-06" / "001" / "alf")
    labs.write(root, "foraging", "three_ports_v2", labs.ports())
    labs.write(root, "other", "gap_detection", labs.tones(random, 30) | {"choice": np.ones(30)})
    pipeline.connect()
    ingest.register(root, processes=1)
    worker.work(once=True, processes=1)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
