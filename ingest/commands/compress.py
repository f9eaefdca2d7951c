"""What `neurojoint compress` shows: what was done, and what failed."""

from __future__ import annotations

from ingest.compression import Summary


def report(summary: Summary, remove_raw: bool = False) -> str:
    """The summary in words, with what to do about what failed."""
    if summary.dry_run:
        size = f"{summary.raw_bytes / 1e9:.2f} GB"
        return f"{_count(summary.compressed)} would be compressed ({size}), {summary.removed} raw files removed"
    lines = []
    if summary.compressed:
        ratio = summary.raw_bytes / summary.compressed_bytes
        speed = summary.raw_bytes / 1e6 / max(summary.compression_seconds, 1e-9)
        sizes = f"{summary.raw_bytes / 1e9:.2f} GB to {summary.compressed_bytes / 1e9:.2f} GB"
        lines.append(f"{_count(summary.compressed)} compressed: {sizes}, {ratio:.2f} times smaller, {speed:.0f} MB/s")
    if summary.removed:
        lines.append(f"{summary.removed} raw file{'s' * (summary.removed != 1)} removed after a second verification")
    elif summary.compressed and not remove_raw:
        lines.append("the raw files were kept; neurojoint compress ROOT --remove-raw removes them after verification")
    lines += [f"{path}: still being recorded, or compressed by another process" for path in summary.waiting]
    lines += [f"{path}: {message}" for path, message in summary.failures]
    if summary.failures:
        lines.append(f"{_count(len(summary.failures))} failed; nothing was lost. The next run tries them again")
    return "\n".join(lines or ["no raw recording waits for compression"])


def _count(number: int) -> str:
    return f"{number} raw recording{'s' * (number != 1)}"
