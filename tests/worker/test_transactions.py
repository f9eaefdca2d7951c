"""Protects retries: a transaction that another one disturbed is tried again, any other error is raised at once."""

from __future__ import annotations

import pymysql
import pytest

from pipeline.worker import transactions


class OfPostgresql(Exception):
    """An error of psycopg2, as far as it matters here."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.pgcode = code


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """The seconds that were slept."""
    slept: list[float] = []
    monkeypatch.setattr(transactions.time, "sleep", slept.append)
    return slept


def caused_by(error: Exception) -> Exception:
    wrapped = RuntimeError("of a library")
    wrapped.__cause__ = error
    return wrapped


@pytest.mark.parametrize("code", ["40001", "40P01", "55P03"])
def test_conflicts_of_postgresql_are_recognised(code):
    assert transactions.is_conflict(OfPostgresql(code)) and transactions.is_conflict(caused_by(OfPostgresql(code)))


@pytest.mark.parametrize("code", [1213, 1205, 1020])
def test_conflicts_of_mysql_are_recognised(code):
    error = pymysql.err.OperationalError(code, "deadlock")
    assert transactions.is_conflict(error) and transactions.is_conflict(caused_by(error))


def test_other_errors_are_none():
    others = [None, ValueError(1213), OfPostgresql("23505"), pymysql.err.OperationalError(1062, "duplicate")]
    assert not any(map(transactions.is_conflict, others))


def test_a_conflict_is_tried_again_after_longer_and_longer_pauses(pauses):
    errors = [OfPostgresql("40001")] * 3

    def act() -> str:
        if errors:
            raise errors.pop()
        return "done"

    assert transactions.retry_on_conflict(act) == "done"
    assert len(pauses) == 3 and all(0.01 * 2**n <= pause <= 0.03 * 2**n for n, pause in enumerate(pauses))


def test_a_conflict_that_stays_is_raised_in_the_end(pauses):
    with pytest.raises(OfPostgresql):
        transactions.retry_on_conflict(lambda: (_ for _ in ()).throw(OfPostgresql("40P01")))
    assert len(pauses) == transactions.MOST_CONFLICTS


def test_another_error_is_raised_at_once(pauses):
    with pytest.raises(ZeroDivisionError):
        transactions.retry_on_conflict(lambda: 1 // 0)
    assert not pauses
