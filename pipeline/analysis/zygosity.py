"""Zygosities from genotype tests and from parents. What is not known stays unknown: a missing test is not negative, and
a parent that is not recorded is not wild type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ABSENT, HETEROZYGOUS, HOMOZYGOUS, PRESENT = "Absent", "Heterozygous", "Homozygous", "Present"
"""No copy; one; two; one or two."""


@dataclass(frozen=True)
class Rule:
    """Which test results mean which zygosity.

    Attributes
    ----------
    zygosity : what the results mean.
    results : sequence -> whether it was found.
    """

    zygosity: str
    results: Mapping[str, bool]


def zygosity_from_tests(rules: Sequence[Rule], tests: Mapping[str, bool]) -> str | None:
    """The zygosity that test results show, or None where they do not show one.

    A rule is possible while no test contradicts it. That an allele is carried must be shown by a positive test that all
    possible rules ask for, and that it is absent by a negative one. With tests missing, one or two copies cannot be
    told apart: the allele is then `Present`.

    Parameters
    ----------
    rules : sequence of Rule
        Of one allele in one line.
    tests : mapping of str to bool
        Sequence -> whether it was found; sequences that were not tested are not there.

    Returns
    -------
    str or None

    Examples
    --------
    >>> rules = [Rule("Homozygous", {"cre": True, "wt": False}), Rule("Heterozygous", {"cre": True, "wt": True}),
    ...          Rule("Absent", {"cre": False, "wt": True})]
    >>> zygosity_from_tests(rules, {"cre": True, "wt": False}), zygosity_from_tests(rules, {"cre": True})
    ('Homozygous', 'Present')
    >>> zygosity_from_tests(rules, {"cre": False, "wt": False}) is None  # the assay failed
    True
    """
    possible = [
        rule for rule in rules if all(tests.get(name, wanted) == wanted for name, wanted in rule.results.items())
    ]
    if not possible:
        return None
    carried = {rule.zygosity != ABSENT for rule in possible}
    if len(carried) > 1:
        return None
    is_carried = carried.pop()
    shared = set.intersection(
        *({name for name, want in rule.results.items() if want == is_carried} for rule in possible)
    )
    if not any(tests.get(name) == is_carried for name in shared):
        return None
    if not is_carried:
        return ABSENT
    names = {rule.zygosity for rule in possible}
    complete = all(set(rule.results) <= set(tests) for rule in possible)
    return names.pop() if complete and len(names) == 1 else PRESENT


def zygosity_from_parents(first: str | None, second: str | None) -> str | None:
    """The zygosity of the offspring of two parents, or None where it is not certain.

    Parameters
    ----------
    first, second : str or None
        Zygosities of the parents; None: not recorded.

    Returns
    -------
    str or None

    Examples
    --------
    >>> zygosity_from_parents("Homozygous", "Homozygous"), zygosity_from_parents("Homozygous", "Absent")
    ('Homozygous', 'Heterozygous')
    >>> zygosity_from_parents("Homozygous", None), zygosity_from_parents("Heterozygous", "Absent") is None
    ('Present', True)
    """
    pair = {first, second}
    if pair == {HOMOZYGOUS}:
        return HOMOZYGOUS
    if pair == {HOMOZYGOUS, ABSENT}:
        return HETEROZYGOUS
    if HOMOZYGOUS in pair:
        return PRESENT
    return ABSENT if pair == {ABSENT} else None
