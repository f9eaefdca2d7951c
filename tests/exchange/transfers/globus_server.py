"""A server on 127.0.0.1 that speaks the part of Globus Auth and Transfer that we use to the unmodified SDK.

Collections are folders, and tasks copy files on a thread. Faults are asked for by name. It shows what the protocol
does; queueing, consents, permissions and rate limits of the real service it cannot show.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

PAGE = 1_000


class GlobusServer(ThreadingHTTPServer):
    """The service.

    Attributes
    ----------
    collections : identifier -> folder
    offline : collections whose computer is not connected
    calls : method and path of each request
    answers : (method, path) -> what to do instead of answering: a status code, `drop`, or `drop after`
    skip, damage, pretend : source names that are skipped, whose copies arrive broken, that are only said to be copied
    revoked : no refresh token is good any more
    hold : tasks wait while it is set
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.collections: dict[str, Path] = {}
        self.offline: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self.answers: dict[tuple[str, str], list[Any]] = {}
        self.skip: set[str] = set()
        self.damage: set[str] = set()
        self.pretend: set[str] = set()
        self.hold = threading.Event()
        self.tokens: set[str] = set()
        self.grants: list[str] = []
        self.revoked = False
        self.code = "the code that the browser shows"
        self._key: Any = None
        self.submissions: dict[str, str | None] = {}
        self.tasks: dict[str, dict[str, Any]] = {}
        self.lock = threading.Lock()

    @property
    def key(self) -> Any:
        """The key by which identities are signed."""
        from cryptography.hazmat.primitives.asymmetric import rsa

        self._key = self._key or rsa.generate_private_key(65_537, 2_048)
        return self._key

    def identity(self, client: str) -> str:
        """Who logged in, signed, as OpenID Connect has it."""
        import jwt

        now = int(time.time())
        said = {"iss": self.address, "aud": client, "sub": "22222222-2222-4222-8222-222222222222"}
        return jwt.encode(said | {"iat": now, "exp": now + 3_600}, self.key, "RS256")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"

    def add(self, folder: Path) -> str:
        identifier = str(uuid.uuid4())
        folder.mkdir(parents=True, exist_ok=True)
        self.collections[identifier] = folder
        return identifier

    def path(self, collection: str, path: str) -> Path:
        condition = (self.collections[collection] / path.lstrip("/")).resolve()
        assert condition.is_relative_to(self.collections[collection].resolve())
        return condition

    def wait(self) -> None:
        until = time.monotonic() + 20
        while any(task["status"] == "ACTIVE" for task in self.tasks.values()):
            assert time.monotonic() < until
            time.sleep(0.01)

    def carry(self, task: dict[str, Any], asked: dict[str, Any]) -> None:
        while self.hold.is_set():
            time.sleep(0.01)
        source, target = asked["source_endpoint"], asked["destination_endpoint"]
        for item in asked["DATA"]:
            if task["status"] != "ACTIVE":
                return
            here, there = self.path(source, item["source_path"]), self.path(target, item["destination_path"])
            if here.name in self.skip or not here.exists():
                task["files_skipped"] += 1
                task["skipped"].append({"source_path": item["source_path"], "error_code": "PERMISSION_DENIED"})
                continue
            if asked.get("sync_level") == 3 and there.exists() and md5(there) == md5(here):
                task["files_skipped"] += 1
                continue
            there.parent.mkdir(parents=True, exist_ok=True)
            if here.name not in self.pretend:
                shutil.copyfile(here, there)
            if here.name in self.damage:
                there.write_bytes(there.read_bytes()[:-1] + b"?")
            if here.name not in self.pretend and item.get("external_checksum") not in (None, md5(there)):
                task |= {
                    "status": "FAILED", "nice_status": "VERIFY_CHECKSUM",
                    "fatal_error": {"code": "VERIFY_CHECKSUM", "description": f"mismatch: {item['destination_path']}"},
                }  # fmt: skip
                return
            task["bytes_transferred"] += here.stat().st_size
            task["done"].append({"source_path": item["source_path"], "destination_path": item["destination_path"]})
        task |= {"status": "SUCCEEDED", "nice_status": "OK"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: GlobusServer

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlparse(self.path).path
        if path == "/v2/oauth2/token":
            self._give_tokens({name: values[0] for name, values in parse_qs(raw.decode()).items()})
            return
        if self._refused(path):
            return
        if path == "/v0.10/transfer":
            self._submit(json.loads(raw))
        elif path == "/v0.10/delete":
            asked = json.loads(raw)
            for item in asked["DATA"]:
                self.server.path(asked["endpoint"], item["path"]).unlink(missing_ok=True)
            self._say(202, {"code": "Accepted", "task_id": str(uuid.uuid4()), "message": "ok"})
        elif match := re.fullmatch(r"/v0.10/task/([^/]+)/cancel", path):
            self.server.tasks[match[1]] |= {"status": "FAILED", "nice_status": "CANCELED"}
            self._say(200, {"code": "Canceled", "message": "ok"})
        else:
            self._error(404, "ClientError.NotFound")

    def do_GET(self) -> None:
        url = urlparse(self.path)
        if url.path == "/.well-known/openid-configuration":
            keys = f"{self.server.address}jwk.json"
            said = {"issuer": self.server.address, "jwks_uri": keys, "id_token_signing_alg_values_supported": ["RS256"]}
            self._say(200, said)
            return
        if url.path == "/jwk.json":
            from jwt.algorithms import RSAAlgorithm

            self._say(200, {"keys": [RSAAlgorithm.to_jwk(self.server.key.public_key(), as_dict=True)]})
            return
        if self._refused(url.path):
            return
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/v0.10/task_list":
            self._say(200, {"DATA_TYPE": "task_list", "DATA": [], "total": 0, "limit": 1, "offset": 0})
        elif url.path == "/v0.10/submission_id":
            identifier = str(uuid.uuid4())
            self.server.submissions[identifier] = None
            self._say(200, {"DATA_TYPE": "submission_id", "value": identifier})
        elif match := re.fullmatch(r"/v0.10/task/([^/]+)(/successful_transfers|/skipped_errors)?", url.path):
            self._task(match[1], match[2], int(asked.get("marker", 0)))
        elif match := re.fullmatch(r"/v0.10/endpoint/([^/]+)", url.path):
            if match[1] not in self.server.collections:
                self._error(404, "EndpointNotFound")
            else:
                connected = match[1] not in self.server.offline
                self._say(200, {"DATA_TYPE": "endpoint", "id": match[1], "gcp_connected": connected})
        elif match := re.fullmatch(r"/v0.10/operation/endpoint/([^/]+)/ls", url.path):
            folder = self.server.path(match[1], asked.get("path", "/"))
            if not folder.is_dir():
                self._error(404, "ClientError.NotFound")
                return
            listed = [
                {"DATA_TYPE": "file", "name": path.name, "type": "dir" if path.is_dir() else "file",
                 "size": path.stat().st_size, "last_modified": "2026-01-01 00:00:00+00:00"}
                for path in sorted(folder.iterdir())
            ]  # fmt: skip
            self._say(200, {"DATA_TYPE": "file_list", "DATA": listed, "length": len(listed), "total": len(listed)})
        else:
            self._error(404, "ClientError.NotFound")

    def _submit(self, asked: dict[str, Any]) -> None:
        submission = asked["submission_id"]
        with self.server.lock:
            if submission not in self.server.submissions:
                self._error(400, "BadRequest")
                return
            known = self.server.submissions[submission]
            task_id = known or str(uuid.uuid4())
            self.server.submissions[submission] = task_id
        if known is None:
            task = {
                "task_id": task_id, "status": "ACTIVE", "nice_status": "Queued", "bytes_transferred": 0,
                "files_skipped": 0, "fatal_error": None, "is_paused": False, "done": [], "skipped": [],
            }  # fmt: skip
            self.server.tasks[task_id] = task
            threading.Thread(target=self.server.carry, args=(task, asked), daemon=True).start()
        if self._instead("POST", "/v0.10/transfer", "drop after"):
            self.connection.close()
            return
        code = "Duplicate" if known else "Accepted"
        self._say(202, {"DATA_TYPE": "transfer_result", "code": code, "task_id": task_id, "message": "ok"})

    def _task(self, identifier: str, part: str | None, start: int) -> None:
        task = self.server.tasks.get(identifier)
        if task is None:
            self._error(404, "TaskNotFound")
        elif part is None:
            self._say(200, {name: value for name, value in task.items() if name not in ("done", "skipped")})
        else:
            rows = task["done" if part == "/successful_transfers" else "skipped"]
            marker = start + PAGE if len(rows) > start + PAGE else None
            self._say(200, {"DATA_TYPE": part[1:], "DATA": rows[start : start + PAGE], "next_marker": marker})

    def _give_tokens(self, asked: dict[str, str]) -> None:
        """Tokens for an application, for a person who brings the code, or for who brings a refresh token."""
        server, kind = self.server, asked["grant_type"]
        server.grants.append(kind)
        if kind == "refresh_token" and server.revoked:
            self._say(400, {"error": "invalid_grant"})
            return
        if kind == "authorization_code" and (asked["code"] != server.code or "code_verifier" not in asked):
            self._say(400, {"error": "invalid_grant"})
            return
        answer = self._token("transfer.api.globus.org", "urn:globus:auth:scope:transfer.api.globus.org:all", kind)
        if kind == "authorization_code":
            answer["other_tokens"] = [self._token("auth.globus.org", "openid profile email", kind)]
            answer["id_token"] = server.identity(asked["client_id"])
        self._say(200, answer)

    def _token(self, of: str, scope: str, kind: str) -> dict[str, Any]:
        token = uuid.uuid4().hex
        self.server.tokens.add(token)
        given = {
            "access_token": token,
            "expires_in": 172_800,
            "resource_server": of,
            "token_type": "Bearer",
            "scope": scope,
        }
        more = {} if kind == "client_credentials" else {"refresh_token": uuid.uuid4().hex, "state": "_default"}
        return given | more | {"other_tokens": []}

    def _refused(self, path: str) -> bool:
        self.server.calls.append((self.command, path))
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in self.server.tokens:
            self._error(401, "AuthenticationFailed")
            return True
        waiting = self.server.answers.get((self.command, path))
        if waiting and waiting[0] != "drop after":
            what = waiting.pop(0)
            if what == "drop":
                self.close_connection = True
                self.connection.close()
            else:
                self._error(what, "ServiceUnavailable")
            return True
        return False

    def _instead(self, method: str, path: str, what: str) -> bool:
        waiting = self.server.answers.get((method, path))
        if waiting and waiting[0] == what:
            waiting.pop(0)
            self.close_connection = True
            return True
        return False

    def _error(self, status: int, code: str) -> None:
        self._say(status, {"code": code, "message": "as asked", "request_id": "x", "resource": self.path})

    def _say(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


@contextlib.contextmanager
def globus() -> Iterator[GlobusServer]:
    server = GlobusServer()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    names = ("GLOBUS_SDK_SERVICE_URL_TRANSFER", "GLOBUS_SDK_SERVICE_URL_AUTH")
    os.environ |= dict.fromkeys(names, server.address)
    try:
        yield server
    finally:
        for name in names:
            os.environ.pop(name, None)
        server.shutdown()
        server.server_close()
