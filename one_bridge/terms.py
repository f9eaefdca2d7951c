"""What each search term means: functions from its value to restrictions, in one table per kind of thing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import datajoint as dj
import pyarrow.compute as pc

from one_bridge.matching import (
    QC_LEVELS,
    Comparison,
    InvalidQuery,
    Reading,
    Term,
    by_ids,
    matching,
    one_of,
    qc_up_to,
    truth,
    values_of,
    vocabulary,
)
from one_bridge.region_terms import fields_in, insertions_with_channels, sessions_in, terms_by_region
from pipeline.database.bulk import fetch_columns
from pipeline.database.registry import bind
from pipeline.entry.tables.imaging import PROVENANCES
from pipeline.schemas import acquisition, data, lab, subject

SESSION_KEY = ("lab", "subject", "session_date", "session_number")


def online() -> dj.Table:
    """The copies of datasets that are there."""
    return data.FileRecord() & {"file_state": "online"}


def projects_of_sessions() -> dj.expression.QueryExpression:
    """The sessions that belong to projects, with the names in order, between commas, as `joined_projects`, and how many
    they are as `n_projects`.
    """
    if acquisition.Session().connection.adapter.backend == "postgresql":
        joined = "STRING_AGG(project, ',' ORDER BY project)"
    else:
        joined = "GROUP_CONCAT(project ORDER BY project SEPARATOR ',')"
    return dj.U(*SESSION_KEY).aggr(acquisition.SessionProject(), joined_projects=joined, n_projects="COUNT(*)")


def visible(reading: Reading) -> dj.Table:
    """All datasets, or those of the tag."""
    if reading.tag is None:
        return data.Dataset()
    return data.Dataset() & (data.DatasetTag() & {"tag": reading.tag}).proj()


def paths_of_datasets(reading: Reading) -> list[str]:
    """The different paths of datasets below their sessions: dozens or hundreds, however many sessions there are."""
    datasets = visible(reading)
    if datasets.restriction or datasets.connection.adapter.backend != "postgresql":
        return vocabulary(datasets, "rel_path")
    # MySQL hops through the index by itself; here PostgreSQL is told to, one look-up for each path.
    table = datasets.full_table_name
    hops = (
        f"WITH RECURSIVE hop AS ((SELECT rel_path FROM {table} ORDER BY rel_path LIMIT 1) UNION ALL "
        f"SELECT (SELECT rel_path FROM {table} WHERE rel_path > hop.rel_path ORDER BY rel_path LIMIT 1) FROM hop "
        "WHERE hop.rel_path IS NOT NULL) SELECT rel_path FROM hop WHERE rel_path IS NOT NULL"
    )
    return sorted(path for (path,) in datasets.connection.query(hops).fetchall())


def _subject(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
    return [
        one_of("subject", matching(vocabulary(subject.Subject, "subject"), values_of(value, reading), reading, True))
    ]


def _lab(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
    return [one_of("lab", matching(vocabulary(lab.Lab, "lab"), values_of(value, reading), reading, True))]


def _task_protocol(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
    protocols = vocabulary(acquisition.Session, "task_protocol")
    return [one_of("task_protocol", matching(protocols, values_of(value, reading), reading))]


def _projects(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
    """As the client reads them: the names of all projects of a session between commas are one text."""
    wanted = values_of(value, reading)
    if all(_is_within_a_name(str(item), reading) for item in wanted):
        names = matching(vocabulary(lab.Project, "project"), wanted, reading)
        return [(acquisition.SessionProject() & one_of("project", names)).proj() if names else []]
    joined = projects_of_sessions()
    present = pc.unique(fetch_columns(joined, "joined_projects")["joined_projects"]).to_pylist()
    projects = matching(present, wanted, reading)
    choices = [(joined & one_of("joined_projects", projects)).proj()] if projects else []
    if matching([""], wanted, reading):
        choices.append(dj.Not(acquisition.SessionProject().proj()))
    return [choices]


def _is_within_a_name(wanted: str, reading: Reading) -> bool:
    """Whether what is wanted can only match within one name, and not across the comma between two, or nothing."""
    if reading.style == "alyx":
        return bool(wanted)
    return bool(re.fullmatch(r"[\w -]+", wanted)) if reading.wildcards else bool(wanted) and "," not in wanted


def _number(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
    try:
        return [one_of("session_number", [int(item) for item in values_of(value, reading)])]
    except (ValueError, TypeError) as error:
        raise InvalidQuery(f"{value!r} is no session number", "it is 1, 2, …") from error


def _date_range(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
    import pandas as pd
    from one.util import validate_date_range

    if reading.style == "alyx" and isinstance(value, str):
        value = [part.strip() or None for part in value.split(",")]
    bounds = []
    try:
        start, end = validate_date_range(value)
        if pd.isna(start) or pd.isna(end):
            return [[]]
        if start != pd.Timestamp.min:
            first = start.ceil("D").date()
            bounds.append(Comparison("session_date", ">=", first, f"'{first}'"))
        if end != pd.Timestamp.max:
            last = end.date()
            bounds.append(Comparison("session_date", "<=", last, f"'{last}'"))
    except (ValueError, TypeError, OverflowError, NotImplementedError) as error:  # the last: before the year 1
        raise InvalidQuery(f"{value!r} is no range of dates", "give one date or two, as 2020-01-31") from error
    return bounds


def _ids(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
    return [by_ids("eid", values_of(value, reading))]


def _datasets(value: Any, reading: Reading, terms: Mapping[str, Any]) -> Iterable[Any]:
    """All of these file names are there, and none of those files is worse than `dataset_qc_lte`."""
    there = _reachable(reading, terms.get("dataset_qc_lte", "FAIL"))
    paths = paths_of_datasets(reading)
    for wanted in values_of(value, reading):
        try:
            pattern = re.compile(wanted if reading.style == "one" else re.escape(wanted))
        except (re.error, TypeError) as error:
            raise InvalidQuery(f"{wanted!r} is no name of a dataset ({error})", "e.g. spikes.times.npy") from None
        fitting = [path for path in paths if pattern.fullmatch(path.rpartition("/")[2])]
        yield (there & one_of("rel_path", fitting)).proj(*SESSION_KEY) if fitting else []


def _dataset_qc(value: Any, reading: Reading, terms: Mapping[str, Any]) -> Iterable[Any]:
    qc_up_to(value)
    return [] if "datasets" in terms else [_reachable(reading, value).proj(*SESSION_KEY)]


def _dataset_types(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
    for wanted in values_of(value, reading):
        types = [name for name in vocabulary(data.DatasetType, "dataset_type") if name == str(wanted)]
        yield (visible(reading) & one_of("dataset_type", types)).proj(*SESSION_KEY) if types else []


def _tags(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
    tags = matching(vocabulary(data.Tag, "tag"), values_of(value, reading), reading)
    return [(data.Dataset() & (data.DatasetTag() & one_of("tag", tags)).proj()).proj(*SESSION_KEY)]


def _users(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
    for wanted in values_of(value, reading):
        users = [name for name in vocabulary(lab.LabMember, "user_name") if name == str(wanted)]
        yield (acquisition.SessionUser() & one_of("user_name", users)).proj()


def _procedures(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
    procedures = matching(
        vocabulary(acquisition.SessionProcedure, "procedure_type"), values_of(value, reading), reading
    )
    return [(acquisition.SessionProcedure() & one_of("procedure_type", procedures)).proj()]


def _text_of_session(column: str, whole: bool) -> Term:
    def term(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
        present = [row for row in fetch_columns(dj.U(column) & acquisition.Session, column)[column].to_pylist() if row]
        return [one_of(column, matching(present, values_of(value, reading), reading, whole))]

    return term


def _qc_of(column: str) -> Term:
    def term(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
        return [one_of(column, [qc_up_to(item)[-1] for item in values_of(value, reading)])]

    return term


def _performance(comparison: str) -> Term:
    def term(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
        try:
            limit = float(value) / 100  # from percent
        except (ValueError, TypeError) as error:
            raise InvalidQuery(f"{value!r} is no performance", "give a percentage, 0 to 100") from error
        return [(bind("behavior_analysis").SessionPerformance() & f"performance {comparison} {limit!r}").proj()]

    return term


def _probe(column: str) -> Term:
    def term(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
        present = [row for row in fetch_columns(dj.U(column) & bind("ephys").Probe, column)[column].to_pylist() if row]
        names = matching(present, values_of(value, reading), reading, True)
        probes = vocabulary(bind("ephys").Probe() & one_of(column, names), "probe_serial")
        return [one_of("probe_serial", probes)]

    return term


def _of_fields(column: str, whole: bool = True) -> Term:
    def term(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
        present = [item for item in vocabulary(bind("imaging").FieldOfView, column) if item]
        return [one_of(column, matching(present, values_of(value, reading), reading, whole))]

    return term


def _provenance_of_fields(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
    """Fields of view whose default location is known in this way."""
    wanted = [PROVENANCES.get(str(item).casefold(), str(item).casefold()) for item in values_of(value, reading)]
    places = bind("imaging").FieldLocation & {"default_location": True}
    return [(places & one_of("fov_provenance", wanted)).proj()]


def _label(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
    labels = matching(vocabulary(bind("ephys").ProbeInsertion, "probe_label"), values_of(value, reading), reading, True)
    return [one_of("probe_label", labels)]


def _partial_dataset(value: Any, reading: Reading, terms: Mapping[str, Any]) -> Iterable[Any]:
    """A file whose name contains the text is there, of any QC if none is said, as in Alyx."""
    if not isinstance(value, str):
        raise TypeError('"dataset" parameter must be a string. For lists use "datasets"')
    paths = paths_of_datasets(reading)
    fitting = [path for path in paths if value.casefold() in path.rpartition("/")[2].casefold()]
    there = _reachable(reading, terms.get("dataset_qc_lte", "CRITICAL"))
    return [(there & one_of("rel_path", fitting)).proj(*SESSION_KEY) if fitting else []]


def _of_dataset(column: str, whole: bool = False) -> Term:
    def term(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
        names = matching(vocabulary(data.Dataset, column), values_of(value, reading), reading, whole)
        return [one_of(column, names)]

    return term


def _dataset_names(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
    wanted = {str(item) for item in values_of(value, reading)}
    paths = paths_of_datasets(reading)
    return [one_of("rel_path", [path for path in paths if path.rpartition("/")[2] in wanted])]


def _tags_of_datasets(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
    tags = matching(vocabulary(data.Tag, "tag"), values_of(value, reading), reading)
    return [(data.DatasetTag() & one_of("tag", tags)).proj()]


def _flag_of_tags(column: str) -> Term:
    def term(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
        tagged = (data.DatasetTag() & (data.Tag() & {column: True}).proj()).proj()
        return [tagged if truth(value) else dj.Not(tagged)]

    return term


def _there(value: Any, reading: Reading, _: Any) -> Iterable[Any]:
    return [{"dataset_online": truth(value)}]


def _reachable(reading: Reading, qc: Any) -> dj.Table:
    """The datasets that are there and no worse than this."""
    fine = qc_up_to(qc)
    worse = [level for level in QC_LEVELS if level not in fine]
    # One comparison with what is left out costs less than one with each of the others.
    by_qc: Any = f"dataset_qc <> '{worse[0]}'" if len(worse) == 1 else one_of("dataset_qc", fine) if worse else {}
    return visible(reading) & by_qc & {"dataset_online": True}


SESSION_TERMS: dict[str, Term] = {
    "subject": _subject,
    "nickname": _subject,
    "laboratory": _lab,
    "lab": _lab,
    "number": _number,
    "date_range": _date_range,
    "task_protocol": _task_protocol,
    "projects": _projects,
    "project": _projects,
    "datasets": _datasets,
    "dataset": _partial_dataset,
    "dataset_qc_lte": _dataset_qc,
    "dataset_types": _dataset_types,
    "tag": _tags,
    "users": _users,
    "procedures": _procedures,
    "location": _text_of_session("location", whole=False),
    "type": _text_of_session("session_type", whole=True),
    "qc": _qc_of("session_qc"),
    "performance_gte": _performance(">="),
    "performance_lte": _performance("<="),
    "session": _ids,
    "id": _ids,
    "eid": _ids,
    **terms_by_region(sessions_in),
}
"""What sessions can be searched by: term -> what it means."""

INSERTION_TERMS: dict[str, Term] = {
    "name": _label,
    "model": _probe("probe_model"),
    "serial": _probe("probe_serial"),
    "dataset": _partial_dataset,
    "insertion_qc": _qc_of("insertion_qc"),
    "pid": lambda value, reading, _: [by_ids("pid", values_of(value, reading))],
    **terms_by_region(insertions_with_channels),
}
"""What insertions can be searched by, besides the terms of their sessions."""

FIELD_TERMS: dict[str, Term] = {
    "name": _of_fields("fov_name"),
    "imaging_type": _of_fields("imaging_type"),
    "stack": lambda value, reading, _: [by_ids("stack_id", values_of(value, reading))],
    "provenance": _provenance_of_fields,
    **terms_by_region(fields_in),
}
"""What fields of view can be searched by, besides the terms of their sessions."""

CHANNEL_TERMS: dict[str, Term] = terms_by_region(lambda regions: one_of("region_id", regions))
"""What channels can be searched by, besides the terms of their insertions."""

ROI_TERMS: dict[str, Term] = terms_by_region(lambda regions: one_of("region_id", regions))
"""What regions of interest can be searched by, besides the terms of their fields of view."""

DATASET_TERMS: dict[str, Term] = {
    "dataset_id": lambda value, reading, _: [by_ids("dataset_id", values_of(value, reading))],
    "name": _dataset_names,
    "collection": _of_dataset("collection"),
    "revision": _of_dataset("dataset_revision"),
    "dataset_type": lambda value, reading, _: [
        one_of(
            "dataset_type",
            matching(vocabulary(data.DatasetType, "dataset_type"), values_of(value, reading), reading, True),
        )
    ],
    "data_format": _of_dataset("extension", whole=True),
    "hash": _of_dataset("dataset_hash", whole=True),
    "dataset_qc": _qc_of("dataset_qc"),
    "default": lambda value, reading, _: [{"default_dataset": truth(value)}],
    "exists": _there,
    "tag": _tags_of_datasets,
    "public": _flag_of_tags("tag_public"),
    "protected": _flag_of_tags("tag_protected"),
}
"""What datasets can be searched by, besides the terms of their sessions."""
