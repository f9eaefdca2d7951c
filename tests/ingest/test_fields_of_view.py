"""Protects two-photon sessions: folders of fields of view become rows, files say in which regions they lie, and what
cannot be placed is not placed."""

from __future__ import annotations

import numpy as np
import pytest

import ingest
from one_bridge import ONE, query
from pipeline import acquisition, imaging, worker
from pipeline.provenance import staleness
from tests.one_bridge.serving import serving

VISP, VISL, CA1 = 385, 409, 382
SESSION = "simlab/Subjects/mouse1/2024-05-06/001"
PIXELS = np.array([[VISP, -VISP, VISL], [0, VISP, 123456789]])


def write(root, **files: np.ndarray) -> None:
    for name, values in files.items():
        path = root / SESSION / "alf" / f"{name.replace('__', '/')}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, values)


@pytest.fixture
def root(database, tmp_path):
    root = tmp_path / "data"
    times = np.arange(4.0)
    write(
        root,
        **{
            "FOV_00__mpci.times": times,
            "FOV_00__mpciMeanImage.brainLocationIds_ccf_2017_estimate": PIXELS,
            "FOV_00__mpciROIs.brainLocationIds_ccf_2017_estimate": np.array([CA1]),
            "FOV_01__mpci.times": times,
            "FOV_01__mpciROIs.brainLocationIds_ccf_2017": np.array([CA1, CA1, 0]),
            "FOV_02__mpci.times": times,
            "probe00__spikes.times": times,
        },
    )
    ingest.register(root)
    worker.drain([imaging.FileLocation])
    return root


def names(found) -> list[str]:
    return sorted(found.to_arrays("fov_name"))


def test_folders_become_fields_of_view_and_files_place_them(root):
    assert names(imaging.FieldOfView()) == ["FOV_00", "FOV_01", "FOV_02"]
    first, second = imaging.FileLocation().to_dicts(order_by="fov_name")
    assert (first["fov_location_object"], bool(first["fov_location_estimate"])) == ("mpciMeanImage", True)
    assert (first["n_fov_located"], first["n_fov_outside"]) == (4, 1)
    assert first["fov_regions_refused"] == [123456789], "said, and not guessed"
    assert (second["n_fov_located"], second["n_fov_outside"], bool(second["fov_location_estimate"])) == (2, 1, False)
    assert names(query.fields_of_view({"atlas_acronym": "VIS"})) == ["FOV_00"]
    assert names(query.fields_of_view({"atlas_acronym": "CA1"})) == ["FOV_01"]
    assert ONE().search(atlas_acronym="VISl") == ONE().search() and not ONE().search(atlas_acronym="TH")
    worker.drain([imaging.FileLocation])
    ingest.register(root)
    assert len(imaging.FieldOfView()) == 3 and not staleness.find([imaging.FileLocation]).keys


def test_histology_replaces_the_estimate(root):
    write(root, **{"FOV_00__mpciMeanImage.brainLocationIds_ccf_2017": np.full((2, 3), CA1)})
    ingest.register(root)
    assert sum(staleness.refresh([imaging.FileLocation]).values())
    worker.drain([imaging.FileLocation])
    assert names(query.fields_of_view({"atlas_acronym": "CA1"})) == ["FOV_00", "FOV_01"]
    assert not query.fields_of_view({"atlas_acronym": "VISp"})


def test_numbers_that_are_no_regions_are_an_error_that_names_the_file(root):
    write(root, **{"FOV_02__mpciROIs.brainLocationIds_ccf_2017": np.array([0.5, 385.0])})
    ingest.register(root)
    worker.drain([imaging.FileLocation])
    assert names(imaging.FileLocation()) == ["FOV_00", "FOV_01"]
    (job,) = imaging.FileLocation().jobs.errors.to_dicts()
    assert job["fov_name"] == "FOV_02" and "whole numbers" in job["error_message"]


def test_a_program_completes_what_the_folder_made(root, tmp_path):
    """As ibllib does, which creates the records after it registered the first files; then it is no longer new."""
    eid = acquisition.Session().fetch1("eid")
    with serving(imaging.FieldOfView().connection, root, tmp_path) as served:
        http = served.session("mia")
        body = {"session": eid, "name": "FOV_00", "imaging_type": "mesoscope"}
        made = http.post(f"{served.url}/fields-of-view", json=body, timeout=30)
        assert made.status_code == 201, made.text
        uuid = (imaging.FieldOfView & {"fov_name": "FOV_00"}).fetch1("fov_uuid")
        assert made.json()["id"] == uuid and made.json()["imaging_type"] == "mesoscope"
        assert len(made.json()["datasets"]) == 3
        assert made.json()["file_brain_region"] == [VISP, VISL] and made.json()["location"] == []
        said = http.get(f"{served.url}/fields-of-view?django=file_brain_region__acronym,CA1", timeout=30).json()
        assert [item["name"] for item in said["results"]] == ["FOV_01"]
        assert http.post(f"{served.url}/fields-of-view", json=body, timeout=30).status_code == 400
        place = {"field_of_view": uuid, "provenance": "H", "default_provenance": True, "n_xyz": [3, 2, 1],
                 "x": [0.0] * 4, "y": [0.0] * 4, "z": [0.0] * 4, "brain_region": [VISL]}  # fmt: skip
        assert http.post(f"{served.url}/fov-location", json=place, timeout=30).status_code == 201
        for region, expected in (("VISl", ["FOV_00"]), ("VISp", []), ("CA1", ["FOV_01"])):
            found = http.get(f"{served.url}/fields-of-view?atlas_acronym={region}", timeout=30).json()["results"]
            assert [item["name"] for item in found] == expected, "what was entered counts for that field of view"
        assert http.get(f"{served.url}/sessions?atlas_acronym=VISl", timeout=30).json()["count"] == 1
