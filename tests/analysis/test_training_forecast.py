"""A lab is told of the mice that are not trained yet, and nothing where too few are trained."""

from __future__ import annotations

import numpy as np

from pipeline.analysis import training_forecast
from tests.analysis.test_training_time import simulated


def test_a_lab_is_told_of_mice_that_are_not_trained_yet():
    features, days = simulated(60)
    days = days.astype(float)
    days[50:] = np.nan
    told = training_forecast.forecast_lab(features, days, n_trees=12)
    assert told.n_mice == 50 and len(told.mice) == 60 and told.f1 > 0.5
    assert np.allclose(told.probabilities.sum(axis=1), 1) and (told.quartiles[50:] == 0).all()
    few = training_forecast.forecast_lab({name: v[:12] for name, v in features.items()}, days[:12])
    assert few.n_mice == 12 and len(few.mice) == 0 and few.f1 is None
    assert "guess" in training_forecast.sentence([0.1, 0.2, 0.3, 0.4], [5, 8, 13], 21, 0.4)
