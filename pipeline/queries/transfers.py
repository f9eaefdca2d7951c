"""What is where, what is on its way, what is late and what is stuck: for `neurojoint status`, the site and reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import datajoint as dj

from pipeline.schemas import data, transfer

STUCK = "9999-01-01"
"""When a file is tried again that was given up: see `exchange.transfers.states.NEVER`."""


@dataclass
class Copies:
    """The copies of one lab's datasets in one repository, and those on their way there.

    Attributes
    ----------
    files, size : copies that are online; byte
    waiting, under_way : files that are planned, or carried now
    late : files that should have been begun or finished by now
    failed : files that failed and will be tried again
    stuck : files that were given up: a person has to look at them
    oldest_check : UTC, when the copy was read whose last check is longest ago; None without copies
    """

    lab: str
    repository: str
    kind: str = ""
    archive: bool = False
    files: int = 0
    size: int = 0
    waiting: int = 0
    under_way: int = 0
    late: int = 0
    failed: int = 0
    stuck: int = 0
    oldest_check: Any = None


@dataclass
class Overview:
    """All repositories by lab, and the last problems in words."""

    copies: list[Copies] = field(default_factory=list)
    problems: list[dict[str, Any]] = field(default_factory=list)
    retrieved: int = 0
    freed: int = 0

    def total(self, name: str) -> int:
        """The sum of a count over all rows."""
        return sum(getattr(copy, name) for copy in self.copies)

    def line(self) -> str:
        """The state of all transfers in one line; empty where nothing is or was on its way."""
        parts = [
            (self.total("waiting"), "waiting"), (self.total("under_way"), "under way"), (self.total("late"), "late"),
            (self.total("failed"), "to be tried again"), (self.total("stuck"), "stuck"),
        ]  # fmt: skip
        said = ", ".join(f"{number:,} {word}" for number, word in parts if number)
        if not said:
            return ""
        remedy = ": neurojoint transfer status" if self.total("stuck") or self.total("late") else ""
        return f"transfers: {said}{remedy}"


def line(lab: str | None = None) -> str:
    """What is on its way, late or stuck, in one line; empty where nothing is."""
    return Overview(on_the_way(lab)).line()


def overview(lab: str | None = None, n_problems: int = 20) -> Overview:
    """What is where and what is on its way, of all labs or of one."""
    link = data.Dataset().connection
    dataset, record = data.Dataset().full_table_name, data.FileRecord().full_table_name
    in_lab, marks = ("", ()) if lab is None else (" WHERE d.lab = %s", (lab,))
    known = {row["repository"]: row for row in data.Repository().to_dicts()}
    archives = {row["repository"] for row in (transfer.Access & {"access_archive": True}).to_dicts()}
    copies: dict[tuple[str, str], Copies] = {}

    def row_of(lab_name: str, name: str) -> Copies:
        kind = known[name]["repository_kind"]
        return copies.setdefault((lab_name, name), Copies(lab_name, name, kind, name in archives))

    online = "AND r.file_state = 'online'" if in_lab else "WHERE r.file_state = 'online'"
    for lab_name, name, n_files, size, checked in link.query(
        f"SELECT d.lab, r.repository, count(*), sum(r.record_size), min(r.verified) FROM {record} AS r "
        f"JOIN {dataset} AS d ON d.dataset_id = r.dataset_id{in_lab} {online} GROUP BY d.lab, r.repository",
        marks,
    ).fetchall():
        row = row_of(lab_name, name)
        row.files, row.size, row.oldest_check = int(n_files), int(size), checked
    for item in on_the_way(lab):
        row = row_of(item.lab, item.repository)
        for name in ("waiting", "under_way", "late", "failed", "stuck"):
            setattr(row, name, getattr(item, name))
    result = Overview(sorted(copies.values(), key=lambda row: (row.lab, row.repository)))
    result.problems = _problems(link, lab, n_problems)
    result.retrieved, result.freed = len(transfer.Retrieval()), len(transfer.Freed())
    return result


def on_the_way(lab: str | None) -> list[Copies]:
    """Files that are planned, carried or failed, by lab and destination."""
    link = data.Dataset().connection
    dataset = data.Dataset().full_table_name
    one, item = transfer.Transfer().full_table_name, transfer.Transfer.Item().full_table_name
    in_lab, marks = ("", ()) if lab is None else (" AND d.lab = %s", (lab,))
    copies: dict[tuple[str, str], Copies] = {}
    for lab_name, name, state, stuck, late, n_files in link.query(
        f"SELECT d.lab, t.destination_repository, CONCAT(i.item_state, ''), i.item_due >= '{STUCK}', "
        f"i.item_due < {_NOW[link.adapter.backend]}, count(*) FROM {item} AS i "
        f"JOIN {one} AS t ON t.transfer_id = i.transfer_id JOIN {dataset} AS d ON d.dataset_id = i.dataset_id "
        f"WHERE i.item_state IN ('planned', 'submitted', 'arrived', 'failed'){in_lab} GROUP BY 1, 2, 3, 4, 5",
        marks,
    ).fetchall():
        row = copies.setdefault((lab_name, name), Copies(lab_name, name))
        if state == "failed":
            row.stuck += n_files if stuck else 0
            row.failed += 0 if stuck else n_files
        else:
            row.waiting += n_files if state == "planned" else 0
            row.under_way += n_files if state != "planned" else 0
            row.late += n_files if late else 0
    return list(copies.values())


def _problems(link: dj.Connection, lab: str | None, most: int) -> list[dict[str, Any]]:
    """The last files that failed, those that were given up first, and transfers that wait for a repository."""
    dataset = data.Dataset().full_table_name
    one, item = transfer.Transfer().full_table_name, transfer.Transfer.Item().full_table_name
    in_lab, marks = ("", ()) if lab is None else (" AND d.lab = %s", (lab,))
    rows = link.query(
        "SELECT t.transfer_id, t.source_repository, t.destination_repository, i.destination_path, i.item_message, "
        f"i.item_attempts, i.item_due >= '{STUCK}', d.lab FROM {item} AS i "
        f"JOIN {one} AS t ON t.transfer_id = i.transfer_id JOIN {dataset} AS d ON d.dataset_id = i.dataset_id "
        f"WHERE i.item_state = 'failed'{in_lab} ORDER BY i.item_due DESC, i.destination_path LIMIT {int(most)}",
        marks,
    ).fetchall()
    waiting = link.query(
        "SELECT t.transfer_id, t.source_repository, t.destination_repository, '', t.transfer_message, 0, 0, d.lab "
        f"FROM {item} AS i JOIN {one} AS t ON t.transfer_id = i.transfer_id "
        f"JOIN {dataset} AS d ON d.dataset_id = i.dataset_id WHERE i.item_state IN ('planned', 'submitted', 'arrived') "
        f"AND t.transfer_message <> ''{in_lab} GROUP BY 1, 2, 3, 5, 8 ORDER BY 8, 3, 1 LIMIT {int(most)}",
        marks,
    ).fetchall()
    names = ("transfer", "source", "destination", "path", "message", "attempts", "stuck", "lab")
    return [dict(zip(names, row, strict=True)) | {"stuck": bool(row[6])} for row in [*rows, *waiting]]


def copies_of(key: dict[str, Any]) -> list[dict[str, Any]]:
    """The copies of the datasets of a session: path, repository, state, size and when it was last read."""
    datasets = data.Dataset & {name: value for name, value in key.items() if name in data.Dataset.heading.names}
    query = datasets.proj("rel_path", "dataset_hash") * data.FileRecord
    names = ("rel_path", "repository", "file_state", "record_size", "verified")
    return query.proj(*names).to_dicts(order_by="rel_path, repository")


_NOW = {"postgresql": "(now() AT TIME ZONE 'UTC')", "mysql": "UTC_TIMESTAMP(6)"}
