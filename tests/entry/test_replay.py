"""The audit is complete: replayed from an empty database it gives the rows that people entered, changed and deleted."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from pipeline.entry.actions import Actor, undo
from pipeline.entry.reversal import from_json
from pipeline.entry.tables import TABLES, class_of
from pipeline.schemas import audit
from tests.conftest import empty_tables
from tests.entry import lab_of_mice
from tests.entry.lab_of_mice import BY, NOW, do

pytestmark = pytest.mark.slow

DAY = datetime.timedelta(days=1)


def live() -> None:
    """Some days of a lab, with all that follows from what is entered, a correction, a deletion and an undo."""
    from pipeline import entry

    pair = do("start_pair", "cora", father="m1", mothers="m2", line="Ai32").result
    litter = do("record_litter", "cora", breeding_pair=pair, n_born="3").result
    do("wean", "cora", litter=litter, males="1", females="1", confirmed=True)
    do("weigh", subject="m1", weight="25")
    do("start_restriction", subject="m1", reference_weight="25")
    do("give_water", subject="m1", volume="0,8", now=NOW + DAY)
    do("operate", subject="m1", procedures="Headplate implant", implant_weight="1.5", now=NOW + DAY)
    do("move", "cora", subject="m1", cage="C7", now=NOW + DAY)
    do("edit_animal", subject="m1", ear_mark="L1", subject_description="Grün, „laut“")
    do("note", subject="m1", note_text="Calm.")
    wrong = do("weigh", subject="m1", weight="24", now=NOW + DAY)
    undo(wrong.batch, actor=Actor.of("mia"))
    entry.remove("action.WaterAdministration", [{"lab": lab_of_mice.LAB, "subject": "m1",
                                                 "administration_time": NOW + DAY}], **BY)  # fmt: skip
    do("cull", subject="m1", cull_method="CO2", cull_reason="surplus", now=NOW + 2 * DAY)


def rows() -> dict[str, list[dict[str, Any]]]:
    collected = {name: class_of(name)().to_dicts(order_by=class_of(name).primary_key) for name in TABLES}
    return {name: listed for name, listed in collected.items() if listed}


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_the_audit_replayed_gives_the_same_rows(database):
    words = rows()  # those that come with the tables
    lab_of_mice.build()
    live()
    wanted, edits = rows(), audit.Edit().to_dicts(order_by="edit_time, edit_number")
    assert {edit["edit_action"] for edit in edits} == {"create", "update", "delete"}
    empty_tables(database)
    assert rows() == words
    for edit in edits:
        table, key = class_of(edit["edit_table"]), from_json(edit["edit_table"], edit["edit_key"])
        after = from_json(edit["edit_table"], edit["edit_after"] or {})
        if edit["edit_action"] == "create":
            table.insert1(key | after)
        elif edit["edit_action"] == "update":
            table.update1(key | after)
        else:
            (table & key).delete_quick()
    recorded = rows()
    assert set(recorded) == set(wanted)
    for name, listed in wanted.items():
        assert recorded[name] == listed, name
