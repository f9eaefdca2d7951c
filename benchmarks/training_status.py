"""Training status of simulated mice against ibllib's own rules, trials without a response among them: equal on all.

python -m benchmarks.training_status --ibllib-python /tmp/ibl/bin/python [--mice 60]

Every mouse has a window of three dates, of a skill near the thresholds, in a training, biased, ephys or mixed course;
a share of its trials has no response (their time-out is a response time, as the rig writes it). brainbox judges the
window (`get_training_status`), and so does `pipeline.analysis.training.evaluate` by the rules `ibllib_4`. ibllib fits
with random starts: where the two differ, brainbox is asked again with other starts, and a window on which it disagrees
with itself counts as one on the edge.
"""

from __future__ import annotations

import argparse
import datetime
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import ibllib_peer
from ingest.simulate import Psychometric, SessionParams, simulate_trials
from pipeline.analysis.criteria import IBLLIB_4, WRONG
from pipeline.analysis.records import session_record
from pipeline.analysis.training import evaluate

COURSES = (("training",) * 3, ("biased",) * 3, ("ephys",) * 3, ("training", "training", "biased"))
NAMES = {
    "choice": "choice", "feedback_type": "feedbackType", "contrast_left": "contrastLeft",
    "contrast_right": "contrastRight", "probability_left": "probabilityLeft", "response_times": "response_times",
    "stim_on_times": "stimOn_times",
}  # fmt: skip
STARTS = 3  # how often brainbox is asked

CODE = """
from iblutil.util import Bunch
from brainbox.behavior import training
starts = int(given["starts"][0])
mouse, session = given["mouse"], given["session"]
columns = [name for name in given if name not in ("mouse", "session", "starts", "protocols", "on_rig", "delays")]
answers = []
for i in range(len(given["protocols"])):
    trials, dates = {}, [f"2026-01-0{5 + day}" for day in range(3)]
    for day, date in enumerate(dates):
        here = (mouse == i) & (session == day)
        trials[date] = Bunch({name: given[name][here] for name in columns})
    rig = [date for date, there in zip(dates, given["on_rig"][i]) if there]
    said = []
    for start in range(starts):
        np.random.seed(start)
        said.append(training.get_training_status(trials, list(given["protocols"][i]), rig, int(given["delays"][i]))[0])
    answers.append(said)
found = {"status": np.array(answers)}
"""


def main() -> None:
    """Make the mice, ask both, and print how many agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    ibllib_peer.add_option(parser)
    parser.add_argument("--mice", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    ibllib_peer.check(chosen.ibllib_python, "benchmarks.training_status")
    mice = [mouse(i, chosen.seed) for i in range(chosen.mice)]
    with tempfile.TemporaryDirectory() as folder:
        theirs = ibllib_peer.run(chosen.ibllib_python, CODE, Path(folder), as_arrays(mice))["status"]
    equal = edge = 0
    for (course, sessions, on_rig, late), answers in zip(mice, theirs, strict=True):
        ours = own_status(course, sessions, on_rig, late)
        said = {str(answer).replace(" ", "_") for answer in answers}
        equal += ours in said and len(said) == 1
        edge += ours in said and len(said) > 1
        if ours not in said:
            print(f"{'/'.join(course)}: ibllib {', '.join(sorted(said))}, here {ours}")
    n_no_go = sum(int((session["choice"] == 0).sum()) for _, sessions, _, _ in mice for session in sessions)
    counted = ", ".join(f"{status} {n}" for status, n in zip(*np.unique(theirs[:, 0], return_counts=True), strict=True))
    print(f"{chosen.mice} windows with {n_no_go} trials without a response ({counted})")
    print(f"equal: {equal}; equal to one of ibllib's answers, which depend on its random starts: {edge}")
    print(f"different: {chosen.mice - equal - edge}")
    raise SystemExit(int(chosen.mice > equal + edge))


def mouse(number: int, seed: int) -> tuple[tuple[str, ...], list[dict[str, np.ndarray]], list[bool], bool]:
    """The course of one mouse: protocols, trials of three dates, which were on an ephys rig, and a late start."""
    rng = np.random.default_rng([seed, number])
    course = COURSES[number % len(COURSES)]
    skill, size = rng.choice([0.01, 0.04, 0.07, 0.12]), rng.choice([220, 430, 600])
    sessions = []
    for day, kind in enumerate(course):
        shifts = (0.0,) if kind == "training" else (0.0, -8.0, 8.0)
        params = SessionParams(
            n_trials=int(size + rng.integers(-40, 40)),
            blocks={
                p: Psychometric(bias, rng.uniform(8, 20), skill, skill)
                for p, bias in zip((0.5, 0.2, 0.8), shifts, strict=False)
            },
            no_go_rate=float(rng.choice([0.0, 0.01, 0.05])),
        )
        trials = simulate_trials(params, seed=np.random.default_rng([seed, number, day]))
        sessions.append({name: trials[name] for name in NAMES})
    often = rng.choice([0.0, 0.5, 1.0])
    on_rig = [bool(kind != "training" and rng.random() < often) for kind in course]
    return course, sessions, on_rig, any(on_rig) and bool(rng.random() < 0.5)


def own_status(course: tuple[str, ...], sessions: list[dict], on_rig: list[bool], late: bool) -> str:
    """The status of the window by the rule set `ibllib_4`."""
    delayed = on_rig.index(True) if late else -1
    records = [
        session_record(
            trials, datetime.date(2026, 1, 5 + day), 1, f"{kind}ChoiceWorld", on_ephys_rig=there,
            start_delay=1000.0 if day == delayed else 0.0, no_go=WRONG,
        )
        for day, (kind, trials, there) in enumerate(zip(course, sessions, on_rig, strict=True))
    ]  # fmt: skip
    return evaluate(records, IBLLIB_4).sessions[-1].level or "in_training"


def as_arrays(mice: list) -> dict[str, np.ndarray]:
    """All trials of all mice in columns, as brainbox names them."""
    every = [(i, day, trials) for i, (_, sessions, _, _) in enumerate(mice) for day, trials in enumerate(sessions)]
    sizes = [len(trials["choice"]) for _, _, trials in every]
    columns = {theirs: np.concatenate([trials[ours] for *_, trials in every]) for ours, theirs in NAMES.items()}
    return columns | {
        "mouse": np.repeat([i for i, _, _ in every], sizes),
        "session": np.repeat([day for _, day, _ in every], sizes),
        "protocols": np.array([course for course, *_ in mice]),
        "on_rig": np.array([on_rig for _, _, on_rig, _ in mice]),
        "delays": np.array([int(late) for *_, late in mice]),
        "starts": np.array([STARTS]),
    }


if __name__ == "__main__":
    main()
