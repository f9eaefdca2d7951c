"""Sensitivity and criterion agree with their definition, and are finite for any counts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from pipeline.analysis.detection import detection

trials = st.lists(st.tuples(st.sampled_from([0.0, 1.0, np.nan]), st.sampled_from([0.0, 1.0, np.nan])), max_size=60)


@given(trials)
def test_the_counts_are_all_known_trials_and_the_measures_finite(pairs):
    go, did = np.array(pairs).reshape(-1, 2).T
    measures = detection(go, did)
    known = np.isfinite(go) & np.isfinite(did)
    assert measures.n_hits + measures.n_misses + measures.n_false_alarms + measures.n_correct_rejections == known.sum()
    both = len(set(go[known])) == 2
    assert np.isfinite(measures.d_prime) == both and np.isfinite(measures.criterion) == both


def test_an_observer_of_known_sensitivity_is_found_again():
    random = np.random.default_rng(2)
    go = random.random(200_000) < 0.4
    did = random.normal(size=go.size) + 1.7 * go > 1.1
    measures = detection(go, did)
    assert abs(measures.d_prime - 1.7) < 0.02 and abs(measures.criterion - (1.1 - 0.85)) < 0.02
    assert abs(measures.hit_rate - norm.sf(1.1 - 1.7)) < 0.01


def test_more_responses_lower_the_criterion_and_swapping_them_turns_the_sign():
    go = np.repeat([1, 0], 50)
    lax, strict = (
        np.concatenate([np.arange(50) < hits, np.arange(50) < alarms]) for hits, alarms in ((48, 20), (30, 2))
    )
    assert detection(go, lax).criterion < 0 < detection(go, strict).criterion
    assert np.isclose(detection(go, ~lax).d_prime, -detection(go, lax).d_prime)
