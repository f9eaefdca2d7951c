"""Sessions that must not become rows: one function per kind of damage, each says what an ingest has to answer."""

from __future__ import annotations

from datetime import date
from pathlib import Path

KINDS: dict = {}


def write_damaged(root: Path, lab: str, start: date, seed: int) -> list[dict]:
    return []
