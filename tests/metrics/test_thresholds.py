import numpy as np
import pytest

from mrm_jax.metrics import calibration, classification, thresholds
from mrm_jax.metrics.scores import HEADS, SplitScores
from mrm_jax.reports import thresholds_file

LABELS = ("AF", "PAC")


def split(scores, labels, low=None):
    names = np.array([str(i) for i in range(len(scores))])
    return SplitScores.of_two(names, labels, scores, scores if low is None else low)


def read(folder, metrics, epoch):
    saved = {"data": {"labels": LABELS}, "metrics": metrics}
    return thresholds_file.read(folder, saved, epoch, HEADS)


def column(*values):
    return np.array(values)[:, np.newaxis]


def random_split(decimals=2, dtype=np.float32, num_records=80):
    rng = np.random.default_rng(decimals)
    labels = (rng.random((num_records, 5)) < 0.3).astype(np.uint8)
    labels[:2] = [[0], [1]]
    scores = 0.3 * labels + 0.7 * rng.random(labels.shape)
    return scores.round(decimals).astype(dtype), labels


def test_the_threshold_lies_between_the_scores_it_separates():
    scores = column(0.9, 0.7, 0.4, 0.2)
    # Found 1, 2, 3 or 4: F1 is 2/3, 1, 4/5, 2/3.
    assert thresholds.best_f1(scores, column(1, 1, 0, 0)) == pytest.approx([0.55])
    # 0, 2/3, 1/2, 2/5.
    assert thresholds.best_f1(scores, column(0, 1, 0, 0)) == pytest.approx([0.55])
    # 2/3, 1/2, 2/5, 2/3: of both, the lower; halfway from the lowest score to 0.
    assert thresholds.best_f1(scores, column(1, 0, 0, 1)) == pytest.approx([0.1])


def test_tied_records_are_predicted_together():
    scores = column(0.8, 0.5, 0.5, 0.5, 0.1)
    # With the three of 0.5: 2 * 2 / (4 + 2); without: 2 / (1 + 2). Equally good.
    found = thresholds.best_f1(scores, column(1, 1, 0, 0, 0))
    assert found == pytest.approx([0.3])
    found = thresholds.best_f1(scores, column(1, 0, 0, 0, 0))
    assert found == pytest.approx([0.65])


@pytest.mark.parametrize("decimals", [1, 2, 7])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_other_threshold_has_a_better_f1(decimals, dtype):
    scores, labels = random_split(decimals, dtype)
    found = thresholds.best_f1(scores, labels)
    for i, threshold in enumerate(found):
        of_label, truth = scores[:, i].astype(np.float64), labels[:, i]
        f1 = {
            t: 2 * truth[of_label >= t].sum() / (truth.sum() + (of_label >= t).sum())
            for t in (*np.unique(of_label), threshold)
        }
        assert f1[threshold] == max(f1.values())
        lower = [t for t in f1 if t < threshold and f1[t] == f1[threshold]]
        assert not lower


def test_neighbouring_floats_are_separated():
    low = 0.5
    high = np.nextafter(low, 1)
    (threshold,) = thresholds.best_f1(column(high, low), column(1, 0))
    assert low < threshold <= high


def test_if_all_scores_are_0_all_records_are_predicted():
    assert thresholds.best_f1(np.zeros((3, 1)), column(1, 0, 0)) == [0]


def test_each_heads_thresholds_come_from_its_own_scores():
    high, labels = random_split()
    low = np.sqrt(high)
    val = split(high, labels, low)
    chosen = thresholds.choose(val)
    assert list(chosen) == ["high", "low", "mean"]
    for head, scores in val.heads.items():
        of_metrics = classification.evaluate(scores, labels)["fmax_threshold"]
        assert chosen[head].overall == of_metrics
        expected = thresholds.best_f1(scores, labels)
        np.testing.assert_array_equal(chosen[head].by_label, expected)
        assert chosen[head].temperature == calibration.fit(scores, labels)
    assert chosen["high"] != chosen["low"]


def test_a_label_with_one_class_uses_the_common_threshold():
    scores, labels = random_split()
    labels[:, 1], labels[:, 3] = 0, 1
    chosen = thresholds.choose(split(scores, labels))["mean"]
    assert chosen.by_label[1] == chosen.by_label[3] == chosen.overall
    assert chosen.by_label[0] != chosen.overall


def test_invalid_scores_raise():
    scores, labels = random_split()
    with pytest.raises(ValueError, match="apply the sigmoid"):
        thresholds.choose(split(scores + 1, labels))


def test_thresholds_file_round_trip(tmp_path):
    scores, labels = random_split()
    chosen = thresholds.choose(split(scores[:, :2], labels[:, :2]))
    thresholds_file.write(tmp_path, LABELS, chosen, epoch=7)
    assert read(tmp_path, {}, epoch=7) == chosen


def test_an_unevaluated_run_uses_the_checkpoints_threshold(tmp_path):
    found = read(tmp_path, {"val/fmax_threshold_low": 0.31}, 1)
    low, mean = found["low"], found["mean"]
    assert (low.by_label, low.source) == ((0.31, 0.31), thresholds.OF_ALL)
    assert (mean.by_label, mean.source) == ((0.5, 0.5), thresholds.NOT_CHOSEN)
