"""Servers that speak figshare's and Zenodo's protocol, and fail as services fail: before, after, or in the middle."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import random
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

PART = 20_000  # byte
TOKEN = "right"  # noqa: S105 - of a server of these tests


class Service(http.server.ThreadingHTTPServer):
    """State of both services; `fail_before` and `fail_after` are probabilities."""

    daemon_threads = True

    def __init__(self, seed: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.random, self.lock = random.Random(seed), threading.RLock()  # noqa: S311
        self.fail_before = self.fail_after = 0.0
        self.forget_uploads = False
        self.next = 100
        self.articles: dict[int, dict[str, Any]] = {}
        self.depositions: dict[int, dict[str, Any]] = {}
        self.part_puts: list[tuple[int, int]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def number(self) -> int:
        self.next += 1
        return self.next

    def handle_error(self, *_: object) -> None:
        pass


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def log_message(self, *_: object) -> None:
        pass

    def _all(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:
            return
        if self.headers.get("Transfer-Encoding"):
            self._answer(411, {"message": "no length"})
            return
        server = self.server
        with server.lock:
            before, after = server.random.random() < server.fail_before, server.random.random() < server.fail_after
            if before:
                self._answer(server.random.choice([500, 502, 503]), {"message": "try later"})
                return
            path = urlsplit(self.path).path
            status, said = self._route(path, body)
        if after:  # it was done, and nobody hears of it
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._answer(status, said)

    do_GET = do_POST = do_PUT = do_DELETE = _all  # noqa: N815

    def _answer(self, status: int, said: Any) -> None:
        content = said if isinstance(said, bytes) else json.dumps(said).encode()
        first, _, last = self.headers.get("Range", "")[6:].partition("-")
        whole = len(content)
        if status == 200 and isinstance(said, bytes) and first:
            content, status = content[int(first) : int(last) + 1 if last else None], 206
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{int(first) + len(content) - 1}/{whole}")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _route(self, path: str, body: bytes) -> tuple[int, Any]:
        is_public = path.startswith(("/v2/articles/", "/download/", "/api/records/"))
        if not is_public and self.headers.get("Authorization", "").split()[-1:] != [TOKEN]:
            return 403, {"message": "no rights"}
        for pattern, act in ROUTES:
            if match := re.fullmatch(pattern, f"{self.command} {path}"):
                return act(self.server, *match.groups(), body=body)
        return 404, {"message": f"no such path {path}"}


def _make_article(server: Service, body: bytes) -> tuple[int, Any]:
    number = server.number()
    server.articles[number] = json.loads(body) | {"id": number, "files": {}, "published_date": None}
    return 201, {"entity_id": number, "location": f"{server.address}/v2/account/articles/{number}"}


def _article(server: Service, number: str, body: bytes) -> tuple[int, Any]:
    one = server.articles[int(number)]
    return 200, {name: value for name, value in one.items() if name != "files"}


def _files(server: Service, number: str, body: bytes) -> tuple[int, Any]:
    return 200, [_shown(server, file) for file in server.articles[int(number)]["files"].values()]


def _shown(server: Service, one: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name != "parts"} | {
        "upload_url": f"{server.address}/upload/{one['id']}",
        "download_url": f"{server.address}/download/{one['id']}/{one['name']}",
    }


def _make_file(server: Service, number: str, body: bytes) -> tuple[int, Any]:
    said, identifier = json.loads(body), server.number()
    parts = [[start, min(start + PART, said["size"]) - 1, None] for start in range(0, said["size"], PART)]
    server.articles[int(number)]["files"][identifier] = {
        "id": identifier, "name": said["name"], "size": said["size"], "supplied_md5": said["md5"],
        "computed_md5": "", "status": "created", "parts": parts,
    }  # fmt: skip
    return 201, {"location": f"{server.address}/v2/account/articles/{number}/files/{identifier}"}


def _file(server: Service, number: str, identifier: str, body: bytes) -> tuple[int, Any]:
    return 200, _shown(server, server.articles[int(number)]["files"][int(identifier)])


def _find(server: Service, identifier: str) -> dict[str, Any] | None:
    for article in server.articles.values():
        if int(identifier) in article["files"]:
            return article["files"][int(identifier)]
    return None


def _upload(server: Service, identifier: str, body: bytes) -> tuple[int, Any]:
    one = _find(server, identifier)
    if one is None or server.forget_uploads:
        server.forget_uploads = False
        return 404, {"message": "expired"}
    return 200, {"token": identifier, "status": "PENDING", "parts": [
        {"partNo": n, "startOffset": a, "endOffset": b, "status": "PENDING" if c is None else "COMPLETE"}
        for n, (a, b, c) in enumerate(one["parts"], 1)
    ]}  # fmt: skip


def _put_part(server: Service, identifier: str, part: str, body: bytes) -> tuple[int, Any]:
    one = _find(server, identifier)
    if one is None:
        return 404, {"message": "expired"}
    start, end, _ = one["parts"][int(part) - 1]
    if len(body) != end - start + 1:
        return 400, {"message": "wrong length"}
    one["parts"][int(part) - 1][2] = body
    server.part_puts.append((int(identifier), int(part)))
    return 200, {}


def _complete(server: Service, number: str, identifier: str, body: bytes) -> tuple[int, Any]:
    one = server.articles[int(number)]["files"][int(identifier)]
    if any(part[2] is None for part in one["parts"]):
        return 400, {"message": "parts are missing"}
    one |= {"status": "available", "computed_md5": md5(_content(one))}
    return 202, {}


def _content(one: dict[str, Any]) -> bytes:
    return b"".join(part[2] for part in one["parts"])


def _delete_file(server: Service, number: str, identifier: str, body: bytes) -> tuple[int, Any]:
    removed = server.articles[int(number)]["files"].pop(int(identifier), None)
    return (204, b"") if removed else (404, {"message": "gone"})


def _publish(server: Service, number: str, body: bytes) -> tuple[int, Any]:
    one = server.articles[int(number)]
    if one["published_date"]:
        return 400, {"message": "published already"}
    one |= {"published_date": "2026-01-01", "doi": f"10.6084/m9.{number}",
            "url_public_html": f"{server.address}/articles/dataset/x/{number}"}  # fmt: skip
    return 201, {}


def _download(server: Service, identifier: str, body: bytes) -> tuple[int, Any]:
    one = _find(server, identifier)
    return (200, _content(one)) if one else (404, {})


def _make_deposition(server: Service, body: bytes) -> tuple[int, Any]:
    number = server.number()
    server.depositions[number] = {"id": number, "files": {}, "submitted": False, **json.loads(body)}
    return 201, _deposition(server, str(number), b"")[1]


def _deposition(server: Service, number: str, body: bytes) -> tuple[int, Any]:
    one = server.depositions[int(number)]
    links = {
        "bucket": f"{server.address}/api/files/bucket-{number}",
        "record_html": f"{server.address}/records/{number}",
    }
    doi = f"10.5281/zenodo.{number}" if one["submitted"] else ""
    return 200, {
        "id": one["id"],
        "metadata": one["metadata"],
        "submitted": one["submitted"],
        "links": links,
        "doi": doi,
    }


def _deposition_files(server: Service, number: str, body: bytes) -> tuple[int, Any]:
    files = server.depositions[int(number)]["files"]
    return 200, [{"id": name, "filename": name, "filesize": len(c), "checksum": md5(c)} for name, c in files.items()]


def _new_version(server: Service, number: str, body: bytes) -> tuple[int, Any]:
    """A draft with the files of the version before, as Zenodo makes it; the same one where it is asked for again."""
    before = server.depositions[int(number)]
    if not before["submitted"]:
        return 400, {"message": "not published"}
    drafts = [deposition for deposition in server.depositions.values() if deposition.get("after") == int(number)]
    if not drafts:
        new = server.number()
        draft = {"id": new, "files": dict(before["files"]), "submitted": False, "after": int(number)}
        server.depositions[new] = draft | {"metadata": before["metadata"]}
        drafts = [server.depositions[new]]
    address = f"{server.address}/api/deposit/depositions/{drafts[0]['id']}"
    return 201, {"id": int(number), "links": {"latest_draft": address}}


def _change_deposition(server: Service, number: str, body: bytes) -> tuple[int, Any]:
    one = server.depositions[int(number)]
    if one["submitted"]:
        return 403, {"message": "published"}
    one |= json.loads(body)
    return _deposition(server, number, b"")


def _delete_deposited(server: Service, number: str, name: str, body: bytes) -> tuple[int, Any]:
    removed = server.depositions[int(number)]["files"].pop(unquote(name), None)
    return (204, b"") if removed is not None else (404, {"message": "gone"})


def _put_bucket(server: Service, number: str, name: str, body: bytes) -> tuple[int, Any]:
    one = server.depositions[int(number)]
    if one["submitted"]:
        return 403, {"message": "published"}
    one["files"][unquote(name)] = body
    return 201, {"key": unquote(name), "checksum": f"md5:{md5(body)}"}


def _submit(server: Service, number: str, body: bytes) -> tuple[int, Any]:
    server.depositions[int(number)]["submitted"] = True
    return 202, _deposition(server, number, b"")[1]


def _record(server: Service, number: str, body: bytes) -> tuple[int, Any]:
    files = server.depositions[int(number)]["files"]
    return 200, {"files": [
        {"key": name, "links": {"self": f"{server.address}/api/records/{number}/files/{name}"}} for name in files
    ]}  # fmt: skip


def _record_file(server: Service, number: str, name: str, body: bytes) -> tuple[int, Any]:
    return 200, server.depositions[int(number)]["files"][unquote(name)]


A, D = r"/v2/account/articles", r"/api/deposit/depositions"
ROUTES = (
    (rf"POST {A}", _make_article),
    (rf"GET {A}", lambda server, body: (200, [{"id": n, "title": a["title"]} for n, a in server.articles.items()])),
    (rf"GET {A}/(\d+)", _article),
    (rf"GET {A}/(\d+)/files", _files),
    (rf"POST {A}/(\d+)/files", _make_file),
    (rf"GET {A}/(\d+)/files/(\d+)", _file),
    (rf"POST {A}/(\d+)/files/(\d+)", _complete),
    (rf"DELETE {A}/(\d+)/files/(\d+)", _delete_file),
    (rf"POST {A}/(\d+)/publish", _publish),
    (r"GET /upload/(\d+)", _upload),
    (r"PUT /upload/(\d+)/(\d+)", _put_part),
    (r"GET /v2/articles/(\d+)/files", _files),
    (r"GET /download/(\d+)/[^/]+", _download),
    (rf"POST {D}", _make_deposition),
    (rf"GET {D}", lambda server, body: (200, [_deposition(server, str(n), b"")[1] for n in server.depositions])),
    (rf"GET {D}/(\d+)", _deposition),
    (rf"GET {D}/(\d+)/files", _deposition_files),
    (rf"POST {D}/(\d+)/actions/publish", _submit),
    (rf"POST {D}/(\d+)/actions/newversion", _new_version),
    (rf"PUT {D}/(\d+)", _change_deposition),
    (rf"DELETE {D}/(\d+)/files/(.+)", _delete_deposited),
    (r"PUT /api/files/bucket-(\d+)/(.+)", _put_bucket),
    (r"GET /api/records/(\d+)", _record),
    (r"GET /api/records/(\d+)/files/(.+)", _record_file),
)


@contextlib.contextmanager
def services(seed: int = 0) -> Iterator[Service]:
    server = Service(seed)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
