"""Protects `python -m benchmarks`: every claim of the README has its script, and the table shows what a run said."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import README, Claim, Outcome, claims, table

CLAIM = Claim("reading", "read.py", "1 s", "peer 3 s", "3")


def test_every_claim_of_the_readme_has_a_script():
    rows = claims(README.read_text(encoding="utf-8"))
    assert len(rows) >= 15
    assert not [row.script for row in rows if not (README.parent / "benchmarks" / row.script).is_file()]
    text = README.read_text(encoding="utf-8")
    assert text.count(".py` |") == len(rows)  # no row is passed over


def test_the_table_shows_the_lines_that_compare_once_for_each_script():
    run = Outcome(0, 12.3, "warming up\nratio   3.1\nclaim: 3 times as fast: met\n")
    shown = table([CLAIM, CLAIM], {"read.py": run}).splitlines()
    assert shown[2].endswith("| ratio 3.1<br>claim: 3 times as fast: met (12 s) |")
    assert shown[3].endswith("| 3 |  |")


@pytest.mark.parametrize(
    ("run", "failed"),
    [
        (Outcome(0, 1, "claim: met"), False),
        (Outcome(0, 1, "claim: NOT met"), True),
        (Outcome(1, 1, "Traceback"), True),
    ],
)
def test_a_run_fails_with_its_script_or_its_claim(run, failed):
    assert run.failed() is failed
