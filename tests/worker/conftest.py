"""Fixtures of the worker tests."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import datajoint as dj
import pytest

from pipeline.worker import Summary, work
from tests.worker import toys


class Bench:
    """The toy tables with the knobs of their `make`, the calls that were made, and workers of their own."""

    def __init__(self, connection: dj.Connection, path: Path) -> None:
        self.connection, self.path = connection, path

    def behave(self, **wishes: object) -> None:
        self.path.write_text(json.dumps(wishes))

    def calls(self, table: str | None = None) -> list[tuple[str, ...]]:
        """Each call of a `make` as (table, subject, session number, pid)."""
        log = self.path.with_suffix(".log")
        lines = log.read_text().splitlines() if log.exists() else []
        return [tuple(line.split()) for line in lines if table is None or line.startswith(f"{table} ")]

    def work(self, processes: int = 2, **options: object) -> Summary:
        opener = functools.partial(toys.open_toys, self.path)
        return work(**{"once": True} | options, processes=processes, tables=toys.TABLES, open_tables=opener)


@pytest.fixture
def bench(database: dj.Connection, tmp_path: Path) -> Iterator[Bench]:
    with toys.declared(database, tmp_path / "toys.json"):
        yield Bench(database, tmp_path / "toys.json")


@pytest.fixture
def statuses() -> Callable[[type[dj.Table]], dict[str, int]]:
    """Status -> number of jobs of a table, without zeros and the total."""

    def count(table: type[dj.Table]) -> dict[str, int]:
        progress = table.jobs.progress()
        return {name: number for name, number in progress.items() if number and name != "total"}

    return count
