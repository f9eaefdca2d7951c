"""Fixtures of the tests of entering."""

from tests.entry.lab_fixture import lab_in_transaction, lab_of_module  # noqa: F401 - pytest finds them here
