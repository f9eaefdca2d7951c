"""Sets of datasets (tags) and QC outcomes: what a person decides about data, with a record of each decision."""

from __future__ import annotations

import datetime
import getpass
import re
import uuid
from collections.abc import Mapping
from typing import Any

import datajoint as dj

from one_bridge import query
from one_bridge.matching import QC_LEVELS
from pipeline.database.bulk import fetch_columns, insert_many
from pipeline.errors import NeurojointError
from pipeline.schemas import data


def define_tag(
    name: str, protected: bool | None = None, public: bool | None = None, description: str | None = None
) -> None:
    """Make a tag, or change what is given of one that is there.

    Raises
    ------
    NeurojointError : a name that cannot be part of a web address.
    """
    if not re.fullmatch(r"[\w.-]{1,128}", name):
        raise NeurojointError(f"{name!r} cannot be a tag", "use letters, digits and _ . -")
    given = {"tag_protected": protected, "tag_public": public, "tag_description": description}
    given = {column: value for column, value in given.items() if value is not None}
    data.Tag.insert1({"tag": name}, skip_duplicates=True)
    if given:
        data.Tag.update1({"tag": name} | given)


def tag(name: str, datasets: dj.Table) -> int:
    """Put datasets into a tag; returns how many were not in it.

    Raises
    ------
    NeurojointError : no such tag.
    """
    _known(name)
    new = datasets - (data.DatasetTag() & {"tag": name}).proj()
    ids = fetch_columns(new, "dataset_id")["dataset_id"]
    with new.connection.transaction:
        insert_many(data.DatasetTag, {"dataset_id": ids, "tag": name}, on_duplicate="skip")
        _record("tagged", name, f"{len(ids)} datasets")
    return len(ids)


def untag(name: str, datasets: dj.Table) -> int:
    """Take datasets out of a tag; returns how many were in it.

    Raises
    ------
    NeurojointError : no such tag.
    """
    _known(name)
    present = datasets & (data.DatasetTag() & {"tag": name}).proj()
    ids = fetch_columns(present, "dataset_id")["dataset_id"].to_pylist()
    with present.connection.transaction:
        if ids:
            (data.DatasetTag() & {"tag": name} & query.one_of("dataset_id", ids)).delete_quick()
        _record("untagged", name, f"{len(ids)} datasets")
    return len(ids)


def tags() -> list[dict[str, Any]]:
    """All tags with the number of their datasets."""
    counted = fetch_columns(dj.U("tag").aggr(data.DatasetTag(), n_datasets="COUNT(dataset_id)"), "tag", "n_datasets")
    numbers = dict(zip(counted["tag"].to_pylist(), map(int, counted["n_datasets"].to_pylist()), strict=True))
    return [row | {"n_datasets": numbers.get(row["tag"], 0)} for row in data.Tag().to_dicts(order_by="tag")]


def set_qc(rows: dj.Table, outcome: str) -> int:
    """Set the QC outcome of sessions (acquisition.Session) or datasets (data.Dataset); returns how many changed.

    Raises
    ------
    NeurojointError : no such outcome.
    """
    if outcome not in QC_LEVELS:
        raise NeurojointError(f"{outcome!r} is no QC outcome", f"it is one of {', '.join(QC_LEVELS)}")
    column = "dataset_qc" if "dataset_qc" in rows.heading.names else "session_qc"
    changed = rows & f"{column} <> '{outcome}'"
    keys = changed.keys()
    table = type(rows)()
    with rows.connection.transaction:
        for key in keys:
            table.update1(key | {column: outcome})
        _record("qc", outcome, f"{len(keys)} rows of {'datasets' if column == 'dataset_qc' else 'sessions'}")
    return len(keys)


def choose(terms: Mapping[str, Any], of_sessions: bool = False) -> dj.Table:
    """Datasets, or sessions, by the terms of `query`; names count whole, and those that are None are left out.

    Raises
    ------
    NeurojointError : no term is given, which would mean everything.
    """
    given = {name: value for name, value in terms.items() if value is not None}
    if not given:
        raise NeurojointError("nothing is named", "say what: --session, --subject, --lab, --date, --name …")
    return (query.sessions if of_sessions else query.datasets)(given, query.Reading("alyx"))


def _known(name: str) -> None:
    if not (data.Tag() & {"tag": name}):
        known = ", ".join(query.vocabulary(data.Tag, "tag")) or "none"
        raise NeurojointError(f"there is no tag {name!r}", f"make it with `neurojoint tag define`; tags are: {known}")


def _record(action: str, path: str, detail: str) -> None:
    data.Change.insert1(
        {
            "change_id": str(uuid.uuid4()),
            "change_time": datetime.datetime.now(datetime.UTC).replace(tzinfo=None),
            "change_action": action,
            "change_path": path,
            "change_detail": detail,
            "change_user": getpass.getuser()[:64],
        }
    )
