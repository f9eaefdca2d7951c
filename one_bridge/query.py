"""From search terms to rows: the query core that the Python class, the HTTP server and the cache tables share.

A search is a DataJoint restriction (`sessions`, `insertions`, `datasets`); rows come as Arrow columns with ONE's
names (`session_rows`, `insertion_rows`, `dataset_rows`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import datajoint as dj
import pyarrow as pa
import pyarrow.compute as pc

from one_bridge.matching import InvalidQuery, Reading, Term, by_ids, one_of, vocabulary
from one_bridge.terms import (
    CHANNEL_TERMS,
    DATASET_TERMS,
    FIELD_TERMS,
    INSERTION_TERMS,
    ROI_TERMS,
    SESSION_KEY,
    SESSION_TERMS,
    online,
    paths_of_datasets,
    projects_of_sessions,
    visible,
)
from pipeline.database.bulk import fetch_columns
from pipeline.database.registry import bind
from pipeline.schemas import acquisition, data

__all__ = [
    "CHANNEL_TERMS", "DATASET_TERMS", "FIELD_TERMS", "INSERTION_TERMS", "ROI_TERMS", "SESSION_KEY", "SESSION_TERMS",
    "InvalidQuery", "Reading", "aggregate_rows", "aggregates", "by_ids", "channels", "dataset_rows", "datasets",
    "eids", "fields_of_view", "insertion_rows", "insertions", "newest_first", "one_of", "online", "paths_of_datasets",
    "rois", "session_rows", "sessions", "trajectories", "vocabulary",
]  # fmt: skip


def sessions(terms: Mapping[str, Any] | None = None, reading: Reading | None = None) -> dj.Table:
    """The sessions that match all terms; of several values for a term one must match (`datasets`: all must be there).

    Parameters
    ----------
    terms : names of `SESSION_TERMS`, each with one value or a list.

    Returns
    -------
    acquisition.Session, restricted.

    Raises
    ------
    InvalidQuery : unknown term or unusable value.
    """
    reading = reading or Reading()
    query = acquisition.Session()
    if reading.tag is not None:
        query &= visible(reading).proj(*SESSION_KEY)
    return _restricted(query, terms or {}, SESSION_TERMS, reading, terms or {})


def insertions(terms: Mapping[str, Any] | None = None, reading: Reading | None = None) -> dj.Table:
    """The probe insertions that match all terms: those of `INSERTION_TERMS`, else of the session.

    Returns
    -------
    ephys.ProbeInsertion, restricted.

    Raises
    ------
    InvalidQuery : unknown term or unusable value.
    """
    reading = reading or Reading()
    own, others = _split(terms, INSERTION_TERMS)
    query = bind("ephys").ProbeInsertion()
    if others or reading.tag is not None:
        query &= sessions(others, reading).proj()
    return _restricted(query, own, INSERTION_TERMS, reading, terms or {})


def fields_of_view(terms: Mapping[str, Any] | None = None, reading: Reading | None = None) -> dj.Table:
    """The fields of view that match all terms: those of `FIELD_TERMS`, else of their sessions.

    Returns
    -------
    imaging.FieldOfView, restricted.

    Raises
    ------
    InvalidQuery : unknown term or unusable value.
    """
    reading = reading or Reading()
    own, others = _split(terms, FIELD_TERMS)
    query = bind("imaging").FieldOfView()
    if others or reading.tag is not None:
        query &= sessions(others, reading).proj()
    return _restricted(query, own, FIELD_TERMS, reading, terms or {})


def rois(terms: Mapping[str, Any] | None = None, reading: Reading | None = None) -> dj.Table:
    """The regions of interest that match all terms: those of `ROI_TERMS`, else of `fields_of_view`.

    Returns
    -------
    imaging.RoiSet.Roi, restricted.

    Raises
    ------
    InvalidQuery : unknown term or unusable value.
    """
    reading = reading or Reading()
    own, others = _split(terms, ROI_TERMS)
    query = bind("imaging").RoiSet.Roi()
    if others or reading.tag is not None:
        query &= fields_of_view(others, reading).proj()
    return _restricted(query, own, ROI_TERMS, reading, terms or {})


def trajectories(terms: Mapping[str, Any] | None = None, reading: Reading | None = None) -> dj.Table:
    """The tracks of the insertions that match all terms of `insertions`: histology.Trajectory, restricted."""
    query = bind("histology").Trajectory()
    return query & insertions(terms, reading).proj() if terms else query


def channels(terms: Mapping[str, Any] | None = None, reading: Reading | None = None) -> dj.Table:
    """The channels with places that match all terms: those of `CHANNEL_TERMS`, else of `insertions`.

    Returns
    -------
    histology.ChannelLocation.Channel, restricted.

    Raises
    ------
    InvalidQuery : unknown term or unusable value.
    """
    reading = reading or Reading()
    own, others = _split(terms, CHANNEL_TERMS)
    query = bind("histology").ChannelLocation.Channel()
    if others:
        query &= insertions(others, reading).proj()
    return _restricted(query, own, CHANNEL_TERMS, reading, terms or {})


def datasets(terms: Mapping[str, Any] | None = None, reading: Reading | None = None) -> dj.Table:
    """The datasets that match all terms: those of `DATASET_TERMS`, else of the session (subject, lab, date_range …).

    Returns
    -------
    data.Dataset, restricted.

    Raises
    ------
    InvalidQuery : unknown term or unusable value.
    """
    reading = reading or Reading()
    own, others = _split(terms, DATASET_TERMS)
    query = visible(reading)
    if others:
        query &= sessions(others, Reading(reading.style, reading.wildcards)).proj()
    return _restricted(query, own, DATASET_TERMS, reading, terms or {})


def session_rows(query: dj.Table | None = None, projects: bool = True, extra: tuple[str, ...] = ()) -> pa.Table:
    """Sessions, newest first, then by subject and number downwards, as ONE returns them.

    Parameters
    ----------
    query : acquisition.Session, restricted; all sessions by default.
    projects : with the column `projects` (names between commas).
    extra : further columns of acquisition.Session.

    Returns
    -------
    Columns eid, lab, subject, date, number, task_protocol, projects, and the extra ones.
    """
    query = acquisition.Session() if query is None else query
    rows = fetch_columns(query, "eid", *SESSION_KEY, "task_protocol", *extra)
    if projects:
        members = projects_of_sessions() & query.proj()
        joined = fetch_columns(members, *SESSION_KEY, "joined_projects")
        rows = rows.join(joined, list(SESSION_KEY), join_type="left outer")
        filled = pc.fill_null(rows["joined_projects"], "")
        rows = rows.drop_columns("joined_projects").append_column("projects", filled)
    rows = rows.rename_columns({"session_date": "date", "session_number": "number"})
    order = ["eid", "lab", "subject", "date", "number", "task_protocol", *(["projects"] if projects else []), *extra]
    down = [(name, "descending") for name in ("date", "subject", "number")]
    return rows.select(order).sort_by([*down, ("eid", "ascending")])


def eids(query: dj.Table) -> list[str]:
    """The identifiers of sessions (acquisition.Session, restricted), in the order of `session_rows`."""
    return newest_first(fetch_columns(query, "eid", "session_date", "subject", "session_number"))["eid"].to_pylist()


def newest_first(rows: pa.Table) -> pa.Table:
    """Sessions (columns of acquisition.Session) in the order of `session_rows`."""
    down = [(name, "descending") for name in ("session_date", "subject", "session_number")]
    return rows.take(pc.sort_indices(rows, sort_keys=[*down, ("eid", "ascending")]))


def dataset_rows(query: dj.Table | None = None) -> pa.Table:
    """Datasets by session and identifier, in the order of the client's table.

    Parameters
    ----------
    query : data.Dataset, restricted; all datasets by default.

    Returns
    -------
    Columns eid, id, rel_path, file_size (byte), hash (md5, null where none is known), exists (a copy is online), qc,
    default_revision.
    """
    query = data.Dataset() if query is None else query
    columns = ("rel_path", "file_size", "dataset_hash", "default_dataset", "dataset_qc", "dataset_online")
    joined = query.proj(*SESSION_KEY, *columns) * acquisition.Session.proj("eid")
    rows = fetch_columns(joined, "eid", "dataset_id", *columns)
    digest = pc.utf8_rtrim_whitespace(rows["dataset_hash"])  # PostgreSQL pads char(32) with spaces
    arrays = {
        "eid": rows["eid"],
        "id": rows["dataset_id"],
        "rel_path": rows["rel_path"],
        "file_size": _sizes(rows["file_size"]),
        "hash": pc.if_else(pc.equal(digest, ""), None, digest),
        "exists": rows["dataset_online"].cast(pa.bool_()),
        "qc": rows["dataset_qc"],
        "default_revision": rows["default_dataset"],
    }
    return pa.table(arrays).sort_by([("eid", "ascending"), ("id", "ascending")])


def _sizes(stored: pa.ChunkedArray) -> pa.ChunkedArray:
    """Sizes as the cache tables hold them; one that no file can have is 0, which means unknown there."""
    return pc.if_else(pc.less(stored, 0), 0, stored).cast(pa.uint64())


def insertion_rows(query: dj.Table | None = None) -> pa.Table:
    """Probe insertions by session and identifier.

    Parameters
    ----------
    query : ephys.ProbeInsertion, restricted; all insertions by default.

    Returns
    -------
    Columns eid, id, name (as the folder, e.g. probe00), serial and model of the probe (empty where unknown), qc.
    """
    ephys = bind("ephys")
    query = ephys.ProbeInsertion() if query is None else query
    joined = query * acquisition.Session.proj("eid")
    rows = fetch_columns(joined, "eid", "pid", "probe_label", "probe_serial", "insertion_qc")
    models = fetch_columns(ephys.Probe, "probe_serial", "probe_model")
    rows = rows.join(models, "probe_serial", join_type="left outer")
    arrays = {
        "eid": rows["eid"],
        "id": rows["pid"],
        "name": rows["probe_label"],
        "serial": pc.fill_null(rows["probe_serial"], ""),
        "model": pc.fill_null(rows["probe_model"], ""),
        "qc": rows["insertion_qc"],
    }
    return pa.table(arrays).sort_by([("eid", "ascending"), ("id", "ascending")])


def aggregates(relation: str | None = None) -> dj.Table:
    """The files over many sessions, or those over one relation (`subjects`, `tags` …; case does not count).

    Returns
    -------
    data.Aggregate, restricted.
    """
    query = data.Aggregate()
    if relation is None:
        return query
    known = vocabulary(query, "aggregate_relation")
    return query & one_of("aggregate_relation", [value for value in known if value == relation.casefold()])


def aggregate_rows(query: dj.Table | None = None) -> pa.Table:
    """Files over many sessions by identifier.

    Returns
    -------
    Columns id, rel_path (below the root), file_size (byte), hash (md5), exists, qc, default_revision, relation (in
    lower case), identifier (e.g. lab/subject).
    """
    columns = ("aggregate_id", "aggregate_path", "aggregate_size", "aggregate_hash", "aggregate_qc",
               "aggregate_default", "aggregate_relation", "aggregate_identifier")  # fmt: skip
    rows = fetch_columns(data.Aggregate() if query is None else query, *columns)
    names = ["id", "rel_path", "file_size", "hash", "qc", "default_revision", "relation", "identifier"]
    rows = rows.rename_columns(names).append_column("exists", pa.array([True] * rows.num_rows, pa.bool_()))
    return rows.sort_by("id")


def _split(terms: Mapping[str, Any] | None, own: Mapping[str, Term]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The terms of a table itself and those of its sessions."""
    terms = dict(terms or {})
    mine = {name: value for name, value in terms.items() if name in own}
    return mine, {name: value for name, value in terms.items() if name not in mine}


def _restricted(
    query: dj.Table, terms: Mapping[str, Any], known: Mapping[str, Term], reading: Reading, given: Mapping[str, Any]
) -> dj.Table:
    for name, value in terms.items():
        if name not in known:
            raise InvalidQuery(f"unknown search term {name!r}", f"known are {', '.join(sorted(known))}")
        for restriction in known[name](value, reading, given):
            query &= restriction
    return query
