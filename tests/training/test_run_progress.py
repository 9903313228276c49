import numpy as np
import pytest

from mrm_jax.runtime import progress
from mrm_jax.training import epoch as epoch_lib
from mrm_jax.training import run_progress

ROWS = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, -1, -1]])
CALLS = [(None, ROWS[None, i : i + 1]) for i in range(3)]
METRICS = {
    "train/loss": 0.25,
    "train/records_per_second": 40.0,
    "val/macro_auc_high": 0.5,
    "val/macro_auc_low": 0.75,
    "val/macro_auc_mean": 0.625,
}
LINE = "loss 0.2500, val macro AUC high 0.5000, low 0.7500, mean 0.6250, 40.0 records/s"


class Clock:
    """A clock that is set by hand."""

    now = 50.0

    def __call__(self):
        return self.now


def train(shown, clock, number, first_s=0.0, epoch=None):
    """Trains an epoch of three calls of 2 s, whose losses are read one call late.

    `first_s` is how long the first call takes to return.
    """
    epoch = epoch or epoch_lib.Epoch(ROWS)
    unread = 0
    calls = CALLS[epoch.steps_done :]
    for index, _ in enumerate(shown.training(number, epoch)(calls, len(calls))):
        clock.now += 2.0 if index else first_s
        if unread:
            epoch.add({"loss": np.array([0.5])})
        unread = 1
    clock.now += 2.0
    epoch.add({"loss": np.array([0.5])})
    return epoch


def score(shown, clock, epoch, seconds):
    for _ in shown.scoring(epoch)(CALLS[:1], 1):
        clock.now += seconds


@pytest.fixture
def lines(capsys, monkeypatch):
    """A function that returns the lines since its last call; none is left out."""
    monkeypatch.setattr(progress, "PLAIN_EVERY_S", -1)
    return lambda: capsys.readouterr().out.splitlines()


def test_time_left_excludes_the_compilation(lines):
    clock = Clock()
    with run_progress.RunProgress(3, clock) as shown:
        train(shown, clock, number=1, first_s=100.0)
    assert lines() == [
        "compiling the network (once; it can take a minute or two)",
        "epoch 1/3: 0 of 10 records",
        # 4 records in 2 s; 26 of 30 are left.
        "epoch 1/3: 4 of 10 records, loss 0.5000, 13 s left, 2.0 records/s",
        "epoch 1/3: 8 of 10 records, loss 0.5000, 11 s left, 2.0 records/s",
    ]


def test_time_left_includes_what_happens_between_epochs(lines):
    clock = Clock()
    with run_progress.RunProgress(5, clock) as shown:
        for number in (1, 2):
            epoch = train(shown, clock, number)
            score(shown, clock, epoch, 60.0 if number == 1 else 3.0)
            clock.now += 1.0  # a checkpoint
        train(shown, clock, 3)
        *_, line = lines()
    # At 10 records in 6 s: 22 of 50 records take about 13 s, and 3 validations and the
    # two splits of the report 4 s each. The first validation, of 60 s, does not count.
    left = int(line.split(", ")[2].split(" ")[0])
    assert left == pytest.approx(13 + 5 * 4, abs=1)


def test_a_resumed_epoch_counts_what_was_done_before(lines):
    clock, epoch = Clock(), epoch_lib.Epoch(ROWS, 1, {"loss": 4 * 0.25})
    with run_progress.RunProgress(1, clock) as shown:
        train(shown, clock, 1, epoch=epoch)
    *_, before, last = lines()
    assert before == "epoch 1/1: 4 of 10 records, loss 0.2500"
    assert last == "epoch 1/1: 8 of 10 records, loss 0.3750, 1 s left, 2.0 records/s"


def test_another_shape_is_compiled_too(lines):
    clock, epoch = Clock(), epoch_lib.Epoch(ROWS)
    calls = [(None, ROWS[None, :2]), (None, ROWS[None, 2:])]
    with run_progress.RunProgress(1, clock) as shown:
        for index, _ in enumerate(shown.training(1, epoch)(calls, 2)):
            clock.now += 100.0
            if index:
                epoch.add({"loss": np.array([0.5, 0.5])})
    assert lines()[-1] == "epoch 1/1: 8 of 10 records, loss 0.5000"


def test_the_line_of_an_epoch_says_the_time_left(lines):
    clock = Clock()
    with run_progress.RunProgress(2, clock) as shown:
        for number in (1, 2):
            score(shown, clock, train(shown, clock, number), 1.0)
            lines()
            shown.end_epoch(METRICS)
            expected = f"epoch {number}/2: {LINE}"
            if number == 1:  # 10 records; the last call took 2 s for 2 records
                expected += ", 6 s left"
            assert lines() == [expected]
