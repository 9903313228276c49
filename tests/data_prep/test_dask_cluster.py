"""Preparation by the workers of a Dask cluster: real processes on loopback."""

import dataclasses
import functools
import re

import pytest

from data_prep import build, dask_cluster, ptbxl, readers, shard_writer, synthetic
from tests.helpers import local_cluster, raw_records

pytestmark = pytest.mark.slow

NUM_RECORDS = 12
UNFIT = 5


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    pytest.importorskip("distributed", reason="needs the extra [cluster]")
    started = local_cluster.LocalCluster(tmp_path_factory.mktemp("cluster"))
    yield started
    started.stop()


@pytest.fixture
def dask_of_two(dask):
    dask.fill()
    return dask


@pytest.fixture
def other_dask(tmp_path):
    pytest.importorskip("distributed", reason="needs the extra [cluster]")
    started = local_cluster.LocalCluster(tmp_path)
    yield started
    started.stop()


@pytest.fixture
def raw_dir(tmp_path):
    codes = ["{'NORM': 100.0, 'SR': 0.0}", "{'SR': 0.0}", "{'IMI': 50.0}"] * 4
    folds = [1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10, 10]
    raw_records.write_ptbxl(tmp_path / "raw", codes, folds)
    unfit = record(tmp_path / "raw", UNFIT).with_suffix(".dat")
    unfit.write_bytes(unfit.read_bytes()[:-100])
    return tmp_path / "raw"


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(readers, "BATCH", 1)
    monkeypatch.setattr(shard_writer, "SHARD_BYTES", 5 * 24000)


def record(raw_dir, number):
    return raw_dir / f"records100/00000/{number:05d}_lr"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def prepare(raw_dir, out_dir, *more):
    flags = ["--raw_dir", str(raw_dir), "--out", str(out_dir)]
    return ptbxl.main([*flags, *map(str, more)])


def expected(raw_dir):
    """The files that one process on this machine writes."""
    alone = raw_dir.with_name("alone")
    assert prepare(raw_dir, alone, "--jobs", 1) == 0
    return contents(alone)


def build_with(scheduler, raw_dir, out_dir, **kill):
    read = functools.partial(local_cluster.read_and_kill, at="00007_lr", **kill)
    reading = dataclasses.replace(ptbxl.reading(), read=read)
    with dask_cluster.connect(scheduler) as joined:
        build.build(ptbxl.index(raw_dir), reading, out_dir, cluster=joined)


def test_shards_equal_those_of_one_machine(
    dask_of_two, raw_dir, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # the workers' current folder is another one
    assert prepare("raw", "out", "--dask", dask_of_two.address) == 0
    lines = capsys.readouterr().out.splitlines()
    who = f"2 workers with 3 threads of {dask_of_two.address}"
    assert lines[0] == (
        f"PTB-XL subset: 12 records at 100 Hz, 6 label sets, {who} -> out"
    )
    assert "reading records: 12 of 12 records" in lines
    assert "kept 11 records, skipped 1" in lines and lines[-1] == "written: out"
    assert contents(tmp_path / "out") == expected(raw_dir)


def test_synthetic_data_equal_those_of_one_machine(dask_of_two, tmp_path, capsys):
    written = {}
    for name, flags in (
        ("alone", ["--jobs", "1"]),
        ("together", ["--dask", str(dask_of_two.scheduler_file)]),
    ):
        folder = tmp_path / name
        places = ["--raw_dir", str(folder / "raw"), "--out", str(folder / "out")]
        assert synthetic.main([*places, "--records", "10", *flags]) == 0
        written[name] = contents(folder / "raw"), contents(folder / "out")
    assert written["alone"] == written["together"]
    first = capsys.readouterr().out.split("written: ")[1].splitlines()[1]
    assert "10 raw records, 2 workers with 3 threads of " in first


def test_a_killed_workers_records_are_processed_again(
    dask_of_two, raw_dir, tmp_path, monkeypatch
):
    # The record that kills its worker is not among those checked.
    monkeypatch.setattr(readers, "NUM_CHECKED", 1)
    marker = tmp_path / "killed"
    build_with(dask_of_two.address, raw_dir, tmp_path / "out", marker=marker)
    assert marker.exists() and len(dask_of_two.client.nthreads()) == 1
    assert contents(tmp_path / "out") == expected(raw_dir)


def test_records_that_kill_every_worker_raise(
    dask_of_two, raw_dir, tmp_path, monkeypatch
):
    monkeypatch.setattr(readers, "NUM_CHECKED", 1)
    dask_of_two.add_worker()  # finishes the others
    with pytest.raises(
        ValueError, match="2 workers died while they processed the same batch, the last"
    ):
        build_with(dask_of_two.address, raw_dir, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_losing_all_workers_raises(other_dask, raw_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "NUM_CHECKED", 1)
    monkeypatch.setattr(dask_cluster, "PATIENCE_S", 0.5)
    other_dask.add_worker()
    with pytest.raises(
        ValueError, match="a batch was not done within 0.5 s. Check that workers"
    ):
        build_with(other_dask.address, raw_dir, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_losing_the_scheduler_raises(other_dask, raw_dir, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(readers, "NUM_CHECKED", 1)
    other_dask.add_worker()
    other_dask.client.close()
    kill = {"marker": tmp_path / "killed", "victim": other_dask.scheduler.pid}
    with pytest.raises(
        ValueError, match="connection to the scheduler was lost. Start the cluster and"
    ):
        build_with(other_dask.address, raw_dir, tmp_path / "out", **kill)
    assert not (tmp_path / "out").exists()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "code, message",
    [
        (local_cluster.without_package(), r"data_prep.*\. Install mrm_jax "),
        (local_cluster.of_another_version(), "mrm_jax: expected .*, found 0.0.9. Inst"),
        (local_cluster.without_decoder(), "ecgdatakit: expected .*, found none. Inst"),
    ],
)
def test_a_worker_of_another_version_is_named(
    dask, raw_dir, tmp_path, capsys, code, message
):
    with dask.worker(code) as address:
        assert prepare(raw_dir, tmp_path / "out", "--dask", dask.address) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    start = f"error: worker {address} of {dask.address}: "
    assert error.startswith(start) and re.search(message, error)
    assert not (tmp_path / "out").exists()


def test_a_worker_without_the_records_is_named(dask_of_two, raw_dir, tmp_path, capsys):
    with dask_of_two.worker(local_cluster.without_files(raw_dir)) as address:
        assert prepare(raw_dir, tmp_path / "out", "--dask", dask_of_two.address) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: worker {address} of {dask_of_two.address}: ")
    assert f"{record(raw_dir, 1)}: expected SHA-256" in error
    assert "found missing file: 00001_lr.hea. Every machine needs" in error
    assert not (tmp_path / "out").exists()


def test_records_unreadable_only_on_a_worker_are_kept(
    other_dask, raw_dir, tmp_path, monkeypatch
):
    monkeypatch.setattr(readers, "NUM_CHECKED", 1)
    other_dask.add_worker(local_cluster.without_files(record(raw_dir, 7)))
    flags = ("--dask", other_dask.scheduler_file, "--strict")
    unfit = record(raw_dir, UNFIT).with_suffix(".dat")
    unfit.write_bytes(unfit.read_bytes() + bytes(100))
    assert prepare(raw_dir, tmp_path / "out", *flags) == 0
    assert contents(tmp_path / "out") == expected(raw_dir)


def test_strict_raises_at_the_first_skipped_record(
    dask_of_two, raw_dir, tmp_path, capsys
):
    flags = ("--dask", dask_of_two.address, "--strict")
    assert prepare(raw_dir, tmp_path / "out", *flags) == 1
    assert "record 00005: truncated file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_scheduler_without_workers_raises(
    other_dask, raw_dir, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(dask_cluster, "CONNECT_S", 0.5)
    assert prepare(raw_dir, tmp_path / "out", "--dask", other_dask.address) == 1
    error = capsys.readouterr().err
    assert "has no workers. Start some, for example with `dask worker tcp" in error


def test_a_worker_address_raises(dask_of_two, raw_dir, tmp_path, capsys):
    worker = next(iter(dask_of_two.client.nthreads()))
    assert prepare(raw_dir, tmp_path / "out", "--dask", worker) == 1
    assert "expected a Dask scheduler, found a Worker" in capsys.readouterr().err
