import numpy as np
import pytest

from mrm_jax.metrics import bootstrap, classification, paired, significance
from mrm_jax.metrics.scores import SplitScores

LABELS = ("CD", "HYP", "MI")
NUM_RECORDS = 60


def contender(name, seed, help_=0.3, **changes):
    """A run whose scores of the same records know a share of the labels."""
    labels = (np.random.default_rng(0).random((NUM_RECORDS, 3)) < 0.4).astype(np.uint8)
    labels[0] = 1
    rng = np.random.default_rng(seed)
    high, low = (
        labels * help_ + rng.random(labels.shape) * (1 - help_) for _ in range(2)
    )
    names = np.array([f"R{i:03d}" for i in range(NUM_RECORDS)])
    fields = {"names": names, "labels": labels, "high": high, "low": low} | changes
    return paired.Contender(
        name=name,
        facts={"seed": seed, "epoch": 3, "command": "train"},
        labels=LABELS,
        scores=SplitScores.of_two(**fields),
        thresholds={"high": 0.5, "low": 0.4, "mean": 0.45},
    )


def test_a_run_compared_with_itself_has_no_difference():
    run = contender("a", 1)
    (other,) = paired.compare([run, run], resamples=50)["others"]
    for of_head in other["heads"].values():
        for found in of_head.values():
            assert found["difference"] == 0 and found["p_value"] == 1
            assert found["interval"] == [0, 0]


def test_every_difference_is_b_minus_a():
    a, b = contender("a", 1, help_=0.1), contender("b", 2, help_=0.6)
    result = paired.compare([a, b], resamples=200)
    (other,) = result["others"]
    assert (result["a"]["workdir"], other["b"]["workdir"]) == ("a", "b")
    assert set(other["heads"]) == {"high", "low", "mean"}
    for head in other["heads"]:
        one, two = (
            classification.evaluate(
                run.scores.heads[head], run.scores.labels, threshold
            )
            for run, threshold in ((a, a.thresholds[head]), (b, b.thresholds[head]))
        )
        for metric in ("macro_auc", "macro_ap", "f1", "fmax", "f_at_val_threshold"):
            found = other["heads"][head][metric]
            assert (found["a"], found["b"]) == (one[metric], two[metric])
            assert found["difference"] == pytest.approx(two[metric] - one[metric])
    clear = other["heads"]["mean"]["macro_auc"]
    assert clear["difference"] > 0.2 and clear["interval"][0] > 0
    assert clear["p_value"] == pytest.approx(2 / 201)


def test_intervals_use_differences_on_the_same_resamples():
    a, b = contender("a", 1), contender("b", 2)
    result = paired.compare([a, b], resamples=100, seed=7)
    labels = a.scores.labels
    counts = bootstrap.draw(labels, 100, np.random.default_rng(7))
    one, two = (
        bootstrap.evaluate(r.scores.heads["high"], labels, counts, 0.5) for r in (a, b)
    )
    differences = two["macro_ap"] - one["macro_ap"]
    found = result["others"][0]["heads"]["high"]["macro_ap"]
    np.testing.assert_allclose(
        found["interval"], np.quantile(differences, [0.025, 0.975])
    )
    of_label = (two["label_auc"] - one["label_auc"])[:, 2]
    found = result["others"][0]["labels"][2]["heads"]["high"]["auc"]
    np.testing.assert_allclose(found["interval"], np.quantile(of_label, [0.025, 0.975]))
    assert found["p_value"] == significance.two_sided(of_label)


def test_pairing_detects_a_difference_despite_overlapping_intervals():
    """B is A and a little more: as uncertain as A, but better in every resample."""
    a = contender("a", 1, help_=0.3)
    split = a.scores
    better = {n: split.heads[n] * 0.97 + split.labels * 0.03 for n in ("high", "low")}
    b = contender("b", 1, **better)
    found = paired.compare([a, b])["others"][0]["heads"]["mean"]["macro_auc"]
    counts = bootstrap.draw(split.labels, 1000, np.random.default_rng(0))
    alone = bootstrap.percentile(
        bootstrap.evaluate(split.mean, split.labels, counts)["macro_auc"]
    )
    assert found["b"] < alone[1]
    assert found["interval"][0] > 0 and found["p_value"] < 0.01


def test_p_values_of_labels_are_adjusted_within_each_head():
    runs = [contender("a", 1), contender("b", 2)]
    labels = paired.compare(runs, resamples=99)["others"][0]["labels"]
    for head in ("high", "low", "mean"):
        found = [entry["heads"][head]["auc"] for entry in labels]
        adjusted = significance.holm([entry["p_value"] for entry in found])
        assert [entry["p_holm"] for entry in found] == adjusted


def test_a_label_with_one_class_has_no_difference():
    labels = contender("a", 1).scores.labels.copy()
    labels[:, 1] = 0
    runs = [contender("a", 1, labels=labels), contender("b", 2, labels=labels)]
    (other,) = paired.compare(runs, resamples=50)["others"]
    found = other["labels"][1]["heads"]["mean"]["auc"]
    assert found["a"] is found["difference"] is found["interval"] is None
    assert found["p_value"] is found["p_holm"] is None
    assert other["heads"]["mean"]["macro_auc"]["interval"] is not None


def test_rare_labels_have_no_interval_and_are_not_adjusted_for():
    labels = contender("a", 1).scores.labels.copy()
    labels[:, 1] = np.arange(NUM_RECORDS) < 9
    labels[:, 2] = np.arange(NUM_RECORDS) < 50  # 10 without it are just enough
    runs = [contender(n, i, labels=labels) for i, n in enumerate("ab")]
    result = paired.compare(runs, resamples=50)
    (other,) = result["others"]
    often, rare, enough = (e["heads"]["mean"]["auc"] for e in other["labels"])
    assert rare["difference"] == rare["b"] - rare["a"]
    assert rare["interval"] is rare["p_value"] is rare["p_holm"] is None
    assert [often["p_holm"], enough["p_holm"]] == significance.holm(
        [often["p_value"], enough["p_value"]]
    )
    said = result["intervals"]
    assert said["rare_note"].startswith("1 of 3 labels have fewer than 10 records")
    assert said["num_adjusted"] == 2
    assert said["smallest_p"] == pytest.approx(2 / 51)
    assert said["smallest_p_holm"] == pytest.approx(4 / 51)
    assert other["heads"]["mean"]["macro_auc"]["interval"] is not None


def test_labels_too_rare_to_resample_keep_their_differences(monkeypatch):
    monkeypatch.setattr(bootstrap, "MAX_REJECTED", 0)
    monkeypatch.setattr(bootstrap, "_draw_once", lambda n, rng: np.zeros((5, n), int))
    result = paired.compare([contender("a", 1), contender("b", 2)])
    assert "hardly any resample" in result["intervals"]["note"]
    found = result["others"][0]["heads"]["mean"]["macro_auc"]
    assert found["difference"] == found["b"] - found["a"]
    assert found["interval"] is found["p_value"] is None


def test_the_official_score_is_compared_if_first_labels_are_known():
    rng = np.random.default_rng(3)
    first = rng.integers(0, 9, NUM_RECORDS)
    labels = np.eye(9, dtype=np.uint8)[first]
    runs = [
        paired.Contender(
            name,
            {},
            list("123456789"),
            SplitScores.of_two(
                np.arange(NUM_RECORDS).astype(str),
                labels,
                rng.random(labels.shape),
                rng.random(labels.shape),
                first,
            ),
            dict.fromkeys(("high", "low", "mean"), 0.5),
        )
        for name in "ab"
    ]
    (other,) = paired.compare(runs, resamples=20)["others"]
    found = other["heads"]["mean"]["cpsc_f1"]
    assert found["difference"] == pytest.approx(found["b"] - found["a"])


def test_different_records_raise_and_are_named():
    a = contender("runs/a", 1)
    names = a.scores.names.copy()
    names[[3, 5]] = "X1", "X2"
    with pytest.raises(ValueError, match=r"2 records \(R003, R005\) only in the first"):
        paired.compare([a, contender("runs/b", 1, names=names)])


def test_different_labels_of_the_same_records_raise_and_are_named():
    a = contender("runs/a", 1)
    labels = a.scores.labels.copy()
    labels[4, 1] = 1 - labels[4, 1]
    with pytest.raises(ValueError, match=r"1 records \(R004\) with other labels"):
        paired.compare([a, contender("runs/b", 1, labels=labels)])


def test_different_label_sets_raise_and_are_named():
    a = contender("runs/a", 1)
    b = paired.Contender("b", {}, LABELS[::-1], a.scores, a.thresholds)
    with pytest.raises(ValueError, match="CD, HYP, MI and MI, HYP, CD"):
        paired.compare([a, b])
