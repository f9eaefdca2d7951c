"""Protects which tasks a session has, in which order, and which folders belong to which."""

from __future__ import annotations

import datetime

from ingest.files.tasks import RawTask, tasks_of


def rows(raw, objects):
    return [(task.collection, task.number, task.protocol, task.raw_collection) for task in tasks_of(raw, objects)]


def test_without_settings_each_folder_with_trials_is_a_task():
    objects = [("alf/task_01", "trials"), ("alf/task_00", "wheel"), ("alf/probe00", "spikes")]
    assert rows([], objects) == [("alf/task_00", 0, "", ""), ("alf/task_01", 1, "", "")]


def test_tasks_stand_in_the_order_of_their_start():
    first, second = datetime.datetime(2024, 5, 6, 9), datetime.datetime(2024, 5, 6, 11)
    raw = [RawTask("raw_task_data_00", "late", second), RawTask("raw_task_data_01", "early", first)]
    assert [row[2] for row in rows(raw, [])] == ["early", "late"]


def test_settings_and_description_of_one_folder_complete_each_other():
    raw = [RawTask("raw_behavior_data", "", None, 0.5), RawTask("raw_behavior_data", "training")]
    (task,) = tasks_of(raw, [("alf", "trials")])
    assert (task.protocol, task.water, task.collection) == ("training", 0.5, "alf")


def test_sensors_tell_of_a_task_without_settings():
    assert rows([], [("raw_task_data_00", "ambientSensorData")]) == [("alf/task_00", 0, "", "raw_task_data_00")]


def test_passive_tasks_have_no_trials():
    raw = [RawTask("raw_passive_data", "_iblrig_tasks_passiveChoiceWorld"), RawTask("raw_other", "training")]
    assert rows(raw, [("alf", "trials")])[1] == ("alf", 1, "training", "raw_other")


def test_long_protocols_are_cut():
    assert len(tasks_of([RawTask("raw_behavior_data", "x" * 300)], [])[0].protocol) == 255
