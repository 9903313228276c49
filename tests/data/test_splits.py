import numpy as np
import pytest

from mrm_jax.data import manifest, splits

NONE = dict.fromkeys(splits.NAMES)


def complete(**asked):
    return splits.complete(NONE | asked, manifest.SPLIT_FOLDS)


def test_nothing_chosen_is_the_default():
    assert complete() == manifest.SPLIT_FOLDS


def test_all_other_folds_train():
    found = complete(test=[3], val=(2,))
    assert found == {"train": (1, 4, 5, 6, 7, 8, 9, 10), "val": (2,), "test": (3,)}


def test_a_split_that_was_not_chosen_keeps_its_folds():
    assert complete(test=(1, 2)) == {
        "train": (3, 4, 5, 6, 7, 8, 10),
        "val": (9,),
        "test": (1, 2),
    }


def test_the_training_folds_can_be_chosen():
    assert complete(train=(1, 2)) == {"train": (1, 2), "val": (9,), "test": (10,)}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"test": (9,)}, "fold 9 is in val and in test. Set .*data.folds.val"),
        ({"train": (1, 10)}, "fold 10 is in train and in test"),
        ({"val": (0,)}, "data.folds.val: expected .* from 1 to 10, got 0"),
        ({"test": (11, 12)}, "data.folds.test: .*, got 11, 12"),
        ({"train": ()}, "data.folds.train: .*, got none"),
        ({"train": (1, 1)}, "data.folds.train: .* different .*, got 1, 1"),
        ({"test": ("x",)}, "data.folds.test: .*, got x"),
    ],
)
def test_impossible_folds_are_refused(asked, message):
    with pytest.raises(ValueError, match=message):
        complete(**asked)


def test_records_without_a_label_are_in_no_split():
    matrix = np.array([[1, 0], [0, 0], [0, 1], [1, 1]])
    found = splits.rows_by_split(matrix, np.array([1, 1, 2, 1]), {"a": (1,), "b": (2,)})
    np.testing.assert_array_equal(found["a"], [0, 3])
    np.testing.assert_array_equal(found["b"], [2])


def test_mean_and_deviation_of_integers_are_exact():
    values = np.random.default_rng(0).integers(-32768, 32767, 1000)
    found = splits.mean_std(int(values.sum()), int((values**2).sum()), len(values))
    np.testing.assert_allclose(found, (values.mean(), values.std()), rtol=1e-12)
