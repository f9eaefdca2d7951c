"""Transfers over HTTP, beside the bridge's endpoints: for a lab's server that has no connection to the database.

It asks for files that are due between repositories that it reaches, copies them, reads each copy where it arrived, and
reports what it found. The address of a file is never taken from a request, and no secret is in an answer.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from exchange.transfers import leases, ledger, plan
from exchange.transfers.protocol import Found
from exchange.transfers.repositories import repositories
from one_bridge.server import http
from one_bridge.server.endpoint_model import BadInput
from pipeline.errors import NeurojointError
from pipeline.queries.transfers import overview

ROLE = "member"
MOST_FILES, MOST_BYTES = 1_000, 100 << 30
"""So much is handed out at once."""


def add_routes(app: FastAPI) -> FastAPI:
    """Add the endpoints to the bridge's application."""
    routes = {"/transfers/claim": _claim, "/transfers/report": _report, "/sync-file-status": _sync}
    for path, answer in routes.items():
        methods = ["GET", "POST"] if answer is _sync else ["POST"]
        app.add_route(path, _handler(app.state.bridge, answer), methods=methods)
    return app


def _handler(bridge: Any, answer: Any) -> Any:
    async def handle(request: Request) -> Response:
        await run_in_threadpool(bridge._admit, request, "public" if request.method == "GET" else ROLE)
        body = await http.body(request) if request.method == "POST" else {}

        def work() -> Any:
            with bridge.database.working():
                try:
                    return answer(request, body)
                except NeurojointError as error:
                    raise BadInput("non_field_errors", str(error)) from None

        return http.answer(await run_in_threadpool(work))

    return handle


def _claim(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Files to copy: `{"repositories": [names that are reached], "host": …}` -> transfer, places and items, or {}."""
    names = body.get("repositories")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or not 2 <= len(names) <= 1_000:
        raise BadInput("repositories", "Name the repositories that this server reaches, at least two.")
    ledger.expire(ledger.database_time())
    row = leases.lease(names, str(body.get("host", ""))[:255], MOST_FILES, MOST_BYTES)
    if row is None:
        return {}
    known = repositories()
    return {
        "transfer": row["transfer_id"],
        "lease": row["submission_id"],
        "until": row["task_deadline"],
        "source": dataclasses.asdict(known[row["source_repository"]].place),
        "destination": dataclasses.asdict(known[row["destination_repository"]].place),
        "items": [item._asdict() for item in row["items"]],
    }


def _report(request: Request, body: dict[str, Any]) -> dict[str, int]:
    """What became of them: `{"transfer", "lease", "items": [{"dataset", "md5", "size", "modified_ns", "message"}]}`."""
    rows = body.get("items")
    if not isinstance(rows, list) or len(rows) > MOST_FILES or not all(isinstance(row, dict) for row in rows):
        raise BadInput("items", f"Expected a list of at most {MOST_FILES} files.")
    outcomes: dict[str, tuple[Found | None, str, bool]] = {}
    for row in rows:
        md5 = row.get("md5")
        what = None
        if md5 is not None:
            size, modified_ns = row.get("size"), row.get("modified_ns", 0)
            if not isinstance(md5, str) or type(size) is not int or type(modified_ns) is not int:
                raise BadInput("items", "md5 is text; size and modified_ns are whole numbers.")
            what = Found(md5, size, modified_ns, how=f"reported: {row.get('how', 'read back')}"[:200])
        outcomes[str(row.get("dataset"))] = (what, str(row.get("message", "")), bool(row.get("final")))
    verified, failed = leases.settle(str(body.get("transfer")), str(body.get("lease")), outcomes)
    return {"verified": verified, "failed": failed}


def _sync(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    """GET: copies and what is on its way, by lab and repository. POST: also plan what is missing (bulk sync)."""
    planned = 0
    if request.method == "POST":
        ledger.expire(ledger.database_time())
        planned = plan.plan().files
    summary = overview(http.parameters(request).get("lab") or None)
    return {
        "planned": planned,
        "results": [
            {name: value for name, value in dataclasses.asdict(copy).items() if name != "oldest_check"}
            for copy in summary.copies
        ],
        "problems": summary.problems,
    }
