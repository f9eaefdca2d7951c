"""The agent: one loop that finds sessions, claims tasks, keeps their processes within limits, and delivers outputs.

Everything that it must not forget is in the folder of a task before it is done, so that it goes on after a kill or a
reboot where it was: a task that runs is given back, one whose outputs are complete is delivered again.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from ingest.agent import health, sessions
from ingest.agent.delivery import Delivery, is_of_lease, read_json, write_json
from ingest.agent.desk import Desk, Unreachable
from pipeline.errors import ConflictError, NeurojointError, NotFoundError
from pipeline.tasks import states
from pipeline.tasks.kinds import kinds

logger = logging.getLogger(__name__)

HEALTH_S = 60.0
LOG_PIECE = 8000


@dataclass(frozen=True)
class Options:
    """What a person chose on this computer.

    Attributes
    ----------
    root : folder of `lab/Subjects/…`
    scratch : folder for the tasks
    name : of this computer
    repository : name of the repository that `root` is; empty: the data root of the central machine
    environments : name -> program and arguments
    cores, gpus, memory (MiB) : what tasks may use together
    quiet : s without change after which a session is ready
    remove_raw : raw files that a verified output replaces are removed
    modules : of the lab's own, that register kinds
    """

    root: Path
    scratch: Path
    name: str
    repository: str = ""
    environments: Mapping[str, Sequence[str]] = field(default_factory=dict)
    cores: int = 2
    gpus: int = 0
    memory: int = 8192
    quiet: float = sessions.QUIET_S
    remove_raw: bool = False
    modules: tuple[str, ...] = ()
    heartbeat: float = states.HEARTBEAT_S


class Running:
    """A task whose process runs."""

    def __init__(self, folder: Path, task: Mapping[str, Any], process: subprocess.Popen) -> None:
        self.folder, self.task, self.process = folder, task, process
        self.began = self.beaten = time.monotonic()
        self.pieces, self.read = 0, 0
        self.exit, self.message = "", ""

    def kill(self) -> None:
        """End the process and all that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Agent:
    """Works off tasks until it is told to stop.

    Parameters
    ----------
    desk : where tasks come from.
    options : of this computer.
    """

    def __init__(self, desk: Desk, options: Options) -> None:
        self.desk, self.options = desk, options
        self.running: list[Running] = []
        self.problems: dict[str, str] = {}
        self.delivery = Delivery(desk, options.remove_raw)
        self._offset: float | None = None
        self._health_due = self._look_due = 0.0
        self._claim_token = str(uuid.uuid4())
        options.scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = (options.scratch / "agent.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConflictError(f"another agent works in {options.scratch}", "stop it, or choose --scratch") from None

    def run(self, until: Callable[[], bool] = lambda: False, once: bool = False) -> int:
        """Work; returns how many tasks ended. `once`: until there is nothing left to do."""
        ended = 0
        pause, is_recovered = 1.0, False
        while not until():
            try:
                if not is_recovered:
                    ended += self.recover()
                    is_recovered = True
                ended += (count := self.tend())  # first, so that what is done is not claimed again after a cut
                now = time.monotonic()
                if now >= self._health_due:
                    self._health_due = now + HEALTH_S
                    self.report_health()
                if now >= self._look_due:
                    self._look_due = now + (5.0 if once else 60.0)
                    self.look()
                started = self.claim()
                pause = 0.05 if started or count or self.running else 1.0 if once else min(2 * pause, 15.0)
                if once and not started and not count and not self.running:
                    break
            except Unreachable as error:
                logger.warning("%s", error)
                self.tend_alone()
                pause = min(2 * pause, 15.0)
            end = time.monotonic() + pause
            while not until() and (left := end - time.monotonic()) > 0:
                time.sleep(min(left, 0.2))
        return ended

    def stop(self) -> None:
        """End what runs and give it back."""
        for item in self.running:
            item.kill()
            with contextlib.suppress(NeurojointError):
                self.desk.release(item.task["id"], item.task["token"])
            shutil.rmtree(item.folder, ignore_errors=True)
        self.running.clear()
        self._lock.close()

    # --- sessions -----------------------------------------------------------------------------------------------

    def look(self) -> int:
        """Report the sessions that are ready; what is wrong with one costs no other."""
        count = 0
        for session in sessions.ready(self.options.root, self.options.quiet):
            place = session.folder.relative_to(self.options.root).as_posix()
            try:
                told = sessions.report(session) | {"host": self.options.name, "repository": self.options.repository}
                self.desk.plan(told)
                sessions.note_planned(session)
                self.problems.pop(place, None)
                count += 1
            except Unreachable:
                raise
            except (NeurojointError, OSError) as error:
                if self.problems.get(place) != str(error):
                    logger.warning("%s: %s", place, error)
                self.problems[place] = str(error)[:300]
        return count

    # --- tasks --------------------------------------------------------------------------------------------------

    def claim(self) -> int:
        """Claim what fits beside what runs; returns how many were begun."""
        begun = 0
        known = {name: kind.version for name, kind in kinds().items()}
        while True:
            busy = [item.task for item in self.running]
            cores = self.options.cores - sum(item["cores"] for item in busy)
            memory = self.options.memory - sum(item["memory"] for item in busy)
            if cores < 1 or memory < 256:
                return begun
            used = {item["environment"] for item in busy}
            request = {
                "host": self.options.name, "kinds": known, "repository": self.options.repository,
                "environments": [environment for environment in self.options.environments if environment not in used],
                "cores": cores, "most_cores": self.options.cores, "memory": memory, "token": self._claim_token,
                "gpus": max(self.options.gpus - sum(item["gpus"] for item in busy), 0),
                "io": max(100 - sum(item["io"] for item in busy), 0),
                "scratch": shutil.disk_usage(self.options.scratch).free,
            }  # fmt: skip
            task = self.desk.claim(request)  # the same token until an answer arrives: a lost one gives the same task
            self._claim_token = str(uuid.uuid4())
            if not task:
                return begun
            if mine := [item for item in self.running if item.task["id"] == task["id"]]:
                _renew(mine[0], task["token"])
                continue
            self.begin(dict(task) | {"cores": min(task["cores"], self.options.cores)})
            begun += 1

    def begin(self, task: Mapping[str, Any]) -> None:
        """Start the process of a claimed task in a folder of its own."""
        folder = self.options.scratch / str(uuid.UUID(task["id"]))
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        place = self.session_folder(task["session"])
        told = {
            "id": task["id"], "token": task["token"], "kind": task["kind"], "arguments": task["arguments"],
            "folder": str(place), "session": task["session"], "cores": task["cores"],
            "command": list(self.options.environments.get(task["environment"], ())), "stage": "running",
        }  # fmt: skip
        write_json(folder / "job.json", told)
        hidden = ("NEUROJOINT_SERVER", "NEUROJOINT_DATABASE")  # a task has no use for them
        environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)} | {
            "NEUROJOINT_TASK_MODULES": json.dumps(list(self.options.modules)),
            "OMP_NUM_THREADS": str(task["cores"]), "NUMBA_NUM_THREADS": str(task["cores"]),
        }  # fmt: skip
        log = (folder / "log.txt").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "ingest.agent.child", str(folder)], stdout=log, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, start_new_session=True, env=environment, cwd=folder,
        )  # fmt: skip
        log.close()
        logger.info("%s of %s begins", task["name"], place)
        self.running.append(Running(folder, task, process))

    def session_folder(self, session: Mapping[str, Any]) -> Path:
        """Where a session lies below the root."""
        below = self.options.root / session["lab"] / "Subjects" / session["subject"] / session["date"]
        for number in (f"{session['number']:03d}", str(session["number"])):
            if (below / number).is_dir():
                break
        else:
            number = f"{session['number']:03d}"
        folder = below / number
        if not folder.resolve().is_relative_to(self.options.root.resolve()):
            raise NotFoundError(f"{folder} leads out of {self.options.root}", "remove the link")
        return folder

    def tend(self) -> int:
        """Look after what runs: limits, heartbeats, logs; deliver what has ended. Returns how many ended.

        Raises
        ------
        Unreachable : after each task had its turn, so that the outputs of all that have ended are kept for delivery.
        """
        ended, lost = 0, None
        for item in list(self.running):
            if item.process.poll() is None:
                self._check_limits(item)
            try:
                if item.process.poll() is None:
                    if time.monotonic() - item.beaten >= self.options.heartbeat:
                        self._beat(item)
                    continue
                self._conclude(item)
                ended += 1
            except Unreachable as error:
                lost = error
            except (ConflictError, NotFoundError) as error:
                if not is_of_lease(error):
                    raise
                logger.warning("%s: %s", item.task["name"], error)
                item.kill()
                self._forget(item)
        if lost:
            raise lost
        return ended

    def tend_alone(self) -> None:
        """The same while the server cannot be reached: nothing is delivered, and limits hold."""
        for item in self.running:
            if item.process.poll() is None:
                self._check_limits(item)

    def recover(self) -> int:
        """Take up what an earlier agent left: deliver what is complete, give back the rest. Returns how many ended."""
        ended = 0
        for file in sorted(self.options.scratch.glob("*/job.json")):
            folder = file.parent
            try:
                told = json.loads(file.read_text())
                if told["stage"] == "delivering":
                    self.delivery.deliver(folder, told)
                    ended += 1
                else:
                    self.desk.release(told["id"], told["token"])
            except Unreachable:
                raise
            except (NeurojointError, OSError, ValueError, KeyError) as error:
                logger.warning("%s: %s", folder.name, error)
            shutil.rmtree(folder, ignore_errors=True)
        for folder in self.options.scratch.iterdir():
            if folder.is_dir() and not (folder / "job.json").exists():
                shutil.rmtree(folder, ignore_errors=True)
        return ended

    # --- inside -------------------------------------------------------------------------------------------------

    def _check_limits(self, one: Running) -> None:
        """End a process that takes more memory, time or disk than its task may."""
        task = one.task
        if time.monotonic() - one.began > task["time_limit"]:
            one.exit, one.message = "resource", f"it took longer than {task['time_limit']} s"
        elif (used := _memory(one.process.pid)) > task["memory"] << 20:
            one.exit, one.message = "resource", f"it took {used >> 20} MiB of memory, and may take {task['memory']}"
        elif shutil.disk_usage(self.options.scratch).free < 256 << 20:
            one.exit, one.message = "resource", "the disk of the scratch folder is full"
        if one.exit:
            one.kill()

    def _beat(self, one: Running) -> None:
        status = read_json(one.folder / "status.json")
        self.desk.heartbeat(one.task["id"], one.task["token"], status.get("progress"), status.get("activity", ""))
        one.beaten = time.monotonic()
        self._send_log(one)

    def _send_log(self, one: Running, last: bool = False) -> None:
        with (one.folder / "log.txt").open("rb") as file:
            while True:
                file.seek(one.read)
                block = file.read(LOG_PIECE)
                whole = len(block) if last or len(block) == LOG_PIECE else block.rfind(b"\n") + 1
                if not whole:
                    return
                self.desk.log(one.task["id"], one.task["token"], one.pieces, block[:whole].decode("utf-8", "replace"))
                one.read, one.pieces = one.read + whole, one.pieces + 1

    def _conclude(self, one: Running) -> None:
        """Check the outputs of a task that ended, and deliver them; what an earlier try has checked is not again."""
        told = read_json(one.folder / "job.json")
        if told["stage"] == "running":
            result = read_json(one.folder / "result.json")
            if one.exit or not result:
                code = one.process.returncode
                words = one.message or f"its process ended with {'signal' if code < 0 else 'code'} {abs(code)}"
                result = {"state": "Errored", "exit": one.exit or ("resource" if code == -9 else "program"),
                          "message": words, "elapsed": time.monotonic() - one.began}  # fmt: skip
            self._send_log(one, last=True)
            outputs: list[dict[str, Any]] = []
            if result["state"] in ("Complete", "Incomplete"):
                try:
                    outputs = self.delivery.check(one.folder, one.task, result)
                except NeurojointError as error:
                    if isinstance(error, Unreachable):
                        raise
                    result |= {"state": "Errored", "exit": "program", "message": str(error)}
            told |= {"stage": "delivering", "result": result, "outputs": outputs}
            write_json(one.folder / "job.json", told)
        self.delivery.deliver(one.folder, told)
        self._forget(one)

    def _forget(self, one: Running) -> None:
        shutil.rmtree(one.folder, ignore_errors=True)
        if one in self.running:
            self.running.remove(one)

    def report_health(self) -> None:
        """Say how this computer is; what is wrong with its clock is said here too."""
        folders = {"root": self.options.root, "scratch": self.options.scratch}
        asked = time.time()
        answer = self.desk.health({
            "host": self.options.name, "repository": self.options.repository, "cores": self.options.cores,
            "memory": self.options.memory, "gpus": self.options.gpus, "version": health.version(),
            "kinds": {name: kind.version for name, kind in kinds().items()},
            "environments": health.environments(self.options.environments), "clock_offset": self._offset,
            "health": health.of_computer(folders, self.options.gpus > 0) | {
                "running": [item.task["name"] for item in self.running],
                "problems": dict(list(self.problems.items())[:20]),
            },
        })  # fmt: skip
        there = datetime.datetime.fromisoformat(answer).replace(tzinfo=datetime.UTC).timestamp()
        self._offset = round((asked + time.time()) / 2 - there, 3)
        if abs(self._offset) > 60:
            logger.warning("the clock of this computer is %.0f s off: set it", self._offset)


def _renew(item: Running, token: str) -> None:
    """Go on with a task under another lease: the first one ended while the network was cut, and nobody took it."""
    item.task = {**item.task, "token": token}
    write_json(item.folder / "job.json", read_json(item.folder / "job.json") | {"token": token})


def _memory(pid: int) -> int:
    """Resident memory of a process and all that it started, byte."""
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for item in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += item.memory_info().rss
    return total
