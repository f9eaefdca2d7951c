"""Errors as answers, all in Alyx's shape: what the client did wrong is 400 to 429, a lost database 503."""

from __future__ import annotations

import logging

import datajoint as dj
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from one_bridge.query import InvalidQuery
from one_bridge.server.auth import TooMany
from one_bridge.server.endpoint_model import BadInput, NotFound, Refused
from one_bridge.server.http import answer
from pipeline import errors
from pipeline.web.error_words import words_for
from pipeline.web.request_limits import Disconnected

logger = logging.getLogger(__name__)


def add_handlers(app: FastAPI) -> None:
    """Answer every exception that a route can raise."""

    @app.exception_handler(HTTPException)
    async def plain(_: Request, error: HTTPException) -> Response:
        body = {"detail": str(error.detail), "status_code": error.status_code}
        return JSONResponse(body, error.status_code, error.headers)

    @app.exception_handler(BadInput)
    async def bad_input(_: Request, error: BadInput) -> Response:
        return answer(error.problems | {"status_code": 400}, 400)

    @app.exception_handler(InvalidQuery)
    async def invalid_query(_: Request, error: InvalidQuery) -> Response:
        return answer({"detail": str(error), "status_code": 400}, 400)

    @app.exception_handler(NotFound)
    async def not_found(_: Request, error: NotFound) -> Response:
        return answer({"detail": str(error) or "Not found.", "status_code": 404}, 404)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return answer(error.body or {"detail": str(error), "status_code": 403}, 403)

    @app.exception_handler(TooMany)
    async def too_many(_: Request, error: TooMany) -> Response:
        body = {"detail": f"{error} Expected available in {error.wait:.0f} seconds.", "status_code": 429}
        return JSONResponse(body, 429, {"Retry-After": f"{error.wait + 1:.0f}"})

    @app.exception_handler(Disconnected)
    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, _: Exception) -> Response:
        logger.debug("%s %s: the client went away", request.method, request.url.path)
        return Response(status_code=400)  # nobody reads it

    async def other(request: Request, error: Exception) -> Response:
        if _is_of_data(error):
            return answer({"detail": "The database refuses a value of this request.", "status_code": 400}, 400)
        account = getattr(request.state, "account", None)
        said = words_for(error, account.role if account else "public", f"{request.method} {request.url.path}")
        headers = {"Retry-After": "1"} if said.status == 503 else None
        return JSONResponse({"detail": str(said), "status_code": said.status}, said.status, headers)

    import psycopg2
    import pymysql

    # Not only for Exception: what is caught there is answered too, but also raised again for the log of uvicorn.
    for kind in (errors.NeurojointError, psycopg2.Error, pymysql.Error, dj.DataJointError, OSError, Exception):
        app.add_exception_handler(kind, other)


def _is_of_data(error: BaseException) -> bool:
    """Does the database refuse a value (too long, out of range, no such name, two of the same)?"""
    names = {cls.__name__ for cls in type(error).__mro__}
    modules = {cls.__module__.split(".")[0] for cls in type(error).__mro__}
    return bool(modules & {"psycopg2", "pymysql", "datajoint"}) and bool(
        names & {"DataError", "IntegrityError", "DuplicateError", "QueryCanceled"}
    )
