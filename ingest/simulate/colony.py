"""Writes a simulated lab: the ALF tree of every mouse, the tables a lab keeps by hand, and the truth behind them."""

from __future__ import annotations

import csv
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np

from pipeline.errors import NeurojointError

from . import damage, files
from .mice import PROTOCOLS, Career, Mouse, make_mouse, next_weight
from .session import SessionParams, simulate_trials
from .wheel import simulate_wheel

DEFAULT_START = date(2023, 9, 4)  # a Monday
PROJECT = "simulated_learning"
USERS = ("ada", "cajal", "marr")
IBLRIG_VERSIONS = {7: "7.2.6", 8: "8.15.6"}
FORM_CYCLE = ("npy", "table", "npy", "plain", "table", "npy", "revision", "npy")
TABLES = {
    "subjects": "lab,subject,subject_uuid,sex,birth_date,death_date,species,line,strain,source,responsible_user,"
    "projects,protocol_number,cage,ear_mark,description,reference_weight,implant_weight",
    "weighings": "lab,subject,weighing_time,weight,user",
    "water": "lab,subject,administration_time,volume,water_type,adlib,user,session_number",
    "restrictions": "lab,subject,start_time,end_time,reference_weight",
}


def write_lab(
    root: Path | str,
    n_mice: int = 4,
    n_sessions: int = 20,
    seed: int = 0,
    lab: str = "simlab",
    start: date = DEFAULT_START,
    form: str = "mixed",
    wheel: bool = True,
    damaged: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a simulated lab below `root` and return the path of its `truth.json`.

    Parameters
    ----------
    root
        Data root; made if absent. It must not hold a folder named `lab`.
    n_mice, n_sessions
        Mice, and sessions of each mouse. Sessions are on weekdays from `start`; some days have two.
    seed
        The same arguments and the same versions of numpy and pyarrow give the same bytes.
    form
        How trials are stored: one of `files.FORMS`, or `mixed` for all of them in turn.
    wheel
        Write wheel traces too, and camera times for every fifth session (they are most of the bytes).
    damaged
        Add one session per kind of damage, of a subject named `damaged_<kind>`, and list in `truth.json` what an ingest
        must say of it.
    progress
        Called after each session with the number of sessions done and their total.

    Raises
    ------
    NeurojointError
        `form` is unknown, a number is not positive, or `root` holds the lab already.
    """
    root = Path(root)
    if form != "mixed" and form not in files.FORMS:
        raise NeurojointError(f"unknown form of trials {form!r}", f"use mixed, {', '.join(files.FORMS)}")
    if n_mice < 1 or n_sessions < 1:
        raise NeurojointError("a lab needs at least one mouse and one session", "give positive numbers")
    if (root / lab).exists():
        raise NeurojointError(f"{root / lab} exists already", "choose another folder or another lab name")
    rows = {name: [] for name in TABLES}
    truth = {
        "lab": lab,
        "seed": seed,
        "time_zone": "UTC",
        "project": PROJECT,
        "mice": {},
        "sessions": [],
        "damaged": [],
    }
    known = {}
    (root / "truth").mkdir(parents=True, exist_ok=True)
    for index in range(n_mice):
        rng = np.random.default_rng([seed, index])
        mouse = make_mouse(index, start, rng)
        sessions = []
        for session in _mouse_life(mouse, index, n_sessions, start, lab, rows, rng):
            number = len(sessions)
            stored = FORM_CYCLE[number % len(FORM_CYCLE)] if form == "mixed" else form
            file_rng = np.random.default_rng([seed, index, number])  # behaviour is the same whatever is written
            sessions.append(_write_session(root, lab, session, stored, number, wheel, file_rng))
            if sessions[-1]["eid"] is not None:
                known[sessions[-1]["path"]] = _known(session, sessions[-1]["eid"])
            if progress:
                progress(index * n_sessions + number + 1, n_mice * n_sessions)
        truth["mice"][mouse.subject] = _mouse_truth(mouse, sessions)
        truth["sessions"] += sessions
    if damaged:
        truth["damaged"] = damage.write_damaged(root, lab, start, seed)
    for name, header in TABLES.items():
        _write_csv(root / f"{name}.csv", header, rows[name], lab)
    (root / "sessions.json").write_text(json.dumps(known, indent=1), encoding="utf-8")
    path = root / "truth.json"
    path.write_text(json.dumps(truth, indent=1), encoding="utf-8")
    return path


def _mouse_life(
    mouse: Mouse, index: int, n_sessions: int, start: date, lab: str, rows: dict, rng: np.random.Generator
) -> Iterator[dict]:
    """Yield the sessions of a mouse, day by day, while appending its rows to the tables of the lab."""
    user = USERS[index % len(USERS)]
    career, weight, done, training_day = Career(), mouse.reference_weight, 0, 0
    day = start - timedelta(days=5)
    restricted = start - timedelta(days=1)
    while done < n_sessions:
        weekend = day.weekday() >= 5
        if day < start:
            weight = mouse.reference_weight + (0.1 * rng.standard_normal() if day < restricted else 0.0)
        else:
            weight = next_weight(mouse, weight, weekend, rng)
        minute = int(rng.integers(0, 150))
        weighed = datetime.combine(day, time(9), UTC) + timedelta(minutes=minute)
        rows["weighings"].append((mouse.subject, _iso(weighed), f"{weight:.1f}", user))
        earned = 0.0
        if day >= start and not weekend:
            twice = training_day % mouse.second_session_every == mouse.second_session_every - 1
            for number in (1, 2) if twice else (1,):
                if done == n_sessions:
                    break
                begin = weighed + timedelta(minutes=10, seconds=int(rng.integers(60)), hours=4 * (number - 1))
                share = 1.0 if number == 1 else 0.4
                params = mouse.session_params(training_day, career, rng, share)
                trials = simulate_trials(params, rng)
                end = begin + timedelta(seconds=round(float(trials["intervals_1"][-1]), 3))
                water = round(float(trials["reward_volume"].sum()) / 1000, 4)
                earned += water
                rows["water"].append((mouse.subject, _iso(end), water, "Water 10% Sucrose", 0, user, number))
                yield {
                    "mouse": mouse, "career": career, "params": params, "trials": trials, "number": number,
                    "user": user, "start_time": begin, "end_time": end, "weight": round(weight, 1), "index": index,
                    "version": 7 if (index + done) % 2 == 0 else 8, "training_day": training_day,
                }  # fmt: skip
                career.after(params, trials, weight)
                done += 1
            training_day += 1
        if day >= restricted:
            _top_up(mouse, day, weight, earned, user, rows, rng)
        day += timedelta(days=1)
    _close(mouse, day, restricted, n_sessions, user, rows, rng)


def _top_up(
    mouse: Mouse, day: date, weight: float, earned: float, user: str, rows: dict, rng: np.random.Generator
) -> None:
    """Water outside the task: on weekends citric acid water ad libitum, else what is missing to 1 mL per 25 g."""
    when = datetime.combine(day, time(17, int(rng.integers(60))), UTC)
    if day.weekday() >= 5:
        volume = f"{rng.uniform(1.2, 2.4):.2f}" if day.weekday() == 5 else ""
        rows["water"].append((mouse.subject, _iso(when), volume, "Citric Acid Water 2%", 1, user, ""))
    elif earned < weight / 25:
        kind = "Hydrogel" if rng.random() < 0.3 else "Water"
        rows["water"].append((mouse.subject, _iso(when), f"{weight / 25 - earned:.2f}", kind, 0, user, ""))


def _close(
    mouse: Mouse, day: date, restricted: date, n_sessions: int, user: str, rows: dict, rng: np.random.Generator
) -> None:
    """The subject's own row and its restriction; a mouse that did not learn in 40 sessions leaves the colony."""
    culled = mouse.kind == "never" and n_sessions >= 40
    row = (
        mouse.subject, _uuid4(rng), mouse.sex, mouse.birth_date, day if culled else "", "Laboratory mouse", "C57BL/6J",
        "C57BL/6J", "Jax", user, PROJECT, 3, f"cage{1 + int(rng.integers(20)):02d}", "RLB"[int(rng.integers(3))],
        f"simulated mouse, kind {mouse.kind}", mouse.reference_weight, 0.0,
    )  # fmt: skip
    rows["subjects"].append(row)
    begin, end = datetime.combine(restricted, time(17), UTC), datetime.combine(day, time(8), UTC)
    rows["restrictions"].append((mouse.subject, _iso(begin), _iso(end) if culled else "", mouse.reference_weight))


def _write_session(
    root: Path, lab: str, session: dict, form: str, number: int, wheel: bool, rng: np.random.Generator
) -> dict:
    """Write the files of one session; returns its truth."""
    mouse, params, trials, career = (session[name] for name in ("mouse", "params", "trials", "career"))
    eid = _uuid4(rng) if number % 10 < 7 else None
    begin: datetime = session["start_time"]
    path = Path(lab, "Subjects", mouse.subject, f"{begin:%Y-%m-%d}", f"{session['number']:03d}")
    alf = root / path / "alf"
    files.write_trials(alf, trials, form)
    files.write_licks(alf, trials, rng)
    ephys_rig = "ephys" in career.stage
    n_moves = None
    if wheel:
        trace = simulate_wheel(trials, rng, ticks=4096 if ephys_rig else 1024)
        files.write_wheel(alf, trace)
        n_moves = len(trace.onsets)
        name = f"{mouse.subject}_{begin:%Y-%m-%d}_{session['number']:03d}.npz"
        moves = {"onsets": trace.onsets, "offsets": trace.offsets, "amplitudes": trace.amplitudes}
        np.savez(root / "truth" / name, **moves)
        if number % 5 == 0:
            files.write_camera(alf, float(trials["intervals_1"][-1]), rng)
    rig = f"_iblrig_{lab}_{'ephys' if ephys_rig else 'behavior'}_{session['index'] % 4}"
    delay = 900 + 60 * int(rng.integers(10)) if career.stage == "ephys" else 0
    water = round(float(trials["reward_volume"].sum()), 1)
    info = {
        "lab": lab, "subject": mouse.subject, "user": session["user"], "project": PROJECT, "number": session["number"],
        "start_time": begin.replace(tzinfo=None), "end_time": session["end_time"].replace(tzinfo=None), "rig": rig,
        "protocol": PROTOCOLS[career.stage], "version": IBLRIG_VERSIONS[session["version"]], "delay": delay,
        "weight": session["weight"], "n_trials": params.n_trials, "water": water, "contrasts": params.contrasts,
        "n_correct": int(np.sum(trials["feedback_type"] == 1)), "reward_volume": params.reward_volume,
    }  # fmt: skip
    files.write_settings(root / path, info, session["version"])
    return {
        "path": path.as_posix(), "eid": eid, "subject": mouse.subject,
        "date": f"{begin:%Y-%m-%d}", "number": session["number"], "start_time": _iso(begin),
        "end_time": _iso(session["end_time"]), "form": form, "stage": career.stage, "protocol": info["protocol"],
        "task_protocol": info["protocol"] + info["version"], "rig": rig, "delay": delay, "user": session["user"],
        "training_day": session["training_day"], "phase": career.phase, "n_trials": params.n_trials,
        "n_correct": info["n_correct"], "water": round(water / 1000, 4), "weight": session["weight"],
        "n_moves": n_moves, **_generating(params),
    }  # fmt: skip


def _generating(params: SessionParams) -> dict:
    """The generating parameters that an analysis can be held against."""
    return {
        "blocks": {str(p): asdict(curve) for p, curve in params.blocks.items()},
        "rt_median": {f"{100 * c:g}": round(params.rt_median(c), 4) for c in params.contrasts},
        "rt_sigma": params.rt_sigma,
        "no_go_rate": params.no_go_rate,
        "reward_volume": params.reward_volume,
    }


def _known(session: dict, eid: str) -> dict:
    version = IBLRIG_VERSIONS[session["version"]]
    return {
        "eid": eid,
        "start_time": session["start_time"].replace(tzinfo=None).isoformat(),
        "task_protocol": PROTOCOLS[session["career"].stage] + version,
        "users": [session["user"]],
        "projects": [PROJECT],
    }


def _mouse_truth(mouse: Mouse, sessions: list[dict]) -> dict:
    firsts = {}
    for session in sessions:
        firsts.setdefault(session["stage"], session["date"])
    return {**json.loads(json.dumps(asdict(mouse), default=str)), "first_date_of_stage": firsts}


def _write_csv(path: Path, header: str, rows: list[tuple], lab: str) -> None:
    with path.open("w", newline="", encoding="utf-8") as out:
        out.write(header + "\n")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerows((lab, *row) for row in rows)


def _iso(when: datetime) -> str:
    return when.isoformat().replace("+00:00", "Z")


def _uuid4(rng: np.random.Generator) -> str:
    return str(uuid.UUID(bytes=rng.bytes(16), version=4))
