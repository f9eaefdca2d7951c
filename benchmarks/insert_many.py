"""Claim: `insert_many` puts trials into PostgreSQL at least 5 times as fast as DataJoint's own insert.

Both insert the same 100,000 rows of behavior.TrialSet.Trial into the embedded database, in turns, in one transaction
each that is rolled back; DataJoint runs as it is shipped, without this project's patches. The same for reading.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import time

import datajoint as dj
import numpy as np
from datajoint.expression import QueryExpression
from datajoint.heading import Heading

SHIPPED = {(Heading, "attributes"): Heading.attributes, (QueryExpression, "to_dicts"): QueryExpression.to_dicts}

import pipeline  # noqa: E402 - it patches what SHIPPED holds
from benchmarks.own_home import own_home  # noqa: E402
from pipeline import acquisition, behavior, lab, subject  # noqa: E402
from pipeline.alf import columns as alf  # noqa: E402
from pipeline.database.bulk import fetch_columns, insert_many  # noqa: E402

CLAIMED_RATIO = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with own_home():
        _measure(pipeline.connect(), options.rows, options.repeats)


def _measure(connection: dj.Connection, n_rows: int, repeats: int) -> None:
    key = _session()
    columns = _trials(n_rows)
    names = list(columns)
    rows = [key | dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    ours = {name: [np.nan if v is None else v for v in values] for name, values in columns.items()}
    table = behavior.TrialSet.Trial
    _report(
        "insert",
        lambda: _rolled_back(connection, lambda: insert_many(table, key | ours)),
        lambda: _rolled_back(connection, lambda: _as_shipped(lambda: table.insert(rows))),
        n_rows,
        repeats,
    )
    insert_many(table, key | ours)
    _report(
        "fetch",
        lambda: _timed(lambda: fetch_columns(table)),
        lambda: _timed(lambda: _as_shipped(lambda: table.to_dicts())),
        n_rows,
        repeats,
    )


def _report(what: str, ours, peer, n_rows: int, repeats: int) -> None:
    pairs = [(ours(), peer()) for _ in range(repeats)]
    own, other = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"{what} of {n_rows:,} trials with {len(alf.TRIALS)} columns (medians of {repeats}, in turns)")
    print(f"  neurojoint  {own:7.2f} s  {n_rows / own:10,.0f} rows/s")
    print(f"  DataJoint   {other:7.2f} s  {n_rows / other:10,.0f} rows/s")
    verdict = f" (claimed: {CLAIMED_RATIO})" if what == "insert" else ""
    print(f"  ratio       {other / own:7.1f}{verdict}")


def _timed(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _rolled_back(connection: dj.Connection, call) -> float:
    """Seconds that the call takes in a transaction that is then undone."""
    connection.start_transaction()
    try:
        return _timed(call)
    finally:
        connection.cancel_transaction()


def _as_shipped(call) -> None:
    patched = {(owner, name): getattr(owner, name) for owner, name in SHIPPED}
    for (owner, name), value in SHIPPED.items():
        setattr(owner, name, value)
    try:
        call()
    finally:
        for (owner, name), value in patched.items():
            setattr(owner, name, value)


def _session() -> dict:
    lab.Lab.insert1({"lab": "lab"})
    uuid = "00000000-0000-4000-8000-00000000000%d"
    subject.Subject.insert1({"lab": "lab", "subject": "mouse", "subject_uuid": uuid % 1})
    key = {"lab": "lab", "subject": "mouse", "session_date": datetime.date(2026, 1, 5), "session_number": 1}
    acquisition.Session.insert1(key | {"eid": uuid % 2})
    lists = {name: [] for name in ("columns_present", "columns_absent", "columns_other")} | {"columns_refused": {}}
    key |= {"task_collection": "alf"}
    acquisition.SessionTask.insert1(key | {"task_number": 0})
    row = {"trials_fingerprint": "0" * 32, "n_trials": 0, "trials_complete": False}
    behavior.TrialSet.insert1(key | lists | row, allow_direct_insert=True)
    return key


def _trials(n_rows: int) -> dict[str, list]:
    """Realistic columns as Python lists: times with 17 digits, contrasts absent on one side."""
    random = np.random.default_rng(0)
    columns: dict[str, list] = {"trial_id": list(range(n_rows))}
    start = np.cumsum(random.uniform(3, 8, n_rows))
    for column in alf.TRIALS:
        if column.kind == "bool":
            values = (random.random(n_rows) < 0.9).tolist()
        elif column.values:
            values = random.choice(column.values, n_rows).astype(int).tolist()
        elif column.ordered:
            values = (start + random.uniform(0, 3, n_rows)).tolist()
        elif column.name.startswith("contrast"):
            values = [None if r < 0.5 else 0.125 for r in random.random(n_rows)]
        else:
            values = random.integers(0, 5, n_rows).tolist()
        columns[column.name] = values
    return columns


if __name__ == "__main__":
    main()
