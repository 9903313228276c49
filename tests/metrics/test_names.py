from mrm_jax.metrics import classification, cpsc2018, names, summary
from tests.helpers import small_reports

UNTITLED = {"macro_labels", "fmax_threshold"}  # in files, but in no table


def test_every_metric_of_a_split_has_a_title():
    split = small_reports.split(0, 60, num_labels=9, first_labels=True)
    found = classification.evaluate(split.mean, split.labels, 0.3)
    found |= cpsc2018.evaluate(split.mean, split.labels, split.first_label)
    assert set(names.SPLIT) == set(found) - UNTITLED
    assert list(names.of_split(found)) == list(names.SPLIT)
    assert set(names.SPLIT) - set(names.compared(found)) == set(names.NOT_COMPARED)


def test_titles_within_a_table_are_distinct():
    for table in (names.SPLIT, names.LABEL, names.CALIBRATION):
        assert len(set(table.values())) == len(table)


def test_keys_in_files_have_not_changed():
    assert summary.LABEL_METRICS == tuple(
        "auc average_precision f1 f1_at_threshold sensitivity specificity ppv".split()
    )
    assert summary.CALIBRATION == tuple(
        "ece brier nll ece_scaled brier_scaled nll_scaled".split()
    )
