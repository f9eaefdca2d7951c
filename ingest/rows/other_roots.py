"""A session of which two data roots hold a part each: its ALF objects are read over all of them.

The wheel may lie on one server and the trials on another, or a copy may hold only some of the files. What is looked at
in one root must neither take the place of what another holds, nor be all that there is.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.files import inspect_session as examining
from ingest.files.report import ObjectState, Report
from ingest.files.scan import Problem, SessionKey
from pipeline.alf import columns as alf
from pipeline.alf import disks
from pipeline.alf.aliases import meaning, object_of
from pipeline.alf.objects import Content, assemble
from pipeline.database.bulk import fetch_columns
from pipeline.electrophysiology import raw_formats
from pipeline.errors import InvalidData
from pipeline.schemas import data

SESSION = ("lab", "subject", "session_date", "session_number")
Group = tuple[str, str]
"""Collection and name of an ALF object."""


@dataclass
class Rest:
    """What other roots hold of a session beyond the files that are looked at now.

    Attributes
    ----------
    default : paths of the default datasets of the session, over all roots.
    rows : the default datasets that only others hold, each with the records of these copies (`elsewhere`).
    """

    default: set[str]
    rows: list[dict[str, Any]]

    @property
    def collections(self) -> set[str]:
        """The folders in which these datasets lie."""
        return {row["collection"] for row in self.rows}


def state_of(row: Mapping[str, Any]) -> ObjectState:
    """An ALF object as a row of data.AlfObject has it."""
    refused = row["refused_columns"]
    refused = json.loads(refused) if isinstance(refused, str | bytes) else refused
    accepted = [name for name in row["accepted_columns"].split(",") if name]
    return ObjectState(row["object_collection"], row["object_name"], row["object_fingerprint"], accepted, refused or {})


def complete(report: Report, rest: Rest, before: Mapping[Group, ObjectState], repository: str) -> list[ObjectState]:
    """The ALF objects of a session, those of the report completed by what other roots hold.

    Parameters
    ----------
    report : of the folder of the session in one root.
    rest : what others hold beyond it.
    before : the objects as they were registered: where the disk of another root is away, they say what is there.
    repository : to which the report belongs.
    """
    now = {(state.collection, state.alf_object): state for state in report.objects}
    elsewhere: dict[Group, list[dict[str, Any]]] = defaultdict(list)
    for row in rest.rows:
        if not raw_formats.belongs_to_recording(row["rel_path"]):
            elsewhere[row["collection"], object_of(row["alf_object"])].append(row)
    if any(problem.reason == "wrong_animal" for problem in report.problems):  # nobody knows whose this folder is
        return sorted([*now.values(), *(before[group] for group in elsewhere.keys() & before.keys() - now.keys())])
    roots = _roots([repository, *(record["repository"] for row in rest.rows for record in row["elsewhere"])])
    refused_here = examining.refused_by_object(report)
    refused_there = _refused_elsewhere(report.folder.key, rest, repository)
    for group, rows in elsewhere.items():
        files = {row["rel_path"]: (row["dataset_hash"], _place(row, roots)) for row in rows}
        for file in report.files:
            if (file.collection, object_of(file.alf_object)) == group and file.rel_path in rest.default:
                root = roots.get(repository)
                files[file.rel_path] = (file.md5, root / file.file_path if root else None)
        refused = refused_there.get(group, {}) | refused_here.get(group, {})
        contents = _contents(files)
        if contents is None:
            state = now.get(group)
            accepted, assembled_refused = _remembered(rows, state, before.get(group))
        else:
            assembled = assemble(group[1], contents[0])
            accepted, assembled_refused = [*assembled.values, *assembled.other], contents[1] | assembled.refused
        refused = {name: why for name, why in (refused | assembled_refused).items() if name not in accepted}
        now[group] = ObjectState(*group, _fingerprint(files, refused), accepted, refused)
    return sorted(now.values())


def _roots(repositories: Iterable[str]) -> dict[str, Path]:
    """The folders of these repositories that are on this computer and answer."""
    names = [{"repository": name} for name in sorted(set(repositories))]
    rows = (data.Repository & {"repository_kind": "local"} & names).to_dicts()
    roots = {row["repository"]: Path(row["repository_root"]) for row in rows}
    there = {name: root for name, root in roots.items() if disks.is_there(root)}
    for root in there.values():
        disks.use(root)
    return there


def _place(row: Mapping[str, Any], roots: Mapping[str, Path]) -> Path | None:
    """Where a copy of the registered content of a dataset lies here."""
    same = [record for record in row["elsewhere"] if record["record_hash"] == row["dataset_hash"]]
    return next((roots[one["repository"]] / one["file_path"] for one in same if one["repository"] in roots), None)


def _contents(
    files: Mapping[str, tuple[str, Path | None]],
) -> tuple[dict[str, Content], dict[str, str]] | None:
    """What `assemble` needs of the files, and what is refused of them; None where one of them is not here."""
    contents: dict[str, Content] = {}
    refused: dict[str, str] = {}
    for rel_path, (_, path) in files.items():
        name = alf.parse_name(rel_path.rpartition("/")[2])
        if path is None or name is None:
            return None
        try:
            contents[rel_path], _ = examining.checked(path, name, rel_path, None, path.stat().st_size)
        except InvalidData as error:
            refused |= dict.fromkeys(_names(name.alf_object, name.attribute), error.reason)
        except OSError:
            return None
    return contents, refused


def _remembered(
    rows: Sequence[Mapping[str, Any]], state: ObjectState | None, before: ObjectState | None
) -> tuple[list[str], dict[str, str]]:
    """Columns of an object of which some files cannot be read now, as they were registered, and what is refused."""
    names = {name for row in rows for name in _names(row["alf_object"], row["alf_attribute"])}
    is_table = any(row["alf_attribute"] == "table" for row in rows)
    here = set(state.accepted) | set(state.refused) if state else set()
    kept = [name for name in before.accepted if name not in here and (is_table or name in names)] if before else []
    refused = {name: why for name, why in before.refused.items() if name in names} if before else {}
    return [*(state.accepted if state else []), *kept], refused | (state.refused if state else {})


def _names(alf_object: str, attribute: str) -> list[str]:
    """The columns that a file gives, else its attribute."""
    target, attribute, *_ = meaning(alf_object, attribute)
    return [column.name for column in alf.columns_by_attribute(target).get(attribute, ())] or [attribute]


def _refused_elsewhere(key: SessionKey, rest: Rest, repository: str) -> dict[Group, dict[str, str]]:
    """What is refused of the files of other roots as a whole: group -> column or attribute -> reason."""
    session = dict(zip(SESSION, key, strict=True))
    names = ("repository", "quarantine_path", "reason", "detail", "quarantine_column")
    problems: dict[str, list[Problem]] = defaultdict(list)
    for row in fetch_columns(data.Quarantine & session & "resolved IS NULL", *names).to_pylist():
        if row["repository"] != repository:
            one = Problem(row["quarantine_path"], row["reason"], row["detail"], row["quarantine_column"])
            problems[row["repository"]].append(one)
    found: dict[Group, dict[str, str]] = defaultdict(dict)
    for name, some in problems.items():
        for group, refused in examining.refused_by_path(_folder(rest, name), some).items():
            found[group] |= refused
    return found


def _folder(rest: Rest, repository: str) -> str:
    """The folder of the session in a repository."""
    for row in rest.rows:
        for record in row["elsewhere"]:
            if record["repository"] == repository:
                depth = len(row["rel_path"].split("/"))
                return "/".join(record["file_path"].split("/")[:-depth])
    return ""


def _fingerprint(files: Mapping[str, tuple[str, Path | None]], refused: Mapping[str, str]) -> str:
    """As `inspect_session.fingerprint`, whichever root holds which file."""
    digest = hashlib.md5(usedforsecurity=False)
    for rel_path, (md5, _) in sorted(files.items()):
        digest.update(f"{rel_path}\0{md5}\n".encode())
    for column, reason in sorted(refused.items()):
        digest.update(f"{column}\1{reason}\n".encode())
    return digest.hexdigest()
