"""An interrupted build goes on, and ends with the bytes of an unbroken one."""

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys

import pytest

from data_prep import (
    build,
    build_progress,
    ptbxl,
    readers,
    shard_writer,
    table,
    workers,
)
from mrm_jax.data import shards
from tests.helpers import raw_records

pytestmark = pytest.mark.slow

NUM_RECORDS = 12
READING = ptbxl.reading()
SLOW_BUILD = """
import dataclasses, sys, time
from pathlib import Path
from data_prep import build, ptbxl, readers, shard_writer, workers
from mrm_jax.data import wfdb_files

raw_dir, out_dir = map(Path, sys.argv[1:])
shard_writer.SHARD_BYTES = 3 * 24000
readers.BATCH = 2

def read(path):
    if path.name == "00009_lr":
        print("stuck", flush=True)
        time.sleep(600)
    return wfdb_files.read_record(path)

reading = dataclasses.replace(ptbxl.reading(), read=read)
workers.BATCHES_AHEAD = 1
build.build(ptbxl.index(raw_dir), reading, out_dir, jobs=1)
"""


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
    monkeypatch.setattr(workers, "BATCHES_AHEAD", 1)
    monkeypatch.setattr(shard_writer, "SHARD_BYTES", 3 * 24000)


def record(raw_dir, number):
    return raw_dir / f"records100/00000/{number:05d}_lr.dat"


def damage(raw_dir, number):
    path = record(raw_dir, number)
    path.write_bytes(path.read_bytes()[:-100])


def run(raw_dir, out_dir, reading=READING, **options):
    return build.build(ptbxl.index(raw_dir), reading, out_dir, jobs=1, **options)


@pytest.fixture
def killed(raw_dir, out_dir):
    """The folder of a build that was killed at record 9, after two shards of three."""
    script = [sys.executable, "-c", SLOW_BUILD, str(raw_dir), str(out_dir)]
    with subprocess.Popen(script, stdout=subprocess.PIPE, text=True) as process:
        while "stuck" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    return out_dir.with_name(".out.building")


@pytest.fixture
def numbers_read(monkeypatch):
    """The numbers of the records that are read, in order."""
    numbers = []

    def noted(path, reading):
        numbers.append(int(path.name[:5]))
        return read_one(path, reading)

    read_one = readers.read_one
    monkeypatch.setattr(readers, "read_one", noted)
    return numbers


def equals_an_unbroken_build(raw_dir, out_dir):
    """Returns whether the shards are those of a new build, and nothing is left."""
    names = [path.name for path in out_dir.parent.iterdir()]
    unbroken = run(raw_dir, out_dir.with_name("unbroken"))
    resumed = shards.load(out_dir, verify_hashes=True).manifest
    return resumed == unbroken and names == ["out"]


def test_a_killed_build_leaves_no_complete_folder(killed, out_dir):
    assert len(list(killed.glob("signals-*.npy"))) == 2
    for folder in (out_dir, killed):
        with pytest.raises(ValueError, match="was not found. Build the shards first"):
            shards.load(folder)


def test_a_killed_build_goes_on(killed, raw_dir, out_dir, numbers_read, capsys):
    run(raw_dir, out_dir)
    # The first record of each finished shard is compared with it.
    assert numbers_read == [1, 4, 7, 8, 9, 10, 11, 12]
    assert "going on after 6 records" in capsys.readouterr().out
    assert equals_an_unbroken_build(raw_dir, out_dir)


def test_skipped_records_and_doubts_outlive_a_kill(raw_dir, out_dir, request):
    damage(raw_dir, 2)
    request.getfixturevalue("killed")
    run(raw_dir, out_dir)
    assert equals_an_unbroken_build(raw_dir, out_dir)
    with (out_dir / shard_writer.SKIPPED).open(newline="") as file:
        assert [row["record"] for row in csv.DictReader(file)] == ["00002"]
    assert build.count_notes(out_dir) == {"unusually large amplitude": 11}


def test_a_repaired_record_is_read_again(raw_dir, out_dir, request):
    path = record(raw_dir, 2)
    content = path.read_bytes()
    damage(raw_dir, 2)
    request.getfixturevalue("killed")
    path.write_bytes(content)
    assert run(raw_dir, out_dir).num_records == NUM_RECORDS
    assert equals_an_unbroken_build(raw_dir, out_dir)


def replace_record(raw_dir, killed):
    stem = record(raw_dir, 2).with_suffix("")
    raw_records.write_wfdb(stem, raw_records.digital(seed=99))


def rewrite_in_the_same_second(raw_dir, killed):
    """Changes a record whose file keeps its size and its time."""
    path = record(raw_dir, 1)
    times = path.stat()
    path.write_bytes(raw_records.digital(seed=99).astype("<i2").tobytes())
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def cut_shard(raw_dir, killed):
    path = killed / "signals-00000.npy"
    path.write_bytes(path.read_bytes()[:-100])


def cut_progress(raw_dir, killed):
    (killed / "progress-signals-00000.json").write_text('{"end":')


def lose_shard(raw_dir, killed):
    (killed / "signals-00000.npy").unlink()


def change_version(raw_dir, killed):
    path = killed / "progress-build.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"numpy": "1.0"}))


def change_table(raw_dir, killed):
    path = raw_dir / "ptbxl_database.csv"
    path.write_text(path.read_text() + "\n")


@pytest.mark.parametrize(
    "change",
    [
        replace_record,
        rewrite_in_the_same_second,
        cut_shard,
        cut_progress,
        lose_shard,
        change_version,
        change_table,
    ],
)
def test_shards_that_no_longer_fit_are_prepared_again(
    killed, raw_dir, out_dir, change, numbers_read
):
    change(raw_dir, killed)
    run(raw_dir, out_dir)
    assert numbers_read[-NUM_RECORDS:] == list(range(1, NUM_RECORDS + 1))
    assert equals_an_unbroken_build(raw_dir, out_dir)


@pytest.mark.parametrize(
    ("change", "what"),
    [(change_version, "another numpy"), (change_table, "another sources")],
)
def test_the_reason_for_starting_over_is_told(
    killed, raw_dir, out_dir, change, what, capsys
):
    change(raw_dir, killed)
    run(raw_dir, out_dir)
    assert f"build is discarded, because it has {what}\n" in capsys.readouterr().out


def test_signal_files_of_another_name_count_as_the_records(tmp_path):
    """A header may name any signal file, and segments theirs."""
    folder = tmp_path / "other"
    path = raw_records.write_wfdb(folder / "r", raw_records.digital(), 100)
    (folder / "r.dat").rename(folder / "signal.bin")
    path.write_text(path.read_text().replace("r.dat", "signal.bin"))
    (folder / "long.hea").write_text("long/1 12 100 1000\nr 1000\n")
    before = [build_progress.stamp([folder / name]) for name in ("r", "long.hea")]
    os.utime(folder / "signal.bin", ns=(0, 0))
    after = [build_progress.stamp([folder / name]) for name in ("r", "long.hea")]
    assert before[0] != after[0] and before[1] != after[1]


def test_other_options_of_the_reader_start_over(killed, raw_dir, out_dir, capsys):
    run(raw_dir, out_dir, dataclasses.replace(READING, options="unit V"))
    assert "because it has another options" in capsys.readouterr().out
    flags = ["--labels=l.csv", "--records=.", "--out=o"]
    options = [
        table.reading(table._parser().parse_args([*flags, *more])).options
        for more in ([], ["--unit=uV"], ["--leads=I,II"], ["--sampling_rate=500"])
    ]
    assert len(set(options)) == 4


def test_strict_refuses_records_that_were_skipped_before(raw_dir, out_dir, request):
    damage(raw_dir, 2)
    killed = request.getfixturevalue("killed")
    with pytest.raises(ValueError, match="record 00002: truncated file"):
        run(raw_dir, out_dir, strict=True)
    assert len(list(killed.glob("signals-*"))) == 2  # nothing is lost
    run(raw_dir, out_dir)
    assert equals_an_unbroken_build(raw_dir, out_dir)


def test_too_many_skipped_records_lose_no_finished_shard(raw_dir, out_dir):
    for number in (11, 12):
        damage(raw_dir, number)
    with pytest.raises(ValueError, match="found 2 of 12"):
        run(raw_dir, out_dir)
    left_over = out_dir.with_name(".out.building")
    assert len(list(left_over.glob("signals-*"))) == 3


def test_an_error_names_what_is_kept(raw_dir, out_dir, capsys):
    damage(raw_dir, 12)
    flags = [f"--raw_dir={raw_dir}", f"--out={out_dir}", "--jobs=1", "--strict"]
    assert ptbxl.main(flags) == 1
    error = capsys.readouterr().err
    assert f"are kept in {out_dir.with_name('.out.building')}: run the same" in error


def test_a_build_that_cannot_be_finished_goes_on(raw_dir, out_dir, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shard_writer.Writer, "finish", full)
        with pytest.raises(OSError, match="No space left"):
            run(raw_dir, out_dir)
    assert len(list(out_dir.with_name(".out.building").glob("signals-*"))) == 4
    run(raw_dir, out_dir)
    assert equals_an_unbroken_build(raw_dir, out_dir)
