"""Write docs/schemas.md: a diagram of each schema and a list of its tables, made from the definitions.

Run it after a change of the tables: `python docs/make_schema_diagram.py`; a test compares.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import datajoint as dj

sys.path.insert(0, str(Path(__file__).parents[1]))
from pipeline.database import registry  # noqa: E402 - of this checkout

TIERS = {dj.Manual: "manual", dj.Lookup: "lookup", dj.Imported: "imported", dj.Computed: "computed", dj.Part: "part"}
PAGE = Path(__file__).with_name("schemas.md")


def page() -> str:
    """The whole page as Markdown with Mermaid diagrams, which GitHub draws."""
    sections = [_section(name) for name in registry.SCHEMAS]
    return (
        "# The tables\n\nMade from the code by `docs/make_schema_diagram.py`. An arrow leads from a table to one that "
        "refers to it; a dotted one to a reference outside the key. Rounded boxes are other schemas.\n\n"
        + "\n".join(sections)
    )


def _section(schema: str) -> str:
    tables = [item for item in _all() if _schema(item) == schema]
    doc = " ".join((sys.modules[f"pipeline.schemas.{schema}"].__doc__ or "").split())
    lines = [f"## {schema}", "", doc, "", "```mermaid", "flowchart LR"]
    outside, edges = set(), []
    for table in tables:
        lines.append(f'  {_node(table)}["{table.__qualname__}<br/><i>{_tier(table)}</i>"]')
        for parent, in_key in _parents(table):
            edges.append(f"  {_node(parent)} {'-->' if in_key else '-.->'} {_node(table)}")
            if _schema(parent) != schema:
                outside.add(parent)
    lines += [f'  {_node(table)}(["{registry.label(table)}"])' for table in sorted(outside, key=registry.label)]
    lines += [*sorted(set(edges)), "```", "", "| table | tier | one row is |", "|---|---|---|"]
    for table in tables:
        first = table.definition.strip().splitlines()[0].lstrip("# ").strip()
        lines.append(f"| {table.__qualname__} | {_tier(table)} | {first} |")
    return "\n".join([*lines, ""])


def _all() -> list[type[dj.Table]]:
    return [part for table in registry.tables() for part in (table, *registry.parts(table))]


def _schema(table: type[dj.Table]) -> str:
    return table.__module__.rsplit(".", 1)[-1]


def _node(table: type[dj.Table]) -> str:
    return registry.label(table).replace(".", "_")


def _tier(table: type[dj.Table]) -> str:
    return next(name for tier, name in TIERS.items() if issubclass(table, tier))


def _parents(table: type[dj.Table]) -> list[tuple[type[dj.Table], bool]]:
    """The tables that the definition refers to, with whether the reference is in the key."""
    parents, in_key = [], True
    for line in table.definition.splitlines():
        if line.strip().startswith("---"):
            in_key = False
        if match := re.match(r"\s*->\s*(\[\w+\]\s*)?(?P<name>\w+(\.[A-Z]\w+)*)", line):
            parents.append((_resolve(table, match["name"]), in_key))
    return parents


def _resolve(table: type[dj.Table], name: str) -> type[dj.Table]:
    if name == "master":
        name = table.__qualname__.rsplit(".", 1)[0]
    full = name if name.split(".")[0] in registry.SCHEMAS else f"{_schema(table)}.{name}"
    return next(item for item in _all() if registry.label(item) == full)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
