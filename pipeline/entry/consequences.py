"""What follows from what was written, in the same transaction and for every face: death ends restrictions, zygosities
follow their tests, and people are told.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.analysis.zygosity import Rule, zygosity_from_parents, zygosity_from_tests
from pipeline.entry import events, zones
from pipeline.entry.audit import Edit, Origin
from pipeline.entry.parse import zone_or_utc
from pipeline.entry.removal import remove
from pipeline.entry.writer import write
from pipeline.schemas import action, subject
from pipeline.schemas import action as action_schema
from pipeline.schemas import lab as lab_schema

Animal = tuple[str, str]
DERIVED = ("tests", "parents")


def follow(origin: Origin, table: str, edits: Sequence[Edit]) -> None:
    """Do what follows from some edits of one table; to be called in the transaction that made them."""
    if not edits:
        return
    if table == "subject.Subject":
        died = {
            (edit.key["lab"], edit.key["subject"]): (edit.after or {})["death_date"]
            for edit in edits
            if (edit.after or {}).get("death_date") is not None
        }
        for animal in _unfinished(died):
            key = dict(zip(("lab", "subject"), animal, strict=True))
            end_restrictions(origin, key, died[animal])
            leave_cage(origin, key, died[animal])
    elif table == "subject.Cull":
        for edit in edits:
            if (edit.after or {}).get("cull_date") is not None:
                _die(origin, edit.key, edit.after["cull_date"])  # type: ignore[index]
    elif table == "subject.GenotypeTest":
        for animal in dict.fromkeys((edit.key["lab"], edit.key["subject"]) for edit in edits):
            derive_genotypes(origin, animal)
    elif table in ("subject.ZygosityRule", "subject.ZygosityRule.Result"):
        for line in dict.fromkeys(edit.key["line"] for edit in edits):
            for animal in _tested_of(line):
                derive_genotypes(origin, animal)

    events.announce(origin, table, edits)


def _unfinished(animals: Mapping[Animal, Any]) -> list[Animal]:
    """Those that are under restriction or in a cage."""
    if not animals:
        return []
    open_rows = [
        *(action.WaterRestriction & "restriction_end IS NULL").proj().to_dicts(),
        *(subject.Housing & "housing_end IS NULL").proj().to_dicts(),
    ]
    return sorted({(row["lab"], row["subject"]) for row in open_rows} & set(animals))


def _die(origin: Origin, key: Mapping[str, Any], day: datetime.date) -> None:
    animal = {name: key[name] for name in ("lab", "subject")}
    if (subject.Subject & animal).fetch1("death_date") is None:
        write("subject.Subject", [animal | {"death_date": day}], action="update", **_as(origin))


def end_restrictions(origin: Origin, key: Mapping[str, Any], day: datetime.date) -> None:
    """End what restrictions an animal has on the day of its death."""
    animal = {name: key[name] for name in ("lab", "subject")}
    there = (action_schema.WaterRestriction & animal & "restriction_end IS NULL").to_dicts()
    if not there:
        return
    zone = zone_or_utc((lab_schema.Lab & {"lab": animal["lab"]}).fetch1("time_zone"))
    last = datetime.datetime.combine(day, datetime.time(23, 59, 59), zone).astimezone(datetime.UTC)
    end = min(last, datetime.datetime.now(datetime.UTC)).replace(tzinfo=None, microsecond=0)
    for row in there:
        begun = {name: row[name] for name in ("lab", "subject", "restriction_start")}
        ended = max(end, row["restriction_start"])
        write("action.WaterRestriction", [begun | {"restriction_end": ended}], action="update", **_as(origin))


def leave_cage(origin: Origin, key: Mapping[str, Any], day: datetime.date) -> None:
    """Close the housing of an animal on the day of its death."""
    animal = {name: key[name] for name in ("lab", "subject")}
    for row in (subject.Housing & animal & "housing_end IS NULL").to_dicts():
        left = {"housing_start": row["housing_start"], "housing_end": max(day, row["housing_start"])}
        write("subject.Housing", [animal | left], action="update", **_as(origin))


def derive_genotypes(origin: Origin, animal: Animal) -> None:
    """Make the derived zygosities of an animal what its tests, else its parents, show; what people entered stays."""
    key = dict(zip(("lab", "subject"), animal, strict=True))
    if not (subject.Subject & key):
        return
    shown = {allele: (zygosity, "tests") for allele, zygosity in _by_tests(key).items()}
    for allele, zygosity in zygosities_of_offspring(parents_of(key)).items():
        shown.setdefault(allele, (zygosity, "parents"))
    there = {row["allele"]: row for row in (subject.Genotype & key).to_dicts()}
    rows = [
        key | {"allele": allele, "zygosity": zygosity, "genotype_origin": source}
        for allele, (zygosity, source) in shown.items()
        if allele not in there or there[allele]["genotype_origin"] in DERIVED
    ]
    if rows:
        write("subject.Genotype", rows, **_as(origin))
    withdrawn = [
        key | {"allele": allele}
        for allele, row in there.items()
        if row["genotype_origin"] in DERIVED and allele not in shown
    ]
    if withdrawn:
        remove("subject.Genotype", withdrawn, reason="the tests that showed it are gone", **_as(origin))


def _by_tests(key: Mapping[str, Any]) -> dict[str, str]:
    """Allele -> zygosity, by the rules of the animal's line and the newest result of each sequence."""
    line = (subject.Subject & key).fetch1("line")
    tests = (subject.GenotypeTest & key).to_dicts(order_by="genotype_test_date")
    results = {row["sequence"]: row["test_result"] == "Present" for row in tests}
    if not line or not results:
        return {}
    rules: dict[tuple[str, int], dict[str, bool]] = {}
    for row in (subject.ZygosityRule.Result & {"line": line}).to_dicts():
        rules.setdefault((row["allele"], row["rule_number"]), {})[row["sequence"]] = row["rule_result"] == "Present"
    by_allele: dict[str, list[Rule]] = {}
    for row in (subject.ZygosityRule & {"line": line}).to_dicts(order_by="rule_number"):
        asked = rules.get((row["allele"], row["rule_number"]))
        if asked:
            by_allele.setdefault(row["allele"], []).append(Rule(row["zygosity"], asked))
    zygosities = {allele: zygosity_from_tests(asked, results) for allele, asked in by_allele.items()}
    return {allele: zygosity for allele, zygosity in zygosities.items() if zygosity is not None}


def parents_of(key: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Father and mothers of an animal, with `parent_role`; empty where they are not recorded."""
    litters = (subject.Litter & (subject.Litter.Pup & dict(key)).proj("litter")).to_dicts()
    if not litters or litters[0]["breeding_pair"] is None:
        return []
    pair = {"breeding_pair": litters[0]["breeding_pair"]}
    parents: list[dict[str, Any]] = (subject.BreedingPair.Parent & pair).to_dicts()
    return parents


def zygosities_of_offspring(parents: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Allele -> zygosity that all offspring of these parents have; alleles of which it is not certain are left out.

    Where a pair has several mothers, it must be the same whichever it was.
    """
    by_role: dict[str, list[dict[str, str]]] = {"father": [], "mother": []}
    for parent in parents:
        animal = {name: parent[name] for name in ("lab", "subject")}
        known = {row["allele"]: row["zygosity"] for row in (subject.Genotype & animal).to_dicts()}
        by_role[parent["parent_role"]].append(known)
    fathers, mothers = by_role["father"] or [{}], by_role["mother"] or [{}]
    alleles = {allele for known in (*fathers, *mothers) for allele in known}
    zygosities: dict[str, str] = {}
    for allele in sorted(alleles):
        possible = {zygosity_from_parents(f.get(allele), m.get(allele)) for f in fathers for m in mothers}
        if len(possible) == 1 and (only := possible.pop()) is not None:
            zygosities[allele] = only
    return zygosities


def _tested_of(line: str) -> list[Animal]:
    rows = (subject.Subject.proj("line") & {"line": line} & subject.GenotypeTest.proj()).to_dicts()
    return [(row["lab"], row["subject"]) for row in rows]


def _as(origin: Origin) -> dict[str, Any]:
    return {"user": origin.user, "source": origin.source, "batch": origin.batch, "undoes": origin.undoes}


def local_day(when: datetime.datetime, lab: str) -> datetime.date:
    """The day on which a UTC time falls in a lab."""
    return zones.local_date(when, zones.of_labs(), lab)
