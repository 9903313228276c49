import numpy as np
import pytest

from data_prep import folds
from mrm_jax.runtime import locks


@pytest.fixture(scope="module")
def clinic():
    """1,000 records of 300 patients with four labels, the last in 20 records."""
    rng = np.random.default_rng(0)
    patients = folds.of_patients(rng.integers(0, 300, 1000))
    matrix = (rng.random((1000, 4)) < (0.5, 0.2, 0.1, 0.02)).astype(np.uint8)
    return matrix, patients


def test_each_patient_is_in_one_fold_and_labels_are_balanced(clinic):
    matrix, patients = clinic
    found = folds.stratify(matrix, patients)
    assert set(found.tolist()) == set(range(1, 11))
    for patient in range(patients.max() + 1):
        assert len(set(found[patients == patient].tolist())) == 1
    shares = np.array([matrix[found == fold].sum(axis=0) for fold in range(1, 11)])
    wanted = matrix.sum(axis=0) / 10
    assert (np.abs(shares - wanted).max(axis=0) <= [4, 3, 2, 1]).all()


def test_folds_are_more_balanced_than_random_ones(clinic):
    matrix, patients = clinic

    def imbalance(found):
        counts = [matrix[found == fold].sum(axis=0) for fold in range(1, 11)]
        return np.std(counts, axis=0).mean()

    rng = np.random.default_rng(1)
    at_random = [
        imbalance(rng.integers(1, 11, patients.max() + 1)[patients]) for _ in range(20)
    ]
    assert imbalance(folds.stratify(matrix, patients)) < min(at_random) / 2


def test_the_same_seed_gives_the_same_folds(clinic):
    first, again = folds.stratify(*clinic), folds.stratify(*clinic)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, folds.stratify(*clinic, seed=1))


def test_frozen_folds_stay_and_new_records_join_their_patient(clinic):
    matrix, patients = clinic
    before = folds.stratify(matrix[:600], patients[:600])
    frozen = np.concatenate([before, np.zeros(400, np.int8)])
    after = folds.stratify(matrix, patients, frozen)
    np.testing.assert_array_equal(after[:600], before)
    for patient in set(patients[600:].tolist()) & set(patients[:600].tolist()):
        assert len(set(after[patients == patient].tolist())) == 1


def test_a_file_that_another_process_writes_is_not_overwritten(tmp_path):
    path = tmp_path / "folds.csv"
    with (
        locks.writing_file(path),
        pytest.raises(ValueError, match="another process is writing to this file"),
    ):
        folds.frozen(path, ["a"], np.ones((1, 1)), ["p"])
    assert not path.exists()


def test_frozen_folds_stay_if_records_turn_out_to_be_of_one_patient(clinic):
    matrix, _ = clinic
    alone = np.arange(600)
    before = folds.stratify(matrix[:600], alone)
    patients = np.concatenate([alone // 3, np.arange(400) // 2])
    frozen = np.concatenate([before, np.zeros(400, np.int8)])
    after = folds.stratify(matrix, patients, frozen)
    np.testing.assert_array_equal(after[:600], before)
    assert (after[600:602] == before[:3].max()).all()  # join the first patient


def test_records_without_labels_are_spread_evenly():
    found = folds.stratify(np.zeros((100, 2), np.uint8), np.arange(100))
    assert np.bincount(found, minlength=11)[1:].tolist() == [10] * 10


@pytest.mark.parametrize(
    ("patients", "expected"),
    [(1, [1]), (2, [1, 10]), (3, [1, 9, 10]), (4, [1, 2, 9, 10])],
)
def test_rare_labels_are_trained_on_first_and_then_tested(patients, expected):
    matrix = np.zeros((100, 1), np.uint8)
    matrix[:patients] = 1
    found = folds.stratify(matrix, np.arange(100))
    assert sorted(found[:patients].tolist()) == expected
    assert np.bincount(found, minlength=11)[1:].tolist() == [10] * 10


def test_a_table_of_folds_is_read_as_it_was_written(tmp_path):
    written = {"a/b.hea": 1, "=1+1": 10, "Ä, ö": 3}
    folds.write(tmp_path / "folds.csv", written)
    assert folds.read(tmp_path / "folds.csv") == written


def test_a_missing_or_invalid_table_of_folds_is_named(tmp_path):
    path = tmp_path / "folds.csv"
    with pytest.raises(ValueError, match="folds.csv was not found. It is a CSV file"):
        folds.read(path)
    path.write_text("record,fold\na,11\n")
    with pytest.raises(ValueError, match="line 2, column 'fold': expected a whole num"):
        folds.read(path)
