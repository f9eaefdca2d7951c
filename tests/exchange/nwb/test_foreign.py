"""Files that were not written here: by the tools of pynwb, ndx-pose, nwbinspector, and of neuroconv where it is."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pynwb")

from pynwb import NWBHDF5IO, NWBFile, TimeSeries  # noqa: E402
from pynwb.behavior import SpatialSeries  # noqa: E402
from pynwb.file import Subject  # noqa: E402
from pynwb.testing import make_test_files  # noqa: E402
from pynwb.testing.mock.behavior import mock_Position, mock_SpatialSeries  # noqa: E402
from pynwb.testing.mock.ecephys import mock_ElectricalSeries, mock_Units  # noqa: E402
from pynwb.testing.mock.file import mock_NWBFile, mock_Subject  # noqa: E402

from exchange.nwb.intake import ingest  # noqa: E402
from exchange.nwb.placing import Choices, Intake  # noqa: E402

pytestmark = pytest.mark.slow

STATED = Choices(lab="other", subject="m1")


def save(nwbfile: NWBFile, path: Path) -> Path:
    with NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)
    return path


def take(path: Path, **stated: Any) -> Intake:
    choices = Choices(**({"lab": "other", "subject": "m1"} | stated))
    return ingest([path], path.parent / "root", choices, register=False)[0]


def lines(result: Intake) -> dict[str, tuple[str, str]]:
    return {line.name: (line.state, line.detail) for line in result.lines}


MADE = sorted(name for name in dir(make_test_files) if name.startswith("_make_"))


@pytest.mark.parametrize("name", MADE)
def test_files_of_pynwb_are_taken_or_refused_with_a_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files with which pynwb tests that it reads what it wrote before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(make_test_files, "_write", lambda test, nwbfile: save(nwbfile, tmp_path / "a.nwb"))
    try:
        getattr(make_test_files, name)()
    except (TypeError, ValueError) as error:
        pytest.skip(f"this pynwb cannot make it any more: {error}")
    if not (tmp_path / "a.nwb").exists():
        pytest.skip("it is written elsewhere")
    intake = take(tmp_path / "a.nwb")
    if intake.state == "failed":
        assert "nothing that can be ingested" in intake.problem
    else:
        assert {line.state for line in intake.lines} <= {"mapped", "left out"}
        assert list((tmp_path / "root" / intake.session).rglob("*.npy"))


def test_each_object_is_named(tmp_path: Path) -> None:
    nwbfile = mock_NWBFile(subject=Subject(subject_id="a b", sex="F", age="P90D", species="Mus musculus"))
    nwbfile.add_acquisition(mock_SpatialSeries(name="head position"))
    nwbfile.create_processing_module("behavior", "x").add(mock_Position(name="Position"))
    mock_ElectricalSeries(name="raw", nwbfile=nwbfile)
    nwbfile.units = mock_Units(num_units=4)
    intake = take(save(nwbfile, tmp_path / "a.nwb"), subject=None)
    said = lines(intake)
    assert said["ElectricalSeries raw"] == ("left out", "raw samples stay in the NWB file")
    assert said["SpatialSeries head position"][1].startswith("headPosition.data (meters)")
    assert said["units.spike_times"][0] == "mapped"
    assert intake.session == "other/Subjects/a_b/1970-01-01/001"
    assert "'a b' is called a_b here" in [line.detail for line in intake.lines if line.name == "subject"]


def test_poses_are_series(tmp_path: Path) -> None:
    mock = pytest.importorskip("ndx_pose.testing.mock.pose")
    nwbfile = mock_NWBFile(subject=mock_Subject())
    mock.mock_PoseEstimation(nwbfile=nwbfile)
    intake = take(save(nwbfile, tmp_path / "a.nwb"))
    states = [state for name, (state, _) in lines(intake).items() if name.startswith("PoseEstimationSeries")]
    assert states == ["mapped"] * 6  # each with its confidence
    assert len(list((tmp_path / "root" / intake.session / "alf").glob("*.confidence.npy"))) == 3


def test_series_of_one_name_keep_that_of_what_holds_them(tmp_path: Path) -> None:
    """Two cameras with the same points, two kinds of fluorescence with the same series: nothing is lost."""
    nwbfile = mock_NWBFile(subject=mock_Subject())
    module = nwbfile.create_processing_module("behavior", "x")
    for row, camera in enumerate(("left camera", "right camera")):
        series = SpatialSeries(name="nose", data=np.full((4, 2), row), rate=60.0, reference_frame="corner")
        module.add(mock_Position(name=camera, spatial_series=[series]))
    intake = take(save(nwbfile, tmp_path / "a.nwb"))
    alf = tmp_path / "root" / intake.session / "alf"
    assert np.load(alf / "leftCameraNose.data.npy").tolist() == [[0, 0]] * 4
    assert np.load(alf / "rightCameraNose.data.npy").tolist() == [[1, 1]] * 4


def test_what_else_a_series_and_a_file_hold_is_taken_or_named(tmp_path: Path) -> None:
    nwbfile = mock_NWBFile(
        subject=mock_Subject(),
        session_start_time=datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.UTC),
        timestamps_reference_time=datetime.datetime(2024, 5, 1, 11, tzinfo=datetime.UTC),
    )
    nwbfile.create_device("laser")
    nwbfile.add_acquisition(
        TimeSeries(name="licks", data=[0, 1, 0], rate=1.0, unit="V", control=np.array([1, 2, 1], np.uint8),
                   control_description=["good", "doubtful"])
    )  # fmt: skip
    said = lines(intake := take(save(nwbfile, tmp_path / "a.nwb")))
    assert np.load(tmp_path / "root" / intake.session / "alf/licks.control.npy").tolist() == [1, 2, 1]
    assert said["TimeSeries licks.control_description"] == ("left out", "it is no number for each sample")
    assert said["Device laser"][0] == "left out"
    assert "3,600.000 s before the start" in said["timestamps_reference_time"][1]


def test_a_minimal_file_has_nothing(tmp_path: Path) -> None:
    testing = pytest.importorskip("nwbinspector.testing")
    intake = take(save(testing.make_minimal_nwbfile(), tmp_path / "a.nwb"))
    assert "nothing that can be ingested" in intake.problem


def test_files_of_neuroconv(tmp_path: Path) -> None:
    """Each interface with which neuroconv tests itself; those whose own dependencies are absent are left."""
    tools = pytest.importorskip("neuroconv.tools.testing.mock_interfaces")
    expected = {
        "MockSortingInterface": "5 units in probe00", "MockPoseEstimationInterface": "pixels",
        "MockEventsInterface": "4 events", "MockTimeSeriesInterface": "timeSeries.data",
        "MockSignalEncodedEventsInterface": "lick.times", "MockFiberPhotometryInterface": "a.u.",
        "MockSegmentationInterface": "dfOverF.data", "MockIcephysInterface": "volts",
    }  # fmt: skip
    seen = set()
    for name in sorted(name for name in dir(tools) if name.startswith("Mock")):
        path = tmp_path / name / "a.nwb"
        path.parent.mkdir()
        try:
            interface = getattr(tools, name)(**({"num_units": 5} if name == "MockSortingInterface" else {}))
            said = interface.get_metadata()
            said["NWBFile"]["session_start_time"] = datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC)
            interface.run_conversion(nwbfile_path=str(path), metadata=said)
        except (ImportError, TypeError):  # what it needs is absent, or of another version
            continue
        intake = take(path)
        assert intake.state == "written" or "nothing that can be ingested" in intake.problem
        if name in expected:
            seen.add(name)
            assert any(state == "mapped" and expected[name] in detail for state, detail in lines(intake).values()), name
    assert "MockSortingInterface" in seen


def trials_file(path: Path, **columns: list) -> Path:
    nwbfile = mock_NWBFile(subject=mock_Subject())
    for name in columns:
        nwbfile.add_trial_column(name, f"the {name}")
    n_trials = len(next(iter(columns.values()))) if columns else 3
    for row in range(n_trials):
        nwbfile.add_trial(start_time=float(row), stop_time=row + 0.5, **{name: v[row] for name, v in columns.items()})
    return save(nwbfile, path)


def test_a_column_of_the_same_name_is_not_taken_for_ours(tmp_path: Path) -> None:
    """What 0 and 1 mean is not known: it keeps a name of its own until a person says that it is the choice."""
    path = trials_file(tmp_path / "a.nwb", choice=[0, 1, 1], response_side=[1, -1, 0])
    intake = take(path)
    alf = tmp_path / "root" / intake.session / "alf"
    assert not (alf / "trials.choice.npy").exists()
    assert np.load(alf / "trials.nwbChoice.npy").tolist() == [0, 1, 1]
    assert "state it with --column choice=choice" in lines(intake)["trials.choice"][1]
    stated = take(path, number=2, columns={"choice": "response_side"})
    alf = tmp_path / "root" / stated.session / "alf"
    assert np.load(alf / "trials.choice.npy").tolist() == [1, -1, 0]
    assert "have no column nothing" in take(path, number=3, columns={"choice": "nothing"}).problem


def test_trials_of_ibl_to_nwb_are_known_by_their_columns(tmp_path: Path) -> None:
    path = trials_file(
        tmp_path / "a.nwb",
        gabor_stimulus_contrast=[100.0, 25.0, 0.0],
        gabor_stimulus_side=["left", "right", "right"],
        mouse_wheel_choice=["clockwise", "counter_clockwise", "none"],
        is_mouse_rewarded=[True, False, False],
        probability_left=[0.5, 0.2, 0.8],
    )
    alf = tmp_path / "root" / take(path).session / "alf"
    assert np.load(alf / "trials.choice.npy").tolist() == [1, -1, 0]
    assert np.load(alf / "trials.feedbackType.npy").tolist() == [1, -1, -1]
    assert np.array_equal(np.load(alf / "trials.contrastLeft.npy"), [1, np.nan, np.nan], equal_nan=True)
    assert np.array_equal(np.load(alf / "trials.contrastRight.npy"), [np.nan, 0.25, 0], equal_nan=True)


def test_units_are_spikes_in_order_of_time(tmp_path: Path) -> None:
    nwbfile = mock_NWBFile(subject=mock_Subject())
    device = nwbfile.create_device("d")
    groups = [nwbfile.create_electrode_group(f"Probe {i}", "x", "y", device) for i in range(2)]
    for row in range(4):
        nwbfile.add_electrode(location="VISp", group=groups[row // 2], rel_x=float(row), rel_y=10.0 * row)
    nwbfile.add_unit_column("quality", "label")
    nwbfile.add_unit_column("depths", "in mm, who knows")
    for row, times in enumerate([[0.5, 1.5, 2.5], [0.1, 3.0], [2.0]]):
        nwbfile.add_unit(
            spike_times=times, electrodes=[[0], [1], [3]][row], electrode_group=groups[row // 2], quality="good",
            depths=0.5, id=10 + row,
        )  # fmt: skip
    intake = take(save(nwbfile, tmp_path / "a.nwb"))
    alf = tmp_path / "root" / intake.session / "alf"
    assert np.load(alf / "Probe_0" / "spikes.times.npy").tolist() == [0.1, 0.5, 1.5, 2.5, 3.0]
    assert np.load(alf / "Probe_0" / "spikes.clusters.npy").tolist() == [1, 0, 0, 0, 1]
    assert np.load(alf / "Probe_1" / "clusters.channels.npy").tolist() == [1]
    assert np.load(alf / "Probe_1" / "channels.localCoordinates.npy").tolist() == [[2, 20], [3, 30]]
    assert np.load(alf / "Probe_0" / "clusters.nwbIds.npy").tolist() == [10, 11]
    assert np.load(alf / "Probe_0" / "clusters.nwbDepths.npy").tolist() == [0.5, 0.5]  # not taken for um
    assert not (alf / "Probe_0" / "clusters.depths.npy").exists()


def test_units_of_the_allen_institute_lie_at_their_peak_channel(tmp_path: Path) -> None:
    nwbfile = mock_NWBFile(subject=mock_Subject())
    device = nwbfile.create_device("d")
    groups = [nwbfile.create_electrode_group(f"probe{name}", "x", "y", device) for name in "AB"]
    for row in range(4):
        nwbfile.add_electrode(location="VISp", group=groups[row // 2], id=850 + row)
    nwbfile.add_unit_column("peak_channel_id", "unique identifier of the electrode with the largest amplitude")
    for row, peak in enumerate((853, 850, 851)):
        nwbfile.add_unit(spike_times=[float(row)], peak_channel_id=peak, id=row)
    intake = take(save(nwbfile, tmp_path / "a.nwb"))
    alf = tmp_path / "root" / intake.session / "alf"
    assert np.load(alf / "probeA/clusters.channels.npy").tolist() == [0, 1]
    assert np.load(alf / "probeB/clusters.channels.npy").tolist() == [1]


def test_series_keep_their_unit(tmp_path: Path) -> None:
    nwbfile = mock_NWBFile(subject=mock_Subject())
    times = np.array([0.0, 0.1, 0.3])
    nwbfile.add_acquisition(SpatialSeries(name="wheel_position", data=np.arange(3.0), timestamps=times, unit="radians"))
    nwbfile.add_acquisition(TimeSeries(name="lick_rate", data=np.arange(3), rate=10.0, unit="Hz", conversion=0.5))
    alf = tmp_path / "root" / take(save(nwbfile, tmp_path / "a.nwb")).session / "alf"
    assert np.load(alf / "wheel.position.npy").tolist() == [0, 1, 2]
    assert np.load(alf / "lickRate.data.npy").tolist() == [0, 0.5, 1]
    assert np.load(alf / "lickRate.timestamps.npy").tolist() == [0, 0.1, 0.2]


@pytest.mark.slow
def test_a_session_of_another_lab_is_registered(database: Any, tmp_path: Path) -> None:
    from pipeline.schemas import acquisition, behavior, ephys, subject
    from tests.exchange.nwb import sessions

    nwbfile = mock_NWBFile(
        subject=Subject(subject_id="m1", sex="M", species="Mus musculus", age="P30D"), lab="Some Lab",
        session_start_time=datetime.datetime(2024, 5, 1, 9, tzinfo=datetime.UTC),
    )  # fmt: skip
    for row in range(5):
        nwbfile.add_trial(start_time=float(row), stop_time=row + 0.5)
    nwbfile.units = mock_Units(num_units=3)
    intakes = ingest([save(nwbfile, tmp_path / "a.nwb")], tmp_path / "root")[0]
    assert intakes.state == "written", intakes.problem
    sessions.populate()
    assert acquisition.Session.fetch1("lab", "subject", "start_time") == (
        "some_lab",
        "m1",
        datetime.datetime(2024, 5, 1, 9),
    )
    assert subject.Subject.fetch1("sex", "birth_date") == ("M", datetime.date(2024, 4, 1))
    assert behavior.TrialSet.fetch1("n_trials") == 5
    assert ephys.ClusterSet.fetch1("n_clusters") == 3
