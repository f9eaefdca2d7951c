"""Claim: columns that nobody foresaw cost little: ingest with 12 of them takes at most 1.3 times as long as without.

Also: `fetch_trials` of a session takes less than 50 ms, and a condition over the trials of 16,000 sessions is counted
in less than 3 s. The full size is `python benchmarks/trials.py --files 200 --sessions 16000` (10^7 trials, 6 GB); by
default all is small.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

import ingest
import pipeline
from benchmarks.own_home import own_home
from pipeline import acquisition, behavior, lab, subject
from pipeline.database.bulk import insert_many
from pipeline.queries.trial_counts import count_trials

KNOWN = ("stimOn_times", "stimOff_times", "goCue_times", "goCueTrigger_times", "firstMovement_times", "response_times",
         "feedback_times", "choice", "feedbackType", "contrastLeft", "contrastRight", "probabilityLeft", "rewardVolume",
         "quiescencePeriod", "itiDuration", "repNum")  # fmt: skip
UNKNOWN = tuple(f"own{number}" for number in range(12))
CLAIMED_INGEST, CLAIMED_FETCH, CLAIMED_CONDITION = 1.3, 0.05, 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=12, help="sessions that are ingested from files, each way")
    parser.add_argument("--sessions", type=int, default=200, help="sessions over which a condition is counted")
    parser.add_argument("--trials", type=int, default=625, help="in each session")
    options = parser.parse_args()
    with own_home() as home:
        pipeline.connect()
        _ingest(home, options.files, options.trials)
        _query(options.sessions, options.trials)


def _ingest(home: Path, n_sessions: int, n_trials: int) -> None:
    """Half of the sessions have only columns of the program, the others 12 more; populated in turns."""
    root, random = home / "data", np.random.default_rng(1)
    for number in range(2 * n_sessions):
        own = UNKNOWN if number % 2 else ()
        alf = root / "lab" / "Subjects" / f"m{number}" / "2024-05-06" / "001" / "alf"
        alf.mkdir(parents=True)
        columns = _columns(n_trials, random)
        np.save(alf / "_ibl_trials.intervals.npy", columns["intervals"])
        for name in KNOWN:
            np.save(alf / f"_ibl_trials.{name}.npy", columns[name])
        for name in own:
            np.save(alf / f"_lab_trials.{name}.npy", random.random(n_trials))
    ingest.register(root)
    times: dict[bool, list[float]] = {False: [], True: []}
    behavior.TrialSet.populate({"subject": "m0"})
    for number in range(2, 2 * n_sessions):
        keys = (acquisition.Session & {"subject": f"m{number}"}).proj()
        start = time.perf_counter()
        behavior.TrialSet.populate(keys)
        times[bool(number % 2)].append(time.perf_counter() - start)
    without, with_own = (statistics.median(times[which]) for which in (False, True))
    print(f"ingest of a session of {n_trials} trials (medians of {n_sessions - 1}, in turns)")
    print(f"  18 columns            {1e3 * without:8.1f} ms")
    print(f"  and 12 of the lab's   {1e3 * with_own:8.1f} ms")
    print(f"  ratio                 {with_own / without:8.2f} (claimed: at most {CLAIMED_INGEST})")
    key = (behavior.TrialSet & {"subject": "m3"}).fetch1("KEY")
    fetches = [_timed(lambda: behavior.fetch_trials(key)) for _ in range(9)]
    print(
        f"fetch_trials, 30 columns {1e3 * statistics.median(fetches):7.1f} ms (claimed: below {1e3 * CLAIMED_FETCH:g})"
    )


def _query(n_sessions: int, n_trials: int) -> None:
    """Rows as `TrialSet.make` writes them, put in directly."""
    random = np.random.default_rng(2)
    lab.Lab.insert1({"lab": "big"}, skip_duplicates=True)
    subject.Subject.insert1({"lab": "big", "subject": "m", "subject_uuid": "0" * 36}, skip_duplicates=True)
    columns = _columns(n_trials, random)
    rows = {name: columns[alf] for name, alf in (("choice", "choice"), ("contrast_right", "contrastRight"),
            ("contrast_left", "contrastLeft"), ("response_times", "response_times"), ("go_cue_times", "goCue_times"),
            ("feedback_type", "feedbackType"), ("probability_left", "probabilityLeft"))}  # fmt: skip
    rows |= {f"intervals_{edge}": columns["intervals"][:, edge] for edge in (0, 1)}
    others = ("stim_on_times", "stim_off_times", "stim_on_trigger_times", "stim_off_trigger_times",
              "go_cue_trigger_times", "first_movement_times", "feedback_times", "reward_volume",
              "quiescence_period")  # fmt: skip
    rows |= {name: random.random(n_trials) for name in others}
    date = np.datetime64("2010-01-01")
    sets, trials = behavior.TrialSet(), behavior.TrialSet.Trial()
    sets._allow_insert = trials._allow_insert = True
    other = behavior.TrialSet.OtherColumn()
    other._allow_insert = True
    own = random.random(n_trials)
    for first in range(0, n_sessions, 100):
        numbers = range(first, min(first + 100, n_sessions))
        keys = [{"lab": "big", "subject": "m", "session_date": (date + number).item(), "session_number": 1}
                for number in numbers]  # fmt: skip
        acquisition.Session.insert([key | {"eid": f"{number:036d}"} for key, number in zip(keys, numbers, strict=True)])
        tasks = [key | {"task_collection": "alf"} for key in keys]
        acquisition.SessionTask.insert(task | {"task_number": 0} for task in tasks)
        common = {"trials_fingerprint": "0" * 32, "n_trials": n_trials, "trials_complete": True,
                  "columns_present": list(rows), "columns_absent": [], "columns_refused": {},
                  "columns_other": ["own"]}  # fmt: skip
        sets.insert([task | common for task in tasks], allow_direct_insert=True)
        whole = {name: np.repeat([task[name] for task in tasks], n_trials) for name in tasks[0]}
        whole["trial_id"] = np.tile(np.arange(n_trials), len(tasks))
        insert_many(trials, whole | {name: np.tile(values, len(tasks)) for name, values in rows.items()})
        other.insert([task | {"other_column": "own", "other_type": "float64", "other_values": own} for task in tasks],
                     allow_direct_insert=True)  # fmt: skip
    acquisition.Session().connection.query("ANALYZE")
    print(
        f"a condition over {n_sessions:,} sessions, {n_sessions * n_trials:,} trials (claimed: {CLAIMED_CONDITION} s)"
    )
    for condition in ("contrast_right >= 0.5 and choice == -1 and not response_times - go_cue_times > 2", "own > 0.9"):
        took = _timed(lambda condition=condition: count_trials(condition))
        print(f"  {took:8.2f} s  {condition}")


def _timed(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _columns(n: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    start = 5.0 * np.arange(n)
    right = random.random(n) < 0.5
    contrast = random.choice([0, 0.0625, 0.125, 0.25, 1.0], n)
    columns = {name: start + 0.1 * place for place, name in enumerate(KNOWN[:7])}
    return columns | {
        "intervals": np.column_stack([start - 0.2, start + 4.0]),
        "choice": random.choice([-1, 1], n),
        "feedbackType": random.choice([-1, 1], n),
        "contrastLeft": np.where(right, np.nan, contrast),
        "contrastRight": np.where(right, contrast, np.nan),
        "probabilityLeft": np.full(n, 0.5),
        "rewardVolume": np.full(n, 3.0),
        "quiescencePeriod": random.random(n),
        "itiDuration": random.random(n),
        "repNum": np.ones(n, int),
    }


if __name__ == "__main__":
    main()
