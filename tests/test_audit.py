"""A known weakness of a package of the release stops CI, unless the list says why it does not matter.

The public lists cannot be reached from everywhere: a server here gives answers in OSV's form to the real pip-audit.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WEAK = {"jinja2": "GHSA-aaaa-0000-0001", "requests": "GHSA-aaaa-0000-0002"}


class Osv(BaseHTTPRequestHandler):
    """Knows one weakness of each of two packages."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        package = asked["package"]
        found = {}
        if weakness := WEAK.get(package["name"]):
            ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}]
            found = {"vulns": [{"id": weakness, "summary": "a weakness", "affected": [
                {"package": package, "ranges": ranges},
            ]}]}  # fmt: skip
        answer = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def osv() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


@pytest.mark.slow
def test_a_weakness_that_nobody_explained_stops_ci(osv, tmp_path):
    allowed = tmp_path / "allowed.txt"
    allowed.write_text(f"# explained\n{WEAK['requests']} no address comes from outside\n")
    environment = os.environ | {"AUDIT_OSV_URL": osv, "AUDIT_ALLOWED": str(allowed)}
    ran = subprocess.run([ROOT / ".ci" / "audit"], env=environment, capture_output=True, text=True, check=False)
    if "does not install here" in ran.stdout:
        pytest.skip("pip-audit does not install here")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert f"{WEAK['jinja2']}, mended in 99.0" in ran.stdout and WEAK["requests"] not in ran.stdout
    assert "or say in .ci/audit_allowed.txt why it does not matter" in ran.stderr

    allowed.write_text(f"{WEAK['requests']}\n")
    ran = subprocess.run([ROOT / ".ci" / "audit"], env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.strip()) == (1, f"{allowed}: {WEAK['requests']} has no reason")
