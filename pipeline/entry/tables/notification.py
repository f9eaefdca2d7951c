"""What people want to be told of."""

from __future__ import annotations

from pipeline.entry.fields import Field, TableEntry
from pipeline.entry.tables.common import term, user

TABLES = (
    TableEntry(
        "notification.Rule",
        "notification rule",
        (
            user("user_name", required=True, fixed=True),
            term("event", 48, required=True, fixed=True, description="e.g. underweight"),
            Field("scope", "choice", choices=("none", "mine", "lab", "all"), description="of whose animals"),
            Field("rule_channel", "choice", choices=("mail", "inbox", "digest"),
                  description="at once, on the site only, or once a day"),
        ),
    ),
)  # fmt: skip
