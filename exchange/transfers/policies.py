"""Policies as data: which datasets they are about, in SQL that both databases understand, and how they are entered."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from exchange.transfers.repositories import repository, writable
from pipeline.errors import NeurojointError
from pipeline.schemas import acquisition, transfer

QC = ("NOT_SET", "PASS", "WARNING", "FAIL", "CRITICAL")
RAW = "raw_%"
"""Only files in collections of this kind are ever removed from a local repository."""
KEEP = ("%taskSettings%", "%experiment.description%", "%.meta", "%.ch", "%.json")
"""Never removed, as small as they are: what registration reads of a session and of its recordings."""


def define(name: str, destinations: Sequence[str] | None = None, **rules: Any) -> None:
    """Make a policy, or change what is given of one that is there.

    Parameters
    ----------
    destinations : repositories in which its datasets must have copies; None leaves them as they are.
    rules : columns of `transfer.Policy`.

    Raises
    ------
    NeurojointError : a repository that cannot be written, or rules that contradict each other.
    """
    for destination in destinations or ():
        writable(repository(destination))
    if rules.get("minimum_copies", 2) < 2:
        raise NeurojointError(
            "a raw file is removed only when two other copies were verified", "set minimum_copies to 2 or more"
        )
    if rules.get("for_worst_qc") and rules["for_worst_qc"] not in QC:
        raise NeurojointError(f"{rules['for_worst_qc']!r} is no outcome of QC", f"choose of {', '.join(QC)}")
    there = bool(transfer.Policy & {"policy": name})
    with transfer.Policy().connection.transaction:
        if there and rules:
            transfer.Policy.update1({"policy": name} | rules)
        elif not there:
            transfer.Policy.insert1({"policy": name} | rules)
        if destinations is not None:
            (transfer.Policy.Destination & {"policy": name}).delete_quick()
            transfer.Policy.Destination.insert(
                {"policy": name, "repository": destination} for destination in destinations
            )


def enabled() -> list[dict[str, Any]]:
    """The policies in force, each with its `destinations`."""
    return [row for row in every() if row["policy_enabled"]]


def every() -> list[dict[str, Any]]:
    """All policies, also those that are switched off."""
    rows = transfer.Policy().to_dicts(order_by="policy")
    for row in rows:
        destinations = transfer.Policy.Destination & {"policy": row["policy"]}
        row["destinations"] = [item["repository"] for item in destinations.to_dicts(order_by="repository")]
    return rows


def condition(policy: dict[str, Any], today: datetime.date) -> tuple[str, list[Any]]:
    """What a policy says of a row `d` of data.Dataset: SQL, and the values of its marks."""
    said: list[str] = []
    values: list[Any] = []

    def add(sql: str, *given: Any) -> None:
        said.append(sql)
        values.extend(given)

    if policy["for_lab"]:
        add("d.lab = %s", policy["for_lab"])
    if policy["for_project"]:
        key = " AND ".join(f"p.{name} = d.{name}" for name in acquisition.Session.primary_key)
        table = acquisition.SessionProject().full_table_name
        add(f"EXISTS (SELECT 1 FROM {table} AS p WHERE {key} AND p.project = %s)", policy["for_project"])
    if patterns := listed(policy["for_paths"]):
        add(f"({' OR '.join(['d.rel_path LIKE %s ESCAPE ' + _BAR] * len(patterns))})", *map(like, patterns))
    if types := listed(policy["for_types"]):
        add(f"d.dataset_type IN ({', '.join(['%s'] * len(types))})", *types)
    if policy["for_worst_qc"]:
        allowed = QC[: QC.index(policy["for_worst_qc"]) + 1]
        add(f"CONCAT(d.dataset_qc, '') IN ({', '.join(['%s'] * len(allowed))})", *allowed)
    if policy["smallest_size"]:
        add("d.file_size >= %s", policy["smallest_size"])
    if policy["largest_size"] is not None:
        add("d.file_size <= %s", policy["largest_size"])
    if policy["smallest_age"]:
        add("d.session_date <= %s", before(today, policy["smallest_age"]))
    return " AND ".join(said) or "1 = 1", values


def removable(policy: dict[str, Any], today: datetime.date) -> tuple[str, list[Any]]:
    """What a policy says of raw files that may be removed locally, as `condition`."""
    sql, values = condition(policy, today)
    keep = " AND ".join([f"d.rel_path NOT LIKE %s ESCAPE {_BAR}"] * len(KEEP))
    sql = f"({sql}) AND d.rel_path LIKE %s AND d.session_date <= %s AND {keep}"
    return sql, [*values, RAW, before(today, policy["keep_local"]), *KEEP]


def like(pattern: str) -> str:
    """A pattern with `*` and `?` as SQL's LIKE has it, with `|` before what counts as it is.

    >>> like("raw_*_data/*.ap.cbin")
    'raw|_%|_data/%.ap.cbin'
    """
    escaped = "".join(f"|{c}" if c in "|%_" else c for c in pattern)
    return escaped.replace("*", "%").replace("?", "_")


def listed(text: str) -> list[str]:
    """What stands between commas.

    >>> listed("a, b,"), listed("")
    (['a', 'b'], [])
    """
    return [part.strip() for part in text.split(",") if part.strip()]


def before(today: datetime.date, days: float) -> datetime.date:
    """The last date of sessions that are so old."""
    return today - datetime.timedelta(days=days)


_BAR = "'|'"
