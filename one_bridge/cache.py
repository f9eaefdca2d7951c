"""The client's cache tables, made from the database: what `one.api.One(cache_dir=root)` reads in its local mode."""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from one_bridge import frames, query
from one_bridge.matching import Reading, vocabulary
from pipeline import policy
from pipeline.errors import NotFoundError
from pipeline.schemas import acquisition, data
from pipeline.unfinished import unfinished

Served = Callable[[Iterable[str]], Mapping[str, tuple[str, int]]]

ORIGIN = "neurojoint"
"""Where tables come from, as the client records it."""

OLDEST_CLIENT = "2.10.0"
"""The first version of ONE-api that reads tables with QC and default revisions."""


def export(
    folder: str | Path, tag: str | None = None, served: Served | None = None, public: bool = False
) -> list[Path]:
    """Write `sessions.pqt`, `datasets.pqt`, `insertions.pqt` and `cache_info.json`; each file is whole or the old one.

    Parameters
    ----------
    folder : of the tables, made if it is missing; the data root, if the client is to find the files too.
    tag : only the datasets of this tag, their sessions and insertions.
    served : from datasets to hash and size of those that a server sends in another form than they are stored in.
    public : as they may leave: without animals under embargo, under the names of the policy.

    Returns
    -------
    The files.

    Raises
    ------
    NeurojointError : no such tag.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    marks = info(tag)
    exported = tables(tag, marks, served, policy.current() if public else None)
    marks["tables"] = {f"{name}.pqt": {"nrecs": table.num_rows} for name, table in exported.items()}
    with contextlib.ExitStack() as written:
        files = [
            written.enter_context(
                _replacing(folder / f"{name}.pqt", lambda file, table=table: pq.write_table(table, file))
            )
            for name, table in exported.items()
        ]
        text = json.dumps(marks, indent=1)
        files.append(
            written.enter_context(_replacing(folder / "cache_info.json", lambda file: Path(file).write_text(text)))
        )
    return files


def tables(
    tag: str | None = None,
    marks: dict[str, Any] | None = None,
    served: Served | None = None,
    rules: policy.Policy | None = None,
) -> dict[str, pa.Table]:
    """The tables as of one moment: name -> table with the types and marks that the client expects.

    Raises
    ------
    NeurojointError : no such tag.
    """
    marks = marks or info(tag)
    reading = Reading(tag=tag)
    with _one_moment():
        sessions = query.session_rows(query.sessions(reading=reading)).sort_by("eid")
        datasets = query.dataset_rows(query.datasets(reading=reading))
        insertions = query.insertion_rows(query.insertions(reading=reading))
        datasets = datasets if served is None else _as_served(datasets, served)
    rows = {"sessions": sessions, "datasets": datasets, "insertions": insertions}
    rows = rows if rules is None else _as_they_leave(rows, rules)
    return {name: _readable(frames.table(name, table_rows, marks)) for name, table_rows in rows.items()}


def info(tag: str | None = None) -> dict[str, Any]:
    """What the client wants to know of the tables: `cache_info.json` and `/cache/info`.

    Raises
    ------
    NeurojointError : no such tag.
    """
    if tag is not None and not (data.Tag() & {"tag": tag}):
        known = ", ".join(vocabulary(data.Tag, "tag")) or "none"
        raise NotFoundError(f"there is no tag {tag!r}", f"tags are: {known}")
    now = datetime.datetime.now().isoformat(sep=" ", timespec="minutes")
    marks = {"date_created": now, "origin": ORIGIN, "min_api_version": OLDEST_CLIENT}
    return marks | ({"database_tags": [tag]} if tag else {})


def _as_they_leave(rows: dict[str, pa.Table], rules: policy.Policy) -> dict[str, pa.Table]:
    """The tables under the names of the policy, without animals under embargo."""
    sessions = [row for row in rows["sessions"].to_pylist() if (row["lab"], row["subject"]) not in rules.embargoed]
    shown = [
        row
        | {
            "subject": rules.subject(row["lab"], row["subject"]),
            "date": rules.day(row["lab"], row["subject"], row["date"]),
        }
        for row in sessions
    ]
    eids = pa.array([row["eid"] for row in sessions], pa.string())
    rest = {name: rows[name].filter(pc.is_in(rows[name]["eid"], eids)) for name in rows if name != "sessions"}
    return {"sessions": pa.Table.from_pylist(shown, schema=rows["sessions"].schema)} | rest


def _as_served(datasets: pa.Table, served: Served) -> pa.Table:
    """The datasets with hash and size of what a server sends for them."""
    paths, ids = (datasets[name].to_pylist() for name in ("rel_path", "id"))
    forms = served([one for one, path in zip(ids, paths, strict=True) if path.endswith(".pqt")])
    for place, name in enumerate(("hash", "file_size")) if forms else ():
        values = [
            forms[one][place] if one in forms else v for one, v in zip(ids, datasets[name].to_pylist(), strict=True)
        ]
        column = datasets.column_names.index(name)
        datasets = datasets.set_column(column, name, pa.array(values, datasets[name].type))
    return datasets


def _readable(table: pa.Table) -> pa.Table:
    """Without rows a parquet file forgets the categories of QC, and the client fails on them: plain text then."""
    if table.num_rows or "qc" not in table.column_names:
        return table
    place = table.column_names.index("qc")
    return table.set_column(place, "qc", pa.array([], pa.string()))


@contextlib.contextmanager
def _one_moment() -> Iterator[None]:
    """Queries inside see the rows of one moment, whatever is written meanwhile."""
    connection = acquisition.Session().connection
    if connection.in_transaction:
        yield
        return
    with connection.transaction:
        if connection.adapter.backend == "postgresql":
            connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


@contextlib.contextmanager
def _replacing(path: Path, write: Any) -> Iterator[Path]:
    """Write beside a file at once; take its place at the end if nothing went wrong."""
    with unfinished(path) as partial:
        write(str(partial))
        partial.chmod(0o644)
        yield path
        partial.replace(path)
