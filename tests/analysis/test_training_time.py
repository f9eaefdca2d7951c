"""A known cause of training time is found, a shuffled one is not, and numbers come back to the digit."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import confusion_matrix, f1_score
from sklearn.model_selection import KFold

from neurojoint.cli import main
from pipeline.analysis import training_time

pytestmark = pytest.mark.slow


def simulated(n: int = 100, seed: int = 3) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Mice whose training time follows from how much their performance changed; weight and age say nothing."""
    draw = np.random.default_rng(seed)
    change = draw.normal(size=n)
    features = {"perf_delta1": change, "weight_start": draw.normal(20, 2, n), "age_start": draw.normal(90, 9, n)}
    return features, np.round(np.exp(2.8 - 0.5 * change + draw.normal(0, 0.1, n)))


@pytest.mark.parametrize("leak_free", [False, True])
def test_the_feature_that_decides_is_found_and_the_others_are_not(leak_free):
    features, days = simulated()
    judgement = training_time.judge(features, days, leak_free=leak_free, n_shuffles=4, n_repeats=3, n_trees=15)
    assert judgement.f1 > 0.55 > judgement.shuffled_f1.max() and 0.1 < judgement.shuffled_f1.mean() < 0.45
    fall = dict(zip(judgement.names, judgement.importance.mean(axis=1), strict=True))
    assert fall["perf_delta1"] > 0.3 and max(fall, key=fall.__getitem__) == "perf_delta1"
    draw = np.random.default_rng(0)
    shuffled = features | {"perf_delta1": draw.permutation(features["perf_delta1"])}
    lost = training_time.judge(shuffled, days, leak_free=leak_free, n_shuffles=1, n_repeats=3, n_trees=15)
    assert lost.f1 < 0.45
    noise = dict(zip(lost.names, lost.importance.mean(axis=1), strict=True))["perf_delta1"]
    # scored on mice that it was fitted to, a model finds importance in noise
    assert abs(noise) < 0.12 if leak_free else noise > 0.2


def test_it_is_the_published_method():
    """Against the method spelled out with scikit-learn."""
    features, days = simulated(60)
    judgement = training_time.judge(features, days, n_shuffles=1, n_trees=12)
    table = np.column_stack([features[name] for name in sorted(features)])
    classes = np.digitize(days, np.percentile(days, [25, 50, 75]), right=True) + 1
    told = np.zeros(60, int)
    for train, test in KFold(10, shuffle=True, random_state=0).split(table):
        model = RandomForestClassifier(12, random_state=0).fit(table[train], classes[train])
        told[test] = model.predict(table[test])
    assert judgement.f1 == f1_score(classes, told, average="micro")
    assert (judgement.confusion == confusion_matrix(classes, told)).all()


def test_the_same_seed_gives_the_same_digits_with_any_number_of_threads():
    features, days = simulated(40)
    options = {"n_shuffles": 3, "n_trees": 6, "n_repeats": 2, "leak_free": True, "seed": 7}
    first = training_time.judge(features, days, **options)
    second = training_time.judge(features, days, **options, n_threads=3)
    for name in ("predicted", "probabilities", "shuffled_f1", "importance"):
        assert (getattr(first, name) == getattr(second, name)).all()
    other = training_time.judge(features, days, **(options | {"seed": 8}))
    assert (other.shuffled_f1 != first.shuffled_f1).any()


def test_one_feature_alone_and_too_few_mice():
    features, days = simulated(40)
    alone = training_time.judge({"perf_delta1": features["perf_delta1"]}, days, n_shuffles=1, n_trees=10)
    assert alone.importance.shape == (1, 10) and alone.names == ["perf_delta1"]
    with pytest.raises(ValueError, match="too few"):
        training_time.judge({"x": np.arange(19.0)}, np.arange(19.0))
    with pytest.raises(ValueError, match="0 trained mice are too few"):
        training_time.judge({}, np.empty(0))
    with pytest.raises(ValueError, match="hardly differ"):
        training_time.judge({"x": np.arange(40.0)}, np.full(40, 7.0))
    with pytest.raises(ValueError, match="missing"):
        training_time.judge({"x": np.full(40, np.nan)}, np.arange(40.0))


def test_the_command_reads_days_and_features(tmp_path):
    features, time = simulated(40)
    lines = ["subject,training_day,training_time,performance_easy,reaction_time,n_trials,sex,cage"]
    for mouse in range(40):
        for day in range(1, 6):
            gain = 0.5 + (0.02 * features["perf_delta1"][mouse] + 0.05) * (day - 1)
            lines.append(f"m{mouse},{day},{time[mouse]:.0f},{gain:.4f},{1 / day:.3f},{100 * day},{'FM'[mouse % 2]},7")
    file = tmp_path / "days.csv"
    file.write_text("\n".join(lines))
    words = ["predict", "--features", str(file), "--shuffles", "1", "--trees", "4"]
    first = CliRunner().invoke(main, [*words, "--out", str(tmp_path / "out")])
    assert first.exit_code == 0, first.output
    assert "40 trained mice" in first.output and "0.466" in first.output and "leak-free" in first.output
    assert "not used: cage (no feature is called so)" in first.output and "not used: subject" not in first.output
    assert len(list((tmp_path / "out").glob("*.html"))) == 4
    second = CliRunner().invoke(main, words)
    assert first.output.startswith(second.output.rstrip()), "to the digit"
    file.write_text("\n".join(lines).replace("m3,2,", "m3,two,"))
    file.write_text("\n".join([*lines[:5], lines[5].replace(",500,", ",many,")]))
    wrong = CliRunner().invoke(main, words)
    assert wrong.exit_code == 1 and "line 6: n_trials is 'many'" in wrong.output
    file.write_text("subject,training_time\nm1,3\n")
    assert "has no feature" in CliRunner().invoke(main, words).output
