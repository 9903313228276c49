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


def test_files_are_replaced_together_and_the_last_one_last(tmp_path, monkeypatch):
    for name in ("a.csv", "b.json", "kept.txt"):
        (tmp_path / name).write_text("old")
    replaced = []
    replace = atomic.os.replace

    def record(source, target):
        replaced.append(target.name)
        replace(source, target)

    monkeypatch.setattr(atomic.os, "replace", record)
    with atomic.replacing_together(tmp_path, last="a.csv") as new:
        (new / "a.csv").write_text("new")
        (new / "b.json").write_text("new")
        assert (tmp_path / "a.csv").read_text() == "old"
    assert replaced == ["b.json", "a.csv"]
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {"a.csv": "new", "b.json": "new", "kept.txt": "old"}


def test_a_failure_leaves_all_old_files_and_nothing_else(tmp_path):
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(RuntimeError, match="full disk"):
        with atomic.replacing_together(tmp_path, last="a.csv") as new:
            (new / "a.csv").write_text("half")
            raise RuntimeError("full disk")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "old"


def test_leftovers_of_killed_writers_are_removed_and_nothing_else(tmp_path):
    kept = [".lock", "report.json", ".hidden.tmp", "a.tmp", ".cache"]
    for name in kept:
        (tmp_path / name).write_text("mine")
    generator = atomic.replacing_together(tmp_path, last="report.json")
    (generator.__enter__() / "report.json").write_text("half")
    other = atomic.replacing(tmp_path / "scores.npz")
    other.__enter__().write_text("half")
    assert len(list(tmp_path.iterdir())) == len(kept) + 2
    atomic.remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
