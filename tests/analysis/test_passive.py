"""Protects the list of replayed events: both published layouts of one replay give the same events."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis import passive

TIMES = st.lists(st.floats(0, 1e4), max_size=12)


@given(visual=TIMES, valve=TIMES, tone=TIMES, noise=TIMES, side=st.booleans())
def test_both_layouts_give_the_same_events(visual, valve, tone, noise, side):
    contrast = np.full(len(visual), 0.25)
    nothing = np.full(len(visual), np.nan)
    left, right = (contrast, nothing) if side else (nothing, contrast)
    old = passive.replayed(
        {
            "passiveTrials.stimOn_times": visual, "passiveTrials.contrastLeft": left,
            "passiveTrials.contrastRight": right, "passiveValveClicks.times": valve, "passiveBeeps.times": tone,
            "passiveNoise.intervals": [[item, item + 0.5] for item in noise],
        }
    )  # fmt: skip
    n_rows = max(len(valve), len(tone), len(noise), 0)
    pad = lambda values: np.concatenate([values, np.full(n_rows - len(values), np.nan)])  # noqa: E731
    gabor = {
        "start": visual, "stop": np.full(len(visual), np.nan), "contrast": contrast,
        "position": np.full(len(visual), -35.0 if side else 35.0),
    }  # fmt: skip
    stims = pd.DataFrame(
        {"valveOn": pad(valve), "toneOn": pad(tone), "noiseOn": pad(noise), "noiseOff": pad(noise) + 0.5}
    )
    new = passive.replayed({"passiveGabor.table": pd.DataFrame(gabor), "passiveStims.table": stims})
    for name in old:
        assert old[name].tolist() == new[name].tolist() or np.allclose(old[name], new[name], equal_nan=True)
    assert len(old["start"]) == len(visual) + len(valve) + len(tone) + len(noise)
    assert (np.diff(old["start"]) >= 0).all()


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match="differ in length"):
        passive.replayed({"passiveTrials.stimOn_times": [1.0, 2.0], "passiveTrials.contrastLeft": [1.0]})


@pytest.mark.parametrize(
    "kinds",
    [
        np.array(["CW", "CCW", "Flinch"]),
        "type\nCW\nCCW\nFlinch\n",
        "CW\r\nCCW\r\nFlinch",
        'CW,"CCW",Flinch',
    ],
)
def test_kinds_of_movements_are_read_in_every_published_form(kinds):
    assert passive.labels(kinds, 3).tolist() == ["CW", "CCW", "Flinch"]
    assert passive.labels(kinds, 5).tolist() == [""] * 5
