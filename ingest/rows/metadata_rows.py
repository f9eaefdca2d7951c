"""From metadata to rows: labs, animals, weighings, water, restrictions; a corrected value leaves a Change."""

from __future__ import annotations

from typing import Any

from ingest.files import identity
from ingest.files.scan import SessionKey
from ingest.metadata.files import Metadata, without_eid
from ingest.rows.sessions import SESSION, SessionRows
from ingest.rows.writing import Writer
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import acquisition, action, lab, subject

_LOOKUPS = {
    "species": subject.Species,
    "line": subject.Line,
    "strain": subject.Strain,
    "source": subject.Source,
    "responsible_user": lab.LabMember,
}


def write_animals(writer: Writer, metadata: Metadata) -> int:
    """Write labs, subjects, their projects and implants; returns how many rows are new or changed."""
    labs, animals = metadata.rows["labs"], metadata.rows["subjects"]
    n_rows = sum(writer.merge(lab.Lab, labs, {})) if labs else 0
    if not animals:
        return n_rows
    writer.ensure(lab.Lab, {(row["lab"],) for row in animals})
    for name, table in _LOOKUPS.items():
        writer.ensure(table, {(row[name],) for row in animals if row.get(name)}, (table.primary_key[-1],))
    animals = _free_uuids(metadata, animals)
    extra = ("projects", "reference_weight", "implant_weight", "implant_date")
    plain = [{name: value for name, value in row.items() if name not in extra} for row in animals]
    for row in plain:
        row.setdefault("subject_uuid", None)
    known = {(row["lab"], row["subject"]) for row in fetch_columns(subject.Subject, "lab", "subject").to_pylist()}
    for row in plain:
        if row["subject_uuid"] is None and (row["lab"], row["subject"]) not in known:
            row["subject_uuid"] = identity.subject_uuid(row["lab"], row["subject"])
    n_rows += sum(writer.merge(subject.Subject, plain, {}))
    projects = {(row["lab"], row["subject"], one) for row in animals for one in row.get("projects", ())}
    writer.ensure(lab.Project, {(one[-1],) for one in projects})
    writer.put(subject.SubjectProject, ("lab", "subject", "project"), sorted(projects), "skip")
    implants = []
    for row in animals:
        if not row.get("implant_weight"):
            continue
        day = row.get("implant_date") or row.get("birth_date")
        if day is None:
            metadata.problem_of(row, "implant_date", "an implant needs its date, or the animal a birth_date")
            continue
        key = {"lab": row["lab"], "subject": row["subject"], "implant_date": day}
        implants.append(key | {"implant_weight": row["implant_weight"]})
    return n_rows + (sum(writer.merge(subject.Implant, implants, {})) if implants else 0)


def write_actions(writer: Writer, metadata: Metadata, sessions: SessionRows) -> int:
    """Write weighings, water and restrictions; returns how many rows are new or changed."""
    known = {(row["lab"], row["subject"]) for row in fetch_columns(subject.Subject, "lab", "subject").to_pylist()}
    known |= {(key.lab, key.subject) for key in sessions.known}
    known |= {(row["lab"], row["subject"]) for row in metadata.rows["subjects"]}
    rows = {}
    for kind in ("weighings", "water", "restrictions"):
        rows[kind] = [row for row in metadata.rows[kind] if (row["lab"], row["subject"]) in known]
        for row in metadata.rows[kind]:
            if (row["lab"], row["subject"]) not in known:
                metadata.problem_of(row, "subject", f"no animal {row['subject']} of the lab {row['lab']} is known")
    writer.ensure(lab.LabMember, {(row["weighing_user"],) for row in rows["weighings"] if row.get("weighing_user")})
    writer.ensure(lab.LabMember, {(row["water_user"],) for row in rows["water"] if row.get("water_user")})
    writer.ensure(action.WaterType, {(row["water_type"],) for row in rows["water"] if row.get("water_type")})
    n_rows = _merge(writer, action.Weighing, rows["weighings"], {})
    references = {
        (row["lab"], row["subject"]): row["reference_weight"]
        for row in metadata.rows["subjects"]
        if row.get("reference_weight")
    }
    for row in rows["restrictions"]:
        row.setdefault("reference_weight", references.get((row["lab"], row["subject"])))
    n_rows += _merge(writer, action.WaterRestriction, rows["restrictions"], {})
    return n_rows + _write_water(writer, metadata, rows["water"], sessions)


def check_eids(metadata: Metadata, sessions: SessionRows) -> None:
    """Take away the eids that another session has, and report them."""
    file = next((one for one in metadata.files if one.lower().endswith("sessions.json")), "")
    for key, facts in metadata.sessions.items():
        owner = sessions.eids.get(facts.eid, key) if facts.eid else key
        if owner != key:
            path = identity.session_path(*key)
            metadata.problem(file, "eid", path, f"{facts.eid} is the eid of {identity.session_path(*owner)}")
            metadata.sessions[key] = without_eid(facts)


def _merge(writer: Writer, table: Any, rows: list[dict[str, Any]], defaults: dict[str, Any]) -> int:
    if not rows:
        return 0
    labs = [{"lab": name} for name in sorted({row["lab"] for row in rows})]
    return sum(writer.merge(table, rows, defaults, labs))


def _free_uuids(metadata: Metadata, animals: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without the uuids that another animal has."""
    there = fetch_columns(subject.Subject, "subject_uuid", "lab", "subject").to_pylist()
    owners = {row["subject_uuid"]: (row["lab"], row["subject"]) for row in there}
    for row in animals:
        given, animal = row.get("subject_uuid"), (row["lab"], row["subject"])
        if given and owners.setdefault(given, animal) != animal:
            metadata.problem_of(row, "subject_uuid", f"{given} is the uuid of {'/'.join(owners[given])}")
            row["subject_uuid"] = None
    return animals


def _write_water(writer: Writer, metadata: Metadata, rows: list[dict[str, Any]], sessions: SessionRows) -> int:
    links: dict[tuple, SessionKey] = {}
    for row in rows:
        session = row["session"]
        if session is None:
            continue
        if session in sessions.known:
            links[row["lab"], row["subject"], row["administration_time"]] = session
        else:
            message = f"{row['subject']} has no session {session.number} on {session.date}"
            metadata.problem_of(row, "session_number", message)
    plain = [{name: value for name, value in row.items() if name != "session"} for row in rows]
    n_rows = _merge(writer, action.WaterAdministration, plain, {"water_type": "Water", "adlib": False})
    if not links:
        return n_rows
    # What the settings said of these sessions before does not count any more.
    key = ("lab", "subject", "administration_time")
    there = fetch_columns(acquisition.SessionWater & [{"lab": one} for one in sorted({k[0] for k in links})])
    told = set(links.values())
    old = []
    for row in there.to_pylist():
        session = SessionKey(row["lab"], row["subject"], str(row["session_date"]), row["session_number"])
        if session in told and links.get(tuple(row[name] for name in key)) != session:
            old.append({name: row[name] for name in key})
            writer.change("removed", identity.session_path(*session), "water of the settings: a metadata file gives it")
    if old and not writer.dry_run:
        (acquisition.SessionWater & old).delete_quick()
        gone = [one for one in old if tuple(one.values()) not in links]
        if gone:
            (action.WaterAdministration & gone).delete_quick()
    names = (*key, *SESSION[2:])
    values = [(*one, session.date, session.number) for one, session in links.items()]
    writer.put(acquisition.SessionWater, names, values, "skip")
    return n_rows
