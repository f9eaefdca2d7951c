"""Names that other published layouts give to columns of the convention, as a table; and how their values are coded.

A file under one of these names is registered under its own name and read as what it stands for. Only what a layout
documents is here: a unit or a code is never concluded from a name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from pipeline.alf.columns import TRIALS, WHEEL, Column


@dataclass(frozen=True)
class Alias:
    """One name of a layout.

    Attributes
    ----------
    layout
        Where the name comes from.
    alf_object, attribute
        As in the names of the files, without namespace.
    becomes
        Object and attribute of the convention.
    codes
        Value in the file -> value by the convention, where they differ; other values are refused.
    """

    layout: str
    alf_object: str
    attribute: str
    becomes: tuple[str, str]
    codes: Mapping[float, float] = field(default_factory=dict)


STEINMETZ = "Steinmetz et al. 2019"
SIGNALS = "Signals block files converted to ALF"
BEFORE_2019 = "IBL before 2019"
ALYX_2018 = "dataset types of 2018"

_LEFT_RIGHT_NONE = {1.0: 1.0, 2.0: -1.0, 3.0: 0.0}
"""Signals: 1 left, 2 right, 3 no response."""


def _names(layout: str, alf_object: str, becomes: str, names: Mapping[str, str]) -> list[Alias]:
    return [Alias(layout, alf_object, attribute, (becomes, known)) for attribute, known in names.items()]


ALIASES: tuple[Alias, ...] = (
    *_names(
        STEINMETZ,
        "trials",
        "trials",
        {
            "visualStim_contrastLeft": "contrastLeft",
            "visualStim_contrastRight": "contrastRight",
            "visualStim_times": "stimOn_times",
            "response_choice": "choice",
            "goCue": "goCue_times",
        },
    ),
    *_names(
        STEINMETZ,
        "passiveVisual",
        "passiveTrials",
        {"contrastLeft": "contrastLeft", "contrastRight": "contrastRight", "times": "stimOn_times"},
    ),
    *_names(STEINMETZ, "passiveValveClick", "passiveValveClicks", {"times": "times"}),
    *_names(SIGNALS, "cwTrials", "trials", {"intervals": "intervals", "inclTrials": "included", "repNum": "repNum"}),
    *_names(
        SIGNALS,
        "cwStimOn",
        "trials",
        {"times": "stimOn_times", "contrastLeft": "contrastLeft", "contrastRight": "contrastRight"},
    ),
    *_names(SIGNALS, "cwGoCue", "trials", {"times": "goCue_times"}),
    *_names(SIGNALS, "cwResponse", "trials", {"times": "response_times"}),
    Alias(SIGNALS, "cwResponse", "choice", ("trials", "choice"), _LEFT_RIGHT_NONE),
    *_names(
        SIGNALS,
        "cwFeedback",
        "trials",
        {"times": "feedback_times", "type": "feedbackType", "rewardVolume": "rewardVolume"},
    ),
    *_names(
        SIGNALS,
        "passiveStimOn",
        "passiveTrials",
        {
            "times": "stimOn_times",
            "contrastLeft": "contrastLeft",
            "contrastRight": "contrastRight",
        },
    ),  # fmt: skip
    *_names(SIGNALS, "Wheel", "wheel", {"position": "position", "timestamps": "timestamps", "velocity": "velocity"}),
    *_names(
        BEFORE_2019,
        "trials",
        "trials",
        {
            "goCue_trigger_times": "goCueTrigger_times",
            "stimOn_trigger_times": "stimOnTrigger_times",
            "iti_duration": "itiDuration",
            "deadTime_duration": "deadTime",
            "feedback_type": "feedbackType",
        },
    ),
    *_names(BEFORE_2019, "wheel", "wheel", {"times": "timestamps"}),
    *_names(BEFORE_2019, "lickPiezo", "lickPiezo", {}),
)
"""Every name that is understood besides those of the convention."""


class Meaning(NamedTuple):
    """What a file name or a heading of a table stands for."""

    alf_object: str
    attribute: str
    codes: Mapping[float, float]
    layout: str  # empty where the name is that of the convention


@lru_cache(maxsize=1 << 12)
def meaning(alf_object: str, attribute: str) -> Meaning:
    """What an attribute of an object stands for; the same names where no layout is known to use others.

    >>> meaning("cwStimOn", "contrastLeft")[:2], meaning("trials", "choice")[:2]
    (('trials', 'contrastLeft'), ('trials', 'choice'))
    >>> meaning("cwResponse", "choice").codes
    {1.0: 1.0, 2.0: -1.0, 3.0: 0.0}
    """
    for alias in ALIASES:
        if (alias.alf_object, alias.attribute) == (alf_object, attribute):
            return Meaning(*alias.becomes, alias.codes, alias.layout)
    return Meaning(object_of(alf_object), attribute, {}, "")


@lru_cache(maxsize=1 << 10)
def object_of(alf_object: str) -> str:
    """The object of the convention to which the files of an object belong.

    >>> object_of("cwFeedback"), object_of("trials")
    ('trials', 'trials')
    """
    targets = {alias.becomes[0] for alias in ALIASES if alias.alf_object == alf_object}
    return targets.pop() if len(targets) == 1 else alf_object


@lru_cache(maxsize=1 << 10)
def names_of(alf_object: str) -> tuple[str, ...]:
    """All objects whose files belong to an object of the convention, itself first.

    >>> names_of("wheel")
    ('wheel', 'Wheel')
    """
    return tuple(
        dict.fromkeys([alf_object, *(alias.alf_object for alias in ALIASES if alias.becomes[0] == alf_object)])
    )


@lru_cache(maxsize=1 << 12)
def heading(alf_object: str, name: str) -> str:
    """The attribute that a heading of a table stands for: exact, an alias, or the same letters in another spelling.

    Exports to csv, tsv or mat spell columns in their own way (`contrast_left`, `StimOnTimes`): where the letters and
    digits are those of exactly one column, that is the column. Others stay as they are.

    >>> heading("trials", "contrast_left"), heading("trials", "Stim On Times"), heading("trials", "my_column")
    ('contrastLeft', 'stimOn_times', 'my_column')
    """
    known = _spellings(alf_object)
    if name in known.values():
        return name
    aliased = meaning(alf_object, name)
    if aliased.layout:
        return aliased.attribute
    return known.get(_letters(name), name)


@lru_cache(maxsize=64)
def _spellings(alf_object: str) -> dict[str, str]:
    """Letters of a column's names -> the attribute (with the index of a two-dimensional one)."""
    columns: tuple[Column, ...] = {"trials": TRIALS, "wheel": WHEEL}.get(alf_object, ())
    spellings: dict[str, str] = {}
    for column in columns:
        attribute = column.attribute if column.index is None else f"{column.attribute}_{column.index}"
        spellings |= {_letters(attribute): attribute, _letters(column.name): attribute}
    return spellings


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
