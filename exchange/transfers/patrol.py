"""Copies are read again, oldest check first, so that rot is found; damaged ones are replaced from good ones."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exchange.transfers import ledger
from exchange.transfers.plan import plan_copies
from exchange.transfers.protocol import Backend, Found, Unavailable
from exchange.transfers.repositories import WRITABLE, Repository, repositories
from exchange.transfers.throttle import Throttle
from pipeline.database.bulk import fetch_columns
from pipeline.errors import NeurojointError, explain
from pipeline.schemas import data

GROUP = 200
DAMAGED = ".neurojoint-damaged"
"""Folder below the root of a local repository for files that are damaged; registration passes hidden folders by."""
LARGE_SHARE, FEW = 0.2, 3
"""More copies of a group gone at once than this share is taken for a disk that is not there: nothing is concluded."""


@dataclass
class Report:
    """What a patrol found.

    Attributes
    ----------
    verified, size : copies that are as they should be, and how much was read, byte
    damaged : path -> what is wrong
    gone : paths that are not there any more
    changed : local files, not of archives, that were written since they were registered: for `neurojoint ingest`
    problems : repositories that could not be read, with the reason; nothing was concluded from that
    to_repair : repository -> datasets whose copy is damaged
    repairs, no_good_copy : how many of these are planned to be replaced, and how many have no good copy anywhere
    """

    verified: int = 0
    size: int = 0
    damaged: dict[str, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    to_repair: dict[str, list[str]] = field(default_factory=dict)
    repairs: int = 0
    no_good_copy: int = 0


def verify(
    names: Sequence[str] = (),
    *,
    rate: float = 0.0,
    older_than: datetime.timedelta = datetime.timedelta(0),
    most: int | None = None,
    restriction: Any = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Read copies again, those first whose last check is longest ago.

    Parameters
    ----------
    names : repositories; by default all that can be reached without a recall from tape.
    rate : limit, 10^6 byte per s; 0 for none.
    older_than : only copies whose last check is so long ago.
    most : at most so many copies.
    restriction : of data.Dataset.
    progress : called with the bytes that were read and those there are.
    """
    known = repositories()
    for name in names:
        if name not in known:
            raise NeurojointError(f"there is no repository {name!r}", f"there are: {', '.join(known)}")
    chosen = [known[name] for name in names] or [value for value in known.values() if _can_be_read(value)]
    now = ledger.database_time()
    query = data.FileRecord & {"file_state": "online"} & [{"repository": item.name} for item in chosen]
    if older_than:
        query &= f"verified <= '{now - older_than}'"
    if restriction != ():
        query &= (data.Dataset & restriction).proj()
    rows = fetch_columns(query, order_by="verified, dataset_id").to_pylist() if chosen else []
    rows = rows[:most]
    total = sum(row["record_size"] for row in rows)
    report, throttle = Report(), Throttle(rate)

    def count(n_bytes: int) -> None:
        report.size += n_bytes
        progress(report.size, total)
        throttle(n_bytes)

    opened: dict[str, Backend | None] = {}
    for start in range(0, len(rows), GROUP):
        for item in chosen:
            some = [row for row in rows[start : start + GROUP] if row["repository"] == item.name]
            if some and opened.get(item.name, True) is not None:
                opened[item.name] = _examine(item, opened.get(item.name), some, report, count)
    for backend in opened.values():
        if backend is not None:
            backend.close()
    repair(report, known)
    return report


def _can_be_read(one: Repository) -> bool:
    """Whether its files can be read from here: not on tape, and not behind Globus alone."""
    return one.enabled and not one.offline and one.place.kind != "globus"


def repair(report: Report, known: dict[str, Repository]) -> None:
    """Plan to replace damaged copies from good ones."""
    for name, ids in report.to_repair.items():
        if known[name].place.kind in WRITABLE and known[name].enabled:
            for start in range(0, len(ids), 1_000):
                planned = plan_copies(ledger.in_list("dataset_id", ids[start : start + 1_000]), name, "repair")
                report.repairs += planned.files
                report.no_good_copy += planned.no_source


def examine(one: Repository, rows: Sequence[dict[str, Any]]) -> Report:
    """Read some copies of one repository again (rows of FileRecord) and conclude from that what may be concluded."""
    report = Report()
    backend = _examine(one, None, list(rows), report, lambda n: None)
    if backend is not None:
        backend.close()
    return report


def _examine(
    one: Repository, backend: Backend | None, rows: list[dict[str, Any]], report: Report, count: Callable[[int], None]
) -> Backend | None:
    """Read a group; None where the repository cannot be reached any more."""
    try:
        if backend is None:
            backend = one.open()
            backend.check()
        results = dict(backend.read([row["file_path"] for row in rows], count))
        gone = [row for row in rows if isinstance(results[row["file_path"]], FileNotFoundError)]
        if gone:
            backend.check()  # it may have gone away meanwhile
    except NeurojointError as error:
        report.problems.append(f"{one.name}: {explain(error)}")
        return None
    if len(gone) > max(FEW, LARGE_SHARE * len(rows)) or (len(gone) == len(rows) > 1):
        report.problems.append(
            f"{one.name}: {len(gone)} of {len(rows)} files are not there, e.g. {gone[0]['file_path']}: its disk is "
            "probably not mounted, so nothing was marked missing"
        )
        return None
    now = ledger.database_time()
    good, damaged, why = [], [], {}
    times: dict[str, int] = {}
    for row in rows:
        path, what = row["file_path"], results[row["file_path"]]
        if isinstance(what, Unavailable):
            report.problems.append(f"{one.name}: {explain(what)}")
            return None
        if isinstance(what, FileNotFoundError):
            continue
        if isinstance(what, Exception):
            report.problems.append(f"{one.name}: {path}: {explain(what)}")
        elif (what.md5, what.size) == (row["record_hash"], row["record_size"]):
            good.append((row["dataset_id"], path, what))
            if what.modified_ns != row["modified_ns"]:
                times[row["dataset_id"]] = what.modified_ns
        elif one.place.kind == "local" and not one.archive and what.modified_ns != row["modified_ns"]:
            report.changed.append(f"{one.name}:{path}")
        else:
            damaged.append(row)
            report.to_repair.setdefault(one.name, []).append(row["dataset_id"])
            why[row["dataset_id"]] = f"{what.how}: md5 {what.md5}, {what.size} of {row['record_size']} byte"
            report.damaged[f"{one.name}:{path}"] = why[row["dataset_id"]]
    _write_verified(one.name, good, times, now)
    if one.place.kind == "local":
        for row in damaged:
            why[row["dataset_id"]] += f"; moved to {set_aside(Path(one.place.root), row['file_path'])}"
    ledger.lose(one.name, damaged, "damaged", why, now)
    ledger.lose(one.name, gone, "deleted", {row["dataset_id"]: "found gone by a check" for row in gone}, now)
    report.gone += [f"{one.name}:{row['file_path']}" for row in gone]
    report.verified += len(good)
    return backend


def set_aside(root: Path, path: str) -> str:
    """Move a damaged file out of the tree, where registration would take it for a new version; returns where to."""
    aside = root / DAMAGED / path
    aside.parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while aside.exists():
        number += 1
        aside = aside.with_name(f"{Path(path).name}.{number}")
    (root / path).rename(aside)
    return aside.relative_to(root).as_posix()


def _write_verified(
    repository: str, good: list[tuple[str, str, Found]], times: dict[str, int], now: datetime.datetime
) -> None:
    """Write the time of the check, unless the record was changed meanwhile, and times of change that are others."""
    link = ledger.connection()
    name = data.FileRecord().full_table_name
    for start in range(0, len(good), 1_000):
        some = good[start : start + 1_000]
        ids = ledger.in_list("dataset_id", [item[0] for item in some])
        hashes = ", ".join(f"'{item[2].md5}'" for item in some)
        link.query(
            f"UPDATE {name} SET verified = %s WHERE repository = %s AND {ids} AND record_hash IN ({hashes})",
            (now, repository),
        )
    for dataset_id, modified_ns in times.items():
        link.query(
            f"UPDATE {name} SET modified_ns = %s WHERE repository = %s AND dataset_id = %s AND verified = %s",
            (modified_ns, repository, dataset_id, now),
        )
