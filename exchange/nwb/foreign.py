"""NWB files of other programs: what the NWB standard states becomes ALF under its ALF name.

All else keeps the name that it has, or is named as left out.
"""

from __future__ import annotations

import csv
import datetime
import json
import re
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hdmf.common import DynamicTable, ElementIdentifiers, VectorData, VectorIndex
from hdmf.container import AbstractContainer
from pynwb import NWBFile, ProcessingModule, TimeSeries
from pynwb.core import MultiContainerInterface
from pynwb.ecephys import ElectricalSeries
from pynwb.epoch import TimeIntervals
from pynwb.file import Subject
from pynwb.image import ImageSeries

from exchange.nwb import conventions, foreign_units
from exchange.nwb.foreign_session import Session, attribute
from exchange.nwb.placing import Choices, Intake, Line, place, session_path
from exchange.nwb.reading import as_array, place_in_file, timestamps
from pipeline.alf import columns as alf
from pipeline.errors import InvalidData, NeurojointError
from pipeline.schemas import subject as subject_schema

LARGEST = 1 << 31  # byte of one series
_SEX = {"M": "M", "F": "F", "U": "U", "O": "U"}


def read(path: Path, nwbfile: NWBFile, root: Path, choices: Choices) -> tuple[Intake, list[Path]]:
    """Write a session from a file of another program.

    Returns
    -------
    What became of it, object by object, and metadata files for the registration.

    Raises
    ------
    NeurojointError : it names no animal, there is nothing to take, or the session is there with other content.
    """
    session, about = _identity(path, nwbfile, choices)
    written: list[Session] = []

    def write(folder: Path) -> None:
        one = Session(folder)
        written.append(one)
        _trials(one, nwbfile, choices)
        foreign_units.add(one, nwbfile)
        _objects(one, nwbfile)
        if not any(folder.rglob("*.npy")):
            what = "; ".join(f"{line.name}: {line.detail}" for line in one.lines[:5]) or "it holds no data"
            raise NeurojointError(
                f"{path} has nothing that can be ingested ({what})", "run `neurojoint nwb check` on it"
            )

    state = place(root, session, write)
    lines = [*_subject_lines(nwbfile, about), *written[0].lines]
    return Intake(path, state, session, False, lines), _metadata(root, session, about)


def _identity(path: Path, nwbfile: NWBFile, choices: Choices) -> tuple[str, dict[str, Any]]:
    """The session's path, and what the file says of session and animal."""
    subject = nwbfile.subject
    name = choices.subject or (subject.subject_id if subject is not None else None)
    if not name:
        raise InvalidData(str(path), "bad_metadata", "it does not say which animal it is of", "give it: --subject NAME")
    label = re.sub(r"[^\w.-]", "_", str(name), flags=re.ASCII)[:64]
    lab = choices.lab or nwbfile.lab
    if not lab:
        raise InvalidData(str(path), "bad_metadata", "it does not say which lab it is from", "give it: --lab NAME")
    short = re.sub(r"\W+", "_", str(lab), flags=re.ASCII).strip("_").lower()[:32] if not choices.lab else choices.lab
    start = nwbfile.session_start_time
    session = f"{short}/{label}/{start.date()}/{choices.number or 1:03d}"
    about = {"lab": short, "subject": label, "start_time": start, "name": str(name), "lab_name": str(lab)}
    about["eid"] = nwbfile.identifier.lower() if _is_uuid(nwbfile.identifier) else None
    about["protocol"] = nwbfile.session_description
    about["from"] = subject
    return session_path(session, path), about


def _is_uuid(text: str) -> bool:
    try:
        return uuid.UUID(text).version in (3, 4) and len(text) == 36
    except ValueError:
        return False


def _subject_lines(nwbfile: NWBFile, about: dict[str, Any]) -> list[Line]:
    """What is said of animal and session, and what the tables have no place for."""
    lines = [
        Line(
            "session",
            "mapped",
            f"start {about['start_time'].isoformat()}" + (f", eid {about['eid']}" if about["eid"] else ""),
        )
    ]
    if about["name"] != about["subject"]:
        lines.append(Line("subject", "mapped", f"{about['name']!r} is called {about['subject']} here"))
    start, reference = nwbfile.session_start_time, nwbfile.timestamps_reference_time
    if reference is not None and reference != start:
        early = (start - reference).total_seconds()
        words = f"times stay as they are: they count from {reference.isoformat()}, {early:,.3f} s before the start"
        lines.append(Line("timestamps_reference_time", "mapped", words))
    subject = nwbfile.subject
    if subject is None:
        lines.append(Line("subject", "left out", "the file does not describe the animal"))
    else:
        row = _subject_row(about)
        said = ", ".join(f"{name} {value}" for name, value in row.items() if name not in ("lab", "subject"))
        lines.append(Line("subject", "mapped", said or "its name"))
        if subject.age and not subject.date_of_birth and "birth_date" not in row:
            lines.append(Line("subject.age", "left out", f"{subject.age!r} gives no date of birth"))
    return lines


def _subject_row(about: Mapping[str, Any]) -> dict[str, str]:
    """The row of subjects.csv."""
    row = {"lab": about["lab"], "subject": about["subject"]}
    subject = about["from"]
    if subject is None:
        return row
    born = subject.date_of_birth
    days = re.fullmatch(r"P(?=\d)(?:(\d+)W)?(?:(\d+)D)?", subject.age or "")
    if born is None and days and (subject.age__reference or "birth") == "birth":
        born = about["start_time"] - datetime.timedelta(weeks=int(days[1] or 0), days=int(days[2] or 0))
    given = {
        "sex": _SEX.get(subject.sex or ""),
        "birth_date": born.date().isoformat() if born is not None else None,
        "species": subject.species,
        "strain": subject.strain,
        "subject_description": "; ".join(
            filter(None, [subject.description, subject.genotype and f"genotype {subject.genotype}"])
        ),
    }
    return row | {name: str(value)[:1000] for name, value in given.items() if value}


def _metadata(root: Path, session: str, about: dict[str, Any]) -> list[Path]:
    """Files that tell the registration of session and animal; of an animal that is known nothing is told."""
    folder = root / "nwb_metadata"
    folder.mkdir(exist_ok=True)
    start = folder / session.replace("/", "_")
    told = {"start_time": about["start_time"].isoformat(), "note": str(about["protocol"])[:900]}
    told |= {"eid": about["eid"]} if about["eid"] else {}
    files = [Path(f"{start}_sessions.json")]
    files[0].write_text(json.dumps({session: told}))
    known = _is_bound() and len(subject_schema.Subject & {"lab": about["lab"], "subject": about["subject"]})
    row = _subject_row(about)
    if not known:
        files.append(Path(f"{start}_subjects.csv"))
        with files[1].open("w", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
            writer.writerow(row)
    return files


def _is_bound() -> bool:
    return subject_schema.schema.is_activated()


def _trials(session: Session, nwbfile: NWBFile, choices: Choices) -> None:
    """The trials: start and end mean what they do in ALF; other columns where a person or a convention says so."""
    table = nwbfile.trials
    if table is None:
        return
    columns = {item.name: item for item in table.columns}
    session.save(
        "alf/trials.intervals.npy", np.column_stack([as_array(columns[n].data) for n in ("start_time", "stop_time")])
    )
    session.mapped("trials", f"{len(table.id):,} trials as trials.intervals")
    known = conventions.recognised(columns)
    done: set[str] = {"start_time", "stop_time"}
    for name, (made, sources, text) in conventions.trials(known, columns).items():
        session.save(f"alf/trials.{name}.npy", made)
        session.mapped(f"trials.{'+'.join(sources)}", f"trials.{name}: {text}")
        done.update(sources)
    ours = set(alf.columns_by_attribute("trials"))
    for target, source in choices.columns.items():
        if source not in columns:
            raise NeurojointError(f"the trials have no column {source}", f"choose from {', '.join(columns)}")
        session.save(f"alf/trials.{target}.npy", as_array(columns[source].data))
        session.mapped(f"trials.{source}", f"trials.{target}, as stated")
        done.add(source)
    for name, column in columns.items():
        if name in done or isinstance(column, VectorIndex):
            continue
        target = attribute(name)
        foreign = f"nwb{target[0].upper()}{target[1:]}" if target in ours else target
        _column(session, column, f"trials.{name}", "alf/trials", foreign, target if foreign != target else "")


def _column(session: Session, column: Any, name: str, prefix: str, target: str, like: str = "") -> None:
    """One column of a table under its own name."""
    try:
        if any(isinstance(item, VectorIndex) and item.target is column for item in column.parent.columns):
            raise ValueError("its rows differ in length")
        values = as_array(column.data)
        session.save(f"{prefix}.{target}.npy", values)
    except (ValueError, TypeError) as error:
        session.left(name, str(error))
        return
    doubt = f"; whether it means {like} is not known: state it with --column {like}={column.name}" if like else ""
    session.mapped(name, f"{prefix.removeprefix('alf/')}.{target}{doubt}")


def _objects(session: Session, nwbfile: NWBFile) -> None:
    """Series and tables, by their type; every other object that holds something of its own is named."""
    done = {id(item) for item in (nwbfile.trials, nwbfile.units, nwbfile.electrodes) if item is not None}
    things = [thing for thing in nwbfile.objects.values() if id(thing) not in done]
    names = _alf_names([thing for thing in things if isinstance(thing, TimeSeries | DynamicTable)])
    for thing in things:
        name = f"{type(thing).__name__} {place_in_file(thing)}"
        if not isinstance(thing, TimeSeries | DynamicTable):
            if not _is_part(thing):
                session.left(name, f"a {type(thing).__name__} has no place in ALF")
            continue
        target = names[id(thing)]
        try:
            if isinstance(thing, ElectricalSeries):
                session.left(name, "raw samples stay in the NWB file")
            elif isinstance(thing, ImageSeries):
                session.left(name, "images and videos stay where they are")
            elif isinstance(thing, TimeSeries):
                _series(session, thing, name, target)
            elif isinstance(thing, TimeIntervals):
                _intervals(session, thing, name, target)
            elif "timestamp" in thing.colnames:
                _events(session, thing, name, target)
            else:
                session.left(name, f"a {type(thing).__name__} has no place in ALF")
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
            session.left(name, " ".join(str(error).split())[:200] or type(error).__name__)


def _alf_names(things: Sequence[Any]) -> dict[int, str]:
    """The ALF object of each series and table: its name, with those of the containers where several share it."""
    targets = {id(thing): attribute(thing.name) for thing in things}
    for depth in (2, 3, 9):
        counts = Counter(targets.values())
        for thing in things:
            if counts[targets[id(thing)]] > 1:
                targets[id(thing)] = attribute(" ".join(place_in_file(thing).split("/")[-depth:]))
    return targets


def _is_part(thing: Any) -> bool:
    """Whether an object is the file, the animal, a column of a table, or a mere container of other objects."""
    parts = NWBFile | Subject | ProcessingModule | MultiContainerInterface | VectorData | ElementIdentifiers
    return isinstance(thing, parts)


def _series(session: Session, series: TimeSeries, name: str, target: str) -> None:
    data = series.data
    if data is None or not len(data):
        raise ValueError("it holds no values")
    if isinstance(data, TimeSeries):
        data = data.data
    size = np.prod(getattr(data, "shape", (len(data),))) * 8
    if size > LARGEST:
        raise ValueError(f"{size / (1 << 30):.1f} GiB are more than a file of behaviour holds")
    values = np.asarray(data[:])
    if values.dtype.kind not in "biuf":
        raise ValueError(f"values of type {values.dtype} are no numbers")
    when = timestamps(series)
    if len(when) != len(values):
        raise ValueError(f"{len(values)} values at {len(when)} times")
    if series.conversion not in (None, 1.0) or series.offset:
        values = values * (series.conversion or 1.0) + (series.offset or 0.0)
    if target in ("wheelPosition", "wheel") and series.unit in ("radians", "radian", "rad") and values.ndim == 1:
        session.save("alf/wheel.timestamps.npy", when)
        session.save("alf/wheel.position.npy", values)
        session.mapped(name, "wheel.position (rad) and wheel.timestamps")
        return
    session.save(f"alf/{target}.timestamps.npy", when)
    session.save(f"alf/{target}.data.npy", values)
    session.mapped(name, f"{target}.data ({series.unit}) and {target}.timestamps")
    _beside(session, series, name, target)


def _beside(session: Session, series: TimeSeries, name: str, target: str) -> None:
    """What a type of series holds besides data and times, e.g. the confidence of a pose."""
    for field, values in series.fields.items():
        if field in ("data", "timestamps") or isinstance(values, str) or not hasattr(values, "__len__"):
            continue
        if isinstance(values, AbstractContainer | dict | tuple):
            continue
        array = as_array(values)
        if len(array) != len(series.data) or array.dtype.kind not in "biuf":
            session.left(f"{name}.{field}", "it is no number for each sample")
            continue
        session.save(f"alf/{target}.{attribute(field)}.npy", array)
        session.mapped(f"{name}.{field}", f"{target}.{attribute(field)}")


def _intervals(session: Session, table: TimeIntervals, name: str, target: str) -> None:
    columns = {column.name: column for column in table.columns}
    target = f"nwb{target[0].upper()}{target[1:]}" if target in ("trials", "spikes", "clusters") else target
    session.save(
        f"alf/{target}.intervals.npy", np.column_stack([as_array(columns[n].data) for n in ("start_time", "stop_time")])
    )
    session.mapped(name, f"{len(table.id):,} rows as {target}.intervals")
    for column in columns.values():
        if column.name not in ("start_time", "stop_time") and not isinstance(column, VectorIndex):
            _column(session, column, f"{name}.{column.name}", f"alf/{target}", attribute(column.name))


def _events(session: Session, table: DynamicTable, name: str, target: str) -> None:
    columns = {column.name: column for column in table.columns}
    session.save(f"alf/{target}.times.npy", as_array(columns["timestamp"].data))
    session.mapped(name, f"{len(table.id):,} events as {target}.times")
    for column in columns.values():
        if column.name != "timestamp" and not isinstance(column, VectorIndex):
            _column(session, column, f"{name}.{column.name}", f"alf/{target}", attribute(column.name))
