"""What agents ask of the central machine: plans, claims, heartbeats, logs, files, reports. Needs the database, no HTTP.

The server answers its requests with it, and an agent on the central machine calls it directly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ingest.agent import values
from ingest.agent.outputs import SESSION, Outputs
from pipeline import entry
from pipeline.alf import names
from pipeline.errors import InvalidData, PermissionDenied, UserError
from pipeline.schemas import acquisition, data, subject, task
from pipeline.tasks import description as descriptions
from pipeline.tasks import submit
from pipeline.tasks.queue import Capability, LeaseLost, Outcome, Queue


class TaskService:
    """The tasks as one account may work on them.

    Parameters
    ----------
    user : name of the account.
    labs : whose tasks it may have; None: all.
    root : the data root of this machine, where uploaded files go; None: there is none.
    staging : folder in which uploaded files wait until their task is done.
    queue : the tasks; by default those of the database.
    """

    def __init__(
        self, user: str, labs: Sequence[str] | None, root: Path | None, staging: Path, queue: Queue | None = None
    ) -> None:
        self.user, self.labs = user, None if labs is None else tuple(labs)
        self.outputs, self.queue = Outputs(root, staging), queue or Queue()

    # --- sessions -----------------------------------------------------------------------------------------------

    def plan(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """Enter a session that a lab server found, and the tasks that it needs.

        Parameters
        ----------
        report : `lab`, `subject`, `date`, `number`; `files` (path -> byte); `description`, `protocol`, `start_time`,
            `end_time`, `host`, `repository` where they are known.

        Raises
        ------
        UserError : the report cannot be used, or the animal is not in the tables.
        PermissionDenied : the session is of another lab.
        """
        key = self._key(report)
        self.check_lab(key["lab"])
        files = values.sizes(report.get("files"))
        description = report.get("description") or None
        if description is not None and not isinstance(description, Mapping):
            raise UserError("the description is no mapping of names to values", "send the content of the file")
        if description is not None:
            try:
                descriptions.read(description)
            except InvalidData as error:
                raise UserError(str(error)) from None
        repository = self._repository(report.get("repository"))
        if not (subject.Subject & {name: key[name] for name in ("lab", "subject")}):
            raise UserError(
                f"there is no subject {key['subject']} of the lab {key['lab']}",
                "add it first (neurojoint ingest, or POST /subjects); the agent tries again",
            )
        if not (acquisition.Session & key):
            told = {"start_time": report.get("start_time"), "end_time": report.get("end_time"),
                    "task_protocol": str(report.get("protocol") or "")[:255]}  # fmt: skip
            row = key | {name: value for name, value in told.items() if value}
            entry.write("acquisition.Session", [row], user=self.user, source="agent", create_missing=True)
        tasks = submit.submit(
            self.queue, (acquisition.Session & key).fetch1("KEY"), description, files,
            protocol=str(report.get("protocol") or ""), host=str(report.get("host") or ""), repository=repository,
        )  # fmt: skip
        return {"session": (acquisition.Session & key).fetch1("eid").strip(), "tasks": tasks}

    # --- tasks --------------------------------------------------------------------------------------------------

    def claim(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The next task for a computer, or `{}`."""
        known = request.get("kinds")
        environments = request.get("environments") or []
        if not isinstance(known, list | dict) or not all(isinstance(item, str) for item in [*known, *environments]):
            raise UserError("kinds and environments are lists of names", "see docs/lab-server.md")
        can = Capability(
            values.text(request.get("host") or "unknown", 64), tuple(known)[:500], tuple(environments)[:100],
            values.whole(request, "cores", 1), values.whole(request, "gpus", 0), values.whole(request, "memory", 4096),
            values.whole(request, "scratch", 1 << 62), values.whole(request, "io", 100), self.labs,
            self._repository(request.get("repository")), values.whole(request, "most_cores", 32767),
        )  # fmt: skip
        row = self.queue.claim(can, str(request.get("token") or ""))
        return {} if row is None else self.record(row)

    def record(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A claimed task as an agent gets it: names and numbers, nothing that could be run."""
        session = {}
        if row["lab"] is not None:
            key = {name: row[name] for name in SESSION}
            session = {"lab": key["lab"], "subject": key["subject"], "date": str(key["session_date"]),
                       "number": key["session_number"]}  # fmt: skip
        return {
            "id": row["task_uuid"], "name": row["task_name"], "kind": row["kind_name"], "version": row["task_version"],
            "arguments": row["task_arguments"] or {}, "session": session, "attempt": row["task_attempts"],
            "token": row["lease_token"], "lease": self.queue.lease, "environment": row["task_environment"],
            "cores": row["task_cores"], "memory": row["task_memory"], "gpus": row["task_gpus"], "io": row["task_io"],
            "scratch": row["task_scratch"], "time_limit": row["task_time_limit"],
        }  # fmt: skip

    def heartbeat(self, task_uuid: str, token: str, progress: Any = None, activity: Any = "") -> dict[str, Any]:
        """Keep a lease."""
        self._check_task(task_uuid)
        done = float(progress) if isinstance(progress, int | float) and not isinstance(progress, bool) else None
        self.queue.heartbeat(task_uuid, token, done, values.text(activity, 255))
        return {"lease": self.queue.lease}

    def log(self, task_uuid: str, token: str, piece: Any, text: Any) -> dict[str, Any]:
        """Add a piece to the log of a task."""
        if type(piece) is not int or not isinstance(text, str):
            raise UserError("piece is a whole number, text is text", "see docs/lab-server.md")
        self._check_task(task_uuid)
        self.queue.log(task_uuid, token, piece, text)
        return {}

    def release(self, task_uuid: str, token: str) -> dict[str, Any]:
        """Give a task back."""
        self._check_task(task_uuid)
        self.queue.release(task_uuid, token)
        return {}

    def finish(self, task_uuid: str, token: str, report: Mapping[str, Any]) -> dict[str, Any]:
        """End a task: its outputs are checked against its kind and registered, then it counts as done, once.

        Parameters
        ----------
        report : `state`, `exit`, `message`, `elapsed`, `version`, `inputs` (md5), and `outputs`: a list of `path`,
            `md5`, `size`, `modified_ns`, `uploaded`.

        Raises
        ------
        LeaseLost : others have the task.
        UserError : an output that its kind does not have, or that is missing.
        ConflictError : an output would replace a protected file.
        """
        row = self._held(task_uuid, token)
        elapsed = report.get("elapsed")
        outcome = Outcome(
            str(report.get("state")), str(report.get("exit") or "ok"), str(report.get("message") or "")[:1000],
            float(elapsed) if isinstance(elapsed, int | float) else None, str(report.get("version") or "")[:64],
        )  # fmt: skip
        if row["task_state"] == "Started" or row["task_exit"] == "lost":
            outputs = self.outputs.checked(row, report.get("outputs") or [])
            if outputs:
                self.queue.heartbeat(task_uuid, token, None, "registering")
                self.outputs.register(row, outputs)
                self.outputs.note_doubts(row, outputs, self.user)
                inputs = str(report.get("inputs") or "")[:32]
                self.queue.note_outputs(task_uuid, outputs, outcome.version, inputs)
        state = self.queue.finish(task_uuid, token, outcome, row)
        self.outputs.forget(task_uuid)
        return {"state": state}

    def receive(self, task_uuid: str, token: str, path: str, blocks: Iterable[bytes], md5: str) -> dict[str, Any]:
        """A small output, sent to this machine: it waits until its task is done.

        Raises
        ------
        UserError : the path is none of the task's outputs, or what arrived is not what was sent.
        """
        self.outputs.receive(self._held(task_uuid, token), path, blocks, md5)
        return {"md5": md5}

    def protected(self, task_uuid: str, token: str, paths: Sequence[str]) -> list[str]:
        """Which outputs would replace protected files."""
        row = self._held(task_uuid, token)
        return sorted(self.outputs.protected(row, [self.outputs.checked_path(row, str(path)) for path in paths]))

    def health(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """Note what a computer says of itself; answers with the time of the database, by which its clock is judged."""
        host = values.text(report.get("host"), 64)
        if not host:
            raise UserError("the name of the host is missing", "send `host`")
        now = self.queue.now()
        offset = report.get("clock_offset")
        row = {
            "host_name": host, "host_user": self.user[:64], "host_labs": ",".join(self.labs or ())[:500],
            "host_repository": str(report.get("repository") or "")[:64],
            "host_kinds": values.mapping(report, "kinds"), "host_environments": values.mapping(report, "environments"),
            "host_cores": values.whole(report, "cores", 1), "host_memory": values.whole(report, "memory", 0),
            "host_gpus": values.whole(report, "gpus", 0), "host_version": str(report.get("version") or "")[:64],
            "host_health": values.mapping(report, "health"), "host_seen": now,
            "host_clock_offset": float(offset) if isinstance(offset, int | float) else None,
        }  # fmt: skip
        known = task.TaskHost & {"host_name": host}
        if known and known.fetch1("host_user") not in ("", self.user) and self.labs is not None:
            raise PermissionDenied(f"the host {host} belongs to another account: choose another name (--name)")
        task.TaskHost.insert1(row, skip_duplicates=True)
        task.TaskHost.update1(row)
        return {"time": now.isoformat()}

    # --- inside -------------------------------------------------------------------------------------------------

    def check_lab(self, lab: str | None) -> None:
        """Refuse what is of another lab.

        Raises
        ------
        PermissionDenied
        """
        if self.labs is not None and lab not in self.labs:
            raise PermissionDenied(f"this token is for {', '.join(self.labs) or 'no lab'}, not for {lab or 'all labs'}")

    def _check_task(self, task_uuid: str) -> None:
        if self.labs is not None:
            self.check_lab(self.queue.get(task_uuid)["lab"])

    def _held(self, task_uuid: str, token: str) -> dict[str, Any]:
        row = self.queue.get(task_uuid)
        self.check_lab(row["lab"])
        if not token or row["lease_token"] != token:
            raise LeaseLost(task_uuid)
        return row

    def _key(self, report: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return {
                "lab": names.check(report.get("lab"), "lab"), "subject": names.check(report.get("subject"), "subject"),
                "session_date": values.date(report.get("date")), "session_number": values.number(report.get("number")),
            }  # fmt: skip
        except (ValueError, TypeError) as error:
            raise UserError(f"this is no session: {error}", "send lab, subject, date and number") from None

    def _repository(self, name: Any) -> str:
        if not name:
            return ""
        if not isinstance(name, str) or not (data.Repository & {"repository": name}):
            raise UserError(f"there is no repository {name!r}", "neurojoint repository define NAME …")
        return name
