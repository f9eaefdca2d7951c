"""Walks an ALF tree: which session folders there are, how each looks now, and what in it cannot be followed."""

from __future__ import annotations

import datetime
import fnmatch
import hashlib
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ingest.files import sorter_files
from pipeline.alf import columns
from pipeline.errors import NeurojointError

IGNORED_FILES = (
    ".*",  # hidden: .DS_Store, .nfs…, .~lock…
    "*.flag",  # work to do, left by acquisition software
    "*~", "*.tmp", "*.temp", "*.part", "*.partial", "*.swp",  # unfinished or scratch
    "*.cbin.journal",
    "Thumbs.db", "desktop.ini", "$RECYCLE.BIN",
    "README*", "*.md", "narrative.txt", "transfer_me*", "*.log", "*.pyc",
    *sorter_files.NAMES,
)  # fmt: skip
"""Names of files that are expected in session folders, are no data and are passed over, unless they are ALF names."""

NEVER_DATA = (".flag", ".cbin.part", ".ch.part", ".bin.part", ".cbin.journal")
"""Endings of names that are passed over even where they are ALF names: flags, and what compressions under way write."""

IGNORED_FOLDERS = (".*", "_devices", "spike_sorters", "__pycache__", "snapshot", "logs", "*analyzer*.zarr",
                   "*sorting*.zarr")  # fmt: skip
"""Names of folders in which nothing is looked for: hidden ones, stubs of devices, the sorters' own output, pictures."""

AGGREGATES = "aggregates"
"""The folder of a data root that holds files over many sessions (`ingest.rows.aggregates`), and no lab."""

RULES = 4
"""Goes into signatures: a change of what is refused raises it, and every session is examined again."""

LONGEST = {"lab": 32, "subject": 64, "rel_path": 255, "file_path": 500}  # characters, as in the tables

_LAB, _SUBJECT = re.compile(r"\w+"), re.compile(r"[\w.-]+")
_DATE, _NUMBER = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII), re.compile(r"\d{1,3}", re.ASCII)


class Problem(NamedTuple):
    """What is refused: `path` below the root, a reason of `pipeline.alf.reasons`, what was found, in which column."""

    path: str
    reason: str
    detail: str
    column: str = ""


class SessionKey(NamedTuple):
    """The primary key of a session."""

    lab: str
    subject: str
    date: str  # ISO
    number: int


class Folder(NamedTuple):
    """One session folder as it looks now."""

    key: SessionKey
    path: str  # below the root
    signature: str  # md5 over names, sizes and times of the files, and over what could not be followed
    n_files: int
    n_bytes: int
    n_problems: int


class File(NamedTuple):
    """One regular file of a session folder."""

    path: str  # below the session folder
    size: int  # byte
    modified_ns: int  # ns since 1970


class Layout(NamedTuple):
    """Where the subject folders of a tree are."""

    subjects: list[tuple[str, str]]  # lab, path of the subject's folder below the root
    problems: list[Problem]
    kind: str = "labs"  # one of LAYOUTS
    is_lab_assumed: bool = False  # the lab is the name of the root, which nobody stated


LAYOUTS = {"labs": "lab/Subjects/subject", "subjects_folder": "Subjects/subject", "subjects": "subject"}
"""Layouts of a data root: name -> where the folders of the subjects are. A new root has the first that it shows."""


def layout(root: Path, lab: str | None = None, decided: str | None = None) -> Layout:
    """Find the subject folders of ROOT/lab/Subjects, ROOT/Subjects, ROOT named Subjects, or ROOT itself.

    A root has one layout. Session folders that lie where another layout has them are problems, and empty folders do
    not count.

    Parameters
    ----------
    root : Path
        The data root, without links in its path.
    lab : str, optional
        The lab where the tree has no folder for it; a ROOT/Subjects without one belongs to the lab named as ROOT.
    decided : str, optional
        The layout that was decided for this root before, one of `LAYOUTS`.

    Raises
    ------
    NeurojointError
        The tree names no lab and none is given, or the root cannot be read.
    """
    problems: list[Problem] = []
    if lab is not None and (not _LAB.fullmatch(lab) or len(lab) > LONGEST["lab"]):
        raise NeurojointError(
            f"{lab!r} cannot be the name of a lab", "use at most 32 letters, digits and _, as ALF paths demand"
        )
    children = _folders(root, root, "", problems)
    if problems:
        raise NeurojointError(f"{root} cannot be read ({problems[0].detail})", "check the path and its mode")
    if root.name == "Subjects":
        return _subjects_of(root, lab or _lab_name(root.parent), "", problems)._replace(kind="subjects")
    labs = [child for child in children if child != AGGREGATES and (root / child / "Subjects").is_dir()]
    others = [child for child in children if child not in (*labs, AGGREGATES, "Subjects")]

    def at(kind: str) -> Iterator[str]:
        """Subject folders where this layout has them, if they hold dated folders."""
        if kind == "subjects":
            return (child for child in others if _is_subject_folder(root / child))
        holders = [f"{child}/Subjects" for child in labs] if kind == "labs" else ["Subjects"]
        return (path for holder in holders for path in _subjects_in(root, holder))

    kind = decided or next((item for item in LAYOUTS if next(at(item), None)), None)
    if kind is None:  # no session anywhere: which folders there are decides
        kind = "labs" if labs else "subjects_folder" if "Subjects" in children else "subjects"
    tree = _subjects_by_layout(root, kind, lab, labs, others, problems)
    for other in LAYOUTS:
        if other != kind:
            problems += [item for path in at(other) for item in _misplaced(root, path, kind)]
    return tree


def _subjects_by_layout(
    root: Path, kind: str, lab: str | None, labs: list[str], others: list[str], problems: list[Problem]
) -> Layout:
    if kind == "subjects_folder":
        tree = _subjects_of(root, lab or _lab_name(root), "Subjects", problems)
        return tree._replace(kind=kind, is_lab_assumed=lab is None)
    if kind == "subjects":
        if lab is None:
            raise NeurojointError(
                f"{root} has no lab/Subjects folder, and no lab is given",
                "name the lab with --lab if the subjects' folders are in it; else check the path",
            )
        return _subjects_of(root, lab, "", problems, others)._replace(kind=kind)
    if lab is not None:
        labs = [child for child in labs if child == lab]
        if not labs:
            raise NeurojointError(f"{root} has no folder {lab}/Subjects", "leave --lab out to ingest all labs")
    tree = Layout([], problems)
    for child in labs:
        if _LAB.fullmatch(child) and len(child) <= LONGEST["lab"]:
            tree.subjects.extend(_subjects_of(root, child, f"{child}/Subjects", problems).subjects)
        else:
            problems.append(Problem(child, "bad_session_path", "a lab has at most 32 letters, digits and _"))
    return tree


def _subjects_in(root: Path, folder: str) -> Iterator[str]:
    """Paths of the folders below a folder that hold at least one dated folder."""
    if (root / folder).is_dir():
        for name in _folders(root, root / folder, folder, []):
            if _is_subject_folder(root / folder / name):
                yield f"{folder}/{name}"


def _is_subject_folder(folder: Path) -> bool:
    """Whether a folder holds a dated folder, as that of a subject does."""
    try:
        with os.scandir(folder) as entries:
            return any(_DATE.fullmatch(entry.name) and entry.is_dir() for entry in entries)
    except OSError:
        return False


def _misplaced(root: Path, subject: str, kind: str) -> list[Problem]:
    """The session folders of a subject that lies where another layout than that of the root has it."""
    detail = f"mixed layouts: in this root sessions lie in {LAYOUTS[kind]}/date/number"
    days = [folder for folder in _folders(root, root / subject, subject, []) if _DATE.fullmatch(folder)]
    return [
        Problem(printable(f"{subject}/{day}/{number}"), "bad_session_path", detail)
        for day in days
        for number in _folders(root, root / subject / day, f"{subject}/{day}", [])
        if _NUMBER.fullmatch(number)
    ]


def scan_subject(root: Path, lab: str, folder: str) -> tuple[list[Folder], list[Problem]]:
    """All session folders of one subject, with what lies at wrong places."""
    problems: list[Problem] = []
    sessions: dict[SessionKey, Folder] = {}
    subject = folder.rpartition("/")[2]
    for day in _folders(root, root / folder, folder, problems, stray_files=True):
        day_path = f"{folder}/{day}"
        numbers = _folders(root, root / day_path, day_path, problems, stray_files=True)
        if (wrong := _wrong_date(day)) is not None:
            problems += [
                Problem(f"{day_path}/{n}", "bad_session_path", wrong) for n in numbers if _NUMBER.fullmatch(n)
            ] or [Problem(day_path, "bad_session_path", wrong)]
            continue
        for number in numbers:
            path = f"{day_path}/{number}"
            if not _NUMBER.fullmatch(number):
                problems.append(Problem(path, "bad_session_path", "a session number has one to three digits"))
                continue
            key = SessionKey(lab, subject, day, int(number))
            if key in sessions:
                other = sessions[key].path.rpartition("/")[2]
                problems.append(Problem(path, "bad_session_path", f"the folder {other} is the same session number"))
                continue
            files, wrong_files = list_files(root, path)
            if files or wrong_files or sorter_files.hold_spikes(root / path):
                sessions[key] = summary(key, path, files, wrong_files)
    return list(sessions.values()), problems


def list_files(root: Path, session: str) -> tuple[list[File], list[Problem]]:
    """The regular files below a session folder, sorted; links that stay within the root are followed once."""
    files: list[File] = []
    problems: list[Problem] = []
    followed: set[str] = set()
    pending = [("", os.path.join(root, session))]  # noqa: PTH118 - a string per file, not an object
    while pending:
        prefix, folder = pending.pop()
        try:
            entries = os.scandir(folder)
        except OSError as error:
            problems.append(os_problem(f"{session}/{prefix}".rstrip("/"), error))
            continue
        with entries:
            for entry in entries:
                name = entry.name
                try:
                    if entry.is_symlink():
                        target = _target(root, entry.path, f"{session}/{prefix}{name}", followed, problems)
                        if target is None:
                            continue
                    else:
                        target = entry.path
                    if entry.is_dir():
                        if not (ignored_folder(name) or sorter_files.is_part(folder, name)):
                            pending.append((f"{prefix}{name}/", target))
                    elif entry.is_file():
                        if not ignored_file(name):
                            stat = entry.stat()
                            files.append(File(prefix + name, stat.st_size, stat.st_mtime_ns))
                    elif not ignored_file(name):
                        detail = "neither a file nor a folder"
                        problems.append(Problem(printable(f"{session}/{prefix}{name}"), "unreadable_file", detail))
                except OSError as error:
                    problems.append(os_problem(f"{session}/{prefix}{name}", error))
    files.sort()
    problems.sort()
    return files, problems


@lru_cache(maxsize=1 << 16)
def ignored_file(name: str) -> bool:
    """Whether a file of this name is passed over.

    >>> ignored_file(".DS_Store"), ignored_file("_ibl_trials.choice.npy"), ignored_file("ibllib.log")
    (True, False, True)
    """
    if not any(fnmatch.fnmatchcase(name, pattern) for pattern in IGNORED_FILES):
        return False

    return name.endswith(NEVER_DATA) or columns.parse_name(name) is None


@lru_cache(maxsize=1 << 12)
def ignored_folder(name: str) -> bool:
    """Whether nothing is looked for in a folder of this name."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in IGNORED_FOLDERS)


def printable(path: str) -> str:
    """A path that can be stored and shown: what is not text, and control characters, as escapes.

    >>> printable("alf/a\\nb")
    'alf/a\\\\nb'
    """
    text = path.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)[: LONGEST["file_path"]]


def _subjects_of(root: Path, lab: str, folder: str, problems: list[Problem], names: list[str] | None = None) -> Layout:
    subjects = []
    for subject in _folders(root, root / folder, folder, problems) if names is None else names:
        path = f"{folder}/{subject}" if folder else subject
        if _SUBJECT.fullmatch(subject) and len(subject) <= LONGEST["subject"]:
            subjects.append((lab, path))
        else:
            detail = "a subject has at most 64 letters, digits and _ . -"
            problems.append(Problem(printable(path), "bad_session_path", detail))
    return Layout(subjects, problems)


def _lab_name(folder: Path) -> str:
    if not _LAB.fullmatch(folder.name) or len(folder.name) > LONGEST["lab"]:
        raise NeurojointError(f"{folder.name!r} cannot be the name of a lab", "name it with --lab")
    return folder.name


def _folders(root: Path, folder: Path, path: str, problems: list[Problem], stray_files: bool = False) -> list[str]:
    """Names of the folders in a folder, sorted; with `stray_files`, files in it are problems."""
    names = []
    followed: set[str] = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                below = f"{path}/{entry.name}" if path else entry.name
                if ignored_folder(entry.name):
                    continue
                if entry.is_symlink() and _target(root, entry.path, below, followed, problems) is None:
                    continue
                if entry.is_dir():
                    names.append(entry.name)
                elif stray_files and not ignored_file(entry.name):
                    problems.append(Problem(printable(below), "bad_session_path", "a file that lies in no session"))
    except OSError as error:
        problems.append(os_problem(path, error))
    return sorted(names)


def _target(root: Path, link: str, path: str, followed: set[str], problems: list[Problem]) -> str | None:
    """Where a link leads if that is within the root and was not followed yet; else a problem."""
    target = os.path.realpath(link)
    if not target.startswith(f"{root}{os.sep}"):
        problems.append(Problem(printable(path), "symlink_outside", "it leads out of the data root"))
    elif not os.path.exists(target):  # noqa: PTH110 - a string is at hand
        problems.append(Problem(printable(path), "vanished", "a link to something that is not there"))
    elif os.path.isdir(target) and (target in followed or f"{link}{os.sep}".startswith(f"{target}{os.sep}")):  # noqa: PTH112
        problems.append(
            Problem(printable(path), "symlink_outside", "it leads back to a folder that was walked already")
        )
    else:
        followed.add(target)
        return target
    return None


def _wrong_date(name: str) -> str | None:
    if not _DATE.fullmatch(name):
        return "a date is written YYYY-MM-DD"
    try:
        datetime.date.fromisoformat(name)
    except ValueError:
        return f"{name} is not in the calendar"
    return None


def summary(key: SessionKey, path: str, files: list[File], problems: list[Problem]) -> Folder:
    digest = hashlib.md5(f"{RULES}\n".encode(), usedforsecurity=False)
    digest.update("\n".join([f"{f.path}\0{f.size}\0{f.modified_ns}" for f in files]).encode("utf-8", "surrogateescape"))
    for problem in problems:
        digest.update(f"\n{problem.path}\0{problem.reason}".encode("utf-8", "surrogateescape"))
    n_bytes = sum([file.size for file in files])
    return Folder(key, path, digest.hexdigest(), len(files), n_bytes, len(problems))


def in_time_zone(signature: str, time_zone: str) -> str:
    """The signature of a folder whose times were read in a time zone: when the zone changes, the folder is read again.

    >>> in_time_zone("abc", "UTC"), in_time_zone("", "Europe/London")
    ('abc', '')
    """
    if not signature or time_zone == "UTC":
        return signature
    return hashlib.md5(f"{signature}\0{time_zone}".encode(), usedforsecurity=False).hexdigest()


def os_problem(path: str, error: OSError) -> Problem:
    """What the system says about a file that cannot be read."""
    kinds: Iterator[tuple[type[OSError], str]] = iter(
        [(FileNotFoundError, "vanished"), (NotADirectoryError, "vanished"), (PermissionError, "permission_denied")]
    )
    reason = next((reason for kind, reason in kinds if isinstance(error, kind)), "read_error")
    return Problem(printable(path), reason, error.strerror or str(error))
