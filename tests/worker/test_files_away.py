"""What could not be computed while its files were away is computed once they are back, without a word of anybody."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import ingest
from ingest import simulate
from pipeline import worker
from pipeline.errors import InvalidData
from pipeline.schemas import behavior, data
from pipeline.schemas.inputs import files

TABLES = [behavior.TrialSet, behavior.Lick, behavior.AmbientSensor]
pytestmark = pytest.mark.slow


def failed() -> set[str]:
    """What the failed jobs say."""
    messages: set[str] = set()
    for table in TABLES:
        messages |= set((table().jobs & {"status": "error"}).to_arrays("error_message").tolist())
    return messages


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_jobs_whose_files_were_away_are_computed_when_they_are_back(database, tmp_path):
    """A session's folder, then the whole data root; the worker that starts next takes up what failed."""
    root = tmp_path / "data"
    simulate.write_lab(root, 1, 2, lab="simlab", wheel=False)
    ingest.register(root, metadata=sorted(root.glob("*.csv")), repository="r", processes=1)
    session = sorted(root.glob("*/Subjects/*/*/*"))[0]
    for away in (session, root):
        aside = away.rename(tmp_path / "aside")
        worker.drain(TABLES)
        assert failed(), f"{away} was away"
        aside.rename(away)
        worker.drain(TABLES)
        assert not failed()
        assert len(behavior.TrialSet()) == 2
        behavior.TrialSet.delete(prompt=False)


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_an_object_on_two_disks_is_not_read_from_one(database, tmp_path):
    """Columns that are away would be columns that the rig never wrote."""
    folder = tmp_path / "a/simlab/Subjects/m1/2020-01-01/001/alf"
    folder.mkdir(parents=True)
    for name in ("choice", "feedbackType"):
        np.save(folder / f"_ibl_trials.{name}.npy", np.array([1.0, -1.0, 1.0]))
    ingest.register(tmp_path / "a", repository="a", processes=1)
    (key,) = data.AlfObject.keys()
    moved = data.FileRecord & (data.Dataset & {"alf_attribute": "feedbackType"}).proj()
    (row,) = moved.to_dicts()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    data.Repository.insert1({"repository": "b", "repository_kind": "local", "repository_root": str(tmp_path / "b")})
    data.FileRecord.insert1(row | {"repository": "b"})
    (moved & {"repository": "a"}).delete_quick()
    assert set(files.read_object(key, "trials").values) == {"choice", "feedback_type"}
    (tmp_path / "b").rename(tmp_path / "away")
    with pytest.raises(InvalidData, match="feedbackType.*no copy is online here"):
        files.read_object(key, "trials")
