import numpy as np
import pytest

from mrm_jax.runtime import atomic


def test_the_new_file_replaces_the_old_one(tmp_path):
    path = tmp_path / "numbers.npz"
    path.write_text("old")
    with atomic.replacing(path) as temporary:
        np.savez(temporary, values=np.arange(3))
        assert path.read_text() == "old"
    with np.load(path) as file:
        assert file["values"].tolist() == [0, 1, 2]
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_keeps_only_the_old_file(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="full disk"):
        with atomic.replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("full disk")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
