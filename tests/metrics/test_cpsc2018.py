import numpy as np
import pytest

from mrm_jax.metrics import cpsc2018


def one_hot(classes):
    return np.eye(9, dtype=np.uint8)[classes]


def random_split(seed, num_records=300):
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 9, num_records).astype(np.int16)
    labels = one_hot(first) | one_hot(rng.integers(0, 9, num_records))
    return rng.random((num_records, 9), np.float32), labels, first


def naive_score(scores, labels, first_label):
    """The challenge's rule, record by record, in classes counted from 1."""
    a = [[0] * 10 for _ in range(10)]
    for record in range(len(scores)):
        p = int(np.argmax(scores[record])) + 1
        true = {i + 1 for i in range(9) if labels[record, i]}
        a[p if p in true else int(first_label[record]) + 1][p] += 1
    row = [sum(a[i]) for i in range(10)]
    column = [sum(line[i] for line in a) for i in range(10)]
    f1 = [2 * a[i][i] / (row[i] + column[i]) for i in range(1, 10)]

    def group(*classes):
        total = sum(row[i] + column[i] for i in classes)
        return 2 * sum(a[i][i] for i in classes) / total

    return {
        "cpsc_f1": sum(f1) / 9,
        "cpsc_f_af": group(2),
        "cpsc_f_block": group(3, 4, 5),
        "cpsc_f_pc": group(6, 7),
        "cpsc_f_st": group(8, 9),
    }


def test_confusion_matrix_matches_values_by_hand():
    # A hit, a hit on a second label, a miss of a record with two labels, a miss.
    predicted = [0, 4, 2, 8]
    labels = np.stack([one_hot(held).sum(0) for held in ([0], [1, 4], [1, 4], [3])])
    first = np.array([0, 1, 4, 3], np.int16)
    matrix = cpsc2018.confusion(one_hot(predicted).astype(float), labels, first)
    expected = np.zeros((9, 9), int)
    expected[[0, 4, 4, 3], [0, 4, 2, 8]] = 1
    np.testing.assert_array_equal(matrix, expected)


def test_score_matches_values_by_hand():
    # Two records of each class; one of AF is taken for I-AVB, one of STD for STE.
    first = np.repeat(np.arange(9), 2).astype(np.int16)
    predicted = first.copy()
    predicted[2], predicted[14] = 2, 8
    found = cpsc2018.evaluate(
        one_hot(predicted).astype(np.float32), one_hot(first), first
    )
    assert found == pytest.approx(
        {
            "cpsc_f1": (5 * 1 + 2 / 3 + 4 / 5 + 2 / 3 + 4 / 5) / 9,
            "cpsc_f_af": 2 * 1 / (2 + 1),
            "cpsc_f_block": 2 * 6 / (6 + 7),
            "cpsc_f_pc": 1.0,
            "cpsc_f_st": 2 * 3 / (4 + 4),
        }
    )


@pytest.mark.parametrize("seed", range(3))
def test_score_equals_a_plain_loop(seed):
    split = random_split(seed)
    assert cpsc2018.evaluate(*split) == pytest.approx(naive_score(*split))


def test_a_class_that_never_occurs_counts_as_0():
    first = np.zeros(3, np.int16)
    found = cpsc2018.evaluate(one_hot(first).astype(float), one_hot(first), first)
    assert found["cpsc_f1"] == pytest.approx(1 / 9)
    assert found["cpsc_f_st"] == 0


def test_the_lowest_of_equal_scores_is_predicted():
    first = np.array([3], np.int16)
    matrix = cpsc2018.confusion(np.full((1, 9), 0.5), one_hot(first), first)
    assert matrix[3, 0] == 1


@pytest.mark.parametrize("first", [-1, 9, 5])
def test_an_invalid_first_label_raises(first):
    scores, labels = np.zeros((2, 9)), one_hot([0, 4])
    with pytest.raises(
        ValueError, match=rf"the first in row 1 .*: {first}. .*REFERENC"
    ):
        cpsc2018.confusion(scores, labels, np.array([0, first], np.int16))


def test_labels_other_than_the_nine_raise():
    with pytest.raises(ValueError, match=r"shape \(2, 9\), found \(2, 5\)"):
        cpsc2018.confusion(np.zeros((2, 5)), np.zeros((2, 5)), np.zeros(2, np.int16))


def test_a_nan_score_raises():
    scores, labels, first = random_split(0)
    scores[7, 3] = np.nan
    with pytest.raises(ValueError, match="record 7, label 3"):
        cpsc2018.confusion(scores, labels, first)


def test_a_weight_of_two_equals_a_repeated_record():
    split = random_split(3)
    counts = np.random.default_rng(0).integers(0, 4, (4, len(split[0])))
    cells = cpsc2018.record_cells(*split)
    found = cpsc2018.aggregate(cells, counts.astype(float))
    for i, count in enumerate(counts):
        expected = naive_score(*(np.repeat(array, count, axis=0) for array in split))
        assert {name: v[i] for name, v in found.items()} == pytest.approx(expected)
