"""The restriction to one record by the identifier in its address."""

from __future__ import annotations

from typing import Any

from one_bridge.server import values
from one_bridge.server.endpoint_model import BadInput, Endpoint, Field, NotFound
from one_bridge.server.record_uuids import by_uuid
from pipeline.web.threads import Database


def by_id(endpoint: Endpoint, text: str, database: Database) -> str:
    """The restriction to the record with this identifier.

    Raises
    ------
    NotFound
        It cannot be one.
    """
    try:
        values.printable(text)
    except ValueError:
        return "1=0"
    if len(endpoint.id) > 1 and values.is_uuid(text.lower()):
        return by_uuid(endpoint.table, endpoint.id, text.lower(), database.backend)
    if endpoint.alias and (values.is_uuid(text.lower()) or len(endpoint.id) > 1):
        column, value = endpoint.alias, text.lower() if endpoint.alias.endswith("uuid") else text
        if endpoint.alias.endswith("uuid") or not _looks_like_token(endpoint, text):
            return values.key_condition([column], [[value]], database.backend)
    key = values.from_id(text, len(endpoint.id))
    if endpoint.id[0] in ("eid", "pid", "dataset_id", "note_id", "task_uuid"):
        key[0] = key[0].lower()
    heading = endpoint.base().heading
    for column, value in zip(endpoint.id, key, strict=True):
        declared = str(heading[column].original_type or heading[column].type).lower()
        kind: Any = (
            "int" if "int" in declared else "time" if "time" in declared else "date" if "date" in declared else ""
        )
        try:
            _ = values.parse(Field(column, kind=kind), value) if kind else value
        except BadInput:
            if endpoint.alias:  # e.g. the acronym of a region
                return values.key_condition([endpoint.alias], [[text]], database.backend)
            raise NotFound from None
    return values.key_condition(endpoint.id, [key], database.backend)


def _looks_like_token(endpoint: Endpoint, text: str) -> bool:
    try:
        values.from_id(text, len(endpoint.id))
    except NotFound:
        return False
    return True
