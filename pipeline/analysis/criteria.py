"""Training criteria as data: which measures of which sessions must pass which thresholds for which status.

A rule set is a value that goes through JSON unchanged; `pipeline.analysis.training.evaluate` walks it. Two published
ones are here, `IBL_PIPELINE_2021` and `IBLLIB_4`; a laboratory writes its own the same way.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from pipeline.analysis.protocols import KINDS, OTHER, kind

__all__ = [
    "IBLLIB_4",
    "IBL_PIPELINE_2021",
    "MEASURES",
    "RULE_SETS",
    "STATUS_CODES",
    "Criterion",
    "Failure",
    "Level",
    "Measure",
    "RuleSet",
]

STATUS_CODES = {
    "untrainable": -4,
    "unbiasable": -3,
    "not_computed": -2,
    "habituation": -1,
    "in_training": 0,
    "trained_1a": 1,
    "trained_1b": 2,
    "ready4ephysrig": 3,
    "ready4delay": 4,
    "ready4recording": 5,
}
"""The statuses of IBL with the order codes of ibllib."""

COMPARISONS = ("<", "<=", ">", ">=", "==")

WRONG, LEFT_OUT = "wrong", "left_out"
"""What a rule set can take a trial without a response for."""


@dataclass(frozen=True)
class Measure:
    """What can be measured of a window of sessions."""

    label: str
    unit: str
    scopes: tuple[str, ...]  # pooled: over all trials of the window; each, any, current: per session


_PER_SESSION = ("each", "any", "current")
MEASURES: Mapping[str, Measure] = {
    "n_sessions": Measure("sessions", "", ("pooled",)),
    "sessions_of": Measure("sessions of the named protocols", "", ("pooled", "current")),
    "n_trials": Measure("trials", "", _PER_SESSION),
    "performance_easy": Measure("performance on easy trials", "", _PER_SESSION),
    "on_ephys_rig": Measure("on an ephys rig", "", _PER_SESSION),
    "start_delay": Measure("delay before the first trial", "s", _PER_SESSION),
    "contrast_trials": Measure("trials in the contrast range", "", ("pooled", *_PER_SESSION)),
    "block_trials": Measure("trials in the block", "", ("pooled",)),
    "side_blocks": Measure("blocks of 0.2 and 0.8 that occur", "", ("pooled",)),
    "bias_size": Measure("size of the bias", "%", ("pooled",)),
    "threshold": Measure("threshold", "%", ("pooled",)),
    "lapse_low": Measure("lapse_low", "", ("pooled",)),
    "lapse_high": Measure("lapse_high", "", ("pooled",)),
    "bias_shift": Measure("bias in blocks of 0.8 minus that in blocks of 0.2", "%", ("pooled",)),
    "zero_contrast_rt": Measure("median reaction time at 0 % contrast", "s", ("pooled",)),
    "reached": Measure("reached in an earlier session", "", ("current",)),
}
"""The measures a criterion can name."""

FITTED = {"bias_size": None, "threshold": None, "lapse_low": None, "lapse_high": None, "bias_shift": (0.2, 0.8)}
"""Measures that come from a psychometric fit; for bias_shift the blocks that it compares."""


@dataclass(frozen=True)
class Criterion:
    """One measure against one threshold. A value that is missing (NaN) never meets a criterion."""

    measure: str  # a key of MEASURES
    comparison: str  # < <= > >= ==
    threshold: float
    scope: str = "pooled"
    probability_left: float | None = None  # 0-1, the block that a pooled measure is taken in; None: all trials
    contrasts: tuple[float, float] | None = None  # percent, for contrast_trials: smallest and largest size, inclusive
    protocols: tuple[str, ...] = ()  # for sessions_of: kinds of protocol
    ephys_rig_only: bool = False  # for scopes each and any: look only at sessions on an ephys rig
    status: str | None = None  # for reached

    def __post_init__(self) -> None:
        _require(self.measure in MEASURES, f"unknown measure {self.measure!r}; known are {', '.join(MEASURES)}")
        _require(self.comparison in COMPARISONS, f"unknown comparison {self.comparison!r}")
        exact = self.comparison == "==" and self.scope in ("each", "any")
        _require(not exact, f"{self.measure} of {self.scope} session cannot be compared with ==")
        scopes = MEASURES[self.measure].scopes
        _require(self.scope in scopes, f"{self.measure} is measured {' or '.join(scopes)}, not {self.scope!r}")
        number = isinstance(self.threshold, int | float) and not isinstance(self.threshold, bool)
        _require(number and math.isfinite(self.threshold), f"threshold of {self.measure} is not a number")
        needed = {"contrast_trials": "contrasts", "sessions_of": "protocols", "block_trials": "probability_left"}
        needed["reached"] = "status"
        name = needed.get(self.measure)
        _require(name is None or getattr(self, name) not in (None, ()), f"{self.measure} needs {name}")

    def describe(self, measured: float) -> str:
        """The measured value and what is needed, in words.

        >>> Criterion("lapse_high", "<", 0.2).describe(0.24)
        'lapse_high 0.24, needs < 0.2'
        >>> Criterion("n_trials", ">", 200, "each").describe(180)
        'trials 180 (lowest of the sessions), needs > 200'
        >>> Criterion("zero_contrast_rt", "<", 2.0).describe(float("nan"))
        'median reaction time at 0 % contrast unknown, needs < 2 s'
        """
        measure = MEASURES[self.measure]
        if self.measure == "reached":
            return f"{self.status} must be reached first"
        if self.measure == "sessions_of" and self.scope == "current":
            return f"the latest session must be {' or '.join(self.protocols)}"
        if self.measure == "n_sessions":
            lacking = math.ceil(self.threshold - measured)
            kind = f"{' or '.join(self.protocols)} " if self.protocols else ""
            return f"{lacking} more {kind}session{'s' if lacking != 1 else ''}"
        label = measure.label
        if self.measure == "sessions_of":
            label = f"{' or '.join(self.protocols)} sessions in the window"
        elif self.measure == "contrast_trials" and self.contrasts is not None:
            low, high = self.contrasts
            label = f"trials at {low:g} %" if low == high else f"trials at {low:g} to {high:g} %"
        if self.probability_left is not None:
            label += f" (probability left {self.probability_left:g})"
        value = _number(measured)
        if self.scope == "each" and not math.isnan(measured):
            value += f" ({'lowest' if self.comparison[0] in '>=' else 'highest'} of the sessions)"
        elif self.scope == "any" and not math.isnan(measured):
            value += f" ({'highest' if self.comparison[0] in '>=' else 'lowest'} of the sessions)"
        unit = f" {measure.unit}" if measure.unit else ""
        return f"{label} {value}, needs {self.comparison} {self.threshold:g}{unit}"


@dataclass(frozen=True)
class Level:
    """A status and the criteria that all must be met by a window of sessions that ends with the current one."""

    status: str
    criteria: tuple[Criterion, ...]
    window: int = 3  # sessions (or dates)
    protocols: tuple[str, ...] = ()  # kinds that the window is made of, the current session too; (): all that count
    complete: bool = True  # whether the window must be full; the first sessions of a subject fill only a part of it


@dataclass(frozen=True)
class Failure:
    """A status for a subject that has trained `after` sessions and not reached `below`."""

    status: str
    after: int  # sessions
    below: str  # the status that would have averted it
    protocols: tuple[str, ...] = ()  # kinds of session that are counted and that get the status; (): all that count
    while_status: str | None = None  # count only sessions of this status
    once: bool = False  # only the session that completes the count gets the status, not the later ones too


@dataclass(frozen=True)
class RuleSet:
    """A named, versioned set of training criteria."""

    name: str
    version: int
    description: str
    statuses: tuple[str, ...]  # from the lowest, which needs no criteria, to the highest
    levels: tuple[Level, ...]  # of several levels of one status the first is what a subject is told to aim at
    failures: tuple[Failure, ...] = ()
    unit: str = "session"  # what a window counts: session, or date (the sessions of one date are merged)
    latch: bool = True  # a status once reached is kept
    kinds: tuple[tuple[str, str], ...] = KINDS  # (word in the protocol, its kind); the first that fits, else "other"
    ignored: tuple[str, ...] = ("habituation", "passive")  # kinds of session that do not count
    ignored_qc: tuple[str, ...] = ("FAIL",)  # outcomes of the checks of the trials with which a session does not count
    no_go: str = LEFT_OUT  # a trial without a response: wrong (performance, fit, reaction time), or left_out of them

    def __post_init__(self) -> None:
        _require(bool(self.name), "a rule set needs a name")
        _require(self.unit in ("session", "date"), f"unit must be session or date, not {self.unit!r}")
        _require(self.no_go in (WRONG, LEFT_OUT), f"no_go must be {WRONG} or {LEFT_OUT}, not {self.no_go!r}")
        _require(len(set(self.statuses)) == len(self.statuses) > 0, "statuses must be given, each once")
        for level in self.levels:
            _require(
                level.status in self.statuses[1:], f"level {level.status!r} is not among the statuses above the first"
            )
            _require(level.window >= 1, f"the window of {level.status} must be at least 1")
            for criterion in level.criteria:
                known = criterion.status is None or criterion.status in self.statuses
                _require(known, f"{level.status} needs the unknown status {criterion.status!r}")
        for failure in self.failures:
            _require(failure.status not in self.statuses, f"{failure.status!r} is both a failure and a status")
            for status in (failure.below, failure.while_status):
                _require(status is None or status in self.statuses, f"{failure.status} names the unknown {status!r}")

    def kind(self, task_protocol: str) -> str:
        """The kind of a task protocol.

        >>> IBLLIB_4.kind("_iblrig_tasks_biasedChoiceWorld6.4.2"), IBLLIB_4.kind("my_own_task")
        ('biased', 'other')
        """
        return kind(task_protocol, self.kinds) or OTHER

    def rank(self, status: str) -> int:
        """The place of a status: 0 for the lowest, 1 for the next; negative for failures and where nothing is judged.

        >>> IBLLIB_4.rank("trained_1a"), IBLLIB_4.rank("ready4recording"), IBLLIB_4.rank("untrainable")
        (1, 5, -4)
        """
        return self.statuses.index(status) if status in self.statuses else STATUS_CODES.get(status, -3)

    def to_json(self) -> str:
        """The rule set as JSON text; equal rule sets give equal text.

        >>> RuleSet.from_json(IBLLIB_4.to_json()) == IBLLIB_4
        True
        """
        return json.dumps(asdict(self), sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "RuleSet":
        """A rule set from JSON text.

        Raises
        ------
        ValueError
            If the text is no JSON or no rule set; the message names what is wrong.
        """
        try:
            rules: RuleSet = _build(cls, json.loads(text))
        except TypeError as error:
            raise ValueError(f"not a rule set: {error}") from error
        return rules


def _number(value: float) -> str:
    """A measured value for people: whole, or with three digits."""
    if math.isnan(value):
        return "unknown"
    return f"{value:.0f}" if value == round(value) or abs(value) >= 1000 else f"{value:.3g}"


_PARTS = {"levels": Level, "criteria": Criterion, "failures": Failure}


def _build(kind: type, data: Any) -> Any:
    """A dataclass from what JSON made of it."""
    _require(isinstance(data, dict), f"{kind.__name__} must be an object, not {type(data).__name__}")
    unknown = set(data) - {part.name for part in fields(kind)}
    _require(not unknown, f"{kind.__name__} has no {', '.join(sorted(unknown))}")
    values = {}
    for name, value in data.items():
        if name in _PARTS:
            _require(isinstance(value, list), f"{name} of {kind.__name__} must be a list")
            values[name] = tuple(_build(_PARTS[name], item) for item in value)
        else:
            values[name] = _tuples(value)
    return kind(**values)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _sessions(n_trials: int, performance_easy: float) -> tuple[Criterion, ...]:
    """Each session has more trials, and is better on easy ones, than this."""
    return (
        Criterion("n_trials", ">", n_trials, "each"),
        Criterion("performance_easy", ">", performance_easy, "each"),
    )


def _trained(bias: float, threshold: float, lapse: float) -> tuple[Criterion, ...]:
    """The pooled fit stays below all four."""
    return (
        Criterion("bias_size", "<", bias),
        Criterion("threshold", "<", threshold),
        Criterion("lapse_low", "<", lapse),
        Criterion("lapse_high", "<", lapse),
    )


_FAST = (Criterion("zero_contrast_rt", "<", 2.0),)
_BIASED_FITS = (
    *(Criterion(lapse, "<", 0.1, probability_left=p) for p in (0.2, 0.8) for lapse in ("lapse_low", "lapse_high")),
    Criterion("bias_shift", ">", 5.0),
)
_LATE_START = (Criterion("start_delay", ">=", 900.0, "any"),)
_ON_EPHYS_RIG = (Criterion("on_ephys_rig", ">=", 1, "each"),)
_STATUSES = ("in_training", "trained_1a", "trained_1b", "ready4ephysrig", "ready4delay", "ready4recording")

_FULL_CONTRAST_SET = (
    Criterion("contrast_trials", ">", 0, "current", contrasts=(0.0, 0.0)),
    Criterion("contrast_trials", ">", 0, "current", contrasts=(0.1, 6.5)),
)
_ALL_BLOCKS = tuple(Criterion("block_trials", ">", 0, probability_left=p) for p in (0.2, 0.5, 0.8))

IBL_PIPELINE_2021 = RuleSet(
    name="ibl_pipeline_2021",
    version=1,
    description="As the IBL pipeline computed it until 2021: the last three sessions, a full contrast set in the "
    "current one; unlike there, unbiasable is kept.",
    statuses=_STATUSES,
    levels=(
        Level("trained_1a", _sessions(200, 0.8) + _FULL_CONTRAST_SET + _trained(16, 19, 0.2)),
        Level("trained_1b", _sessions(400, 0.9) + _FULL_CONTRAST_SET + _trained(10, 20, 0.1) + _FAST),
        # Biased sessions without both biased blocks say that the mouse was trained, not whether it uses the blocks.
        Level(
            "trained_1b",
            (_ALL_BLOCKS[1], *_sessions(400, 0.9), Criterion("side_blocks", "<", 2)),
            protocols=("biased",),
        ),
        Level("ready4ephysrig", _sessions(400, 0.9) + _ALL_BLOCKS + _BIASED_FITS + _FAST, protocols=("biased",)),
        Level(
            "ready4delay",
            (Criterion("reached", ">=", 1, "current", status="ready4ephysrig"), *_ON_EPHYS_RIG, *_sessions(400, 0.9)),
            window=1,
            protocols=("biased",),
        ),
        Level(
            "ready4recording",
            _ON_EPHYS_RIG + _LATE_START + _sessions(400, 0.9) + _ALL_BLOCKS + _BIASED_FITS + _FAST,
            protocols=("biased", "ephys"),
        ),
    ),
    failures=(
        Failure("untrainable", 40, below="trained_1a"),
        Failure("unbiasable", 40, below="ready4ephysrig", protocols=("biased",)),
    ),
    no_go=WRONG,
)
"""The rules of the IBL pipeline of 2021."""

_ANY_ZERO_CONTRAST = (Criterion("contrast_trials", ">", 0, contrasts=(0.0, 0.0)),)
_TRAINING_ONLY = (Criterion("sessions_of", "==", 0, protocols=("biased", "ephys")),)
_NO_TRAINING = (Criterion("sessions_of", "==", 0, protocols=("training",)),)

IBLLIB_4 = RuleSet(
    name="ibllib_4",
    version=1,
    description="As ibllib 4 computes it: the last three dates, sessions of one date merged, zero contrast anywhere in "
    "them. ibllib also judges windows of fewer than three dates; here three must be there, as the criteria say.",
    statuses=_STATUSES,
    levels=(
        Level("trained_1a", _TRAINING_ONLY + _ANY_ZERO_CONTRAST + _sessions(200, 0.8) + _trained(16, 19, 0.2)),
        Level("trained_1b", _TRAINING_ONLY + _ANY_ZERO_CONTRAST + _sessions(400, 0.9) + _trained(10, 20, 0.1) + _FAST),
        # Biased or ephys sessions are given to trained mice only.
        Level("trained_1b", (Criterion("sessions_of", ">", 0, protocols=("biased", "ephys")),), complete=False),
        Level("ready4ephysrig", _NO_TRAINING + _sessions(400, 0.9) + _BIASED_FITS + _FAST),
        Level(
            "ready4delay",
            (
                *_NO_TRAINING,
                Criterion("on_ephys_rig", ">=", 1, "any"),
                Criterion("n_trials", ">", 400, "any", ephys_rig_only=True),
                Criterion("performance_easy", ">", 0.9, "any", ephys_rig_only=True),
            ),
        ),
        Level(
            "ready4recording", _NO_TRAINING + _ON_EPHYS_RIG + _LATE_START + _sessions(400, 0.9) + _BIASED_FITS + _FAST
        ),
    ),
    failures=(
        Failure("untrainable", 40, below="trained_1a", while_status="in_training", once=True),
        Failure("unbiasable", 40, below="ready4ephysrig", protocols=("biased",), once=True),
    ),
    unit="date",
    ignored=("habituation", "passive", "other"),
    no_go=WRONG,
)
"""The rules of ibllib 4."""

RULE_SETS: Mapping[str, RuleSet] = {rules.name: rules for rules in (IBL_PIPELINE_2021, IBLLIB_4)}
"""The published rule sets by name."""
