"""Bad files: each is refused with a sentence, and nothing is half written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

pytest.importorskip("pynwb")

from pynwb import NWBHDF5IO  # noqa: E402
from pynwb.testing.mock.ecephys import mock_ElectricalSeries  # noqa: E402
from pynwb.testing.mock.file import mock_NWBFile, mock_Subject  # noqa: E402

from exchange.nwb import safety  # noqa: E402
from exchange.nwb.intake import ingest  # noqa: E402
from exchange.nwb.placing import Choices  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A file of another program, with trials and electrodes."""
    nwbfile = mock_NWBFile(subject=mock_Subject(subject_id="m1"), lab="other")
    for start in range(5):
        nwbfile.add_trial(start_time=float(start), stop_time=start + 0.5)
    mock_ElectricalSeries(nwbfile=nwbfile)
    path = tmp_path / "sound.nwb"
    with NWBHDF5IO(path, "w") as io:
        io.write(nwbfile)
    return path


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("start_time,stop_time\n0,1\n")


def first_version(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["nwb_version"] = "NWB-1.0.6"


def other_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = [1, 2]


def third_version(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["nwb_version"] = "3.0.0"


def bomb(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.create_dataset("scratch/x", (1 << 40,), np.float64, chunks=(1 << 20,), compression="gzip")


def external_link(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["intervals/trials/secret"] = h5py.ExternalLink("/etc/passwd", "/x")


def external_values(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.create_dataset("scratch/x", (10,), np.uint8, external=[("/etc/passwd", 0, 10)])


def virtual_values(path: Path) -> None:
    layout = h5py.VirtualLayout((10,), np.uint8)
    layout[:] = h5py.VirtualSource("/data/other.h5", "x", (10,))
    with h5py.File(path, "r+") as file:
        file.create_virtual_dataset("scratch/x", layout)


def reference_to_nowhere(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        group = file["general/extracellular_ephys/electrodes/group"]
        there = file[group[0]]
        del file[there.name]
        del there


def dangling_link(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["acquisition/y"] = h5py.SoftLink("/nowhere")


BAD: list[tuple[Callable[[Path], None], str]] = [
    (cut_short, "cut short"),
    (empty, "0 bytes"),
    (text, "not an HDF5 file"),
    (first_version, "it is NWB NWB-1.0.6; only version 2"),
    (third_version, "it is NWB 3.0.0; only version 2"),
    (other_hdf5, "states no version of NWB"),
    (bomb, "claims 8192.0 GiB and holds"),
    (external_link, "is a link to another file, /etc/passwd"),
    (external_values, "lie in another file"),
    (virtual_values, "lie in another file"),
    (reference_to_nowhere, "not there"),
    (dangling_link, "a link to /nowhere, which is not there"),
]


@pytest.mark.parametrize(("spoil", "words"), BAD, ids=lambda one: getattr(one, "__name__", ""))
def test_a_bad_file_is_a_sentence(sound: Path, spoil: Callable[[Path], None], words: str) -> None:
    bad = sound.with_name("bad.nwb")
    shutil.copyfile(sound, bad)
    spoil(bad)
    root = sound.parent / "root"
    good, wrong = ingest([sound, bad], root, register=False)
    assert good.state == "written", good.problem
    assert wrong.state == "failed"
    assert words in wrong.problem
    assert "\n" not in wrong.problem
    assert "Traceback" not in wrong.problem
    assert sorted(path.name for path in (root / "other" / "Subjects").iterdir()) == ["m1"]
    assert not list(root.glob(".nwb*"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "does not exist" in ingest([tmp_path / "x.nwb"], tmp_path / "root", register=False)[0].problem


def test_a_sound_file_passes(sound: Path) -> None:
    assert safety.check(sound).startswith("2.")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"subject_id": None}, "does not say which animal it is of: give it: --subject"),
        ({"lab": None}, "does not say which lab it is from: give it: --lab"),
    ],
)
def test_who_it_is_of_is_asked(tmp_path: Path, given: dict, words: str) -> None:
    said = {"subject_id": "m1", "lab": "other"} | given
    subject = mock_Subject(subject_id="m1") if said["subject_id"] else None
    nwbfile = mock_NWBFile(subject=subject, lab=said["lab"])
    nwbfile.add_trial(start_time=0.0, stop_time=1.0)
    with NWBHDF5IO(tmp_path / "a.nwb", "w") as io:
        io.write(nwbfile)
    intakes = ingest([tmp_path / "a.nwb"], tmp_path / "root", register=False)[0]
    assert words in intakes.problem
    stated = Choices(lab="mylab", subject="m9", number=2)
    intakes = ingest([tmp_path / "a.nwb"], tmp_path / "root", stated, register=False)[0]
    assert intakes.session == "mylab/Subjects/m9/1970-01-01/002"


def test_a_path_that_leaves_the_session_is_refused(tmp_path: Path) -> None:
    from exchange.nwb import forms
    from exchange.nwb.intake import _file_name
    from exchange.nwb.placing import session_path
    from exchange.nwb.reading import Own
    from pipeline.errors import InvalidData

    about = Own("", "", "", "", {"../x.npy": forms.Form("copy")}, {}, "")
    for name in ("../x.npy", "/etc/x.npy", "alf/../../x.npy", "alf/a b.npy"):
        with pytest.raises(InvalidData):
            _file_name("lab/Subjects/m/2024-01-01/001", name, about)
    for name in ("lab/../2024-01-01/001", "lab/m/2024-01-01/001/x", "/lab/m/2024-01-01/001"):
        with pytest.raises(InvalidData):
            session_path(name, tmp_path)
