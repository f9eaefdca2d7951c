"""The features of the first five days are those that were published, and missing days are missing."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.analysis import early_training


def test_features_of_the_first_days():
    day = np.array([1, 2, 3, 4, 5, 6, 1, 2])
    mouse = np.array([0] * 6 + [1] * 2)
    values = {
        "performance_easy": np.array([0.5, 0.6, 0.55, 0.7, 0.8, 0.9, 0.5, 0.4]),
        "reaction_time": np.array([1, 1, 1, 1, 0.4, 9, 2, 2.0]),
        "n_trials": np.array([100, 200, 300, 400, 500, 900, 50, 60.0]),
        "disp_norm": np.array([0.1, np.nan, 0.3, np.nan, np.nan, 9, np.nan, np.nan]),
    }
    result = early_training.first_days(mouse, day, values)
    assert result["perf_delta1"][0] == pytest.approx(0.3) and np.isnan(result["perf_delta1"][1])
    assert (result["trials_sum"][0], result["trials_delta1"][0], result["trials_init"][1]) == (1500, 400, 50)
    assert result["delta_variance"][0] == 0.5 and result["disp_norm"][0] == pytest.approx(0.2)
    assert result["RT_delta1"][0] == pytest.approx(-0.6) and np.isnan(result["disp_norm"][1])
