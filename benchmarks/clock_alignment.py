"""Claim: the clocks of two devices are aligned over two hours in less than 2 s, within 0.1 ms everywhere. The peer is
`ibldsp.utils.sync_timestamps` (ibl-neuropixel) on the first 800 of the same pulses, as it needs minutes for all.

Run: python -m benchmarks.clock_alignment
"""

from __future__ import annotations

import time

import numpy as np

from pipeline.analysis import clocks

HOURS = 2 * 3600.0
MOST_SECONDS, MOST_ERROR = 2.0, 1e-4
PEER_PULSES = 800


def count(times: np.ndarray, rate: float, ppm: float, offset: float, phase: float) -> np.ndarray:
    """What a device counts at these times, s, in whole samples; its rate wanders over half an hour."""
    return np.round((offset + times * (1 + ppm * 1e-6) + 0.002 * np.sin(times / 300 + phase)) * rate) / rate


def main() -> None:
    from ibldsp.utils import sync_timestamps

    clocks.align(np.arange(9.0), np.arange(9.0))  # what is loaded at the first call
    chance = np.random.default_rng(0)
    for name, pulses in (("square wave", np.arange(0.5, HOURS)), ("random", np.cumsum(chance.uniform(0.4, 1.6, 7200)))):
        pulses = pulses[pulses < HOURS]
        one, other = (30_000.0, 18.0, 0.0, 0.3), (30_003.2, -22.0, 0.21, 1.2)
        kept = chance.random(len(pulses)) > 0.01
        source, target = count(pulses, *one)[kept], count(pulses, *other)
        start = time.perf_counter()
        alignment = clocks.align(source, target)
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        convert, *_ = sync_timestamps(source[:PEER_PULSES], target[:PEER_PULSES])
        peer = time.perf_counter() - start
        start = time.perf_counter()
        clocks.align(source[:PEER_PULSES], target[:PEER_PULSES])
        same = time.perf_counter() - start
        moments = np.linspace(pulses[0], pulses[-1], 20_001)
        fine = [count(moments, 1e9, *device[1:]) for device in (one, other)]
        error = float(np.abs(alignment.clock.convert(fine[0]) - fine[1]).max())
        early = fine[0] < source[PEER_PULSES - 10]
        theirs = float(np.abs(convert(fine[0][early]) - fine[1][early]).max())
        assert seconds < MOST_SECONDS and error < MOST_ERROR, (seconds, error)
        print(
            f"{name}: {alignment.n_pulses:,} pulses in {seconds:.3f} s, error {error * 1e3:.4f} ms; "
            f"first {PEER_PULSES}: {same:.4f} s, peer {peer:.2f} s, "
            f"error {theirs * 1e3:.4f} ms; ratio {peer / same:.0f}"
        )


if __name__ == "__main__":
    main()
