"""Protects sorting: what an external program finds becomes files and rows, or a reason; never half, never twice."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import ingest
from ingest.programs import sorting
from ingest.simulate import damage
from ingest.simulate.ephys import Insertion, Unit, simulate_insertion, write_recording
from pipeline.database.bulk import fetch_columns
from pipeline.errors import InvalidSettings, NeurojointError
from pipeline.schemas import data, ephys, task
from pipeline.settings import override, settings
from tests.ingest.sorters import SESSION, TOY, are_gone, runs, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.one_database]

SECONDS, RATE, N_SITES = 3.0, 30_000, 16
UNITS = [
    Unit(depth=20, lateral=43, rate=12, amplitude=220, amplitude_sd=0.05, width=0.6),
    Unit(depth=100, lateral=59, rate=9, amplitude=160, amplitude_sd=0.05, width=0.3),
    Unit(depth=160, lateral=27, rate=15, amplitude=190, amplitude_sd=0.05, width=0.5),
]


@pytest.fixture
def insertion() -> Insertion:
    return simulate_insertion(units=UNITS, duration=SECONDS, n_sites=N_SITES, n_silent=0, seed=1)


@pytest.fixture
def recorded(tmp_path: Path, insertion: Insertion) -> Path:
    """A data root with one session: trials, and three seconds of a probe with 16 sites."""
    root = tmp_path / "data"
    damage.write_valid(root / SESSION)
    write_recording(root / SESSION, insertion, SECONDS, noise=4.0)
    return root


@pytest.fixture
def toy(tmp_path: Path):
    """Settings with a sorter of 40 lines, and a scratch folder."""
    command = [sys.executable, str(TOY), "{job}"]
    with override(sorters={"toy": {"command": command, "timeout": 60}}, scratch=tmp_path / "scratch") as chosen:
        yield chosen


def folders(root: Path) -> list[str]:
    """Folders of sorted spikes, hidden ones too."""
    alf = root / SESSION / "alf"
    return sorted(path.parent.relative_to(alf).as_posix() for path in alf.rglob("*spikes.times.npy"))


def scratch_is_empty() -> bool:
    return not list(settings().scratch.iterdir())


@pytest.mark.parametrize("compressed", [False, True])
def test_found_spikes_become_files_and_rows(database, recorded, insertion, toy, compressed):
    """Spikes, amplitudes, depths, waveforms and places are those of the simulated units; raw and compressed alike."""
    ingest.register(recorded, processes=1)
    if compressed:
        ingest.compress(recorded, remove_raw=True)
    summary = sorting.sort(recorded, "toy")
    (path,) = summary.sorted
    assert path.endswith(".cbin" if compressed else ".bin")
    assert not summary.failures
    folder = recorded / SESSION / "alf" / "probe00" / "toy"
    arrays = {path.name[:-4]: np.load(path) for path in folder.glob("*.npy")}
    truth = insertion.objects["spikes"]
    origin = ephys.ChannelMap().fetch1("map_axial")[0] - 20  # um, where the header counts from
    assert len(np.unique(arrays["spikes.clusters"])) == len(UNITS)
    assert np.array_equal(arrays["spikes.times"], arrays["spikes.samples"] / RATE)
    for number, unit in enumerate(UNITS):
        true = truth["samples"][truth["clusters"] == number]
        mine = arrays["spikes.clusters"] == np.argmin(np.abs(arrays["clusters.depths"] - origin - unit.depth))
        near = np.abs(arrays["spikes.samples"][mine][:, None] - true[None]).min(axis=1)
        assert np.mean(near <= 2) > 0.95
        cluster = int(arrays["spikes.clusters"][mine][0])
        assert arrays["clusters.amps"][cluster] == pytest.approx(1e-6 * unit.amplitude, rel=0.08)
        assert arrays["clusters.depths"][cluster] == pytest.approx(unit.depth + origin, abs=15)
        assert arrays["clusters.peakToTrough"][cluster] == pytest.approx(
            insertion.truth["units"][number]["peak_to_trough"], abs=0.1
        )
        assert arrays["clusters.channels"][cluster] == insertion.truth["units"][number]["channel"]
    assert pq.read_table(folder / "clusters.metrics.pqt")["ks2_label"].to_pylist() == ["good"] * 3
    (row,) = runs()
    assert (row["task_state"], row["task_name"]) == ("Complete", "sort_spikes_probe00_toy")
    words = f"toy 7: 3 units, {len(arrays['spikes.times']):,} spikes in alf/probe00/toy"
    assert row["task_activity"] == words and "[exit code 0]" in row["task_log"]
    assert row["told"]["parameters"] == {} and row["told"]["folder"].endswith("probe00")
    made = (task.TaskOutput & {"task_uuid": row["task_uuid"]}).to_arrays("output_path").tolist()
    assert sorted(made) == sorted(f"alf/probe00/toy/{path.name}" for path in folder.iterdir())
    registered = fetch_columns(data.Dataset & "collection = 'alf/probe00/toy'", "rel_path")["rel_path"].to_pylist()
    assert sorted(registered) == sorted(f"alf/probe00/toy/{path.name}" for path in folder.iterdir())
    assert scratch_is_empty()
    (clustering,) = fetch_columns(ephys.Clustering()).to_pylist()
    assert (clustering["clustering"], clustering["sorter"]) == ("probe00/toy", "toy")
    ephys.ClusterSet.populate()
    assert len(ephys.ClusterSet.Cluster & "sorter_label = 'good'") == 3


def test_what_is_sorted_is_not_sorted_again(database, recorded, toy):
    """With other parameters it is, into a revision; with --again too; a dry run writes nothing."""
    ingest.register(recorded, processes=1)
    assert sorting.sort(recorded, "toy", dry_run=True).sorted
    assert not runs()
    assert sorting.sort(recorded, "toy").sorted
    before = runs()
    again = sorting.sort(recorded / SESSION, "toy")
    assert (len(again.known), again.sorted) == (1, [])
    assert runs() == before
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    assert sorting.sort(recorded, "toy", parameters={"threshold": 70.0, "mode": "numpy_folder"}).sorted
    assert sorting.sort(recorded, "toy", again=True).sorted
    assert folders(recorded) == [f"probe00/toy{name}" for name in ("", f"/#{today}#", f"/#{today}a#")]
    states = {(row["folder"].rpartition("/")[2], row["task_attempts"]) for row in runs()}
    assert states == {(f"#{today}#", 1), (f"#{today}a#", 2)}
    assert not sorting.sort(recorded, "toy", probe="probe01").known


def test_a_failure_leaves_a_reason_and_nothing_else(database, recorded, toy):
    """Exit code, crash, no results, results that cannot be: recorded with the last lines; a good run follows."""
    ingest.register(recorded, processes=1)
    for mode, reason in (
        ("fail", "exit code 3"), ("nothing", "left no results"), ("beyond", "its spikes lie between"),
    ):  # fmt: skip
        summary = sorting.sort(recorded, "toy", parameters={"mode": mode})
        ((path, message),) = summary.failures
        assert path.endswith(".ap.bin")
        assert reason in message
        row = next(row for row in runs() if row["told"]["parameters"]["mode"] == mode)
        assert row["task_state"] == "Errored"
        assert reason in row["task_message"]
        assert row["task_ended"] is not None
    failed = next(row for row in runs() if row["told"]["parameters"]["mode"] == "fail")
    assert failed["task_log"].splitlines()[-3:] == ["working 20%", "no GPU found", "[exit code 3]"]
    assert folders(recorded) == []
    assert scratch_is_empty()
    with override(sorters={"toy": {"command": ["/no/such/program"]}}):
        ((_, message),) = sorting.sort(recorded, "toy").failures
    assert "/no/such/program cannot be started" in message
    assert sorting.sort(recorded, "toy").sorted
    assert max(row["task_attempts"] for row in runs()) == 2, "the program that was not there, then the good one"


def test_interrupted_before_it_is_registered_it_is_adopted(database, recorded, toy):
    """The files are complete; the next call registers them and does not sort again."""
    ingest.register(recorded, processes=1)

    def stop(line: str) -> None:
        if "registering" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sorting.sort(recorded, "toy", tell=stop)
    assert folders(recorded) == ["probe00/toy"]
    assert not data.Dataset & "collection = 'alf/probe00/toy'"
    (row,) = runs()
    assert row["task_state"] == "Errored"
    (recorded / SESSION / "alf" / "probe00" / ".sorting-toy-0badc0de").mkdir()
    summary = sorting.sort(recorded, "toy")
    assert (len(summary.adopted), summary.sorted) == (1, [])
    assert folders(recorded) == ["probe00/toy"]
    assert len(data.Dataset & "collection = 'alf/probe00/toy'") > 10
    assert runs()[0]["task_state"] == "Complete"
    assert sorting.sort(recorded, "toy").known


def test_only_what_is_registered_and_unchanged_is_sorted(database, recorded, toy):
    with pytest.raises(NeurojointError, match="nothing below"):
        sorting.sort(recorded, "toy")
    ingest.register(recorded, processes=1)
    with pytest.raises(InvalidSettings, match="know no sorter kilosort"):
        sorting.sort(recorded, "kilosort")
    (raw,) = (recorded / SESSION).rglob("*.ap.bin")
    with raw.open("r+b") as file:
        file.write(b"12")
    ((_, message),) = sorting.sort(recorded, "toy").failures
    assert "has changed since it was registered" in message
    ingest.register(recorded, processes=1)
    assert sorting.sort(recorded, "toy").sorted
    with raw.open("r+b") as file:
        file.write(b"34")
    ingest.register(recorded, processes=1)
    assert sorting.sort(recorded, "toy").sorted, "another recording now"


def test_killed_it_leaves_nothing_and_the_next_call_sorts(server, database, recorded, tmp_path):
    """kill -9 of `neurojoint sort` while the program runs; until then others pass the recording over."""
    ingest.register(recorded, processes=1)
    marks = tmp_path / "marks"
    parameters = tmp_path / "parameters.json"
    parameters.write_text(json.dumps({"mode": "hang_once", "marks": str(marks)}))
    sorters = {"toy": {"command": [sys.executable, str(TOY), "{job}"]}}
    url = settings().database_url
    variables = {
        "NEUROJOINT_HOME": str(settings().home), "NEUROJOINT_DATABASE_URL": url.get_secret_value() if url else "",
        "NEUROJOINT_SORTERS": json.dumps(sorters), "NEUROJOINT_SCRATCH": str(tmp_path / "scratch"),
    }  # fmt: skip
    command = [sys.executable, "-c", "from neurojoint.cli import main; main()", "sort", str(recorded), "toy"]
    command += ["--parameters", str(parameters)]
    ours = subprocess.Popen(command, env=os.environ | variables, stderr=subprocess.PIPE, text=True)
    wait_for(marks, ours)
    with override(sorters=sorters, scratch=tmp_path / "scratch"):
        assert sorting.sort(recorded, "toy", parameters=json.loads(parameters.read_text())).busy
        ours.kill()
        ours.communicate()
        (row,) = runs()
        assert row["task_state"] == "Started"
        assert folders(recorded) == []
        assert sorting.sort(recorded, "toy", parameters=json.loads(parameters.read_text())).sorted
        assert scratch_is_empty()
    assert are_gone(marks)
    (row,) = runs()
    assert (row["task_state"], row["task_attempts"]) == ("Complete", 2)
    again = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=True)
    assert again.stdout == "0 sorted, 1 were before\n"
