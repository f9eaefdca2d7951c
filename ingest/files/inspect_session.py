"""Reads what is new in one session folder: hashes its files, checks their content, says which columns may be read."""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ingest.files import clusterings, recordings
from ingest.files import session_metadata as session_facts
from ingest.files.report import Found, Known, ObjectState, Report, default_versions, without_revision
from ingest.files.scan import (
    LONGEST,
    File,
    Problem,
    SessionKey,
    in_time_zone,
    list_files,
    printable,
    summary,
)
from pipeline.alf import clocks, identity
from pipeline.alf import columns as alf
from pipeline.alf.aliases import meaning, object_of
from pipeline.alf.dataset_types import REFERENCES, dataset_type
from pipeline.alf.objects import ARRAY_FORMATS, Assembled, Content, assemble
from pipeline.alf.reader import HEADER, load, npy_header
from pipeline.alf.reasons import refuse
from pipeline.electrophysiology import raw_formats, wiring
from pipeline.errors import InvalidData

IN_MEMORY = 8 << 20  # byte; larger files are streamed
JSON_CHECKED = 1 << 20  # byte; larger JSON is not parsed
CHUNK = 1 << 20  # byte
PASSING = frozenset({"vanished", "permission_denied", "read_error"})
"""Reasons that time may mend without a trace in names, sizes and times: such sessions are looked at again."""

_LONGEST = {"collection": 128, "alf_object": 64, "attribute": 96, "extension": 32, "revision": 64}  # as in the tables


def examine(
    root: Path, key: SessionKey, path: str, known: Known, time_zone: str = "UTC", names: frozenset[str] = frozenset()
) -> Report:
    """Examine one session folder.

    Parameters
    ----------
    root : the data root, without links in its path.
    key, path : the session and its folder below the root.
    known : files that were read before; where size and time are the same, large ones are not read again.
    time_zone : of the lab, for times without an offset in the settings.
    names : by which the settings may call the animal, besides its name of today.

    Where the settings name another animal, nothing in the folder may be used until a person decides.
    """
    listed, problems = list_files(root, path)
    report = Report(summary(key, path, listed, problems), problems=problems)
    named, listed = _named(path, listed, report.problems)
    listed, raw_beside = recordings.set_aside(root, path, listed, named)
    read = partial(_read, root, path, known)
    large = [file for file in listed if file.size > IN_MEMORY and not _is_known(file, known)]
    ahead: dict[str, Any] = {}
    if len(large) > 1:
        with ThreadPoolExecutor(min(len(large), 4)) as threads:
            ahead = dict(
                zip([file.path for file in large], threads.map(lambda f: _caught(read, f), large), strict=True)
            )
    contents: dict[str, Content] = {}
    description, settings, stable = None, [], True
    derived_from = identity.session_path(*key)
    for file in listed:
        name, collection, revision, rel_path = named[file.path]
        result = ahead.get(file.path) or _caught(read, file)
        if isinstance(result, Problem):
            report.problems.append(result)
            continue
        md5, content, size, modified_ns, is_read = result
        stable = stable and (size, modified_ns) == (file.size, file.modified_ns)
        try:
            contents[rel_path], parsed = checked(root / path / file.path, name, rel_path, content, size)
        except InvalidData as error:
            reason = "bad_metadata" if _is_fact_file(name) else error.reason
            report.problems.append(Problem(f"{path}/{file.path}", reason, error.detail[:1000], error.column))
            continue
        if name.dataset == session_facts.DESCRIPTION and not collection:
            description = (f"{path}/{file.path}", parsed)
        elif name.dataset == session_facts.SETTINGS:
            settings.append((f"{path}/{file.path}", parsed))
        report.files.append(
            Found(
                f"{path}/{file.path}", rel_path, collection, name.alf_object, name.attribute, name.extension, revision,
                dataset_type(name), name.uuid, identity.dataset_id(derived_from, rel_path), md5, size,
                modified_ns, is_read,
            )
        )  # fmt: skip
    report.facts, wrong = session_facts.session_facts(key, description, settings, time_zone, names)
    report.problems += wrong
    recordings.examine(root, report, raw_beside, known)
    _assemble(report, contents)
    clusterings.examine(root, report)
    if any(problem.reason == "wrong_animal" for problem in report.problems):
        _refuse_all(report)
    report.problems.sort()
    report.folder = report.folder._replace(signature=in_time_zone(report.folder.signature or "", time_zone))
    if not stable or any(problem.reason in PASSING for problem in report.problems):
        report.folder = report.folder._replace(signature="")
    return report


def examine_all(root: Path, sessions: list[tuple[SessionKey, str, Known, str, frozenset[str]]]) -> list[Report]:
    """Examine some session folders: for each its key, path, known files, time zone and names of the animal."""
    return [examine(root, *session) for session in sessions]


def _named(
    session: str, listed: list[File], problems: list[Problem]
) -> tuple[dict[str, tuple[alf.AlfName, str, str, str]], list[File]]:
    """Path -> its ALF name, collection, revision and path as a dataset; the files that have them."""
    named: dict[str, tuple[alf.AlfName, str, str, str]] = {}
    taken: dict[str, str] = {}
    kept = []
    for file in listed:
        folder, _, file_name = file.path.rpartition("/")
        name, place = alf.parse_name(file_name), alf.parse_folder(folder)
        if (name is None or place is None) and raw_formats.belongs_to_recording(file.path):
            name, place = _recorded_name(file_name), (folder, "")
        if name is None or place is None:
            what = f"the name {file_name!r}" if name is None else f"the folder {folder!r}"
            problems.append(Problem(printable(f"{session}/{file.path}"), "not_alf", printable(f"{what} is not ALF")))
            continue
        rel_path = f"{folder}/{name.dataset}" if folder else name.dataset
        excess = too_long(name, *place)
        if excess or len(rel_path) > LONGEST["rel_path"] or len(session) + len(file.path) >= LONGEST["file_path"]:
            detail = f"the {excess or 'path'} is too long"
            problems.append(Problem(printable(f"{session}/{file.path}"), "not_alf", detail))
            continue
        if rel_path in taken:
            detail = f"it is the same dataset as {taken[rel_path].rpartition('/')[2]}"
            problems.append(Problem(f"{session}/{file.path}", "duplicate_column", detail))
            continue
        taken[rel_path] = file.path
        named[file.path] = (name, *place, rel_path)
        kept.append(file)
    return named, kept


def _recorded_name(file_name: str) -> alf.AlfName:
    """What stands for the parts of an ALF name of a file that another recording system than SpikeGLX wrote.

    >>> _recorded_name("amp-A-000.dat")[:3]
    ('amp_A_000', 'raw', 'dat')
    """
    stem, _, extension = file_name.rpartition(".")
    return alf.AlfName(re.sub(r"\W+", "_", stem), "raw", extension, "", "", file_name)


def too_long(name: alf.AlfName, collection: str, revision: str) -> str:
    """The part of a name that the tables cannot hold; empty where they can."""
    parts = {
        "collection": collection, "alf_object": name.alf_object, "attribute": name.attribute,
        "extension": name.extension, "revision": revision,
    }  # fmt: skip
    return next((part for part, value in parts.items() if len(value) > _LONGEST[part]), "")


def _is_known(file: File, known: Known) -> bool:
    return known.get(file.path, (None, None))[:2] == (file.size, file.modified_ns)


def _caught(read: Any, file: File) -> Any:
    """What `read` returns, or the problem it met."""
    try:
        return read(file)
    except FileNotFoundError:
        reason, detail = "vanished", "it was there when the folder was listed"
    except PermissionError as error:
        reason, detail = "permission_denied", error.strerror or "permission denied"
    except OSError as error:
        reason, detail = "read_error", error.strerror or str(error)
    return Problem(f"{read.args[1]}/{file.path}", reason, detail)


def _read(root: Path, session: str, known: Known, file: File) -> tuple[str, bytes | None, int, int, bool]:
    """md5, content (None for large files), size and time of a file after reading, and whether it was read."""
    full = f"{root}/{session}/{file.path}"
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    handle = os.open(full, flags)
    try:
        if _is_known(file, known) and file.size > IN_MEMORY:
            return known[file.path][2], None, file.size, file.modified_ns, False
        if file.size <= IN_MEMORY:
            content = os.read(handle, file.size + 1)
            while len(content) <= file.size and (more := os.read(handle, file.size + 1 - len(content))):
                content += more
            md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        else:
            digest, content = hashlib.md5(usedforsecurity=False), None
            while chunk := os.read(handle, CHUNK):
                digest.update(chunk)
            md5 = digest.hexdigest()
        stat = os.fstat(handle)
    finally:
        os.close(handle)
    return md5, content, stat.st_size, stat.st_mtime_ns, True


def checked(path: Path, name: alf.AlfName, rel_path: str, content: bytes | None, size: int) -> tuple[Content, Any]:
    """What `assemble` needs of a file, and its parsed content where facts are in it.

    Raises
    ------
    InvalidData
        The file as a whole cannot be read.
    """
    if size == 0:
        raise refuse(rel_path, "empty_file", "0 bytes")
    if name.attribute == "raw" and raw_formats.belongs_to_recording(rel_path):
        return (), None
    if _is_fact_file(name):
        return (), load(content if content is not None else path, rel_path)
    alf_object, attribute, *_ = meaning(name.alf_object, name.attribute)
    by_attribute = alf.columns_by_attribute(alf_object)
    is_column = attribute in by_attribute and name.extension in ARRAY_FORMATS
    is_table = by_attribute and attribute == "table" and name.extension in ARRAY_FORMATS[1:]
    is_index = f"{alf_object}.{attribute}" in REFERENCES and name.extension == "npy"
    is_clock = attribute == "timestamps" and name.extension == "npy"
    if is_column or is_table or is_index:
        return (content if content is not None else path), None
    extension = name.extension.rpartition(".")[2]
    if extension == "npy":
        start = content
        if start is None:
            with path.open("rb") as file:
                start = file.read(HEADER)
        shape = npy_header(start[:HEADER], rel_path, size).shape
        if name.alf_object in alf.INDEPENDENT:
            return (), None
        if is_clock and len(shape) == 2:
            return (content if content is not None else path), None
        return shape, None
    if extension == "pqt":
        _check_parquet(path, content, rel_path)
    elif extension in ("json", "yaml", "yml") and content is not None and size <= JSON_CHECKED:
        parsed = load(content, rel_path)
        if rel_path.endswith(".wiring.json") and (fault := wiring.fault(parsed)):
            raise refuse(rel_path, "value_range", fault)
    elif extension == "jsonable" and content is not None:
        try:
            load(content[content.rstrip().rfind(b"\n") + 1 :] or content, rel_path)
        except InvalidData:
            load(content, rel_path)  # says in which line of the file it is
            raise
    return (), None


def _check_parquet(path: Path, content: bytes | None, rel_path: str) -> None:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    if content is not None and content[:4] == b"PAR1" and content[-4:] != b"PAR1":
        raise refuse(rel_path, "truncated", "the end of the parquet file is not there")
    try:
        pq.read_metadata(io.BytesIO(content) if content is not None else path)
    except (pa.ArrowException, OSError, ValueError) as error:
        detail = f"not a parquet file ({' '.join(str(error).split())[:200]})"
        raise refuse(rel_path, "unreadable_file", detail) from None


def _is_fact_file(name: alf.AlfName) -> bool:
    return name.dataset in (session_facts.DESCRIPTION, session_facts.SETTINGS)


def _assemble(report: Report, contents: Mapping[str, Content]) -> None:
    """Fill `report.objects`, report the columns that break the rules, and drop the files that cannot be read at all."""
    groups: dict[tuple[str, str], list[Found]] = {}
    assembled: dict[tuple[str, str], Assembled] = {}
    again: set[tuple[str, str]] | None = None  # the groups to assemble; None: all
    while again is None or again:
        chosen = default_versions([(without_revision(f.rel_path, f.revision), f.revision) for f in report.files])
        groups = defaultdict(list)
        for file in report.files:
            is_alf = not raw_formats.belongs_to_recording(file.rel_path)
            if is_alf and (without_revision(file.rel_path, file.revision), file.revision) in chosen:
                groups[file.collection, object_of(file.alf_object)].append(file)
        for group in groups if again is None else again & groups.keys():
            assembled[group] = assemble(group[1], {file.rel_path: contents[file.rel_path] for file in groups[group]})
        again = set()
        for group in groups:
            unread = {refusal.path: refusal for refusal in assembled[group].refusals if not refusal.column}
            for file in [file for file in report.files if file.rel_path in unread]:
                error = unread[file.rel_path]
                report.problems.append(Problem(file.file_path, error.reason, error.detail[:1000]))
                report.files.remove(file)  # an earlier revision may now be the default
                again.add(group)
    _check_references(groups, assembled, contents)
    refused = refused_by_object(report)
    for group in groups.keys() | refused.keys():
        files, one = groups.get(group, []), assembled.get(group) if group in groups else None
        one = one or Assembled()
        paths = {file.rel_path: file.file_path for file in files}
        report.problems += [Problem(paths[e.path], e.reason, e.detail[:1000], e.column) for e in one.refusals]
        accepted = [*one.values, *one.other]
        reasons = {name: why for name, why in (refused.get(group, {}) | one.refused).items() if name not in accepted}
        report.objects.append(ObjectState(*group, fingerprint(files, reasons), accepted, reasons))
    report.objects.sort()
    report.problems.sort()


def _check_references(
    groups: Mapping[tuple[str, str], list[Found]],
    assembled: Mapping[tuple[str, str], Assembled],
    contents: Mapping[str, Content],
) -> None:
    """Refuse the attributes that index rows which the other object of their collection does not have.

    Not in the folders of probes: there the rules of sortings say which rows a cluster has.
    """
    for (collection, alf_object), files in groups.items():
        if clusterings.is_of_probe(collection):
            continue
        for file in files:
            attribute = meaning(file.alf_object, file.attribute).attribute
            target = REFERENCES.get(f"{alf_object}.{attribute}")
            content, result = contents[file.rel_path], assembled[collection, alf_object]
            if target is None or file.extension != "npy" or isinstance(content, tuple) or attribute in result.refused:
                continue
            others = [
                contents[item.rel_path] for item in groups.get((collection, target), []) if item.extension == "npy"
            ]
            n_rows = max((_n_rows(item, target) for item in others), default=None)
            if wrong := clocks.wrong_reference(load(content, file.rel_path), n_rows, target):
                result.refusals.append(refuse(file.rel_path, "wrong_reference", wrong, attribute))
                result.refused[attribute] = "wrong_reference"
                result.other = [name for name in result.other if name != attribute]


def _n_rows(content: Content, name: str) -> int:
    """Rows of an array that was found to be one."""
    shape = content if isinstance(content, tuple) else load(content, f"{name}.npy").shape
    return shape[0] if shape else 0


def _refuse_all(report: Report) -> None:
    """Let no object and no sorting of the folder be used: it is not known whose they are."""
    for index, state in enumerate(report.objects):
        refused = state.refused | dict.fromkeys(state.accepted, "wrong_animal")
        files = [file for file in report.files if (file.collection, object_of(file.alf_object)) == state[:2]]
        report.objects[index] = ObjectState(*state[:2], fingerprint(files, refused), [], refused)
    for index, sorting in enumerate(report.clusterings):
        refused = sorting.refused | dict.fromkeys(sorting.files, "wrong_animal")
        report.clusterings[index] = replace(sorting, files={}, refused=refused)


def fingerprint(files: list[Found], refused: Mapping[str, str]) -> str:
    """md5 over the hashes of an object's default datasets and over what was refused."""
    digest = hashlib.md5(usedforsecurity=False)
    for file in sorted(files):
        digest.update(f"{file.rel_path}\0{file.md5}\n".encode())
    for column, reason in sorted(refused.items()):
        digest.update(f"{column}\1{reason}\n".encode())
    return digest.hexdigest()


def refused_by_object(report: Report) -> dict[tuple[str, str], dict[str, str]]:
    """(collection, object) -> column or attribute -> reason, for the files that are refused as a whole."""
    return refused_by_path(report.folder.path, report.problems)


def refused_by_path(session: str, problems: Iterable[Problem]) -> dict[tuple[str, str], dict[str, str]]:
    """The same of problems below the folder of a session."""
    refused: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for problem in problems:
        folder, _, file_name = problem.path[len(session) + 1 :].rpartition("/")
        name, place = alf.parse_name(file_name), alf.parse_folder(folder)
        if problem.column or name is None or place is None or problem.reason in ("bad_metadata", "not_alf"):
            continue
        if too_long(name, *place):
            continue
        alf_object, attribute, *_ = meaning(name.alf_object, name.attribute)
        columns = [column.name for column in alf.columns_by_attribute(alf_object).get(attribute, ())]
        for column in columns or [attribute]:
            refused[place[0], alf_object][column] = problem.reason
    return refused
