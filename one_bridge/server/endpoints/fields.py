"""What the definitions of endpoints share: short forms of fields, names of tables that values refer to."""

from __future__ import annotations

from typing import Any

from one_bridge.matching import QC_LEVELS, InvalidQuery, truth
from one_bridge.server import field_getters
from one_bridge.server.endpoint_model import BadInput, Endpoint, Field, Relation, Verb

QC = tuple(QC_LEVELS)
SESSION = ("lab", "subject", "session_date", "session_number")
USER, PROJECT, LAB = ("lab.LabMember", "username"), ("lab.Project", "name"), ("lab.Lab", "name")
PROCEDURE = ("action.ProcedureType", "name")
KINDS = ("local", "ssh", "sftp", "s3", "http", "globus")
READ_ONLY: tuple[Verb, ...] = ("list", "read")


def qc_field(column: str, **more: Any) -> Field:
    """A QC outcome, by name or number."""
    return Field("qc", column, choices=QC, ranks=QC_LEVELS, **more)


def notes_of(column: str) -> Relation:
    """From a record to the notes on it."""
    return Relation("notes", (column,), ("note_object_id",))


def users_by(column: str) -> Relation:
    """From a record to the person in one of its columns."""
    return Relation("users", (column,), ("user_name",))


def field(name: str, column: str = "", kind: Any = "text", filter: str = "", **more: Any) -> Field:
    return Field(name, column or name, kind, filter, **more)


def made(name: str, how: Any, *needs: str, **more: Any) -> Field:
    return Field(name, getter=how, needs=needs, write=False, **more)


def absent(name: str, how: Any = field_getters.nothing, kind: Any = "text", **more: Any) -> Field:
    """A value that Alyx has and these tables do not: filters take it for null."""
    return Field(name, kind=kind, getter=how, sql=lambda _: "NULL", write=False, **more)


def boolean(name: str, text: str) -> bool:
    """The value of a parameter that is true or false.

    Raises
    ------
    BadInput : it is neither.
    """
    try:
        return truth(text)
    except InvalidQuery as error:
        raise BadInput(name, error.message) from None


def url(endpoint: str, *needs: str) -> Field:
    return made("url", field_getters.url(endpoint, needs), *needs)


def token(*needs: str) -> Field:
    return made("id", field_getters.token(needs), *needs)


def names(name: str, label: str, table_name: str, column: str, *fields: Field, **more: Any) -> Endpoint:
    """An endpoint whose records are found by their name."""
    own = (made("id", field_getters.column(column), column), field("name", column, "text", "iexact", required=True))
    return Endpoint(name, label, table_name, (column,), (*own, *fields), **more)


SUBJECT_FIELD = field("subject", filter="iexact", required=True)
