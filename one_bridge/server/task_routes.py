"""Requests about tasks beyond lists: what lab servers claim, report and send, what people change, and Alyx's writes."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from one_bridge.server import http, values
from one_bridge.server.endpoint_model import BadInput, Field, NotFound, Refused, table
from one_bridge.server.endpoints.tasks import TASKS
from pipeline.errors import ConflictError
from pipeline.tasks import states
from pipeline.tasks.plan import unique
from pipeline.tasks.queue import LOG_PIECE, LOG_PIECES, New
from pipeline.web.accounts import Account

LARGEST_UPLOAD = 512 << 20  # byte; larger outputs stay where they were made, and transfers copy them
MEMBER = "member"
SESSION = ("lab", "subject", "session_date", "session_number")

_COLUMNS: dict[str, tuple[str, str, Any]] = {
    "name": ("task_name", "text", None), "graph": ("task_graph", "text", ""),
    "executable": ("task_executable", "text", ""), "version": ("task_version", "text", ""),
    "priority": ("task_priority", "int", 0), "io_charge": ("task_io", "int", 5), "level": ("task_level", "int", 0),
    "gpu": ("task_gpus", "int", 0), "cpu": ("task_cores", "int", 1), "time_out_secs": ("task_time_limit", "int", 7200),
    "time_elapsed_secs": ("task_elapsed", "float", None),
}  # fmt: skip
"""Alyx's field -> column, kind, and what null means."""
_LONGEST = {"name": 64, "graph": 64, "executable": 128, "version": 64}


def add_routes(app: FastAPI, bridge: Any) -> None:
    """Add the routes, before those of the records of tasks."""
    routes = Routes(bridge)
    for path, answer in routes.posts().items():
        app.add_route(path, routes.handler(answer), methods=["POST"])
    app.add_route("/tasks/{id}/files/{path:path}", routes.receive, methods=["PUT"])
    app.add_route("/tasks/{id}/log", routes.reader(routes.read_log), methods=["GET"])
    app.add_route("/tasks/hosts", routes.reader(routes.hosts), methods=["GET"])
    app.add_route("/tasks/graph/{eid}", routes.reader(routes.graph), methods=["GET"])
    app.add_route("/sessions/{eid}/timeline", routes.reader(routes.timeline), methods=["GET"])
    app.add_route("/tasks", routes.handler(routes.create, 201), methods=["POST"])
    app.add_route("/tasks/{id}", routes.reader(routes.read), methods=["GET"])
    app.add_route("/tasks/{id}", routes.handler(routes.update), methods=["PUT", "PATCH"])
    app.add_route("/tasks/{id}", routes.handler(routes.delete, 204), methods=["DELETE"])


class Routes:
    """The routes of one server."""

    def __init__(self, bridge: Any) -> None:
        self.bridge = bridge

    def posts(self) -> dict[str, Callable[..., Any]]:
        """Address -> what answers a POST."""
        by_person = {
            "hold": lambda queue, ids: queue.hold(ids), "unhold": lambda queue, ids: queue.hold(ids, False),
            "abandon": lambda queue, ids: queue.abandon(ids), "restart": lambda queue, ids: queue.restart(ids),
        }  # fmt: skip
        return {
            "/tasks/claim": lambda service, body, request: service.claim(body),
            "/tasks/plan": self._plan,
            "/tasks/health": lambda service, body, request: service.health(body),
            "/tasks/{id}/heartbeat": lambda service, body, request: service.heartbeat(
                request.path_params["id"], _token(body), body.get("progress"), body.get("activity")),
            "/tasks/{id}/log": lambda service, body, request: service.log(
                request.path_params["id"], _token(body), body.get("piece"), body.get("text")),
            "/tasks/{id}/release": lambda service, body, request: service.release(
                request.path_params["id"], _token(body)),
            "/tasks/{id}/protected": lambda service, body, request: {"protected": service.protected(
                request.path_params["id"], _token(body), _texts(body.get("paths")))},
            "/tasks/{id}/finish": self._finish,
        } | {f"/tasks/{{id}}/{name}": self._by_person(change) for name, change in by_person.items()}  # fmt: skip

    def handler(self, answer: Callable[..., Any], status: int = 200) -> Callable:
        """A route that a member calls; `answer` gets the tasks as the account may work on them."""

        async def handle(request: Request) -> Response:
            account = await run_in_threadpool(self.bridge._admit, request, MEMBER)
            body = await http.body(request)

            def work() -> Any:
                return answer(self.service(account), body, request)

            waits = answer in (self.create, self.update, self.delete, self._finish, self._plan)
            found = await run_in_threadpool(work if waits else lambda: self.bridge.database.read(work))
            if isinstance(found, Response):
                return found
            return Response(status_code=204) if status == 204 else http.answer(found, status)

        return handle

    def reader(self, answer: Callable[[Request], Any]) -> Callable:
        """A route that reads."""

        async def handle(request: Request) -> Response:
            def work() -> Response:
                self.bridge._admit(request, "public")
                found = self.bridge.database.read(lambda: answer(request))
                return found if isinstance(found, Response) else http.answer(found)

            return await run_in_threadpool(work)

        return handle

    def service(self, account: Account) -> Any:
        """The tasks as this account may work on them."""
        from ingest.agent.service import TaskService

        root = self.bridge.roots.data_root
        return TaskService(account.name, account.labs or None, root, self.bridge.staging)

    # --- of agents ----------------------------------------------------------------------------------------------

    def _plan(self, service: Any, body: Mapping[str, Any], request: Request) -> dict[str, Any]:
        with self.bridge.database.working():
            return service.plan(body)

    def _finish(self, service: Any, body: Mapping[str, Any], request: Request) -> dict[str, Any]:
        if body.get("outputs"):
            with self.bridge.database.working():
                return service.finish(request.path_params["id"], _token(body), body)
        return self.bridge.database.read(lambda: service.finish(request.path_params["id"], _token(body), body))

    async def receive(self, request: Request) -> Response:
        """A small output of a task, as the body of the request."""
        account = await run_in_threadpool(self.bridge._admit, request, MEMBER)
        token, md5 = request.headers.get("x-lease", ""), request.headers.get("x-md5", "")
        import tempfile

        size = 0
        self.bridge.staging.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=self.bridge.staging) as file:
            async for block in request.stream():
                size += len(block)
                if size > LARGEST_UPLOAD:
                    raise BadInput("file", f"At most {LARGEST_UPLOAD >> 20} MiB: copy larger files by a transfer.")
                await run_in_threadpool(file.write, block)
            file.seek(0)

            def work() -> dict[str, Any]:
                blocks = iter(lambda: file.read(1 << 20), b"")
                service, path = self.service(account), request.path_params["path"]
                return service.receive(request.path_params["id"], token, path, blocks, md5)

            return http.answer(await run_in_threadpool(lambda: self.bridge.database.read(work)))

    # --- of people ----------------------------------------------------------------------------------------------

    def _by_person(self, change: Callable[[Any, list[str]], int]) -> Callable[..., Any]:
        def answer(service: Any, body: Mapping[str, Any], request: Request) -> dict[str, Any]:
            row = service.queue.get(request.path_params["id"])
            service.check_lab(row["lab"])
            changed = change(service.queue, [row["task_uuid"]])
            return {"changed": changed} | self._record(row["task_uuid"], request)

        return answer

    def read_log(self, request: Request) -> Response:
        """The whole log of the last attempt, as text."""
        from pipeline.tasks.queue import Queue

        queue = Queue()
        text = queue.log_text(queue.get(request.path_params["id"])["task_uuid"])
        return Response(text, media_type="text/plain; charset=utf-8", headers={"X-Content-Type-Options": "nosniff"})

    def hosts(self, _: Request) -> list[dict[str, Any]]:
        """The computers that work off tasks, as they reported themselves last."""
        rows = self.bridge.database.select(table("task.TaskHost")(), order_by=["host_name"])
        return [{name.removeprefix("host_"): value for name, value in row.items()} for row in rows]

    def graph(self, request: Request) -> dict[str, Any]:
        """The tasks of a session, with what each waits for; planned ones too that are not in the queue."""
        from pipeline.queries import timeline
        from pipeline.tasks import submit

        key = timeline.session_key(request.path_params["eid"])
        rows = self.bridge.database.select(table("task.Task") & key, ["task_uuid", "task_name"])
        condition = values.key_condition(
            ["task_uuid"], [[row["task_uuid"]] for row in rows], self.bridge.database.backend
        )
        records = self.bridge.serialiser.records(TASKS, TASKS.base() & condition, http.root(request))
        names = {row["task_uuid"]: row["task_name"] for row in rows}
        there = set(names.values())
        planned = [one for one in submit.planned_of(key) or () if one.name not in there]
        return {
            "tasks": [
                {"name": one["name"], "id": one["id"], "status": one["status"], "kind": one["kind"],
                 "parents": [names.get(parent, parent) for parent in one["parents"]]}
                for one in records
            ]
            + [
                {"name": one.name, "id": None, "status": None, "kind": one.kind.name, "parents": list(one.parents)}
                for one in planned
            ]
        }  # fmt: skip

    def timeline(self, request: Request) -> list[dict[str, Any]]:
        """Where a session is, from rig to figure."""
        import dataclasses

        from pipeline.queries import timeline

        return [
            dataclasses.asdict(one) for one in timeline.of_session(timeline.session_key(request.path_params["eid"]))
        ]

    # --- Alyx's records -----------------------------------------------------------------------------------------

    def read(self, request: Request) -> dict[str, Any]:
        """One task, with its whole log."""
        if not request.path_params["id"]:
            raise NotFound
        return self._record(request.path_params["id"], request)

    def create(self, service: Any, body: Mapping[str, Any], request: Request) -> dict[str, Any]:
        """Add a task of a client that brings its own programs."""
        columns = self._columns(body)
        name = columns.pop("task_name", None)
        if not name:
            raise BadInput("name", "This field is required.")
        status = self._status(body) or "Waiting"
        with self.bridge.database.working() as connection, connection.transaction:
            key = self._session(body.get("session"), service)
            arguments = self._arguments(body.get("arguments"))
            columns |= self._repository(body)
            parents = self._parents(body, service)
            mark = unique(str(body.get("session") or uuid.uuid4()), name, arguments)
            if table("task.Task") & {"task_unique": mark}:
                words = "The fields name, session, arguments must make a unique set."
                raise BadInput("non_field_errors", words)
            new = New(name, "", arguments, tuple(parents), mark, columns.pop("task_priority", 0),
                      columns.pop("task_level", 0), columns)  # fmt: skip
            (identifier,) = service.queue.add([new], key).values()
            self._set_log(service.queue, identifier, body.get("log"))
            self._set_status(service, identifier, status, body, {}, bool(parents))
        return self.bridge.database.read(lambda: self._record(identifier, request))

    def update(self, service: Any, body: Mapping[str, Any], request: Request) -> dict[str, Any]:
        """Change a task: what a client says that works on it without a lease, or a person."""
        with self.bridge.database.working() as connection, connection.transaction:
            row = service.queue.get(request.path_params["id"])
            service.check_lab(row["lab"])
            identifier = row["task_uuid"]
            columns = self._columns(body) | self._repository(body)
            if "arguments" in body:
                arguments = self._arguments(body["arguments"])
                columns["task_arguments"] = None if arguments is None else json.dumps(arguments)
            if "session" in body:
                columns |= self._session(body["session"], service)
            if body.get("parents") is not None:
                service.queue.set_parents(identifier, self._parents(body, service))
            self._set_log(service.queue, identifier, body.get("log"))
            parents = bool(service.queue.parents(identifier))
            if not self._set_status(service, identifier, self._status(body), body, columns, parents) and columns:
                service.queue._update(columns | {"task_changed": service.queue.now()}, "task_uuid = %s", identifier)
        return self.bridge.database.read(lambda: self._record(identifier, request))

    def delete(self, service: Any, body: Mapping[str, Any], request: Request) -> None:
        """Delete a task, and what was noted of it."""
        account: Account = request.state.account
        if not account.may("manager"):
            raise Refused("Tasks are deleted by managers; members abandon them.")
        with self.bridge.database.working() as connection, connection.transaction:
            row = service.queue.get(request.path_params["id"])
            service.check_lab(row["lab"])
            for edges in ({"task_uuid": row["task_uuid"]}, {"parent_id": row["task_uuid"]}):
                (table("task.TaskEdge") & edges).delete_quick()
            for name in ("task.TaskLog", "task.TaskOutput", "task.Task"):
                (table(name) & {"task_uuid": row["task_uuid"]}).delete_quick()

    def _record(self, identifier: str, request: Request) -> dict[str, Any]:
        from pipeline.tasks.queue import Queue

        condition = values.key_condition(["task_uuid"], [[str(identifier).lower()]], self.bridge.database.backend)
        found = self.bridge.serialiser.records(TASKS, TASKS.base() & condition, http.root(request), True, limit=1)
        if not found:
            raise NotFound("No Task matches the given query.")
        return found[0] | {"log": Queue().log_text(found[0]["id"]) or None}

    def _columns(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Columns that a body sets; fields that tasks do not have are ignored, as Alyx does."""
        found: dict[str, Any] = {}
        for name, (column, kind, nothing) in _COLUMNS.items():
            if name not in body:
                continue
            if body[name] is None:
                found[column] = nothing
                continue
            value = values.parse(Field(name, kind=kind), body[name])  # type: ignore[arg-type]
            if kind == "text" and len(value) > _LONGEST[name]:
                raise BadInput(name, f"Ensure this field has no more than {_LONGEST[name]} characters.")
            most = 2**31 - 1 if name == "time_out_secs" else 2**15 - 1
            if kind == "int" and not -most <= value <= most:
                raise BadInput(name, f"Ensure this value is at most {most}.")
            found[column] = value
        if body.get("ram") is not None:
            gib = values.parse(Field("ram", kind="float"), body["ram"])
            if not 0 <= gib < 2**20:
                raise BadInput("ram", "Ensure this value is in GB.")
            found["task_memory"] = math.ceil(gib * 1024)
        return found

    def _status(self, body: Mapping[str, Any]) -> str | None:
        if body.get("status") is None:
            return None
        try:
            return states.parse(body["status"])
        except ValueError as error:
            raise BadInput("status", str(error)) from None

    def _set_status(
        self, service: Any, identifier: str, status: str | None, body: Mapping[str, Any], columns: dict[str, Any],
        has_parents: bool,
    ) -> bool:  # fmt: skip
        """Do what a status means; whether the columns are written with it."""
        queue, host = service.queue, service.user
        if status == "Started":
            if token := body.get("token"):
                if not queue.take(identifier, host, str(token)):
                    raise ConflictError("another computer was first", "take another task")
                return False
            queue.start(identifier, host, columns.get("task_time_limit") or queue.get(identifier)["task_time_limit"])
        elif status == "Held":
            # With parents it is what the edges say, now and later: nothing to store that somebody could forget.
            if not has_parents:
                queue.hold([identifier])
        elif status is not None:
            if status == "Waiting":
                queue.hold([identifier], False)
            exits = {"Errored": "program", "Abandoned": "cancelled", "Waiting": ""}
            queue.set_state(identifier, status, task_exit=exits.get(status, "ok"), **columns)
            return True
        return False

    def _set_log(self, queue: Any, identifier: str, text: Any) -> None:
        """Replace the log by what a client says, which is the whole of it."""
        if text is None:
            return
        if not isinstance(text, str):
            raise BadInput("log", "Not a valid string.")
        text = text.replace("\x00", "")
        attempt = queue.get(identifier)["task_attempts"]
        (table("task.TaskLog") & {"task_uuid": identifier}).delete_quick()
        pieces = [text[start : start + LOG_PIECE] for start in range(0, len(text), LOG_PIECE)]
        if len(pieces) > LOG_PIECES:  # the beginning and the end say most
            pieces = [*pieces[: LOG_PIECES // 2], *pieces[-LOG_PIECES // 2 :]]
        table("task.TaskLog").insert(
            {"task_uuid": identifier, "log_attempt": attempt, "log_piece": number, "log_text": piece,
             "log_time": queue.now()}
            for number, piece in enumerate(pieces)
        )  # fmt: skip
        queue._update({"task_log": text[-4000:]}, "task_uuid = %s", identifier)

    def _session(self, eid: Any, service: Any) -> dict[str, Any]:
        if eid in (None, ""):
            service.check_lab(None)
            return {}
        text = values.parse(Field("session", kind="uuid"), eid)
        rows = (table("acquisition.Session") & {"eid": text}).keys()
        if not rows:
            raise BadInput("session", f'Invalid pk "{text}" - object does not exist.')
        service.check_lab(rows[0]["lab"])
        return rows[0]

    def _repository(self, body: Mapping[str, Any]) -> dict[str, Any]:
        if "data_repository" not in body:
            return {}
        name = body["data_repository"] or ""
        if name and (not isinstance(name, str) or not table("data.Repository") & {"repository": name}):
            raise BadInput("data_repository", f"There is no repository {str(name)[:64]!r}.")
        return {"task_repository": name}

    def _parents(self, body: Mapping[str, Any], service: Any) -> list[str]:
        given = _texts(body.get("parents") or [])
        found = [values.parse(Field("parents", kind="uuid"), one) for one in given]
        there = (
            set((table("task.Task") & [{"task_uuid": one} for one in found]).to_arrays("task_uuid")) if found else set()
        )
        for one in found:
            if one not in there:
                raise BadInput("parents", f'Invalid pk "{one}" - object does not exist.')
        return found

    def _arguments(self, given: Any) -> dict[str, Any] | None:
        if given is not None and not isinstance(given, dict):
            raise BadInput("arguments", "Value must be a JSON object, or null.")
        return given


def _token(body: Mapping[str, Any]) -> str:
    token = body.get("token")
    if not isinstance(token, str) or not token:
        raise BadInput("token", "This field is required.")
    return token


def _texts(given: Any) -> list[str]:
    if not isinstance(given, list) or len(given) > 1000 or not all(isinstance(one, str) for one in given):
        raise BadInput("parents", "Expected a list of at most 1000 texts.")
    return given
