"""Datasets over many sessions: files below `aggregates/` of a data root (`aggregates/Subjects/lab/KS014/x.y.pqt`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import one.alf.exceptions as alferr
import pandas as pd
from one import util
from one.alf.cache import EMPTY_DATASETS_FRAME

from one_bridge import frames, query, safe_io


class Aggregates:
    """A part of `one_bridge.ONE`."""

    # of the classes that are joined in `one_bridge.ONE`
    wildcards: bool
    _check_filesystem: Callable[..., Any]

    def list_aggregates(
        self, relation: str, identifier: str | None = None, dataset=None, revision=None, assert_unique: bool = False
    ) -> pd.DataFrame:
        """The datasets over a relation (`subjects`, `tags` …), as `OneAlyx.list_aggregates`."""
        datasets = frames.frame("aggregates", query.aggregate_rows(query.aggregates(relation)))
        datasets = datasets.astype(EMPTY_DATASETS_FRAME.dtypes)
        if identifier is not None:
            datasets = datasets[datasets["identifier"].str.contains(identifier)]
        return util.filter_datasets(
            datasets, filename=dataset, revision=revision, wildcards=True, assert_unique=assert_unique
        )

    def load_aggregate(
        self, relation: str, identifier: str, dataset=None, revision=None, download_only: bool = False
    ) -> Any:
        """Load one dataset over a relation, as `OneAlyx.load_aggregate`; one with pickles raises `InvalidData`."""
        if self.wildcards and isinstance(dataset, str) and len(dataset.split(".")) == 2:
            dataset += ".*"
        datasets = self.list_aggregates(relation, identifier, dataset=dataset, revision=revision, assert_unique=True)
        if datasets.empty:
            raise alferr.ALFObjectNotFound(f"{dataset or 'dataset'} not found for {relation}/{identifier}")
        (file,) = self._check_filesystem(datasets)
        if not file:
            raise alferr.ALFObjectNotFound("Dataset file not found on disk")
        return file if download_only else safe_io.load_file_content(file)
