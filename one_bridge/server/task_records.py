"""Tasks as Alyx's clients write them: fields and statuses become columns and states of the queue."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from typing import Any

from fastapi import Request

from one_bridge.server import http, permissions, values
from one_bridge.server.endpoint_model import BadInput, Field, NotFound, Refused, table
from one_bridge.server.endpoints.tasks import TASKS
from pipeline.errors import ConflictError
from pipeline.tasks import by_people, states
from pipeline.tasks.plan import unique
from pipeline.tasks.queue import LOG_PIECE, LOG_PIECES, New, Queue
from pipeline.web.accounts import Account

_COLUMNS: dict[str, tuple[str, str, Any]] = {
    "name": ("task_name", "text", None), "graph": ("task_graph", "text", ""),
    "executable": ("task_executable", "text", ""), "version": ("task_version", "text", ""),
    "priority": ("task_priority", "int", 0), "io_charge": ("task_io", "int", 5), "level": ("task_level", "int", 0),
    "gpu": ("task_gpus", "int", 0), "cpu": ("task_cores", "int", 1), "time_out_secs": ("task_time_limit", "int", 7200),
    "time_elapsed_secs": ("task_elapsed", "float", None),
}  # fmt: skip
"""Alyx's field -> column, kind, and what null means."""
_LONGEST = {"name": 64, "graph": 64, "executable": 128, "version": 64}


class TaskRecords:
    """The records of tasks of one server."""

    def __init__(self, bridge: Any) -> None:
        self.bridge = bridge
        self._queue: Queue | None = None

    def queue(self) -> Queue:
        """The tasks of the database; one for all requests, since it remembers when it looked for ended leases."""
        if self._queue is None:
            self._queue = Queue()
        return self._queue

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
        return self.bridge.database.read(lambda: self.record(identifier, request))

    def update(self, service: Any, body: Mapping[str, Any], request: Request) -> dict[str, Any]:
        """Change a task: what a client says that works on it without a lease, or a person."""
        with self.bridge.database.working() as connection, connection.transaction:
            row = service.queue.get(request.path_params["id"])
            service.check_lab(row["lab"])
            identifier, status = row["task_uuid"], self._status(body)
            if status == "Abandoned" or (status == "Waiting" and row["task_state"] in states.ENDED):
                by_people.require(permissions.person(request.state.account), row)
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
            if not self._set_status(service, identifier, status, body, columns, parents) and columns:
                service.queue.update(identifier, columns)
        return self.bridge.database.read(lambda: self.record(identifier, request))

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

    def record(self, identifier: str, request: Request) -> dict[str, Any]:
        """One task as clients see it, with its whole log."""
        condition = values.key_condition(["task_uuid"], [[str(identifier).lower()]], self.bridge.database.backend)
        records = self.bridge.serialiser.records(TASKS, TASKS.base() & condition, http.root(request), True, limit=1)
        if not records:
            raise NotFound("No Task matches the given query.")
        return records[0] | {"log": self.queue().log_text(records[0]["id"]) or None}

    def _columns(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Columns that a body sets; fields that tasks do not have are ignored, as Alyx does."""
        columns: dict[str, Any] = {}
        for name, (column, kind, nothing) in _COLUMNS.items():
            if name not in body:
                continue
            if body[name] is None:
                columns[column] = nothing
                continue
            value = values.parse(Field(name, kind=kind), body[name])  # type: ignore[arg-type]
            if kind == "text" and len(value) > _LONGEST[name]:
                raise BadInput(name, f"Ensure this field has no more than {_LONGEST[name]} characters.")
            most = 2**31 - 1 if name == "time_out_secs" else 2**15 - 1
            if kind == "int" and not -most <= value <= most:
                raise BadInput(name, f"Ensure this value is at most {most}.")
            columns[column] = value
        if body.get("ram") is not None:
            gib = values.parse(Field("ram", kind="float"), body["ram"])
            if not 0 <= gib < 2**20:
                raise BadInput("ram", "Ensure this value is in GB.")
            columns["task_memory"] = math.ceil(gib * 1024)
        return columns

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
        queue.update(identifier, {"task_log": text[-4000:]})

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
        given = texts(body.get("parents") or [])
        parents = [values.parse(Field("parents", kind="uuid"), value) for value in given]
        there = (
            set((table("task.Task") & [{"task_uuid": item} for item in parents]).to_arrays("task_uuid"))
            if parents
            else set()
        )
        for item in parents:
            if item not in there:
                raise BadInput("parents", f'Invalid pk "{item}" - object does not exist.')
        return parents

    def _arguments(self, given: Any) -> dict[str, Any] | None:
        if given is not None and not isinstance(given, dict):
            raise BadInput("arguments", "Value must be a JSON object, or null.")
        return given


def texts(given: Any) -> list[str]:
    """A list of texts."""
    if not isinstance(given, list) or len(given) > 1000 or not all(isinstance(value, str) for value in given):
        raise BadInput("parents", "Expected a list of at most 1000 texts.")
    return given
