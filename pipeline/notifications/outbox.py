"""The outbox: messages that wait are delivered, with retries that wait longer each time, and none is told twice.

A message is claimed before it is sent (`sending`) and its Message-ID never changes. A program that is killed between
the two leaves it claimed; after `LEASE` it is sent again under the same Message-ID, by which mail programs know it.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.entry.events import now, tell
from pipeline.entry.parse import zone_or_utc
from pipeline.notifications import mail
from pipeline.schemas import lab, notification
from pipeline.settings import Settings, settings

logger = logging.getLogger(__name__)

WAITS = tuple(datetime.timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 240, 720))
"""How long to wait after each failure; after the last one the message is undeliverable."""
LEASE = datetime.timedelta(minutes=10)
DIGEST_HOUR = 7
Row = dict[str, Any]


@dataclass
class Delivered:
    """How many messages were sent, wait, or cannot be delivered."""

    sent: int = 0
    waiting: int = 0
    undeliverable: int = 0
    problem: str = ""


def deliver(utc: datetime.datetime | None = None, chosen: Settings | None = None, dry_run: bool = False) -> Delivered:
    """Send what is due.

    Parameters
    ----------
    utc : the time.
    chosen : settings with the mail server.
    dry_run : count what would be sent, send nothing.
    """
    moment, chosen = utc or now(), chosen or settings()
    done = Delivered()
    due = due_mails(moment)
    if dry_run:
        done.sent = len(due)
        return done
    if not due:
        return done
    if not chosen.mail_server:
        done.waiting, done.problem = len(due), "no mail server is set (NEUROJOINT_MAIL_SERVER)"
        return done
    people = _people()
    try:
        with mail.Sender(chosen) as sender:
            for group in due:
                if claimed := _claim(group, moment):
                    _deliver_one(sender, claimed, people, chosen, moment, done)
    except mail.Temporary as error:
        done.problem = str(error)
        done.waiting = len(due) - done.sent - done.undeliverable
        for group in due:
            _postpone([row for row in _fresh(group) if row["message_state"] == "waiting"], moment, str(error), done,
                      count=False)  # fmt: skip
    return done


def due_mails(moment: datetime.datetime) -> list[list[Row]]:
    """The messages that are to be sent now: one list for each mail; the messages of a digest are in one.

    Those that a program had claimed and did not send are sent again as they were together, so that the mail has the
    same Message-ID.
    """
    late = moment - LEASE
    waiting = notification.Message & [
        f"message_state = 'waiting' AND send_after <= '{moment}'",
        f"message_state = 'sending' AND send_after <= '{late}'",
    ]
    rows = waiting.to_dicts(order_by="created_time, message_id")
    single = [[row] for row in rows if row["message_channel"] == "mail"]
    digests: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row["message_channel"] == "digest":
            claimed = row["send_after"].isoformat() if row["message_state"] == "sending" else ""
            digests.setdefault((row["recipient"], claimed), []).append(row)
    return single + [
        group for (person, claimed), group in sorted(digests.items())
        if claimed or _is_digest_time(person, group, moment)
    ]  # fmt: skip


def _is_digest_time(person: str, group: Sequence[Row], moment: datetime.datetime) -> bool:
    """Whether the digest hour of the person's lab has come since the oldest message was written."""
    memberships = (lab.LabMembership & {"user_name": person}).to_dicts(order_by="lab", limit=1)
    zone, hour = datetime.UTC, DIGEST_HOUR
    if memberships:
        zone = zone_or_utc((lab.Lab & {"lab": memberships[0]["lab"]}).fetch1("time_zone"))  # type: ignore[assignment]
        rules = (lab.HusbandryRules & {"lab": memberships[0]["lab"]}).to_dicts()
        hour = rules[0]["digest_hour"] if rules else DIGEST_HOUR
    local = moment.replace(tzinfo=datetime.UTC).astimezone(zone)
    today = datetime.datetime.combine(local.date(), datetime.time(hour), zone)
    last = today if local >= today else datetime.datetime.combine(
        local.date() - datetime.timedelta(days=1), datetime.time(hour), zone
    )  # fmt: skip
    oldest = min(row["created_time"] for row in group).replace(tzinfo=datetime.UTC)
    return oldest < last.astimezone(datetime.UTC)


def _people() -> dict[str, Row]:
    return {row["user_name"]: row for row in lab.LabMember().to_dicts()}


def _claim(group: Sequence[Row], moment: datetime.datetime) -> list[Row]:
    """Take messages, so that no other program sends them; returns those that were still to be had."""
    table = notification.Message()
    taken = []
    for row in group:
        cursor = table.connection.query(
            f"UPDATE {table.full_table_name} SET message_state = 'sending', send_after = %s "
            "WHERE message_id = %s AND message_state = %s AND send_after = %s",
            args=(moment, row["message_id"], row["message_state"], row["send_after"]),
        )
        if cursor.rowcount:
            taken.append(row)
    return taken


def _deliver_one(
    sender: mail.Sender, group: Sequence[Row], people: Mapping[str, Row], chosen: Settings,
    moment: datetime.datetime, done: Delivered,
) -> None:  # fmt: skip
    person = people.get(group[0]["recipient"], {})
    identifier = _identifier(group)
    try:
        if not person.get("email"):
            raise mail.Permanent(f"{group[0]['recipient']} has no mail address")
        title, body = words(group, chosen.site_url)
        message = mail.compose(identifier, chosen.mail_from, person["email"], person.get("full_name", ""), title, body,
                               chosen.site_url)  # fmt: skip
        sender.send(message)
    except mail.Permanent as error:
        _give_up(group, str(error), done, moment)
    except mail.Temporary as error:
        _postpone(group, moment, str(error), done)
    else:
        done.sent += 1
        _set(group, message_state="sent", sent_time=moment, mail_id=str(message["Message-ID"]), last_error="")


def words(group: Sequence[Row], site: str = "") -> tuple[str, str]:
    """Title and text of the mail of some messages."""

    def one(row: Row) -> str:
        link = f"\n{site.rstrip('/')}/app{row['message_link']}" if site and row["message_link"] else ""
        return f"{row['message_body']}{link}"

    if len(group) == 1 and group[0]["message_channel"] == "mail":
        return group[0]["message_title"], one(group[0])
    title = f"{len(group)} messages" if len(group) > 1 else group[0]["message_title"]
    return title, "\n\n".join(f"{row['message_title']}\n{one(row)}" for row in group)


def _identifier(group: Sequence[Row]) -> str:
    if len(group) == 1:
        return group[0]["message_id"]
    return hashlib.md5("".join(row["message_id"] for row in group).encode(), usedforsecurity=False).hexdigest()


def _postpone(
    group: Sequence[Row], moment: datetime.datetime, reason: str, done: Delivered, count: bool = True
) -> None:
    """Try again later; a server that cannot be reached costs no attempt."""
    for row in group:
        attempts = row["attempts"] + 1 if count else row["attempts"]
        if attempts > len(WAITS):
            _give_up([row], reason, done, moment)
            continue
        wait = WAITS[min(max(attempts - 1, 0), len(WAITS) - 1)]
        _set([row], message_state="waiting", attempts=attempts, send_after=moment + wait, last_error=reason[:500])
        if count:
            done.waiting += 1


def _give_up(group: Sequence[Row], reason: str, done: Delivered, moment: datetime.datetime) -> None:
    """A message that nobody could deliver is seen: by its recipient on the site, and by the managers of the lab."""
    _set(group, message_state="undeliverable", last_error=reason[:500])
    done.undeliverable += len(group)
    for row in group:
        if row["message_event"] == "undeliverable":
            continue
        for item in (lab.LabMembership & {"user_name": row["recipient"]}).to_dicts() or [{"lab": ""}]:
            tell("undeliverable", row["message_id"], item["lab"], [],
                 f"A message to {row['recipient']} could not be delivered",
                 f"{row['message_title']}\n{reason}", when=moment)  # fmt: skip
    logger.warning("a message to %s cannot be delivered: %s", group[0]["recipient"], reason)


def _set(group: Sequence[Row], **values: Any) -> None:
    for row in group:
        notification.Message.update1({"message_id": row["message_id"]} | values)


def _fresh(group: Sequence[Row]) -> list[Row]:
    return (notification.Message & [{"message_id": row["message_id"]} for row in group]).to_dicts()
