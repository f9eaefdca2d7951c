"""Real servers for the tests: sshd (rsync and SFTP), an S3 server, a web server with ranges."""

from __future__ import annotations

import contextlib
import getpass
import http.server
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from exchange.transfers.protocol import Place


class Sshd:
    """OpenSSH on 127.0.0.1 for the present user, with a key of its own; `stop` and `start` cut it off."""

    def __init__(self, folder: Path, sftp: str = "internal-sftp") -> None:
        self.folder = folder
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
        shutil.copy(folder / "user.pub", folder / "authorized")
        self.port = free_port()
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {(folder / 'host.pub').read_text()}")
        (folder / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile {folder}/pid\n"
            f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            f"PermitRootLogin yes\nSubsystem sftp {sftp}\nMaxStartups 100\n"
        )
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-f", str(self.folder / "config")],
            stderr=subprocess.DEVNULL,
        )
        wait_for(self.port)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def place(self, kind: str, root: Path, **more) -> Place:
        options = {
            "port": self.port, "identity_file": str(self.folder / "user"),
            "known_hosts_file": str(self.folder / "known_hosts"),
        }  # fmt: skip
        return Place(f"by_{kind}", kind, str(root), f"{getpass.getuser()}@127.0.0.1", options, **more)


@contextlib.contextmanager
def sshd(folder: Path, sftp: str = "internal-sftp") -> Iterator[Sshd]:
    if not (shutil.which("sshd") or Path("/usr/sbin/sshd").exists()) or not shutil.which("rsync"):
        pytest.skip("no sshd or rsync: apt-get install openssh-server rsync")
    server = Sshd(folder, sftp)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Cut:
    """A port of 127.0.0.1 before another one, whose first connections break off after some bytes; later ones pass.

    Parameters
    ----------
    after : bytes of clients that pass before that.
    """

    def __init__(self, port: int, after: int) -> None:
        self.cuts, self._target, self._left = 0, port, after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                for ends in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(1 << 14):
                if counted and not self.cuts:
                    self._left -= len(block)
                    if self._left < 0:
                        self.cuts += 1
                        break
                target.sendall(block)
        for item in (source, target):
            with contextlib.suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)


class S3Server:
    """moto's S3 on 127.0.0.1; it accepts wrong checksums, so only what is read back counts."""

    def __init__(self) -> None:
        self.port = free_port()

    def start(self) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    @property
    def options(self) -> dict[str, object]:
        return {"endpoint_url": f"http://127.0.0.1:{self.port}", "region": "us-east-1"}

    def place(self, bucket: str, prefix: str = "lab data", **more) -> Place:
        return Place("by_s3", "s3", f"s3://{bucket}/{prefix}", "", self.options | more)


@contextlib.contextmanager
def s3_server() -> Iterator[S3Server]:
    server = S3Server()
    before = {name: os.environ.get(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    os.environ |= dict.fromkeys(before, "testing")
    server.start()
    try:
        yield server
    finally:
        server.stop()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Gives out files, also from the middle; `cuts` says how often a file breaks off after some bytes."""

    protocol_version = "HTTP/1.1"
    cuts = 0
    cut_after = 100_000
    ranges: ClassVar[list[str | None]] = []
    fault = ""  # "ignored": a part is answered by the whole; "another": by another part

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        first, _, last = self.headers.get("Range", "bytes=0-")[6:].partition("-")
        self.ranges.append(self.headers.get("Range"))
        start = 0 if self.fault == "ignored" else int(first)
        if self.fault == "another" and start:
            start += 1
        part = content[start : int(last) + 1 if last else None]
        self.send_response(206 if start or last else 200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", '"one"')
        if start or last:
            self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(content)}")
        self.end_headers()
        if type(self).cuts and len(part) > self.cut_after:
            type(self).cuts -= 1
            self.wfile.write(part[: self.cut_after])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.wfile.write(part)


class Refusing(http.server.BaseHTTPRequestHandler):
    """An S3 server that answers everything but a look at the bucket with an error."""

    protocol_version = "HTTP/1.1"
    code, name, requests = 503, "SlowDown", 0

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.send_response(404 if self.path.count("/") > 1 else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_PUT(self) -> None:
        type(self).requests += 1
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = f"<?xml version='1.0'?><Error><Code>{self.name}</Code><Message>no</Message></Error>".encode()
        self.send_response(self.code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT


@contextlib.contextmanager
def _serving(handler: Any) -> Iterator[str]:
    """The address of a web server that answers by a handler."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def refusing_s3() -> Iterator[str]:
    Refusing.requests = 0
    with _serving(Refusing) as address:
        yield address


@contextlib.contextmanager
def web_server(folder: Path) -> Iterator[str]:
    Ranges.cuts, Ranges.fault = 0, ""
    with _serving(lambda *args: Ranges(*args, directory=str(folder))) as address:
        yield address


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(port: int) -> None:
    until = time.monotonic() + 20
    while True:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < until, f"nothing listens at {port}"
        time.sleep(0.05)
