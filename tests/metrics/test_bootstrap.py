import collections
import itertools

import numpy as np
import pytest
import scipy.stats

from mrm_jax.metrics import bootstrap, classification

pytestmark = pytest.mark.slow

OVERALL = "macro_auc macro_ap macro_f1 tpr f1 accuracy fmax f_at_val_threshold".split()
BY_LABEL = ("auc", "average_precision", "f1")
VAL_THRESHOLD = 0.37


def random_split(seed=0, num_records=80, num_labels=6, decimals=2):
    """Returns informative scores, and labels from rare to frequent."""
    rng = np.random.default_rng(seed)
    shape = (num_records, num_labels)
    labels = (rng.random(shape) < np.linspace(0.05, 0.8, num_labels)).astype(np.uint8)
    labels[:2] = [[0], [1]]
    scores = (0.3 * labels + 0.7 * rng.random(shape)).round(decimals)
    return scores, labels


def draw(labels, resamples=30, seed=0):
    return bootstrap.draw(labels, resamples, np.random.default_rng(seed))


def assert_equals_repeated_records(values, scores, labels, counts):
    """Compares with `metrics` on records that stand as often as they were drawn."""
    for i, count in enumerate(counts):
        repeated = np.repeat(scores, count, axis=0), np.repeat(labels, count, axis=0)
        overall = classification.evaluate(*repeated, VAL_THRESHOLD)
        by_label = classification.evaluate_labels(*repeated)
        for name in OVERALL:
            assert values[name][i] == pytest.approx(overall[name], rel=1e-12), name
        for name in BY_LABEL:
            np.testing.assert_allclose(
                values[f"label_{name}"][i], getattr(by_label, name), rtol=1e-12
            )


# Rounded to 0 decimals, scores are all 0 or 1; to 1, most are tied.
@pytest.mark.parametrize("decimals", [0, 1, 2, 15])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_resample_has_the_metrics_of_its_records(decimals, dtype):
    scores, labels = random_split(decimals, decimals=decimals)
    scores = scores.astype(dtype)
    counts = draw(labels)
    values = bootstrap.evaluate(scores, labels, counts, VAL_THRESHOLD)
    assert set(values) == {*OVERALL, *(f"label_{name}" for name in BY_LABEL)}
    assert_equals_repeated_records(values, scores, labels, counts)


def test_any_counts_give_the_metrics_of_repeated_records():
    scores, labels = random_split(4)
    counts = np.random.default_rng(0).integers(0, 9, (5, len(labels)))
    counts[:, :2] = 1  # these have both classes of each label
    values = bootstrap.evaluate(scores, labels, counts, VAL_THRESHOLD)
    assert_equals_repeated_records(values, scores, labels, counts)


def test_counts_of_one_give_the_metrics_of_the_split():
    scores, labels = random_split(5)
    values = bootstrap.evaluate(scores, labels, np.ones((1, len(labels)), int))
    expected = classification.evaluate(scores, labels)
    assert "f_at_val_threshold" not in values
    for name in OVERALL[:-1]:
        assert values[name] == pytest.approx([expected[name]], rel=1e-12)


def test_block_size_does_not_change_results(monkeypatch):
    scores, labels = random_split()
    counts = draw(labels, resamples=50)
    expected = bootstrap.evaluate(scores, labels, counts)
    monkeypatch.setattr(bootstrap, "BLOCK_CELLS", 7 * len(labels))
    monkeypatch.setattr(bootstrap, "MIN_BLOCK", 1)
    found = bootstrap.evaluate(scores, labels, counts)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-12)


def test_labels_without_both_classes_are_excluded():
    scores, labels = random_split()
    labels[:, 0], labels[:, 1] = 0, 1
    counts = draw(labels)
    values = bootstrap.evaluate(scores, labels, counts)
    assert np.isnan(values["label_auc"][:, :2]).all()
    assert np.isnan(values["label_f1"][:, 0]).all()
    assert (values["label_average_precision"][:, 1] == 1).all()
    expected = values["label_auc"][:, 2:].mean(axis=1)
    np.testing.assert_allclose(values["macro_auc"], expected, rtol=1e-12)
    low, high = bootstrap.percentile(values["label_auc"])
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == 2 * [True] + 4 * [False]


def test_macro_metrics_are_nan_without_any_valid_label():
    scores, labels = random_split()
    labels[:] = 1
    values = bootstrap.evaluate(scores, labels, draw(labels))
    assert np.isnan(values["macro_auc"]).all()
    assert not np.isnan(values["accuracy"]).any()


def test_a_resample_has_as_many_records_and_both_classes_of_each_label():
    _, labels = random_split()
    labels[:, 0] = np.arange(len(labels)) == 3  # one positive record
    labels[:, 1] = np.arange(len(labels)) != 5  # one negative record
    labels[:, 2] = 0  # cannot be asked for
    counts = draw(labels, resamples=500)
    assert counts.shape == (500, len(labels))
    assert (counts.sum(axis=1) == len(labels)).all()
    assert counts[:, [3, 5]].min() == 1
    assert counts.min() == 0 and counts.max() > 1


def test_draws_uniformly_among_valid_samples():
    labels = np.array([[1], [0], [0]], np.uint8)
    samples = list(itertools.product(range(3), repeat=3))
    fit = [s for s in samples if 0 < labels[list(s)].sum() < 3]
    expected = collections.Counter(tuple(np.bincount(s, minlength=3)) for s in fit)
    counts = draw(labels, resamples=20_000)
    found = collections.Counter(map(tuple, counts.tolist()))
    assert set(found) == set(expected)
    for sample, ways in expected.items():
        assert found[sample] / 20_000 == pytest.approx(ways / len(fit), abs=0.015)


def test_the_seed_determines_the_resamples():
    _, labels = random_split()
    expected = draw(labels, resamples=40)
    np.testing.assert_array_equal(draw(labels, resamples=40), expected)
    np.testing.assert_array_equal(draw(labels, resamples=10), expected[:10])
    assert (draw(labels, resamples=40, seed=1) != expected).any()


def test_a_label_that_is_too_rare_raises_with_its_name(monkeypatch):
    _, labels = random_split()
    labels[:, 4] = np.arange(len(labels)) == 3
    labels[:, 0] = 0

    def draw_without_record_3(num_records, rng):
        return np.full((4, num_records), 1) - np.eye(num_records, dtype=int)[3]

    monkeypatch.setattr(bootstrap, "_draw_once", draw_without_record_3)
    monkeypatch.setattr(bootstrap, "MAX_REJECTED", 10)
    message = r"^12 of 12 resamples lack .* of label 4 .* present in 1 of 80 records"
    with pytest.raises(bootstrap.InsufficientPositivesError, match=message) as error:
        draw(labels)
    assert error.value.label == 4


def make_one_resample_valid_in(every, monkeypatch):
    """Makes one of so many resamples contain every record, the others record 0 only."""
    monkeypatch.setattr(bootstrap, "MAX_REJECTED", 5000)
    batch = np.zeros((every, 20), int)
    batch[:, 0] = 20
    batch[-1] = 1
    drawn = []
    monkeypatch.setattr(bootstrap, "_draw_once", lambda *_: drawn.append(0) or batch)
    return drawn


def test_drawing_stops_if_valid_resamples_are_too_rare(monkeypatch):
    drawn = make_one_resample_valid_in(2500, monkeypatch)
    with pytest.raises(
        bootstrap.InsufficientPositivesError, match="^4998 of 5000 resamples"
    ):
        draw((np.arange(20) % 2)[:, np.newaxis])
    assert len(drawn) == 2


def test_one_valid_resample_in_500_is_enough(monkeypatch):
    drawn = make_one_resample_valid_in(500, monkeypatch)
    counts = draw((np.arange(20) % 2)[:, np.newaxis], resamples=30)
    assert len(counts) == len(drawn) == 30 and (counts == 1).all()


def test_many_labels_with_one_record_each_are_too_rare_together():
    with pytest.raises(
        ValueError, match="present in 1 of 40 records. Remove the rarest"
    ):
        draw(np.eye(40, dtype=np.uint8))


def test_the_interval_of_an_accuracy_is_binomial():
    right = np.arange(400) < 300
    labels = (np.arange(400) % 2)[:, np.newaxis]
    scores = np.where(right[:, np.newaxis], labels, 1 - labels).astype(float)
    counts = draw(labels, resamples=10_000)
    num_right = 400 * bootstrap.evaluate(scores, labels, counts)["accuracy"]
    binomial = scipy.stats.binom(400, 0.75)
    for level in (0.95, 0.5):
        expected = binomial.interval(level)
        # One record off is what 10,000 resamples may be.
        assert bootstrap.percentile(num_right, level) == pytest.approx(
            expected, abs=1.1
        )


def test_models_are_compared_resample_by_resample():
    scores, labels = random_split(num_records=200)
    counts = draw(labels, resamples=200)
    values = bootstrap.evaluate(scores, labels, counts)
    others = bootstrap.evaluate(scores**2, labels, counts)  # the same order
    assert (values["macro_auc"] == others["macro_auc"]).all()
    low, high = bootstrap.percentile(values["accuracy"] - others["accuracy"])
    assert low < high


@pytest.mark.parametrize("shape", [(3, 79), (0, 80)])
def test_counts_of_other_records_raise(shape):
    scores, labels = random_split()
    with pytest.raises(ValueError, match=r"expected counts \[resample, 80\], found"):
        bootstrap.evaluate(scores, labels, np.ones(shape, int))


def test_invalid_scores_raise():
    scores, labels = random_split()
    with pytest.raises(ValueError, match="apply the sigmoid"):
        bootstrap.evaluate(scores - 3, labels, draw(labels))
