"""Breeding: pairs, plugs, litters, weaning, genotypes, requests for animals, growth curves."""

from __future__ import annotations

import datetime
import re
import uuid
from collections.abc import Iterable
from typing import Any

from pipeline.alf import names
from pipeline.entry import consequences
from pipeline.entry.actions.animals import _house
from pipeline.entry.actions.model import LAB, Context, Input, action, member_or_none
from pipeline.entry.fields import Field
from pipeline.entry.reading import rows_by_key
from pipeline.entry.tables import class_of
from pipeline.schemas import subject as subjects
from pipeline.schemas.inputs import growth

COUNTERS = {"animal": ("last_animal", "{nickname}_{number:04d}"), "pair": ("last_pair", "{nickname}_BP_{number:03d}"),
            "litter": ("last_litter", "{nickname}_L_{number:03d}")}  # fmt: skip
"""What is named by a line -> its counter, and the pattern of names (of animals: where the line has none)."""
MOST_PUPS = 20
YOUNGEST_WEANED = 14  # days
_NUMBER = Field("number", "integer", low=0, high=MOST_PUPS)
_ANIMALS = Field("animals", "name", longest=64, rule="subject")


def next_names(context: Context, line: str, what: str, count: int, taken: Iterable[str] = ()) -> list[str]:
    """The next names by the line's pattern and counter; the line is locked, names that exist are skipped.

    Raises
    ------
    InvalidEntry : the line has no nickname, or its pattern cannot be used.
    """
    rows = rows_by_key(class_of("subject.Line"), [(line,)], lock=True)
    if not rows:
        context.fail("line", f"there is no line {line}")
    row = next(iter(rows.values()))
    counter, pattern = COUNTERS[what]
    if what == "animal" and row["name_pattern"]:
        pattern = row["name_pattern"]
    if "{nickname}" in pattern and not row["line_nickname"]:
        context.fail("line", f"the line {line} has no nickname to make names with: give it one, or state the names")
    if not re.fullmatch(r"(?:[A-Za-z0-9_.-]|\{nickname\})*\{number(?::0?[1-9]d)?\}[A-Za-z0-9_.-]*", pattern):
        context.fail("line", f"the pattern {pattern!r} of {line} must be like {{nickname}}_{{number:04d}}")
    made: list[str] = []
    number, known = row[counter], set(taken)
    digits = re.search(r"\{number(?::0?([1-9])d)?\}", pattern)
    width = int(digits[1] or 1) if digits else 1
    while len(made) < count:
        number += 1
        name = re.sub(r"\{number[^}]*\}", f"{number:0{width}d}", pattern.replace("{nickname}", row["line_nickname"]))
        name = names.check(name, "subject")
        if name not in known:
            made.append(name)
    context.write("subject.Line", [{"line": line, counter: number}], "update")
    return made


@action(
    "start_pair", "Start a breeding pair", "colony", LAB,
    Input("father", "Father", _ANIMALS, required=True),
    Input("mothers", "Mothers", _ANIMALS, required=True, many=True),
    Input.of("subject.BreedingPair", "line", "Line", required=True),
    Input.of("subject.BreedingPair", "breeding_pair", "Name (empty: by the line)", name="name"),
    Input("cage", "Cage", Field("cage_name", "name", longest=64, rule="term")),
    Input.of("subject.BreedingPair", "pair_start", "Since", name="date"),
    of_animal=False,
)  # fmt: skip
def start_pair(context: Context, lab: str, father: str, mothers: list[str], line: str, name: str | None,
               cage: str | None, date: datetime.date | None) -> str:  # fmt: skip
    """Put a father and one or more mothers together."""
    day = date or context.today(lab)
    parents = [("father", father, "F"), *(("mother", mother, "M") for mother in dict.fromkeys(mothers))]
    for role, one, wrong in parents:
        animal = context.animal(lab, one)
        if animal["sex"] == wrong:
            context.fail("mothers" if role == "mother" else "father", f"{one} is {'fe' if wrong == 'F' else ''}male")
    if name is None:
        taken = set(subjects.BreedingPair().to_arrays("breeding_pair").tolist())
        (name,) = next_names(context, line, "pair", 1, taken)
    row = {"breeding_pair": name, "line": line, "pair_start": day}
    context.write("subject.BreedingPair", [row], "create")
    context.write(
        "subject.BreedingPair.Parent",
        [{"breeding_pair": name, "lab": lab, "subject": one, "parent_role": role} for role, one, _ in parents],
        "create",
    )
    if cage:
        for _, one, _ in parents:
            _house(context, lab, one, cage, day)
    return name


def _lab_of_pair(context: Context, pair: str) -> str:
    """The lab of a pair's parents; the person must have the right there."""
    rows = (subjects.BreedingPair.Parent & {"breeding_pair": pair}).to_dicts()
    if not rows:
        context.fail("breeding_pair", f"there is no breeding pair {pair} with parents")
    lab: str = rows[0]["lab"]
    animal = (subjects.Subject & {"lab": lab, "subject": rows[0]["subject"]}).fetch1("responsible_user")
    context.require("colony", lab, animal)
    return lab


@action("end_pair", "End a breeding pair", "colony",
        Input.of("subject.BreedingPair", "breeding_pair", "Pair", required=True),
        Input.of("subject.BreedingPair", "pair_end", "Date", name="date"), of_animal=False)  # fmt: skip
def end_pair(context: Context, breeding_pair: str, date: datetime.date | None) -> None:
    """Part a breeding pair."""
    lab = _lab_of_pair(context, breeding_pair)
    day = date or context.today(lab)
    context.write("subject.BreedingPair", [{"breeding_pair": breeding_pair, "pair_end": day}], "update")


@action("check_plug", "Check for a plug", "colony",
        Input.of("subject.BreedingPair", "breeding_pair", "Pair", required=True),
        Input.of("subject.Plug", "plug_seen", "A plug was there"),
        Input.of("subject.Plug", "plug_mother", "Mother", name="mother"),
        Input.of("subject.Plug", "plug_date", "Date", name="date"), of_animal=False)  # fmt: skip
def check_plug(
    context: Context, breeding_pair: str, plug_seen: bool | None, mother: str | None, date: datetime.date | None
) -> None:
    """Note a check for a plug; a litter is then expected after 20 days."""
    lab = _lab_of_pair(context, breeding_pair)
    row = {"breeding_pair": breeding_pair, "plug_date": date or context.today(lab),
           "plug_seen": True if plug_seen is None else plug_seen, "plug_mother": mother or ""}  # fmt: skip
    context.write("subject.Plug", [row])


@action("record_litter", "Record a litter", "colony",
        Input.of("subject.BreedingPair", "breeding_pair", "Pair", required=True),
        Input.of("subject.Litter", "litter_birth_date", "Born on", name="date"),
        Input.of("subject.Litter", "n_born", "Pups"),
        Input.of("subject.Litter", "litter", "Name (empty: by the line)", name="name"), of_animal=False)  # fmt: skip
def record_litter(
    context: Context, breeding_pair: str, date: datetime.date | None, n_born: int | None, name: str | None
) -> str:
    """Note the birth of a litter."""
    lab = _lab_of_pair(context, breeding_pair)
    pair = (subjects.BreedingPair & {"breeding_pair": breeding_pair}).fetch1()
    day = date or context.today(lab)
    if day > context.today(lab):
        context.fail("date", "it is in the future")
    if pair["pair_start"] and day < pair["pair_start"]:
        context.fail("date", f"the pair {breeding_pair} is together only since {pair['pair_start']}")
    if name is None:
        if not pair["line"]:
            context.fail("name", f"the pair {breeding_pair} has no line to make a name with: state the name")
        taken = set(subjects.Litter().to_arrays("litter").tolist())
        (name,) = next_names(context, pair["line"], "litter", 1, taken)
    row = {"litter": name, "breeding_pair": breeding_pair, "litter_birth_date": day, "n_born": n_born}
    context.write("subject.Litter", [{k: v for k, v in row.items() if v is not None}], "create")
    return name


@action(
    "wean", "Wean a litter", "colony",
    Input.of("subject.Litter", "litter", "Litter", required=True),
    Input("males", "Males", _NUMBER), Input("females", "Females", _NUMBER),
    Input("male_cage", "Cage of the males", Field("cage_name", "name", longest=64, rule="term")),
    Input("female_cage", "Cage of the females", Field("cage_name", "name", longest=64, rule="term")),
    Input("names", "Names (empty: by the line)", _ANIMALS, many=True, help="males first"),
    Input.of("subject.Litter", "litter_wean_date", "Date", name="date"),
    of_animal=False,
)  # fmt: skip
def wean(context: Context, litter: str, males: int | None, females: int | None, male_cage: str | None,
         female_cage: str | None, names: list[str], date: datetime.date | None) -> list[str]:  # fmt: skip
    """Make animals of the pups of a litter, named by the line; returns their names, males first."""
    rows = rows_by_key(class_of("subject.Litter"), [(litter,)], lock=True)
    if not rows:
        context.fail("litter", f"there is no litter {litter}")
    row = next(iter(rows.values()))
    if not row["breeding_pair"]:
        context.fail("litter", f"the litter {litter} has no breeding pair: its lab and line are not known")
    lab = _lab_of_pair(context, row["breeding_pair"])
    if subjects.Litter.Pup & {"litter": litter}:
        context.fail("litter", f"the litter {litter} was weaned already")
    sexes = ["M"] * (males or 0) + ["F"] * (females or 0)
    if not sexes:
        context.fail("males", "how many males and females are there?")
    if row["n_born"] is not None and len(sexes) > row["n_born"]:
        context.ask("count", f"{len(sexes)} pups are weaned, {row['n_born']} were born.")
    day, born = date or context.today(lab), row["litter_birth_date"]
    if day > context.today(lab):
        context.fail("date", "it is in the future")
    if born is not None and (day - born).days < YOUNGEST_WEANED:
        context.ask("age", f"The pups are {(day - born).days} days old.")
    context.settle()
    pair = (subjects.BreedingPair & {"breeding_pair": row["breeding_pair"]}).fetch1()
    if names and len(names) != len(sexes):
        context.fail("names", f"{len(names)} names for {len(sexes)} pups")
    if not names:
        if not pair["line"]:
            context.fail("names", f"the pair {row['breeding_pair']} has no line to make names with: state the names")
        taken = set((subjects.Subject & {"lab": lab}).to_arrays("subject").tolist())
        names = next_names(context, pair["line"], "animal", len(sexes), taken)
    parents = (subjects.BreedingPair.Parent & {"breeding_pair": row["breeding_pair"]}).to_dicts()
    father = next((parent for parent in parents if parent["parent_role"] == "father"), parents[0])
    known = (subjects.Subject & {name: father[name] for name in ("lab", "subject")}).fetch1()
    shared = {name: known[name] for name in ("species", "strain", "source", "responsible_user", "protocol_number")}
    about = shared | {"line": pair["line"], "birth_date": born, "wean_date": day, "to_be_genotyped": True}
    pups = [
        {"lab": lab, "subject": name, "sex": sex} | {k: v for k, v in about.items() if v not in (None, "")}
        for name, sex in zip(names, sexes, strict=True)
    ]
    context.write("subject.Subject", pups, "create")
    context.write("subject.Litter.Pup", [{"lab": lab, "subject": name, "litter": litter} for name in names], "create")
    context.write("subject.Litter", [{"litter": litter, "n_weaned": len(names), "litter_wean_date": day}], "update")
    certain = consequences.zygosities_of_offspring(parents)
    genotypes = [
        {"lab": lab, "subject": name, "allele": allele, "zygosity": zygosity, "genotype_origin": "parents"}
        for name in names
        for allele, zygosity in certain.items()
    ]
    if genotypes:
        context.write("subject.Genotype", genotypes, "create")
    for name, sex in zip(names, sexes, strict=True):
        cage = male_cage if sex == "M" else female_cage
        if cage:
            _house(context, lab, name, cage, day)
    return list(names)


@action("genotype", "Enter a test result", "colony",
        Input.of("subject.GenotypeTest", "sequence", "Sequence", required=True),
        Input.of("subject.GenotypeTest", "test_result", "Result", required=True),
        Input.of("subject.GenotypeTest", "genotype_test_date", "Date", name="date"))  # fmt: skip
def genotype(
    context: Context, lab: str, subject: str, sequence: str, test_result: str, date: datetime.date | None
) -> None:
    """Note the result of a genotype test; the zygosity follows by the rules of the line."""
    context.animal(lab, subject, alive=False)
    day = date or context.today(lab)
    key = {"lab": lab, "subject": subject}
    row = key | {"sequence": sequence, "genotype_test_date": day, "test_result": test_result}
    context.write("subject.GenotypeTest", [row])
    context.write("subject.Subject", [key | {"to_be_genotyped": False, "genotype_date": day}], "update")


@action("set_zygosity", "Enter a zygosity", "colony",
        Input.of("subject.Genotype", "allele", "Allele", required=True),
        Input.of("subject.Genotype", "zygosity", "Zygosity", required=True))  # fmt: skip
def set_zygosity(context: Context, lab: str, subject: str, allele: str, zygosity: str) -> None:
    """State a zygosity as such; it stays whatever tests say."""
    context.animal(lab, subject, alive=False)
    row = {"lab": lab, "subject": subject, "allele": allele, "zygosity": zygosity, "genotype_origin": "entered"}
    context.write("subject.Genotype", [row])


@action("request_animals", "Ask for animals", "request", LAB,
        Input.of("subject.SubjectRequest", "request_count", "How many", required=True),
        Input.of("subject.SubjectRequest", "line", "Line"),
        Input.of("subject.SubjectRequest", "request_due", "Needed by"),
        Input.of("subject.SubjectRequest", "request_text", "Sex, age, genotype, purpose"),
        of_animal=False)  # fmt: skip
def request_animals(context: Context, lab: str, request_count: int, line: str | None,
                    request_due: datetime.date | None, request_text: str | None) -> str:  # fmt: skip
    """Ask the colony manager for animals."""
    context.require("request", lab)
    person = member_or_none(context.actor.person.name)
    if person is None:
        context.fail("", f"{context.actor.person.name} is not in the list of people: an admin can add them")
    request_id = str(uuid.uuid4())
    row: dict[str, Any] = {
        "request_id": request_id, "lab": lab, "request_user": person, "request_count": request_count,
        "request_date": context.today(lab), "line": line, "request_due": request_due, "request_text": request_text,
    }  # fmt: skip
    context.write("subject.SubjectRequest", [{k: v for k, v in row.items() if v is not None}], "create")
    return request_id


@action("answer_request", "Answer a request", "answer",
        Input.of("subject.SubjectRequest", "request_id", "Request", required=True),
        Input.of("subject.SubjectRequest", "request_status", "Answer", required=True),
        Input("animals", "Animals", _ANIMALS, many=True),
        Input.of("subject.SubjectRequest", "request_answer", "Remarks"), of_animal=False)  # fmt: skip
def answer_request(
    context: Context, request_id: str, request_status: str, animals: list[str], request_answer: str | None
) -> None:
    """Answer a request; the animals become the responsibility of who asked."""
    rows = rows_by_key(class_of("subject.SubjectRequest"), [(request_id,)], lock=True)
    if not rows:
        context.fail("request_id", "there is no such request")
    row = next(iter(rows.values()))
    context.require("answer", row["lab"])
    for name in animals:
        animal = context.animal(row["lab"], name, verb="assign")
        key = {"lab": row["lab"], "subject": name}
        context.write("subject.RequestedSubject", [{"request_id": request_id} | key])
        if animal["responsible_user"] != row["request_user"]:
            context.write("subject.Subject", [key | {"responsible_user": row["request_user"]}], "update")
    answer = {"request_status": request_status, "request_answer": request_answer,
              "request_manager": member_or_none(context.actor.person.name)}  # fmt: skip
    changes = {name: value for name, value in answer.items() if value is not None}
    context.write("subject.SubjectRequest", [{"request_id": request_id} | changes], "update")


@action("make_growth_curve", "Make a growth curve", "manage", LAB,
        Input.of("subject.GrowthCurve", "growth_curve", "Name", required=True),
        Input.of("subject.GrowthCurveUse", "growth_line", "Line (empty: any)", name="line"),
        Input("least_animals", "Fewest animals of a week", Field("least_animals", "integer", low=2, high=1000)),
        of_animal=False)  # fmt: skip
def make_growth_curve(
    context: Context, lab: str, growth_curve: str, line: str | None, least_animals: int | None
) -> dict[str, int]:
    """Make a growth curve of the lab's own unrestricted weighings, by sex and week, and use it; returns its weeks."""
    context.require("manage", lab)
    rows = [row for row in growth.free_weighings(lab) if not line or row["line"] == line]
    weeks = growth.weeks_of(rows, least_animals or growth.LEAST_ANIMALS)
    if not any(part[0].size for part in weeks.values()):
        context.fail("lab", "there are too few weighings of unrestricted animals with birth date and sex")
    origin = f"unrestricted weighings of {lab}" + (f", line {line}" if line else "") + f", {context.today(lab)}"
    context.write("subject.GrowthCurve", [{"growth_curve": growth_curve, "growth_rule": "step",
                                           "growth_origin": origin}], "create")  # fmt: skip
    rows = [
        {"growth_curve": growth_curve, "curve_sex": sex, "age_weeks": int(week), "growth_mean": float(mean),
         "growth_sd": float(sd), "growth_n": int(count)}
        for sex, part in weeks.items()
        for week, mean, sd, count in zip(*part, strict=True)
    ]  # fmt: skip
    context.write("subject.GrowthCurve.Week", rows, "create")
    context.write("subject.GrowthCurveUse", [{"lab": lab, "growth_line": line or "any", "growth_curve": growth_curve}])
    return {sex: int(part[0].size) for sex, part in weeks.items()}
