"""Find insertions and units by brain region, quality and the training of the mouse: `neurojoint find`, as functions.

A region stands for all that lies within it. "Good" is a named, versioned rule set (`ephys_analysis.UnitCriteria`), the
status that of the mouse after that session by a rule set of `behavior_analysis.TrainingCriteria`.
"""

from __future__ import annotations

import contextlib
import datetime
import difflib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import datajoint as dj
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import atlas
from pipeline.analysis.criteria import RuleSet
from pipeline.database.bulk import fetch_columns
from pipeline.errors import UserError
from pipeline.queries.trial_counts import fulfilling
from pipeline.queries.unit_kinds import of_kind
from pipeline.schemas import acquisition, behavior_analysis, ephys, ephys_analysis, histology

__all__ = ["DEFAULT_CRITERIA", "DEFAULT_RULES", "find_insertions", "find_units", "insertions_in", "unjudged"]

DEFAULT_CRITERIA = "ibl"
"""What "good" means where nothing is said."""
DEFAULT_RULES = "ibl_pipeline_2021"
"""The rules of the training status where nothing is said."""

_SESSION = ("lab", "subject", "session_date", "session_number")
_INSERTION = (*_SESSION, "probe_label")
_CLUSTERING = (*_INSERTION, "clustering")
_UNIT = (*_CLUSTERING, "cluster_id")
_PLACE = ("region_id", "cluster_ml", "cluster_ap", "cluster_dv", "cluster_hemisphere")

Names = str | Iterable[str] | None
"""One name, several, several in one text separated by commas, or none: all."""
Regions = str | int | Iterable[str | int] | None
"""Acronyms or ids of the Allen atlas; None: anywhere, also where the place is not known."""


def find_units(
    region: Regions = None,
    good: bool = False,
    min_units: int = 1,
    status: Names = None,
    *,
    criteria: str | None = None,
    rules: str = DEFAULT_RULES,
    lab: Names = None,
    subject: Names = None,
    since: datetime.date | str | None = None,
    until: datetime.date | str | None = None,
    hemisphere: str | None = None,
    condition: str | None = None,
    period: str | None = None,
    min_trials: int = 1,
    cell_type: str | None = None,
    tagged: bool = False,
    selective: str | None = None,
) -> pa.Table:
    """The units of default clusterings that lie in a region, pass the criteria and belong to the sessions that fit.

    Parameters
    ----------
    region : with all that lies within it.
    good : only units that pass `criteria`.
    min_units : insertions with fewer such units are left out.
    status : training status of the mouse after that session, e.g. `trained_1b`; `trained_1b+` is that or a higher one.
    criteria : of good units, as `ibl` (its latest version) or `ibl:1`; naming one means `good`.
    rules : of the status, in the same way.
    lab, subject : their names.
    since, until : first and last date of the session.
    hemisphere : `left` or `right`.
    condition, period, min_trials : only of sessions with so many trials that fulfil a condition and have a period
        (docs/conditions.md).
    cell_type, tagged, selective : kinds of units, see `pipeline.queries.unit_kinds.of_kind`.

    Returns
    -------
    A row a unit, by session, probe and cluster: lab, subject, session_date, session_number, probe_label, clustering,
    cluster_id, eid, pid, region_id, acronym, cluster_ml, cluster_ap, cluster_dv (um from bregma), cluster_hemisphere.

    Raises
    ------
    NeurojointError : no such region, criteria, status or rules; the message names what there is.
    """
    sessions, is_filtered = sessions_that_fit(status, rules, lab, subject, since, until)
    chosen = (ephys.Clustering & {"default_clustering": True}).proj()
    if region is None and hemisphere is None:
        located = ephys.ClusterSet.Cluster.proj().extend(histology.ClusterLocation.Cluster.proj(*_PLACE))
    else:
        located = histology.ClusterLocation.Cluster()
        located &= _within(region) if region is not None else "region_id IS NOT NULL"
        located &= {"cluster_hemisphere": _side(hemisphere)} if hemisphere else {}
    for restriction in of_kind(cell_type, tagged, selective):
        located &= restriction
    if is_filtered:
        located &= (chosen & sessions.proj()).proj()
    rows = (
        _passing(located, criteria or DEFAULT_CRITERIA) if good or criteria else fetch_columns(located, *_UNIT, *_PLACE)
    )
    names = (*_CLUSTERING, "eid", "pid")
    order = [(name, "ascending") for name in _CLUSTERING]
    known = fetch_columns(chosen * ephys.ProbeInsertion.proj("pid") * sessions.proj("eid"), *names).sort_by(order)
    known = _with_trials(known, condition, period, min_trials, sessions)
    return _table(rows, known, min_units)


def find_insertions(
    region: Regions = None,
    good: bool = False,
    min_units: int = 0,
    status: Names = None,
    *,
    criteria: str | None = None,
    rules: str = DEFAULT_RULES,
    lab: Names = None,
    subject: Names = None,
    since: datetime.date | str | None = None,
    until: datetime.date | str | None = None,
    condition: str | None = None,
    period: str | None = None,
    min_trials: int = 1,
    cell_type: str | None = None,
    tagged: bool = False,
    selective: str | None = None,
) -> pa.Table:
    """The insertions with a channel in a region and so many units there; parameters as `find_units`.

    Returns
    -------
    A row an insertion, by session and probe: lab, subject, session_date, session_number, probe_label, eid, pid,
    n_channels (in the region; 0 where no places are known) and n_units (of the default clustering, in the region and
    good where that is asked).

    Raises
    ------
    NeurojointError : as `find_units`.
    """
    sessions, _ = sessions_that_fit(status, rules, lab, subject, since, until)
    known = fetch_columns(ephys.ProbeInsertion.proj("pid") * sessions.proj("eid"), *_INSERTION, "eid", "pid")
    known = known.sort_by([(name, "ascending") for name in _INSERTION])
    known = _with_trials(known, condition, period, min_trials, sessions)
    within = {} if region is None else _within(region)
    channels = histology.ChannelLocation.Region & within
    n_channels = _counts(channels, known, "SUM(region_channels)")
    default = (ephys.Clustering & {"default_clustering": True}).proj()
    kind: dict[str, Any] = {"cell_type": cell_type, "tagged": tagged, "selective": selective}
    if good or criteria or any(kind.values()):
        asked = kind | {"lab": lab, "subject": subject, "since": since, "until": until}
        units = find_units(region, good, status=status, criteria=criteria, rules=rules, **asked)
        counted = units.group_by(list(_INSERTION)).aggregate([([], "count_all")])
        n_units = _aligned(known, counted.rename_columns([*_INSERTION, "n_found"]))
    elif region is None:
        n_units = _counts(ephys.ClusterSet.proj("n_clusters") & default, known, "SUM(n_clusters)")
    else:
        n_units = _counts((histology.ClusterLocation.Region & within) & default, known, "SUM(region_clusters)")
    insertions = known.append_column("n_channels", pa.array(n_channels)).append_column("n_units", pa.array(n_units))
    keep = n_units >= min_units
    if region is not None:
        keep &= (n_channels > 0) | (n_units > 0)
    return insertions.filter(pa.array(keep))


def insertions_in(region: str | int | Iterable[str | int]) -> dj.expression.QueryExpression:
    """The insertions with a channel in a region or anything within it, to restrict insertions or sessions by.

    Raises
    ------
    NeurojointError : the atlas has no such region.
    """
    return (histology.ChannelLocation.Region & _within(region)).proj()


def unjudged(criteria: str | None = None) -> int:
    """How many default clusterings the criteria have not been applied to yet: their units are never found as good."""
    judged = (ephys_analysis.UnitSelection & _criteria(criteria or DEFAULT_CRITERIA)).proj()
    return len((ephys.ClusterSet.proj() & (ephys.Clustering & {"default_clustering": True}).proj()) - judged)


def _with_trials(known: pa.Table, condition: str | None, period: str | None, least: int, sessions: Any) -> pa.Table:
    """The rows whose session has so many trials that fulfil the condition and have the period."""
    if condition is None and period is None:
        return known
    return known.filter(pa.array(fulfilling(known, _SESSION, condition, period, sessions) >= least))


def _within(region: str | int | Iterable[str | int]) -> str:
    return f"region_id IN ({', '.join(map(str, atlas.region_ids(region)))})"


def _passing(located: dj.expression.QueryExpression, criteria: str) -> pa.Table:
    """The located units that pass the criteria."""
    good = (ephys_analysis.UnitSelection.Unit & _criteria(criteria)).proj()
    with _without_nested_loops(located.connection):
        return fetch_columns(located & good, *_UNIT, *_PLACE)


@contextlib.contextmanager
def _without_nested_loops(connection: dj.Connection) -> Iterator[None]:
    """PostgreSQL expects few rows where seven columns are equal, and would look up each good unit by itself."""
    if connection.adapter.backend != "postgresql":
        yield
        return
    connection.query("SET enable_nestloop = off")
    try:
        yield
    finally:
        with contextlib.suppress(Exception):  # where the connection or its transaction is lost, the setting is too
            connection.query("RESET enable_nestloop")


def _table(rows: pa.Table, known: pa.Table, min_units: int) -> pa.Table:
    """The units of known clusterings, those of insertions with fewer than `min_units` left out, in order."""
    places = _places(rows, known)
    counts = np.bincount(places[places >= 0], minlength=known.num_rows)
    keep = np.flatnonzero((places >= 0) & (np.append(counts, 0)[places] >= min_units))
    ids = rows["cluster_id"].to_numpy()
    in_order = places[keep] * (1 << 32) + ids[keep]  # nearly sorted, which lexsort makes no use of
    keep = keep[np.argsort(in_order, kind="stable")]
    of_unit = rows.select(["cluster_id", *_PLACE]).combine_chunks().take(pa.array(keep))
    place = pa.array(places[keep])
    columns = {name: pa.DictionaryArray.from_arrays(place, known[name].combine_chunks()) for name in known.column_names}
    columns = {name: column.dictionary_decode() for name, column in columns.items()}
    tree = atlas.regions()
    acronyms = pa.array(tree.acronyms).take(pc.index_in(of_unit["region_id"], pa.array(tree.ids)))
    columns |= {name: of_unit[name] for name in of_unit.column_names} | {"acronym": acronyms}
    return pa.table({name: columns[name] for name in (*_UNIT, "eid", "pid", _PLACE[0], "acronym", *_PLACE[1:])})


def _places(rows: pa.Table, known: pa.Table) -> np.ndarray:
    """At which row of `known` the clustering of each row is, -1 where it is not there.

    A join on columns of text takes several times as long.
    """
    code, of_known = np.zeros(rows.num_rows, np.int64), np.zeros(known.num_rows, np.int64)
    for name in _CLUSTERING:  # each step makes one number of the columns so far
        values = known[name].unique()
        here = pc.fill_null(pc.index_in(rows[name], values), -1).to_numpy()
        there = pc.index_in(known[name], values).to_numpy()
        codes, of_known = np.unique(of_known * len(values) + there, return_inverse=True)
        code = np.where((code < 0) | (here < 0), -1, code * len(values) + here)
        at = np.searchsorted(codes, code).clip(max=max(len(codes) - 1, 0))
        code = np.where(codes[at] == code, at, -1) if len(codes) else np.full(len(code), -1)
    order = np.append(np.argsort(of_known), -1)
    return order[code]


def _counts(query: dj.expression.QueryExpression, known: pa.Table, total: str) -> np.ndarray:
    """A sum over the rows of each known insertion; 0 where it has none."""
    return _aligned(known, fetch_columns(dj.U(*_INSERTION).aggr(query, n_found=total), *_INSERTION, "n_found"))


def _aligned(known: pa.Table, counted: pa.Table) -> np.ndarray:
    counted = counted.set_column(len(_INSERTION), "n_found", counted["n_found"].cast(pa.float64()).cast(pa.int64()))
    place = pa.array(np.arange(known.num_rows), pa.int32())
    both = known.select(_INSERTION).append_column("place", place).join(counted, list(_INSERTION), join_type="inner")
    counts = np.zeros(known.num_rows, np.int64)
    counts[both["place"].to_numpy()] = both["n_found"].to_numpy()
    return counts


def sessions_that_fit(
    status: Names, rules: str, lab: Names, subject: Names, since: Any, until: Any
) -> tuple[dj.expression.QueryExpression, bool]:
    """The sessions that fit, and whether that leaves any out."""
    sessions = acquisition.Session()
    for name, given in (("lab", lab), ("subject", subject)):
        if given is not None:
            sessions &= [{name: item} for item in listed(given)]
    for comparison, day in ((">=", since), ("<=", until)):
        if day is not None:
            sessions &= f"session_date {comparison} '{_date(day)}'"
    if status is not None:
        key, statuses = _statuses(listed(status), rules)
        there = behavior_analysis.SessionTrainingStatus & key & [{"session_status": item} for item in statuses]
        sessions &= there.proj()
    return sessions, any(item is not None for item in (status, lab, subject, since, until))


def _statuses(wanted: Sequence[str], rules: str) -> tuple[dict[str, Any], list[str]]:
    """The key of the rules and the statuses that are meant."""
    names = ("criteria", "criteria_version")
    rows = behavior_analysis.TrainingCriteria.to_dicts()
    key = _version(rules, [tuple(row[name] for name in names) for row in rows], "rules of training")
    given = next(row["rules"] for row in rows if tuple(row[name] for name in names) == key)
    known = RuleSet.from_json(json.dumps(given))
    ordered = list(known.statuses)
    every = [*ordered, *dict.fromkeys(failure.status for failure in known.failures)]
    statuses: list[str] = []
    for value in wanted:
        name = value.removesuffix("+")
        if name not in (ordered if value.endswith("+") else every):
            near = difflib.get_close_matches(name, every, 3, 0.5) or every
            raise UserError(f"the rules {rules} have no status {value}", f"choose from {', '.join(near)}")
        statuses += ordered[ordered.index(name) :] if value.endswith("+") else [name]
    return dict(zip(names, key, strict=True)), list(dict.fromkeys(statuses))


def _criteria(text: str) -> dict[str, Any]:
    names = ("unit_criteria", "unit_criteria_version")
    rows = fetch_columns(ephys_analysis.UnitCriteria, *names).to_pylist()
    key = _version(text, [tuple(row[name] for name in names) for row in rows], "criteria of units")
    return dict(zip(names, key, strict=True))


def _version(text: str, known: Sequence[tuple[str, int]], what: str) -> tuple[str, int]:
    """Name and version of `name` (its latest) or `name:version`."""
    name, _, version = text.partition(":")
    fitting = sorted(value for value in known if value[0] == name and version in ("", str(value[1])))
    if not fitting:
        there = ", ".join(f"{one}:{number}" for one, number in sorted(known))
        raise UserError(f"there are no {what} called {text}", f"choose from {there}")
    return fitting[-1]


def listed(names: Names) -> list[str]:
    given = [names] if isinstance(names, str) else list(names or ())
    return [part for value in given for part in (part.strip() for part in value.split(",")) if part]


def _side(hemisphere: str) -> str:
    if hemisphere not in ("left", "right"):
        raise UserError(f"there is no hemisphere {hemisphere!r}", "choose left or right")
    return hemisphere


def _date(day: datetime.date | str) -> datetime.date:
    try:
        return day if isinstance(day, datetime.date) else datetime.date.fromisoformat(str(day))
    except ValueError:
        raise UserError(f"{day!r} is no date", "write it as 2024-01-31") from None
