"""The accounts of this home for the command line: what `neurojoint user` does and says."""

from __future__ import annotations

import contextlib
import datetime
import getpass

import pipeline
from pipeline import entry, errors
from pipeline.web.accounts import Users, store_path


def store() -> Users:
    """The accounts of this home."""
    return Users(store_path())


def add(name: str, password: str, role: str) -> str:
    """Add an account, and the person to the pipeline if the database answers; returns what was done."""
    store().add(name, password, role)
    if role == "public":
        return f"{name} may read"
    try:
        made = _add_member(name)
    except Exception as error:
        if not isinstance(error, errors.NeurojointError) and not errors.is_connection_error(error):
            raise
        return f"{name} is {role}; not yet known to the pipeline ({errors.explain(error)})"
    return f"{name} is {role}" + (", and a new member of the pipeline" if made else "")


def lines() -> list[str]:
    """One line an account."""
    accounts = store().list()
    if not accounts:
        return ["no accounts yet: neurojoint user add NAME"]
    width = max(len(item.name) for item in accounts)
    return [
        f"{item.name:{width}}  {item.role:8}  {'' if item.enabled else 'disabled, '}{item.tokens} tokens"
        for item in accounts
    ]


def session_lines(name: str) -> list[str]:
    """One line a session or token of an account."""
    tokens = store().tokens(name)
    if not tokens:
        return [f"{name} is signed in nowhere and has no tokens"]
    return [
        f"{item.key}…  {item.label or '(no label)':20}  since {_time(item.created)}  last used {_time(item.used)}"
        + (f"  ends {_time(item.expires)}" if item.expires is not None else "")
        + (f"  at most {item.scope}" if item.scope else "")
        for item in tokens
    ]


def sign_in_lines(name: str | None = None) -> list[str]:
    """One line an attempt to sign in, newest first."""
    return [
        f"{_time(item.at)}  {item.name or '(no such account)':20}  {item.address:15}  {item.door:5}  {item.outcome}"
        for item in store().sign_ins(name)
    ] or ["nobody has tried to sign in yet"]


def _time(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _add_member(name: str) -> bool:
    """Make the account a person of the pipeline, so that sessions and weighings can name it."""
    with contextlib.closing(pipeline.connect()):
        written = entry.write("lab.LabMember", [{"user_name": name}], user=getpass.getuser(), source="command")
    return bool(written.created)
