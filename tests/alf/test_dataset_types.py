"""Protects the list of dataset types: every published name is known with shape, unit and meaning, and checked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.alf.columns import parse_name
from pipeline.alf.dataset_types import DATASET_TYPES, FORMER_NAMES, REFERENCES, dataset_type, describe, suggest
from pipeline.alf.objects import assemble

PUBLISHED = """
spikes: times clusters depths amps templates samples
templates: waveforms waveformsChannels
clusters: metrics mlapdv brainAcronyms waveforms waveformsChannels depths amps channels peakToThrough _phy_annotation
    _phy_ids probes
channels: probes rawInd _phy_ids mlapdv localCoordinates brainAcronyms shank
probes: trajectory description
eye: timestamps raw area xyPos blink
licks: times
spontaneous: intervals
wheel: position timestamps velocity
wheelMoves: intervals type
trials: intervals included repNum goCue_times goCueTrigger_times response_times choice stimOn_times
    stimOnTrigger_times contrastLeft contrastRight feedback_times feedbackType rewardVolume itiDuration
    probabilityLeft deadTime
passiveTrials: included stimOn_times contrastLeft contrastRight
passiveValveClicks: times
passiveBeeps: times
passiveWhiteNoise: times
passiveNoise: intervals
sparseNoise: xy times
extraRewards: times
camera: dlc times
"""
"""The names of the published convention (2020), without namespaces."""


def published() -> list[str]:
    names, alf_object = [], ""
    for word in PUBLISHED.split():
        if word.endswith(":"):
            alf_object = word[:-1]
        else:
            names.append(f"{alf_object}.{word}")
    return names


@pytest.mark.parametrize("name", published())
def test_every_published_type_is_known_by_name_shape_and_meaning(name):
    description = describe(name)
    assert description is not None and description.text and description.shape, name
    assert describe(f"_ibl_{name}") is description
    assert description.unit or not name.endswith(("times", "intervals", "timestamps"))


def test_former_names_lead_to_names_of_today():
    assert FORMER_NAMES["clusters.peakToThrough"] == "clusters.peakToTrough"
    assert all(now in DATASET_TYPES and not DATASET_TYPES[now].renamed for now in FORMER_NAMES.values())


def test_an_attribute_named_like_an_object_is_an_index_into_it():
    objects = {name.partition(".")[0] for name in DATASET_TYPES}
    by_name = {name for name in DATASET_TYPES if name.partition(".")[2] in objects}
    by_name -= {"fpData.channels"}  # the light states of a photometry device: a table
    assert by_name <= REFERENCES.keys()
    assert {REFERENCES[name] for name in by_name} <= objects


def test_a_file_of_another_layout_has_the_type_it_stands_for():
    for file_name, known in (
        ("_ns_trials.visualStim_times.npy", "trials.stimOn_times"),
        ("cwFeedback.type.npy", "trials.feedbackType"),
        ("Wheel.position.npy", "wheel.position"),
        ("sparseNoise.positions.npy", "sparseNoise.positions"),
    ):
        assert dataset_type(parse_name(file_name)) == known


SHAPES = st.lists(st.integers(0, 5), min_size=1, max_size=4).map(tuple)


@given(st.sampled_from(sorted(DATASET_TYPES)), SHAPES)
def test_a_shape_fits_or_the_message_says_what_is_expected(name, shape):
    one = DATASET_TYPES[name]
    wrong = one.wrong_shape(shape)
    if one.dimensions is None:
        assert not wrong
        return
    fits = len(shape) == len(one.dimensions) and all(
        isinstance(size, str) or size == length for size, length in zip(one.dimensions, shape, strict=True)
    )
    column = len(one.dimensions) == 1 and len(shape) == 2 and shape[1] == (2 if name.endswith(".timestamps") else 1)
    assert (wrong == "") == (fits or column)
    assert not wrong or (str(shape) in wrong and one.shape in wrong)


def npy(values):
    import io

    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def test_an_array_of_a_wrong_shape_is_refused_and_the_rest_of_its_object_counts():
    assembled = assemble(
        "sparseNoise",
        {"alf/sparseNoise.times.npy": npy(np.arange(4.0)), "alf/sparseNoise.xy.npy": npy(np.zeros((4, 3)))},
    )
    assert assembled.refused == {"xy": "wrong_shape"} and assembled.other == ["times"]
    assert "(n_squares, 2)" in assembled.refusals[0].detail


def test_suggestions_are_by_name_and_never_of_another_shape():
    assert suggest("trials", "contrast_left", (300,))[0] == "trials.contrastLeft"
    assert "trials.intervals" not in suggest("trials", "interval", (300,))
    assert suggest("trials", "interval", (300, 2))[0] == "trials.intervals"
    assert suggest("qwerty", "zxcvb", (3,)) == []
