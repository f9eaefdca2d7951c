"""The web application: routes made from the registry, one shape for all errors, limits on what a client may send."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import datajoint as dj
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from one_bridge.query import InvalidQuery
from one_bridge.server import files, filters, schema
from one_bridge.server.answers import Answers
from one_bridge.server.auth import Gate, TooMany
from one_bridge.server.endpoints import ENDPOINTS
from one_bridge.server.registration import Registration
from one_bridge.server.serialise import Serialiser
from one_bridge.server.shapes import BadInput, Endpoint, NotFound, Refused
from one_bridge.server.writing import Writer
from pipeline import errors
from pipeline.database.threads import Database
from pipeline.users import Account, Users

logger = logging.getLogger(__name__)

LARGEST_BODY = 16 << 20  # byte
DEEPEST_JSON = 50


def create_app(
    connection: dj.Connection,
    users: Users,
    data_root: Path | None = None,
    home: Path | None = None,
    public_read: bool = False,
    version: str = "0",
) -> FastAPI:
    """The application on an open database. Importing this module connects to nothing.

    Parameters
    ----------
    connection : from `pipeline.connect()`.
    users : the accounts.
    data_root : the ALF tree.
    home : where exported cache tables are kept.
    public_read : whether those who are not logged in may read.
    version : of neurojoint, for the schema.
    """
    bridge = Bridge(connection, Gate(users, public_read), data_root, home or Path.home(), version)

    @asynccontextmanager
    async def lifespan(_: FastAPI):
        await run_in_threadpool(bridge.roots.announce)
        yield
        bridge.database.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan, redirect_slashes=True)
    app.state.bridge = bridge
    bridge.add_routes(app)
    _add_error_handlers(app)
    return app


class Bridge:
    """What the routes share."""

    def __init__(self, connection: dj.Connection, gate: Gate, data_root: Path | None, home: Path, version: str) -> None:
        self.gate = gate
        self.answers = Answers()
        self.database = Database(connection, written=self.answers.forget)
        self.serialiser = Serialiser(self.database)
        self.writer = Writer(self.database, self.serialiser)
        self.roots = files.Roots(self.database, data_root)
        self.registration = Registration(self.database, self.serialiser, self.roots)
        self.cache = files.CacheTables(self.database, home / "bridge" / "cache")
        self.schema = json.dumps(schema.openapi(version)).encode()

    def add_routes(self, app: FastAPI) -> None:
        """One route for each verb of each endpoint, and those that are no endpoint."""
        route = app.add_route
        for endpoint in ENDPOINTS.values():
            verbs = {"GET": self._list(endpoint)}
            if "create" in endpoint.verbs:
                verbs["POST"] = self._create(endpoint)
            route(f"/{endpoint.name}", _by_method(verbs), methods=list(verbs))
            single = {"GET": self._read(endpoint)}
            if "update" in endpoint.verbs:
                single["PUT"] = single["PATCH"] = self._update(endpoint)
            if "delete" in endpoint.verbs:
                single["DELETE"] = self._delete(endpoint)
            route(f"/{endpoint.name}/{{id:path}}", _by_method(single), methods=list(single))
        route("/auth-token", self._login, methods=["POST"])
        route("/me", self._threaded(self._me), methods=["GET"])
        route("/api/schema", self._schema, methods=["GET"])
        route("/register-file", self._register, methods=["POST"])
        route("/check-protected", self._check_protected, methods=["GET", "POST"])
        route("/cache/info", self._threaded(self._cache_info), methods=["GET"])
        route("/cache/info/{tag}", self._threaded(self._cache_info), methods=["GET"])
        route("/cache.zip", self._threaded(self._cache_zip), methods=["GET"])
        route("/data/{path:path}", self._threaded(self._download), methods=["GET", "HEAD"])
        route("/uploaded/{path:path}", self._threaded(self._image), methods=["GET", "HEAD"])
        route("/", self._threaded(self._about), methods=["GET"])

    def _list(self, endpoint: Endpoint) -> Callable:
        def answer(request: Request) -> Response:
            self._admit(request, "public")
            parameters = _query(request)
            page = filters.page(parameters)

            def make() -> bytes:
                records, count = self.database.read(
                    lambda: self.serialiser.page(
                        filters.restricted(endpoint, parameters, self.database), _root(request), page.limit, page.offset
                    )
                )
                return _dumped(
                    {
                        "count": count,
                        "next": _page_url(request, page.limit, page.offset + page.limit, count),
                        "previous": _page_url(request, page.limit, page.offset - page.limit, count),
                        "results": records,
                    }
                )

            question = (endpoint.name, _root(request), str(request.url.query))
            return Response(self.answers.get(question, make), media_type="application/json")

        return self._threaded(answer)

    def _read(self, endpoint: Endpoint) -> Callable:
        def answer(request: Request) -> Response:
            self._admit(request, "public")
            if not _id(request):
                return RedirectResponse(f"/{endpoint.name}?{request.url.query}")
            return self._record(endpoint, filters.by_id(endpoint, _id(request), self.database), request)

        return self._threaded(answer)

    def _create(self, endpoint: Endpoint) -> Callable:
        async def answer(request: Request) -> Response:
            account = await run_in_threadpool(self._admit, request, endpoint.write)
            body = await _body(request)

            def work() -> Response:
                if isinstance(body.get("image"), bytes) and endpoint.name == "notes":
                    body["image"] = files.save_image(self.roots, body["image"])
                else:
                    body.pop("image", None)
                return self._record(endpoint, self.writer.create(endpoint, body, account), request, 201)

            return await run_in_threadpool(work)

        return answer

    def _update(self, endpoint: Endpoint) -> Callable:
        async def answer(request: Request) -> Response:
            account = await run_in_threadpool(self._admit, request, endpoint.write)
            body = await _body(request)

            def work() -> Response:
                restriction = filters.by_id(endpoint, _id(request), self.database)
                return self._record(endpoint, self.writer.update(endpoint, restriction, body, account), request)

            return await run_in_threadpool(work)

        return answer

    def _delete(self, endpoint: Endpoint) -> Callable:
        def answer(request: Request) -> Response:
            account = self._admit(request, endpoint.delete)
            self.writer.delete(endpoint, filters.by_id(endpoint, _id(request), self.database), account)
            return Response(status_code=204)

        return self._threaded(answer)

    def _record(self, endpoint: Endpoint, restriction: str, request: Request, status: int = 200) -> Response:
        def ask() -> list[dict[str, Any]]:
            rows = endpoint.base() & restriction
            return self.serialiser.records(endpoint, rows, _root(request), detail=True, limit=2)

        records = self.database.read(ask)
        if not records:
            raise NotFound(f"No {endpoint.label} matches the given query.")
        if len(records) > 1:
            raise BadInput("id", f"Several labs have a {endpoint.label} of this name: use its id.")
        return _json(records[0], status)

    async def _login(self, request: Request) -> Response:
        body = await _body(request)
        name, password = body.get("username"), body.get("password")
        wrong = {
            one: ["This field is required."] for one in ("username", "password") if not isinstance(body.get(one), str)
        }
        if wrong:
            return _json(wrong | {"status_code": 400}, 400)

        def work() -> str | None:
            account = self.gate.login(name, password, _address(request))
            return None if account is None else self.gate.users.issue_token(account.name, "login")

        token = await run_in_threadpool(work)
        if token is None:
            message = "Unable to log in with provided credentials."
            return _json({"non_field_errors": [message], "status_code": 400}, 400)
        return _json({"token": token})

    def _me(self, request: Request) -> Response:
        account = self.gate.account(request.headers.get("authorization", ""), _address(request))
        if account is None:
            raise Refused("Authentication credentials were not provided.")
        return _json({"username": account.name, "role": account.role})

    async def _schema(self, _: Request) -> Response:
        return Response(self.schema, media_type="application/vnd.oai.openapi+json")

    async def _register(self, request: Request) -> Response:
        await run_in_threadpool(self._admit, request, "member")
        body = await _body(request)
        return _json(await run_in_threadpool(self.registration.register, body, _root(request)), 201)

    async def _check_protected(self, request: Request) -> Response:
        await run_in_threadpool(self._admit, request, "public")
        body = await _body(request)
        return _json(await run_in_threadpool(self.database.read, lambda: self.registration.check_protected(body)))

    def _cache_info(self, request: Request) -> Response:
        self._admit(request, "public")
        return _json(self.cache.info(request.path_params.get("tag"), _root(request)))

    def _cache_zip(self, request: Request) -> Response:
        self._admit(request, "public")
        path = self.cache.archive(request.query_params.get("tag") or None)
        return FileResponse(path, media_type="application/zip", filename="cache.zip")

    def _download(self, request: Request) -> Response:
        try:
            self._admit(request, "public")
        except Refused as error:  # the client sends its name and password only when it is asked for them
            body = {"detail": str(error), "status_code": 401}
            return JSONResponse(body, 401, {"WWW-Authenticate": 'Basic realm="neurojoint", charset="UTF-8"'})
        path = self.database.read(lambda: files.find_dataset(self.roots, request.path_params["path"]))
        return FileResponse(path, media_type="application/octet-stream", headers={"X-Content-Type-Options": "nosniff"})

    def _image(self, request: Request) -> Response:
        self._admit(request, "public")
        path = self.database.read(lambda: files.find_image(self.roots, request.path_params["path"]))
        return FileResponse(path, headers={"X-Content-Type-Options": "nosniff"})

    def _about(self, request: Request) -> Response:
        return _json({"name": "neurojoint", "schema": f"{_root(request)}/api/schema"})

    def _admit(self, request: Request, role: str) -> Account:
        account = self.gate.account(request.headers.get("authorization", ""), _address(request))
        return self.gate.admit(account, role)

    def _threaded(self, answer: Callable[[Request], Response]) -> Callable:
        async def handler(request: Request) -> Response:
            return await run_in_threadpool(answer, request)

        return handler


def _by_method(verbs: dict[str, Callable]) -> Callable:
    async def handler(request: Request) -> Response:
        return await verbs["GET" if request.method == "HEAD" else request.method](request)

    return handler


async def _body(request: Request) -> dict[str, Any]:
    """What a request holds, JSON or a form, as names and values.

    Raises
    ------
    BadInput : too large, or not to be read.
    """
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > LARGEST_BODY:
            raise HTTPException(413, "The request is too large.")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        return await _form(request, content)
    try:
        body = json.loads(content or b"{}", parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise HTTPException(400, "JSON parse error") from None
    if not isinstance(body, dict):
        raise BadInput("non_field_errors", "Invalid data. Expected a dictionary.")
    return body


async def _form(request: Request, content: bytes) -> dict[str, Any]:
    from starlette.formparsers import MultiPartException

    async def stream():
        yield content

    parsers = _parsers()
    try:
        if request.headers["content-type"].lower().startswith("multipart"):
            parsed = await parsers[0](request.headers, stream(), max_files=4, max_fields=100).parse()
        else:
            parsed = await parsers[1](request.headers, stream()).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise HTTPException(400, f"Multipart form parse error - {error}") from None
    found: dict[str, Any] = {}
    for name, value in parsed.multi_items():
        found[name] = value if isinstance(value, str) else await value.read()
    return found


def _parsers() -> tuple:
    from starlette.formparsers import FormParser, MultiPartParser

    return MultiPartParser, FormParser


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _query(request: Request) -> dict[str, str]:
    """The query string, each name once; a name given twice is a list."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        found[name] = f"{found[name]},{value}" if name in found and value else value or found.get(name, "")
    return found


def _id(request: Request) -> str:
    return request.path_params["id"]


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _root(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _page_url(request: Request, limit: int, offset: int, count: int) -> str | None:
    """The address of another page, without the host: behind a proxy the client knows better where it is."""
    if offset >= count or offset <= -limit:
        return None
    url = request.url.include_query_params(limit=limit, offset=max(offset, 0))
    return f"{url.path}?{url.query}"


def _dumped(content: Any) -> bytes:
    return json.dumps(content, default=str).encode("utf-8", "replace")


def _json(content: Any, status: int = 200) -> Response:
    return Response(_dumped(content), status, media_type="application/json")


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(HTTPException)
    async def plain(_: Request, error: HTTPException) -> Response:
        body = {"detail": str(error.detail), "status_code": error.status_code}
        return JSONResponse(body, error.status_code, error.headers)

    @app.exception_handler(BadInput)
    async def bad_input(_: Request, error: BadInput) -> Response:
        return _json(error.problems | {"status_code": 400}, 400)

    @app.exception_handler(InvalidQuery)
    async def invalid_query(_: Request, error: InvalidQuery) -> Response:
        return _json({"detail": str(error), "status_code": 400}, 400)

    @app.exception_handler(NotFound)
    async def not_found(_: Request, error: NotFound) -> Response:
        return _json({"detail": str(error) or "Not found.", "status_code": 404}, 404)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return _json(error.body or {"detail": str(error), "status_code": 403}, 403)

    @app.exception_handler(TooMany)
    async def too_many(_: Request, error: TooMany) -> Response:
        body = {"detail": f"{error} Expected available in {error.wait:.0f} seconds.", "status_code": 429}
        return JSONResponse(body, 429, {"Retry-After": f"{error.wait + 1:.0f}"})

    async def other(request: Request, error: Exception) -> Response:
        if isinstance(error, errors.DatabaseUnavailable) or errors.is_connection_error(error):
            logger.warning("%s", errors.explain(error))
            body = {"detail": "The database cannot be reached at the moment.", "status_code": 503}
            return JSONResponse(body, 503, {"Retry-After": "1"})
        if isinstance(error, errors.NeurojointError):
            return _json({"detail": str(error), "status_code": 400}, 400)
        if _is_of_data(error):
            return _json({"detail": "The database refuses a value of this request.", "status_code": 400}, 400)
        logger.error("%s %s", request.method, request.url.path, exc_info=error)
        return _json({"detail": "Internal server error; see the log of the server.", "status_code": 500}, 500)

    import psycopg2
    import pymysql

    # Not only for Exception: what is caught there is answered too, but also raised again for the log of uvicorn.
    for kind in (errors.NeurojointError, psycopg2.Error, pymysql.Error, dj.DataJointError, OSError, Exception):
        app.add_exception_handler(kind, other)


def _is_of_data(error: BaseException) -> bool:
    """Does the database refuse a value (too long, out of range, no such name, two of the same)?"""
    names = {cls.__name__ for cls in type(error).__mro__}
    modules = {cls.__module__.split(".")[0] for cls in type(error).__mro__}
    return bool(modules & {"psycopg2", "pymysql", "datajoint"}) and bool(
        names & {"DataError", "IntegrityError", "DuplicateError", "QueryCanceled"}
    )
