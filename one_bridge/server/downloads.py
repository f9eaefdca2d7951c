"""What programs report of their downloads, and how far the copies of files are."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from one_bridge.server import values
from one_bridge.server.endpoint_model import BadInput, Refused, table
from one_bridge.server.query.parse import LONGEST_LIST
from one_bridge.server.record_hooks import value_of
from one_bridge.server.writing import SOURCE, Writer
from pipeline import entry
from pipeline.entry.fields import Field
from pipeline.web.accounts import Account
from pipeline.web.threads import Database

_DATASET = Field("dataset", "uuid")


def count(writer: Writer, body: Mapping[str, Any], account: Account) -> list[dict[str, Any]]:
    """Count downloads that a program reports.

    Parameters
    ----------
    writer : of the server.
    body : `dataset`, or `datasets` (a list, or text with commas); `user` (by default who asks) and `projects`.
    account : who asks.

    Returns
    -------
    list of dict
        Keys of `data.Download`.

    Raises
    ------
    BadInput
        No dataset is named, or one that there is not.
    Refused
        A member reports for somebody else.
    """
    given = body.get("datasets", body.get("dataset"))
    listed = given.split(",") if isinstance(given, str) else given if isinstance(given, list) else [given]
    if not given or len(listed) > LONGEST_LIST:
        raise BadInput("dataset", f"Name a dataset, or up to {LONGEST_LIST} in a list.")
    user = str(body.get("user") or account.name)
    if user != account.name and not account.may("manager"):
        raise Refused("Downloads of another person are reported by managers.")
    projects = body.get("projects") or []
    projects = projects.split(",") if isinstance(projects, str) else projects
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    ids = list(dict.fromkeys(value_of(_DATASET, item, "dataset") for item in listed))
    origin: dict[str, Any] = {"user": account.name, "source": SOURCE}
    with writer.database.writing():
        keys = [{"dataset_id": id_, "download_user": user} for id_ in ids]
        there = table("data.Download") & values.key_condition(
            ("dataset_id", "download_user"), keys, writer.database.backend
        )
        known = {row["dataset_id"]: row["download_count"] for row in writer.database.select(there)}
        first = {id_: {} if id_ in known else {"first_download": now} for id_ in ids}
        rows = [
            key | first[key["dataset_id"]]
            | {"last_download": now, "download_count": known.get(key["dataset_id"], 0) + 1}
            for key in keys
        ]  # fmt: skip
        try:
            entry.write("data.Download", rows, **origin)
            more = [key | {"project": str(project)} for key in keys for project in projects]
            if more:
                entry.write("data.Download.Project", more, **origin)
        except entry.InvalidEntry as error:
            names = {"dataset_id": "dataset", "download_user": "user", "project": "projects"}
            raise BadInput(names.get(error.errors[0].column, "dataset"), error.errors[0].message) from error
    return keys


def sync_status(database: Database) -> dict[str, Any]:
    """How many datasets have a copy that is there, and how many registered copies are not there (yet)."""
    repositories = [
        {"data_repository": name, "exists": there, "missing": away}
        for name, there, away in database.execute(
            "SELECT repository, SUM(CASE WHEN file_state = 'online' THEN 1 ELSE 0 END), "
            "SUM(CASE WHEN file_state = 'online' THEN 0 ELSE 1 END) "
            f"FROM {table('data.FileRecord')().full_table_name} GROUP BY repository ORDER BY repository"
        )
    ]
    for repository in repositories:
        repository |= {"exists": int(repository["exists"]), "missing": int(repository["missing"])}
    datasets = database.count(table("data.Dataset") & {"dataset_online": False})
    return {"datasets_without_a_copy": datasets, "results": repositories}
