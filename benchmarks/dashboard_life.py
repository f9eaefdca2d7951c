"""Simulated mice of several labs for the measurements of the dashboard: the plan of each, and its life as rows."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ingest.simulate.calendar import Course
from ingest.simulate.life import live
from ingest.simulate.mice import KINDS, Mouse, make_mouse

LABS = {
    "alder": "Europe/London", "birch": "America/New_York", "cedar": "Europe/Lisbon", "hazel": "America/Los_Angeles",
    "larch": "Europe/Paris", "maple": "Asia/Tokyo", "rowan": "Europe/Zurich", "willow": "America/Chicago",
}  # fmt: skip
LINES = ("C57BL/6J", "C57BL/6J", "C57BL/6J", "Sert-Cre", "Thy1-GCaMP6s", "PV-Cre;Ai32")
PROJECTS = ("brainwide", "brainwide", "behaviour", "aging", "serotonin")
GIVEN = ("ada", "ben", "chloe", "dario", "emi", "farid", "greta", "hugo")
KIND_SHARES = {"average": 0.66, "fast": 0.12, "slow": 0.14, "never": 0.05, "side_biased": 0.03}
HISTORY_DAYS = 540
UNREAD = ("pending", "pending", "failed", "absent", "refused")  # what a few last sessions are, in turn


@dataclass(frozen=True)
class Plan:
    """One mouse to be simulated."""

    index: int
    lab: str
    mouse: Mouse
    user: str
    line: str
    project: str
    start: datetime.date
    n_sessions: int
    is_alive: bool
    keep_trials: bool
    unread: str  # "" or what became of the last session


def make_plans(n_mice: int, n_sessions: int, labs: Sequence[str], today: datetime.date, seed: int) -> list[Plan]:
    """The mice: when each began, and how many sessions it has; the sum is `n_sessions`."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(list(KIND_SHARES), n_mice, p=list(KIND_SHARES.values()))
    mean = n_sessions / n_mice
    longest = 7 / 5 * mean
    starts = [today - datetime.timedelta(days=int(age)) for age in np.sort(rng.uniform(4, HISTORY_DAYS, n_mice))[::-1]]
    mice, wanted, room = [], [], []
    for index, (kind, start) in enumerate(zip(kinds, starts, strict=True)):
        mouse = make_mouse(list(KINDS).index(kind), start, np.random.default_rng([seed, index]))
        mice.append(
            replace(
                mouse,
                subject=f"{labs[index % len(labs)][:2].upper()}_{index + 1:03d}",
                halfway=min(400.0, mouse.halfway * float(rng.lognormal(0, 0.35))),
                slope=mouse.slope * float(rng.uniform(1, 1.5)),
                sex="MF"[int(rng.integers(2))],
            )
        )
        idle = int(rng.choice([0, 0, 0, 1, 1, 4, 9]))
        room.append(max(1, _sessions_until(today - datetime.timedelta(days=idle), start, mouse.second_session_every)))
        wanted.append(float(np.clip(rng.normal(longest, mean / 4), mean / 2, None)))
    room, wanted = np.array(room), np.array(wanted)
    counts = np.minimum(np.round(wanted).astype(int), room)
    while (missing := n_sessions - int(counts.sum())) and (places := np.flatnonzero(_open(counts, room, missing))).size:
        counts[rng.choice(places, min(abs(missing), places.size), replace=False)] += np.sign(missing)
    alive = counts >= room
    plans, turn = [], 0
    for index, (mouse, start) in enumerate(zip(mice, starts, strict=True)):
        lab = labs[index % len(labs)]
        unread = ""
        if alive[index] and alive[:index].sum() % 3 == 2:
            unread, turn = UNREAD[turn % len(UNREAD)], turn + 1
        user = GIVEN[(index % len(labs) + index // len(labs) % 3) % len(GIVEN)]
        plans.append(
            Plan(index, lab, mouse, user, str(rng.choice(LINES)), str(rng.choice(PROJECTS)), start,
                 int(counts[index]), bool(alive[index]), index >= n_mice - 2 * len(labs), unread)
        )  # fmt: skip
    return plans


def simulate(plan: Plan) -> dict[str, Any]:
    """The life of one mouse, as columns of the tables without the animal's key."""
    from pipeline.analysis import behavior_columns, criteria, daily, performance, psychometrics, records, training

    rng = np.random.default_rng([1, plan.index])
    by_hand: dict[str, list] = {"weighings": [], "water": [], "restrictions": [], "subjects": []}
    sessions = list(live(plan.mouse, plan.user, plan.n_sessions, Course(plan.start), by_hand, rng))
    shift = _hours_behind(LABS.get(plan.lab, "UTC"))
    read = sessions[:-1] if plan.unread else sessions
    life: dict[str, Any] = {"sessions": [], "read": [], "performance": [], "fits": [], "blocks": [], "trials": []}
    for session in sessions:
        life["sessions"].append({
            "session_date": session.start_time.date(), "session_number": session.number,
            "start_time": (session.start_time + shift).replace(tzinfo=None),
            "end_time": (session.end_time + shift).replace(tzinfo=None), "task_protocol": session.protocol + "6.4.2",
            "rig": f"_iblrig_{plan.lab}_{'ephys' if session.on_ephys_rig else 'behavior'}_{plan.index % 4}",
            "start_delay": float(session.delay), "water": session.water,
        })  # fmt: skip
    problems, fitted = [], []
    for session in read:
        trials, key = session.trials, {"session_date": session.start_time.date(), "session_number": session.number}
        row = performance.session_performance(trials)
        life["read"].append(key | {
            "n_trials": row.pop("n_trials"), "trials_start": trials["intervals_0"][0],
            "trials_end": trials["intervals_1"][-1], "columns_present": list(trials),
        })  # fmt: skip
        life["performance"].append(key | behavior_columns.as_lists(row))
        blocks = performance.blocks(trials)
        fitted.append((key, blocks))
        problems += [(block["contrasts"], block["contrast_n"], block["contrast_n_right"]) for block in blocks.values()]
        if plan.keep_trials:
            life["trials"].append(key | {"trial_id": np.arange(len(trials["choice"]))} | trials)
    fits, place = psychometrics.fit_batch(problems) if problems else [], 0
    for key, blocks in fitted:
        own = {p: fits[place + i] for i, p in enumerate(blocks)}
        place += len(blocks)
        life["fits"].append(key | {"n_blocks": len(blocks), "bias_shift": psychometrics.block_bias_shift(own)})
        life["blocks"] += [key | behavior_columns.of_block(p, block, own[p]) for p, block in blocks.items()]
    past = [
        records.session_record(
            s.trials, s.start_time.date(), s.number, s.protocol, s.on_ephys_rig, float(s.delay), task_collection="alf"
        )
        for s in read
    ]
    life["training"] = {name: training.evaluate(past, rules) for name, rules in criteria.RULE_SETS.items()}
    life["days"] = daily.summarise_days([s.start_time.date() for s in read], [s.trials for s in read])
    return life | _husbandry(plan, by_hand, shift)


def _husbandry(plan: Plan, by_hand: dict[str, list], shift: datetime.timedelta) -> dict[str, Any]:
    def utc(text: str) -> datetime.datetime:
        return (datetime.datetime.fromisoformat(text) + shift).replace(tzinfo=None)

    weighings = [{"weighing_time": utc(when), "weight": float(weight)} for _, when, weight, _ in by_hand["weighings"]]
    waters = [
        {"administration_time": utc(when), "water_volume": float(volume) if volume != "" else None,
         "water_type": kind.replace("Citric Acid Water 2%", "Water 2% Citric Acid"),
         "adlib": bool(free), "session_number": number or None}
        for _, when, volume, kind, free, _, number in by_hand["water"]
    ]  # fmt: skip
    last = weighings[-1]["weighing_time"]
    death = None if plan.is_alive else last.date() + datetime.timedelta(days=2)
    end = None if plan.is_alive else last + datetime.timedelta(days=1)
    restrictions = [
        {"restriction_start": utc(start), "restriction_end": end, "reference_weight": weight}
        for _, start, _, weight in by_hand["restrictions"]
    ]
    return {"weighings": weighings, "waters": waters, "restrictions": restrictions, "death": death}


def _open(counts: np.ndarray, room: np.ndarray, missing: int) -> np.ndarray:
    """Which mice, of those that have ended, can have a session more, or less where too many are planned."""
    return (counts < room - 1) if missing > 0 else (counts < room) & (counts > 1)


def _sessions_until(last: datetime.date, start: datetime.date, second_every: int) -> int:
    """Sessions on the working days from `start` to `last`, with the second ones that `live` makes."""
    days = max(0, int(np.busday_count(start, last + datetime.timedelta(days=1))))
    return days + days // second_every


def _hours_behind(zone: str) -> datetime.timedelta:
    """What brings a local winter time to UTC, in whole hours."""
    offset = datetime.datetime(2026, 1, 15, tzinfo=zoneinfo.ZoneInfo(zone)).utcoffset()
    return -(offset or datetime.timedelta())
