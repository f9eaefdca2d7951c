"""A part of `one_bridge.ONE`: datasets are loaded from where their files lie, and pickles are never opened."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import one.alf.exceptions as alferr
import pandas as pd
from iblutil.util import Bunch
from one import util
from one.alf.path import ALFPath, rel_path_parts
from one.api import One
from one.converters import datasets2records

from one_bridge import file_locations, safe_io

logger = logging.getLogger("one_bridge.api")


class Loading(One):
    """The client's class whose files are found through the records of copies."""

    _mirror: Path | None = None
    _dataset_frame: Callable[..., pd.DataFrame]

    retriever: Callable[[list[str]], None] | None = None
    """Called with the identifiers of datasets that are in an archive; it brings them back and waits for it, as
    `exchange.transfers.retrieve.bring` does. Without one a message says how to get them."""

    @util.parse_id
    def load_object(
        self, eid, obj, collection=None, revision=None, query_type=None, download_only=False, check_hash=True, **kwargs
    ) -> Any:
        """As `One.load_object`; files that hold pickles raise `InvalidData`."""
        files = super().load_object(eid, obj, collection, revision, query_type, True, check_hash, **kwargs)
        return files if download_only else safe_io.load_object(files, wildcards=self.wildcards, **kwargs)

    @util.parse_id
    def load_dataset(
        self, eid, dataset, collection=None, revision=None, query_type=None, download_only=False, check_hash=True
    ) -> Any:
        """As `One.load_dataset`; files that hold pickles raise `InvalidData`."""
        file = super().load_dataset(eid, dataset, collection, revision, query_type, True, check_hash)
        return file if download_only else safe_io.load_file_content(file)

    @util.parse_id
    def load_datasets(
        self, eid, datasets, collections=None, revisions=None, query_type=None, assert_present=True,
        download_only=False, check_hash=True,
    ) -> Any:  # fmt: skip
        """As `One.load_datasets`; files that hold pickles raise `InvalidData`."""
        files, records = super().load_datasets(
            eid, datasets, collections, revisions, query_type, assert_present, True, check_hash
        )
        if files is None or download_only:
            return files, records
        return [safe_io.load_file_content(file) for file in files], records

    def load_dataset_from_id(self, dset_id, download_only=False, details=False, check_hash=True) -> Any:
        """As `One.load_dataset_from_id`; files that hold pickles raise `InvalidData`."""
        if not isinstance(dset_id, str | UUID):
            raise ValueError(f"{dset_id!r} is no uuid")
        dset_id = UUID(dset_id) if isinstance(dset_id, str) else dset_id
        frame = self._dataset_frame([dset_id])
        if frame.empty:
            raise alferr.ALFObjectNotFound("Dataset not found")
        (file,) = self._check_filesystem(frame, check_hash=check_hash)
        if not file:
            raise alferr.ALFObjectNotFound("Dataset not found")
        output = file if download_only else safe_io.load_file_content(file)
        return (output, frame.iloc[0]) if details else output

    @util.parse_id
    def load_collection(
        self, eid, collection, object=None, revision=None, query_type=None, download_only=False, check_hash=True,
        **kwargs,
    ) -> Any:  # fmt: skip
        """As `One.load_collection`, which takes the revision for a collection; files that hold pickles raise
        `InvalidData`.
        """
        datasets = self.list_datasets(eid, details=True, collection=collection, keep_eid_index=True)
        if len(datasets) == 0:
            raise alferr.ALFError(f"{collection} not found for session {eid}")
        from one.api import REVISION_LAST_BEFORE

        datasets = util.filter_datasets(
            datasets, {"object": object, **kwargs}, revision=revision or REVISION_LAST_BEFORE, assert_unique=False,
            wildcards=self.wildcards,
        )  # fmt: skip
        if len(datasets) == 0:
            raise alferr.ALFObjectNotFound(object or "")
        paths = self._check_filesystem(datasets, check_hash=check_hash)
        names = [rel_path_parts(path)[3] or "" for path in datasets["rel_path"]]
        files = [(file, name) for file, name in zip(paths, names, strict=True) if file]
        if not files:
            raise alferr.ALFObjectNotFound(f'ALF collection "{collection}" not found on disk')
        if download_only:
            return tuple(file for file, _ in files)
        return Bunch(
            {
                name: safe_io.load_object(
                    [file for file, own in files if own == name], wildcards=self.wildcards, **kwargs
                )
                for name in dict.fromkeys(name for _, name in files)
            }
        )

    def _check_filesystem(self, datasets: Any, offline=None, update_exists=True, check_hash=True) -> list:
        """The files of datasets here, None where there is none; a file that is not as registered is logged."""
        if isinstance(datasets, pd.Series):
            datasets = pd.DataFrame([datasets])
            datasets.index.set_names(["eid", "id"] if datasets.index.nlevels == 2 else ["id"], inplace=True)
        elif not isinstance(datasets, pd.DataFrame):
            datasets = datasets2records(list(datasets))
        if datasets.empty:
            return []
        ids = [str(get_level_value) for get_level_value in datasets.index.get_level_values("id")]
        locate = file_locations.locate_aggregates if "relation" in datasets else file_locations.locate
        here = locate(ids, self._mirror)
        absent = [id_ for id_ in ids if id_ not in here]
        if absent and locate is file_locations.locate:
            here |= self._bring(absent)
        files: list[ALFPath | None] = []
        for dataset_id, row in zip(ids, datasets.to_dict("records"), strict=True):
            copy = here.get(dataset_id)
            files.append(None if copy is None else ALFPath(copy.path))
            md5 = row["hash"] if isinstance(row["hash"], str) else ""
            if copy and (what := file_locations.changed(copy, int(row["file_size"]), md5, check_hash)):
                logger.warning("local %s mismatch on dataset: %s", what, copy.path.relative_to(copy.root).as_posix())
        if self.record_loaded:
            loaded = datasets.index.get_level_values("id")[np.fromiter(map(bool, files), bool)].to_numpy()
            cache: Any = self._cache  # a Bunch of the client, of more than data frames
            before = cache.get("_loaded_datasets", np.array([], dtype=object))
            cache["_loaded_datasets"] = np.unique(np.hstack([before, loaded]))
        return files

    def _bring(self, absent: list[str]) -> dict[str, file_locations.Copy]:
        """Files that are not here: from the nearest place online, else from an archive if there is a `retriever`."""
        here = file_locations.fetch(absent)
        archived = [item for item in absent if item not in here]
        if archived and self.retriever is not None:
            self.retriever(archived)
            here |= file_locations.locate(archived, self._mirror)
            archived = [item for item in archived if item not in here]
        if archived:
            logger.warning(
                "%d files are not on this computer; bring them back with: neurojoint retrieve --dataset %s",
                len(archived), " --dataset ".join(archived[:3]),
            )  # fmt: skip
        return here
