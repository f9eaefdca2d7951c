"""`neurojoint client-config`: the parameter files with which the ONE client finds a server without asking questions.

The client does not learn from the server where the files are: its own parameters say so (`HTTP_DATA_SERVER`). What is
written there as password for the files is a token, which can be revoked, not the password of the account.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.errors import NeurojointError
from pipeline.unfinished import unfinished

TIMEOUT_S = 20.0


def configure(
    url: str,
    user: str,
    token: str,
    cache_dir: Path | None = None,
    make_default: bool = False,
    home: Path | None = None,
) -> list[Path]:
    """Write the client's parameter files for one server; what is there for others, and unknown entries, stay.

    Parameters
    ----------
    url : of the server, e.g. `http://127.0.0.1:8000`.
    user, token : the account, and a token of it.
    cache_dir : where the client keeps what it downloads; by default the one it has, else `~/Downloads/ONE/<server>`.
    make_default : whether `ONE()` without an address means this server; so it is where no default was.
    home : the home folder of the person.

    Returns
    -------
    The two files.

    Raises
    ------
    NeurojointError : an address that is none, or a file of the client that cannot be read.
    """
    from one.params import _key_from_url

    url = checked_url(url)
    key, home = _key_from_url(url), home or Path.home()
    folder = home / ".one"
    caches, own = folder / ".caches", folder / f".{key}"
    caches_before, own_before = _read(caches), _read(own)
    known = dict(caches_before.get("CLIENT_MAP") or {})
    known[key] = str(cache_dir or known.get(key) or home / "Downloads" / "ONE" / key)
    default = key if make_default or not caches_before.get("DEFAULT") else caches_before["DEFAULT"]
    tokens = dict(own_before.get("TOKEN") or {}) | {user: {"token": token}}
    folder.mkdir(parents=True, exist_ok=True)
    _write(
        own,
        own_before
        | {
            "ALYX_URL": url,
            "ALYX_LOGIN": user,
            "HTTP_DATA_SERVER": f"{url}/data",
            "HTTP_DATA_SERVER_LOGIN": user,
            "HTTP_DATA_SERVER_PWD": token,
            "TOKEN": tokens,
        },
    )
    _write(caches, caches_before | {"CLIENT_MAP": known, "DEFAULT": default})
    Path(known[key]).mkdir(parents=True, exist_ok=True)
    return [caches, own]


def login(url: str, user: str, password: str) -> str:
    """A token from a running server, for a name and a password.

    Raises
    ------
    NeurojointError : no answer, or a wrong name or password.
    """
    import requests

    url = checked_url(url)
    try:
        answer = requests.post(f"{url}/auth-token", data={"username": user, "password": password}, timeout=TIMEOUT_S)
    except requests.RequestException as error:
        remedy = "start it with `neurojoint serve`, or check the address"
        raise NeurojointError(f"no server answers at {url} ({type(error).__name__})", remedy) from None
    if answer.status_code == 429:
        raise NeurojointError("too many failed logins", f"wait {answer.headers.get('Retry-After', '60')} seconds")
    if answer.status_code != 200:
        raise NeurojointError(f"{url} refuses this name and password", "try again, or ask who runs the server")
    return answer.json()["token"]


def checked_url(url: str) -> str:
    """The address without a slash at its end.

    >>> checked_url("http://127.0.0.1:8000/")
    'http://127.0.0.1:8000'
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NeurojointError(f"{url!r} is no address of a server", "write it as http://127.0.0.1:8000")
    return url.rstrip("/")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise NeurojointError(f"{path} cannot be read ({error})", "mend or remove it, then try again") from None
    if not isinstance(content, dict):
        raise NeurojointError(f"{path} is not a file of the ONE client", "move it away, then try again")
    return content


def _write(path: Path, values: Mapping[str, Any]) -> None:
    """Replace a file as a whole; only its owner may read it, since it holds a token."""
    with unfinished(path, private=True) as partial:
        partial.write_text(json.dumps(values, indent=2), encoding="utf-8")
        partial.replace(path)
