"""Who sends a request: a token, or name and password, and what that account may do."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
import time

from one_bridge.server.endpoint_model import Refused
from pipeline.web.accounts import Account, Users
from pipeline.web.throttle import Throttle

REMEMBERED_S = 60.0  # how long a password that was right is not hashed again
NOBODY = Account("", "public", True)


class TooMany(Exception):
    """Too many failed logins. Becomes a 429."""

    def __init__(self, wait: float) -> None:
        super().__init__("Request was throttled.")
        self.wait = wait


class Gate:
    """Lets requests in.

    Parameters
    ----------
    users : the accounts.
    public_read : whether those who are not logged in may read.
    """

    def __init__(self, users: Users, public_read: bool = False) -> None:
        self.users, self.public_read = users, public_read
        self.throttle = Throttle(path=users.path.with_name("attempts.sqlite"))
        self._secret = secrets.token_bytes(32)
        self._right: dict[bytes, tuple[float, str, str]] = {}
        self._hashing = threading.BoundedSemaphore(2)  # each needs 64 MB

    def login(self, name: str, password: str, address: str, door: str = "REST") -> Account | None:
        """The account with this name and password; `door` is where it asks to come in.

        Raises
        ------
        TooMany : that many failures came before.
        """
        wait = self.throttle.begin(address, name)
        if wait > 0:
            raise TooMany(wait)
        with self._hashing:
            account = self.users.by_password(name, password)
        if account is not None:
            self.throttle.succeeded(address, name)
        self.users.record(name, address, door, "wrong name or password" if account is None else "signed in")
        return account

    def account(self, header: str, address: str) -> Account | None:
        """The account of an Authorization header; None without one.

        Raises
        ------
        Refused : there is a header, and it is wrong.
        """
        scheme, _, rest = header.partition(" ")
        rest = rest.strip()
        if scheme.lower() in ("token", "bearer") and rest:
            account = self.users.by_token(rest)
            if account is None:
                raise Refused("Invalid token.")
            return account
        if scheme.lower() == "basic" and rest:
            account = self._basic(rest, address)
            if account is None:
                raise Refused("Invalid username/password.")
            return account
        return None

    def admit(self, account: Account | None, role: str) -> Account:
        """The account, if it has the rights of a role (`public`: reading).

        Raises
        ------
        Refused : it has not.
        """
        if account is None:
            if role == "public" and self.public_read:
                return NOBODY
            raise Refused("Authentication credentials were not provided.")
        if not account.may(role):
            raise Refused("You do not have permission to perform this action.")
        return account

    def _basic(self, text: str, address: str) -> Account | None:
        """HTTP Basic, with the password of the account or one of its tokens."""
        try:
            name, separator, password = base64.b64decode(text, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError, ValueError):
            return None
        if not separator:
            return None
        by_token = self.users.by_token(password)
        if by_token is not None:
            return by_token if by_token.name == name else None
        proof = hmac.new(self._secret, f"{name}\0{password}".encode(), hashlib.sha256).digest()
        seen, known, stamp = self._right.get(proof, (0.0, "", ""))
        if known == name and time.monotonic() - seen < REMEMBERED_S and stamp == self.users.stamp(name) != "":
            return self.users.get(name)
        account = self.login(name, password, address)
        if account is not None:
            if len(self._right) > 1000:
                self._right.clear()
            self._right[proof] = (time.monotonic(), name, self.users.stamp(name))
        return account
