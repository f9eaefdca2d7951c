"""Rows of fields of view, from the folders `alf/FOV_00`, `alf/FOV_01` … of two-photon sessions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ingest.files.scan import SessionKey
from ingest.rows.session_keys import SESSION, fetch_for, session_key
from ingest.rows.writing import Writer
from pipeline.alf import identity
from pipeline.schemas import imaging

if TYPE_CHECKING:
    from ingest.files.report import Report

_FOLDER = re.compile(r"alf/(FOV_\w{1,60})", re.IGNORECASE)


def fov_uuid(session: SessionKey, name: str) -> str:
    """The identifier that a field of view gets where none is given."""
    return identity.dataset_id(identity.session_path(*session), f"alf/{name}")


def write(writer: Writer, reports: Sequence[Report]) -> None:
    """Enter fields of view that are new; those that are there stay as they are, also where their files are gone."""
    fields = {
        (*report.folder.key, match[1])
        for report in reports
        for file in report.files
        if (match := _FOLDER.fullmatch(file.collection))
    }
    if not fields:
        return
    sessions = sorted({SessionKey(*key[:4]) for key in fields})
    names = (*SESSION, "fov_name")
    there = {(*session_key(row), row["fov_name"]) for row in fetch_for(imaging.FieldOfView, sessions, names)}
    new = [(*key, fov_uuid(SessionKey(*key[:4]), key[4])) for key in sorted(fields - there)]
    writer.put(imaging.FieldOfView, (*names, "fov_uuid"), new, "skip")
