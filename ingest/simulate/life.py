"""The life of a simulated mouse, day by day: sessions, weighings, water and restriction."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np

from .calendar import Course
from .mice import PROTOCOLS, Career, Mouse, next_weight
from .session import SessionParams, simulate_trials

PROJECT = "simulated_learning"
USERS = ("ada", "cajal", "marr")

TABLES = {
    "subjects": "lab,subject,subject_uuid,sex,birth_date,death_date,species,line,strain,source,responsible_user,"
    "projects,protocol_number,cage,ear_mark,description,reference_weight,implant_weight",
    "weighings": "lab,subject,weighing_time,weight,user",
    "water": "lab,subject,administration_time,volume,water_type,adlib,user,session_number",
    "restrictions": "lab,subject,start_time,end_time,reference_weight",
}
"""Header of each table that a lab keeps by hand."""

_BEFORE = timedelta(days=5)  # weighed without restriction


@dataclass(frozen=True)
class Session:
    """One session as it happened."""

    mouse: Mouse
    index: int  # of the session among those of the mouse, from 0
    number: int  # of the session on its day, from 1
    training_day: int  # from 0
    stage: str
    phase: int  # of contrasts, 0 to 5
    start_time: datetime  # UTC
    weight: float  # g
    user: str
    delay: int  # s between start_time and the first trial, as the rig records it
    params: SessionParams
    trials: dict[str, np.ndarray]

    @property
    def on_ephys_rig(self) -> bool:
        return "ephys" in self.stage

    @property
    def protocol(self) -> str:
        return PROTOCOLS[self.stage]

    @property
    def end_time(self) -> datetime:
        return self.start_time + timedelta(seconds=round(float(self.trials["intervals_1"][-1]), 3))

    @property
    def water(self) -> float:
        """Water earned, mL."""
        return round(float(self.trials["reward_volume"].sum()) / 1000, 4)

    @property
    def n_correct(self) -> int:
        return int(np.sum(self.trials["feedback_type"] == 1))


def live(
    mouse: Mouse, user: str, n_sessions: int, course: Course, rows: dict[str, list[tuple]], rng: np.random.Generator
) -> Iterator[Session]:
    """Yield the `n_sessions` sessions of a mouse in order, appending to `rows` what `TABLES` name, without the lab.

    Weighed every day from five days before the first session; restricted from the day before it; after the last session
    weighed and given water as long as the course says.
    """
    career, weight, done, training_day = Career(), mouse.reference_weight, 0, 0
    start, leaves = course.start, mouse.kind == "never" and n_sessions >= 40
    day, restricted = start - _BEFORE, start - timedelta(days=1)
    while done < n_sessions or (day <= course.last and not leaves):
        weekend = day.weekday() in course.rest
        if day < start:
            weight = mouse.reference_weight + (0.1 * rng.standard_normal() if day < restricted else 0.0)
        else:
            weight = next_weight(mouse, weight, weekend, rng)
        weighed = datetime.combine(day, time(9), UTC) + timedelta(minutes=int(rng.integers(0, 150)))
        rows["weighings"].append((mouse.subject, iso(weighed), f"{weight:.1f}", user))
        earned = 0.0
        if day >= start and not weekend and done < n_sessions:
            twice = (training_day + 1) % mouse.second_session_every == 0
            for number in range(1, 1 + min(2 if twice else 1, n_sessions - done)):
                params = mouse.session_params(training_day, career, rng, share=1.0 if number == 1 else 0.4)
                session = Session(
                    mouse=mouse,
                    index=done,
                    number=number,
                    training_day=training_day,
                    stage=career.stage,
                    phase=career.phase,
                    start_time=weighed + timedelta(hours=4 * (number - 1), seconds=600 + int(rng.integers(60))),
                    weight=round(weight, 1),
                    user=user,
                    delay=900 + 60 * int(rng.integers(10)) if career.stage == "ephys" else 0,
                    params=params,
                    trials=simulate_trials(params, rng),
                )
                row = (mouse.subject, iso(session.end_time), session.water, "Water 10% Sucrose", 0, user, number)
                rows["water"].append(row)
                earned += session.water
                yield session
                career.after(params, session.trials, weight)
                done += 1
            training_day += 1
        missing = weight / 25 - earned  # mL to 1 mL per 25 g
        if day >= restricted and (weekend or missing >= 0.01):
            rows["water"].append((mouse.subject, *_top_up(day, missing, course.rest, rng), user, ""))
        day += timedelta(days=1)
    culled = day if leaves else None
    rows["subjects"].append(_subject_row(mouse, user, culled, rng))
    begin = datetime.combine(restricted, time(17), UTC)
    end = iso(datetime.combine(culled, time(8), UTC)) if culled else ""
    rows["restrictions"].append((mouse.subject, iso(begin), end, mouse.reference_weight))


def iso(when: datetime) -> str:
    """A UTC time as ISO 8601 with a Z."""
    return when.isoformat().replace("+00:00", "Z")


def uuid4(rng: np.random.Generator) -> str:
    """A version 4 identifier from a seeded generator."""
    return str(uuid.UUID(bytes=rng.bytes(16), version=4))


def _top_up(day: date, missing: float, rest: tuple[int, int], rng: np.random.Generator) -> tuple[str, str, str, int]:
    """Water outside the task, as administration_time, volume, water_type, adlib.

    What is `missing` (mL); on days of rest citric acid water ad libitum, measured on the first of the two only.
    """
    when = iso(datetime.combine(day, time(17, int(rng.integers(60))), UTC))
    if day.weekday() in rest:
        return when, f"{rng.uniform(1.2, 2.4):.2f}" if day.weekday() == rest[0] else "", "Citric Acid Water 2%", 1
    return when, f"{missing:.2f}", "Hydrogel" if rng.random() < 0.3 else "Water", 0


def _subject_row(mouse: Mouse, user: str, culled: date | None, rng: np.random.Generator) -> tuple:
    return (
        mouse.subject,
        uuid4(rng),
        mouse.sex,
        mouse.birth_date,
        culled or "",
        "Laboratory mouse",
        "C57BL/6J",
        "C57BL/6J",
        "Jax",
        user,
        PROJECT,
        3,
        f"cage{1 + int(rng.integers(20)):02d}",
        "RLB"[int(rng.integers(3))],
        f"simulated mouse, kind {mouse.kind}",
        mouse.reference_weight,
        0.0,
    )
