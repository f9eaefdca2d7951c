"""Folders under another name than the session they hold: renamed in the tables, or renamed on the disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ingest.files.report import Report
from ingest.files.scan import Folder, Problem, SessionKey
from ingest.rows.layouts import registered_places
from ingest.rows.session_keys import SESSION, keys_of, session_key
from pipeline.alf import identity
from pipeline.database.bulk import fetch_columns
from pipeline.entry.former_names import Former
from pipeline.schemas import data, subject

SHARE = 0.9
"""A new folder that holds at least this share of the files of a session that is gone is that session."""


def under_current_keys(
    folders: Mapping[SessionKey, Folder], former: Former
) -> tuple[dict[SessionKey, Folder], list[Problem]]:
    """The folders under the keys that their sessions have now; of two folders of one session the second is a problem.

    Parameters
    ----------
    folders
        Session as the folder names it -> the folder.
    former
        What was renamed, merged and moved.
    """
    current: dict[SessionKey, Folder] = {}
    problems = []
    for key, folder in sorted(folders.items(), key=lambda item: SessionKey(*former.session(item[0])) != item[0]):
        now = SessionKey(*former.session(key))
        if now in current:
            detail = f"{current[now].path} is the same session"
            problems.append(Problem(folder.path, "bad_session_path", detail))
        else:
            current[now] = folder._replace(key=now)
    return dict(sorted(current.items())), problems


class RenamedFolders:
    """Finds new folders that hold the files of sessions whose own folders are gone.

    Parameters
    ----------
    repository, base
        Name of the repository, and where it is.
    missing
        Registered sessions of which no folder was found; those whose folder was not looked for are left out here.
    sessions
        The sessions whose folders were found.
    """

    def __init__(
        self, repository: str, base: Path, missing: Iterable[SessionKey], sessions: Iterable[SessionKey]
    ) -> None:
        places = registered_places(repository, sorted(missing))
        self._gone = sorted(key for key, path in places.items() if not (base / path).is_dir())
        self._animals = {key[:2] for key in sessions}
        self._sessions: dict[str, set[SessionKey]] | None = None

    def hold_back(
        self, reports: Sequence[Report], registered: Mapping[SessionKey, object]
    ) -> tuple[list[Report], list[Problem]]:
        """The reports to register, and what is said of the others: each names the command that settles it."""
        kept, problems = [], []
        for report in reports:
            original = None if report.folder.key in registered else self._original(report)
            if original is None:
                kept.append(report)
                continue
            detail = (
                f"its files are those of {identity.session_path(*original)}, whose folder is gone: "
                f"{self._command(original, report.folder.key)}"
            )
            problems.append(Problem(report.folder.path, "renamed_folder", detail))
        return kept, problems

    def _original(self, report: Report) -> SessionKey | None:
        """The session whose files the folder holds."""
        hashes = {file.md5 for file in report.files if file.size}
        if not (hashes and self._gone):
            return None
        sessions = self._hashes()
        votes = Counter(key for md5 in hashes for key in sessions.get(md5, ()))
        if not votes:
            return None
        (first, n_first), *others = votes.most_common(2)
        is_clear = not others or others[0][1] < n_first
        n_files = sum(first in keys for keys in sessions.values())
        return first if is_clear and n_first >= SHARE * n_files else None

    def _hashes(self) -> dict[str, set[SessionKey]]:
        """md5 of a file -> the sessions that are gone and had it; read when first asked for."""
        if self._sessions is None:
            self._sessions = {}
            for start in range(0, len(self._gone), 200):
                datasets = data.Dataset & keys_of(self._gone[start : start + 200])
                for row in fetch_columns(datasets, *SESSION, "dataset_hash").to_pylist():
                    self._sessions.setdefault(row["dataset_hash"], set()).add(session_key(row))
        return self._sessions

    def _command(self, old: SessionKey, new: SessionKey) -> str:
        """What to type so that the registered session has the name of the folder."""
        move = f"neurojoint session move {identity.session_path(*old)} {identity.session_path(*new)}"
        if old[2:] != new[2:] or old[:2] == new[:2] or old[:2] in self._animals:
            return move
        there = bool(subject.Subject & {"lab": new.lab, "subject": new.subject})
        if there:
            return f"neurojoint subject merge {old.lab}/{old.subject} {new.lab}/{new.subject}"
        if old.lab == new.lab:
            return f"neurojoint subject rename {old.lab}/{old.subject} {new.subject}"
        moved = f"neurojoint subject move-lab {old.lab}/{old.subject} {new.lab}"
        if old.subject == new.subject:
            return moved
        return f"{moved}, then neurojoint subject rename {new.lab}/{old.subject} {new.subject}"
