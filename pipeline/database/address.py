"""Where a database is and how to log in: what a URL says, without connecting."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pydantic import SecretStr

from pipeline.errors import InvalidSettings

Backend = Literal["postgresql", "mysql"]
DEFAULT_PORTS = {"postgresql": 5432, "mysql": 3306}


@dataclass(frozen=True)
class Address:
    """A database server and a login.

    Attributes
    ----------
    backend : 'postgresql' or 'mysql'
    host : a name, an IP address, or the folder (PostgreSQL) or file (MySQL) of a unix socket
    port : the TCP port; for a socket the number in its name
    user : the database user
    password : never shown by `repr` or `url()`
    database : the PostgreSQL database; empty for MySQL, whose schemas are databases
    tls : True: encrypted or refused, False: never, None: where the server offers it
    """

    backend: Backend
    host: str
    port: int
    user: str
    password: SecretStr = field(default=SecretStr(""), repr=False)
    database: str = ""
    tls: bool | None = None

    def url(self, with_password: bool = False) -> str:
        """The address as a URL that `parse_url` reads back; without the password unless it is asked for.

        Examples
        --------
        >>> Address("postgresql", "/run/lab", 5432, "ada", SecretStr("p@ss"), "lab").url()
        'postgresql://ada@/lab?host=%2Frun%2Flab&port=5432'
        >>> Address("mysql", "::1", 3306, "ada", SecretStr("p@ss")).url(with_password=True)
        'mysql://ada:p%40ss@[::1]:3306/'
        """
        secret = self.password.get_secret_value()
        login = quote(self.user, safe="") + (f":{quote(secret, safe='')}" if with_password and secret else "")
        if self.is_socket:
            query = f"?host={quote(self.host, safe='')}&port={self.port}"
            return f"{self.backend}://{login}@/{quote(self.database, safe='')}{query}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        query = "" if self.tls is None else f"?tls={'require' if self.tls else 'disable'}"
        return f"{self.backend}://{login}@{host}:{self.port}/{quote(self.database, safe='')}{query}"

    @property
    def is_socket(self) -> bool:
        """True where the host is a path: a unix socket on this machine."""
        return self.host.startswith("/")

    def __str__(self) -> str:
        return self.url()


def parse_url(url: str, password: SecretStr | None = None, tls: bool | None = None) -> Address:
    """The address that a URL names. Special characters in user and password are percent-encoded, as in any URL.

    Parameters
    ----------
    url
        `postgresql://user:password@host:port/database` or `mysql://user:password@host:port`.
        A unix socket: `postgresql://user@/database?host=/folder` or `mysql://user@/?host=/path/of.sock`.
        `?sslmode=` (as libpq writes it) or `?tls=` `require` or `disable` sets the encryption.
    password
        Used where the URL holds none.
    tls
        Used where the URL says nothing about encryption.

    Raises
    ------
    InvalidSettings
        The URL cannot be read. The message never holds the password.

    Examples
    --------
    >>> address = parse_url("postgresql://ada:a%2Fb%40c@db.lab.org/neuro")
    >>> address
    Address(backend='postgresql', host='db.lab.org', port=5432, user='ada', database='neuro', tls=None)
    >>> address.password.get_secret_value()
    'a/b@c'
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _unreadable(url, "the port is not a number, or a special character is not percent-encoded") from None
    backends: dict[str, Literal["postgresql", "mysql"]]
    backends = {"postgres": "postgresql", "postgresql": "postgresql", "mysql": "mysql"}
    if parts.scheme not in backends:
        raise _unreadable(url, "it must begin with postgresql:// or mysql://")
    backend = backends[parts.scheme]
    if parts.fragment or "#" in url:
        raise _unreadable(url, "write # in a password as %23")
    if not parts.username:
        raise _unreadable(url, "it names no user")
    if re.search(r"%(?![0-9A-Fa-f]{2})", parts.netloc):
        raise _unreadable(url, "write % in a password as %25")
    query = dict(parse_qsl(parts.query))
    host = query.pop("host", None) or unquote(parts.hostname or "") or "localhost"
    number = query.pop("port", None) or port or DEFAULT_PORTS[backend]
    database = unquote(parts.path.lstrip("/"))
    mode = query.pop("sslmode", None) or query.pop("tls", None)
    if query:
        raise _unreadable(url, f"unknown parameter {', '.join(sorted(query))}")
    if mode is not None:
        modes = {"require": True, "true": True, "disable": False, "false": False, "prefer": None}
        if mode not in modes:
            raise _unreadable(url, "sslmode must be require, prefer or disable")
        tls = modes[mode]
    if backend == "postgresql" and not database:
        raise _unreadable(url, "it names no database (postgresql://user@host/database)")
    secret = SecretStr(unquote(parts.password)) if parts.password else password or SecretStr("")
    return Address(
        backend, host, int(number), unquote(parts.username), secret, database if backend == "postgresql" else "", tls
    )


def without_password(text: str) -> str:
    """The text with the password of every URL in it replaced.

    Examples
    --------
    >>> without_password("no answer from mysql://ada:p@ss@host/x")
    'no answer from mysql://ada:***@host/x'
    """
    return re.sub(r"(\w+://[^\s/:@]*):[^\s]*@", r"\1:***@", text)


def _unreadable(url: str, why: str) -> InvalidSettings:
    return InvalidSettings(f"the database URL {without_password(url)} cannot be read", why)
