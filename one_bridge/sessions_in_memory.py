"""Sessions in memory, for questions that come one after the other while nobody writes.

The terms of `one_bridge.terms` say what a search means; here their restrictions are looked up in columns in place of
the database. What only the database can answer (which sessions belong to a project) is asked once.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from one_bridge import query
from one_bridge.matching import Comparison, Reading
from one_bridge.unchanged import Answers, question
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import acquisition

TERMS = frozenset({"subject", "nickname", "lab", "laboratory", "number", "date_range", "task_protocol", "project",
                   "projects"})  # fmt: skip
"""What is looked up here: each needs a column of sessions, or one short statement. In the others, the database is
faster with all terms of a search at once."""
_COMPARE = {">=": pc.greater_equal, "<=": pc.less_equal}


class SessionsInMemory:
    """All sessions as they were when this was made, newest first.

    Parameters
    ----------
    uuids : from texts of identifiers to uuids.
    """

    def __init__(self, uuids: Any) -> None:
        rows = fetch_columns(acquisition.Session, "eid", *query.SESSION_KEY, "task_protocol")
        self._rows = query.newest_first(rows).combine_chunks()
        self._uuids = np.array(uuids(self._rows["eid"].to_pylist()), dtype=object)
        self._masks = Answers()

    def search(self, terms: Mapping[str, Any], reading: Reading) -> list[UUID]:
        """The sessions that match all terms, each of which is one of `TERMS`; of `reading` there is no tag."""
        wanted = np.ones(len(self._uuids), bool)
        for name, value in terms.items():
            asked = question(name, value, reading.style, reading.wildcards)
            wanted &= self._masks.get(asked, partial(self._mask, name, value, reading))
        return self._uuids[wanted].tolist()

    def _mask(self, name: str, value: Any, reading: Reading) -> np.ndarray:
        mask = np.ones(len(self._uuids), bool)
        for restriction in query.SESSION_TERMS[name](value, reading, {name: value}):
            mask &= self._meets(restriction)
        return mask

    def _meets(self, restriction: Any) -> np.ndarray:
        if isinstance(restriction, Comparison):
            return self._compared(restriction)
        eids = fetch_columns(acquisition.Session & restriction, "eid")["eid"]
        return pc.is_in(self._rows["eid"], eids.combine_chunks()).to_numpy()

    def _compared(self, restriction: Comparison) -> np.ndarray:
        column = self._rows[restriction.column]
        if restriction.operator == "IN":
            wanted = set(restriction.value)
            present = [value for value in pc.unique(column).to_pylist() if value in wanted]
            return pc.is_in(column, pa.array(present, column.type)).to_numpy()
        return _COMPARE[restriction.operator](column, pa.scalar(restriction.value, column.type)).to_numpy()
