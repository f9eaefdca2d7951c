"""Write allen_regions.csv from the structure tree that the package `iblatlas` carries (`pip install iblatlas`).

For a new version of the atlas: `python pipeline/atlas/make_table.py`, then change `VERSION` of `pipeline.atlas`.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("allen_regions.csv")
COLUMNS = ("id", "acronym", "name", "parent", "depth", "order", "color", "beryl", "cosmos")


def main() -> None:
    """Write the table: one row a structure, in the order of the tree."""
    from iblatlas.regions import BrainRegions

    tree = BrainRegions()
    beryl, cosmos = (tree.id[tree.mappings[name]] for name in ("Beryl", "Cosmos"))
    rows: list[tuple[Any, ...]] = []
    for i in range(1, tree.n_lr + 1):  # 0 is what lies outside of the brain; behind them come the left hemisphere's
        parent = "" if tree.parent[i] != tree.parent[i] else int(tree.parent[i])
        name, acronym = str(tree.name[i]), str(tree.acronym[i])
        mapped = int(beryl[i]), int(cosmos[i])
        row = (
            int(tree.id[i]),
            acronym,
            name,
            parent,
            int(tree.level[i]),
            int(tree.order[i]),
            tree.hexcolor[i],
            *mapped,
        )
        rows.append(row)
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(sorted(rows, key=lambda row: tuple(row)[5]))


if __name__ == "__main__":
    main()
