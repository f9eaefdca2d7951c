"""Whatever the order in which files arrive, change and vanish, the tables end as those of a fresh database."""

from __future__ import annotations

import datetime
import random
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import ingest
from ingest.rows.sources import key_text
from ingest.simulate import write_lab
from pipeline import acquisition, action, data, subject, worker
from pipeline import lab as lab_tables
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns
from pipeline.provenance import staleness
from pipeline.settings import override, settings
from tests.conftest import empty_tables

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    write_lab(root, n_mice=2, n_sessions=5, seed=5)
    return root


def bring_up_to_date(root: Path) -> None:
    ingest.register(root, metadata=[root, root / "notes"], accept_missing=True)
    staleness.refresh()
    worker.drain(registry.populated_tables())


def tables() -> dict[str, pa.Table]:
    """All rows that were computed from files, in order of their keys, without their blobs.

    Water is not: what was given in a session is not forgotten when its folder is removed.
    """
    result = {}
    for table in registry.populated_tables():
        if table is action.WaterHistory:
            continue
        for part in (table, *registry.parts(table)):
            query = part()
            names = [name for name in query.heading.names if not query.heading[name].codec]
            result[registry.label(part)] = fetch_columns(query, *names, order_by=", ".join(query.primary_key))
    return result


def change(sessions: list[Path], chance: random.Random) -> None:
    """One thing that happens to files: values replaced, a version added, a column or a session removed."""
    if chance.random() < 0.4:
        change_metadata(sessions[0].parents[4], chance)
        return
    session = chance.choice(sessions)
    columns = sorted(session.glob("alf/*trials.feedbackType*.npy")) or sorted(session.glob("alf/*.npy"))
    what = chance.choice(["replace", "revise", "remove column", "remove session"])
    if what == "remove session":
        shutil.rmtree(session)
        sessions.remove(session)
    elif columns:
        column = columns[0]
        if what == "remove column":
            column.unlink()
            return
        values = np.load(column, allow_pickle=False)
        folder = column.parent / "#2030-01-01#" if what == "revise" else column.parent
        folder.mkdir(exist_ok=True)
        np.save(folder / column.name, values[::-1].copy() if "feedback" in column.name else values)


def change_metadata(root: Path, chance: random.Random) -> None:
    """One thing that happens to what people wrote down: a setting, a row or a file is changed, moved, taken out."""
    what = chance.choice(["time zone", "wheel unit", "remove row", "correct row", "move file", "remove file"])
    if what == "wheel unit":
        settings().wheel_units["simlab"] = chance.choice(["rad", "deg", "cm"])
        return
    if what == "time zone":
        zone = chance.choice(["America/New_York", "Europe/London", "Asia/Tokyo"])
        (root / "labs.csv").write_text(f"lab,time_zone\nsimlab,{zone}\n")
        return
    name = chance.choice(["weighings.csv", "water.csv", "subjects.csv"])
    here, there = sorted((root / name, root / "notes" / name), key=Path.exists, reverse=True)
    if not here.exists():
        return
    if what == "move file":
        here.rename(there)
        return
    if what == "remove file":
        here.unlink()
        return
    table = here
    heading, *lines = table.read_text().splitlines()
    if what == "remove row" and len(lines) > 1 and table.name != "subjects.csv":
        lines.pop(chance.randrange(len(lines)))
    elif table.name == "weighings.csv":
        parts = lines[0].split(",")
        at = heading.split(",").index("weight")
        parts[at] = str(round(float(parts[at]) + 0.1, 2))
        lines[0] = ",".join(parts)
    table.write_text("\n".join([heading, *lines]) + "\n")


def facts(present: set[tuple]) -> dict[str, list]:
    """What metadata files and settings say; of sessions, those in `present`, since removed folders are kept in mind."""
    stated = data.SourceRow & "source_line > 0" & "stated_table <> 'acquisition.SessionWater'"
    result = {"SourceRow": fetch_columns(stated, "stated_table", "stated_key", "stated_values").to_pylist()}
    weighed = {row["stated_key"] for row in result["SourceRow"] if row["stated_table"] == "action.Weighing"}
    for table in (lab_tables.Lab, subject.Subject, action.Weighing, action.WaterRestriction, acquisition.Session):
        names = [name for name in table.heading.names if not name.endswith(("_json", "extended_qc"))]
        listed = fetch_columns(table, *names).to_pylist()
        if table is acquisition.Session:
            listed = [row for row in listed if tuple(row[name] for name in table.primary_key) in present]
        if table is action.Weighing:
            listed = [row for row in listed if key_text({n: row[n] for n in table.primary_key}) in weighed]
        result[table.__name__] = listed
    return {name: sorted(listed, key=repr) for name, listed in result.items()}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_order_of_arrival_ends_in_the_same_tables(database, lab, tmp_path, seed):
    with override(wheel_units={}):
        check_any_order(database, lab, tmp_path, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10, 40))
def test_any_order_of_arrival_at_length(database, lab, tmp_path, seed):
    with override(wheel_units={}):
        check_any_order(database, lab, tmp_path, seed)


def check_any_order(database, lab, tmp_path, seed):
    chance = random.Random(seed)
    root = tmp_path / "root"
    shutil.copytree(lab, root, ignore=lambda folder, names: [name for name in names if name == "Subjects"])
    (root / "notes").mkdir()
    (root / "notes/restrictions.csv").write_text("lab,subject,restriction_start\n")  # a folder needs a file
    waiting = sorted(lab.glob("simlab/Subjects/*/*/*"))
    chance.shuffle(waiting)
    arrived: list[Path] = []
    while waiting:
        for source in [waiting.pop() for _ in range(min(3, len(waiting)))]:
            target = root / source.relative_to(lab)
            shutil.copytree(source, target)
            arrived.append(target)
        bring_up_to_date(root)
        if len(arrived) > 5:
            change(arrived, chance)
    for _ in range(2):
        change(arrived, chance)
    bring_up_to_date(root)
    grown = tables()
    keys = [path.relative_to(root).parts for path in arrived]
    present = {(key[0], key[2], datetime.date.fromisoformat(key[3]), int(key[4])) for key in keys}
    grown_facts = facts(present)
    assert len(acquisition.Session()) >= len(arrived)

    empty_tables(database)
    bring_up_to_date(root)
    fresh = tables()
    for name, rows in fresh.items():
        assert rows.equals(grown[name]), name
    for name, listed in facts(present).items():
        assert grown_facts[name] == listed, name
    assert fresh["behavior.TrialSet"].num_rows == len(arrived)
    assert fresh["behavior_analysis.SubjectTraining.SessionTrainingStatus"].num_rows > 0
