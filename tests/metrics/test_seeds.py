import pytest

from mrm_jax.metrics import seeds
from tests.reports.test_seed_summary import RUNS, observed, summary


def test_mean_and_sd_match_values_by_hand():
    found = summary()["heads"]["mean"]["macro_auc"]
    assert found["values"] == [0.8, 0.9, 1.0]
    assert found["mean"] == pytest.approx(0.9)
    assert found["sd"] == pytest.approx(0.1)  # with n - 1; with n it is 0.082


def test_a_metric_missing_in_one_run_has_no_mean():
    found = summary()["heads"]["low"]["cpsc_f1"]
    assert found == {"mean": None, "sd": None, "values": [0.5, None, 0.5]}


def test_a_metric_that_one_run_lacks_has_no_mean():
    runs = [observed(0.8), observed(0.9), observed(1.0)]
    for lacking in (0, 2):
        partly = [dict(of_run) for of_run in runs]
        partly[lacking]["high"] = {"macro_auc": 0.7}
        found = seeds.summarise(RUNS, partly)["heads"]["high"]
        values = [0.5] * 3
        values[lacking] = None
        assert found["cpsc_f1"] == {"mean": None, "sd": None, "values": values}


def test_only_metrics_are_averaged():
    assert set(summary()["heads"]["high"]) == {"macro_auc", "cpsc_f1"}


def test_a_single_run_raises():
    with pytest.raises(ValueError, match="two seeds or more, found 1"):
        seeds.summarise(RUNS[:1], [observed(0.9)])
