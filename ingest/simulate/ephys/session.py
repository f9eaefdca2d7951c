"""The probes of one session of the simulated lab, with the first second of raw samples where that is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .files import write_insertion, write_probes
from .insertion import simulate_insertion
from .recording import write_recording
from .track import TRACKS

AP_SECONDS, LF_SECONDS = 1.0, 4.0
TRACKS_HEADER = "lab,subject,session_date,session_number,probe,provenance,x,y,z,depth,theta,phi,roll"
"""Of trajectories.csv."""


def write_probes_of_session(
    session: Path, trials: Mapping[str, np.ndarray], n_probes: int, n_units: int, seed: list[int], raw: bool = False
) -> list[dict]:
    """Write the insertions of one session; returns the truth of each, with its label as `probe`.

    Parameters
    ----------
    session : the session's folder.
    trials : what the units respond to.
    n_probes : 1 or 2; the tracks are those of `TRACKS` in turn, the labels probe00 and probe01.
    n_units : of each probe.
    raw : write a second of raw AP samples and four of LF for the first probe too (31 MB).
    """
    insertions = {}
    for number, track in zip(range(n_probes), TRACKS, strict=False):
        rng = np.random.default_rng([*seed, number])
        drift = round(float(rng.normal(0, 15)), 1)
        one = simulate_insertion(trials, n_units, rng, track=track, drift=drift)
        insertions[f"probe{number:02d}"] = one
        write_insertion(session, one, f"probe{number:02d}")
    write_probes(session, insertions)
    if raw:
        for band, seconds in (("ap", AP_SECONDS), ("lf", LF_SECONDS)):
            write_recording(session, insertions["probe00"], seconds, band=band, start=60.0)
    return [{"probe": label, **one.truth} for label, one in insertions.items()]


def known_tracks(truth: Mapping[str, Any], rng: np.random.Generator) -> list[tuple]:
    """What a lab knows of the track of an insertion: planned, read from the manipulator, and as it was.

    Rows of trajectories.csv from the probe on; `truth` is that of an insertion.
    """
    true = truth["trajectory"]
    planned = {name: round(value / 100) * 100.0 for name, value in true.items()}
    planned |= {name: true[name] for name in ("theta", "phi", "roll")}
    reached = {name: round(value + 40 * rng.standard_normal(), 1) for name, value in true.items()}
    reached |= {name: round(true[name] + rng.standard_normal(), 1) for name in ("theta", "phi")} | {"roll": 0.0}
    told = {"planned": planned, "micro_manipulator": reached, "ephys_aligned": true}
    return [(truth["probe"], name, *(one[part] for part in true)) for name, one in told.items()]
