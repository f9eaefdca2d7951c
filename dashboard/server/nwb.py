"""Sends the NWB file of a session to members of the lab; another process writes it."""

from __future__ import annotations

import flask

from dashboard import links
from dashboard.queries import session as queries
from dashboard.site import Site
from pipeline.web.nwb_files import NwbFiles, is_eid


def add(server: flask.Flask, site: Site) -> None:
    """Add the route of `links.nwb`."""
    files = NwbFiles()

    def send(eid: str) -> flask.Response:
        if not site.viewer.may("member"):
            return _words("NWB files are for members of the lab: sign in.", 403)
        if not is_eid(eid) or not site.read(queries.has_session, eid):
            return _words("There is no such session.", 404)
        export = files.get(eid)
        if export.path is not None:
            return flask.send_file(
                export.path, "application/octet-stream", as_attachment=True, download_name=export.path.name, max_age=0
            )
        if export.problem:
            return _words(f"This session cannot be exported. {export.problem}", 409)
        if export.busy:
            return _words("Other sessions are being exported: this page asks again by itself.", 503)
        return _words(
            "The file is being written. This page asks again by itself and then saves it; after that, go back.", 202
        )

    server.add_url_rule(f"{links.NWB}/<eid>", "nwb", send)


def _words(text: str, status: int) -> flask.Response:
    """A sentence; where it is worth it, the browser asks again."""
    headers = {"Retry-After": "5", "Refresh": "5"} if status in (202, 503) else {}
    return flask.Response(text + "\n", status, headers, "text/plain")
