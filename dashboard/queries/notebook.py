"""What the pages on which people enter show: the morning round, the history of an animal, the colony, messages."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dashboard import links
from pipeline.entry import status
from pipeline.entry.parse import zone_or_utc
from pipeline.entry.status import Today
from pipeline.schemas import acquisition, action, audit, lab, notification, subject

Row = dict[str, Any]


def labs() -> list[str]:
    """The labs."""
    return lab.Lab().to_arrays("lab", order_by="lab").tolist()


def morning_round(lab_name: str, user: str = "", room: str = "") -> list[Row]:
    """The restricted living animals of a lab in the order of their cages, with what the round needs."""
    zone = zone_or_utc((lab.Lab & {"lab": lab_name}).fetch1("time_zone"))
    day = datetime.datetime.now(zone).date()
    here = {"lab": lab_name}
    restricted = action.WaterRestriction & here & "restriction_end IS NULL"
    alive = subject.Subject.proj("responsible_user", "death_date", "cage") & here & "death_date IS NULL"
    animals = {row["subject"]: row for row in (alive & restricted.proj()).to_dicts()}
    if user:
        animals = {name: row for name, row in animals.items() if row["responsible_user"] == user}
    if room:
        cages = set((subject.Cage & here & {"cage_room": room}).to_arrays("cage_label").tolist())
        animals = {name: row for name, row in animals.items() if row["cage"] in cages}
    types = {
        row["subject"]: row["water_type"] for row in (action.WaterRestriction.Water & restricted.proj()).to_dicts()
    }
    statuses = status.of_lab(lab_name, {name: row["responsible_user"] for name, row in animals.items()}, day)
    rows = [
        round_row(item, animals[item.subject]["cage"]) | {"water_type": types.get(item.subject) or "Water"}
        for item in statuses
    ]
    return sorted(rows, key=lambda row: (natural(row["cage"]), natural(row["subject"])))


def round_row(one: Today, cage: str) -> Row:
    """One animal as the browser takes it."""
    return {
        "lab": one.lab, "subject": one.subject, "cage": cage, "href": links.to("notebook", one.lab, one.subject),
        "weight": one.weight, "weighed": one.weighed, "yesterday": one.yesterday,
        "yesterday_date": None if one.yesterday_date is None else str(one.yesterday_date),
        "expected": one.expected, "implant": one.implant, "limit_pct": one.limit_pct, "near": one.near,
        "in_task": one.in_task, "supplement": one.supplement, "adlib": one.adlib,
        "growth_missing": one.growth_missing,
    }  # fmt: skip


def natural(text: str) -> list[tuple[int, int | str]]:
    """Order in which C2 comes before C10."""
    import re

    return [(0, int(part)) if part.isdigit() else (1, part.lower()) for part in re.findall(r"\d+|\D+", text)]


@dataclass(frozen=True)
class Moment:
    """One line of a history: when (UTC, or a date), what kind, in words, with the write that it came from."""

    when: datetime.datetime | datetime.date
    kind: str
    text: str
    batch: str = ""
    picture: str = ""


def animal(lab_name: str, name: str) -> Row:
    """Everything that is known of an animal now."""
    key = {"lab": lab_name, "subject": name}
    row: Row = (subject.Subject & key).fetch1()
    row["restricted"] = bool(action.WaterRestriction & key & "restriction_end IS NULL")
    row["genotypes"] = (subject.Genotype & key).to_dicts()
    row["projects"] = (subject.SubjectProject & key).to_arrays("project").tolist()
    litters = (subject.Litter * subject.Litter.Pup & key).to_dicts()
    row["litter"] = litters[0] if litters else None
    pair = litters[0]["breeding_pair"] if litters else None
    row["parents"] = (subject.BreedingPair.Parent & {"breeding_pair": pair}).to_dicts() if pair else []
    own = (subject.BreedingPair.Parent & key).to_arrays("breeding_pair").tolist()
    children = subject.Litter.Pup & (subject.Litter & [{"breeding_pair": item} for item in own]).proj() if own else None
    row["children"] = children.to_dicts() if children is not None else []
    return row


GENERATIONS = 3  # of ancestors
MOST_OFFSPRING = 24


def pedigree(lab_name: str, name: str) -> list[Row]:
    """An animal with its ancestors and its offspring, as `figures.pedigree` takes them."""
    generations, parents = {name: 0}, _parents_of(lab_name, [name])
    found, youngest = dict(parents), [name]
    for generation in range(1, GENERATIONS + 1):
        youngest = [item for child in youngest for item in found.get(child, []) if item not in generations]
        generations |= dict.fromkeys(youngest, generation)
        if not youngest:
            break
        found |= _parents_of(lab_name, youngest)
    own = (subject.BreedingPair.Parent & {"lab": lab_name, "subject": name}).to_arrays("breeding_pair").tolist()
    if own:
        litters = (subject.Litter & [{"breeding_pair": item} for item in own]).proj()
        born = (subject.Litter.Pup & litters & {"lab": lab_name}).to_dicts(order_by="subject", limit=MOST_OFFSPRING)
        for row in born:
            generations.setdefault(row["subject"], -1)
            found.setdefault(row["subject"], [name])
    keys = [{"lab": lab_name, "subject": item} for item in generations]
    genotypes: dict[str, list[str]] = {}
    for row in (subject.Genotype & keys).to_dicts(order_by="allele"):
        genotypes.setdefault(row["subject"], []).append(f"{row['allele']} {row['zygosity']}")
    return [
        {"subject": row["subject"], "sex": row["sex"], "generation": generations[row["subject"]],
         "parents": found.get(row["subject"], []), "died": row["death_date"] is not None,
         "label": ", ".join(genotypes.get(row["subject"], [])[:2])}
        for row in (subject.Subject.proj("sex", "death_date") & keys).to_dicts(order_by="subject")
    ]  # fmt: skip


def _parents_of(lab_name: str, animals: list[str]) -> dict[str, list[str]]:
    """The parents of animals, fathers first."""
    pups = (subject.Litter.Pup & [{"lab": lab_name, "subject": item} for item in animals]).to_dicts()
    litters = {row["litter"]: row["breeding_pair"] for row in (
        subject.Litter & [{"litter": row["litter"]} for row in pups]).to_dicts()} if pups else {}  # fmt: skip
    pairs = [{"breeding_pair": pair} for pair in set(litters.values()) if pair]
    of_pair: dict[str, list[str]] = {}
    if pairs:
        for row in (subject.BreedingPair.Parent & pairs & {"lab": lab_name}).to_dicts(order_by="parent_role, subject"):
            of_pair.setdefault(row["breeding_pair"], []).append(row["subject"])
    return {row["subject"]: of_pair.get(litters.get(row["litter"]) or "", []) for row in pups}


def timeline(lab_name: str, name: str) -> list[Moment]:
    """What happened to an animal, newest first."""
    key = {"lab": lab_name, "subject": name}
    moments: list[Moment] = []
    batches = {
        (row["edit_table"], row["edit_path"]): row["edit_batch"]
        for row in (audit.Edit & {"edit_action": "create"} & f"edit_path LIKE '{lab_name}/{name}%%'").to_dicts()
        if row["edit_path"] == f"{lab_name}/{name}" or row["edit_path"].startswith(f"{lab_name}/{name}/")
    }

    def add(table: str, rows: list[Row], primary: list[str], when: str, kind: str, text: Any) -> None:
        for row in rows:
            path = "/".join(str(row[column]) for column in primary)
            moments.append(Moment(row[when], kind, text(row), batches.get((table, path), "")))

    def rows_of(cls: Any) -> tuple[list[Row], list[str]]:
        return (cls & key).to_dicts(), list(cls.primary_key)

    add("action.Weighing", *rows_of(action.Weighing), "weighing_time", "weight", lambda row: f"{row['weight']:g} g")
    add("action.WaterAdministration", *rows_of(action.WaterAdministration), "administration_time", "water",
        lambda row: "free water" if row["adlib"] else f"{row['water_volume'] or 0:g} mL {row['water_type']}",
        )  # fmt: skip
    add("action.WaterRestriction", *rows_of(action.WaterRestriction), "restriction_start", "restriction",
        lambda row: f"restricted, reference {row['reference_weight'] or 0:g} g" + (
            f", until {row['restriction_end']:%Y-%m-%d}" if row["restriction_end"] else ""))  # fmt: skip
    procedures: dict[Any, list[str]] = {}
    for row in (action.Surgery.Procedure & key).to_dicts():
        procedures.setdefault(row["surgery_start"], []).append(row["procedure_type"])
    add("action.Surgery", *rows_of(action.Surgery), "surgery_start", "surgery",
        lambda row: ", ".join(procedures.get(row["surgery_start"], [])) + f" {row['surgery_outcome']} "
        + row["surgery_narrative"])  # fmt: skip
    add("action.VirusInjection", *rows_of(action.VirusInjection), "injection_time", "injection",
        lambda row: f"{row['virus_name']} {row['injection_volume'] or ''} nL")  # fmt: skip
    add("action.DrugAdministration", *rows_of(action.DrugAdministration), "drug_time", "drug",
        lambda row: f"{row['drug_name']} {row['drug_dose'] or ''} {row['drug_unit']} {row['drug_route']}")  # fmt: skip
    add("subject.AdverseEffect", *rows_of(subject.AdverseEffect), "effect_date", "harm",
        lambda row: f"severity {row['effect_severity'] or '?'}: {row['effect_text']}")  # fmt: skip
    add("subject.Housing", *rows_of(subject.Housing), "housing_start", "cage", lambda row: row["cage_name"])
    add("subject.GenotypeTest", *rows_of(subject.GenotypeTest), "genotype_test_date", "test",
        lambda row: f"{row['sequence']}: {row['test_result']}")  # fmt: skip
    add("subject.Implant", *rows_of(subject.Implant), "implant_date", "implant",
        lambda row: f"{row['implant_weight']:g} g {row['implant_description']}")  # fmt: skip
    add("subject.Cull", *rows_of(subject.Cull), "cull_date", "cull",
        lambda row: f"{row['cull_method'] or ''} {row['cull_reason'] or ''} {row['cull_description']}")  # fmt: skip
    add("acquisition.Session", *rows_of(acquisition.Session), "session_date", "session",
        lambda row: f"session {row['session_number']} {row['task_protocol']}")  # fmt: skip
    uuid = (subject.Subject & key).fetch1("subject_uuid")
    moments += [
        Moment(row["note_time"], "note", row["note_text"], picture=row["note_image"])
        for row in (action.Note & {"note_object_id": uuid}).to_dicts()
    ]
    for row in (audit.Edit & {"edit_table": "subject.Subject", "edit_path": f"{lab_name}/{name}",
                              "edit_action": "update"}).to_dicts():  # fmt: skip
        changed = ", ".join(
            f"{column}: {(row['edit_before'] or {}).get(column)} → {value}"
            for column, value in (row["edit_after"] or {}).items()
        )
        moments.append(Moment(row["edit_time"], "changed", f"{changed} (by {row['edit_user']})", row["edit_batch"]))
    return sorted(moments, key=lambda one: _sortable(one.when), reverse=True)


def _sortable(when: datetime.date) -> datetime.datetime:
    if isinstance(when, datetime.datetime):
        return when
    return datetime.datetime.combine(when, datetime.time())


def colony(lab_name: str) -> dict[str, Any]:
    """Pairs, litters, lines, animals to genotype, requests, counts and cages of a lab."""
    here = {"lab": lab_name}
    alive = (subject.Subject & here & "death_date IS NULL").to_dicts(order_by="subject")
    parents = (subject.BreedingPair.Parent & here).to_dicts()
    pairs = sorted({row["breeding_pair"] for row in parents})
    named = [{"breeding_pair": name} for name in pairs]
    litters = (subject.Litter & named).to_dicts(order_by="litter_birth_date") if named else []
    weaned = {row["litter"] for row in (subject.Litter.Pup & here).to_dicts()}
    requests = (subject.SubjectRequest & here).to_dicts(order_by="request_date DESC")
    return {
        "pairs": (subject.BreedingPair & named).to_dicts(order_by="breeding_pair") if named else [],
        "parents": parents,
        "litters": litters,
        "unweaned": [row for row in litters if row["litter"] not in weaned],
        "genotyping": [row for row in alive if row["to_be_genotyped"]],
        "culling": [row for row in alive if row["to_be_culled"]],
        "requests": requests,
        "counts": _counts(alive, datetime.datetime.now(zone_or_utc((lab.Lab & here).fetch1("time_zone"))).date()),
        "cages": _cages(alive, (subject.Cage & here).to_dicts(order_by="cage_label")),
        "animals": [row["subject"] for row in alive],
        "lines": subject.Line().to_arrays("line", order_by="line").tolist(),
        "sequences": subject.Sequence().to_arrays("sequence", order_by="sequence").tolist(),
    }


def _counts(alive: list[Row], today: datetime.date) -> list[Row]:
    """Living animals by line, sex and age: what inspectors ask for."""
    counts: dict[tuple[str, str], list[int]] = {}
    for row in alive:
        ages = counts.setdefault((row["line"] or "no line", row["sex"]), [0, 0, 0, 0])
        weeks = None if row["birth_date"] is None else (today - row["birth_date"]).days / 7
        ages[3 if weeks is None else 0 if weeks < 8 else 1 if weeks < 30 else 2] += 1
    return [
        {"line": line, "sex": sex, "young": ages[0], "adult": ages[1], "ageing": ages[2], "unknown": ages[3]}
        for (line, sex), ages in sorted(counts.items())
    ]


def _cages(alive: list[Row], cages: list[Row]) -> list[Row]:
    inside: dict[str, list[str]] = {}
    for row in alive:
        if row["cage"]:
            inside.setdefault(row["cage"], []).append(row["subject"])
    known = {row["cage_label"]: row for row in cages if row["cage_in_use"] or row["cage_label"] in inside}
    return [
        {"cage": name, "room": known.get(name, {}).get("cage_room", ""),
         "rack": known.get(name, {}).get("cage_rack", ""),
         "row": known.get(name, {}).get("cage_row", ""), "column": known.get(name, {}).get("cage_column", ""),
         "place": "".join(known.get(name, {}).get(part, "") for part in ("cage_row", "cage_column")),
         "animals": inside.get(name, [])}
        for name in sorted({*known, *inside}, key=natural)
    ]  # fmt: skip


def messages(user: str) -> list[Row]:
    """Messages to a person, newest first."""
    return (notification.Message & {"recipient": user}).to_dicts(order_by="created_time DESC", limit=200)


def planned(lab_name: str, first: datetime.date, last: datetime.date) -> list[Row]:
    """Trainings, operations and dates of the colony in some days, in their order."""
    here = {"lab": lab_name}
    days = f"planned_date BETWEEN '{first}' AND '{last}'"
    rows = [
        {"date": row["planned_date"], "start": row["planned_start"], "minutes": row["planned_minutes"],
         "kind": "training", "subject": row["subject"], "text": row["planned_location"] or "", "number":
         row["planned_number"], "user": row["planned_user"] or ""}
        for row in (action.PlannedTraining & here & days).to_dicts()
    ]  # fmt: skip
    zone = zone_or_utc((lab.Lab & here).fetch1("time_zone"))
    begin, end = (utc_midnight(day, zone) for day in (first, last + datetime.timedelta(days=1)))
    operations = action.Surgery & here & f"surgery_start >= '{begin}'" & f"surgery_start < '{end}'"
    rows += [
        {"date": row["surgery_start"].replace(tzinfo=datetime.UTC).astimezone(zone).date(),
         "start": row["surgery_start"], "minutes": 60, "kind": "surgery",
         "subject": row["subject"], "text": row["surgery_outcome"], "number": 0, "user": ""}
        for row in operations.to_dicts()
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (row["date"], row["start"] or datetime.datetime.min, row["subject"]))


def utc_midnight(day: datetime.date, zone: datetime.tzinfo) -> datetime.datetime:
    """When a day begins in a lab, in UTC.

    >>> import zoneinfo
    >>> utc_midnight(datetime.date(2026, 7, 1), zoneinfo.ZoneInfo("America/Los_Angeles"))
    datetime.datetime(2026, 7, 1, 7, 0)
    """
    local = datetime.datetime.combine(day, datetime.time(), zone)
    return local.astimezone(datetime.UTC).replace(tzinfo=None)


def choices(lab_name: str) -> Mapping[str, list[str]]:
    """Input -> what can be chosen while typing."""
    here = {"lab": lab_name}
    columns = {
        "water_type restriction_water": (action.WaterType(), "water_type"),
        "procedures": (action.ProcedureType(), "procedure_type"),
        "cull_method": (subject.CullMethod(), "cull_method"),
        "cull_reason": (subject.CullReason(), "cull_reason"),
        "responsible_user surgeons planned_user": (lab.LabMember(), "user_name"),
        "cage male_cage female_cage": (subject.Cage & here, "cage_label"),
        "line": (subject.Line(), "line"),
        "strain": (subject.Strain(), "strain"),
        "sequence": (subject.Sequence(), "sequence"),
        "allele": (subject.Allele(), "allele"),
        "zygosity": (subject.Zygosity(), "zygosity"),
        "planned_location location": (lab.LabLocation & here, "location"),
        "project": (lab.Project(), "project"),
        "protocol_number": (subject.Protocol(), "approved_protocol"),
    }
    known = {names: rows.to_arrays(column).tolist() for names, (rows, column) in columns.items()}
    return {name: values for names, values in known.items() for name in names.split()}
