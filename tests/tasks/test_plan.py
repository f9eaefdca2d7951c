"""Which tasks a session needs follows from its description and files, by rules that are data."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InvalidData, OperatorError, UserError
from pipeline.tasks import Kind, kinds, plan, register
from pipeline.tasks.description import Description, infer, parse_yaml, read
from pipeline.tasks.kinds import unregister
from pipeline.tasks.plan import drawn, matching

DESCRIPTION = """
devices:
  cameras:
    left: {collection: raw_video_data, sync_label: audio}
    right: {collection: raw_video_data}
  neuropixel:
    probe00: {collection: raw_ephys_data/probe00}
  microphone:
    microphone: {collection: raw_task_data_00, sync_label: null}
sync: {nidq: {collection: raw_ephys_data, extension: bin, acquisition_software: spikeglx}}
tasks:
- ephysChoiceWorld: {collection: raw_task_data_00, sync_label: bpod}
- passiveChoiceWorld: {collection: raw_task_data_01}
version: 1.0.0
"""


def test_the_tasks_of_a_session_follow_from_its_description():
    names = {item.name: item for item in plan(read(parse_yaml(DESCRIPTION)))}
    assert {"compress_video_left", "compress_video_right", "compress_ephys_probe00", "raw_ephys_qc_probe00"} <= set(
        names
    )
    assert names["motion_energy_left"].parents == ("compress_video_left",)  # of its own camera only
    assert names["motion_energy_left"].level == 1
    assert "extract_trials_00" not in names  # bpod's times are not the session's where a nidq synchronises
    assert not any(name.startswith("extract_trials_01") for name in names)  # passive


def test_a_real_description_of_a_rig_is_read():
    path = Path(__file__).parents[3] / "shared/realdata/raw_rig/_ibl_experiment.description.yaml"
    if not path.exists():
        pytest.skip(f"no real recordings at {path}")
    description = read(parse_yaml(path.read_text()))
    assert [label.label for label in description.labels("probe")] == ["probe00", "probe01"]
    assert [(task.protocol, task.folder) for task in description.tasks] == [
        ("passiveChoiceWorld", "raw_passive_data"), ("ephysChoiceWorld", "raw_behavior_data")]  # fmt: skip
    assert (description.sync, description.sync_folder) == ("nidq", "raw_ephys_data")


def test_a_session_without_a_description_is_described_by_its_files():
    files = ["raw_behavior_data/_iblrig_taskData.raw.jsonable", "raw_behavior_data/_iblrig_taskSettings.raw.json",
             "raw_video_data/_iblrig_leftCamera.raw.avi"]  # fmt: skip
    names = [item.name for item in plan(infer(files), files, "_iblrig_tasks_trainingChoiceWorld6.4.2")]
    assert {"extract_trials_00", "extract_wheel_00", "compress_video_left", "camera_times_left"} <= set(names)


@pytest.mark.parametrize(
    "text",
    ["[1, 2", "- a\n- b", "devices: 3", "devices: {cameras: {../x: {}}}", "tasks: [{a: 1, b: 2}]", "sync: {a: 1, b: 2}",
     "devices: {cameras: {left: {collection: ../../etc}}}", "devices: {cameras: {left: {collection: /etc}}}",
     "a: &x [1]\nb: *x", "a: !!python/object/apply:os.system ['true']"],
)  # fmt: skip
def test_a_damaged_or_hostile_description_is_refused_with_a_sentence(text):
    with pytest.raises(InvalidData, match=r"description\.yaml: .+: correct the file"):
        read(parse_yaml(text))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(InvalidData):
        plan(read(parse_yaml(text)))


def test_a_lab_adds_a_kind_and_circles_are_refused():
    mine = Kind("count_licks", "1", "mylab:run", parents=("compress_video",), each="camera")
    register(mine)
    try:
        register(mine)
        with pytest.raises(UserError, match="already"):
            register(Kind("count_licks", "2", "mylab:run"))
        with pytest.raises(UserError, match="cannot be the name"):
            register(Kind("../x", "2", "mylab:run"))
        assert "count_licks_left" in [item.name for item in plan(infer(["raw_video_data/_iblrig_leftCamera.raw.avi"]))]
    finally:
        unregister("count_licks")
    circle = [Kind("one", "1", "x:y", parents=("two",)), Kind("two", "1", "x:y", parents=("one",))]
    with pytest.raises(OperatorError, match="waits for itself"):
        plan(Description(), among=circle)
    with pytest.raises(OperatorError, match="not registered"):
        plan(Description(), among=circle[:1])


def test_patterns_do_not_reach_into_other_folders_and_arguments_are_no_patterns():
    paths = ["a/x.ap.bin", "a/b/y.ap.bin", "alf/p/s/spikes.times.npy", "[a]/z.ap.bin"]
    assert matching("{folder}/*.ap.bin", {"folder": "a"}, paths) == ["a/x.ap.bin"]
    assert matching("{folder}/*.ap.bin", {"folder": "[a]"}, paths) == ["[a]/z.ap.bin"]
    assert matching("alf/{label}/*", {"label": "p"}, paths) == ["alf/p/s/spikes.times.npy"]


def test_the_graph_is_drawn_with_every_task_once():
    tasks = plan(read(parse_yaml(DESCRIPTION)))
    lines = drawn(tasks, {"compress_video_left": "Complete"})
    assert len(lines) == len(tasks) and "compress_video_left  [Complete]" in lines


def test_every_kind_that_comes_with_the_program_can_be_imported():
    for kind in kinds().values():
        assert callable(kind.function()), kind.name
