"""`neurojoint check` finds what does not fit together, and nothing where all does."""

from __future__ import annotations

import pytest

from ingest.check import check
from pipeline.schemas import behavior, data
from pipeline.worker import drain, tables_named
from tests.ingest.tree import ingest, write

pytestmark = pytest.mark.slow


def wrong(**options) -> dict[str, int]:
    return {item.rule: item.n_wrong for item in check(**options) if item.n_wrong}


def test_a_sound_lab_has_nothing_wrong_and_each_damage_is_found(database, tmp_path):
    for day in range(1, 4):
        write(tmp_path, f"lab/Subjects/m1/2020-01-{day:02d}/001")
    ingest(tmp_path)
    drain(tables_named(["behavior.TrialSet"]))
    assert wrong(hashes=True) == {}
    assert all(item.n_checked for item in check(hashes=True) if "file" in item.rule or "trials" in item.rule)

    alf = tmp_path / "lab/Subjects/m1/2020-01-01/001/alf"
    (alf / "_ibl_trials.choice.npy").unlink()
    changed = alf / "_ibl_trials.feedbackType.npy"
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    (alf / "_ibl_trials.contrastLeft.npy").write_bytes(b"short")
    one = data.Dataset.keys()[0]
    database.query(
        f"UPDATE {data.Dataset.full_table_name} SET dataset_online = NOT dataset_online "
        f"WHERE dataset_id = '{one['dataset_id']}'"
        if database.adapter.backend == "postgresql"
        else f"UPDATE {data.Dataset.full_table_name} SET dataset_online = 1 - dataset_online "
        f"WHERE dataset_id = '{one['dataset_id']}'"
    )
    (behavior.TrialSet.Trial & {"trial_id": 1, "session_date": "2020-01-02"}).delete_quick()
    assert wrong(hashes=True) == {
        "a registered file is on its disk": 1,
        "a registered file has the size that it had": 1,
        "a registered file has the content that it had": 1,
        "a dataset is online where one of its copies is": 1,
        "a set of trials has as many rows as it says": 1,
    }
