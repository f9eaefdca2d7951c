"""What a person says of what may leave the lab."""

from __future__ import annotations

from pipeline.entry.fields import Field, TableEntry
from pipeline.entry.tables.common import SUBJECT, text

TABLES = (
    TableEntry(
        "publication.Embargo",
        "embargo",
        (
            *SUBJECT,
            Field("embargo_until", "date", planned=True, description="first day on which it may be told of"),
            text("embargo_reason", 255, description="for the lab"),
        ),
    ),
)
