"""Commands on a disk that fills up lose nothing, and say what is wrong."""

import random
import shutil
import subprocess

import pytest

from data_prep import cpsc2018, folds
from mrm_jax.data import shards
from mrm_jax.reports import run_report, thresholds_file
from tests.helpers import commands, outcomes, raw_records, small_runs

pytestmark = pytest.mark.slow

TRIES = outcomes.EFFORT
DISK_KIB = 16 * 1024


@pytest.fixture(scope="module")
def shards_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shards"
    return small_runs.write_shards(folder, records_per_fold=12)


@pytest.fixture(scope="module")
def trained(shards_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    flags = small_runs.train_flags(shards_dir, folder / "run")
    assert commands.run("mrm_jax.train", *flags, output=folder / "output") == 0
    return folder / "run"


@pytest.fixture
def disk(tmp_path):
    """A small file system in memory; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_KIB}k", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk, kib_left):
    """Fills the disk but for some KiB; returns the file to delete."""
    ballast = disk / "ballast"
    kib = max(0, shutil.disk_usage(disk).free // 1024 - kib_left)
    ballast.write_bytes(bytes(1024 * kib))
    return ballast


def check_answer(output, begun_at):
    """The command printed one error, which names the lack of space."""
    said = output.read_bytes()[begun_at:].decode()
    assert "error: " in said and "space left on" in said, said
    assert "Traceback" not in said, said


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*")) // 1024


def test_an_evaluation_on_a_full_disk_keeps_the_report(trained, disk, tmp_path):
    outcome = outcomes.start(
        "An evaluation on a full disk keeps the report and the thresholds",
        "tmpfs with little space; both are read, the same command again",
    )
    run, output = shutil.copytree(trained, disk / "run"), tmp_path / "output"
    report = run_report.read(run)
    thresholds = (run / thresholds_file.FILE).read_bytes()
    rng = random.Random(4)
    while outcome.tried < TRIES:
        ballast = fill(disk, rng.randint(0, 1024))
        begun_at = output.stat().st_size if output.exists() else 0
        status = commands.run("mrm_jax.evaluate", "--run", run, output=output)
        if status:
            check_answer(output, begun_at)
        try:
            is_same = run_report.read(run)["test"] == report["test"]
            is_same &= (run / thresholds_file.FILE).read_bytes() == thresholds
            outcome.count(wrong=not is_same)
        except (OSError, ValueError):
            outcome.count(lost=True)
        ballast.unlink()
    assert commands.run("mrm_jax.evaluate", "--run", run, output=output) == 0
    outcome.check()


def test_a_training_on_a_full_disk_resumes(trained, shards_dir, disk, tmp_path):
    outcome = outcomes.start(
        "A training whose disk is full resumes and ends with the same numbers",
        "tmpfs with little space; more space, the same command again",
    )
    run, output = disk / "run", tmp_path / "output"
    flags, rng = small_runs.train_flags(shards_dir, run), random.Random(5)
    needed = size_of(trained)
    while outcome.tried < TRIES:
        ballast = fill(disk, rng.randint(0, needed))
        begun_at = output.stat().st_size if output.exists() else 0
        status = commands.run("mrm_jax.train", *flags, output=output)
        if status:
            check_answer(output, begun_at)
        ballast.unlink()
        assert commands.run("mrm_jax.train", *flags, output=output) == 0
        is_same = small_runs.equal(trained, run)
        outcome.count(wrong=not is_same)
        shutil.rmtree(run)
    outcome.check()


def test_a_preparation_on_a_full_disk_leaves_no_folder(disk, tmp_path):
    outcome = outcomes.start(
        "A preparation on a full disk leaves no folder",
        "tmpfs with little space; more space, the same command again",
    )
    raw, output, out = tmp_path / "raw", tmp_path / "output", disk / "shards"
    names = list(folds.read(cpsc2018.SHIPPED_FOLDS))
    raw_records.write_challenge(raw, names[:40])
    flags = ("--raw_dir", raw, "--out", out, "--jobs", "1")
    assert commands.run("data_prep.cpsc2018", *flags, output=output) == 0
    expected, needed = shards.load(out).manifest, size_of(out)
    shutil.rmtree(out)
    rng = random.Random(6)
    while outcome.tried < TRIES:
        ballast = fill(disk, rng.randint(0, needed - 8))
        begun_at = output.stat().st_size
        assert commands.run("data_prep.cpsc2018", *flags, output=output) == 1
        check_answer(output, begun_at)
        exists = out.exists()
        ballast.unlink()
        assert commands.run("data_prep.cpsc2018", *flags, output=output) == 0
        is_same = shards.load(out, verify_hashes=True).manifest == expected
        outcome.count(wrong=exists or not is_same)
        shutil.rmtree(out)
    outcome.check()
