"""From clusterings to rows: insertions, ephys.Clustering, and which clustering of an insertion is the default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ingest.files.report import Clustering
from ingest.files.scan import SessionKey
from ingest.rows import insertions as insertion_rows
from ingest.rows.insertions import Insertion
from ingest.rows.session_keys import SESSION, fetch_for, session_key
from ingest.rows.writing import Writer
from pipeline.electrophysiology import clusterings
from pipeline.schemas import ephys

if TYPE_CHECKING:
    from ingest.files.report import Report

KEY = (*SESSION, "probe_label", "clustering")
COLUMNS = (
    *KEY, "sorter", "clustering_collection", "clustering_revision", "clustering_state", "default_clustering",
    "clustering_fingerprint", "clustering_files", "clustering_refused", "clustering_reading",
)  # fmt: skip


def write(writer: Writer, reports: Sequence[Report], elsewhere: Mapping[SessionKey, set[str]]) -> None:
    """Bring the tables up to the clusterings of some sessions.

    Parameters
    ----------
    elsewhere : session -> paths below it of datasets that another repository holds; a clustering of those stays.
    """
    insertion_rows.write(
        writer, [Insertion(r.folder.key, p.label, p.serial, p.model) for r in reports for p in r.probes]
    )
    there = {}
    for row in fetch_for(ephys.Clustering, [report.folder.key for report in reports], COLUMNS):
        row = row | {"session_date": str(row["session_date"])}
        row |= {name: clusterings.parsed(row[name]) for name in clusterings.JSON}
        there[tuple(row[name] for name in KEY)] = row
    now = {
        (*report.folder.key, clustering.probe_label, clustering.name): _row(report.folder.key, clustering)
        for report in reports
        for clustering in report.clusterings
    }
    if not now and not there:
        return
    for key, row in there.items():
        paths = elsewhere.get(session_key(row), set())
        if key not in now and not any(path in paths for path, _ in row["clustering_files"].values()):
            row = row | {"clustering_state": "missing"}
        now.setdefault(key, row)
    writer.ensure(ephys.Sorter, {(row["sorter"],) for row in now.values() if row["sorter"]}, ("sorter",))
    clusterings.mark_defaults(list(now.values()))
    changed = [row for key, row in now.items() if there.get(key) != row]
    writer.put(ephys.Clustering, COLUMNS, [tuple(row[name] for name in COLUMNS) for row in changed], "update")


def _row(session: SessionKey, one: Clustering) -> dict:
    values = (
        *session, one.probe_label, one.name, one.sorter, one.collection, one.revision,
        "online" if one.is_readable else "refused", False, one.fingerprint,
        {name: list(file) for name, file in one.files.items()}, one.refused,
        one.reading,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))
