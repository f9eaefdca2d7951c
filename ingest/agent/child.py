"""The process of one task: `python -m ingest.agent.child FOLDER` runs the kind that FOLDER/job.json names.

It ends with its agent, writes outputs into its own folder only, and leaves `result.json`.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import NeurojointError
from pipeline.tasks.kinds import NothingToDo, TaskFailure, get
from pipeline.tasks.plan import filled

INCOMPLETE = "incomplete"


class FolderJob:
    """A job in a folder of its own: see `pipeline.tasks.kinds.Job`."""

    def __init__(self, scratch: Path, told: Mapping[str, Any]) -> None:
        self.folder, self.scratch = Path(told["folder"]), scratch / "work"
        self.arguments: Mapping[str, Any] = told["arguments"]
        self.command: Sequence[str] = told.get("command") or ()
        self.cores: int = told.get("cores", 1)
        self.gone: list[str] = []
        self.doubts: dict[str, str] = {}
        self.read: list[str] = []
        self._outputs, self._status = scratch / "outputs", scratch / "status.json"
        self._said = 0.0
        self.scratch.mkdir(exist_ok=True)
        self._outputs.mkdir(exist_ok=True)

    def inputs(self, pattern: str) -> list[Path]:
        """See `Job.inputs`; nothing outside the session folder is found, also not by links."""
        root = self.folder.resolve()
        paths = set()
        for item in filled(pattern, self.arguments):
            for path in self.folder.glob(item):
                if path.is_file() and path.resolve().is_relative_to(root):
                    paths.add(path)
        listed = sorted(paths)
        self.read += [path.relative_to(self.folder).as_posix() for path in listed]
        return listed

    def output(self, path: str) -> Path:
        """See `Job.output`."""
        target = self._outputs / path
        if not target.resolve().is_relative_to(self._outputs.resolve()):
            raise TaskFailure(f"{path} is no path below the session folder", exit="program")
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def progress(self, done: float, activity: str = "") -> None:
        """See `Job.progress`."""
        now = time.monotonic()
        if now - self._said < 0.5 and done < 1:
            return
        self._said = now
        part = self._status.with_suffix(".part")
        part.write_text(json.dumps({"progress": float(done), "activity": activity[:255]}))
        part.replace(self._status)

    def log(self, text: str) -> None:
        """See `Job.log`."""
        print(text, flush=True)

    def doubt(self, path: str, why: str) -> None:
        """See `Job.doubt`."""
        self.doubts[path] = why
        self.log(f"{path}: {why}")

    def may_go(self, path: Path) -> None:
        """See `Job.may_go`."""
        self.gone.append(path.relative_to(self.folder).as_posix())

    def fingerprint(self) -> str:
        """One md5 over names, sizes and times of what was read."""
        digest = hashlib.md5(usedforsecurity=False)
        for path in sorted(set(self.read)):
            with contextlib.suppress(OSError):
                stat = (self.folder / path).stat()
                digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
        return digest.hexdigest()


def run(scratch: Path) -> int:
    """Run the task of a folder; 0 also where it failed in a way that its result tells."""
    told = json.loads((scratch / "job.json").read_text())
    began = time.monotonic()
    job = FolderJob(scratch, told)
    result: dict[str, Any] = {"state": "Complete", "exit": "ok", "message": ""}
    version = ""
    try:
        kind = get(told["kind"])  # what the server names is looked up in the registry, and nowhere else
        version = kind.version
        for pattern in kind.inputs:
            if not job.inputs(pattern):
                wanted = " or ".join(filled(pattern, job.arguments))
                raise TaskFailure(f"{wanted} is not in the session folder", "copy it there, then restart the task")
        state = kind.function()(job)
        if state == INCOMPLETE:
            result["state"] = "Incomplete"
        result |= {"doubts": sorted(job.doubts), "message": "; ".join(job.doubts.values())[:900]}
    except NothingToDo as error:
        result = {"state": "Empty", "exit": "ok", "message": str(error)}
    except TaskFailure as error:
        result = {"state": "Errored", "exit": error.exit, "message": str(error)}
    except MemoryError:
        result = {"state": "Errored", "exit": "resource", "message": "there was not enough memory"}
    except NeurojointError as error:
        result = {"state": "Errored", "exit": "data", "message": str(error)}
    except Exception as error:
        traceback.print_exc()
        result = {"state": "Errored", "exit": "program", "message": f"{type(error).__name__}: {error}"}
    result |= {"version": version, "elapsed": time.monotonic() - began, "may_go": job.gone, "inputs": job.fingerprint()}
    part = scratch / "result.part"
    part.write_text(json.dumps(result))
    part.replace(scratch / "result.json")
    return 0


def end_with_parent() -> None:
    """Let the system end this process when its agent is gone, however that ended (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() == 1:
        sys.exit(1)


if __name__ == "__main__":
    end_with_parent()
    import importlib

    for _module in json.loads(os.environ.get("NEUROJOINT_TASK_MODULES", "[]")):
        importlib.import_module(_module)  # named by the lab's own settings on this computer
    sys.exit(run(Path(sys.argv[1])))
