"""The description of a task: a frozen value that a lab writes in its settings or in a module of its own."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from pipeline.analysis import trial_conditions
from pipeline.errors import InvalidSettings, UserError

DESIGNS: dict[str, str] = {
    "alternatives": "a choice among two or more alternatives, one of them correct",
    "go_no_go": "a response is right in some trials and wrong in others",
    "foraging": "a choice among places whose probabilities of reward change in blocks",
    "passive": "no response is asked for",
}
"""What an animal can be asked to do. A delayed response is `alternatives` with a condition `early`."""

LONGEST_NAME = 32

Code = int | float | str


@dataclass(frozen=True)
class Stimulus:
    """What is varied from trial to trial.

    Attributes
    ----------
    column : column of the trials with the level, a number or a name
    axis : what the level is, e.g. contrast, frequency, coherence, evidence
    unit : of the level
    scale : `log` compares levels by their ratio (in octaves), `linear` by their difference
    reference : level at the boundary between two choices; a log scale needs one for `easy`
    easy : trials at least so far from the reference are easy (in the unit of the level; octaves on a log scale)
    """

    column: str
    axis: str = "strength"
    unit: str = ""
    scale: Literal["linear", "log"] = "linear"
    reference: float | None = None
    easy: float | None = None


@dataclass(frozen=True)
class TaskDescription:
    """What the trials of a task mean.

    Attributes
    ----------
    name : short name; it stands in `behavior.TrialSet.paradigm`
    protocols : patterns of the names of its protocols, in any case of letters; `*` stands for anything
    design : one of `DESIGNS`
    title : for people
    stimulus : what is varied; None: nothing
    choice : column of the trials with the choice
    choices : (code, label) of each alternative, in order; of two, the curve is that of the second; in go/no-go tasks,
        the response
    no_choice : codes of trials without a response
    correct : condition over the columns that holds in correct trials; it is false where its `not` holds, else unknown.
        Empty: no choice is correct
    go : go/no-go: condition that holds in trials in which a response is right
    early : condition that holds where the animal responded before it may: such trials are counted, and left out of all
        else
    rewarded : condition that holds in rewarded trials
    blocks : columns that are constant within a block, e.g. the probability of reward at each place
    starts : columns with the time from which a response is timed; in each trial the first that is known counts
    responds, moves : columns with the times of the response and of the first movement
    curve : psychometric function, one of `pipeline.analysis.curves.FUNCTIONS`
    is_training : whether a session is a day of training
    """

    name: str
    protocols: tuple[str, ...]
    design: str = "alternatives"
    title: str = ""
    stimulus: Stimulus | None = None
    choice: str = "choice"
    choices: tuple[tuple[Code, str], ...] = ()
    no_choice: tuple[Code, ...] = (0,)
    correct: str = "feedback_type == 1"
    go: str = ""
    early: str = ""
    rewarded: str = "feedback_type == 1"
    blocks: tuple[str, ...] = ()
    starts: tuple[str, ...] = ("stim_on_times", "go_cue_trigger_times", "go_cue_times")
    responds: str = "response_times"
    moves: str = "first_movement_times"
    curve: str = "erf"
    is_training: bool = True
    _is_built_in: bool = field(default=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, valid, rule in self._rules():
            if not valid:
                raise UserError(f"task {self.name!r}: {name} is {getattr(self, name)!r}", rule)
        for name in ("correct", "go", "early", "rewarded"):
            if text := getattr(self, name):
                trial_conditions.parse(text)  # raises where it cannot be read

    def _rules(self) -> Iterable[tuple[str, bool, str]]:
        from pipeline.analysis.curves import FUNCTIONS  # start-up time: registration needs no scipy

        codes = [code for code, _ in self.choices]
        labels = [label for _, label in self.choices]
        distinct = len({*codes, *self.no_choice}) == len(codes) + len(self.no_choice)
        distinct &= len(set(labels)) == len(labels)
        chosen = {"alternatives": len(codes) >= 2, "foraging": len(codes) >= 2, "go_no_go": len(codes) >= 1}
        name_rule = f"use at most {LONGEST_NAME} letters, digits and _"
        yield "name", self.name.isidentifier() and len(self.name) <= LONGEST_NAME, name_rule
        yield "protocols", bool(self.protocols) and all(self.protocols), 'write patterns, e.g. protocols = ["*tones*"]'
        yield "design", self.design in DESIGNS, f"choose from {', '.join(DESIGNS)}"
        yield (
            "choices",
            chosen.get(self.design, True),
            'write code and label of each, e.g. [[1, "left"], [-1, "right"]]',
        )
        yield "choices", distinct, "give every code and every label once, and none that is in no_choice"
        yield "go", bool(self.go) == (self.design == "go_no_go"), "a go/no-go task, and no other, says when to respond"
        yield "curve", self.curve in FUNCTIONS, f"choose from {', '.join(FUNCTIONS)}"

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> TaskDescription:
        """A description from a table of settings.

        Raises
        ------
        InvalidSettings : an entry is unknown, missing or wrong; the message names it.

        Examples
        --------
        >>> given = {"name": "tones", "protocols": ["*tones*"], "choices": [[1, "low"], [2, "high"]]}
        >>> TaskDescription.from_mapping(given | {"stimulus": {"column": "tone", "scale": "log"}}).stimulus.scale
        'log'
        """
        known = {item.name for item in fields(cls) if not item.name.startswith("_")}
        label = f"[[tasks]] {given.get('name', 'without a name')}"
        if unknown := sorted(set(given) - known):
            raise InvalidSettings(f"{label}: {unknown[0]} is unknown", f"choose from {', '.join(sorted(known))}")
        try:
            stimulus = given.get("stimulus")
            values = {name: _frozen(value) for name, value in given.items() if name != "stimulus"}
            return cls(**values, stimulus=None if stimulus is None else Stimulus(**stimulus))
        except TypeError as error:
            raise InvalidSettings(
                f"{label}: {error}".replace("TaskDescription.__init__() ", ""), "see docs/tasks-of-animals.md"
            ) from None
        except UserError as error:
            raise InvalidSettings(f"[[tasks]] {error}") from None

    def covers(self, protocol: str) -> bool:
        """Whether a protocol is one of this task."""
        return any(fnmatch.fnmatchcase(protocol.lower(), pattern.lower()) for pattern in self.protocols)

    @property
    def is_built_in(self) -> bool:
        """Whether the trials have the columns and codes of the program's own task already."""
        return self._is_built_in

    @property
    def digest(self) -> str:
        """A hash that changes when the description does."""
        text = json.dumps({name: value for name, value in asdict(self).items() if name != "title"}, sort_keys=True)
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    @property
    def labels(self) -> tuple[str, ...]:
        """What the alternatives are called."""
        return tuple(label for _, label in self.choices)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value
