"""Sends registered files to those who may have them. An address names a dataset, never a path."""

from __future__ import annotations

import logging
import threading

import flask

from dashboard import links
from dashboard.queries import session as queries
from dashboard.site import Site
from pipeline.errors import InvalidData
from pipeline.web.error_words import words_for

logger = logging.getLogger(__name__)

AT_ONCE = 3
"""Files that one process sends at once: each holds one of its threads until the last byte is gone."""


def add(server: flask.Flask, site: Site) -> None:
    """Add the route of `links.file`; who may ask at all is decided before (`auth`)."""
    free = threading.BoundedSemaphore(AT_ONCE)

    def send(dataset_id: str) -> flask.Response:
        try:
            file = site.read(queries.file, dataset_id, site.viewer.public)
        except Exception as error:
            said = words_for(error, site.viewer.role, "a file")
            return _words(str(said), 410 if isinstance(error, InvalidData) else said.status)
        if file is None:
            return _words("There is no such file, or it is not for everyone.", 404)
        if not free.acquire(blocking=False):
            return _words("Other files are being sent: try again in a moment.", 503)
        try:
            # always as bytes to be saved: what a file holds must not run as a page of this site
            answer = flask.send_file(
                file.path, "application/octet-stream", as_attachment=True, download_name=file.name, max_age=0
            )
        except BaseException:
            free.release()
            raise
        answer.call_on_close(free.release)
        return answer

    server.add_url_rule(f"{links.FILES}/<dataset_id>", "file", send)


def _words(text: str, status: int) -> flask.Response:
    return flask.Response(text + "\n", status, {"Retry-After": "5"} if status == 503 else {}, "text/plain")
