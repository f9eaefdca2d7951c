"""The layout of a data root: decided once, kept in data.RepositoryLayout, and where single sessions differ from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ingest.files import scan
from ingest.files.scan import Folder, Layout, Problem, SessionKey
from ingest.rows.session_keys import SESSION, keys_of, session_key
from pipeline.database.bulk import fetch_columns
from pipeline.errors import NeurojointError
from pipeline.schemas import data, lab, subject


def decided(repository: str) -> tuple[str | None, str | None]:
    """The layout of a repository, one of `scan.LAYOUTS`, and its lab; None where it was not decided yet."""
    rows = (data.RepositoryLayout & {"repository": repository}).to_dicts()
    return (rows[0]["layout"], rows[0]["layout_lab"] or None) if rows else (None, None)


def decide(repository: str, tree: Layout, lab_name: str | None) -> None:
    """Keep the layout of a root that was looked at."""
    labs = {name for name, _ in tree.subjects}
    one_lab = tree.kind != "labs" and (lab_name or (labs.pop() if len(labs) == 1 else None))
    row = {"repository": repository, "layout": tree.kind, "layout_lab": one_lab or ""}
    data.RepositoryLayout.insert1(row, replace=False, skip_duplicates=True)
    data.RepositoryLayout.update1(row)


def check_lab(base: Path, tree: Layout) -> None:
    """Refuse to name a new lab after a root whose animals another lab has.

    Raises
    ------
    NeurojointError
        Nobody named the lab, the root is named like none, and one of its subjects is known elsewhere.
    """
    if not tree.is_lab_assumed or not tree.subjects:
        return
    assumed = tree.subjects[0][0]
    if lab.Lab & {"lab": assumed}:
        return
    names = {path.rpartition("/")[2] for _, path in tree.subjects}
    known = fetch_columns(subject.Subject, "lab", "subject").to_pylist()
    other = next((row for row in known if row["subject"] in names), None)
    if other is not None:
        raise NeurojointError(
            f"{base} has a folder Subjects and no lab is named {assumed}, but {other['subject']} is a subject of the "
            f"lab {other['lab']}",
            f"name the lab: `neurojoint ingest {base} --lab {other['lab']}`",
        )


def with_registered_places(
    repository: str,
    base: Path,
    known: Mapping[SessionKey, tuple[str, int]],
    folders: Mapping[SessionKey, Folder],
    problems: list[Problem],
    scope: str,
) -> tuple[dict[SessionKey, Folder], list[Problem]]:
    """Add the sessions that were registered in a folder where the layout of the root does not look.

    A rig may register a session over HTTP wherever below the root its folder is; there it stays.
    """
    missing = [key for key, (_, n_files) in known.items() if n_files and key not in folders]
    places = registered_places(repository, missing)
    more = {}
    for key, path in places.items():
        if (base / path).is_dir() and (not scope or f"{path}/".startswith(f"{scope}/")):
            files, wrong = scan.list_files(base, path)
            if files or wrong:
                more[key] = scan.summary(key, path, files, wrong)
    if not more:
        return dict(folders), problems
    there = {item.path for item in more.values()}
    return dict(sorted((dict(folders) | more).items())), [problem for problem in problems if problem.path not in there]


def registered_places(repository: str, keys: list[SessionKey]) -> dict[SessionKey, str]:
    """The folders of sessions below the root of a repository, as their file records have them."""
    places: dict[SessionKey, str] = {}
    for start in range(0, len(keys), 200):
        datasets = (data.Dataset & keys_of(keys[start : start + 200])).proj(*SESSION, "rel_path")
        records = (data.FileRecord & {"repository": repository}).proj("file_path", "file_state")
        for row in fetch_columns(datasets * records, *SESSION, "rel_path", "file_path", "file_state").to_pylist():
            key = session_key(row)
            if key not in places or row["file_state"] == "online":
                places[key] = folder_of(row["file_path"], row["rel_path"])
    return places


def folder_of(file_path: str, rel_path: str) -> str:
    """The session folder of a file, whatever animal and date it names.

    >>> folder_of("lab/Subjects/m1/2020-01-01/001/alf/a.b.0f5c.npy", "alf/a.b.npy")
    'lab/Subjects/m1/2020-01-01/001'
    """
    return "/".join(file_path.split("/")[: -len(rel_path.split("/"))])
