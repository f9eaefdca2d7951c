"""Animals, where they come from, how they are kept and how they end."""

from __future__ import annotations

import dataclasses

from pipeline.alf import identity
from pipeline.entry.fields import Field, TableEntry
from pipeline.entry.tables.common import LAB, LIGHT_CYCLES, SUBJECT, WEEKEND_WATER, food_protein, term, text, user

HEAVIEST = 2000.0  # g, of an animal
LIGHTEST = 0.1  # g

SEVERITIES = "1 sub-threshold, 2 mild, 3 moderate, 4 severe, 5 non-recovery"
RESULTS = {"+": "Present", "-": "Absent", "positive": "Present", "negative": "Absent", "pos": "Present",
           "neg": "Absent"}  # fmt: skip
"""How people write the result of a test, in lower case."""

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
            Field("line_nickname", "name", longest=32, rule="subject", description="begins the names of its animals"),
            text("strain_code", 64, description="of the animal facility"),
            text("source_url", 500, description="where it is described"),
            text("expression_url", 500, description="where its expression is shown"),
            text("name_pattern", 64, description="of its animals, e.g. {nickname}_{number:04d}"),
            Field("last_animal", "integer", low=0, high=1e9, description="counter of names"),
            Field("last_pair", "integer", low=0, high=1e9, description="counter of names"),
            Field("last_litter", "integer", low=0, high=1e9, description="counter of names"),
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
            Field("wean_date", "date", planned=True),
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
            Field("to_be_genotyped", "boolean", description="is on the list of animals to genotype"),
            Field("to_be_culled", "boolean", description="is on the list of animals to cull"),
            Field("genotype_date", "date", description="when the result was known"),
            Field("reduced_date", "date", description="when it was taken out of the stock"),
            Field("actual_severity", "integer", low=1, high=5, description=SEVERITIES),
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
            Field("housing_end", "date", planned=True, description="last day"),
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
    TableEntry(
        "subject.Allele.TestedBy",
        "sequence of an allele",
        (
            term("allele", 128, "subject.Allele", required=True, fixed=True),
            term("sequence", 128, "subject.Sequence", required=True, fixed=True),
        ),
    ),
    TableEntry(
        "subject.Line.Carries",
        "allele of a line",
        (
            term("line", 128, "subject.Line", required=True, fixed=True),
            term("allele", 128, "subject.Allele", required=True, fixed=True),
        ),
    ),
    TableEntry(
        "subject.BreedingPair",
        "breeding pair",
        (
            Field("breeding_pair", "name", longest=64, rule="subject", required=True, fixed=True),
            term("line", 128, "subject.Line"),
            Field("pair_start", "date", description="first day together"),
            Field("pair_end", "date", planned=True, description="last day together"),
            text("pair_description", 255),
        ),
        spans=(("pair_start", "pair_end"),),
    ),
    TableEntry(
        "subject.BreedingPair.Parent",
        "parent",
        (
            Field(
                "breeding_pair",
                "name",
                longest=64,
                rule="subject",
                to="subject.BreedingPair",
                required=True,
                fixed=True,
            ),
            *SUBJECT,
            Field("parent_role", "choice", choices=("father", "mother"), required=True),
        ),
    ),
    TableEntry(
        "subject.Plug",
        "check for a plug",
        (
            Field(
                "breeding_pair",
                "name",
                longest=64,
                rule="subject",
                to="subject.BreedingPair",
                required=True,
                fixed=True,
            ),
            Field("plug_date", "date", required=True, fixed=True),
            text("plug_mother", 64, description="which mother"),
            Field("plug_seen", "boolean", description="a plug was there"),
        ),
    ),
    TableEntry(
        "subject.Litter",
        "litter",
        (
            Field("litter", "name", longest=64, rule="subject", required=True, fixed=True),
            Field("breeding_pair", "name", longest=64, rule="subject", to="subject.BreedingPair"),
            Field("litter_birth_date", "date"),
            text("litter_description", 255),
            Field("n_born", "integer", low=0, high=99, description="pups that were born"),
            Field("n_weaned", "integer", low=0, high=99, description="pups that were weaned"),
            Field("litter_wean_date", "date", description="when they were weaned"),
        ),
        spans=(("litter_birth_date", "litter_wean_date"),),
    ),
    TableEntry(
        "subject.Litter.Pup",
        "pup",
        (
            *SUBJECT,
            Field("litter", "name", longest=64, rule="subject", to="subject.Litter", required=True),
        ),
    ),
    TableEntry(
        "subject.Genotype",
        "genotype",
        (
            *SUBJECT,
            term("allele", 128, "subject.Allele", required=True, fixed=True),
            term("zygosity", 32, "subject.Zygosity", required=True),
            Field("genotype_origin", "choice", choices=("entered", "tests", "parents"), description="where it is from"),
        ),
    ),
    TableEntry(
        "subject.GenotypeTest",
        "genotype test",
        (
            *SUBJECT,
            term("sequence", 128, "subject.Sequence", required=True, fixed=True),
            Field("genotype_test_date", "date", required=True, fixed=True),
            Field("test_result", "choice", choices=("Absent", "Present"), words=RESULTS, required=True),
        ),
        events=("genotype_test_date",),
    ),
    TableEntry(
        "subject.ZygosityRule",
        "zygosity rule",
        (
            term("line", 128, "subject.Line", required=True, fixed=True),
            term("allele", 128, "subject.Allele", required=True, fixed=True),
            Field("rule_number", "integer", low=1, high=999, required=True, fixed=True),
            term("zygosity", 32, "subject.Zygosity", required=True),
        ),
    ),
    TableEntry(
        "subject.ZygosityRule.Result",
        "result of a zygosity rule",
        (
            term("line", 128, "subject.Line", required=True, fixed=True),
            term("allele", 128, "subject.Allele", required=True, fixed=True),
            Field("rule_number", "integer", low=1, high=999, to="subject.ZygosityRule", required=True, fixed=True),
            term("sequence", 128, "subject.Sequence", required=True, fixed=True),
            Field("rule_result", "choice", choices=("Absent", "Present"), words=RESULTS, required=True),
        ),
    ),
    TableEntry(
        "subject.Cage",
        "cage",
        (
            LAB,
            Field("cage_label", "name", longest=64, rule="term", required=True, fixed=True),
            text("cage_room", 128, description="room"),
            text("cage_rack", 64, description="rack"),
            text("cage_row", 16, description="row in the rack"),
            text("cage_column", 16, description="column in the rack"),
            text("cage_kind", 64, description="type of the cage"),
            text("cage_enrichment", 64, description="what is in it"),
            text("cage_light_cycle", 32, description="e.g. normal, inverted"),
            text("cage_food", 64),
            Field("cage_in_use", "boolean", description="false once it was given up"),
        ),
    ),
    TableEntry(
        "subject.SubjectRequest",
        "request for animals",
        (
            Field("request_id", "uuid", required=True, fixed=True),
            dataclasses.replace(LAB, fixed=False),
            term("line", 128, "subject.Line"),
            user("request_user", required=True),
            Field("request_count", "integer", low=1, high=9999, required=True, description="how many animals"),
            Field("request_date", "date", required=True),
            Field("request_due", "date", planned=True, description="when they are needed"),
            text("request_text", 1000, description="sex, age, genotype, purpose"),
            Field("request_status", "choice", choices=("open", "answered", "declined", "closed")),
            text("request_answer", 1000, description="what the stock manager says"),
            user("request_manager"),
        ),
        spans=(("request_date", "request_due"),),
    ),
    TableEntry(
        "subject.RequestedSubject",
        "animal of a request",
        (Field("request_id", "uuid", to="subject.SubjectRequest", required=True, fixed=True), *SUBJECT),
    ),
    TableEntry(
        "subject.Protocol",
        "protocol",
        (
            term("approved_protocol", 64, required=True, fixed=True, description="number of the licence"),
            text("protocol_title", 255),
            Field("severity_limit", "integer", low=1, high=5, description=SEVERITIES),
            Field("protocol_end", "date", planned=True, description="last day on which it may be used"),
            Field("animal_limit", "integer", low=0, high=1e6, description="0: not limited"),
            Field("operation_limit", "integer", low=0, high=1000, description="of an animal; 0: not limited"),
            Field("injection_limit", "number", unit="nL", low=0, high=1e6, description="of an animal; 0: not limited"),
            Field("drug_volume_limit", "number", low=0, high=1000, description="mL/kg at once; 0: not limited"),
        ),
    ),
    TableEntry(
        "subject.AdverseEffect",
        "adverse effect",
        (
            *SUBJECT,
            Field("effect_date", "date", required=True, fixed=True),
            Field("effect_number", "integer", low=1, high=999, required=True, fixed=True),
            Field("effect_severity", "integer", low=1, high=5, description=SEVERITIES),
            text("effect_text", 1000, required=True, description="what was seen and done"),
            user("effect_user"),
        ),
        events=("effect_date",),
    ),
    TableEntry(
        "subject.GrowthCurve",
        "growth curve",
        (
            term("growth_curve", 64, required=True, fixed=True),
            Field(
                "growth_rule",
                "choice",
                choices=("step", "interpolate"),
                description="by whole weeks as in Alyx, or between weeks",
            ),
            text("growth_origin", 255, description="where the figures are from"),
        ),
    ),
    TableEntry(
        "subject.GrowthCurve.Week",
        "week of a growth curve",
        (
            term("growth_curve", 64, "subject.GrowthCurve", required=True, fixed=True),
            Field(
                "curve_sex", "choice", choices=("M", "F"), words={"male": "M", "female": "F"}, required=True, fixed=True
            ),
            Field("age_weeks", "integer", low=0, high=260, required=True, fixed=True),
            Field("growth_mean", "number", unit="g", low=LIGHTEST, high=HEAVIEST, required=True),
            Field("growth_sd", "number", unit="g", low=0.001, high=HEAVIEST, required=True),
            Field("growth_n", "integer", low=0, high=1e6, description="animals behind the figure"),
        ),
    ),
    TableEntry(
        "subject.GrowthCurveUse",
        "use of a growth curve",
        (
            LAB,
            term("growth_line", 128, required=True, fixed=True, description="name of the line, or any"),
            term("growth_curve", 64, "subject.GrowthCurve", required=True),
        ),
    ),
)
