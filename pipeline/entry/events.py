"""What people are told of, as data, and the message that is written in the transaction that caused it.

`EVENTS` lists every event with its default; `lab.LabMember` and `notification.Rule` say who gets it and how. A message
is one row of `notification.Message` for each person; `(event, occasion, recipient)` is unique: nothing is told twice.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.entry import status
from pipeline.entry.audit import Edit, Origin
from pipeline.entry.policy import ROLE_WORDS
from pipeline.schemas import action, notification, subject
from pipeline.schemas import lab as labs

Scope = Literal["none", "mine", "lab", "all"]
Channel = Literal["mail", "inbox", "digest"]


@dataclass(frozen=True)
class Event:
    """Something that people are told of.

    Attributes
    ----------
    name : as in `notification.Rule.event`.
    label : in words.
    scope, channel : for those who have no rule of their own.
    """

    name: str
    label: str
    scope: Scope = "mine"
    channel: Channel = "mail"


EVENTS: dict[str, Event] = {
    event.name: event
    for event in (
        Event("underweight", "An animal is below its least weight"),
        Event("near_limit", "An animal is close to its least weight"),
        Event("not_weighed", "A restricted animal was not weighed"),
        Event("water_due", "Water is still due"),
        Event("responsible_user", "The responsible person of an animal changed"),
        Event("no_session", "A planned training has no session"),
        Event("session_refused", "Files of a session were refused", channel="digest"),
        Event("task_failed", "Preprocessing of a session needs somebody", channel="digest"),
        Event("status_changed", "An animal reached or lost a training status", channel="digest"),
        Event("request_made", "Somebody asks for animals", scope="none"),
        Event("request_answered", "A request for animals was answered"),
        Event("litter_due", "A litter is expected", scope="none", channel="digest"),
        Event("weaning_due", "A litter is to be weaned", channel="digest"),
        Event("genotype_due", "A genotype is not known in time", channel="digest"),
        Event("restriction_long", "A restriction lasts longer than the lab allows"),
        Event("job_failed", "A computation failed", scope="none", channel="digest"),
        Event("transfer_stuck", "A transfer is stuck", scope="none", channel="digest"),
        Event("disk_full", "A disk is nearly full", scope="none"),
        Event("check_missing", "The daily check did not run", scope="none"),
        Event("undeliverable", "A message could not be delivered", scope="none", channel="inbox"),
    )
}
"""Name -> event. Events with scope `none` go to colony and lab managers of the lab, and to who asks for them."""

MESSAGES = uuid.UUID("0f7c3c1c-6a53-4b0e-9d4e-2f1d8f3f9a41")
"""Of message identifiers, which follow from event, occasion and person."""
MANAGED = frozenset(name for name, event in EVENTS.items() if event.scope == "none")


def now() -> datetime.datetime:
    """The time, UTC."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def recipients(event: str, lab: str, responsible: Iterable[str | None]) -> dict[str, Channel]:
    """Person -> channel of those who are told of an event in a lab that concerns animals of some people."""
    default = EVENTS[event]
    people = {row["user_name"] for row in (labs.LabMember & "member_active = TRUE").to_dicts()}
    today = now().date()
    members = {
        row["user_name"]: ROLE_WORDS.get(" ".join(row["lab_role"].casefold().split()), "member")
        for row in (labs.LabMembership & {"lab": lab}).to_dicts()
        if row["membership_end"] is None or row["membership_end"] >= today
    }
    rules = {row["user_name"]: row for row in (notification.Rule & {"event": event}).to_dicts()}
    mine = {name for name in responsible if name}
    channels: dict[str, Channel] = {}
    for person in sorted(people):
        rule = rules.get(person)
        if rule is None:
            managing = event in MANAGED and members.get(person) in ("colony manager", "lab manager")
            if managing or (default.scope == "mine" and person in mine):
                channels[person] = default.channel
            continue
        scope = rule["scope"]
        if scope == "all" or (scope == "lab" and (person in members or person in mine)) or (
            scope == "mine" and person in mine
        ):  # fmt: skip
            channels[person] = rule["rule_channel"]
    return channels


def tell(
    event: str, occasion: str, lab: str, responsible: Iterable[str | None], title: str, body: str, *, link: str = "",
    when: datetime.datetime | None = None,
) -> int:  # fmt: skip
    """Write a message to everybody concerned, in the open transaction; returns how many are new.

    Parameters
    ----------
    event : name of the event.
    occasion : what makes it one message: a second one of the same event, occasion and person is not written.
    lab : where it is.
    responsible : people whose animals it concerns.
    title, body : in words, with times in the lab's time zone.
    link : path of the page on the site.
    when : the time, UTC; by default now.
    """
    occasion = occasion[:200]
    wanted = recipients(event, lab, responsible)
    told = {
        row["recipient"] for row in (notification.Message & {"message_event": event, "occasion": occasion}).to_dicts()
    }
    time = when or now()
    rows = [
        {
            "message_id": str(uuid.uuid3(MESSAGES, f"{event}/{occasion}/{person}")),
            "message_event": event, "occasion": occasion, "recipient": person,
            "message_channel": channel, "message_title": title[:255], "message_body": body[:4000],
            "message_link": link[:500], "created_time": time, "send_after": time,
            "message_state": "shown" if channel == "inbox" else "waiting",
        }
        for person, channel in wanted.items()
        if person not in told
    ]  # fmt: skip
    if rows:
        notification.Message.insert(rows, skip_duplicates=True)  # another program may be telling the same
    return len(rows)


def announce(origin: Origin, table: str, edits: Sequence[Edit]) -> None:
    """Tell people of some edits of one table; to be called in the transaction that made them."""
    if origin.undoes:
        return
    if table == "action.Weighing":
        latest: dict[tuple[str, str], Edit] = {}
        for edit in edits:
            if edit.action != "delete":
                latest[edit.key["lab"], edit.key["subject"]] = edit
        for edit in latest.values():
            _weighed(edit)
    elif table == "subject.Subject":
        for edit in edits:
            if edit.action == "update" and "responsible_user" in (edit.after or {}):
                _given_away(edit, origin)
    elif table == "subject.SubjectRequest":
        for edit in edits:
            _requested(edit)


RECENT = datetime.timedelta(hours=36)
"""Weighings that are older than that when they are entered warn nobody: an import of history tells nothing new."""


def _weighed(edit: Edit) -> None:
    key = {name: edit.key[name] for name in ("lab", "subject")}
    if now() - edit.key["weighing_time"] > RECENT:
        return
    if not (action.WaterRestriction & key & "restriction_end IS NULL"):
        return

    day = status.today(key)
    if day is None or day.weight_pct is None or day.limit_pct is None:
        return
    said = f"{key['subject']} weighs {day.weight:.1f} g, {day.weight_pct:.1f} % of the expected {day.expected:.1f} g"
    least = f"the least is {day.least:.1f} g ({day.limit_pct:.0f} %)"
    link = f"/mouse/{key['lab']}/{key['subject']}"
    occasion = f"{key['lab']}/{key['subject']}/{day.date}"
    if day.weight_pct < day.limit_pct:
        title = f"WARNING: {key['subject']} is underweight ({day.weight_pct:.1f} %)"
        body = f"{said}; {least}. Weighed on {day.date} in {key['lab']}."
        tell("underweight", occasion, key["lab"], [day.responsible], title, body, link=link)
    elif day.weight_pct < day.limit_pct + day.near:
        title = f"ATTENTION: {key['subject']} is close to its least weight ({day.weight_pct:.1f} %)"
        body = f"{said}; {least}. Weighed on {day.date} in {key['lab']}."
        tell("near_limit", occasion, key["lab"], [day.responsible], title, body, link=link)


def _given_away(edit: Edit, origin: Origin) -> None:
    key = edit.key
    before, after = (edit.before or {}).get("responsible_user"), (edit.after or {}).get("responsible_user")
    title = f"{key['subject']} of {key['lab']} is now the responsibility of {after or 'nobody'}"
    body = f"It was that of {before or 'nobody'}. Changed by {origin.user}."
    tell("responsible_user", f"{key['lab']}/{key['subject']}/{origin.batch}", key["lab"], [before, after], title, body,
         link=f"/mouse/{key['lab']}/{key['subject']}")  # fmt: skip


def _requested(edit: Edit) -> None:
    if edit.action == "delete":
        return
    row: Mapping[str, Any] = (subject.SubjectRequest & {"request_id": edit.key["request_id"]}).fetch1()
    what = f"{row['request_count']} animals" + (f" of {row['line']}" if row["line"] else "")
    if edit.action == "create":
        due = f", by {row['request_due']}" if row["request_due"] else ""
        tell("request_made", row["request_id"], row["lab"], [], f"{row['request_user']} asks for {what}",
             f"{row['request_text'] or 'No remarks'}{due}.", link="/colony")  # fmt: skip
    elif "request_status" in (edit.after or {}) and row["request_status"] != "open":
        tell("request_answered", f"{row['request_id']}/{row['request_status']}", row["lab"], [row["request_user"]],
             f"Your request for {what} is {row['request_status']}", row["request_answer"] or "No remarks.",
             link="/colony")  # fmt: skip
