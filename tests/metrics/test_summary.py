import dataclasses
import json

import numpy as np
import pytest

from mrm_jax.metrics import (
    bootstrap,
    calibration,
    classification,
    cpsc2018,
    significance,
    summary,
    thresholds,
)
from mrm_jax.metrics.scores import SplitScores
from mrm_jax.reports import caveats
from tests.helpers import small_reports
from tests.helpers.small_reports import DESCRIPTIONS, HEADS, NAMES

pytestmark = pytest.mark.slow

NO_INTERVAL = {"macro_labels", "share_of_zeros", "fmax_threshold", "val_threshold"}


RESAMPLES = 200


@pytest.fixture(scope="module")
def splits():
    return small_reports.split(0, 40), small_reports.split(1, 30)


@pytest.fixture(scope="module")
def report(splits):
    return evaluate(*splits)


def evaluate(test, val, split="test"):
    names = [*NAMES, *map(str, range(test.labels.shape[1]))][: test.labels.shape[1]]
    evaluated = summary.Evaluated(test, thresholds.choose(val), split, val, RESAMPLES)
    return summary.summarise(evaluated, names, names)


def repeated(split, head, count):
    """Returns scores and labels of records that stand as often as count says."""
    return (np.repeat(a, count, axis=0) for a in (split.heads[head], split.labels))


def resampled(split, measure):
    """Returns the interval of a measure that is taken of each resample by itself."""
    counts, _ = significance.draw(split.labels, NAMES, RESAMPLES, 0)
    values = np.array([measure(count) for count in counts])
    return np.quantile(values, [0.025, 0.975], axis=0)


def test_records_without_any_label_limit_what_a_perfect_model_reaches(splits):
    test, val = splits
    labels = test.labels.copy()
    labels[:10] = 0
    perfect = labels.astype(np.float32)
    found = evaluate(
        dataclasses.replace(test, labels=labels, branches=both(perfect)), val
    )
    assert (found["num_records"], found["num_unlabelled"]) == (40, 10)
    of_mean = found["test"]["mean"]
    assert (of_mean["tpr"], of_mean["f1"]) == (0.75, 0.75)
    assert of_mean["fmax"] == pytest.approx(1.5 / 1.75)
    assert caveats.unlabelled(found) == (
        "10 of 40 records have none of the labels; their recall and F1 count as 0, so "
        "a perfect model reaches 0.750 in recall and F1 per record, and 0.857 in F and "
        "Fmax"
    )


def both(scores):
    return {"high": scores, "low": scores}


def test_records_that_all_have_labels_need_no_caveat(report):
    assert report["num_unlabelled"] == 0 and caveats.unlabelled(report) == ""


def test_a_split_has_the_metrics_of_each_head(report, splits):
    test, val = splits
    for head in HEADS:
        of_val = classification.evaluate(val.heads[head], val.labels)
        assert report["val"][head] == of_val
        threshold = of_val["fmax_threshold"]
        of_test = classification.evaluate(test.heads[head], test.labels, threshold)
        assert report["test"][head] == of_test


def test_each_metric_has_an_interval_or_none(report):
    found = report["intervals"]
    assert (found["level"], found["resamples"], found["seed"]) == (0.95, RESAMPLES, 0)
    assert found["note"] is None
    for head in HEADS:
        ends = found["heads"][head]
        assert set(ends) == set(report["test"][head])
        assert {name for name, pair in ends.items() if pair is None} == NO_INTERVAL
        for name in set(ends) - NO_INTERVAL:
            low, high = ends[name]
            assert low < high
            assert low <= report["test"][head][name] <= high, name


def test_all_heads_use_the_same_resamples(report, splits):
    test, _ = splits
    chosen = report["test"]["low"]["val_threshold"]

    def measure(count):
        found = classification.evaluate(*repeated(test, "low", count), chosen)
        return [found[name] for name in ("macro_auc", "f1", "f_at_val_threshold")]

    low, high = resampled(test, measure)
    ends = report["intervals"]["heads"]["low"]
    for i, name in enumerate(("macro_auc", "f1", "f_at_val_threshold")):
        assert ends[name] == pytest.approx([low[i], high[i]]), name


def test_a_label_has_its_metrics_at_its_own_threshold(report, splits):
    test, val = splits
    chosen = thresholds.choose(val)["high"]
    statistics = thresholds.per_record(
        test.heads["high"], test.labels, np.array(chosen.by_label)
    )
    at_threshold = thresholds.aggregate(statistics, np.ones((1, 40)))
    by_label = classification.evaluate_labels(test.heads["high"], test.labels)
    for i, label in enumerate(report["labels"]):
        assert label["label"] == label["description"] == NAMES[i]
        assert label["positive_records"] == test.labels[:, i].sum()
        found = label["heads"]["high"]
        assert found["threshold"] == chosen.by_label[i]
        for name in ("auc", "average_precision", "f1"):
            assert found[name] == pytest.approx(getattr(by_label, name)[i])
        for name, values in at_threshold.items():
            assert found[name] == values[0, i]


def test_intervals_of_a_label_match_its_resamples(report, splits):
    test, val = splits
    chosen = np.array(thresholds.choose(val)["mean"].by_label)

    def measure(count):
        statistics = thresholds.per_record(*repeated(test, "mean", count), chosen)
        found = thresholds.aggregate(statistics, np.ones((1, 40)))
        auc = classification.evaluate_labels(*repeated(test, "mean", count)).auc
        return [*(found[n][0] for n in ("sensitivity", "ppv")), auc]

    low, high = resampled(test, measure)
    for i, label in enumerate(report["labels"]):
        for row, name in enumerate(("sensitivity", "ppv", "auc")):
            found = label["heads"]["mean"][f"{name}_interval"]
            assert found == pytest.approx([low[row, i], high[row, i]]), name


def test_calibration_is_measured_before_and_after_scaling(report, splits):
    test, val = splits
    temperature = calibration.fit(val.mean, val.labels)
    found = report["calibration"]["mean"]
    assert found["temperature"] == temperature
    scaled = calibration.scale(test.mean, temperature)
    for suffix, scores in (("", test.mean), ("_scaled", scaled)):
        statistics = calibration.per_record(scores, test.labels)
        for name, value in calibration.aggregate(statistics, np.ones((1, 40))).items():
            assert found[name + suffix] == pytest.approx(value[0])
            low, high = found[f"{name}{suffix}_interval"]
            assert low < value[0] < high
        assert found["reliability" + suffix] == calibration.reliability(statistics)


def test_intervals_after_scaling_match_the_resamples(report, splits):
    test, val = splits
    temperature = thresholds.choose(val)["low"].temperature

    def measure(count):
        scores, labels = repeated(test, "low", count)
        scaled = calibration.scale(scores, temperature)
        statistics = calibration.per_record(scaled, labels)
        return calibration.aggregate(statistics, np.ones((1, 40)))["nll"][0]

    found = report["calibration"]["low"]["nll_scaled_interval"]
    assert found == pytest.approx(resampled(test, measure))


def test_the_official_score_needs_all_first_labels():
    known = small_reports.split(2, 60, num_labels=9, first_labels=True)
    report = evaluate(known, known)
    expected = cpsc2018.evaluate(known.mean, known.labels, known.first_label)
    ends = report["intervals"]["heads"]["mean"]
    for name, value in expected.items():
        assert report["test"]["mean"][name] == report["val"]["mean"][name] == value
        low, high = ends[name]
        assert low <= value <= high
    arrays = (known.names, known.labels, known.heads["high"], known.heads["low"])
    without_3 = np.where(known.first_label == 3, -1, known.first_label)
    unknown = SplitScores.of_two(*arrays, without_3)
    assert "cpsc_f1" not in evaluate(unknown, known)["test"]["mean"]


def test_a_label_without_both_classes_has_neither_number_nor_interval(splits):
    test, val = splits
    labels = test.labels.copy()
    labels[:, 1] = 0
    spoilt = dataclasses.replace(test, labels=labels)
    report = evaluate(spoilt, val)
    found = report["labels"][1]["heads"]["mean"]
    assert np.isnan(found["auc"]) and found["auc_interval"] is None
    assert np.isnan(found["ppv"]) and found["ppv_interval"] is None
    assert found["specificity_interval"][0] < found["specificity"]
    assert report["labels"][0]["heads"]["mean"]["auc_interval"] is not None
    assert report["intervals"]["heads"]["mean"]["macro_auc"] is not None


def test_labels_too_rare_to_resample_give_a_note_and_no_intervals(splits):
    rare = small_reports.split(3, 40, num_labels=40)
    labels = np.eye(40, dtype=np.uint8)
    split = dataclasses.replace(rare, labels=labels)
    report = evaluate(split, split)
    found = report["intervals"]
    assert found["note"].startswith("hardly any resample of the records has both class")
    assert "which 1 of 40 records have" in found["note"]
    assert set(found["heads"]["mean"].values()) == {None}
    assert report["labels"][0]["heads"]["low"]["auc_interval"] is None
    assert report["calibration"]["low"]["ece_interval"] is None
    assert report["test"]["mean"]["macro_auc"] > 0


def test_one_record_has_no_intervals():
    one = small_reports.split(0, 1)
    report = evaluate(one, one)
    assert report["intervals"]["note"] == "a single record cannot be resampled"
    assert set(report["intervals"]["heads"]["mean"].values()) == {None}


def test_any_split_can_be_reported(splits):
    test, val = splits
    report = evaluate(val, val, split="val")
    assert "test" not in report
    found = report["val"]["mean"]
    assert found["f_at_val_threshold"] == found["fmax"]
    chosen = thresholds.choose(val)
    alone = summary.summarise(
        summary.Evaluated(test, chosen, resamples=RESAMPLES), NAMES, DESCRIPTIONS
    )
    assert "val" not in alone
    assert alone["test"] == evaluate(test, val)["test"]


def test_numbers_have_json_types(report):
    assert json.loads(json.dumps(report)) == report


def test_resamples_are_the_same_in_every_report(splits):
    test, _ = splits
    expected = bootstrap.draw(test.labels, RESAMPLES, np.random.default_rng(0))
    np.testing.assert_array_equal(
        significance.draw(test.labels, NAMES, RESAMPLES, 0)[0], expected
    )
