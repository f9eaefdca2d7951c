"""The calls of the first paper, `one.list` and `one.load` by dataset type, on top of today's."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any

from one import util

from one_bridge.matching import by_ids, vocabulary
from pipeline.errors import UserError
from pipeline.schemas import acquisition, data, lab


class OldCalls:
    """A part of `one_bridge.ONE`."""

    load_dataset_from_id: Callable[..., Any]
    to_eid: Callable[..., Any]

    def list(self, eid: Any = None, keyword: str = "dataset-type") -> list[str]:
        """The dataset types of a session; without one, all names of a kind.

        Parameters
        ----------
        keyword : without a session: dataset-type, subjects, labs, users, projects or tags.

        >>> one.list(eid)  # doctest: +SKIP
        ['trials.choice', 'trials.intervals', 'wheel.position', 'wheel.timestamps']
        """
        if eid is not None:
            return sorted({name for _, name in self._types_of(eid)})
        kinds = {
            "dataset-type": (data.DatasetType, "dataset_type"), "subjects": (acquisition.Session, "subject"),
            "labs": (lab.Lab, "lab"), "users": (lab.LabMember, "user_name"), "projects": (lab.Project, "project"),
            "tags": (data.Tag, "tag"),
        }  # fmt: skip
        if keyword not in kinds:
            raise UserError(f"nothing is listed by {keyword!r}", f"use one of {', '.join(kinds)}")
        return vocabulary(*kinds[keyword])

    @util.parse_id
    def load(
        self, eid: Any, dataset_types: str | Sequence[str] | None = None, download_only: bool = False
    ) -> builtins.list[Any]:
        """Load the datasets of these types, one after the other in the order given; None where there is none.

        Without types all datasets of the session are loaded. Of several revisions the default one is taken.
        """
        types = [dataset_types] if isinstance(dataset_types, str) else dataset_types
        datasets = self._types_of(eid)
        wanted = [name for _, name in datasets] if types is None else [*types]
        loaded: builtins.list[Any] = []
        for name in dict.fromkeys(wanted):
            ids = [dataset_id for dataset_id, own in datasets if own == name]
            loaded += [self.load_dataset_from_id(id_, download_only) for id_ in ids] or [None]
        return loaded

    def _types_of(self, eid: Any) -> builtins.list[tuple[str, str]]:
        """Id and type of the default datasets of a session; where no type is registered, its object and attribute."""
        session = acquisition.Session() & by_ids("eid", [self.to_eid(eid)])
        datasets = data.Dataset() & session.proj() & {"default_dataset": True}
        rows = datasets.proj("rel_path", "dataset_type", "alf_object", "alf_attribute").to_dicts(order_by="rel_path")
        return [
            (row["dataset_id"], row["dataset_type"] or f"{row['alf_object']}.{row['alf_attribute']}") for row in rows
        ]
