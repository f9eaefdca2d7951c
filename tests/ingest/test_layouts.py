"""Protects the ingest of published layouts: what is meant is read, what is not understood is listed, not ignored."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline import worker
from pipeline.errors import InvalidData
from pipeline.schemas import behavior, data
from pipeline.schemas.inputs import files, series
from tests.ingest.tree import ingest, rows, write

pytestmark = pytest.mark.slow

SESSION = "mylab/Subjects/m1/2020-01-01/001"
KEY = {"lab": "mylab", "subject": "m1", "session_date": "2020-01-01", "session_number": 1}


def steinmetz(root: Path) -> dict[str, np.ndarray]:
    """A session in the names of the Steinmetz 2019 release; returns what is true of its trials."""
    chance = np.random.default_rng(1)
    n_trials = 40
    left, right = (chance.choice([0, 0.25, 0.5, 1], n_trials) for _ in "lr")
    choice = np.select([left > right, right > left], [1.0, -1.0], chance.choice([0.0, 1.0], n_trials))
    both_blank = (left == 0) & (right == 0)
    choice[both_blank] = 0
    start = np.arange(n_trials) * 4.0
    columns = {
        "visualStim_contrastLeft": left, "visualStim_contrastRight": right, "visualStim_times": start + 0.5,
        "goCue": start + 0.9, "response_choice": choice, "response_times": start + 1.5, "feedback_times": start + 1.6,
        "feedbackType": np.where((choice != 0) | both_blank, 1.0, -1.0), "included": np.ones(n_trials, bool),
        "repNum": np.ones(n_trials),
    }  # fmt: skip
    folder = root / SESSION / "alf"
    folder.mkdir(parents=True)
    for name, values in columns.items():
        np.save(folder / f"trials.{name}.npy", values[:, None])
    np.save(folder / "trials.intervals.npy", np.column_stack([start, start + 3]))
    return {"choice": choice, "contrast_left": left, "contrast_right": right, "stim_on_times": start + 0.5}


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_names_of_steinmetz_fill_the_columns_of_trials(database, tmp_path):
    truth = steinmetz(tmp_path)
    ingest(tmp_path)
    worker.drain([behavior.TrialSet])
    result = (behavior.TrialSet.Trial & KEY).to_arrays(*truth, order_by="trial_id")
    for values, expected in zip(result, truth.values(), strict=True):
        assert np.array_equal(np.asarray(values, float), expected)
    assert behavior.TrialSet.fetch1("columns_other") == []
    assert not rows(data.Quarantine, "reason")


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_an_array_of_a_wrong_shape_is_a_dataset_in_quarantine_and_no_reader_takes_it(database, tmp_path):
    alf = write(tmp_path, SESSION) / "alf"
    np.save(alf / "eye.area.npy", np.zeros((50, 2)))
    np.save(alf / "eye.blink.npy", np.zeros(50, bool))
    ingest(tmp_path)
    assert rows(data.Quarantine, "quarantine_path", "quarantine_column", "reason") == [
        (f"{SESSION}/alf/eye.area.npy", "area", "wrong_shape")
    ]
    assert data.Dataset & {"rel_path": "alf/eye.area.npy"}
    with pytest.raises(InvalidData, match="quarantine"):
        files.read_attribute(KEY, "eye", "area")
    assert len(files.read_attribute(KEY, "eye", "blink")) == 50


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_clocks_and_indices_are_checked_and_resolved_for_all_objects(database, tmp_path):
    alf = write(tmp_path, SESSION) / "alf"
    np.save(alf / "eye.area.npy", np.ones(100))
    np.save(alf / "eye.timestamps.npy", np.array([[0, 10.0], [99, 20.0]]))
    np.save(alf / "face.motionEnergy.npy", np.ones(100))
    np.save(alf / "face.timestamps.npy", np.array([[0, 10.0], [50, 20.0]]))
    np.save(alf / "channels.localCoordinates.npy", np.arange(8.0).reshape(4, 2))
    np.save(alf / "clusters.channels.npy", np.array([3, 0]))
    np.save(alf / "channels.probes.npy", np.array([0, 0, 1, 2]))
    np.save(alf / "probes.sitePositions.npy", np.zeros((2, 2)))
    ingest(tmp_path)
    assert rows(data.Quarantine, "quarantine_column", "reason") == [
        ("probes", "wrong_reference"),
        ("timestamps", "wrong_clock"),
    ]
    assert np.allclose(series.read_times(KEY, "eye", 100), np.linspace(10, 20, 100))
    assert series.read_referenced(KEY, "clusters.channels", "localCoordinates").tolist() == [[6, 7], [0, 1]]
    with pytest.raises(InvalidData):
        series.read_times(KEY, "face", 100)
    shutil.rmtree(alf)
