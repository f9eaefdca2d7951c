"""What a writable column may hold, as data: its type, unit and limits; and how a table is described.

Parsers, checks, the REST server, metadata files and the documentation all read these descriptions; a limit is said
nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.alf.dates import EARLIEST, LATEST
from pipeline.alf.names import RULES

Type = Literal[
    "name", "text", "number", "integer", "boolean", "date", "time", "uuid", "json", "choice", "time_zone", "md5"
]


@dataclass(frozen=True)
class Field:
    """One writable column.

    Attributes
    ----------
    column : of the table.
    type : of its values.
    unit : of a number, e.g. `g`; a value may be followed by it. `fraction` also takes a percentage (`85 %`).
    low, high : limits of a number, both included.
    longest : characters of text; the limit of the column in the database.
    choices : the values there are.
    words : other spellings of choices, in lower case -> the choice; for text, spellings -> the usual one.
    rule : kind of a name (see `pipeline.alf.names.RULES`).
    to : the table whose row the value names, e.g. `subject.Line`; `""` where it names none.
    aliases : other headings of the column in files.
    required : a new row must have it.
    default : what a new row gets that does not have it, where that is not the column's own default.
    hint : what to do about a value outside the limits, beyond the limits.
    description : for people, in one phrase.
    fixed : cannot be changed once the row is there.
    planned : a date or a time that may lie in the future: others are refused there.
    """

    column: str
    type: Type = "text"
    unit: str = ""
    low: float | None = None
    high: float | None = None
    longest: int = 0
    choices: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    rule: str = ""
    to: str = ""
    aliases: tuple[str, ...] = ()
    required: bool = False
    default: Any = None
    hint: str = ""
    description: str = ""
    fixed: bool = False
    planned: bool = False

    @property
    def headings(self) -> tuple[str, ...]:
        """The headings that this column may have in a file."""
        return (self.column, *self.aliases)

    def limits(self) -> str:
        """What it takes, in words for the documentation.

        >>> Field("weight", "number", unit="g", low=0.1, high=2000).limits()
        'a number from 0.1 to 2000 g'
        """
        unit = f" {self.unit}" if self.unit else ""
        if self.type in ("number", "integer"):
            what = "a whole number" if self.type == "integer" else "a number"
            if self.low is not None and self.high is not None:
                return f"{what} from {self.low:g} to {self.high:g}{unit}"
            return f"{what}{',' if unit else ''}{unit}"
        if self.type == "choice":
            return f"one of {', '.join(self.choices)}"
        if self.type == "name":
            rule = RULES[self.rule or "term"]
            longest = min(self.longest or rule.longest, rule.longest)
            return f"a name of at most {longest} characters" + (f" ({rule.allowed})" if rule.allowed else "")
        return {
            "text": f"text of at most {self.longest} characters",
            "boolean": "yes or no (1, 0, true, false)",
            "date": f"a date (YYYY-MM-DD) from {EARLIEST} to {LATEST}",
            "time": "a time (YYYY-MM-DDThh:mm:ss, with an offset or in the time zone of the lab)",
            "uuid": "a UUID of version 3 or 4",
            "json": "a JSON object or list",
            "time_zone": "an IANA time zone, e.g. Europe/London",
            "md5": "an MD5 of 32 hexadecimal digits",
        }[self.type]


@dataclass(frozen=True)
class TableEntry:
    """How rows of one table are written.

    Attributes
    ----------
    table : `schema.Table`.
    label : of one row, in messages.
    fields : the writable columns, the key first.
    spans : pairs of columns, of which the second must not come before the first.
    events : columns with a day or a time that must lie within the life of the animal `lab`, `subject`.
    unique : columns outside the key in which no two rows agree.
    vocabulary : a list of names, to which a file that uses a new name may add it.
    can_create : whether rows can be created here (files of a session are registered by `neurojoint ingest`).
    derive : from the key of a new row to columns that follow from it where none are given.
    """

    table: str
    label: str
    fields: tuple[Field, ...]
    spans: tuple[tuple[str, str], ...] = ()
    events: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()
    vocabulary: bool = False
    can_create: bool = True
    derive: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None

    def field(self, name: str) -> Field | None:
        """The field with this column or alias."""
        return self._by_heading.get(name)

    @property
    def happened(self) -> frozenset[str]:
        """The columns with a date or a time that cannot lie in the future; those that name another row are not."""
        dated = (item for item in self.fields if item.type in ("date", "time"))
        return frozenset(item.column for item in dated if not item.to and not item.planned)

    @property
    def _by_heading(self) -> dict[str, Field]:
        cached = self.__dict__.get("_headings")
        if cached is None:
            cached = {heading: item for item in reversed(self.fields) for heading in reversed(item.headings)}
            object.__setattr__(self, "_headings", cached)
        return cached
