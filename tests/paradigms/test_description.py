"""Descriptions say what is wrong with them, cover protocols by pattern, and come from settings."""

from __future__ import annotations

import pytest

from pipeline import paradigms, settings
from pipeline.errors import AmbiguousError, InvalidSettings, NotFoundError, UserError
from pipeline.paradigms import TaskDescription

TONES = {"name": "tones", "protocols": ["tone_*"], "choices": [[1, "low"], [2, "high"]], "correct": "choice == side"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layout": "foraging"}, "layout is unknown"),
        ({"design": "maze"}, "choose from alternatives"),
        ({"choices": [[1, "low"]]}, "code and label"),
        ({"choices": [[1, "low"], [1, "high"]]}, "every code"),
        ({"choices": [[0, "low"], [1, "high"]]}, "no_choice"),
        ({"correct": "choice == side.value"}, "correct|read|expected|condition"),
        ({"curve": "spline"}, "erf"),
        ({"stimulus": {"kolumn": "f"}}, "kolumn"),
        ({"go": "choice == 1"}, "go/no-go"),
        ({"name": "two words"}, "letters"),
        ({"protocols": []}, "patterns"),
    ],
)
def test_a_wrong_entry_is_named(change, words):
    with pytest.raises((InvalidSettings, UserError), match=words):
        TaskDescription.from_mapping(TONES | change)


def test_tasks_of_the_settings_come_before_those_of_the_program():
    assert paradigms.of_protocol("tone_trainingChoiceWorld") is paradigms.IBL
    assert paradigms.of_protocol("tone_discrimination") is None
    with settings.override(tasks=(TONES,)):
        assert paradigms.of_protocol("Tone_trainingChoiceWorld").name == "tones"
        assert paradigms.named("tones").labels == ("low", "high")
        assert paradigms.choice_codes() == {0.0, 1.0, 2.0}
    with pytest.raises(NotFoundError, match="neurojoint refresh"):
        paradigms.named("tones")
    with settings.override(tasks=(TONES, TONES | {"name": "tones2"})), pytest.raises(AmbiguousError, match="tones2"):
        paradigms.of_protocol("tone_discrimination")


def test_what_a_task_means_is_in_its_digest_but_not_its_title():
    one = TaskDescription.from_mapping(TONES)
    assert one.digest == TaskDescription.from_mapping(TONES | {"title": "Tones"}).digest
    assert one.digest != TaskDescription.from_mapping(TONES | {"curve": "logistic"}).digest


def test_a_module_registers_its_tasks_again_and_no_other_may_take_the_name():
    task = TaskDescription.from_mapping(TONES)
    try:
        paradigms.register("lab.a", [task])
        paradigms.register("lab.a", [task])
        assert paradigms.of_protocol("tone_x") is task
        with pytest.raises(UserError, match="described already"):
            paradigms.register("lab.b", [task])
        with pytest.raises(UserError, match="described already"):
            paradigms.register("lab.b", [TaskDescription.from_mapping(TONES | {"name": "ibl"})])
    finally:
        paradigms.register("lab.a", [])
    assert paradigms.of_protocol("tone_x") is None
