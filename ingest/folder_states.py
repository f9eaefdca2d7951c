"""The session folders as they are now and as they were registered: which are new, changed, missing, or withheld."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Any

import datajoint as dj

from ingest.files import away, scan
from ingest.files.scan import Folder, Problem, SessionKey
from ingest.parallel import Run
from ingest.rows.session_keys import SESSION
from pipeline.alf import dates, identity
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import data

RETRY = ""
"""Signature of a folder that has to be looked at again."""


def within(tree: scan.Layout, scope: str) -> scan.Layout:
    """The subject folders that hold, or lie in, the folder `scope` below the root."""
    if not scope:
        return tree
    related = [
        (name, path)
        for name, path in tree.subjects
        if f"{path}/".startswith(f"{scope}/") or f"{scope}/".startswith(f"{path}/")
    ]
    return scan.Layout(related, tree.problems)


def look(
    base: Path, tree: scan.Layout, scope: str, run: Run, tell: Callable[[str, int, int], None]
) -> tuple[dict[SessionKey, Folder], list[Problem]]:
    """All session folders as they are now, and what lies at wrong places."""
    by_key: dict[SessionKey, Folder] = {}
    problems = list(tree.problems)
    tasks = ((base, *subject) for subject in tree.subjects)
    total = len(tree.subjects)
    for done, (folders, wrong) in enumerate(run(scan.scan_subject, tasks), start=1):
        for one in folders:
            if one.key in by_key:
                detail = f"{by_key[one.key].path} is the same session"
                wrong.append(Problem(one.path, "bad_session_path", detail))
            else:
                by_key[one.key] = one
        problems += wrong
        tell("looking at subjects", done, total)
    if scope:
        by_key = {key: one for key, one in by_key.items() if f"{one.path}/".startswith(f"{scope}/")}
        problems = [problem for problem in problems if f"{problem.path}/".startswith(f"{scope}/")]
    return dict(sorted(by_key.items())), problems


def dated(
    folders: Mapping[SessionKey, Folder], known: Container[SessionKey]
) -> tuple[dict[SessionKey, Folder], list[Problem]]:
    """Without new sessions on days that have not come, or before there were computers: what is known stays."""
    wrong = {key: why for key in folders if key not in known and (why := dates.why_not_a_session(key.date))}
    problems = [Problem(folders[key].path, "bad_session_path", why) for key, why in wrong.items()]
    return {key: one for key, one in folders.items() if key not in wrong}, problems


def changed(
    folders: Mapping[SessionKey, Folder], known: Mapping[SessionKey, tuple[str, int]], zones: Mapping[str, str]
) -> list[Folder]:
    """The folders that are not as they were registered, or whose times were read in another time zone."""
    return [
        folder
        for key, folder in folders.items()
        if known.get(key, (RETRY, 0))[0] != scan.in_time_zone(folder.signature, zones.get(key.lab, "UTC"))
    ]


def scans(repository: str) -> dict[SessionKey, tuple[str, int]]:
    """Signature and number of files of each session as it was registered in this repository."""
    rows = fetch_columns(data.SessionScan & {"repository": repository}, *SESSION, "scan_signature", "scanned_files")
    columns = [rows[name].to_pylist() for name in rows.column_names]
    return {
        SessionKey(lab_name, subject, day.isoformat(), number): (signature, n_files)
        for lab_name, subject, day, number, signature, n_files in zip(*columns, strict=True)
    }


def missing(
    known: Mapping[SessionKey, tuple[str, int]], folders: Mapping[SessionKey, Folder], problems: list[Problem],
    scope: str, repository: str, connection: dj.Connection,
) -> dict[SessionKey, str]:  # fmt: skip
    """The registered sessions of which nothing is there any more, with their folders; not those in folders that cannot
    be read."""
    missing = [key for key, (_, n_files) in known.items() if n_files and key not in folders]
    if not missing:
        return {}
    hidden = tuple(f"{problem.path}/" for problem in problems if problem.reason in ("permission_denied", "read_error"))
    gone = {}
    for start in range(0, len(missing), 200):
        some = missing[start : start + 200]
        keys = [dict(zip(SESSION, key, strict=True)) for key in some]
        files = (data.Dataset & keys).proj(*SESSION, "rel_path") * (data.FileRecord & {"repository": repository})
        rows = fetch_columns(files, *SESSION, "rel_path", "file_path").to_pylist()
        paths: dict[tuple[Any, ...], dict[str, Any]] = {
            (row["lab"], row["subject"], str(row["session_date"]), row["session_number"]): row for row in rows
        }
        for key in some:
            row = paths.get(tuple(key))
            if row is None:
                gone[key] = identity.session_path(*key)
            elif not row["file_path"].startswith(hidden) and (not scope or row["file_path"].startswith(f"{scope}/")):
                gone[key] = "/".join(row["file_path"].split("/")[: -len(row["rel_path"].split("/"))])
    return gone


def withhold(
    repository: str, base: Path, known: Mapping[SessionKey, tuple[str, int]], folders: Mapping[SessionKey, Folder],
    changed: list[Folder], gone: Mapping[SessionKey, str], problems: list[Problem], scope: str, accept_missing: bool,
    dry_run: bool,
) -> away.Withheld:  # fmt: skip
    """Which sessions are left as they are, since their files are more likely away than deleted."""
    query = data.MountPoint & {"repository": repository}
    were = query.to_arrays("mount_path").tolist()
    absent = away.absent(base, were)
    if not dry_run:
        subjects = {item.path.rpartition("/")[0].rpartition("/")[0] for item in folders.values()}
        new = sorted(set(away.mounts(base, subjects)) - set(were))
        data.MountPoint.insert({"repository": repository, "mount_path": path} for path in new if len(path) <= 255)
        if accept_missing and absent:
            (query & [{"mount_path": path} for path in absent]).delete_quick()
    if accept_missing:
        return away.Withheld()
    losses = [away.Loss(key, path, known[key][1], known[key][1]) for key, path in gone.items()]
    for item in changed:
        before = known.get(item.key, ("", 0))[1]
        if item.n_files < before:
            losses.append(away.Loss(item.key, item.path, before, before - item.n_files))
    if not losses:
        return away.Withheld()
    looked_for = {key: n for key, (_, n) in known.items() if not scope or key in folders or key in gone}
    return away.withhold(looked_for, losses, problems, absent, base)


def only_lab(tree: scan.Layout) -> str | None:
    """The lab of a tree that holds one; None for a tree of several."""
    labs = {name for name, _ in tree.subjects}
    return labs.pop() if len(labs) == 1 else None
