"""Zygosities: what tests and parents show, and that what is not known is not made up."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from pipeline.analysis.zygosity import Rule, zygosity_from_parents, zygosity_from_tests

CASES = json.loads(Path(__file__).with_name("cases_zygosity.json").read_text())
SEQUENCES = ("cre", "wt")
RULES = [Rule(row["zygosity"], {name: bool(row[name]) for name in SEQUENCES}) for row in CASES["rules"]]


@pytest.mark.parametrize("case", CASES["tests"], ids=lambda case: f"cre {case['cre']} wt {case['wt']}")
def test_results_of_tests(case):
    tests = {name: bool(case[name]) for name in SEQUENCES if case[name] is not None}
    assert zygosity_from_tests(RULES, tests) == case["expected"]


def test_more_results_never_contradict_what_was_said_before():
    """A further test may make it more exact, or show that the assay failed; it never turns absent into present."""
    for cre, wt in itertools.product((True, False), repeat=2):
        full = zygosity_from_tests(RULES, {"cre": cre, "wt": wt})
        for part in ({"cre": cre}, {"wt": wt}, {}):
            said = zygosity_from_tests(RULES, part)
            assert said in (None, full, "Present") or full is None
            assert not (said == "Present" and full == "Absent")


def test_nothing_is_known_without_rules_or_tests():
    assert zygosity_from_tests([], {"cre": True}) is None
    assert zygosity_from_tests(RULES, {}) is None


def test_one_sequence_is_enough_where_the_rules_ask_for_one():
    rules = [Rule("Present", {"cre": True}), Rule("Absent", {"cre": False})]
    assert [zygosity_from_tests(rules, {"cre": found}) for found in (True, False)] == ["Present", "Absent"]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("Homozygous", "Homozygous", "Homozygous"),
        ("Homozygous", "Absent", "Heterozygous"),
        ("Homozygous", "Heterozygous", "Present"),
        ("Homozygous", "Present", "Present"),
        ("Homozygous", None, "Present"),
        ("Absent", "Absent", "Absent"),
        ("Absent", None, None),
        ("Heterozygous", None, None),
        ("Heterozygous", "Heterozygous", None),
        ("Heterozygous", "Absent", None),
        ("Present", "Absent", None),
        (None, None, None),
    ],
)
def test_parents(first, second, expected):
    assert zygosity_from_parents(first, second) == zygosity_from_parents(second, first) == expected
