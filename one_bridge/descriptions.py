"""What kinds of datasets and revisions there are, in words: the client's calls of that kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import datajoint as dj
from one import util
from one.alf.spec import is_uuid_string

from one_bridge import frames, query
from one_bridge.matching import by_ids, one_of
from pipeline.alf.dataset_types import DATASET_TYPES, describe
from pipeline.schemas import acquisition, data


class Descriptions:
    """A part of `one_bridge.ONE`."""

    # of the classes that are joined in `one_bridge.ONE`
    _reading: query.Reading

    def describe_dataset(self, dataset_type: str | None = None) -> Any:
        """Print what a dataset type, or the type of a dataset, means; returns its record, or those of all types.

        A record has name, description, filename_pattern, and, of the types of the published convention, shape and unit.
        A former name, and one with a namespace, lead to the type too.
        """
        if not dataset_type:
            return [_type_record(row) for row in data.DatasetType().to_dicts(order_by="dataset_type")]
        rows = []
        if isinstance(dataset_type, str) and not is_uuid_string(dataset_type):
            rows = (data.DatasetType() & {"dataset_type": dataset_type}).to_dicts()
            if not rows and (known := describe(dataset_type)) is not None:
                rows = (data.DatasetType() & {"dataset_type": known.name}).to_dicts()
        if not rows:
            rows = (data.DatasetType() & {"dataset_type": self.dataset2type(dataset_type)}).to_dicts()
        record = _type_record(rows[0])
        print(record["description"])
        return record

    def dataset2type(self, dset: str | UUID) -> str | None:
        """The dataset type of a dataset, by its id or its name.

        Raises
        ------
        ValueError : no such dataset.
        """
        if isinstance(dset, UUID) or is_uuid_string(str(dset)):
            datasets: dj.Table = data.Dataset() & by_ids("dataset_id", [dset])
        else:
            names = {"name": str(dset).rpartition("/")[2]}
            datasets = query.datasets(names, self._reading)
        rows = datasets.proj("dataset_type").to_dicts(order_by="dataset_id", limit=1)
        if not rows:
            raise ValueError(f"Dataset {dset} not found in cache")
        return rows[0]["dataset_type"]

    @util.parse_id
    def type2datasets(self, eid: Any, dataset_type: str | Sequence[str], details: bool = False) -> Any:
        """The datasets of a session that have a type, or one of several."""
        if not isinstance(dataset_type, str | Sequence):
            raise TypeError("dataset_type must be a str or str list")
        wanted = [dataset_type] if isinstance(dataset_type, str) else list(dataset_type)
        known = [name for name in query.vocabulary(data.DatasetType, "dataset_type") if name in wanted]
        matching = query.datasets(reading=self._reading) & (acquisition.Session() & by_ids("eid", [eid])).proj()
        datasets = frames.frame("datasets", query.dataset_rows(matching & one_of("dataset_type", known)))
        return datasets if details else datasets["rel_path"].sort_values().values

    def describe_revision(self, revision: str, full: bool = False) -> dict[str, Any] | None:
        """Print what changed in a revision; returns its record with `full`."""
        rows = [row for row in data.Revision().to_dicts() if row["revision"] == revision]
        if not rows:
            print(f'revision "{revision}" not found')
            return None
        print(rows[0]["revision_description"])
        return {"name": revision, "description": rows[0]["revision_description"]} if full else None


def _type_record(row: dict[str, Any]) -> dict[str, Any]:
    known = DATASET_TYPES.get(row["dataset_type"])
    return {
        "name": row["dataset_type"],
        "description": known.description if known else row["type_description"],
        "filename_pattern": row["filename_pattern"] or None,
        "shape": known.shape if known else "",
        "unit": known.unit if known else "",
    }
