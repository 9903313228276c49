import csv
import dataclasses

import numpy as np
import pytest

from data_prep import build, ptbxl, readers, shard_writer, workers
from mrm_jax.data import manifest, shards
from tests.helpers import raw_records

pytestmark = pytest.mark.slow

NUM_RECORDS = 12
READING = ptbxl.reading()


@pytest.fixture
def raw_dir(tmp_path):
    codes = ["{'NORM': 100.0, 'SR': 0.0}", "{'SR': 0.0}", "{'IMI': 50.0}"] * 4
    folds = [1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10, 10]
    raw_records.write_ptbxl(tmp_path / "raw", codes, folds)
    return tmp_path / "raw"


@pytest.fixture
def out_dir(tmp_path):
    return tmp_path / "shards" / "out"


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(readers, "BATCH", 2)
    monkeypatch.setattr(workers, "BATCHES_AHEAD", 3)
    monkeypatch.setattr(shard_writer, "SHARD_BYTES", 5 * 24000)


def damage(raw_dir, number):
    path = raw_dir / f"records100/00000/{number:05d}_lr.dat"
    path.write_bytes(path.read_bytes()[:-100])


def run(raw_dir, out_dir, **options):
    options = {"jobs": 1} | options
    return build.build(ptbxl.index(raw_dir), READING, out_dir, **options)


def skipped_rows(out_dir):
    with (out_dir / "rejected.csv").open(newline="") as file:
        return list(csv.reader(file))


def nothing_is_left(out_dir):
    return not list(out_dir.parent.iterdir())


def test_shards_hold_every_record_in_order(raw_dir, out_dir):
    written = run(raw_dir, out_dir)
    opened = shards.load(out_dir, verify_hashes=True)
    assert opened.manifest == written
    assert opened.names.tolist() == [f"{i:05d}" for i in range(1, NUM_RECORDS + 1)]
    expected = np.stack([raw_records.digital(seed=i + 1) for i in range(NUM_RECORDS)])
    rows = np.arange(NUM_RECORDS)
    np.testing.assert_array_equal(opened.signals_uv(rows), expected)
    signal_files = [name for name in written.files if name.startswith("signals-")]
    assert len(signal_files) == 3  # five records each at most
    assert skipped_rows(out_dir) == [["record", "reason"]]
    assert [path.name for path in out_dir.parent.iterdir()] == ["out"]


def test_doubts_about_kept_records_are_listed(raw_dir, out_dir):
    written = run(raw_dir, out_dir)  # noise of 3 mV is not usual
    with (out_dir / "notes.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["record", "note"]
    assert [name for name, _ in rows] == [f"{i:05d}" for i in range(1, 13)]
    assert all(note.startswith("unusually large amplitude: ") for _, note in rows)
    assert build.count_notes(out_dir) == {"unusually large amplitude": 12}
    assert "notes.csv" in written.files


def test_manifest_describes_the_data(raw_dir, out_dir):
    written = run(raw_dir, out_dir)
    assert (written.data_set, written.data_set_version) == ("PTB-XL", "subset")
    assert (written.sampling_rate, written.num_samples) == (100, 1000)
    assert (written.length_policy, written.unit) == ("exact", "uV")
    assert set(written.sources) == {"ptbxl_database.csv", "scp_statements.csv"}
    rhythm = written.label_sets["rhythm"]
    assert rhythm.records == {"train": 6, "val": 1, "test": 1}
    assert rhythm.label_counts["train"] == {"SR": 6}
    train = [i for i in range(8) if i % 3 != 2]  # records 1 to 8 that have SR
    signal_uv = np.stack([raw_records.digital(seed=i + 1) for i in train])
    assert rhythm.mean_uv == pytest.approx(signal_uv.mean(), rel=1e-12)
    assert rhythm.std_uv == pytest.approx(signal_uv.std(), rel=1e-12)


def test_workers_and_one_process_write_the_same_bytes(raw_dir, out_dir, monkeypatch):
    monkeypatch.setattr(readers, "RECORDS_PER_WORKER", 1)
    assert readers.processes(NUM_RECORDS, jobs=2).count == 2
    alone = run(raw_dir, out_dir)
    together = run(raw_dir, out_dir.with_name("together"), jobs=2)
    assert together == alone


def test_one_process_reads_few_records():
    assert readers.processes(NUM_RECORDS, jobs=2).count == 1


def test_unreadable_records_are_skipped(raw_dir, out_dir):
    damage(raw_dir, 5)
    written = run(raw_dir, out_dir)
    opened = shards.load(out_dir, verify_hashes=True)
    assert (written.num_records, written.num_skipped) == (11, 1)
    kept = [i for i in range(1, NUM_RECORDS + 1) if i != 5]
    assert opened.names.tolist() == [f"{i:05d}" for i in kept]
    assert opened.folds.tolist() == [1, 2, 3, 4, 6, 7, 8, 9, 9, 10, 10]
    np.testing.assert_array_equal(
        opened.signals_uv(np.array([4]))[0], raw_records.digital(seed=6)
    )
    train = opened.split("diagnostic", "train")
    assert train.names.tolist() == ["00001", "00003", "00004", "00006", "00007"]
    assert skipped_rows(out_dir)[1] == [
        "00005",
        "truncated file: 00005_lr.dat: expected 12000 values, found 11950",
    ]
    assert build.count_reasons(out_dir) == {"truncated file": 1}


def test_records_skipped_by_the_tables_are_listed(raw_dir, out_dir):
    index = ptbxl.index(raw_dir)
    index = dataclasses.replace(index, skipped=[("x", "no fold: none in the table")])
    written = build.build(index, READING, out_dir, jobs=1)
    assert written.num_skipped == 1
    assert skipped_rows(out_dir)[1] == ["x", "no fold: none in the table"]


def test_strict_raises_at_the_first_skipped_record(raw_dir, out_dir):
    damage(raw_dir, 5)
    damage(raw_dir, 7)
    with pytest.raises(ValueError, match="record 00005: truncated file.*--strict"):
        run(raw_dir, out_dir, strict=True)
    assert nothing_is_left(out_dir)


def test_skipping_more_than_a_tenth_raises(raw_dir, out_dir):
    damage(raw_dir, 5)
    damage(raw_dir, 7)
    with pytest.raises(ValueError, match=r"found 2 of 12 \(2 truncated file; first"):
        run(raw_dir, out_dir)
    assert not out_dir.exists()


def test_records_of_another_rate_are_skipped(raw_dir, out_dir):
    stem = raw_dir / "records100/00000/00003_lr"
    raw_records.write_wfdb(stem, raw_records.digital(), 250)
    run(raw_dir, out_dir)
    assert skipped_rows(out_dir)[1] == [
        "00003",
        "wrong rate: expected 100 Hz, found 250 Hz",
    ]


def test_a_second_build_changes_nothing(raw_dir, out_dir):
    first = run(raw_dir, out_dir)
    times = {path.name: path.stat().st_mtime_ns for path in out_dir.iterdir()}
    assert run(raw_dir, out_dir) == first
    assert times == {path.name: path.stat().st_mtime_ns for path in out_dir.iterdir()}


def test_a_finished_build_of_other_data_raises(raw_dir, out_dir):
    run(raw_dir, out_dir)
    other = dataclasses.replace(ptbxl.index(raw_dir), version="1.0.3")
    message = "another data_set_version: expected 1.0.3, found subset. Choose another"
    with pytest.raises(ValueError, match=message):
        build.build(other, READING, out_dir)
    reading = dataclasses.replace(READING, sampling_rate=500)
    with pytest.raises(ValueError, match="another sampling_rate"):
        build.build(ptbxl.index(raw_dir), reading, out_dir)


def test_a_folder_with_other_files_is_not_touched(raw_dir, out_dir):
    out_dir.mkdir(parents=True)
    (out_dir / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match="found other files. Choose another --out"):
        run(raw_dir, out_dir)
    assert (out_dir / "thesis.txt").read_text() == "precious"


def test_an_empty_folder_is_accepted(raw_dir, out_dir):
    out_dir.mkdir(parents=True)
    run(raw_dir, out_dir)
    shards.load(out_dir)


def test_an_old_format_error_suggests_a_fix(raw_dir, out_dir):
    run(raw_dir, out_dir)
    path = out_dir / manifest.MANIFEST
    path.write_text(
        path.read_text().replace('"format_version": 1', '"format_version": 0')
    )
    with pytest.raises(ValueError, match="found 0.*delete this folder"):
        run(raw_dir, out_dir)
