"""Transfers on a lab's server that has no connection to the database: it asks the bridge over HTTP, copies, reports."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Callable, Sequence
from typing import Any

import requests

from exchange.transfers import states
from exchange.transfers.ledger import Item
from exchange.transfers.mover import Mover, Progress, Summary
from exchange.transfers.protocol import Found, Place
from exchange.transfers.repositories import Repository
from pipeline.errors import NeurojointError

PATIENCE_S = (15, 120)


class Server:
    """The bridge, as an agent talks to it.

    Parameters
    ----------
    address : e.g. https://lab.example.org
    token : of an account with the role member (`POST /auth-token`, or `neurojoint user token`).
    """

    def __init__(self, address: str, token: str) -> None:
        self.address = address.rstrip("/")
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Token {token}"

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """What the server answers.

        Raises
        ------
        NeurojointError : no answer, or a refusal, with what it says.
        """
        try:
            answer = self._session.post(f"{self.address}{path}", json=body, timeout=PATIENCE_S)
        except requests.RequestException as error:
            raise NeurojointError(
                f"{self.address} cannot be reached ({type(error).__name__})", "check the address and the network"
            ) from None
        if not answer.ok:
            raise NeurojointError(f"{self.address}{path} answers {answer.status_code}: {answer.text[:300]}", "")
        return answer.json()


class Report:
    """Stands for the tables while files of one transfer are carried; what became of them is sent at the end."""

    def __init__(self, server: Server, claimed: dict[str, Any]) -> None:
        self._server, self._claimed = server, claimed
        names = set(Item._fields) - {"due"}
        self._items = [Item(**{name: row[name] for name in names}) for row in claimed["items"]]
        self._found: dict[str, dict[str, Any]] = {}

    def database_time(self) -> datetime.datetime:
        """Deadlines are the server's; here a clock is only read for what is thrown away."""
        return datetime.datetime(2000, 1, 1)

    def items(self, identifier: str, *wanted: str) -> list[Item]:
        """The files that were handed out, as planned ones."""
        return [item.moved("planned", self.database_time()) for item in self._items] if "planned" in wanted else []

    def begin(self, identifier: str, group: Sequence[Item], now: datetime.datetime) -> list[Item]:
        """They are under way already."""
        return [member.moved("submitted", now) for member in group]

    def advance(self, group: Sequence[Item], state: str, now: datetime.datetime) -> list[Item]:
        """Nothing is told before it is certain."""
        return list(group)

    def update(self, identifier: str, **columns: Any) -> None:
        """Nothing is told before it is certain."""

    def interrupt(self, identifier: str, now: datetime.datetime, why: str) -> int:
        """What is not reported is given to others."""
        return 0

    def fail(self, failed: Sequence[Item]) -> None:
        """These failed."""
        for item in failed:
            final = item.attempts >= states.MOST_ATTEMPTS
            self._found[item.dataset_id] = {"dataset": item.dataset_id, "message": item.message, "final": final}

    def verify(self, destination: str, arrived: Sequence[tuple[Item, Found]], now: datetime.datetime) -> None:
        """These were read where they arrived."""
        for one, digest in arrived:
            self._found[one.dataset_id] = {
                "dataset": one.dataset_id, "md5": digest.md5, "size": digest.size, "modified_ns": digest.modified_ns,
                "how": digest.how,
            }  # fmt: skip

    def keep_until(self, destination: str, ids: Sequence[str], days: float | None) -> None:
        """The server knows."""

    def settle(self, identifier: str) -> None:
        """Tell the server what became of them."""
        body = {name: self._claimed[name] for name in ("transfer", "lease")}
        self._server.post("/transfers/report", body | {"items": list(self._found.values())})


def work(
    server: Server, names: Sequence[str], *, progress: Progress = lambda summary: None,
    until: Callable[[], bool] = lambda: False,
) -> Summary:  # fmt: skip
    """Copy what is due between repositories that this computer reaches, until nothing is.

    Parameters
    ----------
    names : of these repositories, e.g. that of the lab's server and that of the central store.
    """
    summary = Summary()
    while not until():
        claimed = server.post("/transfers/claim", {"repositories": list(names), "host": platform.node()})
        if not claimed:
            break
        source, destination = (Repository(Place(**claimed[end])) for end in ("source", "destination"))
        row = {"transfer_id": claimed["transfer"], "transfer_keep_days": None, "transfer_purpose": ""}
        summary.transfers += 1
        summary.total_files += len(claimed["items"])
        summary.total_size += sum(item["size"] for item in claimed["items"])
        Mover(row, source, destination, summary, progress, until, Report(server, claimed)).work()
        if summary.waiting:
            break
    return summary
