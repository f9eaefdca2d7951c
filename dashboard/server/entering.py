"""What the site's forms, grids and the morning round send: each request one action, answered with what is wrong.

Every change goes through `pipeline.entry.actions` or, from the generic grid, through `pipeline.entry.write` after the
same policy. Requests name the batch, so that one that is sent again after a lost answer is not done twice.
"""

from __future__ import annotations

import csv
import datetime
import io
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import flask

from dashboard import links
from dashboard.queries.notebook import round_row
from dashboard.queries.tables import read_rows
from dashboard.site import Site
from pipeline.entry import InvalidEntry, remove, rights, write
from pipeline.entry.actions import Actor, NeedsConfirmation, perform, undo
from pipeline.entry.reversal import from_json
from pipeline.entry.spreadsheets import to_excel
from pipeline.entry.status import today as state_of_today
from pipeline.entry.tables import TABLES
from pipeline.errors import PermissionDenied, UserError, answer_to
from pipeline.schemas import notification
from pipeline.web.error_words import words_for

SOURCE = "site"
MOST_ROWS = 5000
PICTURES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpg", b"RIFF": "webp"}
LARGEST_PICTURE = 6 << 20  # byte


def add(server: flask.Flask, site: Site) -> None:
    """Add the routes; who is asking is decided before (`auth`)."""

    def route(path: str, name: str, answer: Callable[[Mapping[str, Any], Actor], Any]) -> None:
        def view() -> Any:
            viewer = site.viewer
            if viewer.public:
                return _told({"errors": [_error("", "Sign in first.")]}, 401)
            body = flask.request.get_json(silent=True)
            if not isinstance(body, dict):
                return _told({"errors": [_error("", "The request cannot be read.")]}, 400)
            try:
                with site.database.writing():
                    actor = Actor.of(viewer.name, viewer.role, SOURCE)
                    done = answer(body, actor)
                site.live.forget()
                if body.get("state") and isinstance(body.get("values"), dict):
                    done |= {"state": site.read(_state, body["values"])}
                return _told(done)
            except NeedsConfirmation as asked:
                return _told({"questions": asked.questions})  # not an error: the person is asked
            except InvalidEntry as error:
                faults = [_error(item.column, item.message, item.row) for item in error.errors]
                return _told({"errors": faults}, answer_to(error).status)
            except (UserError, PermissionDenied) as error:
                return _told({"errors": [_error("", str(error))]}, answer_to(error).status)
            except Exception as error:
                said = words_for(error, viewer.role, path)
                return _told({"errors": [_error("", f"{said.text} {said.hint}".strip())]}, said.status)

        server.add_url_rule(path, name, view, methods=["POST"])

    route(links.DO, "do_action", _do)
    route(links.UNDO, "undo_entry", lambda body, actor: _undo(body, actor))
    route(links.WRITE, "write_rows", _write)
    route(links.REMOVE, "remove_rows", _remove)
    route(links.READ, "read_messages", _read)
    server.add_url_rule(f"{links.PICTURE}", "take_picture", lambda: _take_picture(site), methods=["POST"])
    server.add_url_rule(f"{links.PICTURE}/<name>", "show_picture", lambda name: _show_picture(site, name))
    server.add_url_rule(
        f"{links.EXPORT}/<table>.<kind>", "export_table", lambda table, kind: _export(site, table, kind)
    )


def _do(body: Mapping[str, Any], actor: Actor) -> dict[str, Any]:
    values = body.get("values")
    confirmed = body.get("confirmed") or []
    done = perform(
        str(body.get("action")), values if isinstance(values, dict) else {}, actor=actor,
        confirmed=confirmed if isinstance(confirmed, list) else [], batch=_batch(body), seen=_mapping(body.get("seen")),
    )  # fmt: skip
    return {"batch": done.batch, "repeated": done.repeated, "result": done.result}


def _state(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the morning round shows of an animal after an entry; nobody else who writes waits for it."""
    animal = state_of_today({"lab": values["lab"], "subject": values["subject"]})
    return None if animal is None else round_row(animal, "")


def _undo(body: Mapping[str, Any], actor: Actor) -> dict[str, Any]:
    done = undo(_batch(body), actor=actor)
    return {"batch": done.batch}


def _write(body: Mapping[str, Any], actor: Actor) -> dict[str, Any]:
    """Rows of a generic grid: all of them or none."""
    table, rows = _table(body), body.get("rows")
    if not isinstance(rows, list) or not 0 < len(rows) <= MOST_ROWS or not all(isinstance(item, dict) for item in rows):
        raise UserError(f"send 1 to {MOST_ROWS} rows", "split the file")
    for row in rows:
        rights.require_row(actor.person, table, row)
    seen = body.get("expected")
    expected = [_mapping(item) for item in seen] if isinstance(seen, list) else []
    done = write(table, rows, user=actor.person.name, source=SOURCE, batch=_batch(body), expected=expected,
                 action="save")  # fmt: skip
    return {"batch": done.batch, "created": done.created, "updated": done.updated, "unchanged": done.unchanged}


def _remove(body: Mapping[str, Any], actor: Actor) -> dict[str, Any]:
    table, keys = _table(body), body.get("keys")
    if not isinstance(keys, list) or not keys or not all(isinstance(item, dict) for item in keys):
        raise UserError("no row was chosen", "choose the rows to delete")
    for key in keys:
        rights.require_removal(actor.person, table, key)
    parsed = [from_json(table, key) for key in keys]
    done = remove(table, parsed, user=actor.person.name, source=SOURCE, batch=_batch(body))
    return {"batch": done.batch, "deleted": done.deleted}


def _read(body: Mapping[str, Any], actor: Actor) -> dict[str, Any]:
    """Note that the person has read some messages of theirs, or all."""
    unread = notification.Message & {"recipient": actor.person.name} & "read_time IS NULL"
    ids = body.get("ids")
    if isinstance(ids, list) and ids:
        unread = unread & [{"message_id": str(id_)} for id_ in ids[:200]]
    moment = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    keys = unread.keys()
    for key in keys:
        notification.Message.update1(key | {"read_time": moment})
    return {"read": len(keys)}


def _mapping(given: Any) -> dict[str, Any]:
    return given if isinstance(given, dict) else {}


def _table(body: Mapping[str, Any]) -> str:
    table = str(body.get("table"))
    if table not in TABLES:
        raise UserError(f"nobody enters rows of {table!r}", "choose a table of the list")
    return table


def _batch(body: Mapping[str, Any]) -> str:
    given = body.get("batch")
    if not given:
        return ""
    try:
        return str(uuid.UUID(str(given)))
    except ValueError:
        raise UserError("the batch is no identifier", "send a UUID") from None


def _export(site: Site, table: str, kind: str) -> flask.Response:
    """All rows of a table as CSV or Excel, as they can be imported again."""
    if site.viewer.public or table not in TABLES or kind not in ("csv", "xlsx"):
        return flask.Response("There is no such table.\n", 404, mimetype="text/plain")
    columns, rows = site.read(read_rows, table)
    if kind == "csv":
        text = io.StringIO()
        out = csv.writer(text, lineterminator="\n")
        out.writerow(columns)
        out.writerows([[safe_cell(row[name]) for name in columns] for row in rows])
        data, mime = text.getvalue().encode("utf-8-sig"), "text/csv"
    else:
        data, mime = to_excel(columns, rows), "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    headers = {"Content-Disposition": f'attachment; filename="{table}.{kind}"'}
    return flask.Response(data, 200, headers, mime)


def safe_cell(value: Any) -> Any:
    """A value as a cell; text that a spreadsheet would take for a formula is quoted."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") and not _is_number(value):
        return f"'{value}"
    return "" if value is None else value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _take_picture(site: Site) -> flask.Response:
    """Keep a picture that a phone's camera made; the answer is its name for a note."""
    viewer, given = site.viewer, flask.request.files.get("picture")
    if viewer.public or given is None:
        return _told({"errors": [_error("image", "no picture was sent")]}, 400)
    data = given.read(LARGEST_PICTURE + 1)
    kind = next((name for start, name in PICTURES.items() if data.startswith(start)), None)
    if kind is None or len(data) > LARGEST_PICTURE:
        return _told({"errors": [_error("image", "use a PNG, JPEG or WebP picture of at most 6 MB")]}, 400)
    folder = site.home / "pictures"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = f"{uuid.uuid4()}.{kind}"
    (folder / name).write_bytes(data)
    return _told({"name": name})


def _show_picture(site: Site, name: str) -> flask.Response:
    stem, _, kind = name.rpartition(".")
    try:
        known = f"{uuid.UUID(stem)}.{kind}" == name and kind in PICTURES.values()
    except ValueError:
        known = False
    path = site.home / "pictures" / name
    if site.viewer.public or not known or not path.is_file():
        return flask.Response("There is no such picture.\n", 404, mimetype="text/plain")
    return flask.send_file(path, mimetype={"jpg": "image/jpeg"}.get(kind, f"image/{kind}"), max_age=86400)


def _error(column: str, message: str, row: int = 0) -> dict[str, Any]:
    return {"column": column, "message": message, "row": row}


def _told(answer: Mapping[str, Any], status: int = 200) -> flask.Response:
    response = flask.jsonify(answer)
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    return response
