"""The documentation says what the code says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_of_tables_is_made_from_the_present_definitions():
    """If this fails: `python docs/make_schema_diagram.py`."""
    spec = importlib.util.spec_from_file_location("make_schema_diagram", DOCS / "make_schema_diagram.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "schemas.md").read_text(encoding="utf-8") == module.page()


def test_the_files_that_the_architecture_names_are_there():
    """A path below the sources, or the name of a file below the folder that the same flow named before."""
    text = (DOCS / "architecture.md").read_text(encoding="utf-8").partition("## Six flows")[2]
    named = 0
    for flow in text.strip().split("\n\n"):
        rooms: list[str] = []
        for name in re.findall(r"`([\w/]+(?:\.py|/))`", flow):
            candidates = [DOCS.parent / room / name for room in ("", *rooms, *(Path(item).parent for item in rooms))]
            assert any(path.exists() for path in candidates), (name, flow[:60])
            rooms += [name.rpartition("/")[0]] if "/" in name else []
            named += 1
    assert named > 20


def test_the_files_of_compression_are_there():
    text = (DOCS / "architecture.md").read_text(encoding="utf-8").partition("**`cbin.compress`**")[2]
    names = re.findall(r"`(\w+)`", text.partition("\n\n")[0])
    assert len(names) > 5 and all((DOCS.parent / "compression" / "cbin" / f"{name}.py").is_file() for name in names)


def test_the_page_of_columns_has_every_limit_of_the_data():
    from pipeline.alf.names import RULES
    from pipeline.entry.tables import TABLES

    spec = importlib.util.spec_from_file_location("generated", DOCS / "generated.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = module.on_page_markdown((DOCS / "reference" / "fields.md").read_text(encoding="utf-8"))
    for name, entry in TABLES.items():
        section = page.partition(f"### {name}\n")[2].partition("\n### ")[0]
        for field in entry.fields:
            assert f"{field.column}" in section and field.limits() in section, f"{name}.{field.column}"
    assert all(f"| {kind} | {rule.longest} |" in page for kind, rule in RULES.items())
