"""Claim: smoothed PETHs of 500 units around 700 events at least 50 times as fast as brainbox's, and equal to them.

brainbox's `calculate_peths` takes spikes in order of time; ours takes them grouped by cluster, which is done once for
all analyses of an insertion; the time with grouping is printed beside it.

    python -m benchmarks.peths --ibllib-python /tmp/ibl/bin/python [--units 500] [--events 700] [--threads 4]
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import ibllib_peer
from benchmarks.simulated_spikes import simulate
from pipeline.analysis import peths, spikes

FASTER = 50  # the claim
PRE, POST, BIN, SMOOTHING = 1.0, 1.0, 0.025, 0.025  # s
THEIRS = """
from brainbox.singlecell import calculate_peths
times, clusters, events = given["times"], given["clusters"], given["events"]
ids = np.unique(clusters)
pre, post, bin, smoothing = given["window"]
arguments = dict(pre_time=pre, post_time=post, bin_size=bin, smoothing=smoothing)
calculate_peths(times[:1000], clusters[:1000], ids[:2], events[:2], **arguments)
began = time.perf_counter()
result, binned = calculate_peths(times, clusters, ids, events, **arguments)
found = dict(means=result["means"], stds=result["stds"], tscale=result["tscale"], seconds=time.perf_counter() - began)
found["counts"] = binned.sum(axis=0)
"""


def seconds_of(function, repeats: int = 7) -> float:
    """Median seconds of a call."""
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        taken.append(time.perf_counter() - began)
    return float(np.median(taken))


def main() -> int:
    """Run, print, and return 0 where the claim holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ibllib_peer.add_option(parser)
    parser.add_argument("--units", type=int, default=500)
    parser.add_argument("--spikes", type=int, default=10_000_000)
    parser.add_argument("--events", type=int, default=700)
    parser.add_argument("--duration", type=float, default=4000.0, help="s")
    parser.add_argument("--threads", type=int, help="of ours; by default all cores (brainbox uses one)")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    ibllib_peer.check(chosen.ibllib_python, "benchmarks.peths")
    given = simulate(chosen.units, chosen.spikes, chosen.duration, chosen.seed)
    rng = np.random.default_rng(chosen.seed)
    given["events"] = np.sort(rng.uniform(10, chosen.duration - 10, chosen.events))
    given["window"] = np.array([PRE, POST, BIN, SMOOTHING])

    def group() -> tuple[np.ndarray, np.ndarray]:
        grouping = spikes.group(given["clusters"], threads=chosen.threads)
        return spikes.gather(given["times"], grouping, chosen.threads), grouping.offsets

    times, offsets = group()

    def ours(threads: int | None = chosen.threads) -> peths.Peths:
        return peths.peths(times, offsets, given["events"], PRE, POST, BIN, SMOOTHING, threads=threads)

    histograms = ours()
    before = seconds_of(ours)
    with tempfile.TemporaryDirectory() as folder:
        needed = {name: given[name] for name in ("times", "clusters", "events", "window")}
        theirs = ibllib_peer.run(chosen.ibllib_python, THEIRS, Path(folder), needed)
    mine = float(np.median([before, seconds_of(ours)]))
    grouping, single = seconds_of(group), seconds_of(lambda: ours(1))
    counting = seconds_of(lambda: peths.counts(times, offsets, given["events"], PRE, POST, BIN, chosen.threads))
    slow = float(theirs["seconds"])
    print(f"{chosen.units} units x {chosen.events} events, +-{PRE} s in bins of {BIN} s, smoothed over {SMOOTHING} s")
    print(f"brainbox                {slow:8.2f} s")
    print(f"neurojoint              {mine:8.4f} s   {slow / mine:.0f} times as fast")
    print(f"  one thread            {single:8.4f} s   {slow / single:.0f} times as fast")
    print(f"  with grouping before  {mine + grouping:8.4f} s   {slow / (mine + grouping):.0f} times as fast")
    print(f"counts alone            {counting:8.4f} s")
    counts = peths.counts(times, offsets, given["events"], PRE, POST, BIN).sum(axis=1)
    wrong = np.count_nonzero(counts != theirs["counts"])
    mean = np.abs(histograms.mean - theirs["means"]).max()
    std = np.abs(histograms.std - theirs["stds"]).max()
    print(f"differences: counts in {wrong} bins, mean {mean:.1e} Hz, standard deviation {std:.1e} Hz")
    print(f"of means up to {theirs['means'].max():.0f} Hz")
    met = slow / mine >= FASTER and wrong == 0 and max(mean, std) < 1e-6
    print(f"claim: {FASTER} times as fast or more, and equal: {'met' if met else 'NOT met'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
