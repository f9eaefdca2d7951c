"""JupyterHub with the accounts of neurojoint: the authenticator `neurojoint`, of the extra `hub` (docs/hub.md).

Who may come in is decided by the accounts of the site and the bridge. When a person's server starts, the person gets an
account of the database server by the same name, with a new password, and a schema of its own.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import secrets
import sys
from pathlib import Path
from typing import Any

from jupyterhub.auth import Authenticator, LocalAuthenticator
from tornado import web
from traitlets import Bool, Unicode, default

from one_bridge.server.auth import Gate, TooMany
from pipeline.database import connection
from pipeline.settings import settings
from pipeline.web import accounts

DATABASE_ROLES = {"public": "reader", "member": "scientist", "manager": "manager", "admin": "manager"}
"""Role of an account -> role of its account of the database."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
_COMMAND = (sys.executable, "-c", "from neurojoint.command import run; run()")


class NeurojointAuthenticator(LocalAuthenticator):
    """Signs people in by the accounts of neurojoint; those whose role is `public` are guests."""

    guests = Bool(False, config=True, help="Let accounts with the role public in, who read all tables and write none.")

    homes = Unicode("/home", config=True, help="The folder with the homes of the accounts of the computer.")

    @default("allow_all")
    def _allow_all(self) -> bool:
        return True  # the accounts say who may come in

    @default("auth_refresh_age")
    def _refresh_age(self) -> int:
        return 60  # s until somebody who was shut out is noticed

    def normalize_username(self, username: str) -> str:
        """The name as it is: accounts tell upper from lower case."""
        return username

    def validate_username(self, username: str) -> bool:
        """Whether an account of the database can have this name."""
        return _NAME.fullmatch(username or "") is not None

    async def add_user(self, user: Any) -> None:
        """Let a person in; with `create_system_users` the person also gets an account of the computer."""
        adds = LocalAuthenticator if self.create_system_users else Authenticator
        outcome = adds.add_user(self, user)
        if asyncio.iscoroutine(outcome):
            await outcome

    def add_system_user(self, user: Any) -> None:
        """Make an account of the computer; where the home is there, e.g. on a volume, with its owner's number."""
        home = Path(self.homes) / user.name
        command: list[str] = self.add_user_cmd  # type: ignore[has-type]
        if home.is_dir():
            self.add_user_cmd = [*command, "--uid", str(home.stat().st_uid)]
        try:
            super().add_system_user(user)
        finally:
            self.add_user_cmd = command

    async def authenticate(self, handler: Any, data: dict[str, str]) -> dict[str, Any] | None:
        """Name and rights of the account with this name and password; None: it does not come in."""
        address = handler.request.remote_ip if handler is not None else ""
        account = await asyncio.to_thread(self._sign_in, data.get("username", ""), data.get("password", ""), address)
        if account is None or not self._admits(account):
            return None
        return {"name": account.name, "admin": account.may("admin")}

    async def refresh_user(self, user: Any, handler: Any = None) -> bool | dict[str, Any]:
        """Sign a person out whose account was disabled, or may no longer come in."""
        account = await asyncio.to_thread(accounts.Users(accounts.store_path()).get, user.name)
        if account is None or not self._admits(account):
            return False
        return {"name": account.name, "admin": account.may("admin")}

    async def pre_spawn_start(self, user: Any, spawner: Any) -> None:
        """Give a person's server the address of the database, with an account of its own."""
        account = await asyncio.to_thread(accounts.Users(accounts.store_path()).get, user.name)
        if account is None or not self._admits(account):
            raise web.HTTPError(403, "this account may not start a server")
        spawner.environment = dict(spawner.environment) | await database_environment(account.name, account.role)

    def _sign_in(self, name: str, password: str, address: str) -> accounts.Account | None:
        try:
            return Gate(accounts.Users(accounts.store_path())).login(name, password, address, door="JupyterHub")
        except TooMany as error:
            raise web.HTTPError(429, "too many attempts to sign in: wait a minute") from error

    def _admits(self, account: accounts.Account) -> bool:
        return account.enabled and self.validate_username(account.name) and (self.guests or account.may("member"))


async def database_environment(name: str, role: str) -> dict[str, str]:
    """Settings for the server of a person; its account of the database is made, or gets a new password.

    Parameters
    ----------
    name : of the account.
    role : of the account of the site.

    Raises
    ------
    tornado.web.HTTPError : the account of the database cannot be made; the log of the hub says why.
    """
    password = secrets.token_urlsafe(24)
    command = (*_COMMAND, "user", "add", name, "--database", DATABASE_ROLES[role], "--password-stdin")
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate(f"{password}\n".encode())
    if process.returncode:
        raise web.HTTPError(500, f"no account of the database for {name}: {said.decode(errors='replace').strip()}")
    own = settings()
    address = connection.resolve(own)
    if address.is_socket:  # the embedded database, which other accounts reach by TCP
        address = dataclasses.replace(address, host="127.0.0.1", port=own.embedded_tcp_port or address.port)
    url = dataclasses.replace(address, user=name).url()
    environment = {
        "NEUROJOINT_DATABASE_URL": url,
        "NEUROJOINT_DATABASE_PASSWORD": password,
        "NEUROJOINT_PREFIX": own.prefix,
        "DJ_IGNORE_CONFIG_FILE": "true",  # also where a notebook imports DataJoint first, which warns else
    }
    return environment | ({"NEUROJOINT_DATA_ROOT": str(own.data_root)} if own.data_root else {})
