"""Curves on any axis: known parameters are found again, and the likelihood is that of the fit of the IBL task."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.analysis import curves, psychometrics


@pytest.mark.slow
@pytest.mark.parametrize("function", curves.FUNCTIONS)
@pytest.mark.parametrize("width", [0.8, -0.8])
def test_known_parameters_are_found_again(function, width):
    random = np.random.default_rng(5)
    x = np.linspace(-3, 3, 13)
    p = curves.evaluate(x, 0.3, width, 0.06, 0.1, function)
    fitted = curves.fit(x, np.full(x.size, 4000), random.binomial(4000, p), function)
    errors = np.abs(np.array(fitted.parameters) - [0.3, width, 0.06, 0.1])
    assert fitted.identifiable and (errors < 4 * np.array(fitted.standard_errors)).all()
    assert (np.array(fitted.standard_errors) < 0.06).all()


def test_the_erf_is_as_likely_as_the_fit_of_the_published_status():
    x, n, yes = [-100, -25, -12.5, -6.25, 0, 6.25, 12.5, 25, 100], np.full(9, 80), [4, 6, 17, 26, 41, 50, 66, 73, 77]
    ours, other = curves.fit(x, n, yes), psychometrics.fit(x, n, yes)
    assert abs(ours.log_likelihood - other.log_likelihood) < 1e-3
    np.testing.assert_allclose(ours.parameters, other.parameters, atol=0.1)
    np.testing.assert_allclose(ours.standard_errors, other.standard_errors, rtol=0.05)


def test_a_curve_of_correct_choices_begins_at_the_guess_rate():
    random = np.random.default_rng(1)
    octaves = np.linspace(-2, 3, 11)
    yes = random.binomial(3000, curves.evaluate(octaves, 0.5, 0.7, 1 / 3, 0.04, "gumbel"))
    fitted = curves.fit(octaves, np.full(11, 3000), yes, "gumbel", guess=1 / 3)
    assert fitted.lapse_low == pytest.approx(1 / 3) and abs(fitted.centre - 0.5) < 0.05 and fitted.width > 0
    assert np.isnan(fitted.standard_errors[2]), "it was given"


def test_what_the_data_do_not_determine_is_said():
    assert not curves.fit([0, 1], [50, 50], [10, 40]).identifiable
    assert np.isnan(curves.fit([1, 1], [50, 50], [10, 40]).centre)
    assert not curves.fit([0, 1, 2, 3, 4], [10] * 5, [5] * 5).identifiable, "flat"
    with pytest.raises(ValueError, match="choose from erf"):
        curves.fit([0, 1], [1, 1], [0, 1], "spline")
    with pytest.raises(ValueError, match="between 0 and n"):
        curves.fit([0, 1], [1, 1], [0, 2])


def test_positions_on_a_log_axis_are_octaves():
    assert curves.axis_positions([500, 0, -1], "log", 1000)[0] == -1
    assert np.isnan(curves.axis_positions([0, -1], "log", 1000)).all()
    assert curves.level_at(float(curves.axis_positions(7.3, "log", 2.0)), "log", 2.0) == pytest.approx(7.3)
    assert curves.level_at(float(curves.axis_positions(7.3, "linear", 2.0)), "linear", 2.0) == pytest.approx(7.3)
