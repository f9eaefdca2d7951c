"""Keys of sessions, between rows of tables and what the reading of folders calls a session."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import datajoint as dj

from ingest.files.scan import SessionKey
from pipeline.database.bulk import fetch_columns

SESSION = ("lab", "subject", "session_date", "session_number")


def session_key(row: Mapping[str, Any]) -> SessionKey:
    """The session that a row belongs to."""
    return SessionKey(row["lab"], row["subject"], str(row["session_date"]), row["session_number"])


def keys_of(sessions: Sequence[SessionKey]) -> list[dict[str, Any]]:
    """Restriction to some sessions."""
    return [dict(zip(SESSION, key, strict=True)) for key in sessions]


def fetch_for(table: type[dj.Table], sessions: Sequence[SessionKey], names: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of these sessions as dicts."""
    return fetch_columns(table & keys_of(sessions), *names).to_pylist() if sessions else []


def primary_key(key: SessionKey) -> dict[str, Any]:
    """The primary key of a session."""
    return dict(zip(SESSION, (key.lab, key.subject, datetime.date.fromisoformat(key.date), key.number), strict=True))
