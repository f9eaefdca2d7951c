"""Tags, QC outcomes, revisions and repositories: what a person decides about data, with a record of each decision."""

from __future__ import annotations

import getpass
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datajoint as dj

from one_bridge import query
from one_bridge.matching import QC_LEVELS
from pipeline import entry
from pipeline.alf import names
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns
from pipeline.errors import ConflictError, NotFoundError, UserError
from pipeline.schemas import data


def define_tag(
    name: str, protected: bool | None = None, public: bool | None = None, description: str | None = None
) -> None:
    """Make a tag, or change what is given of one that is there.

    Raises
    ------
    UserError : a name that cannot be part of a web address.
    """
    _check_name(name, "tag")
    given = {"tag_protected": protected, "tag_public": public, "tag_description": description}
    _define(data.Tag, {"tag": name}, given)


def tag(name: str, datasets: dj.Table) -> int:
    """Put datasets into a tag; returns how many were not in it.

    Raises
    ------
    NotFoundError : no such tag.
    """
    _known(name)
    new = datasets - (data.DatasetTag() & {"tag": name}).proj()
    rows = [{"dataset_id": row, "tag": name} for row in fetch_columns(new, "dataset_id")["dataset_id"].to_pylist()]
    registry.bind("audit")
    with new.connection.transaction:
        if rows:
            entry.write(data.DatasetTag, rows, user=getpass.getuser(), source="command")
        _record("tagged", name, f"{len(rows)} datasets")
    return len(rows)


def untag(name: str, datasets: dj.Table) -> int:
    """Take datasets out of a tag; returns how many were in it.

    Raises
    ------
    NotFoundError : no such tag.
    """
    _known(name)
    present = datasets & (data.DatasetTag() & {"tag": name}).proj()
    ids = fetch_columns(present, "dataset_id")["dataset_id"].to_pylist()
    registry.bind("audit")
    with present.connection.transaction:
        if ids:
            rows = [{"dataset_id": id_, "tag": name} for id_ in ids]
            entry.remove(data.DatasetTag, rows, user=getpass.getuser(), source="command", reason="untagged")
        _record("untagged", name, f"{len(ids)} datasets")
    return len(ids)


def tags() -> list[dict[str, Any]]:
    """All tags with the number of their datasets."""
    return _counted(data.Tag, "tag", data.DatasetTag)


def set_qc(rows: dj.Table, outcome: str) -> int:
    """Set the QC outcome of sessions (acquisition.Session) or datasets (data.Dataset); returns how many changed.

    Raises
    ------
    UserError : no such outcome.
    """
    if outcome not in QC_LEVELS:
        raise UserError(f"{outcome!r} is no QC outcome", f"it is one of {', '.join(QC_LEVELS)}")
    column = "dataset_qc" if "dataset_qc" in rows.heading.names else "session_qc"
    keys = (rows & f"{column} <> '{outcome}'").keys()
    registry.bind("audit")
    with rows.connection.transaction:
        changed = [key | {column: outcome} for key in keys]
        entry.write(type(rows), changed, user=getpass.getuser(), source="command", action="update")
        _record("qc", outcome, f"{len(keys)} rows of {'datasets' if column == 'dataset_qc' else 'sessions'}")
    return len(keys)


def define_revision(name: str, description: str | None = None) -> None:
    """Make a revision, or describe one that is there.

    Raises
    ------
    UserError : a name that cannot be the folder `#name#`.
    """
    _check_name(name, "revision")
    _define(data.Revision, {"revision": name}, {"revision_description": description})


def revisions() -> list[dict[str, Any]]:
    """All revisions with the number of their datasets."""
    return _counted(data.Revision, "revision", data.Dataset.proj(revision="dataset_revision"))


def remove_revision(name: str) -> None:
    """Forget a revision that no dataset has.

    Raises
    ------
    NotFoundError : no such revision.
    ConflictError : datasets have it.
    """
    n_datasets = {row["revision"]: row["n_datasets"] for row in revisions()}.get(name)
    if n_datasets:
        raise ConflictError(f"{n_datasets} datasets have the revision {name}", "delete their files and register again")
    _remove(data.Revision, "revision", name)


def define_repository(name: str, kind: str | None = None, root: str | None = None, host: str | None = None) -> None:
    """Make a repository, or change what is given of one that is there.

    Parameters
    ----------
    kind : local, http, s3 or globus; local by default.
    root : folder, address or bucket under which its files begin; needed for a new one.

    Raises
    ------
    UserError : a name that cannot be part of a web address, or a new repository without a root.
    """
    _check_name(name, "repository")
    given = {"repository_kind": kind, "repository_root": root, "repository_host": host}
    if not (data.Repository() & {"repository": name}):
        if root is None:
            raise NotFoundError(f"there is no repository {name!r}", "give --root to make it")
        given["repository_kind"] = kind or "local"
    if root is not None and given["repository_kind"] in ("local", None) and "://" not in root:
        given["repository_root"] = str(Path(root).resolve())
    _define(data.Repository, {"repository": name}, given)


def repositories() -> list[dict[str, Any]]:
    """All repositories with the number of datasets that have a copy there."""
    return _counted(data.Repository, "repository", data.FileRecord)


def remove_repository(name: str) -> None:
    """Forget a repository that holds no copies.

    Raises
    ------
    NotFoundError : no such repository.
    ConflictError : there are copies in it.
    """
    n_copies = {row["repository"]: row["n_datasets"] for row in repositories()}.get(name)
    if n_copies:
        raise ConflictError(
            f"{n_copies} files are recorded in the repository {name}", "delete them and register the rest again first"
        )
    _remove(data.Repository, "repository", name)


def choose(terms: Mapping[str, Any], of_sessions: bool = False) -> dj.Table:
    """Datasets, or sessions, by the terms of `query`; names count whole, and those that are None are left out.

    File names of datasets may be patterns, with `*` and `?`.

    Raises
    ------
    UserError : no term is given, which would mean everything, or a pattern that is none.
    """
    given = {name: value for name, value in terms.items() if value is not None}
    if not given:
        raise UserError("nothing is named", "say what: --session, --subject, --lab, --date, --name …")
    names_given = str(given.get("name", ""))
    if not of_sessions and ("*" in names_given or "?" in names_given):
        del given["name"]
        conditions = [_fits(pattern.strip()) for pattern in names_given.split(",")]
        return query.datasets(given, query.Reading("alyx")) & conditions
    return (query.sessions if of_sessions else query.datasets)(given, query.Reading("alyx"))


def _fits(pattern: str) -> str:
    """The restriction to datasets whose file name fits a pattern.

    >>> _fits("spikes_?.*")
    "rel_path LIKE 'spikes|__.%%' ESCAPE '|' OR rel_path LIKE '%%/spikes|__.%%' ESCAPE '|'"
    """
    if not re.fullmatch(r"[\w.*?#~-]+", pattern):
        raise UserError(f"{pattern!r} is no pattern of a file name", "write it as '*.ap.cbin'")
    like = pattern.replace("_", "|_").replace("*", "%%").replace("?", "_")
    return f"rel_path LIKE '{like}' ESCAPE '|' OR rel_path LIKE '%%/{like}' ESCAPE '|'"


def _check_name(name: str, what: str) -> None:
    try:
        names.check(name, what)
    except ValueError as error:
        raise UserError(str(error)) from None


def _define(table: type[dj.Table], key: dict[str, str], given: dict[str, Any]) -> None:
    """Make a row, or change what is given of it."""
    registry.bind("audit")  # ONE binds only the tables that it reads
    given = {column: value for column, value in given.items() if value is not None}
    known = bool(table() & key)
    with table().connection.transaction:
        entry.write(table, [key | given], user=getpass.getuser(), source="command")
        _record("changed" if known else "created", f"{table.__name__}/{next(iter(key.values()))}", str(given)[:1000])


def _counted(table: type[dj.Table], name: str, members: Any) -> list[dict[str, Any]]:
    """All rows with the number of datasets that belong to each."""
    counted = fetch_columns(dj.U(name).aggr(members, n_datasets="COUNT(dataset_id)"), name, "n_datasets")
    numbers = dict(zip(counted[name].to_pylist(), map(int, counted["n_datasets"].to_pylist()), strict=True))
    return [row | {"n_datasets": numbers.get(row[name], 0)} for row in table().to_dicts(order_by=name)]


def _remove(table: type[dj.Table], column: str, name: str) -> None:
    if not table() & query.one_of(column, [name]):
        known = ", ".join(query.vocabulary(table, column)) or "none"
        raise NotFoundError(f"there is no {column} {name!r}", f"there are: {known}")
    registry.bind("audit")
    entry.remove(table, [{column: name}], user=getpass.getuser(), source="command", reason="removed by hand")


def _known(name: str) -> None:
    if not (data.Tag() & {"tag": name}):
        known = ", ".join(query.vocabulary(data.Tag, "tag")) or "none"
        raise NotFoundError(f"there is no tag {name!r}", f"make it with `neurojoint tag define`; tags are: {known}")


def _record(action: str, path: str, detail: str) -> None:
    data.Change.record([data.ChangeNote(action, path, detail)])
