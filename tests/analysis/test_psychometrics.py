"""The psychometric fit, held against known parameters, psychofit, real mice and every degenerate session."""

import dataclasses
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psychofit
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from pipeline.analysis import conventions, psychometrics
from pipeline.analysis.psychometrics import PLOTTING, STATUS, bound_names, curve, fit, fit_batch
from tests.analysis import real_sessions
from tests.analysis.real_sessions import KS014, TRIALS_TEST, needs_real_data

TRAINING = np.array([-100, -50, -25, -12.5, -6.25, 0, 6.25, 12.5, 25, 50, 100])
BIASED = np.array([-100, -25, -12.5, -6.25, 0, 6.25, 12.5, 25, 100])

some_contrasts = st.sampled_from([TRAINING, BIASED, np.array([-100.0, -50, 50, 100]), np.array([-50.0, 0, 50])])
boxes = st.sampled_from([STATUS, PLOTTING])


@st.composite
def problems(draw):
    """Any counts at any of the task's sets of contrasts."""
    contrasts = draw(some_contrasts)
    n = draw(st.lists(st.integers(0, 60), min_size=contrasts.size, max_size=contrasts.size))
    return contrasts, np.array(n), np.array([draw(st.integers(0, size)) for size in n])


def simulate(seed: int, size: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Sessions of mice between naive and expert."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(size):
        contrasts = (TRAINING, BIASED)[rng.integers(2)]
        n = rng.multinomial(rng.integers(150, 1000), np.full(contrasts.size, 1 / contrasts.size))
        p = curve(contrasts, rng.normal(0, 15), rng.lognormal(3, 0.7), rng.beta(1, 7), rng.beta(1, 7))
        out.append((contrasts, n, rng.binomial(n, p)))
    return out


def problem_of(trials) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return psychometrics.counts(conventions.trial_signed_contrast(trials), conventions.right_choice(trials["choice"]))


def assert_same(one, other) -> None:
    """Equal to the last bit, NaN included."""
    np.testing.assert_equal(dataclasses.astuple(one), dataclasses.astuple(other))


def log_likelihood(problem, parameters) -> float:
    contrasts, n, n_right = problem
    eps = np.finfo(float).eps
    p = np.clip(curve(contrasts, *parameters), eps, 1 - eps)
    return float(np.sum(n_right * np.log(p) + (n - n_right) * np.log1p(-p)))


def limits(box, contrasts) -> tuple[np.ndarray, np.ndarray]:
    lower = np.array([contrasts.min() if box.lower[0] is None else box.lower[0], *box.lower[1:]])
    upper = np.array([contrasts.max() if box.upper[0] is None else box.upper[0], *box.upper[1:]])
    return np.maximum(lower, [-np.inf, 0.01, 0, 0]), upper


def psychofit_fit(problem, box) -> tuple[np.ndarray, float]:
    """The fit as the published pipelines call it."""
    contrasts, n, n_right = problem
    lower, upper = limits(box, contrasts)
    lower[1] = box.lower[1]
    start = np.array([contrasts.mean() if box.start[0] is None else box.start[0], *box.start[1:]])
    data = np.vstack([contrasts, n, n_right / n])
    return psychofit.mle_fit_psycho(
        data, "erf_psycho_2gammas", parstart=start, parmin=lower, parmax=upper, nfits=5 if box is STATUS else 10
    )


# --- the model and its known answers


def test_the_curve_is_that_of_psychofit():
    values = curve(TRAINING, -5.0, 13.0, 0.1, 0.2)
    np.testing.assert_allclose(values, psychofit.erf_psycho_2gammas([-5.0, 13.0, 0.1, 0.2], TRAINING), rtol=1e-14)


@needs_real_data
def test_the_day_a_real_mouse_was_trained():
    """KS014's last three sessions before it counted as trained, as a production database fitted them."""
    fitted = fit(*problem_of(real_sessions.trials(KS014, "2019-08-20", "2019-08-21", "2019-08-22")))
    assert fitted.bias == pytest.approx(-2.78, abs=0.005)
    assert fitted.threshold == pytest.approx(10.46, abs=0.005)
    assert fitted.lapse_low == pytest.approx(0.131, abs=5e-4)
    assert fitted.lapse_high == pytest.approx(0.095, abs=5e-4)
    assert fitted.identifiable
    assert bound_names(fitted.at_bound) == ()


@given(
    bias=st.floats(-25, 25),
    threshold=st.floats(8, 45),
    lapse_low=st.floats(0, 0.3),
    lapse_high=st.floats(0, 0.3),
    contrasts=st.sampled_from([TRAINING, BIASED]),
)
def test_known_parameters_are_recovered(bias, threshold, lapse_low, lapse_high, contrasts):
    n = np.full(contrasts.size, 1_000_000)
    fitted = fit(contrasts, n, n * curve(contrasts, bias, threshold, lapse_low, lapse_high))
    assert fitted.parameters == pytest.approx((bias, threshold, lapse_low, lapse_high), rel=2e-3, abs=2e-3)
    assert fitted.identifiable


@pytest.mark.slow
@settings(deadline=None)
@given(problems(), boxes, st.integers(0, 2**32 - 1))
def test_no_point_of_the_box_is_better_than_the_fit(problem, box, seed):
    contrasts, n, _ = problem
    fitted = fit(*problem, box)
    if np.isnan(fitted.bias):
        assert (n > 0).sum() < 2
        return
    shown = contrasts[n > 0]
    lower, upper = limits(box, shown)
    assert np.all(np.array(fitted.parameters) >= lower)
    assert np.all(np.array(fitted.parameters) <= upper)
    assert fitted.log_likelihood == pytest.approx(log_likelihood(problem, fitted.parameters), abs=1e-8)
    points = lower + np.random.default_rng(seed).random((200, 4)) * (upper - lower)
    steps = [(edge, 0.01, 0.3, 0.3) for edge in (shown[:-1] + shown[1:]) / 2] if box is STATUS else []
    assert max(log_likelihood(problem, point) for point in [*points, *steps]) <= fitted.log_likelihood + 1e-6


@settings(deadline=None)
@given(problems(), boxes)
def test_the_mirrored_session_has_the_mirrored_curve(problem, box):
    contrasts, n, n_right = problem
    here, there = fit(contrasts, n, n_right, box), fit(-contrasts[::-1], n[::-1], (n - n_right)[::-1], box)
    np.testing.assert_allclose(here.log_likelihood, there.log_likelihood, atol=1e-4)
    if here.identifiable and there.identifiable and max(here.standard_errors[0], there.standard_errors[0]) < 5:
        assert there.bias == pytest.approx(-here.bias, abs=0.5)


# --- against psychofit


def compare(sets, box) -> np.ndarray:
    """Log likelihood of ours minus psychofit's, fits that agree having the same parameters."""
    np.random.seed(0)  # noqa: NPY002 - psychofit draws its restarts from the global generator
    ours = fit_batch(sets, box)
    gain = np.empty(len(sets))
    for b, problem in enumerate(sets):
        theirs, likelihood = psychofit_fit(problem, box)
        gain[b] = ours.log_likelihood[b] - likelihood
        if abs(gain[b]) < 1e-6 and ours.identifiable[b]:
            assert ours[b].parameters == pytest.approx(tuple(theirs), abs=0.05)
    return gain


@pytest.mark.slow
@needs_real_data
@pytest.mark.parametrize("box", [STATUS, PLOTTING], ids=["status", "plotting"])
def test_never_below_psychofit_on_real_sessions(box):
    sets = [problem_of(real_sessions.trials(s, day)) for s in (KS014, TRIALS_TEST) for day in real_sessions.days(s)]
    assert compare(sets, box).min() > -1e-6


@pytest.mark.slow
def test_never_below_psychofit_on_simulated_sessions():
    gain = compare(simulate(11, 25), STATUS)
    assert gain.min() > -1e-6
    assert np.mean(gain < 1e-3) > 0.5, "most sessions have one clear answer that both find"


# --- a batch is the same as one by one


def test_a_batch_equals_single_fits_bit_by_bit_and_every_time():
    sets = simulate(5, 20)
    batch, again = fit_batch(sets), fit_batch(sets[::-1])[::-1]
    for b, problem in enumerate(sets):
        assert_same(fit(*problem), batch[b])
        assert_same(fit(*problem), again[b])


def test_threads_get_the_same_fits():
    sets = simulate(9, 40)
    expected = fit_batch(sets)
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(fit_batch, [sets] * 8):
            np.testing.assert_array_equal(result.threshold, expected.threshold)


def test_order_repeats_and_empty_levels_do_not_matter():
    contrasts, n, n_right = simulate(6, 1)[0]
    shuffled = np.random.default_rng(0).permutation(contrasts.size)
    doubled = np.r_[contrasts[shuffled], contrasts, 3.0]
    pooled = fit(doubled, np.r_[n[shuffled], n, 0], np.r_[n_right[shuffled], n_right, 0])
    assert pooled.parameters == pytest.approx(fit(contrasts, 2 * n, 2 * n_right).parameters, abs=1e-9)


def test_fits_can_be_sliced_masked_and_counted():
    fits = fit_batch(simulate(7, 6))
    assert len(fits) == 6
    assert_same(fits[-1], fits[5])
    assert len(fits[1:3]) == 2
    assert fits[fits.identifiable].identifiable.all()
    assert [item.bias for item in fits] == fits.bias.tolist()


# --- what cannot be fitted, and what the data do not tell


@pytest.mark.parametrize(
    "problem",
    [
        ([], [], []),
        ([100.0], [5], [3]),
        ([-100.0, 100.0], [0, 0], [0, 0]),
        ([-100.0, 0.0, 100.0], [0, 7, 0], [0, 3, 0]),
    ],
    ids=["empty", "one contrast", "no trials", "trials at one contrast"],
)
@pytest.mark.parametrize("box", [STATUS, PLOTTING], ids=["status", "plotting"])
def test_fewer_than_two_contrasts_give_nan_and_leave_the_others_alone(problem, box):
    good = simulate(8, 1)[0]
    fits = fit_batch([problem, good, problem], box)
    for item in (fits[0], fits[2]):
        assert np.isnan([*item.parameters, item.log_likelihood, *item.standard_errors]).all()
        assert (item.at_bound, item.identifiable) == (0, False)
    assert_same(fits[1], fit(*good, box))


def test_no_problems_give_no_fits():
    assert len(fit_batch([])) == 0


@pytest.mark.parametrize("n_right", [np.zeros(9), np.full(9, 50), np.full(9, 25)], ids=["left", "right", "chance"])
def test_a_mouse_that_ignores_the_stimulus_is_fitted_and_not_identified(n_right):
    fitted = fit(BIASED, np.full(9, 50), n_right)
    np.testing.assert_allclose(curve(BIASED, *fitted.parameters), n_right / 50, atol=1e-4)
    assert not fitted.identifiable


def test_a_step_between_two_contrasts_is_not_identified():
    """Any threshold below the step fits as well; psychofit returns whichever it stops at."""
    fitted = fit(BIASED, np.full(9, 50), np.where(BIASED >= 6.25, 45, 5))
    assert fitted.threshold < 6.25
    assert not fitted.identifiable
    np.testing.assert_allclose(curve(BIASED, *fitted.parameters), np.where(BIASED >= 6.25, 0.9, 0.1), atol=1e-3)


def test_only_fits_that_can_be_trusted_are_called_identifiable():
    rng = np.random.default_rng(2)
    truth = np.column_stack(
        [rng.normal(0, 12, 1000), rng.lognormal(3, 0.8, 1000), rng.beta(1, 6, 1000), rng.beta(1, 6, 1000)]
    )
    sets = []
    for parameters in truth:
        n = rng.multinomial(rng.integers(60, 900), np.full(TRAINING.size, 1 / TRAINING.size))
        sets.append((TRAINING, n, rng.binomial(n, np.clip(curve(TRAINING, *parameters), 0, 1))))
    fits = fit_batch(sets)
    off = np.abs(np.log(fits.threshold / truth[:, 1]))
    assert 0.7 < fits.identifiable.mean() < 0.9
    assert np.percentile(off[fits.identifiable], 95) < 1
    assert np.percentile(off[~fits.identifiable], 95) > 3


def test_first_training_sessions_with_four_contrasts_are_not_identified():
    fitted = fit([-100, -50, 50, 100], [100] * 4, [10, 12, 80, 85])
    assert not fitted.identifiable


def test_a_steep_curve_at_the_plotting_bound_is_identified():
    n = np.full(TRAINING.size, 200)
    fitted = fit(TRAINING, n, np.rint(n * curve(TRAINING, 1, 8, 0.05, 0.05)), PLOTTING)
    assert bound_names(fitted.at_bound) == ("threshold",)
    assert fitted.threshold == 10
    assert fitted.identifiable


def test_a_box_of_ones_own_can_hold_parameters_fixed():
    box = psychometrics.Box(lower=(None, 0, 0, 0), upper=(None, 100, 0, 0.3), start=(0, 20, 0, 0.1))
    n = np.full(TRAINING.size, 10_000)
    fitted = fit(TRAINING, n, n * curve(TRAINING, 4, 20, 0, 0.1), box)
    assert fitted.parameters == pytest.approx((4, 20, 0, 0.1), abs=1e-3)
    step = fit([-1.0, 0.0, 1.0], [5, 5, 5], [0, 0, 5], dataclasses.replace(box, upper=(None, 100, 0, 0)))
    assert step.log_likelihood == pytest.approx(0, abs=1e-6)


def test_bounds_are_named_by_parameter():
    fitted = fit(BIASED, np.full(9, 100), 100 * curve(BIASED, 0, 20, 0, 0.1))
    assert bound_names(fitted.at_bound) == ("lapse_low",)
    assert np.isnan(fitted.standard_errors[2])
    assert np.isfinite(np.delete(fitted.standard_errors, 2)).all()
    assert bound_names(0b1111) == psychometrics.PARAMETERS


def test_a_mouse_that_answers_against_the_stimulus_has_lapses_above_one():
    """As in the published box: no criterion passes it, and the line goes through the points."""
    p = curve(BIASED, 0, 20, 0.9, 0.9)
    fitted = fit(BIASED, np.full(9, 1000), np.rint(1000 * p))
    np.testing.assert_allclose(curve(BIASED, *fitted.parameters), p, atol=2e-3)
    assert fitted.lapse_low + fitted.lapse_high > 1


def test_standard_errors_are_the_spread_of_repeated_sessions():
    rng = np.random.default_rng(4)
    n = np.full(TRAINING.size, 100)
    p = curve(TRAINING, 3, 20, 0.1, 0.15)
    fits = fit_batch([(TRAINING, n, rng.binomial(n, p)) for _ in range(600)])
    spread = np.std([fits.bias, fits.threshold, fits.lapse_low, fits.lapse_high], axis=1)
    np.testing.assert_allclose(np.nanmedian(fits.standard_errors, axis=0), spread, rtol=0.15)


@pytest.mark.parametrize(
    "problem",
    [([0, 1], [1, 2], [1]), ([0, 1], [1, 1], [2, 0]), ([0, np.nan], [1, 1], [0, 0]), ([0, 1], [1, 1], [-1, 0])],
    ids=["lengths", "more right than trials", "contrast not finite", "negative"],
)
def test_counts_that_cannot_be_are_an_error(problem):
    with pytest.raises(ValueError, match="problem 1"):
        fit_batch([(TRAINING, np.full(11, 2), np.ones(11)), problem])


def test_counts_leave_out_trials_without_a_choice():
    contrasts, n, n_right = psychometrics.counts([100, 100, 0, np.nan], [1.0, np.nan, 0.0, 1.0])
    assert (contrasts.tolist(), n.tolist(), n_right.tolist()) == ([0, 100], [1, 1], [0, 1])
    with pytest.raises(ValueError, match="alike"):
        psychometrics.counts([1, 2], [1])


# --- intervals and blocks


@pytest.mark.parametrize(("k", "n"), [(0, 12), (3, 12), (12, 12), (450, 700)])
def test_error_bars_have_the_68_percent_they_say(k, n):
    """Published plots label 96.8 % normal intervals as 68 %."""
    expected = binomtest(k, n).proportion_ci(confidence_level=0.68, method="wilson")
    lower, upper = psychometrics.wilson_interval(k, n)
    assert (lower, upper) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert np.isnan(psychometrics.wilson_interval(0, 0)).all()


def test_the_bias_shift_is_positive_when_the_mouse_follows_the_blocks():
    n = np.full(BIASED.size, 200)
    mostly_left = fit(BIASED, n, np.rint(n * curve(BIASED, 8, 15, 0.05, 0.05)))
    mostly_right = fit(BIASED, n, np.rint(n * curve(BIASED, -6, 15, 0.05, 0.05)))
    shift = psychometrics.block_bias_shift(
        {np.float32(0.2): mostly_right, 0.5: mostly_left, np.float32(0.8): mostly_left}
    )
    assert shift == pytest.approx(14, abs=0.5)
    assert psychometrics.block_bias_shift({0.8: mostly_left}) is None
    assert psychometrics.block_bias_shift({0.2: fit([], [], []), 0.8: mostly_left}) is None


@needs_real_data
def test_a_real_mouse_shifts_with_the_blocks():
    trials = real_sessions.trials(TRIALS_TEST, "2020-09-01")
    fits = {
        probability: fit(
            *problem_of({name: column[trials["probability_left"] == probability] for name, column in trials.items()})
        )
        for probability in (0.2, 0.8)
    }
    assert psychometrics.block_bias_shift(fits) > 5


@pytest.mark.slow
def test_the_fit_works_where_no_compiled_code_can_be_kept():
    """A read-only installation used by a service without a home: numba finds no cache folder it could write."""
    script = (
        "import numpy as np\n"
        "from pipeline.analysis import _psychometric_kernels as kernels\n"
        "assert type(kernels.log_likelihood.compiled._cache).__name__ == 'NullCache'\n"
        "half = np.array([0.0])\n"
        "print(kernels.log_likelihood(np.array([0.0, 10.0, 0.0, 0.0]), half, np.array([4.0]), np.array([2.0])))"
    )
    environment = os.environ | {"NUMBA_CACHE_LOCATOR_CLASSES": "_ZipCacheLocator"}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert float(ended.stdout) == pytest.approx(4 * np.log(0.5))


def test_a_wilson_interval_holds_its_estimate_exactly():
    """For k = 0 and k = n too, which plots of real sessions reach, to the last bit."""
    for n in range(1, 400):
        k = np.arange(n + 1)
        lower, upper = psychometrics.wilson_interval(k, n)
        assert np.all(lower <= k / n)
        assert np.all(k / n <= upper)
        assert lower.min() >= 0
        assert upper.max() <= 1
