"""People, mice, weights, water and genotypes from spreadsheets: headings to columns, then the one door for writing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.entry import spreadsheets
from pipeline.entry.tables import TABLES, entry_of
from pipeline.entry.writer import write
from pipeline.entry.written import InvalidEntry, Written
from pipeline.errors import UserError

KINDS = {
    "people": "lab.LabMember",
    "mice": "subject.Subject",
    "weights": "action.Weighing",
    "water": "action.WaterAdministration",
    "genotypes": "subject.GenotypeTest",
}
"""What people call it -> its table."""

HEADINGS: dict[str, Mapping[str, str]] = {
    "lab.LabMember": {"user": "user_name", "name": "full_name", "e-mail": "email", "mail": "email", "role": "lab_role"},
    "subject.Subject": {
        "mouse": "subject", "name": "subject", "nickname": "subject", "born": "birth_date", "birth date": "birth_date",
        "date of birth": "birth_date", "dob": "birth_date", "died": "death_date", "responsible": "responsible_user",
        "user": "responsible_user", "ear mark": "ear_mark", "protocol": "protocol_number", "remarks":
        "subject_description",
    },
    "action.Weighing": {
        "mouse": "subject", "name": "subject", "time": "weighing_time", "date": "weighing_time", "weight (g)": "weight",
        "user": "weighing_user",
    },
    "action.WaterAdministration": {
        "mouse": "subject", "name": "subject", "time": "administration_time", "date": "administration_time",
        "volume": "water_volume", "water": "water_volume", "volume (ml)": "water_volume", "type": "water_type",
        "user": "water_user",
    },
    "subject.GenotypeTest": {
        "mouse": "subject", "name": "subject", "date": "genotype_test_date", "result": "test_result",
    },
}  # fmt: skip
"""Table -> how people head its columns, in lower case; the columns themselves are always understood."""
MOST_SHOWN = 20


def import_file(
    what: str, path: Path, *, user: str, lab: str | None = None, create_missing: bool = False, dry_run: bool = False
) -> Written:
    """Write the rows of a file, all of them or none.

    Parameters
    ----------
    what
        One of `KINDS`, or a table.
    path
        CSV (commas, semicolons or tabs) or Excel; the headings are in its first line.
    user
        For the audit.
    lab
        Of rows that do not name one.
    create_missing
        Add names that are not known yet to their lists.
    dry_run
        Check only.

    Raises
    ------
    UserError
        The file cannot be read, a heading is not understood, or rows cannot be used; the message lists them by line.
    """
    table = KINDS.get(what, what)
    if table not in TABLES:
        raise UserError(f"nobody imports {what!r}", f"use one of {', '.join(KINDS)}, or a table such as subject.Cage")
    headings, given = spreadsheets.read(path)
    columns = {heading: _column(table, heading) for heading in headings}
    days = _days(table, columns)
    if table == "lab.LabMember":
        columns = {heading: column for heading, column in columns.items() if column != "lab_role" or lab}
    rows, lines = [], []
    for number, row in given:
        row = {name: value for name, value in row.items() if value is not None and str(value).strip()}
        for day, time in days:
            if day in row and time in row:
                row[time] = f"{str(row.pop(day)).strip().removesuffix('T00:00:00')}T{row[time]}"
        values = {columns[name]: value for name, value in row.items() if name in columns}
        if lab and entry_of(table).field("lab") is not None:
            values.setdefault("lab", lab)
        rows.append(values)
        lines.append(number)
    if not rows:
        raise UserError(f"{path} has no rows", "write one row a line below the headings")
    roles = [(row["user_name"], row.pop("lab_role", "")) for row in rows if "user_name" in row] if lab else []
    options = {"user": user, "source": f"import {path.name}", "create_missing": create_missing, "dry_run": dry_run}
    try:
        done = write(table, rows, **options)  # type: ignore[arg-type]
        if table == "lab.LabMember" and lab and not dry_run:
            members = [{"lab": lab, "user_name": name} | ({"lab_role": role} if role else {}) for name, role in roles]
            write("lab.LabMembership", members, batch=done.batch, **options)  # type: ignore[arg-type]
    except InvalidEntry as error:
        said = [
            f"line {lines[fault.row]}" + (f", {fault.column}" if fault.column else "") + f": {fault.message}"
            for fault in error.errors[:MOST_SHOWN]
        ]
        more = len(error.errors) - len(said)
        listed = "\n  ".join([*said, *([f"and {more} more"] if more > 0 else [])])
        raise UserError(f"nothing was imported from {path.name}\n  {listed}") from None
    return done


def _days(table: str, columns: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pairs of headings that are the day and the time of one column.

    Raises
    ------
    UserError
        Two headings mean one column otherwise.
    """
    pairs = []
    for column in dict.fromkeys(columns.values()):
        same = [heading for heading, meant in columns.items() if meant == column]
        plain = {" ".join(heading.casefold().split()): heading for heading in same}
        if len(same) == 2 and set(plain) == {"date", "time"} and _type(table, column) == "time":
            pairs.append((plain["date"], plain["time"]))
        elif len(same) > 1:
            raise UserError(f"the columns {' and '.join(map(repr, same))} mean the same ({column})", "delete one")
    return pairs


def _type(table: str, column: str) -> str:
    field = entry_of(table).field(column)
    return field.type if field is not None else ""


def _column(table: str, heading: str) -> str:
    plain = " ".join(heading.replace("_", " ").casefold().split())
    known = HEADINGS.get(table, {})
    entry = entry_of(table)
    if field := entry.field(heading) or entry.field(plain.replace(" ", "_")):
        return field.column
    if plain in known:
        return known[plain]
    takes = ", ".join(field.column for field in entry.fields)
    raise UserError(f"the heading {heading!r} is not understood", f"use {takes}, or delete the column")
