"""What an account may do to a record beyond the role that its endpoint asks for (see docs/server.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from one_bridge.server.endpoint_model import Endpoint, Refused, table
from pipeline.entry import policy
from pipeline.entry.policy import Person
from pipeline.web.accounts import Account
from pipeline.web.threads import Database

MANAGER = "manager"
DOORS_OF_LABS = ("/tasks", "/check-protected")


def check_door(path: str) -> None:
    """Refuse what a token for one lab's tasks may not do: it writes nothing but them.

    Raises
    ------
    Refused
    """
    if not any(path == door or path.startswith(f"{door}/") for door in DOORS_OF_LABS):
        raise Refused("This token is for the tasks of a lab only.")


def check_agent(account: Account) -> None:
    """Refuse an agent whose token does not say for which labs it is; a manager's may be for all.

    Raises
    ------
    Refused
    """
    if not account.labs and not account.may(MANAGER):
        raise Refused(
            f"This token is for no lab: an agent needs one that is (neurojoint user token {account.name} --lab LAB)."
        )


def person(account: Account) -> Person:
    """Who asks, with the roles that the tables hold."""
    return policy.person_of(account.name, account.role)


def check_create(endpoint: Endpoint, body: object, account: Account) -> None:
    """Refuse values that managers set.

    Raises
    ------
    Refused
    """
    if endpoint.for_managers and isinstance(body, Mapping) and not account.may(MANAGER):
        for name in endpoint.for_managers:
            if body.get(name) and _is_managed(endpoint, name, body[name]):
                raise Refused(f"The {name} of a {endpoint.label} is set by managers.")


def _is_managed(endpoint: Endpoint, name: str, value: Any) -> bool:
    words = endpoint.for_managers[name]
    return not words or value in words


def check_update(
    endpoint: Endpoint, restriction: str, body: Mapping[str, Any], account: Account, database: Database
) -> None:
    """Refuse a change that takes more than the role of the endpoint.

    Raises
    ------
    Refused
        A member would change the tags of a dataset, whose entry a record is, or what managers set.
    """
    if account.may(MANAGER):
        return
    managed = [many for many in endpoint.many if many.managed and body.get(many.name) is not None]
    for many in managed:
        given = body[many.name]
        wanted = {str(item) for item in (given.split(",") if isinstance(given, str) else given) if item != ""}
        names = table(many.table)() & (endpoint.base() & restriction).proj()
        if wanted != {row[many.column] for row in database.select(names, [many.column])}:
            raise Refused(f"The {many.name} of a {endpoint.label} are changed by managers.")
    columns = {
        field.name: field.column
        for field in endpoint.fields
        if field.name in endpoint.for_managers and field.name in body
    }
    for row in database.select(endpoint.base() & restriction, list(columns.values()), limit=2) if columns else ():
        for name, column in columns.items():
            before = row[column] or ""
            is_managed = _is_managed(endpoint, name, body[name]) or _is_managed(endpoint, name, before)
            if is_managed and (body[name] or "") != before:
                raise Refused(f"The {name} of a {endpoint.label} is changed by managers.")
    if endpoint.owner and "user" in body:
        for row in database.select(endpoint.base() & restriction, [endpoint.owner], limit=2):
            if row[endpoint.owner] != account.name and body["user"] != row[endpoint.owner]:
                raise Refused(f"Whose entry a {endpoint.label} is, is changed by managers.")
