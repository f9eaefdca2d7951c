"""Twenty people who enter at once: nothing is lost, and who changes a row that changed in between is told."""

from __future__ import annotations

import datetime
import threading

import pytest

from pipeline.entry import ConflictingEntry, write
from pipeline.entry.actions import Actor, perform
from pipeline.schemas import action, audit, subject
from pipeline.web.threads import Database
from tests.entry import lab_of_mice
from tests.entry.lab_of_mice import LAB, NOW

pytestmark = pytest.mark.slow

PEOPLE, EACH = 20, 3


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_twenty_people_at_once(database):
    lab_of_mice.build()
    threads = Database(database)
    problems: list[str] = []
    conflicts: list[str] = []

    def enter(number: int) -> None:
        try:
            for i in range(EACH):
                with threads.writing():
                    values = {"lab": LAB, "subject": ("m1", "m2", "b1")[number % 3], "weight": 22 + 0.01 * number,
                              "time": (NOW - datetime.timedelta(minutes=100 * i + number)).isoformat()}  # fmt: skip
                    perform("weigh", values, actor=Actor.of("tom"), now=NOW)
            try:
                with threads.writing():
                    write("subject.Subject", [{"lab": LAB, "subject": "m1", "ear_mark": f"e{number}"}], user="tom",
                          source="test", expected=[{"ear_mark": ""}])  # fmt: skip
            except ConflictingEntry as error:
                conflicts.append(str(error))
        except Exception as error:
            problems.append(repr(error))

    people = [threading.Thread(target=enter, args=(number,)) for number in range(PEOPLE)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    threads.close()
    assert not problems
    assert len(action.Weighing()) == PEOPLE * EACH == len(audit.Edit & {"edit_table": "action.Weighing"})
    assert len(conflicts) == PEOPLE - 1 and "look at it again" in conflicts[0]
    assert (subject.Subject & {"subject": "m1"}).fetch1("ear_mark")
