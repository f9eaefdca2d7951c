"""Protects reading two-photon data: each file under its meaning, places of histology before estimates, and files that
do not belong together refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import InvalidData, NotFoundError
from pipeline.queries.imaging import FieldData, field_data
from tests.one_bridge.trees import File, Session, build, keys

pytestmark = [pytest.mark.slow, pytest.mark.one_database]
RANDOM = np.random.default_rng(0)
N_FRAMES, N_CELLS = 40, 3
FLUORESCENCE = RANDOM.random((N_FRAMES, N_CELLS)).astype(np.float32)
PLACES = np.array([[-2200.0, 1000.0, -300.0], [-2100.0, 1000.0, -310.0], [-2000.0, 900.0, -320.0]])
FILES = {
    "mpci.times.npy": np.arange(N_FRAMES) / 5 + 3.0,
    "mpci.ROIActivityF.npy": FLUORESCENCE,
    "mpci.badFrames.npy": np.arange(N_FRAMES) == 7,
    "mpciROIs.stackPos.npy": np.array([[10, 0, 0], [20, 2, 0], [30, 5, 0]]),
    "mpciROIs.mpciROITypes.npy": np.array([1, 0, 1]),
    "mpciROITypes.names.tsv": b"roi_values\troi_labels\n0\tno cell\n1\tcell\n",
    "mpciROIs.cellClassifier.npy": np.array([0.9, 0.1, 0.8]),
    "mpciROIs.mlapdv_estimate.npy": PLACES + 500,
    "mpciROIs.brainLocationIds_ccf_2017_estimate.npy": np.array([385, 385, 394]),
    "mpciMeanImage.images.npy": RANDOM.random((6, 40)),
    "mpciStack.timeshift.npy": np.arange(6) / 100,
}


def session(files: dict) -> Session:
    return Session(files=[File(f"alf/FOV_00/{name}", content) for name, content in files.items()])


def read(database, tmp_path, files: dict, name: str = "FOV_00") -> FieldData:
    one = session(files)
    build(tmp_path, [one])
    return field_data({column: value[0] for column, value in keys([one]).items()}, name)


def test_each_file_is_read_under_its_meaning(database, tmp_path):
    result = read(database, tmp_path, FILES)
    assert result.n_cells == N_CELLS and np.array_equal(result.fluorescence, FLUORESCENCE)
    assert result.fluorescence.base is not None, "mapped, not read"
    assert result.bad_frames.nonzero()[0].tolist() == [7]
    assert result.cell_types.tolist() == ["cell", "no cell", "cell"]
    assert result.is_estimate and np.array_equal(result.places, PLACES + 500)
    assert result.region_ids.tolist() == [385, 385, 394]
    times = result.cell_times()
    assert times.shape == (N_FRAMES, N_CELLS) and np.allclose(times[0], [3.0, 3.02, 3.05])
    assert result.neuropil is None and "40 frames, 3 cells" in repr(result)


def test_histology_comes_before_an_estimate_and_is_not_mixed_with_it(database, tmp_path):
    result = read(database, tmp_path, FILES | {"mpciROIs.mlapdv.npy": PLACES})
    assert not result.is_estimate and np.array_equal(result.places, PLACES) and result.region_ids is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"mpci.ROIActivityF.npy": FLUORESCENCE[:-1]}, "39 frames"),
        ({"mpciROIs.stackPos.npy": np.zeros((4, 3))}, "4 cells"),
        ({"mpciROIs.mlapdv_estimate.npy": PLACES / 1000}, "mm or m"),
        ({"mpci.times.npy": np.zeros(N_FRAMES)}, "does not increase"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(database, tmp_path, changed, said):
    with pytest.raises(InvalidData, match=said):
        read(database, tmp_path, FILES | changed)


def test_the_fields_of_view_that_there_are_are_named(database, tmp_path):
    with pytest.raises(NotFoundError, match="FOV_00"):
        read(database, tmp_path, FILES, "FOV_01")
