"""Where an agent gets its tasks and reports them: a server over HTTPS, or the database of the central machine."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import requests

from pipeline.errors import ConflictError, NeurojointError, NotFoundError, PermissionDenied, UserError

PATIENCE_S = (10, 120)


class Unreachable(NeurojointError):
    """The server does not answer now; the same request again may succeed."""


class Desk(Protocol):
    """What an agent asks; see `ingest.agent.service.TaskService`."""

    uploads: bool
    """Whether outputs have to be sent, since the central machine does not see the agent's files."""

    def plan(self, report: Mapping[str, Any]) -> dict[str, Any]: ...

    def claim(self, request: Mapping[str, Any]) -> dict[str, Any]: ...

    def heartbeat(self, task: str, token: str, progress: float | None, activity: str) -> None: ...

    def log(self, task: str, token: str, piece: int, text: str) -> None: ...

    def protected(self, task: str, token: str, paths: Sequence[str]) -> list[str]: ...

    def send(self, task: str, token: str, path: str, file: Path, md5: str) -> None: ...

    def finish(self, task: str, token: str, report: Mapping[str, Any]) -> str: ...

    def release(self, task: str, token: str) -> None: ...

    def health(self, report: Mapping[str, Any]) -> str: ...


class HttpDesk:
    """A server, as an agent talks to it.

    Parameters
    ----------
    address : e.g. https://lab.example.org
    token : of an account, made with `neurojoint user token NAME --lab LAB`.
    """

    uploads = True

    def __init__(self, address: str, token: str) -> None:
        self.address = address.rstrip("/")
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Token {token}"

    def plan(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """See `TaskService.plan`."""
        return self._post("/tasks/plan", report)

    def claim(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """See `TaskService.claim`."""
        return self._post("/tasks/claim", request)

    def heartbeat(self, task: str, token: str, progress: float | None, activity: str) -> None:
        """See `TaskService.heartbeat`."""
        self._post(f"/tasks/{task}/heartbeat", {"token": token, "progress": progress, "activity": activity})

    def log(self, task: str, token: str, piece: int, text: str) -> None:
        """See `TaskService.log`."""
        self._post(f"/tasks/{task}/log", {"token": token, "piece": piece, "text": text})

    def protected(self, task: str, token: str, paths: Sequence[str]) -> list[str]:
        """See `TaskService.protected`."""
        return self._post(f"/tasks/{task}/protected", {"token": token, "paths": list(paths)})["protected"]

    def send(self, task: str, token: str, path: str, file: Path, md5: str) -> None:
        """Send a small output to the central machine."""
        with file.open("rb") as content:
            headers = {"X-Lease": token, "X-MD5": md5, "Content-Type": "application/octet-stream"}
            address = f"/tasks/{task}/files/{urllib.parse.quote(path)}"
            self._answer(lambda: self._session.put(
                self.address + address, data=content, headers=headers, timeout=(10, 600)), address)  # fmt: skip

    def finish(self, task: str, token: str, report: Mapping[str, Any]) -> str:
        """See `TaskService.finish`."""
        return self._post(f"/tasks/{task}/finish", {"token": token} | dict(report))["state"]

    def release(self, task: str, token: str) -> None:
        """See `TaskService.release`."""
        self._post(f"/tasks/{task}/release", {"token": token})

    def health(self, report: Mapping[str, Any]) -> str:
        """See `TaskService.health`; returns the time of the database."""
        return self._post("/tasks/health", report)["time"]

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        def ask() -> requests.Response:
            return self._session.post(self.address + path, json=body, timeout=PATIENCE_S, allow_redirects=False)

        return self._answer(ask, path)

    def _answer(self, ask: Any, path: str) -> dict[str, Any]:
        try:
            answer = ask()
        except requests.RequestException as error:
            raise Unreachable(f"{self.address} cannot be reached ({type(error).__name__})", "see the network") from None
        if answer.ok:
            try:
                content = answer.json()
            except ValueError:
                content = None
            if not isinstance(content, dict):
                raise Unreachable(f"{self.address} answers with something that is not ours", "check the address")
            return content
        words = answer.text[:500]
        if answer.status_code >= 500 or answer.status_code in (408, 429):
            raise Unreachable(f"{self.address}{path} answers {answer.status_code}: {words}", "it is tried again")
        kind = {403: PermissionDenied, 404: NotFoundError, 409: ConflictError}.get(answer.status_code, UserError)
        raise kind(f"{self.address}{path} answers {answer.status_code}: {words}", "")


class DatabaseDesk:
    """The database of the central machine, for an agent that works below its data root."""

    uploads = False

    def __init__(self, service: Any) -> None:
        self._service = service

    def plan(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """See `TaskService.plan`."""
        return self._service.plan(report)

    def claim(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """See `TaskService.claim`."""
        return self._service.claim(request)

    def heartbeat(self, task: str, token: str, progress: float | None, activity: str) -> None:
        """See `TaskService.heartbeat`."""
        self._service.heartbeat(task, token, progress, activity)

    def log(self, task: str, token: str, piece: int, text: str) -> None:
        """See `TaskService.log`."""
        self._service.log(task, token, piece, text)

    def protected(self, task: str, token: str, paths: Sequence[str]) -> list[str]:
        """See `TaskService.protected`."""
        return self._service.protected(task, token, paths)

    def send(self, task: str, token: str, path: str, file: Path, md5: str) -> None:
        """Nothing has to be sent."""

    def finish(self, task: str, token: str, report: Mapping[str, Any]) -> str:
        """See `TaskService.finish`."""
        return self._service.finish(task, token, report)["state"]

    def release(self, task: str, token: str) -> None:
        """See `TaskService.release`."""
        self._service.release(task, token)

    def health(self, report: Mapping[str, Any]) -> str:
        """See `TaskService.health`."""
        return self._service.health(report)["time"]
