"""Round trips with programs in environments of their own: exported there, ingested here, opened there again.

NEUROJOINT_SPIKEINTERFACE_PYTHON and NEUROJOINT_PHYLIB_PYTHON name their Pythons; `.ci/round_trips.sh` makes them.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ingest
from ingest.programs.sorting import imports, results
from ingest.simulate import damage
from pipeline import ephys
from pipeline.analysis import units
from pipeline.electrophysiology import clusterings
from tests.ingest.sorters import SESSION
from tests.ingest.test_import_sorting import IDS, UNITS, write_phy
from tests.ingest.test_import_sorting import insertion as insertion  # a fixture

pytestmark = pytest.mark.slow
PROGRAMS = Path(__file__).with_name("programs")
VARIABLES = {"spikeinterface": "NEUROJOINT_SPIKEINTERFACE_PYTHON", "phylib": "NEUROJOINT_PHYLIB_PYTHON"}


def run(program: str, *arguments: str | Path) -> dict[str, Any]:
    """What the script of a program prints, run by its own Python."""
    python = os.environ.get(VARIABLES[program])
    if not python:
        pytest.skip(f"{VARIABLES[program]} names no Python with {program}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [python, PROGRAMS / f"in_{program}.py", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("spikeinterface")
    return folder, run("spikeinterface", "export", folder)


def pairs(samples: Sequence[int], units: Sequence[int]) -> list[tuple[int, int]]:
    return sorted(zip(samples, units, strict=True))


@pytest.mark.parametrize("kind", ["numpy_folder", "analyzer", "zarr", "phy"])
def test_every_form_of_spikeinterface_is_read_as_it_was(exported, kind):
    folder, told = exported
    content = results.read(folder / told["made"][kind], 120_000)
    if kind == "phy":  # phy numbers the units from 0
        ids = np.unique(told["units"]).tolist()
        assert pairs(content.samples.tolist(), content.clusters.tolist()) == pairs(
            told["samples"], [ids.index(unit) for unit in told["units"]]
        )
        return
    assert pairs(content.samples.tolist(), content.clusters.tolist()) == pairs(told["samples"], told["units"])
    assert content.labels == {3: "good", 7: "mua", 12: "noise", 20: "good"}


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_the_export_for_the_alignment_gui_has_its_units(database, tmp_path, exported):
    """Rows by index, names by id, waveforms in uV, widths in s: four units with their counts, no others."""
    import shutil

    folder, told = exported
    if "ibl" not in told["made"]:
        pytest.skip(f"SpikeInterface {told['version']} has no export for the GUI")
    shutil.copytree(folder / "ibl", tmp_path / SESSION / "alf" / "probe00")
    damage.write_valid(tmp_path / SESSION)
    ingest.register(tmp_path, processes=1)
    ephys.ClusterSet.populate()
    rows = ephys.ClusterSet.Cluster().to_dicts(order_by="cluster_id")
    counts = [told["units"].count(item) for item in (3, 7, 12, 20)]
    assert [row["cluster_n_spikes"] for row in rows] == counts
    assert ephys.ClusterSet.fetch1("last_spike") < 4.1
    widths = [row["peak_to_trough"] for row in rows if row["peak_to_trough"] is not None]
    assert all(0.05 < width < 3 for width in widths)


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_what_is_imported_here_opens_in_spikeinterface(database, tmp_path, exported):
    folder, told = exported
    damage.write_valid(tmp_path / SESSION)
    ingest.register(tmp_path, processes=1)
    (made,) = imports.import_folder(folder / "phy", session=tmp_path / SESSION, probe="probe00", sorter="si")
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "alf").symlink_to(made.folder)
    theirs = run("spikeinterface", "open", tmp_path / "given")["trains"]
    for number, one in enumerate((3, 7, 12, 20)):
        own = np.sort([sample for sample, unit in zip(told["samples"], told["units"], strict=True) if unit == one])
        np.testing.assert_allclose(theirs[str(number)], own / 30_000, atol=1.1 / 30_000)


def test_metrics_are_those_of_spikeinterface(tmp_path):
    """On the same trains of 600 s, pure and contaminated, with a pause; the same refractory period."""
    chance = np.random.default_rng(2)
    trains = []
    for unit, (rate, others, pause) in enumerate([(8, 0.0, 0), (12, 2.0, 0), (5, 0.5, 200), (20, 6.0, 0)]):
        gaps = 0.003 + chance.exponential(1 / rate - 0.003, int(700 * rate))
        own = np.cumsum(gaps)
        strange = chance.uniform(0, 600, int(600 * others))
        samples = np.unique(np.round(np.sort(np.concatenate([own, strange])) * 30_000).astype(int))
        samples = samples[(samples < 600 * 30_000) & (samples > pause * 30_000)]
        samples = samples[np.diff(samples, prepend=-9) > 3]  # SpikeInterface counts those within 0.1 ms as violations
        trains.append(np.column_stack([samples, np.full(len(samples), unit)]))
    joined = np.concatenate(trains)
    np.save(tmp_path / "trains.npy", joined[np.argsort(joined[:, 0], kind="stable")])
    theirs = run("spikeinterface", "metrics", tmp_path)
    offsets = np.cumsum([0, *(len(train) for train in trains)])
    ours = units.unit_metrics(joined[:, 0] / 30_000, offsets, window=(0.0, 600.0))
    for name, tolerance in (("firing_rate", 1e-6), ("presence_ratio", 1e-6), ("isi_violations_hill", 1e-6)):
        values = theirs[name]
        if values:
            np.testing.assert_allclose(ours[name], [values[str(unit)] for unit in range(4)], rtol=tolerance)
    llobet = [theirs["isi_violations_llobet"][str(unit)] for unit in range(4)]
    # SpikeInterface also counts pairs at exactly 1.5 ms: one of 42 samples more
    np.testing.assert_allclose(ours["isi_violations_llobet"], llobet, rtol=0.04)


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_phylib_and_we_read_one_folder_alike(database, tmp_path, insertion):
    """A phy folder: phylib's spikes are ours; what phylib makes of it as ALF has the same units here."""
    source = write_phy(tmp_path / "elsewhere", insertion)
    (source / "params.py").write_text(
        "dat_path = []\nn_channels_dat = 16\ndtype = 'int16'\noffset = 0\nsample_rate = 30000.0\nhp_filtered = False\n"
    )
    np.save(source / "whitening_mat.npy", np.eye(16))
    np.save(source / "similar_templates.npy", np.eye(3))
    theirs = run("phylib", "alf", source, tmp_path / "alf_of_phylib")
    content = results.read(source, 1 << 62)
    assert content.samples.tolist() == theirs["samples"] and content.clusters.tolist() == theirs["units"]
    root = tmp_path / "data"
    (root / SESSION / "alf").mkdir(parents=True)
    damage.write_valid(root / SESSION)
    (tmp_path / "alf_of_phylib").rename(root / SESSION / "alf" / "probe00")
    ingest.register(root, processes=1)
    imports.import_folder(source, session=root / SESSION, probe="probe00", sorter="ours")
    ephys.ClusterSet.populate()
    counts = {}
    for name in ("probe00", "probe00/ours"):
        units = (ephys.ClusterSet.Cluster & {"clustering": name}).to_dicts(order_by="cluster_id")
        counts[name] = [row["cluster_n_spikes"] for row in units if row["cluster_n_spikes"]]
        assert len(counts[name]) == len(IDS) == len(UNITS)
        key = (ephys.Clustering & {"clustering": name}).fetch1("KEY")
        times = ephys.spikes(key, clustering=name).times
        np.testing.assert_allclose(times, np.sort(theirs["times"]), atol=1e-9)
        assert clusterings.find(key, name) is not None
    assert counts["probe00"] == counts["probe00/ours"]
    again = run("phylib", "open", source)
    assert again["samples"] == theirs["samples"], "the folder is as it was"
