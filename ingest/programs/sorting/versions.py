"""Whether a folder of results is as it was when it was imported, and where that import lies."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ingest.programs.sorting import alf_files

RESULTS = ("spike_times.npy", "spike_clusters.npy", "spike_templates.npy", "numpysorting_info.json", "spikes.npy",
           "sorting_cached.npz", "firings.npz")  # fmt: skip
"""Files of spikes; with tables of labels they decide whether a folder is as it was when it was imported."""

HASHED = ("times_*.mat", "*.nwb", "sorting/spikes/**/*", "sorting/unit_ids/**/*", "sorting/properties/**/*",
          "properties/*.npy")  # fmt: skip
"""Patterns of further files that do."""


def content_hash(place: Path) -> str:
    """md5 over what decides about the units: spikes, units, labels."""
    digest = hashlib.md5(usedforsecurity=False)
    tables = sorted(path.name for pattern in ("cluster_*.tsv", "cluster_*.csv") for path in place.glob(pattern))
    others = sorted(
        {path.relative_to(place).as_posix() for name in HASHED for path in place.glob(name) if path.is_file()}
    )
    for name in [*RESULTS, *tables, *others]:
        path = place / name
        if path.is_file():
            with path.open("rb") as file:
                digest.update(f"{name}\0{hashlib.file_digest(file, 'md5').hexdigest()}\n".encode())
    return digest.hexdigest()


def last_import(place: Path) -> tuple[Path, dict[str, Any]] | None:
    """The folder of the last import, and what it says."""
    for path in [*sorted(place.glob(f"#*#/{alf_files.SAYS}"), reverse=True), place / alf_files.SAYS]:
        try:
            says = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(says, dict) and "content_hash" in says:
            return path.parent, says
    return None
