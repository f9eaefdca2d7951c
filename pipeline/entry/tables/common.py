"""Columns that many tables have."""

from __future__ import annotations

from typing import Any

from pipeline.analysis.coordinates import LARGEST
from pipeline.entry.fields import Field

QC = ("NOT_SET", "PASS", "WARNING", "FAIL", "CRITICAL")
GREATEST_SESSION_NUMBER = 999  # three digits in an ALF path


def term(column: str, longest: int, to: str = "", **more: Any) -> Field:
    """A word of the lab's vocabulary."""
    return Field(column, "name", longest=longest, rule=more.pop("rule", "term"), to=to, **more)


def text(column: str, longest: int, **more: Any) -> Field:
    """A remark."""
    return Field(column, "text", longest=longest, **more)


LIGHT_CYCLES = {
    "normal": "normal", "regular": "normal", "normal light cycle": "normal", "non-inverted": "normal",
    "inverted": "inverted", "reversed": "inverted", "reverse": "inverted", "inverted light cycle": "inverted",
    "reversed light cycle": "inverted",
}  # fmt: skip
"""Spellings of the two light cycles, in lower case -> ours. Other words stay as they are."""

WEEKEND_WATER = {
    "measured": "measured", "measured water": "measured", "measured volume": "measured",
    "citric acid": "citric acid", "ca": "citric acid", "citric acid water": "citric acid",
    "citric acid water 2%": "citric acid", "water 2% citric acid": "citric acid", "2% citric acid": "citric acid",
    "free": "free", "ad lib": "free", "ad libitum": "free", "adlib": "free",
}  # fmt: skip
"""Spellings of what animals drink on days off, in lower case -> ours. Other words stay as they are."""


def food_protein(column: str) -> Field:
    """How much of the food is protein."""
    return Field(column, "number", unit="%", low=0, high=100, description="protein in the food, percent of its mass")


def user(column: str, **more: Any) -> Field:
    """A person of the lab."""
    return Field(column, "name", longest=64, rule="user", to="lab.LabMember", **more)


def um_from_bregma(column: str, **more: Any) -> Field:
    """A coordinate of a place in the brain."""
    return Field(column, "number", unit="um", low=-LARGEST, high=LARGEST, **more)


def region(**more: Any) -> Field:
    """A structure of the Allen atlas, by its id."""
    return Field("region_id", "integer", to="histology.BrainRegion", description="id in the Allen atlas", **more)


LAB = Field("lab", "name", longest=32, rule="lab", to="lab.Lab", required=True, fixed=True, description="lab")
SUBJECT = (
    LAB,
    Field(
        "subject", "name", longest=64, rule="subject", to="subject.Subject", required=True, fixed=True,
        description="animal",
    ),
)  # fmt: skip
SESSION = (  # that is there, whatever its date
    *SUBJECT,
    Field(
        "session_date", "date", aliases=("date",), required=True, fixed=True, planned=True,
        description="as in the path",
    ),
    Field(
        "session_number", "integer", low=0, high=GREATEST_SESSION_NUMBER, aliases=("number",), required=True,
        fixed=True, to="acquisition.Session", description="as in the path",
    ),
)  # fmt: skip
INSERTION = (
    *SESSION,
    Field(
        "probe_label", "name", longest=32, rule="probe", aliases=("probe",), required=True, fixed=True,
        to="ephys.ProbeInsertion", description="as the folder, e.g. probe00",
    ),
)  # fmt: skip
