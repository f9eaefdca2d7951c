"""Tables of phy and Kilosort with a label for each unit, as programs and people's editors write them."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

UNSORTED = "unsorted"
"""What phy says of a unit that nobody judged: no label of a person, so one of the sorter stays."""
_IDS = ("cluster_id", "id")
_SEPARATORS = "\t,;"


class Table(NamedTuple):
    """What a table says."""

    labels: dict[int, str]  # unit -> label
    notes: list[str]  # what of it is not used, in words


def read(path: Path, columns: Sequence[str], longest: int = 16) -> Table:
    """The labels in a table, in the first of some columns that says more than that nobody judged the unit.

    Columns are separated by tabs, commas or semicolons and found whatever the case of their names; the text is UTF-8,
    or UTF-16 as Excel's "Unicode text" is. A unit that has two labels has none, and a note says so.
    """
    text = _text(path.read_bytes())
    first = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=first.count)  # the first of them where none is there
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    names = [name.strip().lower() for name in next(rows, [])]
    number_at = next((names.index(name) for name in _IDS if name in names), None)
    labels_at = [names.index(name.lower()) for name in columns if name.lower() in names]
    if number_at is None or not labels_at:
        missing = "cluster_id" if number_at is None else " or ".join(columns)
        return Table({}, [f"{path.name} is not used: it has no column {missing}, but {', '.join(names)[:80]}"])
    labels: dict[int, str] = {}
    notes: list[str] = []
    twice: set[int] = set()
    for row_number, row in enumerate(rows, 2):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        written = cells[number_at] if number_at < len(cells) else ""
        number = re.sub(r"[.,]0+$", "", written)
        if not (number.isascii() and number.isdecimal()):
            if len(notes) < 3 and number != "-1":
                notes.append(f"{path.name}, row {row_number}: {written[:20]!r} is no number of a unit")
            continue
        told = [cells[at] for at in labels_at if at < len(cells) and cells[at]]
        label = next((item for item in told if item.lower() != UNSORTED), told[0] if told else "")[:longest]
        if label and labels.setdefault(int(number), label) != label:
            twice.add(int(number))
    for unit in sorted(twice):
        del labels[unit]
    if twice:
        listed = ", ".join(map(str, sorted(twice)[:5])) + (", …" if len(twice) > 5 else "")
        notes.append(f"{path.name} has different labels for one unit, none of which is used: {listed}")
    return Table(labels, notes)


def _text(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace")
    return content.decode("utf-8-sig", "replace")
