"""The OpenAPI document of the server, made from the registry; the ONE client reads its names of filters from it."""

from __future__ import annotations

from typing import Any

from one_bridge.server.endpoint_model import Endpoint, Field
from one_bridge.server.endpoints import ENDPOINTS
from one_bridge.server.query.parse import LONGEST_PAGE
from one_bridge.server.query.resolve import known_parameters

_TYPES: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "time": {"type": "string"},
    "json": {"type": "object"},
    "uuid": {"type": "string"},
}
_ERRORS = {
    "400": {"description": "A value that cannot be used; the body says which."},
    "403": {"description": "Not logged in, or not allowed."},
    "404": {"description": "No such record."},
    "409": {"description": "It does not fit what is stored: somebody was there first, or other records depend on it."},
    "413": {"description": "The body is too large."},
    "429": {"description": "Too many failed logins."},
    "500": {"description": "An error of the server; its log has the rest, under the number that the body holds."},
    "503": {"description": "The database cannot be reached; try again after Retry-After seconds."},
}


def openapi(version: str) -> dict[str, Any]:
    """The document, as OpenAPI 3.0.

    >>> sorted(openapi("0")["paths"])[:3]
    ['/aggregates', '/aggregates/{id}', '/aligned-channels']
    """
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for endpoint in ENDPOINTS.values():
        schemas[endpoint.label] = _record(endpoint)
        collection, single = _paths(endpoint)
        paths[f"/{endpoint.name}"] = collection
        if single:
            paths[f"/{endpoint.name}/{{id}}"] = {"parameters": [_parameter("id", "path", {"type": "string"})], **single}
        for verbs in (collection, single):
            for operation in verbs.values():
                operation["tags"] = [endpoint.name]
    paths |= _others()
    schemas["RegisterFile"] = _REGISTER
    return {
        "openapi": "3.0.3",
        "info": {"title": "neurojoint", "version": version, "description": "ONE on the tables of neurojoint."},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "Token <token>"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
        "security": [{"token": []}],
    }


def _paths(endpoint: Endpoint) -> tuple[dict[str, Any], dict[str, Any]]:
    reference = {"$ref": f"#/components/schemas/{endpoint.label}"}
    page = {
        "type": "object",
        "required": ["count", "next", "previous", "results"],
        "properties": {
            "count": {"type": "integer"},
            "next": {"type": "string", "nullable": True},
            "previous": {"type": "string", "nullable": True},
            "results": {"type": "array", "items": {"type": "object"}},
        },
    }
    filters = [_parameter(name, "query", {"type": "string"}) for name in known_parameters(endpoint)]
    filters += [
        _parameter("limit", "query", {"type": "integer", "minimum": 1, "maximum": LONGEST_PAGE}),
        _parameter("offset", "query", {"type": "integer", "minimum": 0}),
    ]
    collection: dict[str, Any] = {"get": _operation(f"List {endpoint.name}", "200", page, parameters=filters)}
    record = {"type": "object"}
    if endpoint.writes_aside:
        endpoint = ENDPOINTS[endpoint.aside]
        reference = {"$ref": f"#/components/schemas/{endpoint.label}"}
    verbs = (*endpoint.verbs, *endpoint.own_verbs)
    if "create" in verbs:
        collection["post"] = _operation(f"Create a {endpoint.label}", "201", record, reference)
    single: dict[str, Any] = {}
    if "read" in verbs:
        single["get"] = _operation(f"Read a {endpoint.label}", "200", record)
    if "update" in verbs:
        single["put"] = _operation(f"Change a {endpoint.label}", "200", record, reference)
        single["patch"] = _operation(f"Change a {endpoint.label}", "200", record, reference)
    if "delete" in verbs:
        single["delete"] = _operation(f"Delete a {endpoint.label}", "204", None)
    return collection, single


def _record(endpoint: Endpoint) -> dict[str, Any]:
    properties = {field.name: _property(field) for field in endpoint.fields if not field.inside}
    names = {"type": "array", "items": {"type": "string"}}
    properties |= {
        item.name: {"type": "string", "readOnly": True}
        if item.single
        else names | ({} if item.write else {"readOnly": True})
        for item in endpoint.many
        if not item.name.startswith("_")
    }
    properties |= {
        item.name: {"type": "array", "items": {"type": "object"}, "readOnly": True} for item in endpoint.nested
    }
    return {"type": "object", "description": endpoint.label, "properties": properties}


def _property(field: Field) -> dict[str, Any]:
    schema = dict(_TYPES[field.kind])
    if field.choices or field.words:
        schema["enum"] = list(field.choices or field.spoken.values())
    if field.name == "start_time":
        return schema
    if not field.write:
        schema["readOnly"] = True
    if not field.required:
        schema["nullable"] = True
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    return schema


def _operation(
    summary: str, status: str, content: Any, body: Any = None, parameters: Any = (), media: str = "application/json"
) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Done."}
    if content is not None:
        answer["content"] = {media: {"schema": content}}
    operation: dict[str, Any] = {"summary": summary, "responses": {status: answer} | _ERRORS}
    if parameters:
        operation["parameters"] = list(parameters)
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _parameter(name: str, place: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


_REGISTER = {
    "type": "object",
    "required": ["path", "filenames"],
    "properties": {
        "path": {"type": "string", "description": "subject/YYYY-MM-DD/NNN"},
        "filenames": {"type": "array", "items": {"type": "string"}},
        "hashes": {"type": "array", "items": {"type": "string", "nullable": True}},
        "filesizes": {"type": "array", "items": {"type": "integer"}},
        "labs": {"type": "string"},
        "name": {"type": "string", "nullable": True, "description": "repository"},
        "created_by": {"type": "string"},
        "check_protected": {"type": "boolean"},
        "exists": {"type": "boolean"},
        "server_only": {"type": "boolean"},
        "default": {"type": "boolean"},
        "versions": {"type": "array", "items": {"type": "string", "nullable": True}},
        "content_type": {"type": "string", "nullable": True},
    },
}

_DOWNLOADED = {
    "type": "object",
    "properties": {
        "dataset": {"type": "string"},
        "datasets": {"type": "array", "items": {"type": "string"}},
        "user": {"type": "string"},
        "projects": {"type": "array", "items": {"type": "string"}},
    },
}


def _others() -> dict[str, Any]:
    """Paths that are no list of records; none below one of those: the ONE client would take it for reading a record."""
    anything = {"type": "object"}
    register = {"$ref": "#/components/schemas/RegisterFile"}
    login = _operation("Exchange name and password for a token", "200", anything)
    login["security"] = []
    login["requestBody"] = {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["username", "password"],
                    "properties": {"username": {"type": "string"}, "password": {"type": "string"}},
                }
            }
        },
    }
    tag = [_parameter("tag", "path", {"type": "string"})]
    path = [_parameter("path", "path", {"type": "string"})]
    zipped = {"type": "string", "format": "binary"}
    return {
        "/auth-token": {"post": login},
        "/me": {"get": _operation("Who is logged in", "200", anything)},
        "/register-file": {
            "post": _operation("Register files of a session", "201", {"type": "array", "items": anything}, register)
        },
        "/new-download": {"post": _operation("Count downloads of datasets", "201", anything, _DOWNLOADED)},
        "/sync-file-status": {"get": _operation("How many copies are there, by repository", "200", anything)},
        "/check-protected": {
            "get": _operation("Which files are protected (body as of register-file)", "200", anything),
            "post": _operation("Which files are protected", "200", anything, register),
        },
        "/water-requirement/{nickname}": {
            "get": _operation(
                "Weights and water of a subject, day by day", "200", anything,
                parameters=[_parameter("nickname", "path", {"type": "string"}),
                            *(_parameter(name, "query", {"type": "string"}) for name in ("start_date", "end_date"))],
            )
        },
        "/water-restricted-subjects": {
            "get": _operation("Subjects under water restriction today", "200", {"type": "array", "items": anything})
        },
        "/cache/info": {"get": _operation("Of the cache tables", "200", anything)},
        "/cache/info/{tag}": {"get": _operation("Of the cache tables of a tag", "200", anything, parameters=tag)},
        "/cache.zip": {
            "get": _operation(
                "The cache tables", "200", zipped, media="application/zip",
                parameters=[_parameter("tag", "query", {"type": "string"})],
            )
        },
        "/data/{path}": {
            "get": _operation("The file of a dataset", "200", zipped, parameters=path, media="application/octet-stream")
        },
        "/uploaded/{path}": {
            "get": _operation("The picture of a note", "200", zipped, parameters=path, media="image/png")
        },
    }  # fmt: skip
