"""Sign-in: a form, a cookie that holds an opaque token, and who may see what. Every request passes here first.

Accounts, passwords and tokens are those of `pipeline.web.accounts`, so what signs in at the bridge signs in here. The
cookie cannot be read by scripts and is not sent with requests that other sites cause (SameSite); a request that changes
something must also say that it comes from this site.
"""

from __future__ import annotations

import datetime
import getpass
import hmac
import html
import logging
import threading
from urllib.parse import quote, urlsplit

import flask
from werkzeug.wrappers import Response

from dashboard import links
from dashboard.site import PUBLIC, Site, Viewer
from pipeline.web.accounts import Account, Token

logger = logging.getLogger(__name__)

COOKIE = "neurojoint_session"  # begins the name of every cookie
COOKIE_AGE = 30 * 86400  # s
OPEN = (
    f"{links.BASE}/assets/", f"{links.BASE}/_dash-component-suites/", f"{links.BASE}/_favicon.ico",
    f"{links.CALENDAR}/",
)  # fmt: skip
"""Programs and styles, which hold no data: the browser may have them before anyone signs in. Calendars are read by
programs that cannot sign in; their address holds a secret."""
LARGEST_BODY = 8 << 20  # byte


def cookie_name(host: str) -> str:
    """The name of the cookie at a host, as the browser names it: cookies do not tell ports apart, sites on them do.

    >>> cookie_name("lab.example.org"), cookie_name("127.0.0.1:8050"), cookie_name("[::1]:8051")
    ('neurojoint_session', 'neurojoint_session_8050', 'neurojoint_session_8051')
    """
    port = host.rpartition("]")[2].rpartition(":")[2] if ":" in host.rpartition("]")[2] else ""
    return f"{COOKIE}_{port}" if port.isdigit() else COOKIE


def _token() -> str:
    return flask.request.cookies.get(cookie_name(flask.request.host), "")


def protect(server: flask.Flask, site: Site) -> None:
    """Let only those in who may come in; adds the sign-in form and the way out."""
    gate = Gate(site)
    server.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    server.config["MAX_FORM_MEMORY_SIZE"] = 64 << 10
    server.before_request_funcs.setdefault(None, []).insert(0, gate.admit)  # before Dash's own
    server.add_url_rule(links.SIGN_IN, "sign_in", gate.form, methods=["GET"])
    server.add_url_rule(links.SIGN_IN, "sign_in_now", gate.sign_in, methods=["POST"])
    server.add_url_rule(links.SIGN_OUT, "sign_out", gate.sign_out, methods=["POST"])
    server.add_url_rule(links.SESSIONS, "sessions_of_mine", gate.sessions, methods=["GET"])
    server.add_url_rule(links.SESSIONS, "end_sessions", gate.end_sessions, methods=["POST"])


class Gate:
    """Who sends a request, and whether it may pass."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._hashing = threading.BoundedSemaphore(2)  # each needs 64 MB

    def admit(self) -> Response | tuple | None:
        """Set the viewer of this request, or answer it here."""
        request = flask.request
        flask.g.viewer = None
        path = request.path
        if "\ufffd" in path:  # no text in UTF-8, on which scripts of the page would fail
            return flask.redirect(links.BASE + "/not-an-address")
        if path.startswith(OPEN):
            return None
        if request.method == "POST" and not _is_own(request):
            return _refused("This request comes from another site.", 403)
        if path in (links.SIGN_IN, links.SIGN_OUT):
            return None
        key = request.args.get("key", "")
        if key and self.site.key and request.method == "GET":
            return self._sign_in_by_key(key)
        account = self.account(_token())
        if account is not None:
            flask.g.viewer = Viewer(account.name, account.role)
        elif self.site.public:
            flask.g.viewer = PUBLIC
        elif request.method == "GET" and not path.startswith(f"{links.BASE}/_"):
            return flask.redirect(f"{links.SIGN_IN}?next={quote(_asked(request))}")
        else:
            return _refused("Sign in first.", 401)
        return None

    def account(self, token: str) -> Account | None:
        """Whose token this is."""
        if not token:
            return None
        if self.site.key and hmac.compare_digest(token.encode(), self.site.key.encode()):
            return Account(_own_name(), "admin", True)
        return self.site.users.by_token(token)

    def form(self) -> Response | str:
        """The page on which one signs in."""
        if self.account(_token()) is not None:
            return flask.redirect(_safe(flask.request.args.get("next", "")))
        return _form(flask.request.args.get("next", ""), self.site.public)

    def sign_in(self) -> Response | tuple:
        """Check name and password; a wrong pair leads back to the form, with a sentence."""
        request = flask.request
        name, password = request.form.get("name", "").strip(), request.form.get("password", "")
        target, address = request.form.get("next", ""), request.remote_addr or ""
        wait = self.site.throttle.begin(address, name)
        if wait > 0:
            words = f"Too many wrong attempts: try again in {wait:.0f} s."
            return _form(target, self.site.public, words, name), 429, {"Retry-After": f"{wait + 1:.0f}"}
        with self._hashing:
            account = self.site.users.by_password(name, password)
        if account is None:
            self.site.users.record(name, address, "site", "wrong name or password")
            return _form(target, self.site.public, "Name or password is wrong.", name), 401
        self.site.throttle.succeeded(address, name)
        self.site.users.record(name, address, "site", "signed in")
        logger.info("%s signed in", account.name)
        return _with_cookie(flask.redirect(_safe(target), 303), self.site.users.issue_token(account.name, "login"))

    def sign_out(self) -> Response:
        """End the token and forget it."""
        token = _token()
        if token:
            self.site.users.end_token(token)
        answer = flask.redirect(links.overview() if self.site.public else links.SIGN_IN, 303)
        answer.delete_cookie(cookie_name(flask.request.host), path=links.BASE)
        return answer

    def sessions(self) -> Response | str:
        """Where the viewer is signed in, with a button to end each, and one to end all."""
        name = flask.g.viewer.name
        if not name or self.site.users.get(name) is None:
            return flask.redirect(links.overview())
        own = _token()
        return _sessions(self.site.users.tokens(name), own)

    def end_sessions(self) -> Response:
        """End one session of the viewer, or all of them."""
        name, key = flask.g.viewer.name, flask.request.form.get("key", "")
        if name:
            self.site.users.end_sessions(name, key or None)
        return flask.redirect(links.SESSIONS if key else links.SIGN_IN, 303)

    def _sign_in_by_key(self, key: str) -> Response:
        rest = flask.request.args.to_dict()
        rest.pop("key")
        query = "&".join(f"{quote(name)}={quote(value)}" for name, value in rest.items())
        answer = flask.redirect(flask.request.path + (f"?{query}" if query else ""), 303)
        if hmac.compare_digest(key.encode(), self.site.key.encode()):
            return _with_cookie(answer, self.site.key)
        return answer


def _own_name() -> str:
    """Who started the site."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as somebody without a name
        return "local"


def _is_own(request: flask.Request) -> bool:
    """Was this request caused by a page of this site? Browsers say so; other programs need no protection."""
    if (site := request.headers.get("Sec-Fetch-Site")) is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host


def _asked(request: flask.Request) -> str:
    return request.full_path.rstrip("?")


def _safe(target: str) -> str:
    """Where to go after signing in: only to a page of this site."""
    if target.startswith(f"{links.BASE}/") and "\\" not in target and "//" not in target and target.isprintable():
        return target
    return links.overview()


def _with_cookie(answer: Response, token: str) -> Response:
    answer.set_cookie(
        cookie_name(flask.request.host),
        token,
        max_age=COOKIE_AGE,
        path=links.BASE,
        httponly=True,
        samesite="Lax",
        secure=flask.request.is_secure,
    )
    return answer


def _refused(words: str, status: int) -> tuple:
    return flask.jsonify({"detail": words}), status


def _sessions(tokens: list[Token], own: str) -> str:
    rows = []
    for token in tokens:
        here = " (this one)" if own.startswith(token.key) else ""
        what = "signed in with the password" if token.label == "login" else html.escape(token.label or "a token")
        ends = "" if token.expires is None else f", ends {_day(token.expires)}"
        rows.append(
            f"<li>{what}{here}: since {_day(token.created)}, last used {_day(token.used)}{ends}"
            f'<form method="post" action="{links.SESSIONS}">'
            f'<input type="hidden" name="key" value="{html.escape(token.key)}">'
            "<button>End it</button></form></li>"
        )
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Your sessions · neurojoint</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<link rel="stylesheet" href="{links.BASE}/assets/sign-in/sign-in.css"></head>
<body><main><h1>Your sessions</h1><ul>{"".join(rows)}</ul>
<form method="post" action="{links.SESSIONS}"><button>Sign out everywhere</button></form>
<p class="aside"><a href="{links.overview()}">Back to the site</a></p></main></body></html>"""


def _day(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def _form(target: str, public: bool, words: str = "", name: str = "") -> str:
    problem = f'<p class="problem" role="alert">{html.escape(words)}</p>' if words else ""
    visit = f'<p class="aside"><a href="{links.overview()}">Look without signing in</a></p>' if public else ""
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in · neurojoint</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<link rel="stylesheet" href="{links.BASE}/assets/sign-in/sign-in.css">
<link rel="icon" href="{links.BASE}/assets/favicon.svg"></head>
<body><main><h1>neurojoint</h1>
<form method="post" action="{links.SIGN_IN}"><input type="hidden" name="next" value="{html.escape(_safe(target))}">
<label>Name<input name="name" autocomplete="username" autocapitalize="none" spellcheck="false" required
 value="{html.escape(name)}"{"" if name else " autofocus"}></label>
<label>Password<input name="password" type="password" autocomplete="current-password" required
{" autofocus" if name else ""}></label>
{problem}<button>Sign in</button></form>
<p class="aside">Accounts are those of the bridge: <code>neurojoint user add NAME</code></p>{visit}
</main></body></html>"""
