"""Sorted spikes in session folders: which files make one clustering, and what of them must not be read."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ingest.files.channel_maps import ChannelMap
from ingest.files.report import Clustering, Found, Probe, Recording, Report, default_versions, without_revision
from ingest.files.scan import Problem, printable
from pipeline.alf.reader import load
from pipeline.electrophysiology import sorting
from pipeline.electrophysiology.reading import BY_ROW, Recorded
from pipeline.errors import InvalidData

_FORMATS = ("npy", "pqt", "csv", "tsv", "htsv")
"""Formats that are read; of several files of one attribute the first of these counts."""
_ARRAYS_ONLY = ("spikes", "templates", "channels")
DESCRIPTION = "alf/probes.description.json"
MODELS = {"3B": "NP1", "3B1": "NP1", "3B2": "NP1", "NP1.0": "NP1", "NP2.0": "NP2.1"}
"""Other names of kinds of probes -> as `ephys.ProbeModel` has them."""


def examine(root: Path, report: Report) -> None:
    """Fill `report.clusterings` and `report.probes`; report what breaks the rules of
    `pipeline.electrophysiology.sorting`.

    The default objects in `report.objects` lose the columns that are refused here.
    """
    sorted_files: dict[str, list[Found]] = defaultdict(list)
    of_probes = any(file.alf_object == "spikes" and label_of(file.collection) for file in report.files)
    for file in report.files:
        if file.alf_object in sorting.OBJECTS or file.alf_object == "channels":
            if label_of(file.collection):
                sorted_files[file.collection].append(file)
            elif (file.alf_object, file.attribute) == ("spikes", "times") and not of_probes:
                detail = f"the folder {file.collection or 'of the session'} names no probe; its spikes are in no table"
                report.problems.append(Problem(file.file_path, "no_probe", detail))
        elif file.rel_path == DESCRIPTION:
            report.probes += _described(root, report, file)
    if not sorted_files:
        return
    labels = {label_of(collection) for collection in sorted_files} - {probe.label for probe in report.probes}
    report.probes += [Probe(label) for label in sorted(labels)]
    bad = {(problem.path, problem.column) for problem in report.problems}
    refused: set[Problem] = set()
    for collection, files in sorted(sorted_files.items()):
        for revision in _revisions(files):
            known = _pieces(report.recordings, label_of(collection))
            one, problems = _clustering(root, collection, revision, _versions(files, revision), known)
            report.clusterings.append(one)
            refused |= {problem for problem in problems if (problem.path, problem.column) not in bad}
    report.problems += sorted(refused)
    _refuse_in_objects(report, refused)


def is_of_probe(collection: str) -> bool:
    """Whether files of a collection are of one probe."""
    return bool(label_of(collection))


def label_of(collection: str) -> str:
    """The probe of a collection: the folder below `alf`; empty where the collection is of no probe.

    >>> label_of("alf/probe00/pykilosort"), label_of("alf")
    ('probe00', '')
    """
    begin, _, rest = collection.partition("/")
    return rest.partition("/")[0][:32] if begin == "alf" else ""


def _revisions(files: Iterable[Found]) -> list[str]:
    """The revisions that sort again: those of spikes, templates, or of clusters beyond their places in the brain."""
    return sorted(
        {
            file.revision
            for file in files
            if file.alf_object in sorting.OBJECTS
            and not (file.alf_object == "clusters" and file.attribute in sorting.PLACES)
        }
    )


def _versions(files: Iterable[Found], revision: str) -> dict[str, list[Found]]:
    """object.attribute -> the files of its last version that is not after `revision`, in the format that counts."""
    versions: dict[str, list[Found]] = defaultdict(list)
    for file in files:
        name = f"{file.alf_object}.{file.attribute}"
        formats = _FORMATS[:1] if file.alf_object in _ARRAYS_ONLY else _FORMATS
        is_read = file.extension in formats and not (
            file.attribute in sorting.PLACES or (file.alf_object == "channels" and name not in sorting.BESIDE)
        )
        if file.revision <= revision and is_read:
            versions[name].append(file)
    chosen = {}
    for name, candidates in versions.items():
        last = max(file.revision for file in candidates)
        candidates = [file for file in candidates if file.revision == last]
        first = min(_FORMATS.index(file.extension) for file in candidates)
        chosen[name] = sorted(file for file in candidates if file.extension == _FORMATS[first])
    return chosen


def _clustering(
    root: Path, collection: str, revision: str, versions: dict[str, list[Found]], pieces: list[Recording]
) -> tuple[Clustering, list[Problem]]:
    """One clustering, and what is refused of its files; `pieces` are the AP recordings of the probe."""
    refused: dict[str, str] = {}
    problems = []
    good: dict[str, Found] = {}
    for name, files in sorted(versions.items()):
        attribute = name.partition(".")[2]
        if len({file.md5 for file in files}) > 1:
            refused[name] = "duplicate_column"
            detail = f"{' and '.join(file.rel_path.rpartition('/')[2] for file in files)} differ"
            problems += [Problem(file.file_path, "duplicate_column", detail[:1000], attribute) for file in files]
        else:
            good[name] = files[0]
    paths = {name: root / file.file_path for name, file in good.items()}
    places = _places(pieces)
    examined = sorting.examine(paths, recorded(pieces), None if places is None else asdict(places))
    for name, reason, detail in examined.refused:
        refused[name] = reason
        problems.append(Problem(good[name].file_path, reason, printable(detail)[:1000], name.partition(".")[2]))
    accepted = {name: (good[name].rel_path, good[name].md5) for name in examined.read}
    reading = examined.reading.to_dict()
    folder = collection.removeprefix("alf/")
    below = folder.split("/")[1:]
    name = f"{folder}/#{revision}#" if revision else folder
    return (
        Clustering(
            name[:96], label_of(collection), below[0][:64] if below else None, collection, revision,
            _fingerprint(accepted, refused, reading), accepted, refused, reading,
        ),
        problems,
    )  # fmt: skip


def recorded(pieces: Sequence[Recording]) -> Recorded | None:
    """What is known of the AP recordings of a probe, all pieces together; None where it has none."""
    if not pieces:
        return None
    places = _places(pieces)
    return Recorded(
        pieces[0].sampling_rate,
        sum(piece.n_samples / piece.sampling_rate for piece in pieces),
        sum(piece.n_samples for piece in pieces),
        hashlib.md5(repr(places).encode(), usedforsecurity=False).hexdigest() if places else "",
    )


def _pieces(recordings: Iterable[Recording], label: str) -> list[Recording]:
    return [item for item in recordings if item.probe_label == label and item.band == "ap"]


def _places(pieces: Iterable[Recording]) -> ChannelMap | None:
    return next((piece.channel_map for piece in pieces if piece.channel_map), None)


def _fingerprint(files: dict[str, tuple[str, str]], refused: dict[str, str], reading: dict[str, Any]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for name, (path, md5) in sorted(files.items()):
        digest.update(f"{name}\0{path}\0{md5}\n".encode())
    for name, reason in sorted(refused.items()):
        digest.update(f"{name}\1{reason}\n".encode())
    told = {"rows": BY_ROW} | {name: value for name, value in reading.items() if name not in ("rows_why", "notes")}
    digest.update(json.dumps(told, sort_keys=True).encode())
    return digest.hexdigest()


def _refuse_in_objects(report: Report, refused: set[Problem]) -> None:
    """Take what is refused from the default objects, too, so that nobody reads it as a plain ALF object."""

    paths = {problem.path: problem for problem in refused}
    default = default_versions([(without_revision(f.rel_path, f.revision), f.revision) for f in report.files])
    by_object: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for file in report.files:
        version = (without_revision(file.rel_path, file.revision), file.revision)
        if file.file_path in paths and version in default:
            by_object[file.collection, file.alf_object][file.attribute] = paths[file.file_path].reason
    for i, one in enumerate(report.objects):
        if reasons := by_object.get((one.collection, one.alf_object)):
            text = one.fingerprint + "".join(f"{name}\1{why}\n" for name, why in sorted(reasons.items()))
            report.objects[i] = one._replace(
                fingerprint=hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(),
                accepted=[name for name in one.accepted if name not in reasons],
                refused=one.refused | reasons,
            )


def _described(root: Path, report: Report, file: Found) -> list[Probe]:
    """What `probes.description.json` says of the probes of a session."""
    try:
        content: Any = load(root / file.file_path, file.rel_path)
    except InvalidData as error:
        report.problems.append(Problem(file.file_path, "bad_metadata", error.detail[:1000]))
        return []
    probes = []
    for item in content if isinstance(content, list) else [content]:
        label = item.get("label") if isinstance(item, dict) else None
        if not isinstance(label, str) or not label.strip():
            report.problems.append(Problem(file.file_path, "bad_metadata", "a probe without a label"))
            continue
        serial, model = (str(item[key]) if item.get(key) else None for key in ("serial", "model"))
        model = MODELS.get(model or "", model)
        probes.append(Probe(printable(label)[:32], serial and printable(serial)[:64], model and printable(model)[:64]))
    return probes
