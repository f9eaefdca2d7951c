"""Accounts of the database: each role may do what it is for, and nothing else; every cell of the table is tried."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import datajoint as dj
import pytest
from pydantic import SecretStr

from pipeline import behavior, lab, task
from pipeline.database import accounts, connection, personal
from pipeline.errors import UserError

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery"
MAY = {
    "reader": {"read"},
    "scientist": {"read", "queue", "make own", "refer"},
    "worker": {"read", "queue", "compute"},
    "manager": {"read", "queue", "compute", "enter", "make own", "refer"},
}
"""Role -> what it may do of `_actions`."""


def _actions(database: dj.Connection, own: str) -> dict[str, str]:
    full, quote = database.adapter.make_full_table_name, database.adapter.quote_identifier
    postgresql = database.adapter.backend == "postgresql"
    parent = lab.Lab.full_table_name
    colleague = personal.schema_name("colleague", "neurojoint_")
    own = own or colleague
    return {
        "read": f"SELECT count(*) FROM {behavior.TrialSet.full_table_name}",
        "queue": f"DELETE FROM {task.Worker.full_table_name} WHERE worker_pid = -1",
        "compute": f"DELETE FROM {behavior.TrialSet.Trial.full_table_name} WHERE trial_id = -1",
        "enter": f"DELETE FROM {parent} WHERE lab = 'none'",
        "make own": f"CREATE TABLE {full(own, 'mine')} (a integer)",
        "refer": f"CREATE TABLE {full(own, 'refers')} (lab varchar(32) REFERENCES {parent} (lab))",
        "make elsewhere": f"CREATE TABLE {full('neurojoint_lab', 'mine')} (a integer)",
        "write a colleague's": f"CREATE TABLE {full(colleague, 'x')} (a integer)",
        "drop": f"DROP TABLE {full('neurojoint_behavior', '_lick')}",
        "new schema": f"CREATE SCHEMA {quote('neurojoint_else')}",
        "credentials": "SELECT rolpassword FROM pg_authid" if postgresql else "SELECT * FROM mysql.user",
    }


@pytest.fixture
def account(database, server, request):
    """An account with a role, and a colleague with a schema; both are gone afterwards."""
    own = accounts.add(database, "neurojoint_", "ada", request.param, PASSWORD)
    accounts.add(database, "neurojoint_", "colleague", "scientist", PASSWORD)
    yield request.param, own
    if database.in_transaction:
        database.cancel_transaction()
    postgresql = database.adapter.backend == "postgresql"
    for name in ("ada", "colleague"):
        schema = personal.schema_name(name, "neurojoint_")
        database.query(f"DROP SCHEMA IF EXISTS {database.adapter.quote_identifier(schema)}" + " CASCADE" * postgresql)
        database.query(f"DROP OWNED BY {name}") if postgresql else None
        database.query(f"DROP {'ROLE' if postgresql else 'USER'} {name}")


def _attempt(database: dj.Connection, statement: str) -> str:
    """Empty, or why the account may not."""
    try:
        _rows(database, statement)
    except Exception as error:
        return str(error)
    return ""


def _rows(database: dj.Connection, statement: str) -> Sequence[tuple]:
    """What the account gets; on PostgreSQL as that role, on MariaDB signed in with its password."""
    if database.adapter.backend == "postgresql":
        database.query("BEGIN")
        try:
            database.query("SET LOCAL ROLE ada")
            cursor = database.query(statement)
            return cursor.fetchall() if cursor.description else ()
        finally:
            database.query("ROLLBACK")
    address = dataclasses.replace(database.address, user="ada", password=SecretStr(PASSWORD))
    raw = connection.raw_connection(address)
    try:
        cursor = raw.cursor()
        cursor.execute(statement.replace("%%", "%"))
        return cursor.fetchall()
    finally:
        raw.rollback()
        raw.close()


@pytest.mark.parametrize("account", accounts.ROLES, indirect=True)
def test_each_role_may_do_what_it_is_for_and_nothing_else(account, database):
    role, own = account
    outcome = {what: _attempt(database, sql) for what, sql in _actions(database, own).items()}
    assert {what for what, refusal in outcome.items() if not refusal} == MAY[role]
    refused = [refusal for refusal in outcome.values() if refusal]
    assert all("denied" in text or "nsufficient privileges" in text for text in refused), refused


@pytest.mark.parametrize("account", accounts.ROLES, indirect=True)
def test_each_role_sees_the_keys_of_tables(account, database):
    """DataJoint asks the database for them: an account to which it does not tell them cannot even connect."""
    adapter, table = database.adapter, behavior.TrialSet
    for asked in (
        adapter.get_primary_key_sql(table.database, table.table_name),
        adapter.load_foreign_keys_sql(adapter.quote_string(table.database), "'~%%'"),
    ):
        assert len(_rows(database, asked)) >= len(table.primary_key)


@pytest.mark.parametrize("account", ["scientist"], indirect=True)
def test_an_account_that_is_added_again_keeps_its_tables(account, database):
    """A new password, or rights on new schemas, must not cost what a person has computed."""
    _, own = account
    table = database.adapter.make_full_table_name(own, "mine")
    database.query(f"CREATE TABLE {table} (a integer)")
    if database.adapter.backend == "postgresql":
        database.query(f"ALTER TABLE {table} OWNER TO ada")
    database.query(f"INSERT INTO {table} VALUES (7)")
    accounts.add(database, "neurojoint_", "ada", "scientist", PASSWORD + " again")
    assert database.query(f"SELECT a FROM {table}").fetchall() in ([(7,)], ((7,),))
    accounts.add(database, "neurojoint_", "ada", "reader", PASSWORD)
    assert database.query(f"SELECT count(*) FROM {table}").fetchone()[0] == 1
    assert _attempt(database, f"DELETE FROM {task.Worker.full_table_name}"), "a reader writes nothing any more"
    assert _attempt(database, f"CREATE TABLE {database.adapter.make_full_table_name(own, 'more')} (a integer)")


def test_what_cannot_be_an_account_is_refused(database):
    for name, role, password in (
        ("ada'; --", "reader", PASSWORD),
        ("ada", "root", PASSWORD),
        ("ada", "reader", "short"),
        (database.get_user().partition("@")[0], "reader", PASSWORD),  # whose password everything signs in with
        ("postgres", "manager", PASSWORD),
    ):
        with pytest.raises(UserError):
            accounts.add(database, "neurojoint_", name, role, password)
