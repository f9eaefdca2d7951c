"""Claim: fits are at least 200 times as fast as psychofit's and in no session less likely.

Both fit the same counts in the same run on one thread: every recorded session and block that is at hand, and simulated
mice from naive to expert. psychofit is called as the published training status calls it (5 restarts) and, with
``--plotting``, as the published plots call it (10 restarts).

    python benchmarks/psychometric_fit.py [--sessions 300] [--plotting]
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import psychofit

from pipeline.analysis import conventions, psychometrics
from pipeline.analysis.psychometrics import PLOTTING, STATUS, Box, Problem

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "realdata" / "alf"
CONTRASTS = {  # signed contrasts (percent) in the order a mouse meets them
    "first": (-100, -50, 50, 100),
    "with 25": (-100, -50, -25, 25, 50, 100),
    "with 12.5": (-100, -50, -25, -12.5, 12.5, 25, 50, 100),
    "all": (-100, -50, -25, -12.5, -6.25, 0, 6.25, 12.5, 25, 50, 100),
    "biased": (-100, -25, -12.5, -6.25, 0, 6.25, 12.5, 25, 100),
}
EQUAL = 1e-3  # log likelihood within which two fits count as equally good
CHUNK = 20  # sessions that each side fits before the other has its turn
FASTER = 200  # the claim


def recorded() -> list[Problem]:
    """Counts of every recorded session, and of every block of 30 trials or more in those that have blocks."""
    problems = []
    for folder in sorted({file.parent for file in REAL_DATA.rglob("_ibl_trials.contrastLeft*.npy")}):
        column = {file.name.split(".")[1]: np.load(file) for file in folder.glob("_ibl_trials.*.npy")}
        contrast = conventions.signed_contrast(column["contrastLeft"], column["contrastRight"])
        right = conventions.right_choice(column["choice"])
        problems.append(psychometrics.counts(contrast, right))
        blocks, size = np.unique(column["probabilityLeft"], return_counts=True)
        for block in blocks[(size >= 30) & (blocks.size > 1)]:
            which = column["probabilityLeft"] == block
            problems.append(psychometrics.counts(contrast[which], right[which]))
    return problems


def simulated(size: int, seed: int) -> list[Problem]:
    """Counts of mice whose threshold and lapses fall as the task gets harder, in sessions of 100 to 1,000 trials."""
    rng = np.random.default_rng(seed)
    problems = []
    for _ in range(size):
        stage = rng.integers(len(CONTRASTS))
        contrasts = np.array(list(CONTRASTS.values())[stage], dtype=float)
        n = rng.multinomial(rng.integers(100, 1000), np.full(contrasts.size, 1 / contrasts.size))
        threshold = rng.lognormal(np.log((80, 50, 30, 20, 15)[stage]), 0.5)
        lapses = rng.beta(1, (3, 4, 6, 9, 9)[stage], 2)
        p = psychometrics.curve(contrasts, rng.normal(0, 12), threshold, *lapses)
        problems.append((contrasts, n, rng.binomial(n, np.clip(p, 0, 1))))
    return problems


def fit_with_psychofit(problem: Problem, box: Box, restarts: int) -> tuple[np.ndarray, float]:
    """Parameters and log likelihood as the published pipelines get them."""
    contrasts, n, n_right = problem
    lower = np.array([contrasts.min() if box.lower[0] is None else box.lower[0], *box.lower[1:]])
    upper = np.array([contrasts.max() if box.upper[0] is None else box.upper[0], *box.upper[1:]])
    start = np.array([contrasts.mean() if box.start[0] is None else box.start[0], *box.start[1:]])
    return psychofit.mle_fit_psycho(
        np.vstack([contrasts, n, n_right / n]),
        "erf_psycho_2gammas",
        parstart=start,
        parmin=lower,
        parmax=upper,
        nfits=restarts,
    )


def main() -> int:
    """Run, print, and return 0 where the claim holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=300, help="simulated sessions")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plotting", action="store_true", help="the box and restarts of the published plots")
    chosen = parser.parse_args()
    box, restarts = (PLOTTING, 10) if chosen.plotting else (STATUS, 5)

    real = recorded()
    problems = [p for p in real + simulated(chosen.sessions, chosen.seed) if np.all(p[1] > 0) and len(p[0]) > 1]
    order = np.random.default_rng(chosen.seed).permutation(len(problems))
    problems = [problems[i] for i in order]
    np.random.seed(chosen.seed)  # noqa: NPY002 - psychofit draws its restarts from the global generator
    psychometrics.fit_batch(problems[:2], box)  # compile

    theirs, their_likelihood, ratios, single_ratios, our_seconds, their_seconds = [], [], [], [], [], []
    for first in range(0, len(problems), CHUNK):
        chunk = problems[first : first + CHUNK]
        began = time.perf_counter()
        fits = [fit_with_psychofit(problem, box, restarts) for problem in chunk]
        slow = time.perf_counter() - began
        batch, single = [], []
        for _ in range(5):
            began = time.perf_counter()
            psychometrics.fit_batch(chunk, box)
            batch.append(time.perf_counter() - began)
            began = time.perf_counter()
            for problem in chunk:
                psychometrics.fit(*problem, box)
            single.append(time.perf_counter() - began)
        theirs += [parameters for parameters, _ in fits]
        their_likelihood += [likelihood for _, likelihood in fits]
        ratios.append(slow / np.median(batch))
        single_ratios.append(slow / np.median(single))
        our_seconds.append(np.median(batch) / len(chunk))
        their_seconds.append(slow / len(chunk))

    ours = psychometrics.fit_batch(problems, box)
    gain = ours.log_likelihood - np.array(their_likelihood)
    equal, better, worse = np.abs(gain) <= EQUAL, gain > EQUAL, gain < -EQUAL
    ratio = float(np.median(ratios))
    print(f"{len(problems)} fits, {len(real)} of them recorded, {'plotting' if chosen.plotting else 'status'} box")
    print(f"psychofit, {restarts} restarts   {1e3 * np.median(their_seconds):8.2f} ms per fit")
    print(f"neurojoint, in batches   {1e3 * np.median(our_seconds):8.3f} ms per fit: {ratio:.0f} times as fast")
    print(f"neurojoint, one by one   {np.median(single_ratios):.0f} times as fast")
    print(f"likelihood: equal {equal.mean():.1%}, better {better.mean():.1%}, worse {worse.mean():.1%} ({worse.sum()})")
    print(f"largest gain {gain.max():.2f}, largest loss {max(-gain.min(), 0):.1e} (natural log units)")
    same = equal & ours.identifiable
    names = psychometrics.PARAMETERS
    difference = np.abs(np.column_stack([ours.bias, ours.threshold, ours.lapse_low, ours.lapse_high]) - theirs)[same]
    middle = ", ".join(f"{name} {value:.0e}" for name, value in zip(names, np.median(difference, 0), strict=True))
    print(f"median difference of the parameters where equal and identifiable ({same.sum()}): {middle}")
    falling = ours.lapse_low + ours.lapse_high > 1
    print(
        f"falling curves (lapses above 1): {falling.sum()}, of them identifiable {(falling & ours.identifiable).sum()}"
    )
    return 0 if ratio >= FASTER and worse.mean() <= 0.01 else 1


if __name__ == "__main__":
    sys.exit(main())
