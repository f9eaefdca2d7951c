"""`one.alyx` without a server: the lists and records of the REST interface, answered from the tables in this process.

Code that was written for the web client (`one.alyx.rest("sessions", "list", subject=…)`), such as ibllib's loaders,
runs on `one_bridge.ONE` with it. It reads; what writes needs the server, with its accounts, or `pipeline.entry`.
"""

from __future__ import annotations

import difflib
import getpass
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl, urlsplit

import datajoint as dj
import requests

from one_bridge.server.endpoint_model import BadInput, NotFound
from one_bridge.server.endpoints import ENDPOINTS
from one_bridge.server.query import parse, resolve, sql
from one_bridge.server.query.identifiers import by_id
from one_bridge.server.serialise import Serialiser
from pipeline import SCHEMAS
from pipeline.database import registry
from pipeline.database.connection import Connection
from pipeline.errors import NeurojointError
from pipeline.web.threads import Database

_T = TypeVar("_T")
READING = ("list", "read")
WRITING = ("create", "update", "partial_update", "delete")


class DirectDatabase(Database):
    """The tables as one thread uses them, on DataJoint's own connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.backend = connection.adapter.backend

    def read(self, ask: Callable[[], _T]) -> _T:
        """What `ask` returns."""
        return ask()


class LocalAlyx:
    """Stands for `one.webclient.AlyxClient`.

    Parameters
    ----------
    connection : datajoint.Connection
        To which the schema modules are bound.
    """

    base_url = ""
    cache_mode = None
    is_logged_in = True

    def __init__(self, connection: Connection) -> None:
        for schema in SCHEMAS:
            registry.bind(schema)  # the registry of records spans all tables
        self.database = DirectDatabase(connection)
        self._serialiser = Serialiser(self.database)

    def __repr__(self) -> str:
        return "LocalAlyx (tables)"

    @property
    def user(self) -> str:
        """The account of the operating system: nobody logs in here."""
        return getpass.getuser()

    def list_endpoints(self) -> list[str]:
        """The names of all endpoints."""
        return sorted(ENDPOINTS)

    def rest(
        self,
        url: str | None = None,
        action: str | None = None,
        id: Any = None,
        data: Any = None,
        files: Any = None,
        no_cache: bool = False,
        **filters: Any,
    ) -> Any:
        """Lists of records and single records, as `AlyxClient.rest` gives them.

        Parameters
        ----------
        url : str
            An endpoint, e.g. `sessions`.
        action : str
            `list` or `read`.
        id : str or uuid.UUID, optional
            Of the record.
        data, files : object, optional
            Of writing actions, which are refused.
        no_cache : bool
            Nothing is kept here; taken for the sake of callers.
        **filters
            Of a list, as in the query string; `limit` is how many records at most. Lists of values are joined by
            commas.

        Returns
        -------
        list of dict, or dict
            All records that match, or one.

        Raises
        ------
        ValueError
            No such endpoint or action, or a filter that cannot be used.
        requests.HTTPError
            There is no record with this identifier (404).
        NeurojointError
            An action that writes.
        """
        if not url:
            return self.list_endpoints()
        name = url.strip("/").partition("/")[0]
        if name not in ENDPOINTS:
            near = difflib.get_close_matches(name, ENDPOINTS, 3, 0.4) or self.list_endpoints()
            raise ValueError(f'REST endpoint "{name}" does not exist; did you mean {", ".join(near)}?')
        if action in WRITING:
            raise NeurojointError(
                f"one_bridge.ONE reads the tables, and does not {action} records",
                "use the server (`neurojoint serve` and one.api.ONE(base_url=…)), or pipeline.entry",
            )
        if action not in READING:
            raise ValueError(f'Action "{action}" for REST endpoint "{name}" does not exist. There are: list, read')
        if action == "read":
            return self._read(name, str(id).rstrip("/").rpartition("/")[2])
        if id is not None:
            django = filters.get("django")
            filters["django"] = f"{django},pk,{id}" if django else f"pk,{id}"
        text = {key: _text(value) for key, value in filters.items() if value is not None and key != "expires"}
        return self._list(name, text)

    def get(self, rest_query: str, **_options: Any) -> Any:
        """The answer to an address, e.g. `/sessions?subject=KS014` or `/sessions/<eid>`."""
        parts = urlsplit(rest_query)
        name, _, record = parts.path.strip("/").partition("/")
        if record:
            return self.rest(name, "read", id=record)
        return self.rest(name, "list", **cast("dict[str, Any]", dict(parse_qsl(parts.query))))

    def restrict(self, name: str, rows: dj.Table, django: str) -> Any:
        """Rows of the table behind an endpoint that a `django=` filter leaves.

        Raises
        ------
        ValueError
            A filter that cannot be used.
        """
        endpoint = ENDPOINTS[name]
        listed = sql.Listed(endpoint, rows)
        writer = sql.Conditions(self.database)
        try:
            for pair in parse.parse_django(django):
                listed.restrict(writer.condition(resolve.resolve_pair(endpoint, pair), listed))
        except BadInput as error:
            raise ValueError(str(error)) from None
        return listed.counted if listed.counted is listed.own else rows & listed.rows.proj()

    def _list(self, name: str, filters: Mapping[str, str]) -> list[dict[str, Any]]:
        try:
            query = parse.parse(filters)
            endpoint = resolve.asked(ENDPOINTS[name], query)
            listed = sql.restricted(resolve.resolve(endpoint, query), self.database)
        except BadInput as error:
            raise ValueError(str(error)) from None
        more: dict[str, Any] = {"limit": int(filters["limit"])} if "limit" in filters else {}
        offset: dict[str, Any] = {"offset": query.offset} if more else {}
        rows = listed.rows
        records = self._serialiser.records(endpoint, rows, "", order_by=endpoint.order, **more, **offset)
        return _plain(records[query.offset :] if query.offset and not more else records)

    def _read(self, name: str, identifier: str) -> dict[str, Any]:
        endpoints = [ENDPOINTS[name], *([ENDPOINTS[ENDPOINTS[name].aside]] if ENDPOINTS[name].aside else [])]
        for endpoint in endpoints:
            try:
                rows = endpoint.base() & by_id(endpoint, identifier, self.database)
            except NotFound:
                continue
            records = self._serialiser.records(endpoint, rows, "", detail=True, limit=2)
            if len(records) > 1:
                raise ValueError(f"several labs have a {endpoint.label} {identifier}: use its id")
            if records:
                return _plain(records)[0]
        response = requests.Response()
        response.status_code = 404
        label = ENDPOINTS[name].label
        raise requests.HTTPError(
            404, f"/{name}/{identifier}", f"No {label} matches the given query.", response=response
        )


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple | set) else str(value)


def _plain(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records as they come out of JSON: texts for dates and uuids."""
    return json.loads(json.dumps(records, default=str))
