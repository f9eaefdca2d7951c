"""Uuids of records whose key has several columns: they follow from the key, and stay when the key is changed."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.schemas import identity

NAMESPACE = uuid.UUID("0f5a4d2c-9f6e-3b7a-8c1d-2e6b4a7d9c31")
"""Of the uuids."""
TABLES = frozenset(
    {
        "action.Weighing", "action.WaterAdministration", "action.WaterRestriction", "action.Surgery", "subject.Cull",
        "subject.GenotypeTest", "subject.Implant", "histology.Trajectory", "histology.AlignedChannel",
        "histology.ChannelLocation.Channel", "imaging.RoiSet.Roi",
    }
)  # fmt: skip
"""Tables whose rows other programs know by such a uuid, and whose keys people can change."""

Key = Mapping[str, Any]


def derived(columns: Sequence[str], key: Key) -> str:
    """The uuid (version 3) that follows from a key.

    >>> derived(["lab", "location"], {"lab": "simlab", "location": "rig1"})
    'aad3bc0e-11f2-36d1-ba09-508c91f00dc9'
    """
    return str(uuid.uuid3(NAMESPACE, f"{'/'.join(columns)}:{'/'.join(_as_text(key[name]) for name in columns)}"))


def keep(table: str, columns: Sequence[str], moved: Iterable[tuple[Key, Key]]) -> None:
    """Let records keep their uuids. To be called in the transaction that changes their keys.

    Parameters
    ----------
    table
        `schema.Table`; nothing is done for those that are not in `TABLES`.
    columns
        Its primary key.
    moved
        Pairs of the key before and after.
    """
    if table not in TABLES:
        return
    pairs = [(derived(columns, old), derived(columns, new)) for old, new in moved]
    if not pairs:
        return
    of_table = identity.RecordId & {"record_table": table}
    before = [{"derived_id": old} for old, _ in pairs]
    known = {row["derived_id"]: row["record_id"] for row in (of_table & before).to_dicts()}
    (of_table & before).delete_quick()
    rows = [
        {"record_table": table, "derived_id": new, "record_id": known.get(old, old)}
        for old, new in pairs
        if known.get(old, old) != new
    ]
    identity.RecordId.insert(rows, skip_duplicates=True)


def _as_text(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S.%f}" if isinstance(value, datetime.datetime) else str(value)
