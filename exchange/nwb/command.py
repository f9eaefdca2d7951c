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
    for one in results:
        if one.state == "failed":
            lines.append(f"failed   {one.name}: {one.problem}")
            continue
        lines.append(f"{one.state:<8} {one.name}: {one.path} ({one.size / _MEGABYTE:,.1f} MB)")
        lines += [f"         note: {text}" for text in one.notes]
        reasons: dict[str, list[str]] = {}
        for path, why in one.left_out.items():
            reasons.setdefault(why, []).append(path)
        for why, paths in reasons.items():
            some = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
            lines.append(f"         not in the file ({why}): {some}")
    counts = {state: sum(one.state == state for one in results) for state in ("written", "equal", "failed")}
    lines.append(
        ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no session was asked for"
    )
    return "\n".join(lines)


def ingested(results: Sequence[Intake]) -> str:
    """What an ingest did, object by object; of our own files only what is not equal."""
    lines = []
    for one in results:
        if one.state == "failed":
            lines.append(f"failed   {one.problem}")
            continue
        counts = ", ".join(f"{count} {state}" for state, count in sorted(one.counts().items()))
        lines.append(f"{one.state:<8} {one.path} -> {one.session}: {counts}")
        lines += _table([line for line in one.lines if not (one.is_own and line.state == "equal")])
    if any(one.state == "written" for one in results):
        lines.append("next: `neurojoint work --once` computes what follows from the files")
    return "\n".join(lines)


def checked(found: Check) -> str:
    """What a check found."""
    by = f", written by {found.program}" if found.program else ""
    lines = [f"{found.path}: NWB {found.version}{by}", "", "It holds", *(f"  {one}" for one in found.holds), ""]
    if found.findings:
        lines.append("nwbinspector (for DANDI) and the validator find")
        lines += [f"  {one.importance} {one.name} {one.where}: {one.message}" for one in found.findings]
    else:
        lines.append("nwbinspector (for DANDI) and the validator find nothing")
    lines.append("")
    if found.problem:
        lines.append(f"It cannot be ingested: {found.problem}")
    else:
        lines += [f"`neurojoint nwb ingest` would write {found.session}", *_table(found.lines)]
    return "\n".join(lines)


def _table(lines: Sequence) -> list[str]:
    return [f"  {line.state:<9} {line.name}" + (f": {line.detail}" if line.detail else "") for line in lines]


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """ATTRIBUTE=COLUMN, as given on the command line.

    >>> pairs(["choice=response"])
    {'choice': 'response'}
    """
    found = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name or not value:
            raise NeurojointError(f"{text!r} is no ATTRIBUTE=COLUMN", "write it as --column choice=response")
        found[name] = value
    return found
