"""What a task made, from the scratch folder into the session folder and to the server; each step may be repeated."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ingest.agent.desk import Desk, Unreachable
from ingest.files import copying
from pipeline.errors import ConflictError, NeurojointError, NotFoundError
from pipeline.tasks.kinds import kinds
from pipeline.tasks.plan import filled, matching

logger = logging.getLogger(__name__)

LARGEST_UPLOAD = 512 << 20  # byte


class Delivery:
    """Delivers outputs.

    Parameters
    ----------
    desk : where they are reported.
    remove_raw : whether raw files that a verified output replaces are removed.
    """

    def __init__(self, desk: Desk, remove_raw: bool) -> None:
        self.desk, self.remove_raw = desk, remove_raw

    def check(self, folder: Path, task: Mapping[str, Any], result: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The outputs with size and md5.

        Raises
        ------
        NeurojointError : one that the kind does not have, a link, or a required one that is missing.
        """
        kind, arguments = kinds()[task["kind"]], task["arguments"]
        base = folder / "outputs"
        paths = []
        for file in sorted(base.rglob("*")):
            if file.is_symlink():
                raise NeurojointError(f"{file.relative_to(base)} is a link", "write a file")
            if file.is_file():
                paths.append(file.relative_to(base).as_posix())
        wanted = {path for pattern in kind.outputs for path in matching(pattern, arguments, paths)}
        if strange := sorted(set(paths) - wanted):
            raise NeurojointError(f"{strange[0]} is no output of {kind.name}", "add it to the kind, or leave it out")
        if result["state"] == "Complete":
            for pattern in kind.required:
                if not matching(pattern, arguments, paths):
                    missing = " or ".join(filled(pattern, arguments))
                    raise NeurojointError(f"{missing} was not made", "see the log of the task")
        outputs, doubted = [], result.get("doubts") or []
        for path in paths:
            upload = self.desk.uploads and any(matching(pattern, arguments, [path]) for pattern in kind.upload)
            size = (base / path).stat().st_size
            outputs.append({"path": path, "md5": copying.hash_of(base / path), "size": size,
                          "uploaded": upload and size <= LARGEST_UPLOAD,
                          "qc": "WARNING" if path in doubted else ""})  # fmt: skip
        return outputs

    def deliver(self, folder: Path, told: dict[str, Any]) -> None:
        """Deliver outputs and report; where the server refuses them, that is what is reported."""
        result, task, token = told["result"], told["id"], told["token"]
        try:
            if not told.get("placed"):  # else only the answer to the report was lost
                told |= {"outputs": self._put_outputs(folder, told), "placed": True}
                write_json(folder / "job.json", told)
            outputs = told["outputs"]
            state = self.desk.finish(task, token, _report(result) | {"outputs": outputs})
        except (NeurojointError, OSError) as error:
            if isinstance(error, Unreachable) or is_of_lease(error):
                raise
            refused = {"state": "Errored", "exit": "data", "message": str(error)[:900]}
            if isinstance(error, OSError):  # e.g. the disk is full: another attempt may help
                refused |= {"exit": "program", "message": f"the outputs cannot be put into their place: {error}"[:900]}
            state, outputs = self.desk.finish(task, token, _report(result) | refused | {"outputs": []}), []
        logger.info("%s: %s", task, state)
        if state in ("Complete", "Incomplete") and self.remove_raw:
            self._remove_raw(Path(told["folder"]), outputs, result.get("may_go") or [])

    def _put_outputs(self, folder: Path, told: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Put outputs into the session folder, and send the small ones. Each step may be repeated.

        Raises
        ------
        ConflictError : a protected file is in the place of one.
        """
        place, outputs, task, token = Path(told["folder"]), told["outputs"], told["id"], told["token"]
        if not outputs:
            return []
        self.desk.heartbeat(task, token, None, "delivering")
        for path in self.desk.protected(task, token, [output["path"] for output in outputs]):
            if not _is_same(place / path, folder / "outputs" / path):
                raise ConflictError(f"{path} is protected", "write another revision of it")
        for output in outputs:
            source, target = folder / "outputs" / output["path"], place / output["path"]
            if source.exists() and not (target.is_file() and _is_same(target, source)):
                if not target.parent.resolve().is_relative_to(place.resolve()):
                    raise NotFoundError(f"{target} leads out of the session folder", "remove the link")
                copying.copy(source, target, mark=task[:8], expected=output["md5"])
            output["modified_ns"] = target.stat().st_mtime_ns
            if output["uploaded"]:
                self.desk.send(task, token, output["path"], target, output["md5"])
        return outputs

    def _remove_raw(self, place: Path, outputs: Sequence[Mapping[str, Any]], paths: Sequence[str]) -> None:
        """Remove raw files whose outputs are registered, once these are read again and are what was verified."""
        for output in outputs:
            if copying.hash_of(place / output["path"]) != output["md5"]:
                logger.error("%s is not what was verified: the raw files stay", place / output["path"])
                return
        for name in paths:
            file = place / name
            if file.is_file() and not file.is_symlink() and file.resolve().is_relative_to(place.resolve()):
                file.unlink()
                logger.info("%s removed: its replacement is registered and verified", file)


def is_of_lease(error: Exception) -> bool:
    """Whether a server said that the task is not this agent's any more, or was deleted."""
    return any(words in str(error) for words in ("held under this lease", "there is no task "))


def read_json(path: Path) -> dict[str, Any]:
    """The content of a file; nothing where it cannot be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file so that it is whole or not there."""
    part = path.with_suffix(".part")
    with part.open("w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _report(result: Mapping[str, Any]) -> dict[str, Any]:
    return {name: result.get(name) for name in ("state", "exit", "message", "elapsed", "version", "inputs")}


def _is_same(there: Path, new: Path) -> bool:
    return there.is_file() and (not new.exists() or copying.hash_of(there) == copying.hash_of(new))
