"""What people write down: csv files of labs, subjects, weights, water, restrictions, tracks, and sessions.json, parsed.

A row or field that cannot be used is a problem that names file, row and column; the rest counts. What a column may hold
is said in `pipeline.entry.tables`.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime
import io
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingest.files.scan import Problem, SessionKey, printable
from ingest.files.session_metadata import Facts
from pipeline.entry.fields import Field
from pipeline.entry.former_names import Former
from pipeline.entry.parse import is_blank, names, parse, zone_of
from pipeline.entry.tables import entry_of, field_of
from pipeline.errors import NeurojointError

LARGEST = 1 << 30  # byte
ORDER = ("labs", "subjects", "sessions", "weighings", "water", "restrictions", "trajectories")


@dataclass(frozen=True)
class Column:
    """One column of a csv file.

    Attributes
    ----------
    field : the column of a table that it fills.
    needed : a row must have it.
    is_list : names separated by commas.
    """

    field: Field
    needed: bool = False
    is_list: bool = False

    @property
    def name(self) -> str:
        """The name that it has here."""
        return self.field.column

    @property
    def also(self) -> tuple[str, ...]:
        """Other headings that it may have."""
        return self.field.aliases

    def read(self, value: Any, zone: str) -> Any:
        """The value; times without an offset are in the time zone `zone`.

        Raises
        ------
        ValueError : it cannot be used.
        """
        return names(self.field, value) if self.is_list else parse(self.field, value, zone)


def _columns_of(table: str) -> tuple[Column, ...]:
    """The columns of a table, but for those that only programs fill; the lab may follow from the data root."""
    fields = (item for item in entry_of(table).fields if item.type != "json")
    return tuple(Column(item, item.required and (item.column != "lab" or table == "lab.Lab")) for item in fields)


_PROJECTS = dataclasses.replace(field_of("subject.SubjectProject", "project"), column="projects")


FILES: dict[str, tuple[Column, ...]] = {
    "labs": _columns_of("lab.Lab"),
    "subjects": (
        *_columns_of("subject.Subject"),
        Column(_PROJECTS, is_list=True),
        Column(field_of("action.WaterRestriction", "reference_weight")),
        Column(field_of("subject.Implant", "implant_weight")),
        Column(field_of("subject.Implant", "implant_date")),
    ),
    "weighings": _columns_of("action.Weighing"),
    "water": (*_columns_of("action.WaterAdministration"), Column(field_of("acquisition.Session", "session_number"))),
    "restrictions": _columns_of("action.WaterRestriction"),
    "trajectories": _columns_of("histology.Trajectory"),
}
"""Columns of each csv file; an empty field says nothing."""


def _reader(table: str, name: str, longest: int = 0) -> Callable[[Any, str], Any]:
    one = field_of(table, name)
    one = dataclasses.replace(one, longest=longest) if longest else one
    return lambda value, zone: parse(one, value, zone)


def _list_reader(table: str, name: str) -> Callable[[Any, str], Any]:
    one = field_of(table, name)
    return lambda value, zone: names(one, value)


SESSION_FIELDS: dict[str, Callable[[Any, str], Any]] = {
    **{
        name: _reader("acquisition.Session", name)
        for name in ("eid", "start_time", "end_time", "task_protocol", "rig", "start_delay", "location")
    },
    "note": _reader("acquisition.Session", "session_narrative", 900),
    "units": _reader("acquisition.Session", "session_narrative", 90),
    "users": _list_reader("acquisition.SessionUser", "user_name"),
    "projects": _list_reader("acquisition.SessionProject", "project"),
    "procedures": _list_reader("acquisition.SessionProcedure", "procedure_type"),
}
"""Fields of a session in sessions.json; note and units become the session's narrative."""


@dataclass
class Metadata:
    """The usable rows of all metadata files, and what in them cannot be used."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {name: [] for name in FILES})
    sessions: dict[SessionKey, Facts] = field(default_factory=dict)
    water_told: set[SessionKey] = field(default_factory=set)
    files: list[str] = field(default_factory=list)
    lines: dict[int, tuple[str, int]] = field(default_factory=dict)
    incomplete: set[str] = field(default_factory=set)
    """Files of which some rows could not be told apart: what they said before still holds."""
    folders: list[str] = field(default_factory=list)
    """Folders of which all metadata files were read."""
    zones: dict[str, str] = field(default_factory=dict)
    """Lab -> the time zone in which times without an offset were read."""
    session_files: dict[SessionKey, str] = field(default_factory=dict)
    """Session -> the sessions.json that tells of it."""
    root: Path = Path()
    """The data root, below which the files are named by their path there."""
    _found: dict[tuple[str, str], list[tuple[int | str, str]]] = field(default_factory=lambda: defaultdict(list))

    def problem(self, file: str, column: str, row: int | str, message: str) -> None:
        """Note that a field (or with an empty column: a row, or the file) cannot be used."""
        self._found[file, column].append((row, message))

    def problem_of(self, row: Mapping[str, Any], column: str, message: str) -> None:
        """Note that a row that was read turns out not to fit the tables."""
        self.problem(*self.lines[id(row)][:1], column, self.lines[id(row)][1], message)

    def use_current_names(self, former: Former) -> None:
        """Let rows under a former name of an animal, or a former path of a session, mean what it is called now.

        A row of subjects.csv that gives another uuid is of a new animal that has the name.
        """
        for kind, rows in self.rows.items():
            for row in rows:
                if "subject" not in row or (kind == "subjects" and row.get("subject_uuid")):
                    continue
                row["lab"], row["subject"] = former.animal(row["lab"], row["subject"])
                if row.get("session") is not None:
                    row["session"] = SessionKey(*former.session(row["session"]))
        self.sessions = {SessionKey(*former.session(key)): facts for key, facts in self.sessions.items()}
        self.session_files = {SessionKey(*former.session(key)): file for key, file in self.session_files.items()}
        self.water_told = {SessionKey(*former.session(key)) for key in self.water_told}

    def problems(self) -> list[Problem]:
        """One problem for each file and column, which lists the rows."""
        problems = []
        for (file, column), rows in self._found.items():
            numbers = [str(row) for row, _ in rows if row != ""]
            where = f"row{'s' * (len(numbers) > 1)} {', '.join(numbers[:20])}" + (", …" if len(numbers) > 20 else "")
            detail = f"{where}: {rows[0][1]}" if numbers else rows[0][1]
            problems.append(Problem(file, "bad_metadata", printable(detail)[:1000], column[:96]))
        return problems


def read_files(paths: Iterable[Path], root: Path, default_lab: str | None, time_zones: Mapping[str, str]) -> Metadata:
    """Read metadata files, or all that have a known name in a folder.

    Parameters
    ----------
    paths : of the files or folders.
    root : the data root; problems name files below it by their path there.
    default_lab : of rows that name no lab.
    time_zones : lab -> IANA time zone, as in the database; what labs.csv says goes before it.

    Raises
    ------
    NeurojointError : a file is not there, or its name is none of those that are known.
    """
    metadata = Metadata(root=root)
    zones = dict(time_zones)
    paths = list(paths)
    metadata.folders = [_shown(path, root) for path in paths if path.is_dir()]
    for kind, path in sorted(_kinds(paths), key=lambda item: ORDER.index(item[0])):
        shown = _shown(path, root)
        if shown in metadata.files:
            continue  # given twice
        metadata.files.append(shown)
        try:
            if path.stat().st_size > LARGEST:
                raise ValueError(f"larger than {LARGEST} bytes")
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            metadata.problem(shown, "", "", f"it cannot be read as text in UTF-8 ({error})")
            metadata.incomplete.add(shown)
            continue
        if kind == "sessions":
            _read_sessions(text, shown, default_lab, zones, metadata)
        else:
            _read_csv(kind, text, shown, default_lab, zones, metadata)
            if kind == "labs":
                zones |= {row["lab"]: row["time_zone"] for row in metadata.rows["labs"] if row.get("time_zone")}
    metadata.zones = zones
    _tell_water(metadata, zones)
    return metadata


def _shown(path: Path, root: Path) -> str:
    """How a file or folder is called: below the root by its path there."""
    resolved = path.resolve()
    shown = resolved.relative_to(root).as_posix() if resolved.is_relative_to(root) else str(resolved)
    return printable("" if shown == "." else shown)


def _kinds(paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Kind and path of each file."""
    names = {**{f"{kind}.csv": kind for kind in FILES}, "sessions.json": "sessions"}
    for path in paths:
        if path.is_dir():
            files = [(kind, path / name) for name, kind in names.items() if (path / name).is_file()]
            if not files:
                raise NeurojointError(f"{path} has no metadata files", f"known names are {', '.join(names)}")
            yield from files
            continue
        kind = next((kind for name, kind in names.items() if path.name.lower().endswith(name)), None)
        if kind is None:
            raise NeurojointError(
                f"the name of {path} does not say what it holds", f"its name must end in one of {', '.join(names)}"
            )
        if not path.is_file():
            raise NeurojointError(f"{path} does not exist", "check the path given with --metadata")
        yield kind, path


def _read_csv(
    kind: str, text: str, file: str, default_lab: str | None, zones: Mapping[str, str], metadata: Metadata
) -> None:
    known = {heading: entry for entry in FILES[kind] for heading in (entry.name, *entry.also)}
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        headings = [heading.strip() for heading in next(reader, [])]
    except csv.Error as error:
        metadata.problem(file, "", 1, str(error))
        metadata.incomplete.add(file)
        return
    for heading in headings:
        if heading and heading not in known:
            metadata.problem(file, heading, 1, f"unknown column; known are {', '.join(known)}")
    needed = [entry for entry in FILES[kind] if entry.needed and not {entry.name, *entry.also} & set(headings)]
    for entry in needed:
        metadata.problem(file, entry.name, 1, "this column is needed and not there")
    if needed:
        metadata.incomplete.add(file)
        return
    columns = [(i, known[heading]) for i, heading in enumerate(headings) if heading in known]
    columns.sort(key=lambda item: item[1].field.type == "time")  # the lab first, which says the time zone
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            metadata.problem(file, "", reader.line_num, str(error))
            metadata.incomplete.add(file)
            return
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(headings):
            metadata.problem(file, "", reader.line_num, f"{len(cells)} fields where there are {len(headings)} columns")
            continue
        row = _row(cells, columns, file, reader.line_num, default_lab, zones, metadata)
        if row is not None:
            metadata.rows[kind].append(row)
            metadata.lines[id(row)] = (file, reader.line_num)


def _row(
    cells: list[str], columns: list[tuple[int, Column]], file: str, line: int, default_lab: str | None,
    zones: Mapping[str, str], metadata: Metadata,
) -> dict[str, Any] | None:  # fmt: skip
    """The values of a row; None where a field that is needed is empty or cannot be used."""
    row: dict[str, Any] = {}
    complete = True
    for index, one in columns:
        cell = cells[index].strip()
        if not cell:
            if one.needed:
                metadata.problem(file, one.name, line, "it is empty")
                complete = False
            continue
        try:
            row[one.name] = one.read(cell, zones.get(row.get("lab") or default_lab or "", "UTC"))
        except ValueError as error:
            metadata.problem(file, one.name, line, str(error))
            # the lab of the data root, or a default, must not take the place of what was meant
            complete = complete and not one.needed and one.name != "lab" and one.field.default is None
    if not complete:
        return None
    if "lab" not in row:
        if default_lab is None:
            metadata.problem(file, "lab", line, "no lab is given, here or with --lab")
            return None
        row["lab"] = default_lab
    return row


_SESSION_PATH = re.compile(r"(?:(\w+)/Subjects/)?([\w.-]+)/(\d{4}-\d{2}-\d{2})/(\d{1,3})/?", re.ASCII)


def _read_sessions(text: str, file: str, default_lab: str | None, zones: Mapping[str, str], metadata: Metadata) -> None:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        metadata.problem(file, "", "", f"not JSON ({error})")
        metadata.incomplete.add(file)
        return
    if not isinstance(told, dict):
        metadata.problem(file, "", "", "an object with one entry for each session path is expected")
        metadata.incomplete.add(file)
        return
    eids: dict[str, str] = {}
    for path, fields in told.items():
        match = _SESSION_PATH.fullmatch(path)
        lab = match and (match[1] or default_lab)
        if not match or not lab or not isinstance(fields, dict):
            metadata.problem(file, "", printable(path)[:80], "lab/Subjects/subject/date/number: {…} is expected")
            continue
        known: dict[str, Any] = {}
        for name, value in fields.items():
            if is_blank(value):
                continue
            check = SESSION_FIELDS.get(name)
            try:
                if check is None:
                    raise ValueError(f"unknown field; known are {', '.join(SESSION_FIELDS)}")
                known[name] = check(value, zones.get(lab, "UTC"))
            except (ValueError, TypeError) as error:
                metadata.problem(file, str(name), path, str(error))
        if (eid := known.get("eid")) is not None and eids.setdefault(eid, path) != path:
            metadata.problem(file, "eid", path, f"{eid} is the eid of {eids[eid]} too")
            del known["eid"]
        units = known.pop("units", None)
        remarks = [known.pop("note", None), f"units: {units}" if units else None]
        known["session_narrative"] = "; ".join(filter(None, remarks)) or None
        key = SessionKey(lab, match[2], match[3], int(match[4]))
        metadata.sessions[key], metadata.session_files[key] = Facts(**known), file


def _tell_water(metadata: Metadata, zones: Mapping[str, str]) -> None:
    """Find the session of each water row that names one, by the date in the lab's time zone."""
    for row in metadata.rows["water"]:
        number = row.pop("session_number", None)
        row["session"] = None
        if number is not None:
            try:
                zone = zone_of(zones.get(row["lab"], "UTC"))
            except ValueError as error:
                metadata.problem_of(row, "session_number", f"the day is not known: {error}")
                continue
            when = row["administration_time"].replace(tzinfo=datetime.UTC)
            day = when.astimezone(zone).date().isoformat()
            row["session"] = SessionKey(row["lab"], row["subject"], day, number)
            metadata.water_told.add(row["session"])


def without_eid(facts: Facts) -> Facts:
    """The same facts with no eid."""
    return dataclasses.replace(facts, eid=None)
