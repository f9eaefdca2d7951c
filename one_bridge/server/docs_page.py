"""The page `/docs`: the OpenAPI document shown by Redoc, whose script comes with the installation: nothing is fetched
from elsewhere."""

from __future__ import annotations

import importlib.util
from html import escape
from pathlib import Path

SCRIPT = "redoc.standalone.js"
POLICY = "; ".join((
    "default-src 'none'", "script-src 'self'", "style-src 'unsafe-inline'", "img-src 'self' data:", "font-src data:",
    "connect-src 'self'", "worker-src blob:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
))  # fmt: skip
"""Content-Security-Policy of the page: the script of this server, and styles that it writes itself."""


def page(version: str) -> str:
    """The page; its addresses are relative, so that it also works behind a proxy with a prefix.

    >>> '<redoc spec-url="api/schema"' in page("0.1.0")
    True
    """
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>neurojoint {escape(version)}: REST '
        'interface</title><meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,"><style>body{margin:0}</style></head><body>'
        '<noscript><p>This page needs JavaScript. The interface is also described in <a href="api/schema">api/schema'
        "</a> (OpenAPI 3).</p></noscript>"
        '<redoc spec-url="api/schema" hide-download-button native-scrollbars></redoc>'
        f'<script src="docs/{SCRIPT}"></script></body></html>'
    )


def script() -> Path:
    """The script of Redoc, from the package `fastapi-offline`."""
    spec = importlib.util.find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("fastapi-offline is not installed: pip install fastapi-offline")
    return Path(spec.origin).with_name("static") / SCRIPT
