"""Labs, their members and rooms, and projects."""

from __future__ import annotations

import dataclasses

from pipeline.entry.fields import Field, TableEntry
from pipeline.entry.tables.common import LAB, LIGHT_CYCLES, WEEKEND_WATER, food_protein, term, text, user

_FRACTION = "write 85 % as 0.85"

TABLES = (
    TableEntry(
        "lab.Lab",
        "lab",
        (
            dataclasses.replace(LAB, to="", description="short name, as in the paths"),
            text("lab_name", 255, description="full name"),
            text("institution", 255, description="university or institute"),
            text("address", 255, description="postal address"),
            Field("time_zone", "time_zone", description="of the times that people and rigs write"),
            Field(
                "reference_weight_pct", "number", unit="fraction", low=0, high=1, hint=_FRACTION,
                description="least weight allowed, of the reference weight",
            ),
            Field(
                "zscore_weight_pct", "number", unit="fraction", low=0, high=1, hint=_FRACTION,
                description="share of the z-score weight in the expected weight",
            ),
            text("lab_light_cycle", 32, words=LIGHT_CYCLES, aliases=("light_cycle",),
                 description="of animals that state none: normal, inverted"),
            dataclasses.replace(food_protein("lab_food_protein"), aliases=("food_protein",)),
            text("lab_weekend_water", 64, words=WEEKEND_WATER, aliases=("weekend_water",),
                 description="on days off, of animals that state none: measured, citric acid, free"),
        ),
        vocabulary=True,
    ),
    TableEntry(
        "lab.LabMember",
        "person",
        (
            Field("user_name", "name", longest=64, rule="user", required=True, fixed=True, description="short name"),
            text("full_name", 255, description="given and family name"),
            text("email", 255, description="e-mail address"),
            Field("member_active", "boolean", description="works here now"),
        ),
        vocabulary=True,
    ),
    TableEntry(
        "lab.LabMembership",
        "membership",
        (
            LAB,
            user("user_name", required=True, fixed=True),
            text("lab_role", 64, description="e.g. PI, student, technician"),
            Field("membership_start", "date", planned=True, description="first day"),
            Field("membership_end", "date", planned=True, description="last day"),
        ),
        spans=(("membership_start", "membership_end"),),
    ),
    TableEntry(
        "lab.Delegate",
        "delegate",
        (
            user("principal", required=True, fixed=True, description="whose animals they are"),
            user("delegate", required=True, fixed=True, description="who may act for the principal"),
        ),
    ),
    TableEntry(
        "lab.HusbandryRules",
        "rules of husbandry",
        (
            LAB,
            Field(
                "near_limit_points", "number", low=0, high=50,
                description="percentage points above the least weight at which people are told",
            ),
            Field("critical_weight_pct", "number", unit="fraction", low=0, high=1, hint=_FRACTION,
                  description="of the expected weight; below it the restriction must end"),
            Field("water_due_hour", "integer", low=0, high=23, description="when water still due is reported"),
            Field("weigh_due_hour", "integer", low=0, high=23, description="when a missing weighing is reported"),
            Field("longest_restriction", "integer", unit="days", low=0, high=3650, description="0: no limit"),
            Field("wean_age", "integer", unit="days", low=1, high=365, description="when litters are weaned"),
            Field("genotype_age", "integer", unit="days", low=0, high=3650,
                  description="when a genotype should be known"),
            Field("surplus_age", "integer", unit="days", low=0, high=3650,
                  description="when an animal without a purpose is ageing"),
            Field("digest_hour", "integer", low=0, high=23, description="when the digest is sent"),
            text("veterinarian", 255, description="e-mail address for what nobody acknowledged"),
        ),
    ),
    TableEntry(
        "lab.LabLocation",
        "location",
        (
            LAB,
            term("location", 128, required=True, fixed=True, description="rig or room"),
            text("location_description", 255, description="what stands there"),
        ),
        vocabulary=True,
    ),
    TableEntry(
        "lab.Project",
        "project",
        (
            term("project", 128, required=True, fixed=True, description="short name"),
            text("project_description", 1000, description="aim"),
        ),
        vocabulary=True,
    ),
    TableEntry(
        "lab.Project.Member",
        "member of a project",
        (term("project", 128, "lab.Project", required=True, fixed=True), user("user_name", required=True, fixed=True)),
    ),
)  # fmt: skip
