"""What `neurojoint sort` noted in a table of its own becomes tasks, which the next call takes for what they are."""

from __future__ import annotations

import datetime

import pytest

import ingest
from ingest.programs.sorting.runs import Run, items
from ingest.simulate import damage
from ingest.simulate.ephys import Unit, simulate_insertion, write_recording
from pipeline.database import migrate
from pipeline.schemas import data, task
from tests.ingest.sorters import SESSION, runs

pytestmark = pytest.mark.slow
NUMBER = 360
COLUMNS = """dataset_id char(36), sorting_sorter varchar(64), parameters_hash char(32), sorting_state varchar(16),
    sorting_parameters {json}, sorting_version varchar(64), sorting_command {json}, sorting_host varchar(255),
    sorting_attempts integer, sorting_start {time}, sorting_end {time}, sorting_duration double precision,
    sorting_exit_code integer, sorting_problem varchar(1000), sorting_log varchar(4000), recording_hash char(32),
    sorting_folder varchar(255), n_sorted_units integer, n_sorted_spikes bigint"""


def test_sortings_of_an_older_version_are_tasks(database, tmp_path):
    unit = Unit(depth=20, lateral=43, rate=12, amplitude=220, amplitude_sd=0.05, width=0.6)
    damage.write_valid(tmp_path / SESSION)
    write_recording(tmp_path / SESSION, simulate_insertion(units=[unit], duration=1.0, n_sites=4, n_silent=0), 1.0)
    ingest.register(tmp_path, processes=1)
    (repository,) = data.Repository().to_arrays("repository").tolist()
    (one,) = items(repository, "", None)
    is_postgresql = database.adapter.backend == "postgresql"
    table = database.adapter.make_full_table_name("neurojoint_task", "sorting_run")
    form = {"json": "jsonb", "time": "timestamp(6)"} if is_postgresql else {"json": "json", "time": "datetime(6)"}
    like = ""
    if not is_postgresql:
        query = (
            "SELECT table_collation FROM information_schema.tables WHERE table_schema = %s AND table_name = 'dataset'"
        )
        like = f" COLLATE {database.query(query, args=('neurojoint_data',)).fetchone()[0]}"
    start = datetime.datetime(2024, 5, 6, 7, 8, 9)
    row = [one.dataset_id, "ks4", "a" * 32, "done", '{"threshold": 9.5}', "4.1", '["ks4"]', "pc", 2, start,
           start + datetime.timedelta(seconds=70), 65.5, 0, "", "line 1\nline 2", one.recording_hash,
           "alf/probe00/ks4", 12, 3456]  # fmt: skip
    failed = [*row[:2], "b" * 32, "failed", *row[4:12], 1, "no GPU", "", one.recording_hash, "", None, None]
    migration = next(item for item in migrate.shipped(database.adapter.backend) if item.number == NUMBER)
    for again in (False, True):
        if not again:
            database.query(f"CREATE TABLE {table} ({COLUMNS.format(**form)}){like}")
            for values in (row, failed):
                database.query(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(values))})", args=values)
        assert not migration.statements("neurojoint_") and migration.has_second_half
        for statement in migration.statements("neurojoint_", after=True):
            database.query(statement.replace("%", "%%"))
        collected = {item["told"]["parameters_hash"][0]: item for item in runs()}
        assert set(collected) == {"a", "b"}
        done, other = collected["a"], collected["b"]
        assert (done["task_state"], done["task_name"]) == ("Complete", "sort_spikes_probe00_ks4")
        assert done["task_activity"] == "4.1: 12 units, 3456 spikes in alf/probe00/ks4"
        assert (done["task_attempts"], done["task_elapsed"], done["task_started"]) == (2, 65.5, start)
        assert done["told"]["parameters"] == {"threshold": 9.5} and done["task_log"] == "line 1\nline 2"
        assert done["told"]["folder"] == "raw_ephys_data/probe00" and done["subject"] == "m1"
        assert (other["task_state"], other["task_exit"], other["task_message"]) == ("Errored", "program", "no GPU")
    assert Run(one, repository, "ks4", "a" * 32).is_done() and not Run(one, repository, "ks4", "b" * 32).is_done()
    later = Run(one, repository, "ks4", "b" * 32)
    later.begin({"threshold": 8.0})
    assert later.id == collected["b"]["task_uuid"] and len(task.Task()) == 2
    later.failed("again")
