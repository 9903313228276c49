import numpy as np
import pytest

from data_prep import cpsc2018, cpsc2018_folds, cpsc_format, folds


def test_shipped_folds_cover_all_records():
    fold_of = folds.read(cpsc2018.SHIPPED_FOLDS)
    assert list(fold_of) == [f"A{number:04d}" for number in range(1, 6878)]
    sizes = np.bincount(list(fold_of.values()), minlength=11)
    assert sizes[0] == 0
    assert np.abs(sizes[1:] - 687.7).max() < 10


def test_every_fold_has_a_tenth_of_each_label(real_data):
    reference = cpsc_format.read_reference(real_data / "cpsc2018/REFERENCE.csv")
    fold_of = folds.read(cpsc2018.SHIPPED_FOLDS)
    counts = np.zeros((10, 9), int)
    for name, numbers in reference.items():
        counts[fold_of[name] - 1, np.array(numbers) - 1] += 1
    assert np.abs(counts - counts.sum(axis=0) / 10).max() < 1.5


def test_folds_are_reproducible(real_data, tmp_path):
    pytest.importorskip("iterstrat", reason="needs the extra [dev]")
    out = tmp_path / "folds.csv"
    reference = real_data / "cpsc2018/REFERENCE.csv"
    flags = ["--reference", str(reference), "--out", str(out)]
    assert cpsc2018_folds.main(flags) == 0
    assert out.read_bytes() == cpsc2018.SHIPPED_FOLDS.read_bytes()
