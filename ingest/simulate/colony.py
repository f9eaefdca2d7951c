"""Writes a simulated lab: the ALF tree of every mouse, the tables a lab keeps by hand, and the truth behind them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import NeurojointError

from . import damage, files, streams
from .calendar import Course, ending
from .ephys import damage as damaged_insertions
from .ephys.session import TRACKS_HEADER, known_tracks, write_probes_of_session
from .life import PROJECT, TABLES, USERS, Session, iso, live, uuid4
from .mice import Mouse, make_mouse
from .wheel import simulate_wheel

DEFAULT_START = date(2023, 9, 4)  # a Monday
IBLRIG_VERSIONS = {7: "7.2.6", 8: "8.15.6"}
FORM_CYCLE = ("npy", "table", "npy", "plain", "table", "npy", "revision", "npy")


def write_lab(
    root: Path | str,
    n_mice: int = 4,
    n_sessions: int = 20,
    seed: int = 0,
    lab: str = "simlab",
    start: date = DEFAULT_START,
    last: date | None = None,
    form: str = "mixed",
    wheel: bool | Sequence[str] = True,
    damaged: bool = False,
    ephys: int = 0,
    n_units: int = 30,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a simulated lab below `root` and return the path of its `truth.json`.

    Parameters
    ----------
    root
        Data root; made if absent. It must not hold a folder named `lab`.
    n_mice, n_sessions
        Mice, and sessions of each mouse, on five days of the week; some days have two.
    seed
        The same arguments and the same versions of numpy and pyarrow give the same bytes.
    start, last
        The first date of all mice, who rest on Saturdays and Sundays; or instead of it the last date of the lab, on
        which half of the mice are trained; of the others some are the day before, some not for days.
    form
        How trials are stored: one of `files.FORMS`, or `mixed` for all of them in turn.
    wheel
        Write wheel traces too, and camera times for every fifth session (they are most of the bytes). A list says in
        which units, in turn: rad, cm, deg, ticks.
    damaged
        Add one session per kind of damage, of a subject named `damaged_<kind>` (with `ephys` also `ephys_<kind>`), and
        list in `truth.json` what an ingest must say of it. What links lead to is put into the folder `<root>.outside`.
    ephys
        In how many sessions at the ephys stage of each mouse probes record; in the first of them two probes, one with
        some raw samples.
    n_units
        Units of each probe.
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
    if n_mice < 1 or n_sessions < 1 or ephys < 0 or n_units < 0:
        raise NeurojointError("a lab needs at least one mouse and one session", "give positive numbers")
    if (root / lab).exists():
        raise NeurojointError(f"{root / lab} exists already", "choose another folder or another lab name")
    (root / "truth").mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[Any]] = {name: [] for name in TABLES}
    mice, known, truths, insertions, tracks = {}, {}, [], [], []
    for index in range(n_mice):
        rng = np.random.default_rng([seed, index])
        mouse = make_mouse(index, start, rng)
        course = Course(start)
        if last is not None:
            course = ending(last, index, n_sessions, mouse.second_session_every)
            mouse = replace(mouse, birth_date=mouse.birth_date + (course.start - start))
        stages: dict[str, Any] = {}
        n_recorded = 0
        for session in live(mouse, USERS[index % len(USERS)], n_sessions, course, rows, rng):
            stored = FORM_CYCLE[session.index % len(FORM_CYCLE)] if form == "mixed" else form
            version = 7 if (index + session.index) % 2 == 0 else 8
            rig = f"_iblrig_{lab}_{'ephys' if session.on_ephys_rig else 'behavior'}_{index % 4}"
            file_rng = np.random.default_rng([seed, index, session.index])  # so that mice do not depend on files
            truth = _write_session(root, lab, session, stored, version, rig, wheel, file_rng)
            truths.append(truth)
            stages.setdefault(session.stage, truth["date"])
            if session.stage == "ephys" and n_recorded < ephys:
                first, seeds = n_recorded == 0, [seed, index, session.index, 1]
                folder = root / truth["path"]
                probes = write_probes_of_session(folder, session.trials, 1 + first, n_units, seeds, raw=first)
                insertions += [{"path": truth["path"], "subject": truth["subject"], **item} for item in probes]
                where = (truth["subject"], truth["date"], truth["number"])
                tracks += [
                    (*where, *row) for item in probes for row in known_tracks(item, np.random.default_rng(seeds))
                ]
                n_recorded += 1
            if truth["eid"] is not None:
                known[truth["path"]] = _known(truth)
            if progress:
                progress(len(truths), n_mice * n_sessions)
        mice[mouse.subject] = _mouse_truth(mouse) | {"first_date_of_stage": stages}
    for name, header in TABLES.items():
        _write_csv(root / f"{name}.csv", header, rows[name], lab)
    if tracks:
        _write_csv(root / "trajectories.csv", TRACKS_HEADER, tracks, lab)
    (root / "sessions.json").write_text(json.dumps(known, indent=1), encoding="utf-8")
    day = last or start
    truth = {
        "lab": lab,
        "seed": seed,
        "time_zone": "UTC",
        "project": PROJECT,
        "mice": mice,
        "sessions": truths,
        "insertions": insertions,
        "damaged": damage.write_damaged(root, lab, day, seed) if damaged else [],
        "damaged_insertions": damaged_insertions.write_damaged(root, lab, day, seed) if damaged and ephys else [],
    }
    path = root / "truth.json"
    path.write_text(json.dumps(truth, indent=1), encoding="utf-8")
    return path


def _write_session(
    root: Path,
    lab: str,
    session: Session,
    form: str,
    version: int,
    rig: str,
    wheel: bool | Sequence[str],
    rng: np.random.Generator,
) -> dict:
    """Write the files of one session; returns its truth."""
    subject, trials, params = session.mouse.subject, session.trials, session.params
    eid = uuid4(rng) if session.index % 10 < 7 else None
    day = f"{session.start_time:%Y-%m-%d}"
    path = Path(lab, "Subjects", subject, day, f"{session.number:03d}")
    alf = root / path / "alf"
    files.write_trials(alf, trials, form)
    licks = streams.lick_times(trials, rng)
    streams.write_licks(alf, licks, streams.ARRAY_FORMS[session.index % len(streams.ARRAY_FORMS)])
    n_moves = None
    if wheel:
        units, ticks = ("rad",) if wheel is True else tuple(wheel), 4096 if session.on_ephys_rig else 1024
        trace = simulate_wheel(trials, rng, ticks=ticks)
        files.write_wheel(alf, trace, units[session.index % len(units)], ticks)
        n_moves = len(trace.onsets)
        moves: dict[str, Any] = {"onsets": trace.onsets, "offsets": trace.offsets, "amplitudes": trace.amplitudes}
        np.savez(root / "truth" / f"{subject}_{day}_{session.number:03d}.npz", **moves)
        if session.index % 5 == 0:
            frames = streams.frame_times(float(trials["intervals_1"][-1]), rng)
            shape = streams.ARRAY_FORMS[session.index // 5 % len(streams.ARRAY_FORMS)]
            streams.write_camera(alf, frames, form=shape)
    info = {
        "subject": subject,
        "user": session.user,
        "number": session.number,
        "protocol": session.protocol,
        "rig": rig,
        "delay": session.delay,
        "weight": session.weight,
        "n_trials": params.n_trials,
        "n_correct": session.n_correct,
        "reward_volume": params.reward_volume,
    }
    settings = {
        "lab": lab,
        "project": PROJECT,
        "start_time": session.start_time.replace(tzinfo=None),
        "end_time": session.end_time.replace(tzinfo=None),
        "version": IBLRIG_VERSIONS[version],
        "water": round(1000 * session.water, 1),
        "contrasts": params.contrasts,
    }
    files.write_settings(root / path, info | settings, version)
    recorded = np.random.default_rng([session.index, 1])  # apart, so that all else stays as it was
    beside = _write_beside(root / path, session, recorded) if wheel else {}
    air = np.random.default_rng([session.index, version])  # apart, so that all else stays as it was
    forms = files.AMBIENT_FORMS
    ambient = files.write_ambient(root / path, air, version, forms[session.index % len(forms)])
    return {
        "ambient": ambient,
        "n_licks": len(licks),
        **beside,
        "path": path.as_posix(),
        "eid": eid,
        "date": day,
        "start_time": iso(session.start_time),
        "end_time": iso(session.end_time),
        "task_protocol": session.protocol + IBLRIG_VERSIONS[version],
        "form": form,
        "stage": session.stage,
        "phase": session.phase,
        "training_day": session.training_day,
        "water": session.water,
        "n_moves": n_moves,
        **info,
        "blocks": {str(p): asdict(curve) for p, curve in params.blocks.items()},
        "rt_median": {f"{100 * c:g}": round(float(params.rt_median(c)), 4) for c in params.contrasts},
        "rt_sigma": params.rt_sigma,
        "no_go_rate": params.no_go_rate,
    }


def _write_beside(folder: Path, session: Session, rng: np.random.Generator) -> dict[str, Any]:
    """Write what few sessions have besides: the pupil, passive periods, photometry; returns the truth about them."""
    alf, trials, index = folder / "alf", session.trials, session.index
    truth: dict[str, Any] = {}
    if index % 10 == 5:
        diameter = np.where(rng.random(600) < 0.05, np.nan, rng.normal(12, 0.5, 600)).round(4)
        streams.write_pupil(alf, diameter, form=streams.PUPIL_FORMS[index // 10 % len(streams.PUPIL_FORMS)])
        truth["pupil_diameter"] = float(np.nanmedian(diameter))
    if session.stage == "ephys":
        end = float(trials["intervals_1"][-1])
        bounds = {"passiveProtocol": (end + 10, end + 900), "spontaneousActivity": (end + 20, end + 320)}
        streams.write_passive_periods(alf, bounds, streams.PASSIVE_FORMS[index % len(streams.PASSIVE_FORMS)])
        truth["passive_periods"] = bounds
    if index % 7 == 3:
        form = streams.PHOTOMETRY_FORMS[index // 7 % len(streams.PHOTOMETRY_FORMS)]
        streams.write_photometry(folder, streams.fluorescence(trials, rng, rate=20.0), form)
        truth["photometry"] = form
    return truth


def _known(truth: dict) -> dict:
    """What sessions.json says of a session."""
    return {
        "eid": truth["eid"],
        "start_time": truth["start_time"].removesuffix("Z"),
        "task_protocol": truth["task_protocol"],
        "users": [truth["user"]],
        "projects": [PROJECT],
    }


def _mouse_truth(mouse: Mouse) -> dict:
    return asdict(mouse) | {"birth_date": mouse.birth_date.isoformat()}


def _write_csv(path: Path, header: str, rows: list[tuple], lab: str) -> None:
    with path.open("w", newline="", encoding="utf-8") as out:
        out.write(header + "\n")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerows((lab, *row) for row in rows)
