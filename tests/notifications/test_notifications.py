"""Messages: who is told of what and when, once, through a real mail server that fails in every way a server fails."""

from __future__ import annotations

import datetime
import email
import socket
import subprocess
import time
import uuid
from email import policy as mail_policy

import pytest
from aiosmtpd.controller import Controller

from pipeline import entry
from pipeline.entry import events
from pipeline.entry.actions import Actor, perform
from pipeline.notifications import checks, companion, outbox, service
from pipeline.schemas import data, notification, subject
from pipeline.settings import override
from pipeline.tasks.queue import New, Outcome, Queue
from tests.entry import lab_of_mice
from tests.entry.lab_of_mice import BY, LAB, NOW, do

DAY, HOUR = datetime.timedelta(days=1), datetime.timedelta(hours=1)
M1 = {"lab": LAB, "subject": "m1"}
pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["postgresql"], indirect=True)]


class Box:
    """A mail server's handler: keeps mails by Message-ID, answers recipients as told."""

    def __init__(self):
        self.mails, self.answers = [], {}

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - the library's name
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.mails.append(email.message_from_bytes(envelope.content, policy=mail_policy.default))
        return "250 OK"


@pytest.fixture(scope="module")
def smtp():
    box = Box()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    box.url = f"smtp://127.0.0.1:{port}"
    yield box
    controller.stop()


@pytest.fixture
def box(lab_in_transaction, smtp):
    smtp.mails.clear()
    smtp.answers.clear()
    with override(mail_server=smtp.url, mail_from="mice@example.org", site_url="http://lab.example"):
        yield smtp


def told(event=None):
    rows = notification.Message().to_dicts()
    return sorted((row["message_event"], row["recipient"]) for row in rows if event in (None, row["message_event"]))


def restrict(days_ago=3, weight="25"):
    do("weigh", subject="m1", weight=weight, now=NOW - days_ago * DAY)
    do("start_restriction", subject="m1", now=NOW - days_ago * DAY)


def at(hour, day=NOW):
    return day.replace(hour=hour, minute=30)


def test_a_missing_weighing_is_told_from_the_hour_on_and_once(box):
    restrict()
    assert checks.run(at(13))["not_weighed"] == 0
    assert checks.run(at(14))["not_weighed"] == 1
    assert checks.run(at(20))["not_weighed"] == 0
    assert told() == [("not_weighed", "mia"), ("water_due", "mia")]
    body = (notification.Message & {"message_event": "not_weighed"}).fetch1("message_body")
    assert "2026-03-02 14:30 GMT" in body and "2026-02-27 at 08:00" in body


def test_a_weighed_animal_an_unrestricted_one_and_the_first_day_are_not_told(box):
    restrict()
    do("weigh", subject="m1", weight="24")
    do("weigh", subject="m2", weight="20", now=NOW)
    do("start_restriction", subject="m2", now=NOW)
    checks.run(at(15))
    assert told("not_weighed") == []


def test_water_still_due_is_told_at_the_hour_of_the_lab(box):
    restrict()
    entry.write("lab.HusbandryRules", [{"lab": LAB, "water_due_hour": 17}], **BY)
    do("give_water", subject="m1", volume="0.4")
    assert checks.run(at(16))["water_due"] == 0
    assert checks.run(at(17))["water_due"] == 1
    row = (notification.Message & {"message_event": "water_due"}).fetch1()
    assert row["message_title"] == "m1 still needs 0.60 mL of water"
    do("give_water", subject="m1", volume="0.6", now=NOW + DAY)
    do("give_water", subject="m1", volume="0.4", now=NOW + DAY + HOUR)
    assert checks.run(at(17, NOW + DAY))["water_due"] == 0


def test_hours_are_those_of_the_lab_in_summer_too(box):
    """London is an hour ahead of UTC from 29 March 2026: 14 h there is 13 h UTC."""
    restrict()
    summer = datetime.datetime(2026, 3, 30, 13, 5)
    assert checks.run(summer - HOUR)["not_weighed"] == 0
    assert checks.run(summer)["not_weighed"] == 1
    assert "14:05 BST" in (notification.Message & {"message_event": "not_weighed"}).fetch1("message_body")
    assert checks.run(datetime.datetime(2026, 3, 31, 13, 5))["not_weighed"] == 1


def test_colony_dates(box):
    pair = do("start_pair", father="m1", mothers="m2", line="Ai32", date="2026-01-01").result
    do("check_plug", breeding_pair=pair, date="2026-02-10")
    assert checks.run(NOW)["litter_due"] == 2
    do("record_litter", breeding_pair=pair, date="2026-02-20")
    made = checks.run(NOW)
    assert made["weaning_due"] == 0
    later = NOW + 12 * DAY
    assert checks.run(later)["weaning_due"] == 1
    assert checks.run(later)["weaning_due"] == 0
    do("edit_animal", subject="b1", who="bob", to_be_genotyped="1")
    assert checks.run(later)["genotype_due"] == 1 and told("genotype_due") == [("genotype_due", "bob")]


def test_training_that_was_planned_and_did_not_happen(box):
    do("plan_training", subject="m1", planned_date="2026-03-01")
    do("plan_training", subject="m2", planned_date="2026-03-01")
    entry.write("acquisition.Session", [{"lab": LAB, "subject": "m2", "session_date": "2026-03-01",
                                         "session_number": 1}], **BY)  # fmt: skip
    checks.run(NOW)
    titles = [row["message_title"] for row in notification.Message().to_dicts()]
    assert titles == ["m1 has no session of 2026-03-01"]


def test_a_long_restriction(box):
    restrict(days_ago=40)
    assert checks.run(NOW)["restriction_long"] == 0
    entry.write("lab.HusbandryRules", [{"lab": LAB, "longest_restriction": 30}], **BY)
    assert checks.run(NOW)["restriction_long"] == 1


def test_rules_of_people_decide(box):
    rules = [{"user_name": "mia", "event": "not_weighed", "scope": "none"},
             {"user_name": "lars", "event": "not_weighed", "scope": "lab", "rule_channel": "digest"},
             {"user_name": "dora", "event": "not_weighed", "scope": "lab"},
             {"user_name": "admin", "event": "not_weighed", "scope": "all", "rule_channel": "inbox"}]  # fmt: skip
    entry.write("notification.Rule", rules, **BY)
    assert events.recipients("not_weighed", LAB, ["mia"]) == {"lars": "digest", "admin": "inbox"}
    assert events.recipients("underweight", LAB, ["mia", None]) == {"mia": "mail"}
    entry.write("lab.LabMember", [{"user_name": "mia", "member_active": "0"}], **BY)
    assert events.recipients("underweight", LAB, ["mia"]) == {}


def test_each_mail_is_sent_once_over_restarts(box):
    restrict()
    for hour in (14, 15, 16, 18, 19, 21, 23):
        service.once(at(hour))
    assert sorted(str(mail["Subject"]) for mail in box.mails) == [
        "m1 still needs 1.00 mL of water", "m1 was not weighed today",
    ]  # fmt: skip
    one = box.mails[0]
    assert one["To"] == "mia@example.org" and one["Auto-Submitted"] == "auto-generated" and one["List-Unsubscribe"]
    assert "http://lab.example/app/mouse/mouselab/m1" in one.get_content()
    assert set((notification.Message()).to_arrays("message_state").tolist()) == {"sent"}


def test_a_program_killed_while_sending_sends_again_under_the_same_identifier(box):
    restrict()
    checks.run(at(14))
    row = notification.Message.fetch1()
    notification.Message.update1({"message_id": row["message_id"], "message_state": "sending", "send_after": at(14)})
    assert outbox.deliver(at(14) + 5 * datetime.timedelta(minutes=1)).sent == 0
    assert outbox.deliver(at(14) + 11 * datetime.timedelta(minutes=1)).sent == 1
    assert box.mails[0]["Message-ID"] == f"<{row['message_id']}@example.org>"


def test_a_server_that_is_away_costs_nothing_and_one_that_refuses_for_now_is_asked_again_later(box):
    restrict()
    checks.run(at(14))
    with override(mail_server="smtp://127.0.0.1:9"):
        done = outbox.deliver(at(14))
        assert done.waiting == 1 and "cannot be used" in done.problem
    assert notification.Message.fetch1("attempts", "message_state") == (0, "waiting")
    box.answers["mia@example.org"] = "451 busy"
    moment = at(14) + HOUR
    for wait in outbox.WAITS:
        assert outbox.deliver(moment).waiting == 1
        assert outbox.deliver(moment + wait - datetime.timedelta(seconds=1)).waiting == 0
        moment += wait
    box.answers.clear()
    assert outbox.deliver(moment).sent == 1 and len(box.mails) == 1


def test_what_nobody_could_deliver_is_seen(box):
    restrict()
    box.answers["mia@example.org"] = "550 no such mailbox"
    service.once(at(14))
    assert (notification.Message & {"recipient": "mia"}).fetch1("message_state") == "undeliverable"
    seen = (notification.Message & {"message_event": "undeliverable"}).to_dicts()
    assert {row["recipient"] for row in seen} == {"cora", "lars"}
    assert all("550" in row["message_body"] and row["message_state"] == "shown" for row in seen)
    entry.write("lab.LabMember", [{"user_name": "mia", "email": ""}], **BY)
    service.once(at(18))
    assert "no mail address" in (notification.Message & {"message_event": "water_due"}).fetch1("last_error")


def test_without_a_mail_server_messages_wait_and_it_is_said(box):
    restrict()
    with override(mail_server=None):
        _, done = service.once(at(14))
        assert (done.waiting, done.sent) == (1, 0) and "NEUROJOINT_MAIL_SERVER" in service.warning(at(14))
    assert outbox.deliver(at(14)).sent == 1


def test_a_digest_is_one_mail_at_the_hour_of_the_lab(box):
    do("edit_animal", subject="m1", to_be_genotyped="1")
    do("edit_animal", subject="m2", to_be_genotyped="1")
    service.once(at(8))
    assert not box.mails
    for hour in (6, 7, 8):
        outbox.deliver(at(hour, NOW + DAY))
        assert [str(mail["Subject"]) for mail in box.mails] == (["2 messages"] if hour >= 7 else [])
    assert "m1 is not genotyped" in box.mails[0].get_content()


def test_a_task_that_failed_is_told_once_to_whose_animal_it_is_and_stands_in_the_time_line(box):
    from dashboard.queries import daily

    day = NOW.date()
    key = {"lab": LAB, "subject": "m1", "session_date": day, "session_number": 1}
    entry.write("acquisition.Session", [key], **BY)
    queue = Queue()
    (identifier,) = queue.add([New("extract_trials_00", "extract_trials")], key).values()
    token = str(uuid.uuid4())
    assert queue.take(identifier, "pc", token)
    queue.finish(identifier, token, Outcome("Errored", "data", "line 3 is no JSON: copy it again"))
    for hour in (8, 9):
        service.once(at(hour))
    assert told("task_failed") == [("task_failed", "mia")]
    body = (notification.Message & {"message_event": "task_failed"}).fetch1("message_body")
    assert "line 3 is no JSON" in body and "neurojoint task restart" in body
    (mouse,) = (item for item in daily.summary({LAB: day}).mice if item.subject == "m1")
    ((what, who),) = mouse.today.sessions[0].acts
    assert "line 3 is no JSON" in what and "the experimenter" in who
    queue.abandon([identifier])
    (mouse,) = (item for item in daily.summary({LAB: day}).mice if item.subject == "m1")
    assert not mouse.today.sessions[0].acts, "a person has decided"


def test_checks_that_did_not_run_are_told(box):
    assert "have never run" in service.warning(at(8))
    service.once(at(8))
    assert service.warning(at(9)) == ""
    assert "have not run for 5 h" in service.warning(at(13))
    service.once(at(13))
    assert told("check_missing") == [("check_missing", "cora"), ("check_missing", "dora"), ("check_missing", "lars")]


def test_checks_that_begin_and_never_end_are_checks_that_do_not_run(box):
    """Killed half way each time: what they should have told is not told, and people must know."""
    service.once(at(8))
    for hour in (9, 10, 11):
        service._note(service.NAME, started_time=at(hour), finished_time=None, check_error="")
    assert "have not run for 4 h" in service.warning(at(12))


def test_the_site_tells_by_mail_that_the_checks_do_not_run_and_they_do_not_say_it_again(box):
    service.once(at(8))
    assert not service.watch(at(10)) and not box.mails
    assert service.watch(at(12)) and service.watch(at(13))
    service.once(at(14))
    assert sorted(mail["To"] for mail in box.mails) == [f"{who}@example.org" for who in ("cora", "dora", "lars")]
    assert "08:30 and 2026-03-02 12:30" in box.mails[0].get_content()


def test_what_happened_while_no_check_ran_is_told_later_and_once(box):
    """A weekend without the program: the training that was planned on Friday, and files that were refused then."""
    do("plan_training", subject="m1", planned_date="2026-02-27")
    data.Repository.insert1({"repository": "rig", "repository_kind": "local", "repository_root": "/rig"})
    for number, hour in ((1, 9), (2, 9), (3, 17)):
        seen = datetime.datetime(2026, 2, 27, hour)
        data.Quarantine.insert1({
            "quarantine_id": f"{number:032d}", "repository": "rig", "reason": "no_array", "detail": "", "remedy": "",
            "quarantine_path": f"{LAB}/Subjects/m1/2026-02-27/001/alf/{number}.npy", "first_seen": seen,
            "last_seen": seen})  # fmt: skip
    for day in range(4):
        service.once(at(7, NOW + day * DAY))
    assert told("no_session") == [("no_session", "mia")]
    refused = (notification.Message & {"message_event": "session_refused"}).to_arrays("message_title")
    assert sorted(title.split(" of ")[0] for title in refused) == ["2 files", "A file"]


def test_a_digest_that_was_being_sent_is_sent_again_as_it_was(box):
    """Under the same Message-ID, beside a digest of what came since."""
    do("edit_animal", subject="m1", to_be_genotyped="1")
    do("edit_animal", subject="m2", to_be_genotyped="1")
    service.once(at(8))
    (first,) = outbox.due_mails(at(8, NOW + DAY))
    for row in first:
        notification.Message.update1({"message_id": row["message_id"], "message_state": "sending",
                                      "send_after": at(8, NOW + DAY)})  # fmt: skip
    events.tell("restriction_long", "later", LAB, ["mia"], "later", "", when=at(9))
    notification.Message.update1(
        (notification.Message & {"occasion": "later"}).fetch1("KEY") | {"message_channel": "digest"})  # fmt: skip
    assert outbox.deliver(at(9, NOW + DAY)).sent == 2
    assert f"<{outbox._identifier(first)}@example.org>" in [mail["Message-ID"] for mail in box.mails]


def test_many_weighings_at_once_are_all_looked_at(box):
    """The sheet of a room: a light animal among sixty is told."""
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None, microsecond=0)
    names = [f"room{number:02d}" for number in range(60)]
    entry.write("subject.Subject", [{"lab": LAB, "subject": name, "responsible_user": "mia"} for name in names], **BY)
    entry.write("action.WaterRestriction", [{"lab": LAB, "subject": name, "restriction_start": now - DAY,
                                             "reference_weight": 25} for name in names], **BY)  # fmt: skip
    entry.write("action.Weighing", [{"lab": LAB, "subject": name, "weighing_time": now,
                                     "weight": 20 if name == "room31" else 25} for name in names], **BY)  # fmt: skip
    assert [row["message_title"] for row in notification.Message().to_dicts()] == [
        "WARNING: room31 is underweight (80.0 %)"
    ]


def test_a_check_that_fails_stops_no_other_and_is_said(box, monkeypatch):
    restrict()

    def broken(here):
        raise ValueError("out of order")

    monkeypatch.setitem(checks.CHECKS, "litter_due", broken)
    service.once(at(14))
    assert told("not_weighed") and "out of order" in service.warning(at(14))


def test_dry_runs_write_nothing_and_a_message_comes_with_what_caused_it_or_not_at_all(database, smtp):
    lab_of_mice.build()
    restrict()
    smtp.mails.clear()
    with override(mail_server=smtp.url):
        made, done = service.once(at(14), dry_run=True)
    assert (made["not_weighed"], done.sent) == (1, 1)
    assert not smtp.mails and not notification.Message() and not notification.CheckRun()
    with pytest.raises(RuntimeError, match="power cut"), database.transaction:
        perform("assign", M1 | {"responsible_user": "bob"}, actor=Actor.of("mia"))
        assert len(notification.Message()) == 2
        raise RuntimeError("power cut")
    assert not notification.Message() and (subject.Subject & M1).fetch1("responsible_user") == "mia"


@pytest.mark.slow
def test_checks_beside_workers_begin_again_and_end_with_them(database, server, monkeypatch):
    """A process of its own: one that dies is followed by another, and none is left when the block ends."""
    for name, value in server.items():
        monkeypatch.setenv(f"NEUROJOINT_{name.upper()}", str(value))
    started: list[subprocess.Popen] = []

    class Recorded(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(companion.subprocess, "Popen", Recorded)
    said: list[str] = []
    with companion.notifying(said.append, again_s=0.1):
        wait_for(lambda: started)
        started[0].kill()
        wait_for(lambda: len(started) > 1 and len(notification.CheckRun & "finished_time IS NOT NULL"))
        assert service.warning() == ""
    assert all(item.poll() is not None for item in started) and "starting them again" in said[0]


def wait_for(is_so):
    until = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.1)
