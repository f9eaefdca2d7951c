"""Fixtures of the site's tests."""

from tests.dashboard.browser import browser, served, visit  # noqa: F401 - pytest finds them here
