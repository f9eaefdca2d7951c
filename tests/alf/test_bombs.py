"""Small files that unpack into large ones are refused before they are unpacked; files that change are not believed."""

from __future__ import annotations

import io
import shutil
import struct
import zipfile
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io

from ingest.programs.sorting import library_files, results
from ingest.programs.tasks import pose
from one_bridge.server import files
from one_bridge.server.endpoint_model import BadInput
from pipeline.alf import reader, unpacked_size
from pipeline.database import capsule
from pipeline.entry import spreadsheets
from pipeline.errors import InvalidData, NeurojointError, UserError
from pipeline.tasks.kinds import TaskFailure

LIMIT = 4 << 20


@pytest.fixture
def small_limit(monkeypatch):
    monkeypatch.setattr(reader, "LARGEST_ARRAY", LIMIT)


def test_a_parquet_file_of_repeated_values(small_limit):
    buffer = io.BytesIO()
    pq.write_table(pa.table({"choice": pa.array(np.zeros(2_000_000, np.int64))}), buffer, compression="zstd")
    assert len(buffer.getvalue()) < 50_000
    with pytest.raises(InvalidData, match="unpacked it is larger"):
        reader.load(buffer.getvalue(), "_ibl_trials.table.pqt")


@pytest.mark.parametrize(
    "column",
    [
        ["x" * 10_000] * 1000,
        [b"x" * 10_000] * 1000,
        [["x" * 10_000] * 100] * 10,
        [{"note": "x" * 10_000}] * 1000,
        pa.array([b"x" * 10_000] * 1000, pa.binary(10_000)),
        [[0] * 1_000_000],
    ],
)
def test_a_parquet_file_of_one_long_text_many_times(small_limit, column):
    """The file has the text once, and memory each time."""
    buffer = io.BytesIO()
    pq.write_table(pa.table({"note": column}), buffer, compression="zstd", use_dictionary=True)
    assert len(buffer.getvalue()) < 50_000
    with pytest.raises(InvalidData, match="unpacked it is larger"):
        reader.load(buffer.getvalue(), "_ibl_trials.table.pqt")


def test_a_parquet_file_with_many_short_texts_is_read(small_limit):
    buffer = io.BytesIO()
    pq.write_table(pa.table({"note": ["a word or two"] * 20_000, "n": [[1, 2]] * 20_000}), buffer)
    assert reader.load(buffer.getvalue(), "_ibl_trials.table.pqt").num_rows == 20_000


def test_a_matlab_file_of_zeros(small_limit):
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"choice": np.zeros((2_000_000, 1))}, do_compression=True)
    assert len(buffer.getvalue()) < 50_000
    with pytest.raises(InvalidData, match="unpacked it is larger"):
        reader.load(buffer.getvalue(), "_ibl_trials.table.mat")


def test_a_matlab_file_whose_compressed_part_is_damaged():
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"choice": np.zeros((20, 1))}, do_compression=True)
    content = bytearray(buffer.getvalue())
    content[150] ^= 0xFF
    with pytest.raises(InvalidData):
        reader.load(bytes(content), "_ibl_trials.table.mat")


def test_an_array_that_claims_more_than_the_file_holds():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(4))
    content = buffer.getvalue().replace(b"(4,)", b"(9999999999,)")
    with pytest.raises(InvalidData):
        reader.load(content, "_ibl_trials.choice.npy")


@pytest.mark.parametrize("name", ["_ibl_trials.choice.npy", "_ibl_trials.table.pqt", "_ibl_trials.table.mat"])
def test_a_compressed_stream_under_another_name_is_not_unpacked(name):
    with pytest.raises(InvalidData):
        reader.load(zlib.compress(bytes(1 << 20)), name)


def test_an_archive_of_zeros(monkeypatch, tmp_path):
    """The results of a sorter, as numpy's archive."""
    monkeypatch.setattr(unpacked_size, "LARGEST_ARRAY", LIMIT)
    path = tmp_path / "sorting_cached.npz"
    np.savez_compressed(path, spike_indexes_seg0=np.zeros(2_000_000), spike_labels_seg0=np.zeros(2_000_000))
    assert path.stat().st_size < 100_000
    with pytest.raises(NeurojointError, match="unpacked it has 32000"):
        results._npz(tmp_path)


def test_hdf5_files_of_nothing(tmp_path):
    """Chunks that were never written take no room in the file, and all that they stand for in memory."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in ("tracks", "point_scores", "units/spike_times", "units/spike_times_index"):
            file.create_dataset(name, (1 << 40,), "f8", chunks=(1 << 16,))
        file["node_names"] = [b"nose"]
    assert (tmp_path / "a.h5").stat().st_size < 100_000
    with pytest.raises(NeurojointError, match="at most"):
        library_files.nwb_units(tmp_path / "a.h5")
    with pytest.raises(TaskFailure, match="at most"):
        pose.from_sleap(tmp_path / "a.h5")


def test_a_capsule_larger_than_the_disk(monkeypatch, tmp_path):
    path = tmp_path / "paper.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("capsule.json", "{}")
        archive.writestr("action.Weighing.parquet", bytes(LIMIT))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(LIMIT, LIMIT - 1, 1))
    with pytest.raises(NeurojointError, match="are free beside it"):
        capsule.unpacked(path)
    assert [item.name for item in tmp_path.iterdir()] == ["paper.zip"]


BOMB = b"a: &a [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 10)) for i in range(12)
)


@pytest.mark.slow
@pytest.mark.parametrize("text", [BOMB, b"&a [*a]", b"a: &a {b: *a}", b"{" * 3000, b"[" * 3000])
def test_a_description_whose_references_have_no_end(text):
    with pytest.raises(InvalidData, match=r"references stand for more|nested too deeply"):
        reader.load(text, "_ibl_experiment.description.yaml")


def test_a_description_with_references_is_read():
    assert reader.load(b"a: &x [1, 2]\nb: *x\n", "x.yaml") == {"a": [1, 2], "b": [1, 2]}


def _excel(path, sheet):
    """An Excel file with the XML of its sheet as it is given."""
    path.write_bytes(spreadsheets.to_excel(["subject", "weight"], [{"subject": "m1", "weight": 20.0}]))
    with zipfile.ZipFile(path) as archive:
        members = {item: archive.read(item) for item in archive.namelist()}
    name = next(member for member in members if "sheet1.xml" in member and "_rels" not in member)
    members[name] = sheet(members[name])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for one, content in members.items():
            archive.writestr(one, content)
    return path


def test_an_excel_file_that_unpacks_into_gigabytes(monkeypatch, tmp_path):
    monkeypatch.setattr(spreadsheets, "LARGEST_UNPACKED", LIMIT)
    path = _excel(tmp_path / "a.xlsx", lambda xml: xml + b" " * 2 * LIMIT)
    assert path.stat().st_size < 100_000
    with pytest.raises(UserError, match="no Excel file that can be used"):
        spreadsheets.read(path)


@pytest.mark.slow
def test_an_excel_file_with_a_cell_in_its_last_corner(tmp_path):
    """What lies between is not made, and what is there is read."""
    far = b'<row r="200000"><c r="XFD200000"><v>1</v></c></row></sheetData>'
    path = _excel(tmp_path / "a.xlsx", lambda xml: xml.replace(b"</sheetData>", far))
    headings, rows = spreadsheets.read(path)
    assert headings == ["subject", "weight"] and rows == [(2, {"subject": "m1", "weight": 20.0})]


def test_an_excel_file_that_is_damaged_is_said_to_be(tmp_path):
    path = _excel(tmp_path / "a.xlsx", lambda xml: xml.replace(b"</row>", b"<row>", 1))
    with pytest.raises(UserError, match="no Excel file that can be used"):
        spreadsheets.read(path)


def _png(width, height):
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


def _jpeg(width, height):
    segments = b"\xff\xe0\x00\x04ab\xff\xff\xc4\x00\x03c"
    return b"\xff\xd8" + segments + b"\xff\xc2\x00\x0b\x08" + struct.pack(">HH", height, width) + bytes(6)


@pytest.mark.parametrize("make", [_png, _jpeg])
def test_a_picture_that_no_browser_could_show(tmp_path, make):
    assert unpacked_size.pixels(make(640, 480)) == 640 * 480

    class Roots:
        def images(self):
            return tmp_path

    with files.saved_image(Roots(), make(640, 480)):
        pass
    with pytest.raises(BadInput, match="million pixels"), files.saved_image(Roots(), make(60_000, 60_000)):
        pass
    assert len(list(tmp_path.iterdir())) == 1
