"""Tests of the synthetic data set: its classes and folds, its files, the command."""

import csv
import json
from collections import Counter

import numpy as np
import pytest
import wfdb

from data_prep import cpsc2018, cpsc_format, synthetic, workers
from data_prep.simulator import diagnoses
from mrm_jax.data import shards

pytestmark = pytest.mark.slow

NUM_RECORDS = 24
ALONE = workers.Workers(1)


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def raw_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "raw"
    synthetic.write_records(folder, synthetic.Recipe(NUM_RECORDS, seed=3), ALONE)
    return folder


@pytest.mark.parametrize("num_records", [300, 777, 900])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_fold_has_balanced_classes(num_records, seed):
    plans = synthetic.plan(synthetic.Recipe(num_records, seed))
    assert sorted(p.number for p in plans) == list(range(1, num_records + 1))
    counts = Counter((p.fold, label) for p in plans for label in p.classes)
    for label in cpsc_format.LABELS:
        per_fold = [counts[fold, label] for fold in range(1, 11)]
        assert min(per_fold) >= 1
        assert max(per_fold) - min(per_fold) <= 0.03 * num_records
    fold_sizes = Counter(plan.fold for plan in plans).values()
    assert max(fold_sizes) - min(fold_sizes) <= 1


def test_an_eighth_of_the_records_has_two_classes_in_either_order():
    plans = synthetic.plan(synthetic.Recipe(1000, 0))
    pairs = [plan.classes for plan in plans if len(plan.classes) == 2]
    assert len(pairs) == 130
    firsts = Counter(pair[0] for pair in pairs if set(pair) == {"AF", "RBBB"})
    assert firsts["AF"] + firsts["RBBB"] == 30 and min(firsts.values()) > 5


def test_every_kind_of_record_can_be_simulated():
    assert sum(synthetic.SHARES.values()) == 1000
    for classes in synthetic.SHARES:
        diagnoses.check(classes)


def test_record_files_and_tables_agree(raw_dir):
    reference = cpsc_format.read_reference(raw_dir / "REFERENCE.csv")
    folds = {row["record"]: int(row["fold"]) for row in read_csv(raw_dir / "folds.csv")}
    headers = sorted(raw_dir.glob("*.hea"))
    assert [path.stem for path in headers] == sorted(reference) == sorted(folds)
    assert len(headers) == NUM_RECORDS
    for path in headers:
        assert path.stem.startswith("S")
        classes = cpsc_format.read_header_classes(path)
        assert sorted(classes) == sorted(reference[path.stem])


def test_wfdb_reads_records_that_obey_einthoven(raw_dir):
    for path in sorted(raw_dir.glob("*.hea")):
        record = wfdb.rdrecord(str(path.with_suffix("")))
        one, two, three, avr, avl, avf = record.p_signal.T[:6]
        np.testing.assert_allclose(three, two - one, atol=1e-9)
        np.testing.assert_allclose(avr, -(one + two) / 2, atol=0.00051)
        np.testing.assert_allclose(avl, one - two / 2, atol=0.00051)
        np.testing.assert_allclose(avf, two - one / 2, atol=0.00051)
        assert record.fs == 500 and 6 * 500 <= record.sig_len <= 20 * 500
        assert 18 <= int(record.comments[0].removeprefix("Age: ")) <= 92


def test_lengths_are_mostly_ten_seconds():
    rng = np.random.default_rng(0)
    lengths_s = np.array([synthetic._draw_length(rng) / 500 for _ in range(1000)])
    assert lengths_s.min() >= 6 and lengths_s.max() <= 20
    assert 0.55 < np.mean(lengths_s == 10) < 0.72
    assert 0.02 < np.mean(lengths_s < 10) < 0.10


def test_the_same_seed_gives_the_same_bytes_for_any_jobs(raw_dir, tmp_path):
    recipe = synthetic.Recipe(NUM_RECORDS, seed=3)
    synthetic.write_records(tmp_path / "again", recipe, workers.Workers(2))
    assert contents(tmp_path / "again") == contents(raw_dir)


def test_another_seed_gives_other_records(raw_dir, tmp_path):
    synthetic.write_records(tmp_path / "raw", synthetic.Recipe(10, seed=4), ALONE)
    ours, others = contents(tmp_path / "raw"), contents(raw_dir)
    assert all(ours[name] != others[name] for name in ours if name.endswith(".mat"))


def test_finished_records_are_not_simulated_again(raw_dir):
    before = {path: path.stat().st_mtime_ns for path in raw_dir.iterdir()}
    synthetic.write_records(raw_dir, synthetic.Recipe(NUM_RECORDS, seed=3), ALONE)
    assert {path: path.stat().st_mtime_ns for path in raw_dir.iterdir()} == before


def test_records_of_a_killed_run_are_simulated_again(tmp_path):
    left_over = tmp_path / ".raw.building"
    left_over.mkdir()
    (left_over / "S0001.hea").write_text("half a head")
    synthetic.write_records(tmp_path / "raw", synthetic.Recipe(10, seed=0), ALONE)
    assert not left_over.exists()
    assert len(list((tmp_path / "raw").glob("S*.mat"))) == 10
    assert "500" in (tmp_path / "raw" / "S0001.hea").read_text()


@pytest.mark.parametrize(
    "name, text", [("notes.txt", "mine"), (synthetic.RECIPE, '{"records": 5}')]
)
def test_a_folder_with_other_files_is_not_touched(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match="Choose another --raw_dir"):
        synthetic.write_records(tmp_path, synthetic.Recipe(10, seed=0), ALONE)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_finished_folder_with_a_missing_record_raises(tmp_path):
    recipe = synthetic.Recipe(10, seed=0)
    synthetic.write_records(tmp_path / "raw", recipe, ALONE)
    (tmp_path / "raw" / "S0004.mat").unlink()
    with pytest.raises(ValueError, match="without 1 of its files"):
        synthetic.write_records(tmp_path / "raw", recipe, ALONE)


def test_the_command_builds_shards_like_those_of_cpsc2018(tmp_path, capsys):
    args = ["--raw_dir", str(tmp_path / "raw"), "--out", str(tmp_path / "shards")]
    args += ["--records", "60", "--seed", "5", "--jobs", "1"]
    assert synthetic.main(args) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "60 raw records" in lines[0] and str(tmp_path / "shards") in lines[-1]
    opened = shards.load(tmp_path / "shards", verify_hashes=True)
    manifest = opened.manifest
    assert manifest.data_set == "synthetic (CPSC2018 layout)"
    assert manifest.data_set_version == "model-1-seed-5-records-60"
    assert (manifest.num_records, manifest.num_skipped) == (60, 0)
    assert manifest.length_policy == cpsc2018.reading().length_policy
    label_set = manifest.label_sets["cpsc2018"]
    assert label_set.labels == cpsc_format.LABELS and label_set.has_first_label
    sizes = [len(opened.split("cpsc2018", s)) for s in ("train", "val", "test")]
    assert sizes == [48, 6, 6]
    assert synthetic.main(args) == 0
    assert "already finished" in capsys.readouterr().out


@pytest.mark.parametrize("flags", [["--records", "5"], ["--seed", "-1"]])
def test_invalid_flags_end_with_an_error_line(tmp_path, capsys, flags):
    args = ["--raw_dir", str(tmp_path / "raw"), "--out", str(tmp_path / "shards")]
    assert synthetic.main([*args, *flags]) != 0
    assert capsys.readouterr().err.startswith("error: expected --records of 10")
    assert not (tmp_path / "raw").exists()


def test_the_recipe_is_stored_with_the_records(raw_dir):
    recipe = json.loads((raw_dir / synthetic.RECIPE).read_text())
    assert recipe == {"records": NUM_RECORDS, "seed": 3, "model_version": 1}
