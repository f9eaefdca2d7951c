"""What the commands `neurojoint nwb …` report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.errors import NeurojointError

if TYPE_CHECKING:
    from exchange.nwb.checking import Check
    from exchange.nwb.export import Result
    from exchange.nwb.placing import Intake

_MEGABYTE = 1e6


def exported(results: Sequence[Result]) -> str:
    """What an export did, one line a session, and the sums."""
    lines = []
    for result in results:
        if result.state == "failed":
            lines.append(f"failed   {result.name}: {result.problem}")
            continue
        lines.append(f"{result.state:<8} {result.name}: {result.path} ({result.size / _MEGABYTE:,.1f} MB)")
        lines += [f"         note: {text}" for text in result.notes]
        reasons: dict[str, list[str]] = {}
        for path, why in result.left_out.items():
            reasons.setdefault(why, []).append(path)
        for why, paths in reasons.items():
            some = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
            lines.append(f"         not in the file ({why}): {some}")
    counts = {state: sum(result.state == state for result in results) for state in ("written", "equal", "failed")}
    lines.append(
        ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no session was asked for"
    )
    return "\n".join(lines)


def ingested(results: Sequence[Intake]) -> str:
    """What an ingest did, object by object; of our own files only what is not equal."""
    lines = []
    for result in results:
        if result.state == "failed":
            lines.append(f"failed   {result.problem}")
            continue
        counts = ", ".join(f"{count} {state}" for state, count in sorted(result.counts().items()))
        lines.append(f"{result.state:<8} {result.path} -> {result.session}: {counts}")
        lines += _table([line for line in result.lines if not (result.is_own and line.state == "equal")])
    if any(result.state == "written" for result in results):
        lines.append("next: `neurojoint work --once` computes what follows from the files")
    return "\n".join(lines)


def checked(report: Check) -> str:
    """What a check found."""
    by = f", written by {report.program}" if report.program else ""
    lines = [f"{report.path}: NWB {report.version}{by}", "", "It holds", *(f"  {hold}" for hold in report.holds), ""]
    if report.findings:
        lines.append("nwbinspector (for DANDI) and the validator find")
        lines += [
            f"  {finding.importance} {finding.name} {finding.where}: {finding.message}" for finding in report.findings
        ]
    else:
        lines.append("nwbinspector (for DANDI) and the validator find nothing")
    lines.append("")
    if report.problem:
        lines.append(f"It cannot be ingested: {report.problem}")
    else:
        lines += [f"`neurojoint nwb ingest` would write {report.session}", *_table(report.lines)]
    return "\n".join(lines)


def _table(lines: Sequence) -> list[str]:
    return [f"  {line.state:<9} {line.name}" + (f": {line.detail}" if line.detail else "") for line in lines]


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """ATTRIBUTE=COLUMN, as given on the command line.

    >>> pairs(["choice=response"])
    {'choice': 'response'}
    """
    columns = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name or not value:
            raise NeurojointError(f"{text!r} is no ATTRIBUTE=COLUMN", "write it as --column choice=response")
        columns[name] = value
    return columns
