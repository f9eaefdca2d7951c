"""What every answer of the site gets on its way out: security headers, compression, how long it may be kept."""

from __future__ import annotations

import threading

import dash
import deflate
import flask

from dashboard import links

SMALLEST = 1024  # byte; shorter answers are sent as they are
_TEXT = ("text/", "application/json", "application/javascript", "image/svg+xml")
_FOREVER = "public, max-age=31536000, immutable"


def finish(app: dash.Dash) -> None:
    """Add it to all routes; call when all callbacks are registered, since the policy names their inline scripts."""
    hashes = " ".join(app.csp_hashes())
    policy = {
        "default-src": "'self'",
        "script-src": f"'self' {hashes}",
        "style-src": "'self' 'unsafe-inline'",  # the component kit, AG Grid and plotly write styles while they run
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self'",
        "worker-src": "'self' blob:",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    headers = {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    }
    packed = _Packed()

    def out(answer: flask.Response) -> flask.Response:
        for name, value in headers.items():
            answer.headers.setdefault(name, value)
        path = flask.request.path
        is_program = path.startswith((f"{links.BASE}/assets/", f"{links.BASE}/_dash-component-suites/"))
        if is_program and answer.status_code == 200 and ("m=" in flask.request.query_string.decode() or ".v" in path):
            answer.headers["Cache-Control"] = _FOREVER
        elif not is_program:
            answer.headers.setdefault("Cache-Control", "no-store")
        if _is_missing_page(answer):
            answer.status_code = 404
        return packed.pack(answer, is_program)

    app.server.after_request(out)


def _is_missing_page(answer: flask.Response) -> bool:
    """Is this the frame, sent for an address that no page has?"""
    request = flask.request
    if request.method != "GET" or answer.status_code != 200 or answer.mimetype != "text/html":
        return False
    if request.path.startswith(f"{links.BASE}/_") or request.endpoint in ("sign_in", "sign_in_now"):
        return False
    try:
        links.parse(request.path)
    except links.BadAddress:
        return True
    return False


class _Packed:
    """Compresses answers; programs and styles once, well, and kept; all else quickly."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, int], bytes] = {}
        self._lock = threading.Lock()

    def pack(self, answer: flask.Response, keep: bool) -> flask.Response:
        if (
            answer.status_code not in (200, 404)
            or "Content-Encoding" in answer.headers
            or not (answer.mimetype or "").startswith(_TEXT)
            or flask.request.accept_encodings["gzip"] <= 0
        ):
            return answer
        answer.headers.add("Vary", "Accept-Encoding")
        answer.direct_passthrough = False
        if keep and answer.status_code == 200:
            content = self._once(answer)
        else:
            plain = answer.get_data()
            if len(plain) < SMALLEST:
                return answer
            content = bytes(deflate.gzip_compress(plain, 1))
        answer.set_data(content)
        answer.headers["Content-Encoding"] = "gzip"
        answer.headers["Content-Length"] = str(len(content))
        return answer

    def _once(self, answer: flask.Response) -> bytes:
        plain = answer.get_data()
        name = (flask.request.path, answer.headers.get("ETag", ""), len(plain))
        with self._lock:
            content = self._kept.get(name)
        if content is None:
            content = bytes(deflate.gzip_compress(plain, 9))
            with self._lock:
                self._kept[name] = content
        return content
