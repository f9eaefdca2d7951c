"""Protects the reading of requests to register files: session folders, names of files, hashes; nothing else passes."""

from __future__ import annotations

import datetime

import pytest

from one_bridge.server import registration_request as request
from one_bridge.server.endpoint_model import BadInput


@pytest.mark.parametrize(
    ("path", "labs", "expected"),
    [
        ("KS014/2019-08-30/001", None, ("KS014", 1, (), "")),
        ("Subjects/KS014/2019-08-30/1", None, ("KS014", 1, (), "")),
        ("cortexlab/Subjects/KS014/2019-08-30/001/alf/probe00", None, ("KS014", 1, ("cortexlab",), "alf/probe00")),
        (r"KS014\2019-08-30\002\raw_video_data", "a,b", ("KS014", 2, ("a", "b"), "raw_video_data")),
        ("/KS014//2019-08-30/010/", ["a"], ("KS014", 10, ("a",), "")),
    ],
)
def test_a_session_folder_is_read(path, labs, expected):
    folder = request.session_folder({"path": path, "labs": labs})
    assert (folder.subject, folder.number, folder.labs, folder.collection) == expected
    assert folder.date == datetime.date(2019, 8, 30)
    assert folder.text == f"KS014/2019-08-30/{expected[1]:03d}"


@pytest.mark.parametrize("path", ["", "KS014", "KS014/2019-08-30", "KS014/2019-13-30/001", "a b/2019-08-30/001", 3])
def test_what_is_no_session_folder_is_refused(path):
    with pytest.raises(BadInput):
        request.session_folder({"path": path})


def test_files_are_read_with_hashes_and_sizes():
    body = {
        "filenames": ["spikes.times.npy", r"probe00\spikes.clusters.npy"],
        "hashes": ["0123456789ABCDEF0123456789abcdef", ""],
        "filesizes": ["12", None],
    }
    first, second = request.files(body, "alf")
    assert (first.path, first.md5, first.size) == ("alf/spikes.times.npy", "0123456789abcdef" * 2, 12)
    assert (second.path, second.md5, second.size) == ("alf/probe00/spikes.clusters.npy", None, None)
    assert [item.path for item in request.files({"filenames": "a.b.npy,c.d.npy"})] == ["a.b.npy", "c.d.npy"]


@pytest.mark.parametrize(
    "body",
    [
        {}, {"filenames": []}, {"filenames": 3}, {"filenames": ["a.b.npy"] * (request.MOST_FILES + 1)},
        {"filenames": [3]}, {"filenames": ["../a.b.npy"]}, {"filenames": ["/a.b.npy"]}, {"filenames": ["noname"]},
        {"filenames": ["a.b\n.npy"]}, {"filenames": ["a" * 256 + ".b.npy"]},
        {"filenames": ["a.b.npy"], "hashes": ["xyz"]}, {"filenames": ["a.b.npy"], "hashes": ["0" * 32] * 2},
        {"filenames": ["a.b.npy"], "filesizes": [-1]}, {"filenames": ["a.b.npy"], "filesizes": ["many"]},
    ],
)  # fmt: skip
def test_files_that_cannot_be_registered_are_refused(body):
    with pytest.raises(BadInput):
        request.files(body)


def test_a_folder_of_aggregates_begins_with_its_kind():
    assert request.aggregate_folder({"path": "Subjects/lab/KS014"}, "subject") == "aggregates/Subjects/lab/KS014"
    assert request.aggregate_folder({"path": r"aggregates\Subjects\KS014"}, "subject") == "aggregates/Subjects/KS014"
    for path, relation in (("Subjects", "subject"), ("Tags/x", "subject"), ("Subjects/..", "subject"), ("a/b", "")):
        with pytest.raises(BadInput):
            request.aggregate_folder({"path": path}, relation)


def test_flags_and_names():
    assert request.flag({}, "default") and not request.flag({"default": ""}, "default", False)
    assert not request.flag({"default": "false"}, "default")
    uuid = "0a1b2c3d-0a1b-4c3d-8a1b-0a1b2c3d0a1b"
    assert request.without_uuid(f"alf/spikes.times.{uuid}.npy") == "alf/spikes.times.npy"
    assert request.without_uuid("notes") == "notes"
