"""The page of copies: what is where, by lab; nothing of it for the public."""

from __future__ import annotations

import pytest

from tests.dashboard.browser import looks

pytestmark = pytest.mark.slow


def test_copies_are_shown_by_lab_and_repository(visit):
    seen = visit("/app/transfers", viewer="mia")
    seen.page.wait_for_selector("#transfers-content table")
    words = seen.text("#transfers-content")
    assert "Repository" in words and "Oldest check" in words and "No file has failed." in words


def test_it_looks_well(visit):
    looks(visit, "/app/transfers", "transfers")
