"""The one way to delete rows: keys first, then the cascade, with an audit row for each table that lost rows."""

from __future__ import annotations

import datajoint as dj

from pipeline.database import registry
from pipeline.database.bulk import fetch_columns
from pipeline.database.references import has_dependent_rows

data = registry.tables_of("data")


def preview(query: dj.Table, keep_master: bool = False) -> dict[str, int]:
    """How many rows of each table would go with the rows of `query`: table name -> count, without zeros.

    Raises
    ------
    datajoint.DataJointError : `query` is not a table, restricted or not.
    """
    rows = _by_keys(query)
    if rows is None:
        return {}
    if goes_alone(rows, keep_master):
        return {registry.label(type(rows)): len(rows)}
    counts = dj.Diagram.cascade(rows, part_integrity=integrity(keep_master)).counts()
    return {_people_name(name): count for name, count in counts.items() if count}


def going(query: dj.Table, table: type[dj.Table]) -> dj.Table | None:
    """The rows of a table that would go with the rows of `query`; None where none can."""
    rows = _by_keys(query)
    if rows is None or goes_alone(rows):
        return None
    name = table().full_table_name
    return next((part for part in dj.Diagram.cascade(rows) if part.full_table_name == name), None)


def delete(query: dj.Table, reason: str, user: str = "", keep_master: bool = False) -> dict[str, int]:
    """Delete the rows of `query` and all dependent rows, in one transaction (the open one if there is one).

    Parameters
    ----------
    query : a table restricted in any way that DataJoint knows; the keys are read first, so that neither a restriction
        by a descendant nor one by an expression can delete other rows than those it selects.
    reason : goes into data.Change.
    user : who deletes; by default the account that runs this program.
    keep_master : where rows of a part table go, their masters stay.

    Returns
    -------
    Table name -> rows deleted.
    """
    rows = _by_keys(query)
    if rows is None:
        return {}
    counts = preview(query, keep_master)
    if rows.connection.in_transaction:
        _delete(rows, counts, reason, user, keep_master)
    else:
        with rows.connection.transaction:
            _delete(rows, counts, reason, user, keep_master)
    return counts


def goes_alone(rows: dj.Table, keep_master: bool = False) -> bool:
    """Whether a table has no dependent tables: then DataJoint need not read which tables depend on which."""
    return (keep_master or not isinstance(rows, dj.Part)) and not has_dependent_rows(rows)


def integrity(keep_master: bool) -> str:
    """DataJoint's word for what happens to the masters of deleted part rows."""
    return "ignore" if keep_master else "cascade"


def _by_keys(query: dj.Table) -> dj.Table | None:
    """The same rows selected by their keys; None where there are none."""
    query = query() if isinstance(query, type) else query
    if not isinstance(query, dj.Table):
        raise dj.DataJointError("only rows of a table can be deleted, not of a join or a projection")
    keys = query.keys()
    return type(query)() & keys if keys else None


def _delete(rows: dj.Table, counts: dict[str, int], reason: str, user: str, keep_master: bool) -> None:
    affected = _left_by_copies(rows, counts)
    if goes_alone(rows, keep_master):
        rows.delete_quick()
    else:
        rows.delete(prompt=False, part_integrity=integrity(keep_master))
    if affected is not None:
        data.note_online(affected)
    data.Change.record(
        (data.ChangeNote("removed", table, f"{count} rows: {reason}") for table, count in counts.items()), user
    )


def _left_by_copies(rows: dj.Table, counts: dict[str, int]) -> dj.Table | None:
    """The datasets that stay while some of their copies go, or more; None where no copy goes."""
    if "data.FileRecord" not in counts:
        return None
    if not isinstance(rows, data.FileRecord):
        return data.Dataset()
    return data.Dataset() & [{"dataset_id": row} for row in fetch_columns(rows, "dataset_id")["dataset_id"].to_pylist()]


def _people_name(full_table_name: str) -> str:
    for table in registry.tables():
        for part in (table, *registry.parts(table)):
            if part.full_table_name == full_table_name:
                return registry.label(part)
    return full_table_name
