"""Headings that were read ahead are those that DataJoint reads, and cost it no query."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from datajoint.heading import Heading

from pipeline import behavior
from pipeline.database import headings, registry

pytestmark = pytest.mark.slow


def known(heading: Heading) -> tuple[Any, ...]:
    attributes = {
        name: {field: type(value) if field == "codec" else value for field, value in attribute._asdict().items()}
        for name, attribute in (heading.attributes and heading._attributes).items()
    }
    return list(attributes), attributes, heading.indexes, heading.table_status["comment"], heading.lineage_available


@pytest.mark.slow
def test_headings_that_were_read_ahead_are_the_same(database):
    every = [*registry.every_table(), registry.jobs_of(behavior.TrialSet)]
    info = [item()._heading.table_info if isinstance(item, type) else item._heading.table_info for item in every]
    plain = [Heading(table_info={**told, "conn": database}) for told in info]
    ahead = [SimpleNamespace(_heading=Heading(table_info={**told, "conn": database})) for told in info]
    headings.read_ahead(ahead)
    asked: list[str] = []
    query = database.query
    database.query = lambda sql, *args, **options: (asked.append(sql), query(sql, *args, **options))[1]
    try:
        collected = [known(item._heading) for item in ahead]
    finally:
        del database.query
    assert not asked
    assert collected == [known(heading) for heading in plain]
