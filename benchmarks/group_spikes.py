"""Claim: grouping 10^7 spikes by cluster is at least 10 times as fast as NumPy's stable argsort of the clusters.

Ids are int32, as sorters write them. For scale: how long the machine takes to read the ids twice and to write the
order once, which no grouping can do without.

    python -m benchmarks.group_spikes [--spikes 10000000] [--threads 4]
"""

import argparse
import sys
import time

import numpy as np

from pipeline.analysis import spikes

FASTER = 10  # the claim


def main() -> int:
    """Run, print, and return 0 where the claim holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=500)
    parser.add_argument("--spikes", type=int, default=10_000_000)
    parser.add_argument("--threads", type=int, help="of ours; by default all cores (NumPy uses one)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    rng = np.random.default_rng(chosen.seed)
    weight = rng.lognormal(0, 1, chosen.units)
    clusters = rng.choice(chosen.units, chosen.spikes, p=weight / weight.sum()).astype(np.int32)
    short, long = clusters.astype(np.int16), clusters.astype(np.int64)
    values = rng.random(chosen.spikes)
    grouping = spikes.group(clusters)
    expected = np.argsort(clusters, kind="stable")
    correct = np.array_equal(grouping.order, expected)
    correct &= np.array_equal(spikes.gather(values, grouping), values[expected])

    def at_least() -> None:
        clusters.max(), clusters.max()
        np.empty(clusters.size, np.int32).fill(0)

    calls = {
        "np.argsort, stable": lambda: np.argsort(clusters, kind="stable"),
        "np.argsort, stable, int16": lambda: np.argsort(short, kind="stable"),
        "np.argsort, stable, int64": lambda: np.argsort(long, kind="stable"),
        "group": lambda: spikes.group(clusters, threads=chosen.threads),
        "group, one thread": lambda: spikes.group(clusters, threads=1),
        "read ids twice, write order": at_least,
        "values in that order, numpy": lambda: values[grouping.order],
        "values in that order, gather": lambda: spikes.gather(values, grouping, chosen.threads),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(chosen.repeats):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - began)
    median = {name: float(np.median(taken)) for name, taken in seconds.items()}
    ratio = median["np.argsort, stable"] / median["group"]
    print(f"{chosen.spikes:.0e} spikes of {chosen.units} clusters")
    for name, taken in median.items():
        print(f"  {name:30s} {1e3 * taken:8.1f} ms")
    print(f"group is {ratio:.0f} times as fast as np.argsort", end=", ")
    print(f"{median['np.argsort, stable'] / median['group, one thread']:.0f} times on one thread, and takes", end=" ")
    print(f"{median['group'] / median['read ids twice, write order']:.1f} times what the memory alone does")
    print("the orders are", "equal" if correct else "DIFFERENT")
    met = ratio >= FASTER and correct
    print(f"claim: {FASTER} times as fast or more: {'met' if met else 'NOT met'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
