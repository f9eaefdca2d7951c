"""Who may use the servers: accounts with roles, passwords (argon2) and revocable tokens, in a file of their own.

The file is SQLite with mode 600 in the home, outside the pipeline's database. It holds no password and no token, only
their hashes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.alf import names
from pipeline.errors import NeurojointError, OperatorError, UserError
from pipeline.settings import settings
from pipeline.web import shared_sqlite

ROLES = ("public", "member", "manager", "admin")
"""From least to most: read; also write; also delete and edit what labs share; also everything else."""

SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 1024  # characters
TOKEN_LIFETIME = 90 * 86400  # s without use, for the tokens that a login makes
LOGIN_TOKENS = 50  # how many of them an account keeps
list_ = list  # in the class below `list` is a method
_KEY_LENGTH = 12  # characters of a token that find its row

_TABLES = """
CREATE TABLE IF NOT EXISTS account (
    name TEXT PRIMARY KEY, password_hash TEXT NOT NULL, role TEXT NOT NULL, enabled INTEGER NOT NULL,
    created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS token (
    token_key TEXT PRIMARY KEY, token_hash TEXT NOT NULL, name TEXT NOT NULL REFERENCES account ON DELETE CASCADE,
    label TEXT NOT NULL, created REAL NOT NULL, used REAL NOT NULL, expires REAL, scope TEXT, labs TEXT);
CREATE TABLE IF NOT EXISTS sign_in (
    at REAL NOT NULL, name TEXT NOT NULL, address TEXT NOT NULL, door TEXT NOT NULL, outcome TEXT NOT NULL);
"""
_ADDED = {"expires": "REAL", "scope": "TEXT", "labs": "TEXT"}  # columns of token that older files lack
SIGN_INS_KEPT = 10_000


@dataclass(frozen=True)
class Account:
    """One account, without its secrets; `labs`: its token is for the tasks of these labs only."""

    name: str
    role: str
    enabled: bool
    tokens: int = 0
    labs: tuple[str, ...] = ()

    def may(self, role: str) -> bool:
        """Has this account the rights of a role?

        >>> Account("ada", "manager", True).may("member"), Account("bob", "public", True).may("member")
        (True, False)
        """
        return self.enabled and ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True)
class Token:
    """One token of an account, without its secret; times in s since 1970.

    Attributes
    ----------
    key : its first characters, by which it can be ended.
    scope : the most that it may do, a role; empty: as much as the account.
    expires : None: it does not, but for logins that are not used for 90 days.
    """

    key: str
    label: str
    created: float
    used: float
    expires: float | None
    scope: str


@dataclass(frozen=True)
class SignIn:
    """One attempt to sign in; `at` in s since 1970. The name is empty where no account has it."""

    at: float
    name: str
    address: str
    door: str
    outcome: str


class Users:
    """The accounts in one file, which is made when the first account is added.

    Parameters
    ----------
    path : the file, e.g. `store_path()`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._nobody = ""  # a hash to compare with where there is no account, so that both take equally long

    def add(self, name: str, password: str, role: str = "member") -> None:
        """Add an account, or give an existing one this password and role; it is enabled, its tokens end.

        Raises
        ------
        NeurojointError : an unknown role, a name or a password that cannot be used.
        """
        if role not in ROLES:
            raise UserError(f"there is no role {role!r}", f"use one of {', '.join(ROLES)}")
        try:
            name = names.check(name, "user")
        except ValueError as error:
            raise UserError(str(error)) from None
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise UserError("the password is too short or too long", f"use at least {SHORTEST_PASSWORD} signs")
        with self._write() as store:
            store.execute(
                "INSERT INTO account VALUES (?, ?, ?, 1, ?) ON CONFLICT (name) DO UPDATE SET "
                "password_hash = excluded.password_hash, role = excluded.role, enabled = 1",
                (name, _hasher().hash(password), role, time.time()),
            )
            store.execute("DELETE FROM token WHERE name = ?", (name,))

    def disable(self, name: str, enabled: bool = False) -> None:
        """Shut an account out, or let it in again. Its tokens end at once."""
        with self._write() as store:
            if not store.execute("UPDATE account SET enabled = ? WHERE name = ?", (int(enabled), name)).rowcount:
                raise _unknown(name)
            store.execute("DELETE FROM token WHERE name = ?", (name,))

    def list(self) -> list_[Account]:
        """All accounts by name."""
        if not self.path.exists():
            return []
        rows = self._store().execute(
            "SELECT name, role, enabled, (SELECT count(*) FROM token WHERE token.name = account.name) "
            "FROM account ORDER BY name"
        )
        return [Account(name, role, bool(enabled), tokens) for name, role, enabled, tokens in rows]

    def get(self, name: str) -> Account | None:
        """An enabled account."""
        return next((item for item in self.list() if item.name == name and item.enabled), None)

    def stamp(self, name: str) -> str:
        """A text that changes when the account's password, role or right to come in changes; empty without account."""
        if not self.path.exists():
            return ""
        sql = "SELECT password_hash, role FROM account WHERE name = ? AND enabled"
        row = self._store().execute(sql, (name,)).fetchone()
        return _digest("\0".join(row)) if row else ""

    def issue_token(
        self, name: str, label: str = "", scope: str = "", days: float | None = None, labs: Sequence[str] = ()
    ) -> str:
        """A new token of an account: 40 hexadecimal digits, shown here and never again.

        Parameters
        ----------
        label : what it is for; tokens labelled `login` end when they are not used for 90 days.
        scope : a role, beyond whose rights the token gives none.
        days : after which it ends.
        labs : it is for the tasks of these labs, and nothing else.
        """
        for lab in labs:
            try:
                names.check(lab, "lab")
            except ValueError as error:
                raise UserError(str(error)) from None
        if scope and scope not in ROLES:
            raise UserError(f"there is no role {scope!r}", f"use one of {', '.join(ROLES)}")
        token, now = secrets.token_hex(20), time.time()
        with self._write() as store:
            if not store.execute("SELECT 1 FROM account WHERE name = ? AND enabled", (name,)).fetchone():
                raise _unknown(name)
            store.execute("DELETE FROM token WHERE label = 'login' AND used < ?", (now - TOKEN_LIFETIME,))
            store.execute(
                "DELETE FROM token WHERE label = 'login' AND name = ? AND token_key NOT IN (SELECT token_key "
                "FROM token WHERE label = 'login' AND name = ? ORDER BY used DESC LIMIT ?)",
                (name, name, LOGIN_TOKENS - 1),
            )
            store.execute(
                "INSERT INTO token (token_key, token_hash, name, label, created, used, expires, scope, labs) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    token[:_KEY_LENGTH],
                    _digest(token),
                    name,
                    label,
                    now,
                    now,
                    None if days is None else now + 86400 * days,
                    scope or None,
                    ",".join(labs) or None,
                ),
            )
        return token

    def revoke_tokens(self, name: str) -> int:
        """End all tokens of an account; returns how many there were."""
        with self._write() as store:
            return store.execute("DELETE FROM token WHERE name = ?", (name,)).rowcount

    def tokens(self, name: str) -> list_[Token]:
        """The tokens of an account that have not ended, last used first."""
        if not self.path.exists():
            return []
        rows = self._store().execute(
            "SELECT token_key, label, created, used, expires, COALESCE(scope, '') FROM token WHERE name = ? "
            "AND (expires IS NULL OR expires > ?) ORDER BY used DESC",
            (name, time.time()),
        )
        return [Token(*row) for row in rows]

    def end_sessions(self, name: str, key: str | None = None) -> int:
        """Sign an account out of all browsers and programs that signed in with its password, or of one by its key."""
        where, values = ("label = 'login'", ()) if key is None else ("token_key = ?", (key,))
        with self._write() as store:
            return store.execute(f"DELETE FROM token WHERE name = ? AND {where}", (name, *values)).rowcount  # noqa: S608

    def record(self, name: str, address: str, door: str, outcome: str) -> None:
        """Note an attempt to sign in, for those who look after the accounts. Only names of accounts are kept: others
        may be passwords that were typed in the wrong field."""
        if not self.path.exists():
            return
        with self._write() as store:
            known = store.execute("SELECT 1 FROM account WHERE name = ?", (name,)).fetchone()
            row = (time.time(), name if known else "", address[:64], door, outcome)
            store.execute("INSERT INTO sign_in VALUES (?, ?, ?, ?, ?)", row)
            store.execute("DELETE FROM sign_in WHERE rowid <= (SELECT max(rowid) FROM sign_in) - ?", (SIGN_INS_KEPT,))

    def sign_ins(self, name: str | None = None, limit: int = 100) -> list_[SignIn]:
        """The last attempts to sign in, newest first."""
        if not self.path.exists():
            return []
        where, values = ("", ()) if name is None else ("WHERE name = ?", (name,))
        sql = f"SELECT at, name, address, door, outcome FROM sign_in {where} ORDER BY rowid DESC LIMIT ?"  # noqa: S608
        return [SignIn(*row) for row in self._store().execute(sql, (*values, limit))]

    def end_token(self, token: str) -> None:
        """End one token; nothing happens where there is none."""
        if not self.path.exists() or not re.fullmatch(r"[0-9a-f]{40}", token):
            return
        with self._write() as store:
            key = (token[:_KEY_LENGTH], _digest(token))
            store.execute("DELETE FROM token WHERE token_key = ? AND token_hash = ?", key)

    def by_token(self, token: str) -> Account | None:
        """The enabled account that a token belongs to; takes equally long for wrong ones."""
        if not self.path.exists():
            return None
        token = token if re.fullmatch(r"[0-9a-f]{40}", token) else ""
        row = (
            self._store()
            .execute(
                "SELECT token_hash, account.name, role, enabled, used, label, expires, COALESCE(scope, ''), "
                "COALESCE(labs, '') FROM token JOIN account USING (name) WHERE token_key = ?",
                (token[:_KEY_LENGTH],),
            )
            .fetchone()
        )
        expected, name, role, enabled, used, label, expires, scope, labs = row or (
            _digest(""), "", "public", 0, 0.0, "", None, "", "",
        )  # fmt: skip
        now = time.time()
        right = hmac.compare_digest(expected, _digest(token))
        expired = (label == "login" and used < now - TOKEN_LIFETIME) or (expires is not None and expires < now)
        if not (row and right and enabled) or expired:
            return None
        if now - used > 3600:
            with self._write() as store:
                store.execute("UPDATE token SET used = ? WHERE token_key = ?", (now, token[:_KEY_LENGTH]))
        if scope:
            role = min(role, scope, key=ROLES.index)
        return Account(name, role, True, labs=tuple(labs.split(",")) if labs else ())

    def by_password(self, name: str, password: str) -> Account | None:
        """The enabled account with this name and password; takes equally long where there is none.

        Hashing needs 64 MB and some 50 ms on purpose: callers limit how often and how many at once.
        """
        import argon2

        row = None
        if self.path.exists() and _is_name(name):
            row = (
                self._store()
                .execute("SELECT password_hash, role, enabled FROM account WHERE name = ?", (name,))
                .fetchone()
            )
        hasher = _hasher()
        if not self._nobody:
            self._nobody = hasher.hash(secrets.token_hex(16))
        expected, role, enabled = row or (self._nobody, "public", 0)
        try:
            hasher.verify(expected, password[: LONGEST_PASSWORD + 1].encode("utf-8", "surrogatepass"))
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return None
        if not (row and enabled):
            return None
        if hasher.check_needs_rehash(expected):
            with self._write() as store:
                store.execute("UPDATE account SET password_hash = ? WHERE name = ?", (hasher.hash(password), name))
        return Account(name, role, True)

    def _store(self) -> sqlite3.Connection:
        """This thread's connection to the file."""
        store = getattr(self._local, "store", None)
        if store is None:
            if self.path.exists() and stat.S_IMODE(self.path.stat().st_mode) & 0o077:
                raise OperatorError(f"others may read the accounts in {self.path}", f"chmod 600 {self.path}")
            store = shared_sqlite.open_shared(self.path, _prepare)
            store.execute("PRAGMA foreign_keys=ON")
            self._local.store = store
        return store

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """One transaction on the file, which is made with mode 600 if it is not there."""
        with shared_sqlite.write(self._store()) as store:
            yield store


def store_path() -> Path:
    """The file of the accounts of this home."""
    return settings().home / "bridge" / "users.sqlite"


def _digest(token: str) -> str:
    """A token is 160 random bits, which need no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _hasher():
    import argon2

    return argon2.PasswordHasher()


def _is_name(name: str) -> bool:
    try:
        return names.check(name, "user") == name
    except ValueError:
        return False


def _unknown(name: str) -> NeurojointError:
    return NeurojointError(f"there is no enabled user {name!r}", "see `neurojoint user list`")


def _prepare(store: sqlite3.Connection) -> None:
    store.executescript(_TABLES)
    present = {row[1] for row in store.execute("PRAGMA table_info(token)")}
    for column, kind in _ADDED.items():
        if column not in present:
            try:
                store.execute(f"ALTER TABLE token ADD COLUMN {column} {kind}")
            except sqlite3.OperationalError as error:
                if "duplicate column" not in str(error):  # else another process was first
                    raise
