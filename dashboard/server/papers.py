"""What leaves the site as paper and for other calendars: cage cards with a QR code, iCalendar feeds."""

from __future__ import annotations

import datetime
import hmac
import io
from typing import Any

import flask

from dashboard import links
from dashboard.components.feeds import calendar_key
from dashboard.queries import notebook
from dashboard.site import Site
from pipeline.schemas import subject

CARD_MM = (76, 51)
CARD_LINES = 5  # of animals
AHEAD, BEHIND = datetime.timedelta(days=60), datetime.timedelta(days=30)


def add(server: flask.Flask, site: Site) -> None:
    """Add the routes of `links.CARD` and `links.CALENDAR`."""

    def card(lab: str, cage: str) -> flask.Response:
        if site.viewer.public:
            return _words("Sign in first.", 401)
        animals = site.read(_animals, lab, cage)
        if not animals:
            return _words("There is no animal in this cage.", 404)
        base = site.settings.site_url.rstrip("/") or flask.request.host_url.rstrip("/")
        data = cage_card(lab, cage, animals, base)
        return flask.Response(data, mimetype="application/pdf", headers={"Content-Disposition": "inline"})

    def calendar(lab: str, user: str, key: str) -> flask.Response:
        if not hmac.compare_digest(key.encode(), calendar_key(site, lab, user).encode()):
            return _words("There is no such calendar.", 404)
        account = site.users.get(user)
        if account is not None and not account.enabled:
            return _words("There is no such calendar.", 404)
        day = site.today(lab)
        rows = site.read(notebook.planned, lab, day - BEHIND, day + AHEAD)
        return flask.Response(feed(lab, rows), mimetype="text/calendar")

    server.add_url_rule(f"{links.CARD}/<lab>/<cage>.pdf", "cage_card", card)
    server.add_url_rule(f"{links.CALENDAR}/<lab>/<user>/<key>.ics", "calendar_feed", calendar)


def cage_card(lab: str, cage: str, animals: list[dict[str, Any]], base: str) -> bytes:
    """A PDF in the size of a label; the QR code opens the page of the first animal, or the cage's list.

    Parameters
    ----------
    animals : rows of `subject.Subject`.
    base : address of the site, without a slash at its end.
    """
    import segno
    from reportlab.lib.units import mm
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    width, height = (side * mm for side in CARD_MM)
    page = Canvas(out, pagesize=(width, height))
    page.setTitle(f"{lab} {cage}")
    target = base + links.notebook(lab, animals[0]["subject"])
    picture = io.BytesIO()
    segno.make(target, error="q").save(picture, kind="png", scale=6, border=1)
    from reportlab.lib.utils import ImageReader

    picture.seek(0)
    page.drawImage(ImageReader(picture), width - 25 * mm, height - 25 * mm, 23 * mm, 23 * mm)
    page.setFont("Helvetica-Bold", 13)
    page.drawString(3 * mm, height - 7 * mm, _fit(cage, 22))
    page.setFont("Helvetica", 8)
    first = animals[0]
    about = {"Line": first["line"], "Responsible": first["responsible_user"], "Protocol": first["protocol_number"]}
    for number, text in enumerate((lab, *(f"{name} {value or '-'}" for name, value in about.items()))):
        page.drawString(3 * mm, height - (12 + 4 * number) * mm, _fit(text, 34))
    page.line(3 * mm, height - 27 * mm, width - 3 * mm, height - 27 * mm)
    for number, text in enumerate(card_lines(animals)):
        page.drawString(3 * mm, height - (31 + 4 * number) * mm, text)
    page.showPage()
    page.save()
    return out.getvalue()


def card_lines(animals: list[dict[str, Any]]) -> list[str]:
    """What the card says of the animals of a cage, in as many lines as it has room for.

    >>> mouse = {"subject": "m1", "sex": "F", "birth_date": None, "ear_mark": "L1"}
    >>> card_lines([mouse])
    ['m1  F    L1']
    >>> len(card_lines([mouse] * 5)), card_lines([mouse] * 7)[-1]
    (5, 'and 3 more')
    """
    shown = animals if len(animals) <= CARD_LINES else animals[: CARD_LINES - 1]
    born = [f"born {row['birth_date']}" if row["birth_date"] else "" for row in shown]
    lines = [
        _fit(f"{row['subject']}  {row['sex']}  {date}  {row['ear_mark']}", 54)
        for row, date in zip(shown, born, strict=True)
    ]
    return lines + ([f"and {len(animals) - len(shown)} more"] if len(shown) < len(animals) else [])


def feed(lab: str, rows: list[dict[str, Any]]) -> bytes:
    """Planned trainings and operations as iCalendar."""
    from icalendar import Calendar, Event

    calendar = Calendar()
    calendar.add("prodid", "-//neurojoint//calendar//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", f"{lab} animals")
    now = datetime.datetime.now(datetime.UTC)
    for row in rows:
        event = Event()
        event.add("uid", f"{row['kind']}-{lab}-{row['subject']}-{row['date']}-{row['number']}@neurojoint")
        event.add("dtstamp", now)
        where = f" on {row['text']}" if row["kind"] == "training" and row["text"] else ""
        event.add("summary", f"{row['subject']}: {row['kind']}{where}")
        if row["start"] is None:
            event.add("dtstart", row["date"])
            event.add("dtend", row["date"] + datetime.timedelta(days=1))
        else:
            start = row["start"].replace(tzinfo=datetime.UTC)
            event.add("dtstart", start)
            event.add("dtend", start + datetime.timedelta(minutes=row["minutes"]))
        if row["user"]:
            event.add("description", row["user"])
        calendar.add_component(event)
    return calendar.to_ical()


def _animals(lab: str, cage: str) -> list[dict[str, Any]]:
    return (subject.Subject & {"lab": lab, "cage": cage} & "death_date IS NULL").to_dicts(order_by="subject")


def _fit(text: str, longest: int) -> str:
    plain = text.encode("latin-1", "replace").decode("latin-1")
    return plain if len(plain) <= longest else plain[: longest - 3] + "..."


def _words(text: str, status: int) -> flask.Response:
    return flask.Response(text + "\n", status, mimetype="text/plain")
