"""Measures: the movements of a session's wheel against brainbox's detector (ibllib), in the same run.

The trace is a simulated session of an hour and a half, as an encoder writes it. brainbox is given what its pipeline
gives it: the trace interpolated to 1 kHz, which is timed with it. Onsets, offsets and amplitudes must be equal.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import ibllib_peer
from ingest.simulate.session import SessionParams, simulate_trials
from ingest.simulate.wheel import simulate_wheel
from pipeline.analysis import encoder, wheel

PEER = """
from brainbox.behavior import wheel as peer
times = []
for _ in range(int(given["repeats"])):
    start = time.perf_counter()
    even, even_times = peer.interpolate_position(given["timestamps"], given["position"], freq=1000)
    thresholds = float(given["tick"]) * np.array([8, 1.5])
    moves = peer.movements(even_times, even, pos_thresh=thresholds[0], pos_thresh_onset=thresholds[1], make_plots=False)
    times.append(time.perf_counter() - start)
found = {"seconds": np.array(times), "onsets": moves[0], "offsets": moves[1], "amplitudes": moves[2]}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=900)
    parser.add_argument("--repeats", type=int, default=3)
    ibllib_peer.add_option(parser)
    options = parser.parse_args()
    ibllib_peer.check(options.ibllib_python, "benchmarks.wheel")
    trials = simulate_trials(SessionParams(n_trials=options.trials), seed=3)
    trace = simulate_wheel(trials, seed=3, ticks=4096)
    print(f"{trace.timestamps.size:,} samples in {trace.timestamps[-1] / 60:.0f} min")

    def ours() -> wheel.Movements:
        turned = encoder.in_radians(trace.position, trace.timestamps)
        return wheel.movements(turned.position, trace.timestamps, tick=encoder.TICK)

    movements, seconds = ours(), []
    for _ in range(options.repeats):
        start = time.perf_counter()
        ours()
        seconds.append(time.perf_counter() - start)
    with tempfile.TemporaryDirectory() as folder:
        given = {"timestamps": trace.timestamps, "position": trace.position}
        given |= {"tick": np.array(encoder.TICK), "repeats": np.array(options.repeats)}
        peer = ibllib_peer.run(options.ibllib_python, PEER, Path(folder), given)
    assert len(movements) == peer["onsets"].size, f"{len(movements)} movements, not {peer['onsets'].size}"
    np.testing.assert_allclose(movements.onsets, peer["onsets"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(movements.offsets, peer["offsets"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(movements.peak_amplitude, peer["amplitudes"], rtol=0, atol=1e-9)
    mine, its = min(seconds), float(peer["seconds"].min())
    print(f"{len(movements)} movements, onsets, offsets and amplitudes equal")
    print(f"neurojoint {mine * 1e3:.1f} ms (unit and direction changes with it), brainbox {its * 1e3:.0f} ms: "
          f"{its / mine:.0f} times")  # fmt: skip


if __name__ == "__main__":
    main()
