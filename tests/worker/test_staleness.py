"""Refresh deletes stale rows and their dependent rows, and nothing else; the tables end as from a fresh start."""

from __future__ import annotations

import random

import pytest

from pipeline.provenance import staleness
from pipeline.schemas import data
from pipeline.worker import drain
from tests.worker import toys

pytestmark = pytest.mark.slow


def _numbers(table) -> list[int]:
    return sorted(table.to_arrays("session_number").tolist())


def test_exactly_the_changed_the_vanished_and_what_hangs_on_them_goes(bench):
    toys.add_sessions(mice=2, sessions=4)
    drain(toys.TABLES)
    toys.change([3], "second")
    (data.AlfObject & {"session_number": 6}).delete_quick()
    stale = staleness.find(toys.TABLES)
    assert [key["session_number"] for key in stale.keys["toys.Reading"]] == [6, 3]  # in order of the key: m1 is later
    assert stale.vanished == {"toys.Reading": 1}
    assert stale.n_rows == 2 and len(toys.Reading()) == 8, "finding deletes nothing"
    deleted = staleness.refresh(toys.TABLES)
    assert _numbers(toys.Reading) == _numbers(toys.Total) == [1, 2, 4, 5, 7, 8]
    assert deleted == stale.lost and sum(deleted.values()) >= 2 + 2 + 2 * 16
    audit = data.Change.to_dicts()
    assert sum(int(row["change_detail"].split()[0]) for row in audit) == sum(deleted.values())
    assert staleness.REASON in audit[0]["change_detail"]
    assert not staleness.find(toys.TABLES).keys and staleness.refresh(toys.TABLES) == {}


def test_nothing_is_deleted_when_one_delete_fails(bench, monkeypatch):
    """It is one transaction."""
    toys.add_sessions(mice=1, sessions=3)
    drain(toys.TABLES)
    before = toys.contents()
    toys.change([1, 2, 3], "second")
    monkeypatch.setattr(staleness, "_KEYS_AT_ONCE", 1)
    real, calls = staleness.delete.delete, []

    def breaks_the_third_time(query, reason):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("the lights went out")
        return real(query, reason)

    monkeypatch.setattr(staleness.delete, "delete", breaks_the_third_time)
    with pytest.raises(RuntimeError):
        staleness.refresh(toys.TABLES)
    assert toys.contents() == before and not data.Change()


@pytest.mark.parametrize("seed", range(3))
def test_after_any_order_of_arrivals_changes_and_removals_the_tables_equal_fresh_ones(bench, seed):
    rng = random.Random(seed)
    toys.add_sessions(mice=2, sessions=3)
    for step in range(4):
        known = data.AlfObject.to_arrays("session_number").tolist()
        act = rng.choice(["arrive", "change", "remove", "refresh"])
        if act == "arrive":
            toys.add_sessions(mice=2, sessions=1, first=100 + 10 * step)
        elif act == "change":
            toys.change(rng.sample(known, 2), f"step {step}")
        elif act == "remove":
            (data.AlfObject & {"session_number": rng.choice(known)}).delete_quick()
        else:
            staleness.refresh(toys.TABLES)
        drain(toys.TABLES)
    staleness.refresh(toys.TABLES)
    drain(toys.TABLES)
    lived = toys.contents()
    for table in reversed(toys.TABLES):
        table.delete(prompt=False, part_integrity="cascade")
    drain(toys.TABLES)
    assert toys.contents() == lived and lived["toys.Chain"]
