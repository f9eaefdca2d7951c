"""Protects sorting: what an external program finds becomes files and rows, or a reason; never half, never twice."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

import ingest
from ingest import sorting
from ingest.simulate import damage
from ingest.simulate.ephys import Insertion, Unit, simulate_insertion, write_recording
from ingest.sorting import alf_files, job, measures, process, results
from ingest.sorting.work import spike_times
from pipeline.database.bulk import fetch_columns
from pipeline.errors import InvalidSettings, NeurojointError
from pipeline.schemas import data, ephys, task
from pipeline.settings import load, override, settings

SESSION = "mylab/Subjects/m1/2020-01-01/001"
SECONDS, RATE, N_SITES = 3.0, 30_000, 16
TOY = Path(__file__).with_name("toy_sorter.py")
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


def runs() -> list[dict]:
    return fetch_columns(task.SortingRun).to_pylist()


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
    found = {path.name[:-4]: np.load(path) for path in folder.glob("*.npy")}
    truth = insertion.objects["spikes"]
    origin = ephys.ChannelMap().fetch1("map_axial")[0] - 20  # um, where the header counts from
    assert len(np.unique(found["spikes.clusters"])) == len(UNITS)
    assert np.array_equal(found["spikes.times"], found["spikes.samples"] / RATE)
    for number, unit in enumerate(UNITS):
        true = truth["samples"][truth["clusters"] == number]
        mine = found["spikes.clusters"] == np.argmin(np.abs(found["clusters.depths"] - origin - unit.depth))
        near = np.abs(found["spikes.samples"][mine][:, None] - true[None]).min(axis=1)
        assert np.mean(near <= 2) > 0.95
        cluster = int(found["spikes.clusters"][mine][0])
        assert found["clusters.amps"][cluster] == pytest.approx(1e-6 * unit.amplitude, rel=0.08)
        assert found["clusters.depths"][cluster] == pytest.approx(unit.depth + origin, abs=15)
        assert found["clusters.peakToTrough"][cluster] == pytest.approx(
            insertion.truth["units"][number]["peak_to_trough"], abs=0.1
        )
        assert found["clusters.channels"][cluster] == insertion.truth["units"][number]["channel"]
    assert pq.read_table(folder / "clusters.metrics.pqt")["ks2_label"].to_pylist() == ["good"] * 3
    (row,) = runs()
    assert (row["sorting_state"], row["sorting_version"], row["sorting_exit_code"]) == ("done", "toy 7", 0)
    assert (row["n_sorted_units"], row["n_sorted_spikes"]) == (3, len(found["spikes.times"]))
    assert row["sorting_folder"] == "alf/probe00/toy"
    assert json.loads(row["sorting_parameters"]) == {}
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
    states = {(row["sorting_folder"].rpartition("/")[2], row["sorting_attempts"]) for row in runs()}
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
        row = next(row for row in runs() if json.loads(row["sorting_parameters"])["mode"] == mode)
        assert row["sorting_state"] == "failed"
        assert reason in row["sorting_problem"]
        assert row["sorting_end"] is not None
    failed = next(row for row in runs() if json.loads(row["sorting_parameters"])["mode"] == "fail")
    assert failed["sorting_exit_code"] == 3
    assert failed["sorting_log"].split("\n")[-2:] == ["working 20%", "no GPU found"]
    assert folders(recorded) == []
    assert scratch_is_empty()
    with override(sorters={"toy": {"command": ["/no/such/program"]}}):
        ((_, message),) = sorting.sort(recorded, "toy").failures
    assert "/no/such/program cannot be started" in message
    assert sorting.sort(recorded, "toy").sorted
    assert max(row["sorting_attempts"] for row in runs()) == 2, "the program that was not there, then the good one"


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
    assert row["sorting_state"] == "failed"
    (recorded / SESSION / "alf" / "probe00" / ".sorting-toy-0badc0de").mkdir()
    summary = sorting.sort(recorded, "toy")
    assert (len(summary.adopted), summary.sorted) == (1, [])
    assert folders(recorded) == ["probe00/toy"]
    assert len(data.Dataset & "collection = 'alf/probe00/toy'") > 10
    assert runs()[0]["sorting_state"] == "done"
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
    command = [sys.executable, "-c", "from pipeline.cli import main; main()", "sort", str(recorded), "toy"]
    command += ["--parameters", str(parameters)]
    ours = subprocess.Popen(command, env=os.environ | variables, stderr=subprocess.PIPE, text=True)
    wait_for(marks, ours)
    with override(sorters=sorters, scratch=tmp_path / "scratch"):
        assert sorting.sort(recorded, "toy", parameters=json.loads(parameters.read_text())).busy
        ours.kill()
        ours.communicate()
        (row,) = runs()
        assert row["sorting_state"] == "running"
        assert folders(recorded) == []
        assert sorting.sort(recorded, "toy", parameters=json.loads(parameters.read_text())).sorted
        assert scratch_is_empty()
    assert are_gone(marks)
    (row,) = runs()
    assert (row["sorting_state"], row["sorting_attempts"]) == ("done", 2)
    again = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=True)
    assert again.stdout == "0 sorted, 1 were before\n"


def wait_for(marks: Path, program: subprocess.Popen) -> None:
    """Until the toy has noted its processes."""
    until = time.monotonic() + 60
    while not (marks.exists() and marks.read_text()):
        assert program.poll() is None, program.stderr and program.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.05)


def test_times_follow_the_synchronisation(tmp_path):
    """Linear between the known points, by the sampling rate beyond; without a file from zero."""
    recording = tmp_path / "_spikeglx_ephysData_g0_t0.imec0.ap.bin"
    samples = np.array([0, 1000, 2000, 3000, 4000])
    assert spike_times(recording, samples, 1000.0).tolist() == [0, 1, 2, 3, 4]
    table = tmp_path / "_spikeglx_ephysData_g0_t0.imec0.timestamps.npy"
    np.save(table, np.array([[1000, 10.0], [3000, 12.2]]))
    assert spike_times(recording, samples, 1000.0) == pytest.approx([9, 10, 11.1, 12.2, 13.2])
    np.save(table, np.array([[1000, 10.0], [900, 12.2]]))
    with pytest.raises(NeurojointError, match="no ascending"):
        spike_times(recording, samples, 1000.0)


def test_measures_are_the_truth_at_the_true_spikes(tmp_path):
    """With noise of 5 uV: amplitudes of single spikes to their noise, their mean to 2 %, depths to a few um."""
    units = [
        Unit(depth=400, rate=20, amplitude=200, amplitude_sd=0.2),
        Unit(depth=700, rate=20, amplitude=80, amplitude_sd=0.1),
    ]
    insertion = simulate_insertion(units=units, duration=5.0, n_sites=96, n_silent=0)
    raw = np.fromfile(write_recording(tmp_path, insertion, 5.0, noise=5.0), np.int16).reshape(-1, 97)
    spikes, channels = insertion.objects["spikes"], insertion.objects["channels"]
    found = measures.measure(
        lambda first, last: raw[first:last, :-1] * np.float32(2.34375e-6), len(raw), RATE,
        channels["localCoordinates"], spikes["samples"], spikes["clusters"],
    )  # fmt: skip
    for number in range(2):
        mine = spikes["clusters"] == number
        assert np.mean(found.amps[mine]) == pytest.approx(spikes["amps"][mine].mean(), rel=0.03)
        assert np.corrcoef(found.amps[mine], spikes["amps"][mine])[0, 1] > (0.97, 0.7)[number]
        assert np.mean(found.depths[mine]) == pytest.approx(units[number].depth, abs=8)
    true = insertion.objects["clusters"]
    for number in range(2):
        assert found.waveforms_channels[number, 0] == true["channels"][number]
        same = found.waveforms_channels[number, :8]
        wave = np.zeros((82, 96))
        wave[:, true["waveformsChannels"][number]] = true["waveforms"][number]
        expected = wave[:, same] - wave[:, same].mean(axis=0)
        assert np.abs(found.waveforms[number][:, :8] - expected).max() < 6e-6
    assert found.peak_to_trough == pytest.approx(true["peakToTrough"], abs=0.1)


def write_results(folder: Path, times: object, clusters: object, **more: str) -> Path:
    folder.mkdir(parents=True)
    np.save(folder / "spike_times.npy", np.asarray(times))
    np.save(folder / "spike_clusters.npy", np.asarray(clusters))
    for name, text in more.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def test_results_are_read_from_the_folders_that_sorters_write(tmp_path):
    """Columns as (n, 1), unsigned, unsorted; labels of a curator before those of the sorter; SpikeInterface's forms."""
    labels = {
        "cluster_KSLabel__tsv": "cluster_id\tKSLabel\n4\tmua\n7\tmua\n",
        "cluster_group__tsv": "cluster_id\tgroup\n7\tgood\n",
    }
    write_results(tmp_path / "a" / "deep", np.array([[9], [3], [5]], np.uint64), [7, 4, 7], **labels)
    found = results.read(tmp_path / "a", 10)
    assert (found.samples.tolist(), found.clusters.tolist()) == ([3, 5, 9], [4, 7, 7])
    assert found.labels == {4: "mua", 7: "good"}
    folder = tmp_path / "b"
    folder.mkdir()
    np.savez(folder / "sorting_cached.npz", spike_indexes_seg0=np.array([1, 2]), spike_labels_seg0=np.array([0, 5]))
    (folder / results.SAYS).write_text('{"version": "9.1"}')
    found = results.read(folder, 10)
    assert (found.clusters.tolist(), found.version) == ([0, 5], "9.1")


@pytest.mark.parametrize(
    ("times", "clusters", "problem"),
    [
        ([1, 2], [1], "times of 2 spikes"), ([], [], "no spike"), ([-1, 2], [0, 0], "lie between"),
        ([1, 10], [0, 0], "lie between"), ([1.5, 2], [0, 0], "whole"), ([1, 2], [0, -1], "below 0"),
        ([[1, 2], [3, 4]], [0, 0], "no list"), (["a", "b"], [0, 0], "no list"), ([1, np.nan], [0, 0], "whole"),
    ],
)  # fmt: skip
def test_results_that_cannot_be_are_refused(tmp_path, times, clusters, problem):
    with np.errstate(invalid="ignore"), pytest.raises(NeurojointError, match=problem):
        results.read(write_results(tmp_path / "x", times, clusters), 10)


def test_results_are_never_unpickled_or_executed(tmp_path):
    """Kilosort's params.py is Python, and npy files may hold pickles: neither is run."""
    folder = write_results(tmp_path / "x", [1, 2], [0, 1], params__py="raise SystemExit(99)\n")
    assert len(results.read(folder, 10).samples) == 2
    damage.write_valid(tmp_path / SESSION)
    damage.object_array(tmp_path / SESSION)
    (tmp_path / SESSION / "alf" / "_ibl_trials.choice.npy").replace(folder / "spike_times.npy")
    with pytest.raises(NeurojointError, match="cannot be used"):
        results.read(folder, 10)
    assert not damage.marker(tmp_path / SESSION).exists()


def a_job(tmp_path: Path, **changes: object) -> job.Job:
    given = dict.fromkeys(("channels", "positions", "shanks", "uv_per_bit"), [])
    given |= {"sorter": "toy", "recording": "/data/a b.bin", "sampling_rate": 3e4, "n_channels": 9, "n_samples": 5}
    given |= {"parameters": {}, "threads": 2, "output": str(tmp_path), "scratch": str(tmp_path)}
    return job.Job(**(given | changes))


def test_commands_are_lists_of_arguments_and_know_their_placeholders(tmp_path):
    template = ["prog", "--in={recording}", "{threads}", "$(touch x); {job}"]
    argv = job.command(template, a_job(tmp_path), Path("/j.json"))
    assert argv == ["prog", "--in=/data/a b.bin", "2", "$(touch x); /j.json"]
    with pytest.raises(InvalidSettings, match=r"has \{gpu\}"):
        job.command(["prog", "{gpu}"], a_job(tmp_path), Path("/j.json"))


def test_sorters_in_the_settings_are_checked():
    assert load(sorters={"ks4": {"command": ["a"]}}).sorters["ks4"].timeout == 86_400
    for wrong in ({"a/b": {"command": ["a"]}}, {"probe01": {"command": ["a"]}}, {"x": {"command": []}},
                  {"x": {"command": ["a"], "shell": True}}, {"x": {"command": ["a"], "timeout": 0}}):  # fmt: skip
        with pytest.raises(InvalidSettings, match="sorters"):
            load(sorters=wrong)


def hang(tmp_path: Path) -> tuple[Path, list[str]]:
    """A command that starts a child and hangs, and the file in which it notes both processes."""
    marks = tmp_path / "marks"
    folder = tmp_path / "job"
    folder.mkdir()
    a_job(tmp_path, parameters={"mode": "hang", "marks": str(marks)}).write(folder / "job.json")
    return marks, [sys.executable, str(TOY), str(folder / "job.json")]


def are_gone(marks: Path) -> bool:
    """Whether the processes that a file names have ended, within a few seconds."""
    until = time.monotonic() + 10
    for pid in map(int, marks.read_text().split()):
        with contextlib.suppress(psutil.NoSuchProcess):
            while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                if time.monotonic() > until:
                    return False
                time.sleep(0.05)
    return True


def test_a_program_whose_time_is_over_is_ended_with_its_children(tmp_path):
    marks, argv = hang(tmp_path)
    ended = process.run(argv, tmp_path / "job", timeout=1.5)
    assert (ended.exit_code, ended.problem) == (None, "it had not ended after 1.5 s")
    assert are_gone(marks)
    assert not (tmp_path / "job" / process.PROCESS).exists()


def test_a_program_gets_no_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROJOINT_DATABASE_PASSWORD", "secret")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    show = "import os; print(sorted(n for n in os.environ if n.startswith(('NEURO', 'PYTHONPATH', 'MINE'))))"
    ended = process.run([sys.executable, "-c", show], tmp_path, 60, {"MINE": "1"})
    assert ended.tail == "['MINE']"


def test_what_a_killed_run_left_is_ended_by_the_next(tmp_path):
    """kill -9 of the pipeline leaves the program running; the next run finds it by number and time of its start."""
    marks, argv = hang(tmp_path)
    code = "import sys; from pathlib import Path; from ingest.sorting import process; "
    code += "process.run(sys.argv[2:], Path(sys.argv[1]), 600)"
    ours = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "job"), *argv])
    wait_for(marks, ours)
    ours.send_signal(signal.SIGKILL)
    ours.wait()
    first, child = map(int, marks.read_text().split())
    assert psutil.pid_exists(first)
    process.end_left_over(tmp_path / "job")
    assert are_gone(marks)
    noted = {"pid": os.getpid(), "created": 0.0}
    (tmp_path / "job" / process.PROCESS).write_text(json.dumps(noted))
    process.end_left_over(tmp_path / "job")  # a number that another process has by now: this one, which goes on


def test_folders_appear_whole_and_never_replace_others(tmp_path):
    place = tmp_path / "alf" / "probe00" / "toy"
    (tmp_path / "alf" / "probe00" / ".sorting-toy-left").mkdir(parents=True)
    day = datetime.date(2024, 5, 6)
    made = []
    for number in range(3):
        folder = alf_files.unfinished(place)
        (folder / "spikes.times.npy").write_text(str(number))
        (folder / alf_files.SAYS).write_text(json.dumps({"parameters_hash": "p", "recording_hash": str(number)}))
        made.append(alf_files.publish(folder, place, day).relative_to(place.parent).as_posix())
    assert made == ["toy", "toy/#2024-05-06#", "toy/#2024-05-06a#"]
    assert sorted(path.name for path in place.parent.iterdir()) == ["toy"]
    assert alf_files.find(place, "p", "1") == place / "#2024-05-06#"
    assert alf_files.find(place, "p", "9") is None


def spikeinterface_python() -> str | None:
    """The Python of an environment with SpikeInterface."""
    if given := os.environ.get("NEUROJOINT_SPIKEINTERFACE_PYTHON"):
        return given
    with contextlib.suppress(ImportError):
        import spikeinterface.sorters  # noqa: F401

        return sys.executable
    return None


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_spykingcircus2_finds_the_simulated_units(database, tmp_path):
    """Through SpikeInterface in its own environment: four of five units with 9 of 10 spikes, within 0.4 ms."""
    python = spikeinterface_python()
    if python is None:
        pytest.skip(
            "no SpikeInterface: pip install neurojoint[sorting], or NEUROJOINT_SPIKEINTERFACE_PYTHON=/its/python"
        )
    places = np.linspace(40, 280, 5)
    units = [Unit(depth=d, lateral=35, rate=8, amplitude=200, amplitude_sd=0.05, width=w)
             for d, w in zip(places, (0.3, 0.6, 0.4, 0.7, 0.5), strict=True)]  # fmt: skip
    insertion = simulate_insertion(units=units, duration=40.0, n_sites=32, n_silent=0, seed=3)
    root = tmp_path / "data"
    damage.write_valid(root / SESSION)
    write_recording(root / SESSION, insertion, 40.0, noise=6.0)
    ingest.register(root, processes=1)
    sorter = {
        "command": [python, "{runner}", "{job}"],
        "parameters": {"apply_motion_correction": False},
        "timeout": 900,
    }
    with override(sorters={"spykingcircus2": sorter}, scratch=tmp_path / "scratch", processes=2):
        summary = sorting.sort(root, "spykingcircus2")
    assert not summary.failures, (summary.failures, runs()[0]["sorting_log"])
    folder = root / SESSION / "alf" / "probe00" / "spykingcircus2"
    samples, clusters = (np.load(folder / f"spikes.{name}.npy") for name in ("samples", "clusters"))
    spikes = insertion.objects["spikes"]
    found = 0
    for number in range(len(units)):
        true = spikes["samples"][spikes["clusters"] == number]
        near = np.searchsorted(samples, true[:, None] + [-12, 13])
        hits = [np.unique(clusters[low:high]) for low, high in near]
        best = np.bincount(np.concatenate(hits), minlength=1).max()
        found += best > 0.9 * len(true)
    assert found >= 4
    assert runs()[0]["sorting_version"].startswith("spykingcircus2 2")
