"""From the uuid of a record to its row, in tables whose key has several columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from one_bridge.server import values
from one_bridge.server.endpoint_model import table


def by_uuid(name: str, columns: Sequence[str], identifier: str, backend: str) -> str:
    """SQL that selects the row that is known by a uuid, of a table whose key has several columns."""
    heading = table(name)().heading
    kinds = {column: str(heading[column].original_type or heading[column].type) for column in columns}
    kept = (table("identity.RecordId") & {"record_table": name, "record_id": identifier}).to_arrays("derived_id")
    return " OR ".join(values.uuid_condition(kinds, str(item), backend) for item in [identifier, *kept])


def rows_of(name: str, columns: Sequence[str], address: str) -> list[dict[str, Any]]:
    """The keys of the rows of a table that the uuid, or the address, of a record names: one or none."""
    identifier = address.rstrip("/").rpartition("/")[2].lower()
    if not values.is_uuid(identifier):
        return []
    rows = table(name)()
    matching = rows & by_uuid(name, columns, identifier, rows.connection.adapter.backend)
    return matching.proj().to_dicts()
