"""Training status: where a subject stands after each session by a rule set, and what it lacks for the next status."""

import datetime
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from pipeline.analysis._training_windows import COMPARE, Measures, fitted_blocks, merge
from pipeline.analysis.arrays import Booleans, Integers
from pipeline.analysis.criteria import Criterion, Level, RuleSet

__all__ = ["Milestone", "Missing", "Outcome", "SessionRecord", "SessionStatus", "Training", "WindowFit", "evaluate"]


@dataclass(frozen=True, eq=False)
class SessionRecord:
    """What the rules need to know of one session."""

    session_date: datetime.date
    session_number: int
    task_protocol: str
    on_ephys_rig: bool
    start_delay: float  # s before the first trial; NaN where unknown
    n_trials: int
    performance_easy: float  # fraction correct where |contrast| >= 50 %, 0-1; NaN without such trials
    probability_left: ArrayLike  # 0-1; these four have one entry per block and contrast
    signed_contrast: ArrayLike  # percent, right positive
    n: ArrayLike  # trials
    n_right: ArrayLike  # choices to the right
    zero_contrast_rt: ArrayLike = ()  # s, of each trial at 0 % contrast; empty where unknown
    trials_qc: str = "NOT_SET"  # outcome of the checks of the trials
    task_collection: str = ""  # which task of the session, where it has several: they are in order of this name


class Outcome(NamedTuple):
    """A criterion as it turned out after one session."""

    status: str  # that the criterion belongs to
    criterion: Criterion
    measured: float  # NaN where there was nothing to measure, which meets nothing
    met: bool


class Missing(NamedTuple):
    """A criterion that is not met yet."""

    criterion: Criterion
    measured: float
    words: str


class WindowFit(NamedTuple):
    """The psychometric fit over a window of sessions."""

    statuses: tuple[str, ...]  # whose criteria asked for it
    probability_left: float | None  # the block, 0-1; None: all trials
    n_sessions: int
    n_trials: int
    bias: float  # percent
    threshold: float  # percent
    lapse_low: float
    lapse_high: float
    log_likelihood: float
    at_bound: int  # bit mask, see pipeline.analysis.psychometrics.bound_names


@dataclass(frozen=True, eq=False)
class SessionStatus:
    """A subject's status after one session."""

    session_date: datetime.date
    session_number: int
    status: str  # by the rule set's latch and failures; habituation or not_computed for sessions that do not count
    level: str | None  # the highest status whose criteria this window met by itself; None if the session does not count
    training_day: int | None  # distinct dates of sessions that count, up to this one, from 1
    outcomes: tuple[Outcome, ...]  # of all criteria of all levels, the lowest level first
    fits: tuple[WindowFit, ...]
    task_collection: str = ""

    @property
    def pooled_fit(self) -> WindowFit | None:
        """The fit over all blocks of the window, None where no level asks for one."""
        return next((fit for fit in self.fits if fit.probability_left is None), None)


class Milestone(NamedTuple):
    """The first session with a status."""

    status: str
    session_date: datetime.date
    session_number: int
    training_day: int  # from 1; the number of training days before it is one less
    n_sessions: int  # sessions that count, up to and including this one


@dataclass(frozen=True, eq=False)
class Training:
    """The course of a subject's training."""

    rules: RuleSet
    sessions: tuple[SessionStatus, ...]  # in order of date and number
    milestones: tuple[Milestone, ...]  # in order of time; a subject can skip a status
    status: str  # after the last session that counts
    next_status: str | None  # None where there is none higher
    missing: tuple[Missing, ...]  # for next_status

    @property
    def missing_words(self) -> str:
        """All that is missing, in one line."""
        return "; ".join(item.words for item in self.missing)

    def reached(self, status: str) -> Milestone | None:
        """The first session with this status or a higher one; for a failure, with that failure.

        Raises
        ------
        ValueError
            If the rule set does not know the status.
        """
        order = self._order
        if status in order:
            return next((m for m in self.milestones if order.get(m.status, -1) >= order[status]), None)
        if status not in {failure.status for failure in self.rules.failures}:
            raise ValueError(f"rule set {self.rules.name} has no status {status!r}")
        return next((m for m in self.milestones if m.status == status), None)

    @cached_property
    def _order(self) -> dict[str, int]:
        return {status: rank for rank, status in enumerate(self.rules.statuses)}


def evaluate(records: Iterable[SessionRecord], rules: RuleSet) -> Training:
    """The status after each session, the first date of each status, and what is missing for the next.

    A session's status depends on it and on earlier sessions only (with ``rules.unit == "date"``, also on the others of
    its date). A value that is not known (NaN, no reaction times, no trials in a block) meets no criterion.

    Parameters
    ----------
    records : the sessions of one subject, in any order
    rules : see `pipeline.analysis.criteria`

    Raises
    ------
    ValueError
        If two records have the same date and number, the arrays of a record differ in length, or counts are impossible.

    Examples
    --------
    >>> from datetime import date
    >>> from pipeline.analysis.criteria import IBL_PIPELINE_2021
    >>> contrasts = [-100, -50, -12.5, -6.25, 0, 6.25, 12.5, 50, 100]
    >>> def session(day, n_right):
    ...     return SessionRecord(date(2026, 3, day), 1, "trainingChoiceWorld", False, 0.0, 450, 0.95,
    ...                          [0.5] * 9, contrasts, [50] * 9, n_right, [1.2] * 50)
    >>> good = session(3, [2, 2, 8, 15, 25, 36, 42, 48, 49])
    >>> course = evaluate([good, session(2, good.n_right)], IBL_PIPELINE_2021)
    >>> course.status, course.next_status, course.missing_words
    ('in_training', 'trained_1a', '1 more session')
    >>> course = evaluate([good, session(4, good.n_right), session(5, good.n_right)], IBL_PIPELINE_2021)
    >>> course.status, course.reached("trained_1a").training_day
    ('trained_1b', 3)
    """
    ordered = sorted(records, key=_when)
    _check(ordered)
    kinds = [rules.kind(record.task_protocol) for record in ordered]
    is_counted = [
        kind not in rules.ignored and record.trials_qc not in rules.ignored_qc
        for kind, record in zip(kinds, ordered, strict=True)
    ]
    counted = [record for record, does_count in zip(ordered, is_counted, strict=True) if does_count]
    counted_kinds = [kind for kind, does_count in zip(kinds, is_counted, strict=True) if does_count]
    days = np.array([record.session_date.toordinal() for record in counted], dtype=np.int64)
    training_day = np.cumsum(np.diff(days, prepend=-1) > 0)
    groups = _same_day_and_kind(days, counted_kinds) if rules.unit == "date" else np.arange(len(counted))

    judged = _Judged(Measures(merge(counted, groups, counted_kinds), rules), rules)
    statuses = _with_failures(rules, counted_kinds, [judged.latched[group] for group in groups])

    milestones: dict[str, Any] = {}
    sessions, place = [], 0
    for record, kind, does_count in zip(ordered, kinds, is_counted, strict=True):
        when = (record.session_date, record.session_number)
        if not does_count:
            status = "habituation" if kind == "habituation" else "not_computed"
            sessions.append(SessionStatus(*when, status, None, None, (), (), record.task_collection))
            continue
        group, day, status = groups[place], int(training_day[place]), statuses[place]
        place += 1
        milestones.setdefault(status, Milestone(status, *when, day, place))
        outcomes, fits = judged.outcomes(group), judged.fits(group)
        level, collection = judged.levels[group], record.task_collection
        sessions.append(SessionStatus(*when, status, level, day, outcomes, fits, collection))
    next_status, missing = judged.missing()
    if statuses:
        status = statuses[-1]
    else:
        status = sessions[-1].status if sessions else "not_computed"
    return Training(rules, tuple(sessions), tuple(milestones.values()), status, next_status, missing)


def _when(record: SessionRecord) -> tuple[datetime.date, int, str]:
    return record.session_date, record.session_number, record.task_collection


def _same_day_and_kind(days: Integers, kinds: list[str]) -> Integers:
    """Which unit each session belongs to: those of one date and one kind that follow each other are one."""
    codes = np.unique(np.array(kinds, dtype=str), return_inverse=True)[1]
    new = (np.diff(days, prepend=-1) != 0) | (np.diff(codes, prepend=-1) != 0)
    return np.cumsum(new) - 1


class _Judged:
    """All levels of a rule set, judged after each unit (session or date)."""

    def __init__(self, measures: Measures, rules: RuleSet) -> None:
        self.rules = rules
        self.measures = measures
        self.rank = {status: rank for rank, status in enumerate(rules.statuses)}
        self.order = sorted(range(len(rules.levels)), key=lambda i: self.rank[rules.levels[i].status])
        self.criteria = [_all_criteria(level) for level in rules.levels]
        self.n_units = measures.units.kinds.size
        self.measured = [
            [np.zeros(self.n_units) if c.measure == "reached" else measures.of(c, windows) for c in criteria]
            for criteria, windows in zip(self.criteria, measures.windows, strict=True)
        ]
        self.levels: list[str] = []  # per unit: the highest status whose criteria are met
        self.latched: list[str] = []  # per unit: the status by the rule set's latch
        self._walk()
        self._outcomes: dict[int, tuple[Outcome, ...]] = {}

    def _walk(self) -> None:
        """From the first unit to the last, since a level can ask for what was reached before."""
        passes, earlier = [], []
        for criteria, measured in zip(self.criteria, self.measured, strict=True):
            met = np.ones(self.n_units, dtype=bool)
            for criterion, values in zip(criteria, measured, strict=True):
                if criterion.measure != "reached":
                    met &= COMPARE[criterion.comparison](values, criterion.threshold)
            passes.append(met.tolist())
            asked = [(k, self.rank[c.status]) for k, c in enumerate(criteria) if c.status is not None]
            earlier.append(asked)
        highest = 0
        for unit in range(self.n_units):
            now = 0
            for i in self.order:
                for k, rank in earlier[i]:
                    self.measured[i][k][unit] = highest >= rank
                if passes[i][unit] and all(highest >= rank for _, rank in earlier[i]):
                    now = self.rank[self.rules.levels[i].status]
            highest = max(highest, now)
            self.levels.append(self.rules.statuses[now])
            self.latched.append(self.rules.statuses[highest if self.rules.latch else now])

    def outcomes(self, unit: int) -> tuple[Outcome, ...]:
        """Every criterion of every level after a unit, the lowest level first."""
        if unit not in self._outcomes:
            self._outcomes[unit] = tuple(
                Outcome(status, criterion, values[unit], compare(values[unit], criterion.threshold))
                for status, criterion, compare, values in self._columns
            )
        return self._outcomes[unit]

    @cached_property
    def _columns(self) -> list[tuple[str, Criterion, Callable[[Any, Any], Any], list[float]]]:
        return [
            (self.rules.levels[i].status, criterion, COMPARE[criterion.comparison], values.tolist())
            for i in self.order
            for criterion, values in zip(self.criteria[i], self.measured[i], strict=True)
        ]

    def fits(self, unit: int) -> tuple[WindowFit, ...]:
        """Every fit over a window that ends with the unit."""
        return tuple(
            WindowFit(statuses, probability_left, *(column[unit] for column in columns))
            for statuses, probability_left, applies, columns in self._fits
            if applies[unit]
        )

    @cached_property
    def _fits(self) -> list[tuple[tuple[str, ...], float | None, Booleans, list[list[Any]]]]:
        rows = []
        for (key, block), fitted in self.measures.fitted.items():
            asking = [
                level.status
                for level, windows in zip(self.rules.levels, self.measures.windows, strict=True)
                if id(windows) == key and block in fitted_blocks(level.criteria)
            ]
            fits, windows = fitted.fits, fitted.windows
            parameters = (
                fits.bias,
                fits.threshold,
                fits.lapse_low,
                fits.lapse_high,
                fits.log_likelihood,
                fits.at_bound,
            )
            columns = (windows.n_sessions, fitted.n_trials.astype(int), *parameters)
            applies = windows.applies & np.isfinite(fits.log_likelihood)
            rows.append((tuple(dict.fromkeys(asking)), block, applies, [column.tolist() for column in columns]))
        return rows

    def missing(self) -> tuple[str | None, tuple[Missing, ...]]:
        """The next status after the last unit and the criteria of its first level that are not met."""
        now = self.rank[self.latched[-1]] if self.n_units else 0
        above = [level.status for level in self.rules.levels if self.rank[level.status] > now]
        if not above:
            return None, ()
        status = min(above, key=self.rank.__getitem__)
        i = next(i for i, level in enumerate(self.rules.levels) if level.status == status)
        unmet = []
        for criterion, values in zip(self.criteria[i], self.measured[i], strict=True):
            value = float(values[-1]) if self.n_units else 0.0
            if not COMPARE[criterion.comparison](value, criterion.threshold):
                unmet.append(Missing(criterion, value, criterion.describe(value)))
            if criterion.measure == "n_sessions" and not value:
                break  # nothing else can be measured yet
        return status, tuple(unmet)


def _all_criteria(level: Level) -> tuple[Criterion, ...]:
    """The written criteria of a level, after those that its window implies."""
    implied = []
    if level.complete:
        implied.append(Criterion("n_sessions", ">=", level.window, protocols=level.protocols))
    if level.protocols:
        implied.append(Criterion("sessions_of", ">=", 1, "current", protocols=level.protocols))
    return (*implied, *level.criteria)


def _with_failures(rules: RuleSet, kinds: list[str], latched: list[str]) -> list[str]:
    """Statuses of the sessions that count, with untrainable and the like where a subject has taken too long."""
    rank = {status: i for i, status in enumerate(rules.statuses)}
    out = list(latched)
    for failure in rules.failures:
        n_counted, best = 0, 0
        for i, (kind, status) in enumerate(zip(kinds, latched, strict=True)):
            best = max(best, rank[status])
            if failure.protocols and kind not in failure.protocols:
                continue
            if failure.while_status not in (None, status):
                continue
            n_counted += 1
            due = n_counted == failure.after if failure.once else n_counted >= failure.after
            if due and best < rank[failure.below]:
                out[i] = failure.status
    return out


def _check(ordered: list[SessionRecord]) -> None:
    """A ValueError that names the session and what is wrong with it."""
    before = None
    for record in ordered:
        when = _when(record)
        name = " ".join(["session", *(str(part) for part in when if part != "")])
        if when == before:
            raise ValueError(f"{name} is there twice")
        before = when
        parts = [
            np.asarray(part, dtype=float)
            for part in (record.probability_left, record.signed_contrast, record.n, record.n_right)
        ]
        if any(part.ndim != 1 or part.size != parts[0].size for part in parts):
            raise ValueError(f"{name}: counts must be 1-D and alike, not of shapes {[part.shape for part in parts]}")
        if not np.isfinite(np.concatenate(parts)).all():
            raise ValueError(f"{name}: blocks, contrasts and counts must be finite")
        if np.any((parts[3] < 0) | (parts[3] > parts[2])):
            raise ValueError(f"{name}: n_right must lie between 0 and n")
