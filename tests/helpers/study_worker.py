"""A worker of a sweep as a process of its own: what it trains is a sum, not a network.

Usage: python -m tests.study_worker STORAGE WORKER FOLDER

It holds two trials at a time and writes one line for all that happens to FOLDER/WORKER,
and what it knows of a trial to FOLDER/NUMBER after every epoch. Where there is a file
FOLDER/WORKER.suspend it suspends itself, outside of any transaction.
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


def settings(**changes):
    common = {"name": "sweep", "space": SPACE, "trials": 20, "num_epochs": EPOCHS}
    return study.Settings(**common | {"pruner": "none"} | changes)


def work(shared, folder, log, suspend):
    """Trains until every setting of the sweep has ended."""
    held = {}
    while held or not shared.progress().done:
        while len(held) < HELD and (claim := shared.claim()):
            held[claim] = start(claim, folder)
            log("claimed", claim.number, held[claim]["epoch"])
        time.sleep(EPOCH_S)
        if held and suspend.exists():
            suspend.unlink()
            os.kill(os.getpid(), signal.SIGSTOP)
        for claim in list(held):
            if train_epoch(shared, claim, held[claim], folder, log):
                del held[claim]


def start(claim, folder):
    for number in (claim.number, *claim.earlier):
        if (folder / str(number)).exists():
            return json.loads((folder / str(number)).read_text())
    return {"epoch": 0, "sum": 0.0}


def train_epoch(shared, claim, state, folder, log):
    """Returns whether the trial ended."""
    if state["epoch"] < EPOCHS:
        state["epoch"] += 1
        state["sum"] += claim.values["hparams.learning_rate"]
        (folder / f"{claim.number}.new").write_text(json.dumps(state))
        (folder / f"{claim.number}.new").rename(folder / str(claim.number))
        verdict = shared.report(claim, state["epoch"], state["sum"])
        log(verdict.value, claim.number, state["epoch"])
        if verdict is not study.Verdict.GO_ON:
            return True
    if state["epoch"] < EPOCHS:
        return False
    counts = shared.finish(claim, state["sum"])
    log("counts" if counts else "lost", claim.number, state["epoch"])
    return True


def main():
    storage, worker, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])

    def log(*words):
        with (folder / worker).open("a") as file:
            file.write(" ".join(map(str, words)) + "\n")

    with study.Study(storage, settings(), worker, heartbeat_s=1, timeout_s=3) as shared:
        work(shared, folder, log, folder / f"{worker}.suspend")
    log("done")


if __name__ == "__main__":
    main()
