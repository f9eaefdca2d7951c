"""Freeze the datasets of a tag as a release: every file is read once, and what was read is what the release holds."""

from __future__ import annotations

import datetime
import getpass
import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import datajoint as dj
import pyarrow as pa

from exchange.releases.contents import Digest, digest_of
from one_bridge import file_locations, query
from one_bridge.light import manifest
from pipeline import entry, policy
from pipeline.alf import names
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns, insert_many
from pipeline.errors import ConflictError, NeurojointError, NotFoundError, UserError
from pipeline.policy import contents
from pipeline.schemas import data, publication
from pipeline.settings import settings

THREADS, SHARE = 8, 64
"""So many threads read files, each so many in a row."""
Progress = Callable[[int], None]
"""Called with the number of bytes read since the last call."""


@dataclass(frozen=True)
class Release:
    """A frozen release.

    Attributes
    ----------
    row : of `publication.Release`.
    """

    row: dict[str, Any]

    @property
    def key(self) -> dict[str, Any]:
        """Of `publication.Release`."""
        return {name: self.row[name] for name in ("release", "release_version")}

    @property
    def name(self) -> str:
        """As folders and zips are called.

        >>> Release({"release": "paper", "release_version": 2}).name
        'paper-v2'
        """
        return f"{self.row['release']}-v{self.row['release_version']}"

    def files(self) -> list[manifest.File]:
        """The files, sorted by path."""
        columns = ("release_path", "release_size", "release_md5", "release_sha256", "release_dataset",
                   "release_file_eid")  # fmt: skip
        table = fetch_columns(publication.Release.File & self.key, *columns).sort_by("release_path").to_pydict()
        return list(map(manifest.File._make, zip(*(table[name] for name in columns), strict=True)))

    def local_paths(self, files: Iterable[manifest.File]) -> dict[str, str]:
        """Where its files lie on this computer: dataset -> path; see `local_paths`."""
        own = dj.U("dataset_id") & (publication.Release.File & self.key).proj(dataset_id="release_dataset")
        return local_paths((file.dataset for file in files), own)


class _Source(NamedTuple):
    dataset: str
    eid: str
    rel_path: str
    path: str
    md5: str
    default: bool
    qc: str


def create(
    name: str,
    tag: str,
    *,
    title: str = "",
    description: str = "",
    authors: Iterable[str] = (),
    license: str = "",
    progress: Progress = lambda n: None,
) -> tuple[Release, bool]:
    """Freeze the datasets of a tag, which becomes protected and public.

    Where the newest version of that name has the same content, that is returned; where another, a new version.

    Returns
    -------
    The release, and whether it is new.

    Raises
    ------
    NotFoundError : no such tag, or none of its datasets may leave.
    ConflictError : the tag changed meanwhile, or a file is not what was registered; nothing is written.
    NeurojointError : files are not here.
    """
    try:
        names.check(name, "tag")
    except ValueError as error:
        raise UserError(str(error).replace("tag", "release"), "use letters, digits, - and _") from None
    rules = policy.current()
    sources, sessions = _collect(tag, rules)
    animals = {row["eid"]: row["subject"] for row in sessions} if rules.has_pseudonyms else {}
    digests = _read(sources, _datasets(tag, rules), animals, progress)
    files = [
        manifest.File(one.path, digest.size, digest.md5, digest.sha256, one.dataset, one.eid)
        for one, digest in zip(sources, digests, strict=True)
    ]
    table = hashlib.sha256(manifest.dump(files)).hexdigest()
    earlier = versions(name)
    if earlier and earlier[-1].row["manifest_hash"] == table:
        return earlier[-1], False
    chosen = settings().publication
    row = {
        "release": name,
        "release_version": earlier[-1].row["release_version"] + 1 if earlier else 1,
        "release_title": title or (earlier[-1].row["release_title"] if earlier else name),
        "release_description": description or (earlier[-1].row["release_description"] if earlier else ""),
        "release_tag": tag,
        "release_license": license or chosen.license,
        "release_authors": list(authors) or list(chosen.authors),
        "release_publisher": chosen.publisher or _institutions(sessions),
        "release_frozen": datetime.datetime.now(datetime.UTC).replace(tzinfo=None, microsecond=0),
        "release_policy": rules.described(),
        "manifest_hash": table,
        "release_files": len(files),
        "release_bytes": sum(file.size for file in files),
        "previous_version": earlier[-1].row["release_version"] if earlier else None,
    }
    release = Release(row)
    connection = publication.Release().connection
    with connection.transaction:
        if {source.dataset for source in sources} != set(_collect_ids(tag, rules)):
            raise ConflictError(f"the tag {tag} changed while it was frozen", "run the command again")
        publication.Release.insert1(row)
        insert_many(publication.Release.Session, release.key | _columns(sessions))
        insert_many(publication.Release.File, release.key | _file_columns(sources, digests))
        _protect(tag)
        data.Change.record([data.ChangeNote("released", release.name, f"{len(files)} datasets of the tag {tag}")])
    return versions(name)[-1], True


def versions(name: str) -> list[Release]:
    """The versions of a release, oldest first."""
    rows = (publication.Release & {"release": name}).to_dicts(order_by="release_version")
    return [Release(row) for row in rows]


def find(name: str) -> Release:
    """A release by its name (the newest version) or by name and version, e.g. `paper-v2`.

    Raises
    ------
    NotFoundError : there is none.
    """
    matching = versions(name)
    if not matching and "-v" in name:
        plain, _, number = name.rpartition("-v")
        matching = [version for version in versions(plain) if str(version.row["release_version"]) == number]
    if not matching:
        known = sorted({row["release"] for row in publication.Release().to_dicts()})
        raise NotFoundError(f"there is no release {name!r}", f"releases are: {', '.join(known) or 'none'}")
    return matching[-1]


def _collect(tag: str, rules: policy.Policy) -> tuple[list[_Source], list[dict[str, Any]]]:
    """Datasets and sessions of a tag, under the names of the policy."""
    if not (data.Tag & {"tag": tag}):
        known = ", ".join(query.vocabulary(data.Tag, "tag")) or "none"
        raise NotFoundError(f"there is no tag {tag!r}", f"tags are: {known}")
    reading = query.Reading(tag=tag)
    rows = query.session_rows(rules.without_embargoed(query.sessions(reading=reading)))
    sessions = [
        row
        | {
            "path": rules.session_path(row["lab"], row["subject"], row["date"], row["number"]),
            "shown_subject": rules.subject(row["lab"], row["subject"]),
            "shown_date": rules.day(row["lab"], row["subject"], row["date"]),
        }
        for row in rows.to_pylist()
    ]
    places = {row["eid"]: row["path"] for row in sessions}
    datasets = query.dataset_rows(_datasets(tag, rules)).to_pylist()
    if not datasets:
        raise NotFoundError(f"no dataset of the tag {tag} may leave", "add datasets: `neurojoint tag add`")
    away = [row for row in datasets if not row["exists"]]
    if away:
        raise NeurojointError(
            f"{len(away)} datasets are not online, e.g. {places[away[0]['eid']]}/{away[0]['rel_path']}",
            "bring them back: `neurojoint retrieve`, or take them out of the tag",
        )
    sources = [
        _Source(
            row["id"], row["eid"], row["rel_path"], f"{places[row['eid']]}/{row['rel_path']}", row["hash"] or "",
            bool(row["default_revision"]), row["qc"],
        )
        for row in datasets
    ]  # fmt: skip
    return sorted(sources, key=lambda one: one.path), sorted(sessions, key=lambda row: row["eid"])


def _collect_ids(tag: str, rules: policy.Policy) -> list[str]:
    return fetch_columns(_datasets(tag, rules), "dataset_id")["dataset_id"].to_pylist()


def _datasets(tag: str, rules: policy.Policy) -> dj.Table:
    return rules.without_embargoed(query.datasets(reading=query.Reading(tag=tag)))


def local_paths(wanted: Iterable[str], datasets: dj.expression.QueryExpression) -> dict[str, str]:
    """Files of datasets on this computer, brought here from the nearest place where they are not.

    Parameters
    ----------
    datasets : the same ones, as a query with `dataset_id`.
    """
    records = query.online().restrict(datasets, semantic_check=False)  # a release names its datasets itself
    paths = file_locations.places(records)
    if missing := [item for item in wanted if item not in paths]:
        paths |= {item: copy.place for item, copy in file_locations.fetch(missing).items()}
    return paths


def _read(sources: list[_Source], datasets: dj.Table, animals: Mapping[str, str], progress: Progress) -> list[Digest]:
    """Read every file once; what was registered must come out.

    Parameters
    ----------
    datasets : those of the sources.
    animals : of sessions (eid) the name that no text file may say.
    """
    paths = local_paths((source.dataset for source in sources), datasets.proj())
    missing = [source for source in sources if source.dataset not in paths]
    if missing:
        raise NeurojointError(
            f"{len(missing)} files are not here, e.g. {missing[0].path}", "mount their disk, or `neurojoint retrieve`"
        )

    contents.check(((Path(paths[source.dataset]), animals[source.eid]) for source in sources) if animals else ())

    def read(one: _Source) -> Digest:
        digest, registered = digest_of(paths[one.dataset])
        if one.md5 and registered != one.md5:
            raise ConflictError(
                f"{paths[one.dataset]} is not what was registered", "run `neurojoint ingest` on its data root"
            )
        return digest

    all_digests: list[Digest] = []
    shares = [sources[at : at + SHARE] for at in range(0, len(sources), SHARE)]
    with ThreadPoolExecutor(THREADS) as pool:
        for digests in pool.map(lambda share: [read(item) for item in share], shares):
            all_digests += digests
            progress(sum(item.size for item in digests))
    return all_digests


def _columns(sessions: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "release_eid": [row["eid"] for row in sessions],
        "release_lab": [row["lab"] for row in sessions],
        "release_subject": [row["shown_subject"] for row in sessions],
        "release_date": [row["shown_date"] for row in sessions],
        "release_number": [row["number"] for row in sessions],
        "release_protocol": [row["task_protocol"] or "" for row in sessions],
        "release_projects": [(row["projects"] or "")[:1000] for row in sessions],
    }


def _file_columns(sources: list[_Source], digests: list[Digest]) -> dict[str, Any]:
    return {
        "release_dataset": [item.dataset for item in sources],
        "release_file_eid": [item.eid for item in sources],
        "release_path": [item.path for item in sources],
        "release_rel_path": [item.rel_path for item in sources],
        "release_size": pa.array([digest.size for digest in digests], pa.int64()),
        "release_md5": [digest.md5 for digest in digests],
        "release_sha256": [digest.sha256 for digest in digests],
        "release_source_md5": [source.md5 or one.md5 for source, one in zip(sources, digests, strict=True)],
        "release_default": [item.default for item in sources],
        "release_qc": [item.qc for item in sources],
    }


def _institutions(sessions: list[dict[str, Any]]) -> str:
    lab = registry.bind("lab")
    rows = (lab.Lab & query.one_of("lab", sorted({row["lab"] for row in sessions}))).to_dicts(order_by="lab")
    return "; ".join(dict.fromkeys(row["institution"] or row["lab_name"] or row["lab"] for row in rows))[:255]


def _protect(tag: str) -> None:
    registry.bind("audit")
    row = {"tag": tag, "tag_protected": True, "tag_public": True}
    entry.write(data.Tag, [row], user=getpass.getuser(), source="command")
