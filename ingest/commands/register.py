"""What `neurojoint ingest` shows: what was found and what to do next."""

from __future__ import annotations

from ingest.registration import Summary
from pipeline.alf.reasons import REASONS

_MOST_PLACES = 10


def report(summary: Summary) -> str:
    """The summary in words, with what to type next."""
    changed = [
        (summary.files_new, "new"), (summary.files_replaced, "replaced"), (summary.files_restored, "restored"),
        (summary.files_missing, "missing"), (summary.files_compressed, "compressed"),
    ]  # fmt: skip
    files = ", ".join(f"{number:,} {what}" for number, what in changed if number) or "nothing new"
    sessions = f"{summary.sessions:,} ({summary.sessions_new:,} new, {summary.sessions_changed:,} changed)"
    lines = [
        ("nothing was written (--dry-run); " if summary.dry_run else "")
        + f"{summary.root} is the repository {summary.repository}",
        f"  labs      {summary.labs:,}",
        f"  subjects  {summary.subjects:,}",
        f"  sessions  {sessions}",
        f"  files     {summary.files:,} ({files})",
    ]
    if summary.metadata_rows:
        lines.append(f"  metadata  {summary.metadata_rows:,} rows new or changed")
    if summary.metadata_withdrawn:
        lines.append(f"  withdrawn {summary.metadata_withdrawn:,} rows that their metadata file does not say any more")
    if summary.sessions_vanished:
        lines.append(f"  gone      {summary.sessions_vanished:,} sessions, marked missing")
    refused = f"  refused   {summary.quarantined:,}"
    lines.append(refused + (f" ({summary.resolved:,} mended since)" if summary.resolved else ""))
    lines += [f"    {number:>7,} {reason}: {REASONS[reason][1]}" for reason, number in summary.reasons.items()]
    lines.append(f"  time      {summary.seconds:.1f} s")
    if summary.withheld:
        lines.append(
            f"{summary.withheld:,} sessions lack {summary.files_withheld:,} registered files. They were left as they "
            "are and not marked missing, as a disk may be absent:"
        )
        lines += [f"    {place}: {why}" for place, why in list(summary.withheld_because.items())[:_MOST_PLACES]]
        if (more := len(summary.withheld_because) - _MOST_PLACES) > 0:
            lines.append(f"    and {more:,} more places")
        lines.append("  mount it and run the same command again; if they are deleted for good, add --accept-missing")
    if summary.dry_run:
        lines.append("next: the same command without --dry-run")
    elif summary.files_new or summary.files_restored:
        lines.append("next: neurojoint work --once")
    elif summary.files_replaced or summary.files_missing:
        lines.append("next: neurojoint refresh")
    return "\n".join(lines)
