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
    assert [zygosity_from_tests(rules, {"cre": item}) for item in (True, False)] == ["Present", "Absent"]


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


COPIES = {"Absent": {0}, "Heterozygous": {1}, "Homozygous": {2}, "Present": {1, 2}}
"""How many of the two chromosomes may carry the allele."""
PASSED_ON = {None: {0, 1}, "Absent": {0}, "Heterozygous": {0, 1}, "Homozygous": {1}, "Present": {0, 1}}


def name_of(copies: set[int]) -> str | None:
    return next((name for name, known in COPIES.items() if known == copies), None)


@pytest.mark.parametrize(("first", "second"), itertools.product(PASSED_ON, repeat=2))
def test_parents_by_the_chromosomes_that_they_can_pass_on(first, second):
    """All pairs: what a parent can pass on, added up, and named where it has one name."""
    possible = {one + other for one, other in itertools.product(PASSED_ON[first], PASSED_ON[second])}
    assert zygosity_from_parents(first, second) == name_of(possible)


@pytest.mark.parametrize("n_sequences", [2, 3])
def test_tests_by_the_chromosomes_that_they_see(n_sequences):
    """All results of assays of the allele (one or two of them) and of the wild type: the number of copies they leave.

    A negative result alone never shows that the allele is there: an assay that failed is negative too. While a test of
    the rules is missing, the number of copies is not said.
    """
    assays = {"cre": lambda n: n > 0, "flp": lambda n: n > 0, "wt": lambda n: n < 2}
    used = {name: assays[name] for name in (("cre", "wt") if n_sequences == 2 else assays)}
    rules = [Rule(name, {one: seen(copies) for one, seen in used.items()})
             for name, copies in (("Absent", 0), ("Heterozygous", 1), ("Homozygous", 2))]  # fmt: skip
    for results in itertools.product((True, False, None), repeat=n_sequences):
        tests = {one: result for one, result in zip(used, results, strict=True) if result is not None}
        left = {n for n in (0, 1, 2) if all(used[one](n) == result for one, result in tests.items())}
        shown = any(tests.get(one) is not None for one in used if one != "wt")
        exact = name_of(left) if left and shown else None
        if len(tests) < n_sequences and exact in ("Heterozygous", "Homozygous"):
            exact = "Present"
        assert zygosity_from_tests(rules, tests) == exact, tests
