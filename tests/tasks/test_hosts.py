"""Why no computer takes a task, in the words of what is missing and who can change it."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline.settings import override
from pipeline.tasks import get
from pipeline.tasks.hosts import Host, why_not
from pipeline.tasks.submit import needs_of

ROW = {"task_repository": "rig", "lab": "a", "kind_name": "sort_spikes", "task_environment": "sorting",
       "task_memory": 32_768, "task_gpus": 1}  # fmt: skip
ABLE = Host("pc", "rig", ("a",), frozenset({"sort_spikes"}), frozenset({"sorting"}), 40_000, 1, True)


@pytest.mark.parametrize(
    ("change", "words", "remedy"),
    [
        ({"repository": "other"}, "none works on the files of rig for a", "--repository rig"),
        ({"labs": ("b",)}, "none works on the files of rig for a", "--repository rig"),
        ({"kinds": frozenset()}, "does not know the kind sort_spikes", "--module"),
        ({"environments": frozenset({"pose"})}, "has no environment `sorting`", "--env sorting="),
        ({"gpus": 0}, "graphics processors", "--gpu"),
        ({"memory": 8_000}, "less than 32,768 MiB", "[task_needs.sort_spikes]"),
        ({"is_on": False}, "has not been heard of", "see whether its agent runs"),
    ],
)
def test_what_is_missing_is_named(change, words, remedy):
    lacking = why_not(ROW, [dataclasses.replace(ABLE, **change)])
    assert lacking is not None and words in lacking.what and remedy in lacking.remedy
    assert lacking.is_equipment == bool({"kinds", "environments", "gpus"} & set(change))
    assert why_not(ROW, [dataclasses.replace(ABLE, **change), ABLE]) is None
    assert why_not(ROW | {"kind_name": ""}, []) is None, "a client of old brings its own programs"


def test_the_settings_say_what_a_kind_needs_on_this_lab_s_computers():
    kind = get("sort_spikes")
    with override(task_needs={"sort_spikes": {"memory": 6000, "cores": 2}}):
        assert needs_of(kind) == dataclasses.replace(kind.needs, memory=6000, cores=2)
        assert needs_of(get("pose")) == get("pose").needs
