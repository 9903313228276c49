"""Tests of one run in several real processes, which are stopped, killed and restarted.

All compute in float64. The interrupted run is compared with an uninterrupted process.
"""

import contextlib
import dataclasses
import functools
import re
import signal
import socket
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from mrm_jax.training import metrics_log
from tests.helpers import commands, distributed_child, small_runs

pytestmark = pytest.mark.slow

PEER_TIMEOUT_S = 5
LIMIT_S = 240  # of one start, on a busy machine
LAST_WORD_S = 20  # until it is there


@dataclasses.dataclass
class Ended:
    """How one process ended."""

    status: int
    output: str
    errors: str
    at_s: float


@dataclasses.dataclass
class Runs:
    """Starts runs of two or of one process on the same shards."""

    shards_dir: str

    def flags(self, workdir, num_epochs):
        values = f"data.shards={self.shards_dir} data.label_set=waves model.width=4"
        values += f" batch_size=12 num_epochs={num_epochs}"
        flags = [f"--config.{value}" for value in values.split()]
        return ["--config=experiments/base.py", f"--workdir={workdir}", *flags]

    def one(self, flags, devices):
        """Runs one process to its end."""
        with started(flags, devices) as process:
            return end(process)

    def two(self, flags, devices, stop=("SIGTERM", -1), extra=((), ())):
        """Runs two processes; the second may be sent a signal at a call."""
        address = f"127.0.0.1:{free_port()}"
        cluster = [f"--coordinator={address}", "--num_processes=2"]
        cluster += [f"--peer_timeout={PEER_TIMEOUT_S}"]
        with contextlib.ExitStack() as stack:
            processes = [
                stack.enter_context(
                    started(
                        [*flags, *cluster, f"--process_id={i}", *extra[i]],
                        devices,
                        stop if i == 1 else ("SIGTERM", -1),
                    )
                )
                for i in range(2)
            ]
            return [end(process) for process in reversed(processes)][::-1]


@contextlib.contextmanager
def started(flags, devices, stop=("SIGTERM", -1)):
    """Starts a process with so many devices; none is left behind.

    Yields the process and the files of its output and its errors.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("output", "errors")]
        process = commands.start(
            "mrm_jax.train",
            *flags,
            output=files[0],
            errors=files[1],
            prepare=functools.partial(distributed_child.prepare, devices, *stop),
        )
        try:
            yield process, *files
        finally:
            process.kill()
            process.join()


def end(started_process):
    process, output, errors = started_process
    process.join(LIMIT_S)
    at_s = time.monotonic()
    # A process of its own says the last word of one that ended before its run.
    is_last = process.exitcode in (0, 2, 75, -signal.SIGKILL)
    while not is_last and not errors.read_text().endswith("to resume.\n"):
        assert time.monotonic() - at_s < LAST_WORD_S, errors.read_text()
        time.sleep(0.05)
    return Ended(process.exitcode, output.read_text(), errors.read_text(), at_s)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shards"
    return Runs(str(small_runs.write_shards(folder)))


@pytest.fixture(scope="module")
def unbroken(runs, tmp_path_factory):
    """A run of one process with four devices."""
    workdir = tmp_path_factory.mktemp("runs") / "unbroken"
    ended = runs.one(runs.flags(workdir, num_epochs=3), devices=4)
    assert ended.status == 0, ended.errors
    return workdir


@dataclasses.dataclass
class Broken:
    """One run, start after start."""

    workdir: Path
    asked: list[Ended]  # two processes, one of them preempted in the first epoch
    killed: list[Ended]  # two, one of them killed in the second epoch
    finished: list[Ended]  # two with one device each instead of two
    extended: Ended  # by an epoch; one process with one device


@pytest.fixture(scope="module")
def broken(runs, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "broken"
    flags = runs.flags(workdir, num_epochs=2)
    return Broken(
        workdir,
        asked=runs.two(flags, devices=2, stop=("SIGTERM", 1)),
        # A step and the scoring are left of the first epoch; then one of the second.
        killed=runs.two(flags, devices=2, stop=("SIGKILL", 3)),
        finished=runs.two(flags, devices=1),
        extended=runs.one(runs.flags(workdir, num_epochs=3), devices=1),
    )


def test_preempting_one_process_stops_all(broken):
    for process in broken.asked:
        assert process.status == 75, process.errors
        assert "Preempted at step 2 of epoch 1" in process.errors


def test_the_same_commands_resume_within_the_epoch(broken):
    assert "resuming after step 2 of epoch 1" in broken.killed[0].output
    assert "epoch 1/2: loss" in broken.killed[0].output


def test_killing_one_process_stops_all_with_a_message(broken):
    survivor, killed = broken.killed
    assert killed.status == -signal.SIGKILL
    assert survivor.status not in (0, 75)
    assert survivor.at_s - killed.at_s < 3 * PEER_TIMEOUT_S
    last = survivor.errors.split("error: ")[-1]
    assert "another process of the run did not start, failed" in last
    assert f"was silent for {PEER_TIMEOUT_S}\nseconds" in last
    assert last.endswith("Run the same commands again to resume.\n")


def test_only_process_0_prints_and_all_succeed(broken):
    main, other = broken.finished
    assert (main.status, other.status) == (0, 0), main.errors + other.errors
    assert "2 x cpu in 2 processes" in main.output
    assert "results: " in main.output
    assert "process 1 of 2; process 0 prints for all" in other.output
    assert "epoch" not in other.output


def test_an_interrupted_run_equals_an_uninterrupted_single_process(broken, unbroken):
    assert broken.extended.status == 0, broken.extended.errors
    assert "resuming after epoch 2" in broken.extended.output
    lines = [metrics_log.read(folder) for folder in (broken.workdir, unbroken)]
    for found, expected in zip(*lines, strict=True):
        assert found.keys() == expected.keys()
        for name in expected.keys() - {"train/records_per_second"}:
            np.testing.assert_allclose(
                found[name], expected[name], rtol=1e-9, err_msg=name
            )
    with (
        np.load(broken.workdir / "scores.npz") as found,
        np.load(unbroken / "scores.npz") as expected,
    ):
        assert list(found["names"]) == list(expected["names"])
        np.testing.assert_allclose(found["mean"], expected["mean"], rtol=1e-7)


def test_processes_with_different_configurations_raise(runs, tmp_path):
    flags = runs.flags(tmp_path / "run", num_epochs=2)
    other = ["--config.hparams.learning_rate=3e-4"]
    for process in runs.two(flags, devices=1, extra=((), other)):
        assert process.status == 2
        assert "learning_rate: 0.001 on process 0, 0.0003 on process 1" in (
            process.errors
        )


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--data=missing", "missing/manifest.json was not found"),
        ("--init_from=missing.pth", "missing.pth|the extra `torch`"),
    ],
)
def test_an_error_on_one_process_is_raised_on_all(runs, tmp_path, flag, message):
    flags = runs.flags(tmp_path / "run", num_epochs=2)
    main, other = runs.two(flags, devices=1, extra=((), [flag]))
    assert (main.status, other.status) == (2, 2)
    assert re.match(f"error: process 1: .*({message})", main.errors), main.errors
    assert not (tmp_path / "run").exists()


def test_without_a_cluster_the_error_suggests_flags(runs, tmp_path):
    ended = runs.one([*runs.flags(tmp_path, 1), "--distributed"], devices=1)
    assert ended.status == 2
    assert ended.errors.startswith("error: --distributed: no cluster was found")
    assert "Pass `--coordinator`" in ended.errors
