"""The probes of one session of the simulated lab, with the first second of raw samples where that is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from .files import write_insertion, write_probes
from .insertion import simulate_insertion
from .recording import write_recording
from .track import TRACKS

AP_SECONDS, LF_SECONDS = 1.0, 4.0


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
