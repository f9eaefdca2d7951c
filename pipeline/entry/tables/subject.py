"""Animals, where they come from, how they are kept and how they end."""

from __future__ import annotations

import dataclasses

from pipeline.alf import identity
from pipeline.entry.fields import Field, TableEntry
from pipeline.entry.tables.common import LIGHT_CYCLES, SUBJECT, WEEKEND_WATER, food_protein, term, text, user

HEAVIEST = 2000.0  # g, of an animal
LIGHTEST = 0.1  # g

_OWN_NAME = (SUBJECT[0], dataclasses.replace(SUBJECT[1], to=""))
_SEXES = {"male": "M", "female": "F", "unknown": "U", "m.": "M", "f.": "F"}


def _vocabulary(table: str, label: str, column: str, longest: int, *more: Field) -> TableEntry:
    return TableEntry(table, label, (term(column, longest, required=True, fixed=True), *more), vocabulary=True)


TABLES = (
    _vocabulary("subject.Species", "species", "species", 64, text("species_nickname", 64)),
    _vocabulary("subject.Strain", "strain", "strain", 128, text("strain_description", 255)),
    _vocabulary("subject.Source", "source", "source", 128, text("source_description", 255)),
    _vocabulary("subject.CullMethod", "cull method", "cull_method", 64),
    _vocabulary("subject.CullReason", "cull reason", "cull_reason", 64),
    _vocabulary(
        "subject.Sequence", "sequence", "sequence", 128, text("base_pairs", 1024), text("sequence_description", 255)
    ),
    _vocabulary("subject.Allele", "allele", "allele", 128, text("standard_name", 255)),
    TableEntry(
        "subject.Line",
        "line",
        (
            term("line", 128, required=True, fixed=True),
            term("species", 64, "subject.Species"),
            term("strain", 128, "subject.Strain"),
            text("line_description", 1000),
            text("target_phenotype", 255, description="what it is bred for"),
            Field("line_active", "boolean", description="is bred now"),
        ),
        vocabulary=True,
    ),
    TableEntry(
        "subject.Subject",
        "animal",
        (
            *_OWN_NAME,
            Field("subject_uuid", "uuid", description="derived from lab and name if not given"),
            Field("sex", "choice", choices=("M", "F", "U"), words=_SEXES, description="male, female, unknown"),
            Field("birth_date", "date"),
            Field("death_date", "date"),
            Field("wean_date", "date"),
            term("species", 64, "subject.Species"),
            term("line", 128, "subject.Line"),
            term("strain", 128, "subject.Strain"),
            term("source", 128, "subject.Source"),
            user("responsible_user"),
            text("ear_mark", 32),
            text("protocol_number", 64, description="of the animal licence"),
            text("cage", 64, description="where it lives now"),
            text("light_cycle", 32, words=LIGHT_CYCLES, description="normal, inverted"),
            text("food", 64, description="name of the food"),
            food_protein("food_protein"),
            text("weekend_water", 64, words=WEEKEND_WATER, description="on days off: measured, citric acid, free"),
            text("subject_description", 1000, aliases=("description",)),
            Field("subject_json", "json", description="what other programs keep with the animal"),
        ),
        spans=(("birth_date", "death_date"), ("birth_date", "wean_date"), ("wean_date", "death_date")),
        unique=("subject_uuid",),
        derive=lambda key: {"subject_uuid": identity.subject_uuid(key["lab"], key["subject"])},
    ),
    TableEntry(
        "subject.SubjectProject",
        "project of an animal",
        (*SUBJECT, term("project", 128, "lab.Project", required=True, fixed=True)),
    ),
    TableEntry(
        "subject.Implant",
        "implant",
        (
            *SUBJECT,
            Field("implant_date", "date", required=True, fixed=True, description="day of implantation"),
            Field("implant_weight", "number", unit="g", low=0, high=HEAVIEST, required=True),
            text("implant_description", 255, description="e.g. headplate"),
        ),
        events=("implant_date",),
    ),
    TableEntry(
        "subject.Housing",
        "housing",
        (
            *SUBJECT,
            Field("housing_start", "date", required=True, fixed=True, description="first day"),
            Field("housing_end", "date", description="last day"),
            text("cage_name", 64),
            text("cage_type", 64),
            text("enrichment", 64),
            text("housing_light_cycle", 32, words=LIGHT_CYCLES),
            text("housing_food", 64),
        ),
        spans=(("housing_start", "housing_end"),),
        events=("housing_start", "housing_end"),
    ),
    TableEntry(
        "subject.Cull",
        "cull",
        (
            *SUBJECT,
            Field("cull_date", "date", required=True),
            term("cull_method", 64, "subject.CullMethod"),
            term("cull_reason", 64, "subject.CullReason"),
            user("cull_user"),
            text("cull_description", 1000),
        ),
        events=("cull_date",),
    ),
)
