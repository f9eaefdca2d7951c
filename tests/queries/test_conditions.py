"""Protects how animals are said to be kept: an animal's own words before those of its lab, in one spelling."""

from __future__ import annotations

import pytest

from pipeline import entry
from pipeline.queries.conditions import living_conditions

BY = {"user": "ada", "source": "test"}

pytestmark = pytest.mark.slow


def test_an_animal_is_kept_as_it_states_and_else_as_its_lab_does(database):
    lab = {"lab": "a", "light_cycle": "Reversed", "food_protein": "18 %", "weekend_water": "Citric Acid Water 2%"}
    entry.write("lab.Lab", [lab, {"lab": "b"}], **BY)
    own = {"lab": "a", "subject": "m2", "light_cycle": "normal", "food": "LabDiet 5053", "food_protein": 20.5}
    animals = [{"lab": "a", "subject": "m1"}, own, {"lab": "b", "subject": "m3", "light_cycle": "14 h of light"}]
    entry.write("subject.Subject", animals, **BY)
    collected = {row.pop("subject"): row for row in living_conditions().to_pylist()}
    assert collected == {
        "m1": {"lab": "a", "light_cycle": "inverted", "food": None, "food_protein": 18.0,
               "weekend_water": "citric acid"},
        "m2": {"lab": "a", "light_cycle": "normal", "food": "LabDiet 5053", "food_protein": 20.5,
               "weekend_water": "citric acid"},
        "m3": {"lab": "b", "light_cycle": "14 h of light", "food": None, "food_protein": None,
               "weekend_water": None},
    }  # fmt: skip
    assert living_conditions({"subject": "m3"})["subject"].to_pylist() == ["m3"]
