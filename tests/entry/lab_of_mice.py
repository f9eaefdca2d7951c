"""A small lab with people of every role, for the tests of actions."""

from __future__ import annotations

import datetime

from pipeline import entry
from pipeline.entry.actions import Actor, perform

LAB = "mouselab"
BY = {"user": "setup", "source": "test"}
NOW = datetime.datetime(2026, 3, 2, 8, 0)  # UTC; London has the same time
PEOPLE = {
    "rita": "reader", "tom": "technician", "mia": "member", "bob": "member", "cora": "colony manager",
    "lars": "lab manager",
}  # fmt: skip


def build() -> None:
    """The lab, its people, two mice of Mia and one of Bob."""
    entry.write("lab.Lab", [{"lab": LAB, "time_zone": "Europe/London"}, {"lab": "other"}], **BY)
    names = [*PEOPLE, "dora", "admin"]
    people = [{"user_name": name, "email": f"{name}@example.org"} for name in names]
    entry.write("lab.LabMember", people, **BY)
    roles = [{"lab": LAB, "user_name": name, "lab_role": role} for name, role in PEOPLE.items()]
    roles += [{"lab": "other", "user_name": "dora", "lab_role": "lab manager"}]
    entry.write("lab.LabMembership", roles, **BY)
    entry.write("lab.Delegate", [{"principal": "mia", "delegate": "tom"}], **BY)
    entry.write("subject.Line", [{"line": "Ai32", "line_nickname": "AI"}], create_missing=True, **BY)
    mice = [("m1", "mia", "M"), ("m2", "mia", "F"), ("b1", "bob", "F")]
    entry.write("subject.Subject", [
        {"lab": LAB, "subject": name, "responsible_user": person, "sex": sex, "birth_date": "2025-12-01",
         "line": "Ai32"}
        for name, person, sex in mice
    ], **BY)  # fmt: skip


def do(name: str, who: str = "mia", *, now: datetime.datetime = NOW, confirmed=(), batch: str = "", seen=None,
       **values):  # fmt: skip
    """An action of somebody; on animals of the lab."""
    from pipeline.entry.actions import ACTIONS

    if "lab" in {input_.name for input_ in ACTIONS[name].inputs}:
        values = {"lab": LAB} | values
    account = "admin" if who == "admin" else "member"
    return perform(name, values, actor=Actor.of(who, account, "test"), now=now, confirmed=confirmed, batch=batch,
                   seen=seen)  # fmt: skip
