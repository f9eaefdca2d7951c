"""Every event that people can be told of: a case in which a mail of it arrives at a mail server, and one without."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from pipeline import entry
from pipeline.entry import events
from pipeline.notifications import checks, outbox, service
from pipeline.schemas import acquisition, behavior, behavior_analysis, data, notification, transfer
from pipeline.settings import override
from pipeline.tasks.queue import New, Outcome, Queue
from tests.entry.lab_of_mice import BY, LAB, NOW, do
from tests.notifications.test_notifications import DAY, HOUR, M1, box, restrict, smtp, told  # noqa: F401 - fixtures

on_one = pytest.mark.parametrize("server", ["postgresql"], indirect=True)
TODAY = datetime.datetime.now(datetime.UTC).replace(tzinfo=None, microsecond=0)
MANAGERS = {"cora", "lars"}


def weighed(weight: str) -> None:
    """Weighed today, at 25 g and restricted the day before."""
    do("weigh", subject="m1", weight="25", now=TODAY - DAY)
    do("start_restriction", subject="m1", now=TODAY - DAY)
    do("weigh", subject="m1", weight=weight, now=TODAY, confirmed=True)


def round_of(weight: str | None, water: str | None) -> None:
    """What was done on a day of a restriction, at its hours."""
    restrict()
    if weight:
        do("weigh", subject="m1", weight=weight)
    if water:
        do("give_water", subject="m1", volume=water)


def planned(trained: bool) -> None:
    do("plan_training", "bob", subject="b1", planned_date="2026-03-01")
    if trained:
        entry.write("acquisition.Session", [{"lab": LAB, "subject": "b1", "session_date": "2026-03-01",
                                             "session_number": 1}], **BY)  # fmt: skip


def session(day: datetime.date | None = None) -> dict:
    key = M1 | {"session_date": day or NOW.date(), "session_number": 1}
    entry.write("acquisition.Session", [key], **BY)
    return key


def refused(seen: datetime.datetime = NOW, resolved: datetime.datetime | None = None, path: str = "") -> None:
    """A file in quarantine, of a session that is known or of a folder that is not one."""
    data.Repository.insert1({"repository": "rig", "repository_kind": "local", "repository_root": "/rig"},
                            skip_duplicates=True)  # fmt: skip
    of = {} if path else session()
    file = path or f"{LAB}/Subjects/m1/2026-03-02/001/alf/_ibl_trials.choice.npy"
    data.Quarantine.insert1(of | {
        "quarantine_id": uuid.uuid4().hex, "repository": "rig", "quarantine_path": file, "reason": "no_array",
        "detail": "", "remedy": "", "first_seen": seen, "last_seen": seen, "resolved": resolved,
    })  # fmt: skip


def task(status: str) -> None:
    queue = Queue()
    (identifier,) = queue.add([New("extract_trials_00", "extract_trials")], session()).values()
    token = str(uuid.uuid4())
    assert queue.take(identifier, "pc", token)
    queue.finish(identifier, token, Outcome(status, *(("data", "line 3 is no JSON") if status == "Errored" else ())))


def trained(*statuses: str) -> None:
    """Statuses after sessions on the days until today."""
    part = behavior_analysis.SubjectTraining.SessionTrainingStatus
    rules = (behavior_analysis.TrainingCriteria & {"criteria": "ibl_pipeline_2021"}).fetch1("KEY")
    behavior_analysis.SubjectTraining.insert1(
        M1 | rules | {"training_fingerprint": "0" * 32, "training_status": statuses[-1], "n_training_sessions": 1,
                      "first_dates": {}, "days_to_status": {}, "missing_for_next": []}, allow_direct_insert=True,
    )  # fmt: skip
    for i, status in enumerate(statuses):
        key = session(NOW.date() - (len(statuses) - i) * DAY)
        task_key = key | {"task_collection": "alf"}
        acquisition.SessionTask.insert1(task_key | {"task_number": 0})
        behavior.TrialSet.insert1(task_key | {
            "trials_fingerprint": "0" * 32, "n_trials": 1, "trials_complete": True, "columns_present": [],
            "columns_absent": [], "columns_refused": {}, "columns_other": []}, allow_direct_insert=True)  # fmt: skip
        part.insert1(task_key | rules | {"session_status": status}, allow_direct_insert=True)


def failed_job(when: datetime.datetime = NOW) -> None:
    jobs = behavior_analysis.BehaviorHistory().jobs
    jobs.insert1({name: M1[name] for name in jobs.primary_key} | {
        "status": "error", "priority": 0, "completed_time": when, "error_message": "no trials"})  # fmt: skip


def copies(state: str, due: str) -> None:
    """A file on its way to an archive."""
    key = session()
    for name in ("here", "there"):
        data.Repository.insert1({"repository": name, "repository_kind": "local", "repository_root": f"/{name}"})
    file = {"dataset_id": str(uuid.uuid4())}
    data.Dataset.insert1(key | file | {
        "rel_path": "a.b.npy", "collection": "", "alf_object": "a", "alf_attribute": "b", "extension": "npy",
        "dataset_hash": "0" * 32, "file_size": 1, "default_dataset": True, "registered": NOW})  # fmt: skip
    carried = {"transfer_id": str(uuid.uuid4())}
    transfer.Transfer.insert1(carried | {
        "source_repository": "here", "destination_repository": "there", "transfer_purpose": "policy",
        "transfer_state": state, "transfer_files": 1, "transfer_bytes": 1, "transfer_created": NOW})  # fmt: skip
    transfer.Transfer.Item.insert1(carried | file | {
        "source_path": "a", "destination_path": "a", "item_size": 1, "item_hash": "0" * 32, "item_state": state,
        "item_due": due})  # fmt: skip


def asked() -> str:
    return do("request_animals", "bob", request_count="1", line="Ai32").result


def pair_with(plug: str, litter: str = "") -> None:
    pair = do("start_pair", father="m1", mothers="m2", line="Ai32", date="2026-01-01").result
    if plug:
        do("check_plug", breeding_pair=pair, date=plug)
    if litter:
        do("record_litter", breeding_pair=pair, date=litter)


def weaned() -> None:
    pair_with("", "2026-02-01")
    do("wean", litter="AI_L_001", males="1", date="2026-02-27")


def to_genotype(born: str) -> None:
    do("edit_animal", "bob", subject="b1", to_be_genotyped="1", birth_date=born)


def allowed(days: int) -> None:
    restrict(days_ago=30)
    entry.write("lab.HusbandryRules", [{"lab": LAB, "longest_restriction": days}], **BY)


def disk(least: float) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(checks, "LEAST_FREE", least)


def ran_before(gap: datetime.timedelta) -> None:
    service.once(NOW.replace(hour=18, minute=30) - gap)


@dataclass(frozen=True)
class Case:
    """What happens, who gets a mail of it, and what happens without one."""

    event: str
    so: Callable[..., object]
    to: set[str]
    not_so: tuple[Callable[..., object], ...]


CASES = (
    Case("underweight", lambda: weighed("21.2"), {"mia"}, (lambda: weighed("21.3"), lambda: do(
        "weigh", subject="m2", weight="12", now=TODAY))),
    Case("near_limit", lambda: weighed("21.7"), {"mia"}, (lambda: weighed("21.8"), lambda: weighed("21.2"))),
    Case("not_weighed", lambda: round_of(None, "1"), {"mia"}, (
        lambda: round_of("24", None), lambda: do("weigh", subject="m1", weight="24", now=NOW - DAY),
        lambda: (restrict(), do("end_restriction", subject="m1", reason="done")),
        lambda: (restrict(), do("cull", subject="m1", cull_method="CO2", cull_reason="surplus")))),
    Case("water_due", lambda: round_of("24", "0.9"), {"mia"}, (
        lambda: round_of("24", "0.96"), lambda: (restrict(), do("free_water", subject="m1")))),
    Case("responsible_user", lambda: do("assign", subject="m1", responsible_user="bob"), {"mia", "bob"}, (
        lambda: do("edit_animal", subject="m1", ear_mark="L"),)),
    Case("no_session", lambda: planned(False), {"bob"}, (lambda: planned(True),)),
    Case("session_refused", refused, {"mia"}, (
        lambda: refused(resolved=NOW), lambda: refused(NOW - 8 * DAY),
        lambda: refused(path="otherlab/Subjects/m1/2026-03-02/001/x.npy"))),
    Case("task_failed", lambda: task("Errored"), {"mia"}, (lambda: task("Complete"),)),
    Case("status_changed", lambda: trained("in_training", "trained_1a", "trained_1a"), {"mia"}, (
        lambda: trained("in_training", "in_training"), lambda: trained("in_training"))),
    Case("request_made", asked, MANAGERS, (lambda: do("edit_animal", subject="m1", ear_mark="L"),)),
    Case("request_answered", lambda: do("answer_request", "cora", request_id=asked(), request_status="declined"),
         {"bob"}, (asked,)),
    Case("litter_due", lambda: pair_with("2026-02-10"), MANAGERS, (
        lambda: pair_with("2026-02-20"), lambda: pair_with("2026-02-10", "2026-02-28"), lambda: pair_with(""))),
    Case("weaning_due", lambda: pair_with("", "2026-02-05"), {"mia"}, (
        lambda: pair_with("", "2026-02-20"), weaned)),
    Case("genotype_due", lambda: to_genotype("2026-02-01"), {"bob"}, (
        lambda: to_genotype("2026-02-20"), lambda: do("edit_animal", "bob", subject="b1", birth_date="2026-02-01"))),
    Case("restriction_long", lambda: allowed(29), {"mia"}, (lambda: allowed(31), lambda: allowed(0))),
    Case("job_failed", failed_job, MANAGERS, (lambda: failed_job(NOW - 8 * DAY),)),
    Case("transfer_stuck", lambda: copies("failed", "9999-01-01"), MANAGERS, (
        lambda: copies("failed", "2026-03-03"), lambda: copies("submitted", "2026-03-03"))),
    Case("disk_full", disk(1.01), {*MANAGERS, "dora"}, (disk(0.0),)),
    Case("check_missing", lambda: ran_before(5 * HOUR), {*MANAGERS, "dora"}, (lambda: ran_before(HOUR),)),
    Case("undeliverable", lambda: (entry.write("lab.LabMember", [{"user_name": "mia", "email": ""}], **BY),
                                   round_of(None, "1")), MANAGERS, (lambda: round_of(None, "1"),)),
)  # fmt: skip
"""Event -> its cases: every rule is here, with what it is not about."""
STARTS = [(case, case.so, case.to) for case in CASES] + [(case, so, set()) for case in CASES for so in case.not_so]
NAMES = [f"{case.event}{'' if to else f' not {i}'}" for i, (case, _, to) in enumerate(STARTS)]


def test_every_event_has_its_cases():
    assert [case.event for case in CASES if case.not_so] == [*{case.event: 0 for case in CASES}]
    assert {case.event for case in CASES} == set(events.EVENTS)


@on_one
@pytest.mark.parametrize(("case", "start", "to"), STARTS, ids=NAMES)
def test_who_is_told_gets_one_mail(box, case, start, to, monkeypatch, tmp_path):  # noqa: F811
    """Everybody takes this event by mail; the checks run again and again, on this day and the next ones."""
    channel = "inbox" if case.event == "undeliverable" else "mail"
    default = events.EVENTS[case.event]
    monkeypatch.setitem(events.EVENTS, case.event, events.Event(default.name, default.label, default.scope, channel))
    with override(home=tmp_path):
        start(monkeypatch) if case.event == "disk_full" else start()
        for moment in (NOW.replace(hour=18, minute=30), NOW.replace(hour=19)):
            service.once(moment)
        outbox.deliver(TODAY + DAY)  # what is written when it happens is due from then on
    assert {person for _, person in told(case.event)} == to
    assert len(told(case.event)) == len(to)
    ours = {row["message_title"] for row in (notification.Message & {"message_event": case.event}).to_dicts()}
    sent = sorted(mail["To"].addresses[0].username for mail in box.mails if str(mail["Subject"]) in ours)
    assert sent == (sorted(to) if channel == "mail" else [])
