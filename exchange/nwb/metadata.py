"""What an NWB file says of the session as a whole: animal, people, protocol, surgeries, viruses, water of the day."""

from __future__ import annotations

import datetime
import zoneinfo
from importlib.metadata import version
from typing import Any

from pynwb import NWBFile
from pynwb.file import Subject

from exchange.nwb.source import Source
from pipeline.errors import NeurojointError
from pipeline.schemas import acquisition, action, ephys, lab, subject

LATIN = {
    "laboratory mouse": "Mus musculus",
    "house mouse": "Mus musculus",
    "mouse": "Mus musculus",
    "norway rat": "Rattus norvegicus",
    "brown rat": "Rattus norvegicus",
    "rat": "Rattus norvegicus",
    "human": "Homo sapiens",
    "rhesus macaque": "Macaca mulatta",
    "zebrafish": "Danio rerio",
}
"""Common names that labs enter, and the binomial name that NWB expects."""


def missing(source: Source) -> list[str]:
    """What NWB needs and the tables do not say, as sentences that say where to enter it."""
    sentences = []
    if source.session["start_time"] is None:
        sentences.append(f"session {source.name} has no start time: give it in sessions.json")
    if source.subject["birth_date"] is None:
        sentences.append(f"subject {source.key['subject']} has no birth date: give it in subjects.csv")
    if not species(source):
        sentences.append(f"subject {source.key['subject']} has no species: give it in subjects.csv, e.g. Mus musculus")
    return sentences


def species(source: Source) -> str:
    """Binomial name of the animal's species; empty where it is not known."""
    name = source.subject["species"] or ""
    if not name and source.subject["line"]:
        name = (subject.Line & {"line": source.subject["line"]}).fetch1("species") or ""
    if name.lower() in LATIN:
        return LATIN[name.lower()]
    nicknames = (subject.Species & {"species_nickname": name}).to_arrays("species") if name else []
    return str(nicknames[0]) if len(nicknames) == 1 else name


def create(source: Source, incomplete: bool = False) -> NWBFile:
    """An NWB file that holds what is known of the session, and no data yet.

    Raises
    ------
    NeurojointError : birth date, species or start of the session are not known, and `incomplete` is false.
    """
    lacking = missing(source)
    if lacking and not incomplete:
        raise NeurojointError("; ".join(lacking), "or export without it: --incomplete")
    session = source.session
    start = source.shown_day(session["start_time"])
    if start is None:
        zone = zoneinfo.ZoneInfo(source.lab["time_zone"])
        start = datetime.datetime.combine(source.shown_day(session["session_date"]), datetime.time(), zone)
    else:
        start = start.replace(tzinfo=datetime.UTC)
    protocol = session["task_protocol"]
    day = source.shown_day(session["session_date"])
    text = f"Session {session['session_number']} of {source.shown_subject} on {day}"
    text += f", protocol {protocol}." if protocol else "."
    if session["start_time"] is None:
        text += " The time of day at which it began is not known; 00:00 stands for it."
    projects = _projects(source)
    return NWBFile(
        session_description=text,
        identifier=session["eid"],
        session_id=session["eid"],
        session_start_time=start,
        experimenter=_people(source) or None,
        institution=source.lab["institution"] or source.lab["lab_name"] or source.lab["lab"],
        lab=source.lab["lab_name"] or source.lab["lab"],
        experiment_description=projects or f"Experiments of the lab {source.lab['lab_name'] or source.lab['lab']}.",
        keywords=_keywords(source),
        protocol=source.text("subject.Subject.protocol_number", source.subject["protocol_number"]) or None,
        surgery=_surgeries(source) or None,
        virus=_viruses(source) or None,
        notes=_notes(source) or None,
        was_generated_by=[["neurojoint", version("neurojoint")]],
        subject=_subject(source, start.date()),
    )


def _subject(source: Source, date: datetime.date) -> Subject:
    row = source.subject
    born, name = source.shown_day(row["birth_date"]), species(source)
    weight = _weight(source)
    sex = {"M": "M", "F": "F"}.get(row["sex"], "U")
    described = source.text("subject.Subject.subject_description", row["subject_description"])
    about = [described, f"Line {row['line']}." if row["line"] else ""]
    about += [f"Light cycle: {row['light_cycle']}." if row["light_cycle"] else ""]
    return Subject(
        subject_id=source.shown_subject,
        species=name or None,
        sex=sex,
        age=f"P{(date - born).days}D" if born and date >= born else None,
        strain=row["strain"] or None,
        genotype=_genotype(source) or None,
        weight=f"{weight / 1000:.5f} kg" if weight else None,
        description=" ".join(filter(None, about)) or f"Subject {source.shown_subject} of the lab {row['lab']}.",
    )


def _of_day(source: Source, table: Any, column: str) -> list[dict[str, Any]]:
    """Rows of the animal on the day of the session, in the lab's time zone."""
    zone = zoneinfo.ZoneInfo(source.lab["time_zone"])
    rows = (table & {name: source.key[name] for name in ("lab", "subject")}).to_dicts(order_by=column)
    day = source.key["session_date"]
    return [row for row in rows if row[column].replace(tzinfo=datetime.UTC).astimezone(zone).date() == day]


def _weight(source: Source) -> float | None:
    """Of the day, g: the last one before or in the session, else the first one after."""
    rows = _of_day(source, action.Weighing, "weighing_time")
    end = source.session["end_time"] or source.session["start_time"]
    before = [row for row in rows if end is None or row["weighing_time"] <= end]
    return (before or rows[:1])[-1]["weight"] if rows else None


def _notes(source: Source) -> str:
    said = [source.text("acquisition.Session.session_narrative", source.session["session_narrative"])]
    weight = _weight(source)
    said.append(f"Weight: {weight:g} g." if weight else "")
    for row in _of_day(source, action.WaterAdministration, "administration_time"):
        amount = "free access" if row["water_volume"] is None else f"{row['water_volume']:g} mL"
        when = source.shown_day(row["administration_time"]).isoformat(sep=" ", timespec="minutes")
        said.append(f"Water at {when} UTC: {amount} of {row['water_type']}.")
    key = {name: source.key[name] for name in ("lab", "subject")}
    for row in (action.WaterRestriction & key).to_dicts(order_by="restriction_start"):
        day = source.key["session_date"]
        ended = row["restriction_end"]
        if row["restriction_start"].date() <= day and (ended is None or ended.date() >= day):
            since = source.shown_day(row["restriction_start"]).date()
            reference = f", reference weight {row['reference_weight']:g} g" if row["reference_weight"] else ""
            said.append(f"Under water restriction since {since}{reference}.")
    return " ".join(filter(None, said))


def _people(source: Source) -> list[str]:
    """`Last, First` of those who ran the session; who has no full name is called by the name of the account."""
    users = (acquisition.SessionUser & source.key).to_arrays("user_name")
    people = []
    if source.rules is not None and source.rules.rules.people != "name":
        people = [shown for item in sorted(map(str, users)) if (shown := source.rules.person(item))]
        return [f"{item}, pseudonym" for item in people] or ["withheld, name"]
    for user in sorted(str(item) for item in users):
        full = (lab.LabMember & {"user_name": user}).fetch1("full_name").strip()
        first, _, last = full.rpartition(" ")
        if "," in full:
            people.append(full)
        else:
            people.append(
                f"{last}, {first}" if first else f"{full or user}, account name" if not full else f"{full}, -"
            )
    return people or ["not recorded, name"]


def people_without_names(source: Source) -> list[str]:
    """Accounts of the session that have no full name."""
    users = (acquisition.SessionUser & source.key).proj()
    return sorted(str(to_array) for to_array in (lab.LabMember & users & {"full_name": ""}).to_arrays("user_name"))


def _projects(source: Source) -> str:
    rows = (lab.Project & (acquisition.SessionProject & source.key).proj()).to_dicts(order_by="project")
    texts = [source.text("lab.Project.project_description", row["project_description"]) for row in rows]
    return " ".join(f"{one['project']}: {text}".rstrip(": ") + "." for one, text in zip(rows, texts, strict=True))


def _keywords(source: Source) -> list[str]:
    words = [part for part in str(source.session["task_protocol"]).strip("_").split("/") if part]
    procedures = (acquisition.SessionProcedure & source.key).to_arrays("procedure_type")
    words += sorted(str(procedure) for procedure in procedures)
    words += ["electrophysiology"] if len(ephys.ProbeInsertion & source.key) else []
    return list(dict.fromkeys([*words, "behavior"]))


def _genotype(source: Source) -> str:
    key = {name: source.key[name] for name in ("lab", "subject")}
    rows = (subject.Genotype & key).to_dicts(order_by="allele")
    return "; ".join(f"{row['allele']} ({row['zygosity'].lower()})" for row in rows)


def _surgeries(source: Source) -> str:
    key = {name: source.key[name] for name in ("lab", "subject")}
    said = []
    for row in (action.Surgery & key).to_dicts(order_by="surgery_start"):
        parts = (action.Surgery.Procedure & row).to_arrays("procedure_type")
        what = ", ".join(sorted(str(part) for part in parts)) or "operation"
        told = source.text("action.Surgery.surgery_narrative", row["surgery_narrative"])
        said.append(f"{source.shown_day(row['surgery_start']).date()}: {what}. {told}".strip())
    implants = (subject.Implant & key).to_dicts(order_by="implant_date")
    for implant in implants:
        told = source.text("subject.Implant.implant_description", implant["implant_description"])
        said.append(
            f"{source.shown_day(implant['implant_date'])}: implant of {implant['implant_weight']:g} g. {told}".strip()
        )
    return "\n".join(said)


def _viruses(source: Source) -> str:
    key = {name: source.key[name] for name in ("lab", "subject")}
    said = []
    for row in (action.VirusInjection & key).to_dicts(order_by="injection_time"):
        text = f"{source.shown_day(row['injection_time']).date()}: {row['virus_name']}"
        text += f", {row['injection_volume']:g} nL" if row["injection_volume"] is not None else ""
        text += f" at {row['injection_rate']:g} nL/min" if row["injection_rate"] is not None else ""
        if row["injection_ml"] is not None:
            place = ", ".join(
                f"{n.upper()} {row[f'injection_{n}']:g}"
                for n in ("ml", "ap", "dv")
                if row[f"injection_{n}"] is not None
            )
            text += f", {place} um from bregma"
        said.append(f"{text}.")
    return "\n".join(said)
