"""The small lab, built once for a module; each test works in a transaction that is taken back."""

from __future__ import annotations

from collections.abc import Iterator

import datajoint as dj
import pytest

import pipeline
from pipeline import settings
from tests.conftest import empty_tables
from tests.entry import lab_of_mice


@pytest.fixture(scope="module")
def lab_of_module(server: dict[str, object]) -> Iterator[dj.Connection]:
    """The lab in otherwise empty tables."""
    with settings.override(**server):
        connection = dj.conn()
        if not connection.is_connected:
            connection = pipeline.connect()
        empty_tables(connection)
        lab_of_mice.build()
        yield connection


@pytest.fixture
def lab_in_transaction(lab_of_module: dj.Connection) -> Iterator[dj.Connection]:
    """The lab as it was built, whatever other tests of the module did."""
    lab_of_module.start_transaction()
    yield lab_of_module
    if lab_of_module.in_transaction:
        lab_of_module.cancel_transaction()
