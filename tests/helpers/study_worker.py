"""A sweep worker in its own process, which trains a sum instead of a network.

Usage: python -m tests.helpers.study_worker STORAGE WORKER FOLDER

It holds two leases at a time. It appends a line to FOLDER/WORKER for each event, and
writes the state of a trial to FOLDER/NUMBER after every epoch. If a file
FOLDER/WORKER.suspend exists, it suspends itself, outside of any transaction.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from optuna.distributions import CategoricalDistribution, FloatDistribution

from experiments import base
from mrm_jax.sweeps import search_space, study

EPOCHS, EPOCH_S, HELD = 3, 0.1, 2
SPACE = search_space.check(
    {
        "hparams.learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
        "hparams.dropout_rate": FloatDistribution(0, 0.5),
        "model.width": CategoricalDistribution([8, 16]),
    },
    base.get_config(),
)


def study_spec(**changes):
    common = {"name": "sweep", "space": SPACE, "trials": 20, "num_epochs": EPOCHS}
    return study.StudySpec(**common | {"pruner": "none"} | changes)


def work(shared, folder, log, suspend):
    """Trains until every trial of the sweep has ended."""
    held = {}
    while held or not shared.progress().done:
        while len(held) < HELD and (lease := shared.acquire()):
            held[lease] = start(lease, folder)
            log("claimed", lease.number, held[lease]["epoch"])
        time.sleep(EPOCH_S)
        if held and suspend.exists():
            suspend.unlink()
            os.kill(os.getpid(), signal.SIGSTOP)
        for lease in list(held):
            if train_epoch(shared, lease, held[lease], folder, log):
                del held[lease]


def start(lease, folder):
    for number in (lease.number, *lease.earlier):
        if (folder / str(number)).exists():
            return json.loads((folder / str(number)).read_text())
    return {"epoch": 0, "sum": 0.0}


def train_epoch(shared, lease, state, folder, log):
    """Returns whether the trial ended."""
    if state["epoch"] < EPOCHS:
        state["epoch"] += 1
        state["sum"] += lease.values["hparams.learning_rate"]
        (folder / f"{lease.number}.new").write_text(json.dumps(state))
        (folder / f"{lease.number}.new").rename(folder / str(lease.number))
        verdict = shared.report(lease, state["epoch"], state["sum"])
        log(verdict.value, lease.number, state["epoch"])
        if verdict is not study.Verdict.GO_ON:
            return True
    if state["epoch"] < EPOCHS:
        return False
    counts = shared.finish(lease, state["sum"])
    log("counts" if counts else "lost", lease.number, state["epoch"])
    return True


def main():
    storage, worker, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])

    def log(*words):
        with (folder / worker).open("a") as file:
            file.write(" ".join(map(str, words)) + "\n")

    with study.Study(
        storage, study_spec(), worker, heartbeat_s=1, timeout_s=3
    ) as shared:
        work(shared, folder, log, folder / f"{worker}.suspend")
    log("done")


if __name__ == "__main__":
    main()
