"""From metadata to rows: the tracks of probes, where a person or another program knows them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from ingest.files import identity
from ingest.metadata.files import Metadata
from ingest.rows.sessions import SessionRows, fetch_for, session_key
from ingest.rows.writing import Writer
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import ephys, histology

DEFAULT = {"coordinate_system": "IBL-Allen"}


def write_trajectories(writer: Writer, metadata: Metadata, sessions: SessionRows) -> int:
    """Write the tracks of insertions that are registered; returns how many rows are new or changed."""
    told = metadata.rows["trajectories"]
    if not told:
        return 0
    probes: dict[Any, set[str]] = defaultdict(set)
    wanted = sorted({session_key(row) for row in told} & sessions.known.keys())
    for row in fetch_for(ephys.ProbeInsertion, wanted, ephys.ProbeInsertion.primary_key):
        probes[session_key(row)].add(row["probe_label"])
    systems = fetch_columns(histology.CoordinateSystem, "coordinate_system")["coordinate_system"].to_pylist()
    rows = []
    for row in told:
        session, system = session_key(row), row.get("coordinate_system")
        path = identity.session_path(*session)
        if session not in sessions.known:
            metadata.problem_of(row, "session_number", f"no session {path} is known")
        elif row["probe_label"] not in probes[session] and not (writer.dry_run and not probes[session]):
            there = ", ".join(sorted(probes[session])) or "none"
            metadata.problem_of(row, "probe_label", f"{path} has no probe {row['probe_label']} (known: {there})")
        elif system and system not in systems:
            metadata.problem_of(row, "coordinate_system", f"{system} is none of {', '.join(sorted(systems))}")
        else:
            rows.append(row)
    labs = [{"lab": name} for name in sorted({row["lab"] for row in rows})]
    return sum(writer.merge(histology.Trajectory, rows, DEFAULT, labs)) if rows else 0
