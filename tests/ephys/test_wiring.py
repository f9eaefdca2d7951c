"""A wiring file gives names to the lines that it names rightly, and what is wrong in it is said."""

from __future__ import annotations

import json

import pytest

from ingest.files import inspect_session
from ingest.files.scan import SessionKey
from pipeline.electrophysiology import wiring
from tests.ephys import trees

DIGITAL, ANALOG = "SYNC_WIRING_DIGITAL", "SYNC_WIRING_ANALOG"
SYSTEM = {"SYSTEM": "3B", DIGITAL: {"P0.0": "left_camera", "p1.2": " audio ", "P0.7": "", "P0.6": None},
          ANALOG: {"AI2": "bpod"}}  # fmt: skip


def test_lines_have_their_names(tmp_path):
    (tmp_path / "r_g0_t0.nidq.wiring.json").write_text(json.dumps(SYSTEM))
    assert wiring.line_names(tmp_path / "r_g0_t0.nidq.bin") == {0: "left_camera", 10: "audio", 18: "bpod"}
    assert wiring.line_names(tmp_path / "r_g0_t0.nidq.bin", n_words=2)[34] == "bpod"
    assert wiring.fault(SYSTEM) == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "neither"),
        ({DIGITAL: ["left_camera"]}, f"{DIGITAL} is no line"),
        ({DIGITAL: {"P0.8": "left_camera"}}, "P0.8 is no line"),
        ({DIGITAL: {"3": "left_camera"}}, "3 is no line"),
        ({ANALOG: {"A0": "bpod"}}, "A0 is no line"),
        ({DIGITAL: {"P0.3": 4}}, "connected to P0.3 is no text"),
        ({DIGITAL: {"P0.1": "left_camera", "P0.2": "left_camera"}}, "both P0.1 and P0.2"),
    ],
)
def test_what_is_wrong_is_named_and_the_rest_counts(tmp_path, content, words):
    folder = tmp_path / trees.SESSION / "raw_ephys_data"
    folder.mkdir(parents=True)
    if isinstance(content, dict):
        content[ANALOG] = content.get(ANALOG, {}) | {"AI1": "frame2ttl"}
    (folder / "r_g0_t0.nidq.wiring.json").write_text(json.dumps(content))
    report = inspect_session.examine(tmp_path, SessionKey("lab", "mouse", "2024-05-01", 1), trees.SESSION, {})
    (problem,) = report.problems
    assert problem.path.endswith("nidq.wiring.json") and words in problem.detail
    names = wiring.line_names(folder / "r_g0_t0.nidq.bin")
    assert names.get(17) == ("frame2ttl" if isinstance(content, dict) else None) and 8 not in names
