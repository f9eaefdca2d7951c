"""Fixtures of the site's tests."""

from tests.dashboard.answers import answer  # noqa: F401 - pytest finds them here
from tests.dashboard.browser import browser, served, visit  # noqa: F401
