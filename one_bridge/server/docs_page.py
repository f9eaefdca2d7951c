"""The page `/docs`: the OpenAPI document as one page of HTML, without scripts and without anything from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}
summary{cursor:pointer;padding:.3rem 0}code{font-family:ui-monospace,monospace}
b{display:inline-block;min-width:4.5rem}table{border-collapse:collapse;margin:.5rem 0 1rem}
td,th{text-align:left;padding:.15rem .8rem .15rem 0;border-bottom:1px solid #ddd;vertical-align:top}
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#16181c}td,th{border-color:#3a3d44}}
"""


def page(document: Mapping[str, Any]) -> str:
    """The document as HTML.

    >>> "<code>/sessions</code>" in page({"info": {"title": "t", "version": "0"}, "paths": {"/sessions": {"get": {}}}})
    True
    """
    schemas = document.get("components", {}).get("schemas", {})
    parts = [
        _operation(path, verb, one, schemas)
        for path, verbs in document["paths"].items()
        for verb, one in verbs.items()
        if verb != "parameters"
    ]
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}: REST interface</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body><h1>{title}</h1>'
        '<p>The REST interface, as in <a href="/api/schema">/api/schema</a> (OpenAPI 3). Every list also takes '
        "<code>limit</code>, <code>offset</code>, <code>id</code> and <code>django</code> "
        "(pairs <code>field__lookup,value</code>; <code>~</code> negates).</p>" + "".join(parts) + "</body></html>"
    )


def _operation(path: str, verb: str, one: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    head = f"<b>{escape(verb.upper())}</b> <code>{escape(path)}</code> {escape(one.get('summary', ''))}"
    names = ", ".join(f"<code>{escape(each['name'])}</code>" for each in one.get("parameters", ()))
    content = f"<p>Filters and parameters: {names}</p>" if names else ""
    for media in one.get("requestBody", {}).get("content", {}).values():
        reference = media.get("schema", {}).get("$ref", "").rpartition("/")[2]
        content += _fields(schemas.get(reference, media.get("schema", {})))
    return f"<details><summary>{head}</summary>{content or '<p>No parameters.</p>'}</details>"


def _fields(schema: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(str(one.get('type', '')))}</td>"
        f"<td>{escape(', '.join(str(each) for each in one.get('enum', ()) if each is not None))}</td></tr>"
        for name, one in schema.get("properties", {}).items()
        if not one.get("readOnly")
    )
    return f"<table><tr><th>field</th><th>type</th><th>values</th></tr>{rows}</table>" if rows else ""
