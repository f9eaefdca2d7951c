"""Repositories as the transfers see them: where they are, when they may be reached, in which order they are read."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exchange.transfers import backends, ledger
from exchange.transfers.protocol import Backend, CannotDo, Place
from exchange.transfers.windows import Window
from pipeline.alf import disks
from pipeline.errors import NeurojointError
from pipeline.schemas import data, lab, transfer

WRITABLE = ("local", "ssh", "sftp", "s3", "globus")
NEAREST = ("local", "ssh", "sftp", "s3", "http", "globus")
"""In this order a copy is looked for, archives last."""
_SECRETS = ("password", "secret", "token", "key_id", "access_key")


@dataclass(frozen=True)
class Repository:
    """A repository with the rules of its access."""

    place: Place
    lab: str | None = None
    window: Window | None = None
    archive: bool = False
    offline: bool = False
    enabled: bool = True

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def collection(self) -> tuple[str, str] | None:
        """Collection of Globus and path in it, of a repository that Globus reaches."""
        if self.place.kind == "globus":
            return self.place.host, self.place.root
        identifier = self.place.options.get("globus_collection")
        return None if identifier is None else (str(identifier), str(self.place.options.get("globus_root", "/")))

    def open(self) -> Backend:
        """Its backend."""
        return backends.open_backend(self.place)


def repositories() -> dict[str, Repository]:
    """All repositories by name."""
    zones = {row["lab"]: row["time_zone"] for row in lab.Lab().to_dicts()}
    access = {row["repository"]: row for row in transfer.Access().to_dicts()}
    by_name = {}
    for row in data.Repository().to_dicts(order_by="repository"):
        rules: dict[str, Any] = access.get(row["repository"]) or {}
        place = Place(
            row["repository"],
            row["repository_kind"],
            row["repository_root"],
            row["repository_host"],
            rules.get("access_options") or {},
            rules.get("access_token", ""),
            rules.get("bandwidth_limit", 0.0),
        )
        start, end = rules.get("access_from", ""), rules.get("access_until", "")
        zone = zones.get(rules.get("lab") or "", "UTC")
        by_name[row["repository"]] = Repository(
            place,
            rules.get("lab"),
            Window.parse(start, end, zone) if start else None,
            bool(rules.get("access_archive")),
            bool(rules.get("access_offline")),
            bool(rules.get("access_enabled", True)),
        )
    return by_name


def repository(name: str) -> Repository:
    """One repository.

    Raises
    ------
    NeurojointError : there is none of that name.
    """
    known = repositories()
    if name not in known:
        raise NeurojointError(
            f"there is no repository {name!r}",
            f"there are: {', '.join(known) or 'none'} (neurojoint repository define)",
        )
    return known[name]


def by_distance(known: dict[str, Repository]) -> list[str]:
    """Names of repositories in the order in which copies are looked for in them; folders of other computers last.

    >>> far = Repository(Place("far", "s3", "s3://b"), archive=True)
    >>> web = Repository(Place("web", "http", "https://x"))
    >>> by_distance({"far": far, "web": web})
    ['web', 'far']
    """

    def distance(one: Repository) -> tuple:
        kind = NEAREST.index(one.place.kind) if one.place.kind in NEAREST else len(NEAREST)
        is_elsewhere = one.place.kind == "local" and not disks.is_there(Path(one.place.root))
        return is_elsewhere, one.offline, one.archive, kind, one.name

    return [value.name for value in sorted(known.values(), key=distance)]


def configure(name: str, *, mark: bool = True, options: dict[str, Any] | None = None, **rules: Any) -> Repository:
    """Say how and when transfers may reach a repository; what is not given stays as it is.

    With `mark`, write the marker file by which an empty mount point is told from the repository.

    Parameters
    ----------
    options : of the kind, see docs/transfers.md.
    rules : columns of `transfer.Access`.

    Raises
    ------
    NeurojointError : no such repository, a secret among the options, or a time zone or window that is none.
    """
    one = repository(name)
    for option in options or {}:
        if any(word in option.lower() for word in _SECRETS):
            raise NeurojointError(
                f"the option {option!r} looks like a secret, which no table may hold",
                "put it where the library looks for it: ~/.ssh, ~/.aws, or the environment",
            )
    row = (transfer.Access & {"repository": name}).to_dicts()
    now: dict[str, Any] = row[0] if row else {"repository": name, "access_options": {}, "access_token": ""}
    now |= rules
    if options is not None:
        now["access_options"] = now["access_options"] | options
    if now.get("access_from"):
        zone = (lab.Lab & {"lab": now.get("lab") or ""}).to_dicts()
        Window.parse(now["access_from"], now.get("access_until", ""), zone[0]["time_zone"] if zone else "UTC")
    if mark and one.place.kind in ("local", "ssh", "sftp") and not now["access_token"]:
        now["access_token"] = str(uuid.uuid4())
    with transfer.Access().connection.transaction:
        transfer.Access.insert1(now, skip_duplicates=True) if not row else transfer.Access.update1(now)
        ledger.note([("changed", f"repository/{name}", f"access: {sorted(rules)} {options or ''}", "")])
    one = repository(name)
    if mark and one.place.token:
        backend = one.open()
        try:
            backend.mark(one.place.token)
        finally:
            backend.close()
    return one


def writable(one: Repository) -> None:
    """Refuse a repository into which nothing can be copied."""
    if one.place.kind not in WRITABLE:
        raise CannotDo(f"nothing can be copied into {one.name}, which is {one.place.kind}", "choose another repository")
