"""Measure the claims of the README again: run every script of its table "Speed", and print the table with the results.

    python -m benchmarks                      all of them, one after the other (an hour or more)
    python -m benchmarks help.py peths.py     some of them

Beside what the README says stands what the script printed in this run. It fails if a script fails, or says that its
claim is not met.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
_RESULT = re.compile(r"ratio|times|claim", re.IGNORECASE)


@dataclass(frozen=True)
class Claim:
    """A row of the README's table.

    Attributes
    ----------
    what : is measured.
    script : that measures it, in this folder.
    here, peer, ratio : what the README says.
    """

    what: str
    script: str
    here: str
    peer: str
    ratio: str


@dataclass(frozen=True)
class Outcome:
    """A run of a script.

    Attributes
    ----------
    code : with which it ended.
    seconds : that it took.
    output : what it printed.
    """

    code: int
    seconds: float
    output: str

    def results(self) -> list[str]:
        """The lines that compare, or judge a claim; all where there is none."""
        lines = [" ".join(line.split()) for line in self.output.splitlines() if line.strip()]
        return [line for line in lines if _RESULT.search(line)] or lines

    def failed(self) -> bool:
        """Whether the script failed, or its claim is not met."""
        return self.code != 0 or "NOT met" in self.output


def claims(readme: str) -> list[Claim]:
    """The rows of the table "Speed".

    >>> claims("| sorting | `sort.py` | 1 s | 2 s | 2 |")
    [Claim(what='sorting', script='sort.py', here='1 s', peer='2 s', ratio='2')]
    """
    rows = re.findall(r"^\|(.+?)\| `(\w+\.py)` \|(.*?)\|(.*?)\|(.*?)\|$", readme, re.MULTILINE)
    return [Claim(*(cell.strip() for cell in row)) for row in rows]


def table(rows: Sequence[Claim], outcomes: Mapping[str, Outcome]) -> str:
    """The table in Markdown: the claims, and in the first row of each script what it printed now."""
    lines = ["| what | script | here | peer | ratio | this run |", "|---|---|---|---|---|---|"]
    shown: set[str] = set()
    for claim in rows:
        now = ""
        if claim.script not in shown and claim.script in outcomes:
            outcome = outcomes[claim.script]
            ended = f"exit code {outcome.code}: " if outcome.code else ""
            said = "<br>".join(outcome.results()).replace("|", r"\|")
            now = f"{ended}{said} ({outcome.seconds:.0f} s)"
        shown.add(claim.script)
        lines.append(f"| {claim.what} | `{claim.script}` | {claim.here} | {claim.peer} | {claim.ratio} | {now} |")
    return "\n".join(lines)


def run(script: str) -> Outcome:
    """Run one script with its defaults, and show what it prints as it comes."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", f"benchmarks.{script.removesuffix('.py')}"]
    lines = []
    with subprocess.Popen(
        command, cwd=README.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            sys.stderr.write(f"{script}: {line}")
            lines.append(line)
    return Outcome(process.returncode, time.perf_counter() - begin, "".join(lines))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scripts", nargs="*", help="e.g. help.py; all that the README names if none is given")
    rows = claims(README.read_text(encoding="utf-8"))
    known = list(dict.fromkeys(claim.script for claim in rows))
    chosen = parser.parse_args().scripts or known
    if unknown := [name for name in chosen if name not in known]:
        parser.error(f"the README has no claim of {', '.join(unknown)}: there are {', '.join(known)}")
    outcomes = {script: run(script) for script in chosen}
    print(table([claim for claim in rows if claim.script in outcomes], outcomes))
    failed = [script for script, outcome in outcomes.items() if outcome.failed()]
    if failed:
        print(f"\nfailed, or claim not met: {', '.join(failed)}", file=sys.stderr)
    return len(failed) > 0


if __name__ == "__main__":
    sys.exit(main())
