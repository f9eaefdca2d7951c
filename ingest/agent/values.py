"""Values in what agents send, checked: words, sizes of files, whole numbers, mappings, the number of a session."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any

from ingest.agent.outputs import MOST_FILES
from pipeline.errors import UserError


def text(value: Any, longest: int) -> str:
    """A word of a client, on one line."""
    return "".join(sign if sign.isprintable() else " " for sign in str(value or ""))[:longest].strip()


def sizes(files: Any) -> dict[str, int]:
    if not isinstance(files, Mapping) or len(files) > MOST_FILES:
        raise UserError("files is no mapping of paths to sizes", f"send at most {MOST_FILES} files below the session")
    for path, size in files.items():
        good = isinstance(path, str) and path.isprintable() and 0 < len(path) <= 255 and not path.startswith("/")
        if not good or ".." in path.split("/") or type(size) is not int or size < 0:
            raise UserError(f"{str(path)[:80]!r} is no file below the session", "send paths and sizes in byte")
    return dict(files)


def whole(request: Mapping[str, Any], name: str, default: int) -> int:
    value = request.get(name, default)
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise UserError(f"{name} is no whole number", "send a number from 0")
    return (
        min(value, 32767)
        if name in ("cores", "most_cores", "gpus", "io")
        else min(value, 1 << 31) - 1
        if name == "memory"
        else value
    )


def mapping(report: Mapping[str, Any], name: str) -> dict[str, Any]:
    content = report.get(name) or {}
    if not isinstance(content, Mapping) or len(json.dumps(content, default=str)) > 20_000:
        raise UserError(f"{name} is no mapping of at most 20,000 characters", "send less")
    return dict(content)


def date(value: Any) -> Any:
    return datetime.date.fromisoformat(str(value))


def number(value: Any) -> int:
    parsed = int(str(value))
    if not 0 <= parsed < 1000:
        raise ValueError(f"{value!r} is no number of a session")
    return parsed
