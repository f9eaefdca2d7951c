"""Spikes of many units for the benchmarks of ephys analyses: rates as uneven as real ones, on a 30 kHz clock."""

import numpy as np


def simulate(n_units: int, n_spikes: int, duration: float, seed: int) -> dict[str, np.ndarray]:
    """Times (s, ascending), clusters (not contiguous), amps (V) and depths (um) of all units' spikes.

    Seven in ten units have a refractory period of 1.5 ms; the others are contaminated.
    """
    rng = np.random.default_rng(seed)
    weight = rng.lognormal(0, 1, n_units)
    parts = []
    for unit, n in enumerate(rng.multinomial(n_spikes, weight / weight.sum())):
        period = 0.0015 if rng.random() < 0.7 else 0.0
        free = max(duration - 1 - period * n, 0.2 * duration)
        waits = rng.exponential(1.0, n + 1)
        times = np.cumsum(waits)[:-1] / waits.sum() * free + period * np.arange(n)
        amps = rng.lognormal(np.log(100e-6 * rng.uniform(0.4, 2)), 0.25, n)
        depths = 3840 * rng.random() + rng.normal(0, 15, n) + 10 * np.sin(times / duration * np.pi)
        parts.append((times, np.full(n, 2 * unit + unit // 7, dtype=np.int32), amps, depths))
    times, clusters, amps, depths = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(times, kind="stable")
    times = np.round(times[order] * 30_000) / 30_000
    return {"times": times, "clusters": clusters[order], "amps": amps[order], "depths": depths[order]}
