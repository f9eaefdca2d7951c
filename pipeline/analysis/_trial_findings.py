"""What a check of the trials found: its outcome, how many trials it concerns, and words."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.analysis.conventions import Trials

OUTCOMES = ("NOT_SET", "PASS", "WARNING", "FAIL")
"""From the least to the most serious."""

FEWEST = 10  # trials from which a share means something


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: str
    outcome: str  # PASS, WARNING or FAIL
    n_trials: int  # that are concerned
    detail: str  # in words; empty for PASS


Checked = tuple[Trials, Finding | None]


def worst(findings: list[Finding]) -> str:
    """The most serious outcome; NOT_SET where nothing could be checked.

    >>> worst([Finding("a", "PASS", 0, ""), Finding("b", "WARNING", 3, "odd")]), worst([])
    ('WARNING', 'NOT_SET')
    """
    return max((finding.outcome for finding in findings), key=OUTCOMES.index, default=OUTCOMES[0])


def passed(check: str) -> Finding:
    return Finding(check, "PASS", 0, "")
