"""The documentation says what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_of_tables_is_made_from_the_present_definitions():
    """If this fails: `python docs/make_schema_diagram.py`."""
    spec = importlib.util.spec_from_file_location("make_schema_diagram", DOCS / "make_schema_diagram.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "schemas.md").read_text(encoding="utf-8") == module.page()
