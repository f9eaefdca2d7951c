"""Globus: batches that the service carries between two collections while nobody here waits.

Each file is given to the service with our md5 as external checksum, and counts only when the service lists it among the
successful ones of a task that verified checksums, and a listing shows it with its size. Nothing here was ever tried on
the service itself, only on a local server that speaks its protocol to the unmodified SDK.
"""

from __future__ import annotations

import dataclasses
import datetime
import stat as modes
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import globus_sdk
from globus_sdk.token_storage import JSONTokenStorage, TokenValidationError

from exchange.transfers.protocol import (
    CannotDo,
    Found,
    Job,
    Outcome,
    Place,
    Progress,
    ServiceJob,
    Stat,
    Task,
    TaskRejected,
    Unavailable,
    inside,
)
from pipeline.errors import NeurojointError
from pipeline.settings import read_secret, settings

APP = "neurojoint"
HOURS = 24
"""Deadline of a task that the service may extend while it makes progress."""
_ENDED = {"SUCCEEDED": "succeeded", "FAILED": "failed"}
_KNOWN_ERRORS = (globus_sdk.GlobusAPIError, globus_sdk.NetworkError, TokenValidationError)
_PASSING = (401, 403, 408, 409, 429)
"""Answers to a submission that another attempt may not get; other ones of 400 to 499 do not change."""


class Collection:
    """A collection: root is a path in it, host its identifier. Files go in and out by the service alone."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._client: Any = None

    @property
    def client(self) -> Any:
        """The client of the transfer service; logs in when first used."""
        self._client = self._client or client([self.place.host] if self.place.options.get("data_access") else [])
        return self._client

    def check(self, writing: bool = False) -> None:
        """See `Backend.check`."""
        try:
            endpoint = self.client.get_endpoint(self.place.host)
        except _KNOWN_ERRORS as error:
            raise unavailable(error, f"the collection {self.place.host}") from error
        if endpoint.get("gcp_connected") is False:
            raise Unavailable(
                f"the computer of the collection {self.place.name} is not connected", "start Globus on it"
            )

    def mark(self, token: str) -> None:
        """The service writes nothing but what it transfers: there is no marker."""

    def stat(self, paths: Sequence[str]) -> dict[str, Stat]:
        """See `Backend.stat`: one listing for each folder."""
        by_folder: dict[str, set[str]] = {}
        for path in paths:
            by_folder.setdefault(inside(path).rpartition("/")[0], set()).add(path)
        stats = {}
        for folder, wanted in by_folder.items():
            for item in self._ls(folder):
                path = f"{folder}/{item['name']}" if folder else item["name"]
                if item["type"] == "file" and path in wanted:
                    stats[path] = Stat(path, item["size"], _ns(item.get("last_modified")))
        return stats

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """See `Backend.list`."""
        waiting = [inside(prefix.rstrip("/")) if prefix else ""]
        while waiting:
            folder = waiting.pop()
            for item in self._ls(folder):
                path = f"{folder}/{item['name']}" if folder else item["name"]
                if item["name"].startswith("."):
                    continue
                if item["type"] == "dir":
                    waiting.append(path)
                elif item["type"] == "file":
                    yield Stat(path, item["size"], _ns(item.get("last_modified")))

    def send(self, jobs: Iterable[Job], progress: Progress) -> Iterator[Outcome]:
        """Only between two collections, by `GlobusService`."""
        yield from ((job, self._cannot("written from here")) for job in jobs)

    def fetch(self, jobs: Iterable[Job], progress: Progress) -> Iterator[Outcome]:
        """Only between two collections, by `GlobusService`."""
        yield from ((job, self._cannot("read from here")) for job in jobs)

    def read(self, paths: Sequence[str], progress: Progress) -> Iterator[tuple[str, Found | Exception]]:
        """The service hashes only what it transfers."""
        yield from ((path, self._cannot("read from here")) for path in paths)

    def delete(self, paths: Sequence[str]) -> None:
        """See `Backend.delete`; the service does it in its own time."""
        if not paths:
            return
        task = globus_sdk.DeleteData(self.place.host, label=APP)
        for path in paths:
            task.add_item(full(self.place.root, path))
        try:
            self.client.submit_delete(task)
        except _KNOWN_ERRORS as error:
            raise unavailable(error, f"the collection {self.place.host}") from error

    def close(self) -> None:
        """Nothing stays open."""

    def _ls(self, folder: str) -> Sequence[dict[str, Any]]:
        try:
            return list(self.client.operation_ls(self.place.host, path=full(self.place.root, folder)))
        except globus_sdk.TransferAPIError as error:
            if error.http_status == 404:
                return []
            raise unavailable(error, f"the collection {self.place.host}") from error
        except _KNOWN_ERRORS as error:
            raise unavailable(error, f"the collection {self.place.host}") from error

    def _cannot(self, what: str) -> CannotDo:
        return CannotDo(
            f"files of the collection {self.place.name} cannot be {what}",
            "give the other repository a collection too: --option globus_collection=… --option globus_root=…",
        )


class GlobusService:
    """See `exchange.transfers.protocol.Service`.

    Parameters
    ----------
    collections : identifiers of mapped collections whose data need a consent of their own.
    sync_level : what the service passes over; what it passes over does not count as verified.
    """

    def __init__(self, collections: Sequence[str] = (), sync_level: str | None = None) -> None:
        self._collections, self._sync_level = collections, sync_level
        self._client: Any = None

    @property
    def client(self) -> Any:
        """The client of the transfer service; logs in when first used."""
        self._client = self._client or client(self._collections)
        return self._client

    def reserve(self) -> str:
        """See `Service.reserve`."""
        try:
            return str(self.client.get_submission_id()["value"])
        except _KNOWN_ERRORS as error:
            raise unavailable(error, "Globus") from error

    def submit(
        self, submission: str, source: tuple[str, str], destination: tuple[str, str], jobs: Sequence[ServiceJob],
        label: str,
    ) -> str:  # fmt: skip
        """See `Service.submit`. The same submission never starts a second task.

        Raises
        ------
        TaskRejected : the service does not take it, and would not if it were asked again.
        """
        deadline = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=HOURS)
        options: dict[str, Any] = {} if self._sync_level is None else {"sync_level": self._sync_level}
        task = globus_sdk.TransferData(
            source[0], destination[0], label=label[:128], submission_id=submission, verify_checksum=True,
            preserve_timestamp=True, encrypt_data=True, skip_source_errors=True, fail_on_quota_errors=True,
            deadline=deadline, notify_on_succeeded=False, notify_on_failed=False, notify_on_inactive=False, **options,
        )  # fmt: skip
        for job in jobs:
            task.add_item(
                full(source[1], job.source_path), full(destination[1], job.destination_path),
                external_checksum=job.md5, checksum_algorithm="MD5",
            )  # fmt: skip
        try:
            return str(self.client.submit_transfer(task)["task_id"])
        except globus_sdk.TransferAPIError as error:
            if 400 <= error.http_status < 500 and error.http_status not in _PASSING:
                said = f"Globus rejects the task: {error.http_status} {error.code or ''}: {error.message or ''}"
                raise TaskRejected(said[:900], "it is tried again as a new one") from error
            raise unavailable(error, "Globus") from error
        except _KNOWN_ERRORS as error:
            raise unavailable(error, "Globus") from error

    def poll(self, task: str) -> Task:
        """See `Service.poll`: one request while a task runs, one more page by page when it has ended."""
        try:
            said = self.client.get_task(task)
        except globus_sdk.TransferAPIError as error:
            if error.http_status == 404:
                return Task("lost", message="Globus does not know the task any more")
            raise unavailable(error, "Globus") from error
        except _KNOWN_ERRORS as error:
            raise unavailable(error, "Globus") from error
        size = int(said.get("bytes_transferred") or 0)
        if said["status"] not in _ENDED:
            paused = said["status"] == "INACTIVE" or said.get("is_paused")
            why = str(said.get("nice_status") or "")
            return Task("paused" if paused else "active", message=why, bytes_done=size)
        try:
            arrived = frozenset(
                str(item["destination_path"]) for item in self._all(self.client.task_successful_transfers, task)
            )
            problems = {}
            if said["status"] == "FAILED" or said.get("files_skipped"):
                for item in self._all(self.client.task_skipped_errors, task):
                    problems[str(item["source_path"])] = str(item.get("error_code") or "skipped")
        except _KNOWN_ERRORS as error:
            raise unavailable(error, "Globus") from error
        fatal = said.get("fatal_error") or {}
        message = f"{said.get('nice_status') or ''} {fatal.get('description') or ''}".strip()
        return Task(_ENDED[said["status"]], arrived, problems, message[:900], size)

    def cancel(self, task: str) -> None:
        """See `Service.cancel`."""
        try:
            self.client.cancel_task(task)
        except _KNOWN_ERRORS as error:
            raise unavailable(error, "Globus") from error

    @staticmethod
    def _all(ask: Any, task: str) -> Iterator[dict[str, Any]]:
        """All pages of an answer, whose marker leads to the next."""
        marker: Any = None
        while True:
            page = ask(task, **({} if marker is None else {"marker": marker}))
            yield from page["DATA"]
            marker = page.get("next_marker")
            if not marker:
                return


def client(collections: Sequence[str] = ()) -> Any:
    """A client of the transfer service, logged in as the application or as the person who logged in before.

    Raises
    ------
    Unavailable : nobody has logged in.
    """
    app = login_app()
    made = globus_sdk.TransferClient(app=app)
    if collections:
        made.add_app_data_access_scope(collections)
    if isinstance(app, globus_sdk.UserApp) and app.login_required():
        raise Unavailable("nobody is logged in to Globus here", "neurojoint transfer login")
    return made


def login() -> None:
    """Log a person in, who is shown an address to open and asked for the code; an application needs no login."""
    app = login_app(asking=True)
    made = globus_sdk.TransferClient(app=app)
    if isinstance(app, globus_sdk.UserApp):
        app.login()
    made.task_list(limit=1)


def login_app(asking: bool = False) -> Any:
    """The application by which transfers log in: with a secret it acts for itself, else for a person.

    Tokens are kept in a file of mode 600 in a folder of mode 700 under the home.

    Parameters
    ----------
    asking : a person sits here, who may be asked to log in.
    """
    chosen = settings()
    if not chosen.globus_client_id:
        raise Unavailable("no application of Globus is named", "set globus_client_id (docs/transfers.md)")
    folder = chosen.home / "globus"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    tokens = folder / "tokens.json"
    if tokens.exists() and modes.S_IMODE(tokens.stat().st_mode) & 0o077:
        raise NeurojointError(f"others may read {tokens}", f"chmod 600 {tokens}")
    secret = chosen.globus_client_secret.get_secret_value() if chosen.globus_client_secret else None
    if secret is None and chosen.globus_client_secret_file is not None:
        secret = read_secret(chosen.globus_client_secret_file)
    if secret is not None:
        config = globus_sdk.GlobusAppConfig(token_storage=JSONTokenStorage(tokens))
        return globus_sdk.ClientApp(APP, client_id=chosen.globus_client_id, client_secret=secret, config=config)
    config = globus_sdk.GlobusAppConfig(token_storage=JSONTokenStorage(tokens), request_refresh_tokens=True)
    if not asking:  # a service would wait for an answer for ever
        config = dataclasses.replace(config, token_validation_error_handler=None)
    return globus_sdk.UserApp(APP, client_id=chosen.globus_client_id, config=config)


def full(root: str, path: str) -> str:
    """A path in a collection.

    >>> full("/~/Subjects/", "a/b"), full("/", "")
    ('/~/Subjects/a/b', '/')
    """
    return f"{root.rstrip('/')}/{inside(path) if path else ''}"


def unavailable(error: Exception, what: str) -> Unavailable:
    """An error of the SDK in our words; never with a token."""
    if isinstance(error, TokenValidationError):
        return Unavailable(f"the login to Globus is over ({type(error).__name__})", LOGIN)
    if isinstance(error, globus_sdk.AuthAPIError):  # no new token for the old one, or none for the application
        return Unavailable(f"Globus gives no token: {error.http_status} {error.code or ''}"[:900], LOGIN)
    if isinstance(error, globus_sdk.GlobusAPIError):
        detail = f"{error.http_status} {error.code or ''}: {error.message or ''}"
        remedy = LOGIN if error.http_status in (401, 403) else "it is tried again"
        return Unavailable(f"{what} answers {detail}"[:900], remedy)
    return Unavailable(f"{what} cannot be reached ({type(error).__name__})", "check the network; it is tried again")


LOGIN = "log in again: neurojoint transfer login; an application: check globus_client_id and its secret"


def _ns(text: Any) -> int:
    if not text:
        return 0
    moment = datetime.datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    return int(moment.replace(tzinfo=moment.tzinfo or datetime.UTC).timestamp()) * 1_000_000_000
