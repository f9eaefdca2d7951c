"""Protects what `neurojoint compress` tells: what was done, what waits, what failed, and what to do."""

from __future__ import annotations

from ingest.commands.compress import report
from ingest.compression import Summary


def test_nothing_to_do():
    assert report(Summary("/data")) == "no raw recording waits for compression"


def test_a_dry_run_says_what_would_happen():
    summary = Summary("/data", dry_run=True, compressed=2, raw_bytes=3_000_000_000, removed=1)
    assert report(summary) == "2 raw recordings would be compressed (3.00 GB), 1 raw files removed"


def test_sizes_ratio_and_speed_and_that_raw_files_stay():
    done = {"compressed": 1, "raw_bytes": 3 * 10**9, "compressed_bytes": 10**9, "compression_seconds": 10.0}
    first, second = report(Summary("/data", **done)).splitlines()
    assert first == "1 raw recording compressed: 3.00 GB to 1.00 GB, 3.00 times smaller, 300 MB/s"
    assert "--remove-raw" in second
    assert len(report(Summary("/data", **done), remove_raw=True).splitlines()) == 1
    assert "1 raw file removed" in report(Summary("/data", **done, removed=1))
    assert "2 raw files removed" in report(Summary("/data", **done, removed=2))


def test_what_waits_and_what_failed_is_named():
    text = report(Summary("/data", waiting=["a/r.bin"], failures=[("b/r.bin", "the disk is full")]))
    assert "a/r.bin: still being recorded" in text and "b/r.bin: the disk is full" in text
    assert text.endswith("1 raw recording failed; nothing was lost. The next run tries them again")
