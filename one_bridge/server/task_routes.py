"""Requests about tasks beyond lists: what lab servers claim, report and send, what people change, and Alyx's writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from ingest.agent.service import TaskService
from one_bridge.server import http, permissions, values
from one_bridge.server.endpoint_model import BadInput, NotFound, table
from one_bridge.server.endpoints.tasks import TASKS
from one_bridge.server.task_records import TaskRecords, texts
from pipeline.queries import timeline as session_timeline
from pipeline.tasks import by_people, submit
from pipeline.web.accounts import Account

LARGEST_UPLOAD = 512 << 20  # byte; larger outputs stay where they were made, and transfers copy them
MEMBER = "member"
SESSION = ("lab", "subject", "session_date", "session_number")


def add_routes(app: FastAPI, bridge: Any) -> None:
    """Add the routes, before those of the records of tasks."""
    routes = Routes(bridge)
    for path, answer in routes.of_agents().items():
        app.add_route(path, routes.handler(answer, agents=True), methods=["POST"])
    for path, answer in routes.of_people().items():
        app.add_route(path, routes.handler(answer), methods=["POST"])
    app.add_route("/tasks/{id}/files/{path:path}", routes.receive, methods=["PUT"])
    app.add_route("/tasks/{id}/log", routes.reader(routes.read_log), methods=["GET"])
    app.add_route("/tasks/hosts", routes.reader(routes.hosts), methods=["GET"])
    app.add_route("/tasks/graph/{eid}", routes.reader(routes.graph), methods=["GET"])
    app.add_route("/sessions/{eid}/timeline", routes.reader(routes.timeline), methods=["GET"])
    app.add_route("/tasks", routes.handler(routes.records.create, 201), methods=["POST"])
    app.add_route("/tasks/{id}", routes.reader(routes.read), methods=["GET"])
    app.add_route("/tasks/{id}", routes.handler(routes.records.update), methods=["PUT", "PATCH"])
    app.add_route("/tasks/{id}", routes.handler(routes.records.delete, 204), methods=["DELETE"])


class Routes:
    """The routes of one server."""

    def __init__(self, bridge: Any) -> None:
        self.bridge = bridge
        self.records = TaskRecords(bridge)

    def of_people(self) -> dict[str, Callable[..., Any]]:
        """Address -> what answers a POST by which a person changes a task."""
        return {f"/tasks/{{id}}/{name}": self._by_person(name) for name in by_people.CHANGES}

    def of_agents(self) -> dict[str, Callable[..., Any]]:
        """Address -> what answers a POST of an agent."""
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
                request.path_params["id"], _token(body), texts(body.get("paths")))},
            "/tasks/{id}/finish": self._finish,
        }  # fmt: skip

    def handler(self, answer: Callable[..., Any], status: int = 200, agents: bool = False) -> Callable:
        """A route that a member calls; `answer` gets the tasks as the account may work on them.

        Parameters
        ----------
        agents : it is for agents, whose token has to say for which labs it is.
        """

        def work(account: Account, body: Mapping[str, Any], request: Request) -> Any:
            if agents:
                permissions.check_agent(account)
            if waits:  # it takes a connection, and its turn to write, when it needs them
                return answer(self.service(account), body, request)
            return self.bridge.database.read(lambda: answer(self.service(account), body, request))

        waits = answer in (self.records.create, self.records.update, self.records.delete, self._finish, self._plan)

        async def handle(request: Request) -> Response:
            if http.is_small(request):  # then one turn of a thread does it all
                body = await http.body(request)
                result = await run_in_threadpool(lambda: work(self.bridge._admit(request, MEMBER), body, request))
            else:  # nobody without an account makes the server hold a large body
                account = await run_in_threadpool(self.bridge._admit, request, MEMBER)
                body = await http.body(request)
                result = await run_in_threadpool(work, account, body, request)
            if isinstance(result, Response):
                return result
            return Response(status_code=204) if status == 204 else http.answer(result, status)

        return handle

    def reader(self, answer: Callable[[Request], Any]) -> Callable:
        """A route that reads."""

        async def handle(request: Request) -> Response:
            def work() -> Response:
                self.bridge._admit(request, "public")
                result = self.bridge.database.read(lambda: answer(request))
                return result if isinstance(result, Response) else http.answer(result)

            return await run_in_threadpool(work)

        return handle

    def service(self, account: Account) -> Any:
        """The tasks as this account may work on them."""
        root = self.bridge.roots.data_root
        return TaskService(account.name, account.labs or None, root, self.bridge.staging, self.records.queue())

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
        permissions.check_agent(account)
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

    def _by_person(self, name: str) -> Callable[..., Any]:
        def answer(service: Any, body: Mapping[str, Any], request: Request) -> dict[str, Any]:
            row = service.queue.get(request.path_params["id"])
            service.check_lab(row["lab"])
            changed = by_people.change(service.queue, name, [row], permissions.person(request.state.account))
            return {"changed": changed} | self.records.record(row["task_uuid"], request)

        return answer

    def read_log(self, request: Request) -> Response:
        """The whole log of the last attempt, as text."""
        queue = self.records.queue()
        text = queue.log_text(queue.get(request.path_params["id"])["task_uuid"])
        return Response(text, media_type="text/plain; charset=utf-8", headers={"X-Content-Type-Options": "nosniff"})

    def read(self, request: Request) -> dict[str, Any]:
        """One task, with its whole log."""
        if not request.path_params["id"]:
            raise NotFound
        return self.records.record(request.path_params["id"], request)

    def hosts(self, _: Request) -> list[dict[str, Any]]:
        """The computers that work off tasks, as they reported themselves last."""
        rows = self.bridge.database.select(table("task.TaskHost")(), order_by=["host_name"])
        return [{name.removeprefix("host_"): value for name, value in row.items()} for row in rows]

    def graph(self, request: Request) -> dict[str, Any]:
        """The tasks of a session, with what each waits for; planned ones too that are not in the queue."""
        key = session_timeline.session_key(request.path_params["eid"])
        rows = self.bridge.database.select(table("task.Task") & key, ["task_uuid", "task_name"])
        condition = values.key_condition(
            ["task_uuid"], [[row["task_uuid"]] for row in rows], self.bridge.database.backend
        )
        records = self.bridge.serialiser.records(TASKS, TASKS.base() & condition, http.root(request))
        names = {row["task_uuid"]: row["task_name"] for row in rows}
        there = set(names.values())
        planned = [item for item in submit.planned_of(key) or () if item.name not in there]
        return {
            "tasks": [
                {"name": record["name"], "id": record["id"], "status": record["status"], "kind": record["kind"],
                 "parents": [names.get(parent, parent) for parent in record["parents"]]}
                for record in records
            ]
            + [
                {"name": item.name, "id": None, "status": None, "kind": item.kind.name, "parents": list(item.parents)}
                for item in planned
            ]
        }  # fmt: skip

    def timeline(self, request: Request) -> list[dict[str, Any]]:
        """Where a session is, from rig to figure."""
        import dataclasses

        return [
            dataclasses.asdict(item)
            for item in session_timeline.of_session(session_timeline.session_key(request.path_params["eid"]))
        ]


def _token(body: Mapping[str, Any]) -> str:
    token = body.get("token")
    if not isinstance(token, str) or not token:
        raise BadInput("token", "This field is required.")
    return token
