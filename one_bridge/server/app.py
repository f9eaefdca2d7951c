"""The web application: routes made from the registry, and the few that are no list of records."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from one_bridge.server import (
    docs_page,
    downloads,
    exception_handlers,
    files,
    http,
    parquet_columns,
    permissions,
    schema,
    task_routes,
    values,
    water,
)
from one_bridge.server.auth import Gate
from one_bridge.server.copies import Copies
from one_bridge.server.endpoint_model import BadInput, Endpoint, NotFound, Refused, table
from one_bridge.server.endpoints import ENDPOINTS
from one_bridge.server.query import identifiers, parse, resolve, sql
from one_bridge.server.registration import Registration
from one_bridge.server.serialise import Serialiser
from one_bridge.server.writing import Writer
from pipeline.database.connection import Connection
from pipeline.entry.audit import latest_entry
from pipeline.web.accounts import Account, Users
from pipeline.web.hanging_disks import WithoutHangingDisks
from pipeline.web.nwb_files import NwbFiles, is_eid
from pipeline.web.request_limits import LOGIN_BODY
from pipeline.web.response_cache import Answers
from pipeline.web.threads import Database


def create_app(
    connection: Connection,
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
    exception_handlers.add_handlers(app)
    app.add_middleware(WithoutHangingDisks, lend=bridge.lend)
    return app


class Bridge:
    """What the routes share."""

    def __init__(self, connection: Connection, gate: Gate, data_root: Path | None, home: Path, version: str) -> None:
        self.gate = gate
        self.answers = Answers(entered=lambda: self.database.read(latest_entry))
        self.database = Database(connection, written=self.answers.forget)
        self.serialiser = Serialiser(self.database)
        self.writer = Writer(self.database, self.serialiser)
        self.roots = files.Roots(self.database, data_root)
        self.registration = Registration(self.database, self.serialiser, self.roots)
        self.copies = Copies(self.database, self.roots)
        self.cache = files.CacheTables(self.database, home / "bridge" / "cache")
        self.schema = json.dumps(schema.openapi(version)).encode()
        self.docs = docs_page.page(version).encode()
        self.nwb = NwbFiles()
        self.staging = home / "tasks" / "received"

    def lend(self, number: int) -> None:
        """Give others what a request holds that waits for a disk that hangs."""
        to_thread.current_default_thread_limiter().total_tokens += number
        self.database.lend(number)

    def add_routes(self, app: FastAPI) -> None:
        """One route for each verb of each endpoint, and those that are no endpoint."""
        route = app.add_route
        route("/sessions/{eid}/nwb", self._threaded(self._nwb), methods=["GET"])  # before the records of sessions
        task_routes.add_routes(app, self)  # before the records of tasks
        for endpoint in ENDPOINTS.values():
            verbs = {"GET": self._list(endpoint)}
            written = ENDPOINTS[endpoint.aside] if endpoint.writes_aside else endpoint
            if "create" in written.verbs:
                verbs["POST"] = self._create(written)
            route(f"/{endpoint.name}", _by_method(verbs), methods=list(verbs))
            single = {"GET": self._read(endpoint)}
            if "update" in written.verbs:
                single["PUT"] = single["PATCH"] = self._update(written)
            if "delete" in written.verbs:
                single["DELETE"] = self._delete(written)
            route(f"/{endpoint.name}/{{id:path}}", _by_method(single), methods=list(single))
        route("/auth-token", self._login, methods=["POST"])
        route("/me", self._threaded(self._me), methods=["GET"])
        route("/api/schema", self._schema, methods=["GET"])
        route("/docs", self._docs, methods=["GET"])
        route(f"/docs/{docs_page.SCRIPT}", self._docs_script, methods=["GET"])
        route("/new-download", self._new_download, methods=["POST"])
        route("/sync-file-status", self._threaded(self._sync_status), methods=["GET"])
        route("/register-file", self._register, methods=["POST"])
        route("/check-protected", self._check_protected, methods=["GET", "POST"])
        route("/water-requirement/{nickname}", self._threaded(self._water_requirement), methods=["GET"])
        route("/water-restricted-subjects", self._threaded(self._restricted_subjects), methods=["GET"])
        route("/cache/info", self._threaded(self._cache_info), methods=["GET"])
        route("/cache/info/{tag}", self._threaded(self._cache_info), methods=["GET"])
        route("/cache.zip", self._threaded(self._cache_zip), methods=["GET"])
        route("/data/{path:path}", self._threaded(self._download), methods=["GET", "HEAD"])
        route("/uploaded/{path:path}", self._threaded(self._image), methods=["GET", "HEAD"])
        route("/", self._threaded(self._about), methods=["GET"])

    def _list(self, endpoint: Endpoint) -> Callable:
        def answer(request: Request) -> Response:
            self._admit(request, "public")
            query = parse.parse(http.parameters(request))
            asked = self.database.read(lambda: resolve.asked(endpoint, query)) if endpoint.aside else endpoint
            resolved = resolve.resolve(asked, query)

            def make() -> bytes:
                records, count = self.database.read(
                    lambda: self.serialiser.page(
                        sql.restricted(resolved, self.database), http.root(request), query.limit, query.offset
                    )
                )
                return http.dumped(
                    {
                        "count": count,
                        "next": http.page_url(request, query.limit, query.offset + query.limit, count),
                        "previous": http.page_url(request, query.limit, query.offset - query.limit, count),
                        "results": records,
                    }
                )

            question = (endpoint.name, http.root(request), str(request.url.query))
            notices = http.unknown_filters(resolved.unknown)
            answer = self.answers.get(question, make) if endpoint.kept else make()
            return Response(answer, media_type="application/json", headers=notices)

        return self._threaded(answer)

    def _read(self, endpoint: Endpoint) -> Callable:
        def answer(request: Request) -> Response:
            self._admit(request, "public")
            if not http.record_id(request):
                return RedirectResponse(f"/{endpoint.name}?{request.url.query}")
            try:
                return self._record(endpoint, http.record_id(request), request)
            except NotFound:
                if not endpoint.aside:
                    raise
                return self._record(ENDPOINTS[endpoint.aside], http.record_id(request), request)

        return self._threaded(answer)

    def _create(self, endpoint: Endpoint) -> Callable:
        async def answer(request: Request) -> Response:
            account = await run_in_threadpool(self._admit, request, endpoint.write)
            body = await (http.bodies(request) if endpoint.bulk else http.body(request))
            permissions.check_create(endpoint, body, account)

            def work() -> Response:
                if isinstance(body, list):
                    return self._created(endpoint, self.writer.create_many(endpoint, body, account), request)
                picture = body.pop("image", None)
                if not isinstance(picture, bytes) or endpoint.name != "notes":
                    made = self.writer.create(endpoint, body, account)
                else:
                    with files.saved_image(self.roots, picture) as path:
                        made = self.writer.create(endpoint, body | {"image": path}, account)
                return self._found(endpoint, made, request, 201)

            return await run_in_threadpool(work)

        return answer

    def _update(self, endpoint: Endpoint) -> Callable:
        async def answer(request: Request) -> Response:
            account = await run_in_threadpool(
                self._admit, request, "member" if endpoint.for_members else endpoint.write
            )
            body = await http.body(request)
            if not body or not set(body) <= set(endpoint.for_members):
                self.gate.admit(account, endpoint.write)

            def work() -> Response:
                restriction = identifiers.by_id(endpoint, http.record_id(request), self.database)
                self.database.read(
                    lambda: permissions.check_update(endpoint, restriction, body, account, self.database)
                )
                if endpoint.name != "files" or "exists" not in body:
                    return self._found(endpoint, self.writer.update(endpoint, restriction, body, account), request)
                claim = self.copies.claim(restriction, body["exists"], account)
                rest = {name: value for name, value in body.items() if name != "exists"}
                made = self.writer.update(endpoint, restriction, rest, account, claim)
                return http.as_it_is(self._found(endpoint, made, request), "exists", body["exists"])

            return await run_in_threadpool(work)

        return answer

    def _delete(self, endpoint: Endpoint) -> Callable:
        def answer(request: Request) -> Response:
            account = self._admit(request, endpoint.delete)
            restriction = identifiers.by_id(endpoint, http.record_id(request), self.database)
            self.writer.delete(endpoint, restriction, account)
            return Response(status_code=204)

        return self._threaded(answer)

    def _record(self, endpoint: Endpoint, identifier: str, request: Request) -> Response:
        return self._found(endpoint, identifiers.by_id(endpoint, identifier, self.database), request)

    def _found(self, endpoint: Endpoint, restriction: str, request: Request, status: int = 200) -> Response:
        def ask() -> list[dict[str, Any]]:
            rows = endpoint.base() & restriction
            return self.serialiser.records(endpoint, rows, http.root(request), detail=True, limit=2)

        records = self.database.read(ask)
        if not records:
            raise NotFound(f"No {endpoint.label} matches the given query.")
        if len(records) > 1:
            raise BadInput("id", f"Several labs have a {endpoint.label} of this name: use its id.")
        return http.answer(records[0], status)

    def _created(self, endpoint: Endpoint, restrictions: list[str], request: Request) -> Response:
        """The records that a list made, in its order."""

        def ask() -> list[list[dict[str, Any]]]:
            rows = [endpoint.base() & restriction for restriction in restrictions]
            return [self.serialiser.records(endpoint, row, http.root(request), detail=True) for row in rows]

        return http.answer([item for records in self.database.read(ask) for item in records], 201)

    async def _login(self, request: Request) -> Response:
        body = await http.body(request, LOGIN_BODY)
        name, password = body.get("username"), body.get("password")
        wrong = {
            item: ["This field is required."]
            for item in ("username", "password")
            if not isinstance(body.get(item), str)
        }
        if wrong:
            return http.answer(wrong | {"status_code": 400}, 400)

        def work() -> str | None:
            account = self.gate.login(str(name), str(password), http.sender(request))
            return None if account is None else self.gate.users.issue_token(account.name, "login")

        token = await run_in_threadpool(work)
        if token is None:
            message = "Unable to log in with provided credentials."
            return http.answer({"non_field_errors": [message], "status_code": 400}, 400)
        return http.answer({"token": token})

    def _me(self, request: Request) -> Response:
        account = self.gate.account(request.headers.get("authorization", ""), http.sender(request))
        if account is None:
            raise Refused("Authentication credentials were not provided.")
        return http.answer({"username": account.name, "role": account.role})

    async def _schema(self, _: Request) -> Response:
        return Response(self.schema, media_type="application/vnd.oai.openapi+json")

    async def _docs(self, _: Request) -> Response:
        headers = {"Content-Security-Policy": docs_page.POLICY}
        return Response(self.docs, media_type="text/html", headers=headers)

    async def _docs_script(self, _: Request) -> Response:
        headers = {"Cache-Control": "max-age=86400", "X-Content-Type-Options": "nosniff"}
        return FileResponse(docs_page.script(), media_type="text/javascript", headers=headers)

    async def _register(self, request: Request) -> Response:
        await run_in_threadpool(self._admit, request, "member")
        body = await http.body(request)
        return http.answer(await run_in_threadpool(self.registration.register, body, http.root(request)), 201)

    async def _new_download(self, request: Request) -> Response:
        account = await run_in_threadpool(self._admit, request, "member")
        body = await http.body(request)

        def work() -> Response:
            keys = downloads.count(self.writer, body, account)
            endpoint = ENDPOINTS["downloads"]
            made = self._created(endpoint, [values.restriction(key, self.database.backend) for key in keys], request)
            return made if len(keys) > 1 else self._found(endpoint, values.restriction(keys[0], self.database.backend),
                                                          request, 201)  # fmt: skip

        return await run_in_threadpool(work)

    def _sync_status(self, request: Request) -> Response:
        self._admit(request, "public")
        return http.answer(self.database.read(lambda: downloads.sync_status(self.database)))

    async def _check_protected(self, request: Request) -> Response:
        await run_in_threadpool(self._admit, request, "public")
        body = http.parameters(request) | await http.body(request)
        return http.answer(await run_in_threadpool(self.database.read, lambda: self.registration.check_protected(body)))

    def _water_requirement(self, request: Request) -> Response:
        self._admit(request, "public")
        nickname, days = request.path_params["nickname"], http.parameters(request)
        return http.answer(self.database.read(lambda: water.requirement(self.database, nickname, days)))

    def _restricted_subjects(self, request: Request) -> Response:
        self._admit(request, "public")
        return http.answer(self.database.read(lambda: water.restricted_subjects(self.database)))

    def _cache_info(self, request: Request) -> Response:
        self._admit(request, "public")
        return http.answer(self.cache.info(request.path_params.get("tag"), http.root(request)))

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
        if (column := request.query_params.get("column")) is not None:
            if not column:  # which there are
                return http.answer(parquet_columns.names(path))
            return Response(
                parquet_columns.as_npy(path, column),
                media_type="application/octet-stream",
                headers={"X-Content-Type-Options": "nosniff"},
            )
        if (other := files.with_metadata(path)) is not None:
            size, content = other
            more = {"X-Content-Type-Options": "nosniff", "Content-Length": str(size)}
            return StreamingResponse(content, media_type="application/octet-stream", headers=more)
        return FileResponse(path, media_type="application/octet-stream", headers={"X-Content-Type-Options": "nosniff"})

    def _nwb(self, request: Request) -> Response:
        self._admit(request, "member")
        eid = request.path_params["eid"].lower()
        if not is_eid(eid) or not self.database.read(lambda: len(table("acquisition.Session") & {"eid": eid})):
            raise NotFound("No session matches the given query.")
        export = self.nwb.get(eid)
        if export.path is not None:
            headers = {"X-Content-Type-Options": "nosniff"}
            return FileResponse(
                export.path, media_type="application/x-hdf5", filename=export.path.name, headers=headers
            )
        if export.problem:
            return http.answer({"detail": export.problem, "status_code": 409}, 409)
        words = "Other sessions are being exported" if export.busy else "The file is being written"
        body = {"detail": f"{words}: ask again in a moment.", "status_code": 503 if export.busy else 202}
        return JSONResponse(body, 503 if export.busy else 202, {"Retry-After": "5"})

    def _image(self, request: Request) -> Response:
        self._admit(request, "public")
        path = self.database.read(lambda: files.find_image(self.roots, request.path_params["path"]))
        return FileResponse(path, headers={"X-Content-Type-Options": "nosniff"})

    def _about(self, request: Request) -> Response:
        return http.answer({"name": "neurojoint", "schema": f"{http.root(request)}/api/schema"})

    def _admit(self, request: Request, role: str) -> Account:
        account = self.gate.account(request.headers.get("authorization", ""), http.sender(request))
        request.state.account = account
        if account is not None and account.labs and request.method not in ("GET", "HEAD"):
            permissions.check_door(request.url.path)
        admitted = self.gate.admit(account, role)
        values.printable(request.scope["path"])  # identifiers of all kinds come to the database from here
        return admitted

    def _threaded(self, answer: Callable[[Request], Response]) -> Callable:
        async def handler(request: Request) -> Response:
            return await run_in_threadpool(answer, request)

        return handler


def _by_method(verbs: dict[str, Callable]) -> Callable:
    async def handler(request: Request) -> Response:
        return await verbs["GET" if request.method == "HEAD" else request.method](request)

    return handler
