"""Requests read and answers written: bodies within limits, query strings, senders, addresses of pages, JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import pydantic_core
from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from one_bridge.server.endpoint_model import BadInput
from pipeline.web.request_limits import BodyRefused, read_body

LARGEST_BODY = 16 << 20  # byte; a form with a picture
LARGEST_JSON = 4 << 20  # byte
MOST_RECORDS = 2000  # in one request
PARSED_AT_ONCE = 64 << 10  # byte; what is larger is parsed in a thread, so that other requests do not wait


async def body(request: Request, largest: int = LARGEST_BODY) -> dict[str, Any]:
    """What a request holds, JSON or a form, as names and values.

    Parameters
    ----------
    largest : how many bytes it may have.

    Raises
    ------
    BadInput : not to be read.
    HTTPException : too large, or it comes too slowly.
    Disconnected : the client went away.
    """
    content = await _content(request, largest)
    if not isinstance(content, dict):
        raise BadInput("non_field_errors", "Invalid data. Expected a dictionary.")
    return content


def is_small(request: Request) -> bool:
    """Whether a body says that it is small: it costs little to read it before the sender is known."""
    length = request.headers.get("content-length", "")
    return length.isascii() and length.isdigit() and len(length) < 9 and int(length) <= PARSED_AT_ONCE


async def bodies(request: Request) -> dict[str, Any] | list[dict[str, Any]]:
    """The same of one record, or of several in a list of JSON."""
    content = await _content(request, LARGEST_BODY)
    if isinstance(content, dict):
        return content
    if not isinstance(content, list) or not content or len(content) > MOST_RECORDS:
        raise BadInput("non_field_errors", f"Invalid data. Expected a dictionary, or a list of 1 to {MOST_RECORDS}.")
    if not all(isinstance(item, dict) for item in content):
        raise BadInput("non_field_errors", "Invalid data. Expected a list of dictionaries.")
    return content


async def _content(request: Request, largest: int) -> Any:
    """What a request holds."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_form = kind in ("multipart/form-data", "application/x-www-form-urlencoded")
    largest = largest if is_form else min(largest, LARGEST_JSON)
    try:
        content = await read_body(request.receive, largest, request.headers.get("content-length", ""))
    except BodyRefused as error:
        raise HTTPException(error.status, error.words, {"Connection": "close"}) from None
    parse = partial(_parsed_form, request.headers, content) if is_form else partial(_parsed_json, content)
    return parse() if len(content) <= PARSED_AT_ONCE and not is_form else await run_in_threadpool(parse)


def _parsed_json(content: bytes) -> Any:
    try:
        return json.loads(content or b"{}", parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise HTTPException(400, "JSON parse error") from None


def parameters(request: Request) -> dict[str, str]:
    """The query string, each name once; a name given twice is a list."""
    values: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        values[name] = f"{values[name]},{value}" if name in values and value else value or values.get(name, "")
    return values


def record_id(request: Request) -> str:
    """The identifier in the address of a record."""
    return request.path_params["id"]


def sender(request: Request) -> str:
    """The computer that a request comes from."""
    return request.client.host if request.client else ""


def root(request: Request) -> str:
    """The address of the server, as the client wrote it."""
    return str(request.base_url).rstrip("/")


def page_url(request: Request, limit: int, offset: int, count: int) -> str | None:
    """The address of another page, without the host: behind a proxy the client knows better where it is."""
    if offset >= count or offset <= -limit:
        return None
    url = request.url.include_query_params(limit=limit, offset=max(offset, 0))
    return f"{url.path}?{url.query}"


def dumped(content: Any) -> bytes:
    """Content as JSON."""
    try:
        return pydantic_core.to_json(content, fallback=str)  # ten times as fast as the standard library's
    except ValueError:  # half of a pair of code units, as only stored text can have it
        return json.dumps(content, default=str).encode("utf-8", "replace")


def answer(content: Any, status: int = 200) -> Response:
    """Content as an answer."""
    return Response(dumped(content), status, media_type="application/json")


def _parsed_form(headers: Headers, content: bytes) -> dict[str, Any]:
    """In a thread: the parsers want a loop, here one of their own."""
    return asyncio.run(_form(headers, content))


async def _form(headers: Headers, content: bytes) -> dict[str, Any]:
    from starlette.formparsers import MultiPartException

    async def stream():
        yield content

    parsers = _parsers()
    try:
        if headers["content-type"].lower().startswith("multipart"):
            parsed = await parsers[0](headers, stream(), max_files=4, max_fields=100).parse()
        else:
            parsed = await parsers[1](headers, stream()).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise HTTPException(400, f"Multipart form parse error - {error}") from None
    fields: dict[str, Any] = {}
    for name, value in parsed.multi_items():
        fields[name] = value if isinstance(value, str) else await value.read()
    return fields


def _parsers() -> tuple:
    from starlette.formparsers import FormParser, MultiPartParser

    return MultiPartParser, FormParser


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def unknown_filters(names: Sequence[str]) -> dict[str, str]:
    """The header that tells a client which of its filters were passed over; the ONE client logs it as a warning."""
    if not names:
        return {}
    listed = ", ".join(name.encode("ascii", "replace").decode() for name in names if name.isprintable())[:500]
    return {"Alyx-API-Notice": f"!!! unknown filters are ignored: {listed} (strict=true makes them errors)"}


def as_it_is(answer: Response, name: str, sent: Any) -> Response:
    """An answer with a notice, if a value of its record is not what was sent: the server looked, and knows better."""
    shown = json.loads(bytes(answer.body))[name]
    if str(shown).lower() != str(sent).lower():
        answer.headers["Alyx-API-Notice"] = f"!!! {name} is {shown}: the server has looked"
    return answer
