"""Tables of people: CSV and Excel, read into rows and written again."""

from __future__ import annotations

import csv
import datetime
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.alf.unpacked_size import check_zip
from pipeline.errors import UserError

MOST_ROWS = 200_000
MOST_COLUMNS = 1000
LARGEST = 64 << 20  # byte
LARGEST_UNPACKED = 8 * LARGEST  # an Excel file is an archive


def read(path: Path) -> tuple[list[str], list[tuple[int, dict[str, Any]]]]:
    """The headings of a CSV or Excel file, and its rows with their line in the file; empty ones are left out.

    Raises
    ------
    UserError : it cannot be read, has no headings, has one twice, or a row has more cells than there are headings.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist", "check the path")
    if path.stat().st_size > LARGEST:
        raise UserError(f"{path} has more than {LARGEST >> 20} MB", "split it")
    if path.suffix.lower() in (".xlsx", ".xlsm"):
        lines = _excel(path.read_bytes(), str(path))
    else:
        lines = parse_text(path.read_bytes(), str(path))
    return _rows(lines, str(path))


def parse_text(data: bytes, name: str = "the text") -> list[list[Any]]:
    """Lines of a CSV file or of cells pasted from a spreadsheet (tabs), with commas, semicolons or tabs between."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{name} is not UTF-8", "save it as CSV UTF-8") from None
    first, _, rest = text.partition("\n")
    said = re.fullmatch(r"\s*sep=(.)\s*", first)  # Excel's own first line
    if said:
        text = "\n" + rest
    headings = re.sub(r'"[^"]*"', "", next((line for line in text.splitlines() if line.strip(" ,;\t")), ""))
    delimiter = said[1] if said else max("\t;,", key=headings.count)
    try:
        return [list(line) for line in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)]
    except csv.Error as error:
        raise UserError(f"{name} is no table ({error})", "save it as CSV again") from None


def _excel(data: bytes, name: str) -> list[list[Any]]:
    import openpyxl

    try:
        check_zip(io.BytesIO(data), LARGEST_UNPACKED)
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # else each line is as wide as the file says that any is
        lines = [list(line[:MOST_COLUMNS]) for line in sheet.iter_rows(values_only=True, max_row=MOST_ROWS)]
        with sheet._get_source() as content:
            merged = _merged(content.read())
        for top, left, bottom, right in merged:  # what is in the first cell holds for all; a heading stays one
            if top < bottom <= len(lines) and left == right <= len(lines[top - 1]):
                for line in lines[top:bottom]:
                    line += [None] * (left - len(line))
                    line[left - 1] = lines[top - 1][left - 1]
        return lines
    except Exception as error:
        raise UserError(
            f"{name} is no Excel file that can be used ({type(error).__name__})", "save it as .xlsx again"
        ) from None


def _merged(content: bytes) -> list[tuple[int, int, int, int]]:
    """The cells of a sheet that were merged, as first row, first column, last row, last column."""
    from openpyxl.utils.cell import range_boundaries

    cells = re.findall(rb'<(?:\w+:)?mergeCell\s[^>]*?ref="([A-Z0-9:]+)"', content)
    bounds = [range_boundaries(cell.decode()) for cell in cells]
    return [(top, left, bottom, right) for left, top, right, bottom in bounds if None not in (left, top, right, bottom)]


def _rows(lines: Sequence[Sequence[Any]], name: str) -> tuple[list[str], list[tuple[int, dict[str, Any]]]]:
    filled = [(number, line) for number, line in enumerate(lines, 1) if not all(_is_empty(cell) for cell in line)]
    if not filled:
        raise UserError(f"{name} is empty", "write the names of the columns into its first line")
    headings = [str(item).strip() if item is not None else "" for item in filled[0][1]]
    while headings and not headings[-1]:
        headings.pop()
    if not all(headings):
        raise UserError(f"{name}: column {headings.index('') + 1} has no heading", "name it, or delete the column")
    if twice := {item for item in headings if headings.count(item) > 1}:
        raise UserError(f"{name}: there are two columns {sorted(twice)[0]!r}", "delete one")
    rows = []
    for number, line in filled[1:]:
        if more := [cell for cell in line[len(headings) :] if not _is_empty(cell)]:
            raise UserError(
                f"{name}, line {number}: {str(more[0])[:40]!r} stands beside the last heading",
                "name that column; with decimal commas, write the file with semicolons or tabs between the cells",
            )
        rows.append((number, {heading: _value(value) for heading, value in zip(headings, line, strict=False)}))
    return headings, rows


def _is_empty(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _value(value: Any) -> Any:
    """A cell; Excel's dates and times are local, as people type them, so they become text without an offset."""
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, str) and value[:1] == "'" and value[1:2] in ("=", "+", "-", "@"):
        return value[1:]
    return value


def to_excel(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> bytes:
    """An Excel file of rows; text stays text."""
    import openpyxl
    from openpyxl.cell import WriteOnlyCell

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("rows")
    sheet.append(list(columns))
    for row in rows:
        cells = []
        for name in columns:
            value = row.get(name)
            cell = WriteOnlyCell(sheet, value=value if isinstance(value, int | float | bool | None) else str(value))
            if isinstance(value, str):
                cell.data_type = "s"
            cells.append(cell)
        sheet.append(cells)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()
