"""Each task is done once: whatever is lost, late, doubled or killed."""

from __future__ import annotations

import threading
import uuid

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from pipeline.errors import ConflictError, NotFoundError, UserError
from pipeline.schemas import task
from pipeline.tasks import states
from pipeline.tasks.queue import Capability, LeaseLost, New, Outcome, Queue
from tests.tasks.conftest import Clock, new

pytestmark = pytest.mark.slow

DONE, FAILED = Outcome("Complete", elapsed=1.5, version="2"), Outcome("Errored", "program", "it broke")


def test_a_child_is_handed_out_when_its_parents_are_done(queue, claim):
    ids = queue.add([new("pack"), new("look"), new("join", "pack", "look")])
    first, second = claim(), claim()
    assert {first["task_name"], second["task_name"]} == {"pack", "look"} and claim() is None
    queue.finish(first["task_uuid"], first["lease_token"], DONE)
    assert claim() is None
    queue.finish(second["task_uuid"], second["lease_token"], Outcome("Empty"))
    assert claim()["task_uuid"] == ids["join"]


def test_a_claim_whose_answer_was_lost_gives_the_same_task_again(queue, claim):
    queue.add([new("a"), new("b")])
    token = str(uuid.uuid4())
    assert claim(token=token)["task_uuid"] == claim(token=token)["task_uuid"]
    assert claim() is not None and claim() is None
    with pytest.raises(UserError, match="uuid"):
        claim(token="'; DROP TABLE task")


def test_a_report_counts_once_and_the_second_changes_nothing(queue, claim):
    queue.add([new("a")])
    got = claim()
    assert queue.finish(got["task_uuid"], got["lease_token"], DONE) == "Complete"
    assert queue.finish(got["task_uuid"], got["lease_token"], FAILED) == "Complete"
    with pytest.raises(LeaseLost):
        queue.finish(got["task_uuid"], str(uuid.uuid4()), DONE)
    with pytest.raises(NotFoundError):
        queue.get("no such task")


def test_a_lost_worker_gives_its_task_back_and_may_not_report_once_others_have_it(queue, claim):
    queue.add([new("a")])
    lost = claim("dies")
    queue.clock.later(queue.lease - 1)
    assert claim() is None
    queue.clock.later(2)
    assert claim() is None  # it waits a minute first
    row = queue.get(lost["task_uuid"])
    assert (row["task_state"], row["task_exit"]) == ("Waiting", "lost") and "dies was not heard of" in row[
        "task_message"
    ]
    queue.clock.later(61)
    again = claim("lives")
    assert again["task_uuid"] == lost["task_uuid"] and again["task_attempts"] == 2
    for report in (
        lambda: queue.finish(lost["task_uuid"], lost["lease_token"], DONE),
        lambda: queue.heartbeat(lost["task_uuid"], lost["lease_token"]),
        lambda: queue.log(lost["task_uuid"], lost["lease_token"], 0, "I live"),
    ):
        with pytest.raises(LeaseLost):
            report()


def test_the_work_of_a_worker_that_was_cut_off_counts_while_nobody_else_has_the_task(queue, claim):
    queue.add([new("a"), new("b")])
    one, other = claim(), claim()
    queue.clock.later(queue.lease + 1)
    queue.expire()
    queue.heartbeat(one["task_uuid"], one["lease_token"], 0.5, "still here")
    assert queue.get(one["task_uuid"])["task_state"] == "Started"
    assert queue.finish(other["task_uuid"], other["lease_token"], DONE) == "Complete"


def test_failures_are_tried_again_with_waiting_but_not_those_of_the_data(queue, claim):
    ids = queue.add([new("a")])
    for attempt in range(1, 5):
        got = claim()
        assert got["task_attempts"] == attempt and claim() is None
        state = queue.finish(got["task_uuid"], got["lease_token"], FAILED)
        queue.clock.later(states.wait(attempt) - 1)
        assert claim() is None
        queue.clock.later(2)
    assert state == "Errored" and claim() is None
    assert queue.restart(ids.values()) == 1
    got = claim()
    assert queue.finish(got["task_uuid"], got["lease_token"], Outcome("Errored", "data", "truncated")) == "Errored"
    assert queue.get(ids["a"])["task_message"] == "truncated"


def test_a_task_that_had_too_little_memory_asks_for_twice_as_much(queue, claim):
    ids = queue.add([new("a", columns={"task_memory": 3000})])
    got = claim(memory=4096)
    queue.finish(got["task_uuid"], got["lease_token"], Outcome("Errored", "resource", "out of memory"))
    queue.clock.later(61)
    assert claim(memory=4096) is None and claim(memory=8192)["task_uuid"] == ids["a"]


def test_only_what_a_computer_can_do_is_handed_to_it(queue, claim):
    queue.add([
        new("gpu", columns={"task_gpus": 1}), new("env", columns={"task_environment": "pose"}),
        new("big", columns={"task_scratch": 10**12}), new("other", kind="else"), new("foreign", kind=""),
        new("there", columns={"task_repository": "rig"}), new("disk", columns={"task_io": 60}),
    ])  # fmt: skip
    small = {"scratch": 10**9, "io": 50}
    assert claim(**small) is None
    assert claim(gpus=1, **small)["task_name"] == "gpu"
    assert claim(environments=("pose",), **small)["task_name"] == "env"
    assert claim(repository="rig", **small)["task_name"] == "there"
    assert claim(kinds=("else",), **small)["task_name"] == "other"
    assert claim(kinds=(), labs=()) is None
    assert claim(labs=("somelab",)) is None  # without a session they are of no lab
    assert {claim()["task_name"], claim()["task_name"]} == {"big", "disk"} and claim() is None


def test_priority_decides_and_waiting_makes_up_for_it(queue, claim):
    queue.add([new("old", priority=10)])
    queue.clock.later(3600 * 5)
    queue.add([new("urgent", priority=16), new("later", priority=14)])
    assert [claim()["task_name"] for _ in range(3)] == ["urgent", "old", "later"]


def test_people_hold_abandon_and_restart(queue, claim):
    ids = queue.add([new("a"), new("b", "a")])
    assert queue.hold([ids["a"]]) == 1 and claim() is None
    assert queue.hold([ids["a"]], False) == 1
    got = claim()
    assert queue.restart([ids["a"]]) == 0  # it runs
    assert queue.abandon([ids["a"]]) == 1
    with pytest.raises(LeaseLost):
        queue.heartbeat(got["task_uuid"], got["lease_token"])
    assert claim() is None  # the child waits
    assert queue.restart([ids["a"]]) == 1 and claim()["task_uuid"] == ids["a"]
    assert queue.descendants([ids["a"]]) == [ids["b"]]
    with pytest.raises(UserError, match="wait for itself"):
        queue.set_parents(ids["a"], [ids["b"]])


def test_a_client_without_a_lease_may_start_and_end_what_nobody_holds(queue, claim):
    ids = queue.add([new("a")])
    queue.start(ids["a"], "old client", 7200)
    queue.start(ids["a"], "old client", 7200)
    queue.clock.later(7201)
    assert queue.expire() == 1
    queue.clock.later(61)
    got = claim()
    with pytest.raises(ConflictError, match="one works on this task"):
        queue.start(ids["a"], "old client", 7200)
    with pytest.raises(ConflictError):
        queue.set_state(ids["a"], "Complete")
    queue.finish(ids["a"], got["lease_token"], FAILED)
    queue.set_state(ids["a"], "Complete")


def test_the_log_comes_in_pieces_that_are_added_once(queue, claim):
    queue.add([new("a")])
    got = claim()
    for piece, text in [(0, "one\n"), (1, "two\n"), (1, "two\n"), (2, "x\x00" * 5000)]:
        queue.log(got["task_uuid"], got["lease_token"], piece, text)
    assert queue.log_text(got["task_uuid"]).startswith("one\ntwo\nxx")
    assert len(queue.get(got["task_uuid"])["task_log"]) == 4000


def test_adding_a_plan_again_adds_only_what_is_new(queue):
    first = queue.add([new("a", unique="1" * 32)])
    second = queue.add([new("a", unique="1" * 32), new("b", "a", unique="2" * 32)])
    assert second["a"] == first["a"] and queue.parents(second["b"]) == [first["a"]]


@pytest.mark.parametrize("outcome", [Outcome("Held"), Outcome("Complete", "data"), Outcome("Errored", "ok")])
def test_an_outcome_that_makes_no_sense_is_refused(queue, claim, outcome):
    queue.add([new("a")])
    got = claim()
    with pytest.raises(UserError):
        queue.finish(got["task_uuid"], got["lease_token"], outcome)


@pytest.mark.slow
@pytest.mark.parametrize("n_tasks", [300, pytest.param(1000, marks=pytest.mark.soak)])
def test_fifty_claimants_do_each_of_many_tasks_once(task_tables, n_tasks):
    """Each claimant has a connection of its own, as if it were another computer."""
    from pipeline.web.threads import Database

    queue = Queue()
    with task_tables.transaction:
        queue.add([new(f"t{number}") for number in range(n_tasks)])
    pool = Database(task_tables, size=16)
    done: list[str] = []

    def work(name: str) -> None:
        while (got := pool.read(lambda: queue.claim(Capability(name, ("k",)), str(uuid.uuid4())))) is not None:
            done.append(got["task_uuid"])
            pool.read(lambda got=got: queue.finish(got["task_uuid"], got["lease_token"], DONE))

    threads = [threading.Thread(target=work, args=(f"host{number}",)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pool.close()
    assert len(done) == len(set(done)) == n_tasks
    assert {row["task_state"] for row in task.Task().to_dicts()} == {"Complete"}
    assert {row["task_attempts"] for row in task.Task().to_dicts()} == {1}


class Model(RuleBasedStateMachine):
    """The queue against what it should do, in plain Python: claims, lost answers, ended leases, doubles, restarts."""

    names = ("a", "b", "c", "d")

    @initialize()
    def begin(self):
        task.TaskLog.delete_quick(), task.TaskOutput.delete_quick(), task.TaskEdge.delete_quick()
        task.Task.delete_quick()
        self.clock = Clock()
        self.queue = Queue(lease=100, clock=self.clock)
        ids = self.queue.add(
            [New(n, "k", parents=p) for n, p in zip(self.names, ((), (), ("a",), ("a", "c")), strict=True)]
        )
        self.ids = ids
        self.parents = {"a": (), "b": (), "c": ("a",), "d": ("a", "c")}
        self.state = dict.fromkeys(self.names, "Waiting")
        self.tries = dict.fromkeys(self.names, 0)
        self.holder: dict[str, str | None] = dict.fromkeys(self.names)
        self.until: dict[str, float] = {}
        self.due = dict.fromkeys(self.names, 0.0)
        self.lost = dict.fromkeys(self.names, False)
        self.held = dict.fromkeys(self.names, False)
        self.now, self.tokens, self.finished = 0.0, [], []

    def expire(self):
        for name in self.names:
            if self.state[name] == "Started" and self.until[name] < self.now:
                self.fail(name)
                self.lost[name] = True

    def fail(self, name):
        again = self.tries[name] < 4
        self.state[name] = "Waiting" if again else "Errored"
        self.due[name] = self.now + states.wait(self.tries[name]) if again else 0.0

    def mine(self, name, token):
        return self.holder[name] == token and (self.state[name] == "Started" or self.lost[name])

    @rule(again=st.booleans())
    def claim(self, again):
        token = self.tokens[-1][1] if again and self.tokens else str(uuid.uuid4())
        got = self.queue.claim(Capability("host", ("k",)), token)
        of_token = [n for n in self.names if self.holder[n] == token]
        if of_token:
            assert (got is not None) == (self.state[of_token[0]] == "Started")
            return
        self.expire()
        ready = [
            n for n in self.names
            if self.state[n] == "Waiting" and not self.held[n] and self.due[n] <= self.now
            and all(self.state[p] in states.DONE for p in self.parents[n])
        ]  # fmt: skip
        assert (got is None) == (not ready), (ready, got)
        if got is not None:
            name = got["task_name"]
            assert name in ready
            self.state[name], self.holder[name], self.lost[name] = "Started", token, False
            self.until[name] = self.now + 100
            self.tries[name] += 1
            assert got["task_attempts"] == self.tries[name]
            self.tokens.append((name, token))

    @rule(seconds=st.sampled_from([1, 50, 101, 400, 2000]))
    def wait(self, seconds):
        self.clock.later(seconds)
        self.now += seconds

    @rule(which=st.integers(0, 20))
    def heartbeat(self, which):
        if self.tokens:
            name, token = self.tokens[which % len(self.tokens)]
            if self.mine(name, token):
                self.queue.heartbeat(self.ids[name], token)
                self.state[name], self.lost[name], self.until[name], self.due[name] = (
                    "Started",
                    False,
                    self.now + 100,
                    0.0,
                )
            else:
                with pytest.raises(LeaseLost):
                    self.queue.heartbeat(self.ids[name], token)

    @rule(which=st.integers(0, 20), good=st.booleans())
    def finish(self, which, good):
        if not self.tokens:
            return
        name, token = self.tokens[which % len(self.tokens)]
        outcome = DONE if good else FAILED
        if self.mine(name, token):
            self.queue.finish(self.ids[name], token, outcome)
            self.lost[name] = False
            if good:
                self.state[name] = "Complete"
                self.finished.append(name)
            else:
                self.fail(name)
        elif self.holder[name] == token:
            assert self.queue.finish(self.ids[name], token, outcome) == self.state[name]
        else:
            with pytest.raises(LeaseLost):
                self.queue.finish(self.ids[name], token, outcome)

    @rule(name=st.sampled_from(names), held=st.booleans())
    def hold(self, name, held):
        self.queue.hold([self.ids[name]], held)
        self.held[name] = held

    @rule(name=st.sampled_from(names))
    def abandon(self, name):
        if self.queue.abandon([self.ids[name]]):
            self.state[name], self.holder[name], self.lost[name] = "Abandoned", None, False

    @rule(name=st.sampled_from(names))
    def restart(self, name):
        if self.queue.restart([self.ids[name]]):
            self.state[name], self.holder[name], self.lost[name] = "Waiting", None, False
            self.held[name], self.tries[name], self.due[name] = False, 0, 0.0
            self.finished = [item for item in self.finished if item != name]

    @invariant()
    def agree(self):
        if hasattr(self, "ids"):
            collected = {row["task_name"]: row["task_state"] for row in task.Task().to_dicts()}
            wanted = {n: self.state[n] for n in self.names}
            assert collected == wanted and len(self.finished) == len(set(self.finished))


@pytest.mark.slow
def test_the_queue_does_what_a_model_of_it_does(task_tables):
    run_state_machine_as_test(
        Model,
        settings=settings(max_examples=20, stateful_step_count=25, deadline=None, database=None,
                          suppress_health_check=list(HealthCheck)),
    )  # fmt: skip


def test_a_computer_with_few_processors_takes_a_task_that_would_use_more(queue, claim):
    queue.add([new("sort", columns={"task_cores": 4})])
    assert claim(cores=1, most_cores=2) is None, "one of its two is busy"
    assert claim(cores=2, most_cores=16) is None
    assert claim(cores=2, most_cores=2)["task_name"] == "sort"
