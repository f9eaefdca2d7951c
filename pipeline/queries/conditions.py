"""How animals are kept: what an animal states, else what its lab states for all."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from pipeline.database.bulk import fetch_columns
from pipeline.schemas import lab, subject


def living_conditions(restriction: Any = ()) -> pa.Table:
    """Light cycle, food and weekend water of animals.

    Parameters
    ----------
    restriction : what restricts `subject.Subject`; by default all animals.

    Returns
    -------
    pa.Table
        `lab`, `subject`, `light_cycle` (normal, inverted, or the lab's own words), `food` (name), `food_protein`
        (percent of the mass of the food) and `weekend_water` (measured, citric acid, free, or the lab's own words);
        null where neither the animal nor its lab states it.
    """
    animals = subject.Subject & restriction if restriction else subject.Subject()
    own = ("light_cycle", "food", "food_protein", "weekend_water")
    shared = ("lab_light_cycle", "lab_food_protein", "lab_weekend_water")
    names = ("lab", "subject")
    joined = animals.proj(*own) * lab.Lab.proj(*shared)
    table = fetch_columns(joined, *names, *own, *shared, order_by="lab, subject")
    rows = [
        {name: row[name] for name in names}
        | {
            name: next((value for value in (row[name], row.get(f"lab_{name}")) if value not in (None, "")), None)
            for name in own
        }
        for row in table.to_pylist()
    ]
    text, number = pa.string(), pa.float64()
    types = dict.fromkeys((*names, *own), text) | {"food_protein": number}
    return pa.Table.from_pylist(rows, schema=pa.schema(list(types.items())))
