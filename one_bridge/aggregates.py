"""Datasets over many sessions: files below `aggregates/` of a data root (`aggregates/Subjects/lab/KS014/x.y.pqt`)."""

from __future__ import annotations

import uuid
from typing import Any

import one.alf.exceptions as alferr
import pandas as pd
from one import util
from one.alf.cache import QC_TYPE
from one.alf.path import ALFPath
from one.alf.spec import is_valid

from one_bridge import copies, reading

_NAMESPACE = uuid.UUID("6d1f7a0e-3c58-3d0b-9b55-0f4e7d4c3f5a")  # of all derived identifiers, as in ingest.identity
_COLUMNS = ["id", "rel_path", "file_size", "hash", "exists", "qc", "default_revision", "relation", "identifier"]


class Aggregates:
    """A part of `one_bridge.ONE`."""

    def list_aggregates(
        self, relation: str, identifier: str | None = None, dataset=None, revision=None, assert_unique: bool = False
    ) -> pd.DataFrame:
        """The datasets over a relation (`subjects`, `tags` …), as `OneAlyx.list_aggregates`."""
        rows = [row for row in self._aggregates() if row["relation"] == relation.casefold()]
        if identifier is not None:
            rows = [row for row in rows if identifier in row["identifier"]]
        found = pd.DataFrame(rows, columns=_COLUMNS)
        types = {"rel_path": "str", "exists": bool, "default_revision": bool, "qc": QC_TYPE, "file_size": "UInt64"}
        found = found.astype(types).set_index("id").sort_index()
        return util.filter_datasets(
            found, filename=dataset, revision=revision, wildcards=True, assert_unique=assert_unique
        )

    def load_aggregate(
        self, relation: str, identifier: str, dataset=None, revision=None, download_only: bool = False
    ) -> Any:
        """Load one dataset over a relation, as `OneAlyx.load_aggregate`."""
        if self.wildcards and isinstance(dataset, str) and len(dataset.split(".")) == 2:
            dataset += ".*"
        found = self.list_aggregates(relation, identifier, dataset=dataset, revision=revision, assert_unique=True)
        if found.empty:
            raise alferr.ALFObjectNotFound(f"{dataset or 'dataset'} not found for {relation}/{identifier}")
        (file,) = self._check_filesystem(found)
        return file if download_only else reading.load_file_content(file)

    def _aggregates(self) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for root in filter(None, (self._mirror, *copies.local_roots().values())):
            for path in sorted((root / "aggregates").rglob("*")):
                rel_path = path.relative_to(root).as_posix()
                parts = ALFPath(rel_path).parent.parts
                if not path.is_file() or not is_valid(path.name) or len(parts) < 3 or rel_path in found:
                    continue
                below = [part for part in parts[2:] if not part.startswith("#")]
                found[rel_path] = {
                    "id": uuid.uuid3(_NAMESPACE, rel_path), "rel_path": rel_path, "file_size": path.stat().st_size,
                    "hash": None, "exists": True, "qc": "NOT_SET", "relation": parts[1].casefold(),
                    "identifier": "/".join(below),
                }  # fmt: skip
        newest = {_parts(path)[0]: path for path in sorted(found, key=_parts)}
        return [row | {"default_revision": row["rel_path"] in newest.values()} for row in found.values()]

    def _aggregate_copies(self, datasets: pd.DataFrame) -> dict[str, copies.Copy]:
        here = {}
        for dataset_id, rel_path in zip(datasets.index.get_level_values("id"), datasets["rel_path"], strict=True):
            for root in filter(None, (self._mirror, *copies.local_roots().values())):
                if (path := root / rel_path).is_file():
                    here[str(dataset_id)] = copies.Copy(root, path, path.stat().st_size, path.stat().st_mtime_ns, "")
                    break
        return here


def _parts(rel_path: str) -> tuple[str, str]:
    """The path without its revision, and the revision."""
    folders = rel_path.split("/")
    return "/".join(one for one in folders if one[0] != "#"), "".join(one for one in folders if one[0] == "#")
