"""Accounts: what is kept is only hashes, tokens end at once, roles bound what may be done, guessing is slowed down."""

from __future__ import annotations

import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from neurojoint.cli import main
from one_bridge.server.auth import Gate, TooMany
from one_bridge.server.endpoint_model import Refused
from pipeline.errors import NeurojointError
from pipeline.web import accounts as room
from pipeline.web.accounts import ROLES, Users
from pipeline.web.throttle import Throttle
from tests.one_bridge.serving import PASSWORD, accounts


@pytest.fixture
def users(tmp_path: Path) -> Users:
    return accounts(tmp_path / "users.sqlite")


@pytest.mark.slow
def test_the_file_holds_no_secret_and_is_for_its_owner_only(users):
    token = users.issue_token("mia")
    users._store().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = users.path.read_bytes()
    assert PASSWORD.encode() not in content and token.encode() not in content
    assert stat.S_IMODE(users.path.stat().st_mode) == 0o600
    assert b"$argon2id$" in content
    for file in users.path.parent.glob("users.sqlite*"):
        assert not stat.S_IMODE(file.stat().st_mode) & 0o077


def test_a_file_that_others_may_read_is_refused(users):
    users.path.chmod(0o644)
    with pytest.raises(NeurojointError, match="chmod 600"):
        Users(users.path).list()


@pytest.mark.slow
def test_passwords(users):
    assert users.by_password("mia", PASSWORD).role == "member"
    assert users.by_password("mia", PASSWORD + "x") is None
    assert users.by_password("nobody", PASSWORD) is None
    users.add("mia", "another password", "manager")
    assert users.by_password("mia", PASSWORD) is None
    assert users.by_password("mia", "another password").role == "manager"


@pytest.mark.parametrize("password", ["short", "", "x" * 2000])
def test_passwords_that_cannot_be_used(users, password):
    with pytest.raises(NeurojointError):
        users.add("new", password)


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "a/b", "a:b"])
def test_names_that_cannot_be_used(users, name):
    with pytest.raises(NeurojointError):
        users.add(name, PASSWORD)


def test_tokens_find_their_account_until_they_are_revoked(users):
    first, second = users.issue_token("mia"), users.issue_token("mia")
    assert first != second and len(first) == 40
    assert users.by_token(first).name == users.by_token(second).name == "mia"
    assert users.by_token(first[:-1] + ("0" if first[-1] != "0" else "1")) is None
    assert users.by_token("") is None and users.by_token("ü\ud800") is None
    assert users.revoke_tokens("mia") == 2
    assert users.by_token(first) is None


def test_one_token_ends_and_the_others_stay(users):
    ended, kept = users.issue_token("mia"), users.issue_token("mia")
    users.end_token(ended)
    users.end_token("no token")
    assert users.by_token(ended) is None and users.by_token(kept).name == "mia"


def test_disabling_and_a_new_password_end_tokens(users):
    token = users.issue_token("mia")
    users.disable("mia")
    assert users.by_token(token) is None and users.by_password("mia", PASSWORD) is None
    users.disable("mia", enabled=True)
    assert users.by_token(token) is None and users.by_password("mia", PASSWORD)
    token = users.issue_token("mia")
    users.add("mia", "another password")
    assert users.by_token(token) is None
    with pytest.raises(NeurojointError):
        users.disable("nobody")


def test_tokens_of_logins_end_when_they_are_not_used(users, monkeypatch):
    login, program = users.issue_token("mia", "login"), users.issue_token("mia", "nightly")
    now = room.time.time()
    monkeypatch.setattr(room.time, "time", lambda: now + room.TOKEN_LIFETIME + 1)
    assert users.by_token(login) is None
    assert users.by_token(program) is not None


def test_logins_do_not_fill_the_file(users):
    tokens = [users.issue_token("mia", "login") for _ in range(room.LOGIN_TOKENS + 10)]
    assert users.by_token(tokens[-1]) and users.by_token(tokens[0]) is None
    assert next(user for user in users.list() if user.name == "mia").tokens == room.LOGIN_TOKENS


def test_many_threads(users):
    token, collected = users.issue_token("mia"), []

    def work() -> None:
        collected.extend(users.by_token(token) is not None for _ in range(20))
        users.issue_token("mia")

    threads = [threading.Thread(target=work) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert collected == [True] * 160
    assert sqlite3.connect(users.path).execute("SELECT count(*) FROM token").fetchone() == (9,)


@pytest.mark.parametrize("role", ROLES)
def test_roles_include_the_lesser_ones(users, role):
    account = next(user for user in users.list() if user.role == role)
    assert [account.may(other) for other in ROLES] == [ROLES.index(other) <= ROLES.index(role) for other in ROLES]


@pytest.mark.slow
def test_guessing_is_slowed_down(users):
    gate = Gate(users)
    for _ in range(gate.throttle.limit):
        assert gate.login("mia", "wrong password", "10.0.0.1") is None
    with pytest.raises(TooMany) as error:
        gate.login("mia", PASSWORD, "10.0.0.1")
    assert 0 < error.value.wait <= gate.throttle.window
    assert gate.login("mia", PASSWORD, "10.0.0.2") is not None  # not everybody is shut out


def test_throttle_counts_addresses_too():
    """Guessing many names from one address is slowed down as well; a success clears only its own name."""
    throttle = Throttle(limit=2, window=60)
    for i in range(10):
        assert throttle.begin("10.0.0.1", f"name{i}") == 0
    assert throttle.begin("10.0.0.1", "fresh") > 0
    assert throttle.begin("10.0.0.2", "fresh") == 0


def test_attempts_are_counted_when_they_begin_and_over_all_processes(tmp_path):
    """120 at once, over two processes that share the file: five are tried."""
    doors = [Throttle(path=tmp_path / "attempts.sqlite") for _ in range(2)]
    waits: list[float] = []
    barrier = threading.Barrier(24)

    def attempt(number: int) -> None:
        barrier.wait()
        waits.extend(doors[number % 2].begin("10.0.0.1", "mia") for _ in range(5))

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(24)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(waits) == 120 and sum(wait == 0 for wait in waits) == 5
    assert (tmp_path / "attempts.sqlite").stat().st_mode & 0o077 == 0


def test_one_name_from_many_addresses_is_slowed_down_but_its_owner_is_not_shut_out():
    throttle = Throttle()
    assert throttle.begin("10.9.9.9", "mia") == 0
    throttle.succeeded("10.9.9.9", "mia")
    tried = sum(throttle.begin(f"10.0.{i // 250}.{i % 250}", "mia") == 0 for i in range(300))
    assert tried == 50
    assert throttle.begin("10.9.9.9", "mia") == 0


def test_a_new_password_ends_basic_access_at_once(users):
    import base64

    gate = Gate(users)
    header = "Basic " + base64.b64encode(f"mia:{PASSWORD}".encode()).decode()
    assert gate.account(header, "").name == "mia"
    users.add("mia", "quite another one", "admin")
    with pytest.raises(Refused):
        gate.account(header, "")


def test_a_token_may_do_less_than_its_account_and_end(users, monkeypatch):
    token = users.issue_token("pat", "plots", scope="public", days=1)
    assert users.by_token(token).role == "public"
    assert users.by_token(users.issue_token("mia", scope="admin")).role == "member", "a scope gives nothing"
    assert [item.scope for item in users.tokens("pat")] == ["public"]
    now = room.time.time()
    monkeypatch.setattr(room.time, "time", lambda: now + 2 * 86400)
    assert users.by_token(token) is None and users.tokens("pat") == []


def test_signing_out_everywhere_leaves_the_tokens_of_programs(users):
    login, program = users.issue_token("mia", "login"), users.issue_token("mia", "nightly")
    assert users.end_sessions("mia") == 1
    assert users.by_token(login) is None and users.by_token(program)


def test_sign_ins_are_noted_without_what_may_be_a_password(users):
    gate = Gate(users)
    assert gate.login("my secret password", "mia", "10.0.0.3") is None
    gate.login("mia", PASSWORD, "10.0.0.3")
    assert [(item.name, item.outcome) for item in users.sign_ins()] == [
        ("mia", "signed in"), ("", "wrong name or password"),
    ]  # fmt: skip
    for name in ("users.sqlite", "attempts.sqlite"):
        for path in users.path.parent.glob(f"{name}*"):
            assert b"my secret password" not in path.read_bytes()


def test_a_file_of_an_older_version_gets_the_new_columns(users):
    users.list()
    with sqlite3.connect(users.path) as store:
        store.execute("ALTER TABLE token DROP COLUMN expires")
        store.execute("ALTER TABLE token DROP COLUMN scope")
    again = Users(users.path)
    assert again.by_token(again.issue_token("mia", scope="public")).role == "public"


def test_the_gate(users):
    import base64

    gate, token = Gate(users), users.issue_token("pat")

    def basic(name: str, password: str) -> str:
        return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()

    assert gate.account(f"Token {token}", "").name == "pat"
    assert gate.account(basic("pat", PASSWORD), "").name == "pat"
    assert gate.account(basic("pat", token), "").name == "pat"
    assert gate.account("", "") is None
    for header in ("Token wrong", basic("mia", token), basic("mia", "no"), "Basic %%%", "Basic " + "eA=="):
        with pytest.raises(Refused):
            gate.account(header, "")
    with pytest.raises(Refused):
        gate.admit(None, "public")
    assert Gate(users, public_read=True).admit(None, "public").role == "public"
    with pytest.raises(Refused):
        Gate(users, public_read=True).admit(None, "member")
    users.disable("pat")
    with pytest.raises(Refused):
        gate.account(basic("pat", PASSWORD), "")  # also where the password was right a moment ago


def test_commands(tmp_path, monkeypatch):
    """`neurojoint user`: without a database too; the password is never an argument."""
    monkeypatch.setenv("NEUROJOINT_HOME", str(tmp_path))
    monkeypatch.setenv("NEUROJOINT_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    from pipeline import settings

    settings.reset()
    try:
        run = CliRunner().invoke
        assert "no accounts yet" in run(main, ["user", "list"]).output
        done = run(main, ["user", "add", "ada", "--role", "admin", "--password-stdin"], input=f"{PASSWORD}\n")
        assert done.exit_code == 0 and "ada is admin; not yet known to the pipeline" in done.output
        assert PASSWORD not in done.output
        assert run(main, ["user", "add", "x", "--password-stdin"], input="short\n").exit_code == 1
        token = run(main, ["user", "token", "ada"]).output.strip()
        store = Users(room.store_path())
        assert store.by_token(token).name == "ada"
        assert "1 tokens" in run(main, ["user", "list"]).output
        assert run(main, ["user", "token", "ada", "--revoke"]).output == "1 tokens ended\n"
        assert run(main, ["user", "disable", "ada"]).exit_code == 0
        assert "disabled" in run(main, ["user", "list"]).output
        assert run(main, ["user", "disable", "nobody"]).exit_code == 1
        done = run(main, ["serve"])
        assert done.exit_code == 1 and "neurojoint user add" in done.output
    finally:
        settings.reset()
