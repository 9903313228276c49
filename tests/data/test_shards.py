import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from data_prep import shard_writer
from mrm_jax.data import derived_shards, manifest, shards

FOLDS = np.array([1, 8, 9, 10, 10])
LETTERS = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [0, 1]], np.uint8)
FIRST = np.array([0, 1, 1, -1, 1], np.int16)
FACTS = {
    "data_set": "hand-made",
    "data_set_version": "1",
    "sampling_rate": 100,
    "length_policy": "exact",
    "sources": {},
}


def signals_uv():
    rng = np.random.default_rng(0)
    return rng.integers(-32768, 32767, (5, 10, 12), dtype=np.int16)


@pytest.fixture
def folder(tmp_path):
    """Five records of ten samples in shards of two."""
    path = tmp_path / "shards"
    path.mkdir()
    writer = shard_writer.Writer(path, num_samples=10, shard_bytes=2 * 240)
    for signal in signals_uv():
        writer.add(signal)
    names = [f"r{i}" for i in range(5)]
    described = ("letter a", "letter b")
    tables = {
        "letters": shard_writer.LabelTable(("a", "b"), described, LETTERS, FIRST),
        "b": shard_writer.LabelTable(("b",), ("letter b",), LETTERS[:, 1:]),
    }
    writer.finish(names, FOLDS, tables, [("r9", "flat lead: I")], FACTS)
    return path


def test_shard_files_are_bounded(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "first_label-letters.npy",
        "folds.npy",
        "labels-b.npy",
        "labels-letters.npy",
        "manifest.json",
        "names.npy",
        "rejected.csv",
        "signals-00000.npy",
        "signals-00001.npy",
        "signals-00002.npy",
    ]
    assert len(np.load(folder / "signals-00002.npy")) == 1
    assert (folder / "rejected.csv").read_text().split() == [
        "record,reason",
        "r9,flat",
        "lead:",
        "I",
    ]


def test_signals_come_in_the_requested_order(folder):
    opened = shards.load(folder)
    for rows in ([0, 1, 2, 3, 4], [4, 0, 2, 2], [3], []):
        found = opened.signals_uv(np.array(rows, int))
        assert found.dtype == np.int16
        np.testing.assert_array_equal(found, signals_uv()[rows])


def test_splits_exclude_records_without_a_label(folder):
    opened = shards.load(folder)
    train = opened.split("letters", "train")
    assert train.names.tolist() == ["r0", "r1"]
    test = opened.split("letters", "test")
    assert test.rows.tolist() == [4]
    assert test.labels.tolist() == [[0, 1]]
    assert test.first_label.tolist() == [1]
    assert len(opened.split("letters", "val")) == 1
    assert opened.split("b", "train").names.tolist() == ["r1"]
    assert opened.split("b", "train").first_label is None


def test_mean_std_and_counts_use_training_records_only(folder):
    letters = shards.load(folder).manifest.label_sets["letters"]
    train = signals_uv()[:2].astype(float)
    assert letters.mean_uv == pytest.approx(train.mean(), rel=1e-12)
    assert letters.std_uv == pytest.approx(train.std(), rel=1e-12)
    assert letters.records == {"train": 2, "val": 1, "test": 1}
    assert letters.label_counts["val"] == {"a": 1, "b": 1}
    assert letters.has_first_label


def test_an_unknown_label_set_or_split_raises(folder):
    opened = shards.load(folder)
    with pytest.raises(ValueError, match="no label set 'rhythm'. It has letters, b"):
        opened.split("rhythm", "train")
    with pytest.raises(ValueError, match="no split 'dev'. It has train, val, test"):
        opened.split("letters", "dev")


def test_verification_detects_a_changed_byte(folder):
    shards.load(folder, verify_hashes=True)
    path = folder / "signals-00001.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    opened = shards.load(folder)
    message = "signals-00001.npy: its SHA-256 differs"
    with pytest.raises(ValueError, match=message):
        opened.require_intact()
    with pytest.raises(ValueError, match=message):
        shards.load(folder, verify_hashes=True)


@pytest.mark.parametrize("name", ["names.npy", "folds.npy", "labels-letters.npy"])
def test_all_files_but_the_signals_are_verified_at_once(folder, name):
    array = np.load(folder / name)
    np.save(folder / name, array[::-1])
    with pytest.raises(ValueError, match=f"{name}: its SHA-256 differs"):
        shards.load(folder)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("folds.npy", np.int8([1, 8, 9, 10, 11]), "expected 1 to 10, found 11"),
        ("labels-b.npy", np.full((5, 1), 2, np.uint8), "expected 0 to 1, found 2"),
        ("first_label-letters.npy", np.full(5, 2, np.int16), "expected -1 to 1, found"),
        ("names.npy", np.array(list("abc") + ["d\n", "e"]), r"name 'd\\n'"),
    ],
)
def test_impossible_values_raise(folder, name, array, message):
    np.save(folder / name, array)
    with pytest.raises(ValueError, match=f"{name}: .*{message}"):
        shards.load(folder)


def test_a_missing_file_raises(folder):
    (folder / "signals-00001.npy").unlink()
    with pytest.raises(ValueError, match=r"missing \['signals-00001.npy'\]"):
        shards.load(folder)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("names.npy", np.array(["r0"]), r"expected str \(5,\), found <U2 \(1,\)"),
        ("folds.npy", np.ones(5), r"expected int8 \(5,\), found float64"),
        ("labels-b.npy", np.ones((5, 2), np.uint8), r"expected uint8 \(5, 1\)"),
        ("signals-00000.npy", np.ones((2, 10, 12)), "expected int16 .* found float64"),
        ("signals-00000.npy", np.ones((2, 10, 8), np.int16), r"\(2, 10, 12\)"),
        ("signals-00000.npy", np.ones((1, 10, 12), np.int16), "5 records .* found 4"),
    ],
)
def test_mismatched_arrays_raise(folder, name, array, message):
    np.save(folder / name, array)
    with pytest.raises(ValueError, match=message):
        shards.load(folder)


def test_a_truncated_array_raises(folder):
    path = folder / "signals-00000.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="signals-00000.npy: unreadable"):
        shards.load(folder)


def test_too_many_open_files_are_not_reported_as_damage(folder):
    code = f"""
import os, resource, sys
from mrm_jax.data import shards
highest = os.open(os.devnull, os.O_RDONLY)
limit = highest + 5  # enough for the other arrays, which are closed, and one shard
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
try:
    loaded = shards.load({str(folder)!r})
    loaded.signals_uv(range(5))
except ValueError as error:
    print(error)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "ulimit -n" in done.stdout and "again" not in done.stdout


def test_pickles_are_not_loaded(folder):
    np.save(folder / "names.npy", np.array(["r", None], object), allow_pickle=True)
    with pytest.raises(ValueError, match="names.npy: unreadable"):
        shards.load(folder)
    (folder / "names.npy").write_bytes(pickle.dumps(["r0"]))
    with pytest.raises(ValueError, match="names.npy: unreadable"):
        shards.load(folder)


def test_manifest_cannot_name_files_outside_its_folder(folder):
    path = folder / manifest.MANIFEST
    fields = json.loads(path.read_text())
    fields["files"]["../signals-1.npy"] = "0" * 64
    path.write_text(json.dumps(fields))
    with pytest.raises(ValueError, match="expected files of this folder"):
        shards.load(folder)


def test_writer_rejects_other_types_and_shapes(tmp_path):
    writer = shard_writer.Writer(tmp_path, num_samples=10, shard_bytes=240)
    for signal in (np.zeros((10, 12)), np.zeros((9, 12), np.int16)):
        with pytest.raises(ValueError, match=r"expected int16 \(10, 12\), found"):
            writer.add(signal)


def test_finds_a_label_set_by_its_labels(folder):
    data = shards.load(folder)
    assert data.label_set_of(["a", "b"]) == "letters"
    assert data.label_set_of(["b"]) == "b"


def test_labels_in_another_order_are_a_different_set(folder):
    with pytest.raises(ValueError, match="letters has them in another order"):
        shards.load(folder).label_set_of(["b", "a"])
    with pytest.raises(ValueError, match="no label set with the labels c. It has\n"):
        shards.load(folder).label_set_of(["c"])


def test_other_folds_change_splits_counts_and_statistics(folder):
    found = derived_shards.with_folds(
        shards.load(folder), {"train": (9, 10), "val": (8,), "test": (1,)}, "letters"
    )
    assert found.split("letters", "train").names.tolist() == ["r2", "r4"]
    assert found.split("letters", "test").names.tolist() == ["r0"]
    entry = found.label_set("letters")
    assert entry.records == {"train": 2, "val": 1, "test": 1}
    assert entry.label_counts["train"] == {"a": 1, "b": 2}
    signals = signals_uv()[[2, 4]].astype(float)
    statistics = (entry.mean_uv, entry.std_uv)
    np.testing.assert_allclose(statistics, (signals.mean(), signals.std()), rtol=1e-12)


def test_the_folds_of_the_manifest_give_its_entry_again(folder):
    opened = shards.load(folder)
    found = derived_shards.with_folds(opened, opened.manifest.split_folds, "letters")
    assert found.label_set("letters") == opened.label_set("letters")


def test_other_folds_leave_the_shards_as_they_were(folder):
    opened = shards.load(folder)
    before = opened.manifest
    derived_shards.with_folds(
        opened, {"train": (10,), "val": (9,), "test": (1,)}, "letters"
    )
    assert opened.manifest is before


def test_labels_can_be_made_of_others(folder):
    opened = shards.load(folder)
    columns = {"either": ("a", "b"), "B": ("b",)}
    found = derived_shards.with_labels(opened, "letters", columns)
    assert list(found.manifest.label_sets) == ["letters (mapped)"]
    everything = found.split("letters (mapped)", "all")
    assert everything.names.tolist() == ["r0", "r1", "r2", "r4"]  # r3 has no letter
    assert everything.labels.tolist() == [[1, 0], [1, 1], [1, 1], [1, 1]]
    entry = found.label_set("letters (mapped)")
    assert entry.records == {"train": 2, "val": 1, "test": 1}
    assert entry.label_counts["train"] == {"either": 2, "B": 1}
    assert opened.split("letters", "test").labels.tolist() == [[0, 1]]


def test_records_without_the_new_labels_are_negatives(folder):
    opened = shards.load(folder)
    found = derived_shards.with_labels(opened, "letters", {"A": ("a",)})
    assert found.split("letters (mapped)", "all").labels.tolist() == [
        [1],
        [0],
        [1],
        [0],
    ]
