"""Protects two-photon sessions: folders of fields of view become rows, files say in which regions they lie, and what
cannot be placed is not placed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

import ingest
from neurojoint.cli import main
from one_bridge import ONE, query
from pipeline import acquisition, data, imaging, worker
from pipeline.entry import renaming
from pipeline.provenance import staleness
from pipeline.queries.imaging import find_rois
from tests.one_bridge.serving import serving

pytestmark = pytest.mark.slow

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
    worker.drain([imaging.FileLocation, imaging.RoiSet])
    return root


def names(result) -> list[str]:
    return sorted(result.to_arrays("fov_name"))


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
        assert made.json()["file_brain_region"] == [VISP, VISL]
        (stated,) = http.get(f"{served.url}/fov-location?field_of_view={uuid}", timeout=30).json()["results"]
        assert stated["provenance"] == "E" and stated["default_provenance"] and stated["of_files"]
        assert stated["brain_region"] == [VISP, VISL] and stated["n_xyz"] == [3, 2, 1] and stated["x"] == [None] * 4
        assert [row["id"] for row in made.json()["location"]] == [stated["id"]]
        said = http.get(f"{served.url}/fields-of-view?django=file_brain_region__acronym,CA1", timeout=30).json()
        assert [item["name"] for item in said["results"]] == ["FOV_01"]
        assert http.post(f"{served.url}/fields-of-view", json=body, timeout=30).status_code == 400
        place = {"field_of_view": uuid, "provenance": "H", "default_provenance": True, "n_xyz": [3, 2, 1],
                 "x": [0.0] * 4, "y": [0.0] * 4, "z": [0.0] * 4, "brain_region": [VISL]}  # fmt: skip
        assert http.post(f"{served.url}/fov-location", json=place, timeout=30).status_code == 201
        for region, expected in (("VISl", ["FOV_00"]), ("VISp", []), ("CA1", ["FOV_01"])):
            answer = http.get(f"{served.url}/fields-of-view?atlas_acronym={region}", timeout=30).json()["results"]
            assert [item["name"] for item in answer] == expected, "what was entered counts for that field of view"
        assert http.get(f"{served.url}/sessions?atlas_acronym=VISl", timeout=30).json()["count"] == 1
        shown = http.get(f"{served.url}/fields-of-view/{uuid}", timeout=30).json()["location"]
        assert [(row["provenance"], row["default_provenance"]) for row in shown] == [("H", True), ("E", False)]
        corners = {"provenance": "E", "default_provenance": False, "x": [1.0, 2, 1, 2], "brain_region": [CA1]}
        entered = http.post(f"{served.url}/fov-location", json=place | corners, timeout=30)
        assert entered.status_code == 201 and entered.json()["id"] == stated["id"], "what files said, corrected"
        assert not entered.json()["of_files"] and entered.json()["brain_region"] == [CA1]
        rois = http.get(f"{served.url}/rois?atlas_acronym=CA1", timeout=30).json()
        assert [(row["number"], row["brain_region"]) for row in rois["results"]] == [(0, CA1), (0, CA1), (1, CA1)]
        one_roi = http.get(rois["results"][0]["url"], timeout=30).json()
        assert one_roi == rois["results"][0] and one_roi["id"] in one_roi["url"]
        django = f"{served.url}/rois?django=field_of_view__name,FOV_01,brain_region__isnull,True"
        assert http.get(django, timeout=30).json()["count"] == 1
        assert http.get(f"{served.url}/rois?field_of_view={uuid}", timeout=30).json()["count"] == 1
        assert http.post(f"{served.url}/rois", json={}, timeout=30).status_code == 405


ROIS = {
    "FOV_03__mpci.times": np.arange(4.0),
    "FOV_03__mpciROIs.mpciROITypes": np.array([1, 0, 1, 2]),
    "FOV_03__mpciROIs.cellClassifier": np.array([0.9, 0.1, 0.8, np.nan]),
    "FOV_03__mpciROIs.stackPos": np.array([[10, 0, 0], [20, 2, 0], [30, 5, 0], [31, 6, 0]]),
    "FOV_03__mpciROIs.mlapdv_estimate": np.array(
        [[-2200.0, 1000, -300], [2100, 1000, -310], [0, 900, -320], [np.nan] * 3]
    ),
    "FOV_03__mpciROIs.brainLocationIds_ccf_2017_estimate": np.array([-VISP, VISP, 0, 123456789]),
}  # fmt: skip
UUIDS = [f"00000000-0000-4000-8000-00000000000{i}" for i in range(4)]


def with_rois(root) -> None:
    write(root, **ROIS)
    folder = root / SESSION / "alf/FOV_03"
    (folder / "mpciROITypes.names.tsv").write_text("roi_values\troi_labels\n0\tno cell\n1\tcell\n")
    (folder / "mpciROIs.uuids.csv").write_text("uuids\n" + "\n".join(UUIDS) + "\n")
    ingest.register(root)
    worker.drain([imaging.FileLocation, imaging.RoiSet])


def test_regions_of_interest_are_rows_that_can_be_searched(root, capsys):
    with_rois(root)
    where = {"fov_name": "FOV_03"}
    assert not imaging.RoiSet().jobs.errors.to_dicts()
    (result,) = (imaging.RoiSet & where).to_dicts()
    assert (result["n_rois"], result["n_rois_located"], result["n_rois_outside"]) == (4, 2, 1)
    assert result["roi_estimate"] and result["roi_regions_refused"] == [123456789]
    rows = (imaging.RoiSet.Roi & where).to_dicts(order_by="roi")
    assert [row["roi_uuid"] for row in rows] == UUIDS
    assert [row["roi_type"] for row in rows] == ["cell", "no cell", "cell", "2"]
    assert [row["roi_hemisphere"] for row in rows] == ["left", "right", "right", None]
    assert [row["region_id"] for row in rows] == [VISP, VISP, None, None]
    assert rows[2]["roi_y"] == 5 and rows[3]["roi_ml"] is None and rows[3]["cell_probability"] is None
    assert len(imaging.RoiSet()) == 3 and not staleness.find([imaging.RoiSet]).keys

    one = find_rois("VIS")
    assert one["roi"].to_pylist() == [0, 1] and one["acronym"].to_pylist() == ["VISp", "VISp"]
    assert one["roi_ml"].to_pylist() == [-2200, 2100]
    assert find_rois("VISp", hemisphere="left", kind="cell", min_probability=0.5)["roi"].to_pylist() == [0]
    assert find_rois("CA1").num_rows == 3 and find_rois(subject="nobody").num_rows == 0
    assert find_rois().num_rows == 8 and find_rois("CA1", until="2024-01-01").num_rows == 0
    assert len(query.rois({"atlas_acronym": "VIS", "name": "FOV_03"})) == 2
    done = CliRunner().invoke(main, ["find", "rois", "--region", "VIS", "--type", "cell"])
    assert done.exit_code == 0 and "FOV_03  1 ROI: VISp 1" in done.output, done.output
    done = CliRunner().invoke(main, ["find", "rois", "--region", "VIS", "--csv"])
    assert len(done.output.splitlines()) == 3


def test_regions_of_interest_keep_their_ids_when_the_animal_is_renamed(root, tmp_path):
    with_rois(root)
    with serving(imaging.FieldOfView().connection, root, tmp_path) as served:
        http = served.session("mia")

        def listed() -> list[tuple[str, str, int]]:
            rows = http.get(f"{served.url}/rois?limit=100", timeout=30).json()["results"]
            return sorted((row["id"], row["field_of_view"], row["number"]) for row in rows)

        before = listed()
        renaming.rename_subject("simlab", "mouse1", "mouse7").apply()
        assert len(before) == 8 and listed() == before
        one_roi = http.get(f"{served.url}/rois/{before[0][0]}", timeout=30).json()
        assert (one_roi["id"], one_roi["number"]) == (before[0][0], before[0][2])


def test_files_of_rois_that_are_not_as_they_should_be(root):
    """What is in quarantine is not known; numbers that mean nothing are an error that names the file."""
    write(root, **ROIS | {"FOV_03__mpciROIs.stackPos": np.zeros((3, 3))})
    write(root, **{"FOV_02__mpciROIs.cellClassifier": np.array([0.5, 7.0])})
    ingest.register(root)
    worker.drain([imaging.RoiSet])
    where = {"fov_name": "FOV_03"}
    refused = (data.AlfObject & {"object_name": "mpciROIs", "object_collection": "alf/FOV_03"}).fetch1(
        "refused_columns"
    )
    assert refused == {"stackPos": "unequal_length"}
    assert (imaging.RoiSet & where).fetch1("n_rois") == 4
    assert [row["roi_x"] for row in (imaging.RoiSet.Roi & where).to_dicts()] == [None] * 4
    (job,) = imaging.RoiSet().jobs.errors.to_dicts()
    assert job["fov_name"] == "FOV_02" and "mpciROIs.cellClassifier" in job["error_message"], job["error_message"]


def test_corners_come_from_the_mean_image_else_from_the_settings_of_the_microscope(root):
    image = np.stack(np.broadcast_arrays(np.arange(3.0) * 100, 50.0 - np.arange(2.0)[:, None], -300.0), -1)
    write(root, **{"FOV_00__mpciMeanImage.mlapdv_estimate": image})
    corners = {"topLeft": [1, 2, 3], "topRight": [4, 5, 6], "bottomLeft": [7, 8, 9], "bottomRight": [10, 11, 12]}
    settings = {"FOV": [{}, {"MLAPDV": {"estimate": corners | {"center": [0, 0, 0]}}, "nXnYnZ": [512, 256, 1]}]}
    path = root / SESSION / "raw_imaging_data_00/_ibl_rawImagingData.meta.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(settings))
    ingest.register(root)
    assert staleness.refresh([imaging.FileLocation])["imaging.FileLocation"] == 2
    worker.drain([imaging.FileLocation])
    assert not imaging.FileLocation().jobs.errors.to_dicts()
    first, second = imaging.FieldLocation().to_dicts(order_by="fov_name")
    assert first["corners_ml"] == [0, 200, 0, 200] and first["corners_ap"] == [50, 50, 49, 49]
    assert first["n_pixels"] == [3, 2, 1] and first["fov_provenance"] == "estimate"
    assert second["corners_ml"] == [1, 4, 7, 10] and second["corners_dv"] == [3, 6, 9, 12]
    assert second["n_pixels"] == [512, 256, 1] and second["fov_provenance"] == "histology"
    assert len(imaging.FieldLocation()) == 2 and not staleness.find([imaging.FileLocation]).keys
