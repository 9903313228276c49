"""A worker of a sweep: keeps a population full from the study until all is trained."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import ml_collections
import numpy as np

from mrm_jax.runtime import devices, preemption
from mrm_jax.sweeps import population
from mrm_jax.sweeps import progress as progress_lib
from mrm_jax.sweeps.leases import Claim
from mrm_jax.sweeps.study import Progress, Study, Verdict
from mrm_jax.sweeps.trial_run import Trial, drop_checkpoints, folder
from mrm_jax.training import run_spec, scoring

LOST = "lost to another worker"  # which goes on from its states
SHARES = 4  # a worker takes at most a fourth of all settings at once by itself


@dataclasses.dataclass(frozen=True)
class Job:
    """What a worker is told beside the study."""

    config: ml_collections.ConfigDict  # of the sweep, locked
    arguments: Sequence[str]  # of mrm_jax.train: module, --config and overrides
    workdir: Path
    places: int | None  # settings trained at once at most; None: as many as fit
    batching: str | None  # how they share a device, see population.Population
    handler: preemption.PreemptionHandler  # may ask the worker to leave
    keep_all: bool = False  # checkpoints of all settings, not of the best alone
    poll_s: float = 5.0  # between two looks for work where there is none


class Worker:
    """Trains settings of one study until all of them have ended."""

    def __init__(
        self, job: Job, study: Study, shown: progress_lib.SweepProgress
    ) -> None:
        """Puts the training and validation records on the devices.

        The test fold is not opened: a sweep is not to know it.
        """
        self._job, self._study, self._shown = job, study, shown
        spec = run_spec.build_run_spec(job.config)
        self._train = scoring.loader(spec, "train")
        taken = self._train.signal_bytes() if self._train.resident else 0
        self._val = scoring.loader(spec, "val", taken)

    def work(self) -> None:
        """Trains until every setting has ended, here or at another worker's.

        Raises:
            ConnectionError: if the storage does not answer for long.
            preemption.Preempted: if the worker was preempted.
        """
        while not (progress := self._study.progress()).done:
            claim = self._study.claim()
            if claim is None:  # others train the rest, and may die of it
                self._show()
                self._job.handler.raise_if_signalled()
                time.sleep(self._job.poll_s)
            else:
                self._train_program(claim, progress)
        self._show()

    def _show(self) -> None:
        self._shown.update(self._study.progress(), self._study.best())

    def _train_program(self, claim: Claim, progress: Progress) -> None:
        """Trains settings that share the claim's program until none is left here."""
        live: dict[int, Trial] = {}
        first = self._open(claim)
        # What is open was counted before the claim, which is one of them.
        places = self._places(
            first.spec, max(1, progress.open[claim.program]), progress
        )
        runs = population.Population(
            first.spec.model, places, first.spec.batch_size, self._job.batching
        )
        self._place(runs, live, 0, first)
        try:
            while True:
                self._fill(runs, live, claim.program, places)
                if not live:
                    return
                self._show()
                self._train_epoch(runs, live)
        finally:
            for trial in live.values():
                trial.run.close()

    def _places(self, spec: run_spec.RunSpec, wanted: int, progress: Progress) -> int:
        """Returns how many settings to train at once, no more than are wanted.

        Where the number is found, at most a share of all: a sampler is to learn from
        settings that ended, and other workers are to have something to do.
        """
        if self._job.places is not None:
            return min(self._job.places, wanted)
        share = max(devices.device_count(), -(-progress.total // SHARES))
        return population.largest(
            spec.model,
            self._train,
            spec.batch_size,
            min(wanted, share),
            self._job.batching,
        )

    def _open(self, claim: Claim) -> Trial:
        return Trial(claim, self._job.config, self._job.arguments, self._job.workdir)

    def _fill(
        self,
        runs: population.Population,
        live: dict[int, Trial],
        program: int,
        places: int,
    ) -> None:
        """Gives the free ones of so many places to settings that wait."""
        for place in range(places):
            while place not in live:
                claim = self._study.claim(program)
                if claim is None:
                    return
                self._place(runs, live, place, self._open(claim))

    def _place(
        self,
        runs: population.Population,
        live: dict[int, Trial],
        place: int,
        trial: Trial,
    ) -> None:
        """Starts a trial, or ends it if an earlier worker died after its last epoch."""
        if trial.trained:
            self._finish(trial)
        else:
            runs.put(place, trial.run.state(), trial.spec.hparams)
            live[place] = trial

    def _train_epoch(self, runs: population.Population, live: dict[int, Trial]) -> None:
        """Trains an epoch, judges every run, and frees the places of those that end."""
        start = time.perf_counter()
        rows = {place: trial.rows(len(self._train)) for place, trial in live.items()}
        means = runs.train(self._train, rows, self._tracker("training"))
        rate = len(self._train) / (time.perf_counter() - start)
        sound = [p for p, terms in means.items() if _finite(list(terms.values()))]
        scores = runs.predict(self._val, sound, self._tracker("scoring"))
        sound = [p for p in sound if _finite(scores[p].high) and _finite(scores[p].low)]
        states = runs.states(sound)
        for place, trial in list(live.items()):
            if place not in sound:
                self._study.diverge(trial.claim, trial.run.epochs_done + 1)
                self._leave(trial, "diverged")
                runs.clear(place)
            else:
                terms = means[place] | {"records_per_second": rate}
                values = trial.run.record(terms, scores[place], states[place])
                if not self._judge(trial, values[trial.spec.selection]):
                    continue
            del live[place]

    def _tracker(self, description: str) -> preemption.Track:
        return self._job.handler.leaving(self._shown.tracker(description))

    def _judge(self, trial: Trial, value: float) -> bool:
        """Reports a metric; returns whether the trial ended."""
        match self._study.report(trial.claim, trial.run.epochs_done, value):
            case Verdict.GO_ON if not trial.trained:
                return False
            case Verdict.GO_ON:
                self._finish(trial)
            case Verdict.PRUNE:
                self._study.prune(trial.claim)
                self._leave(trial, "pruned")
            case Verdict.DIVERGED:
                self._study.diverge(trial.claim, trial.run.epochs_done)
                self._leave(trial, "diverged")
            case Verdict.LOST:
                self._leave(trial, LOST)
        return True

    def _finish(self, trial: Trial) -> None:
        trial.run.wait()  # its checkpoints are whole before anybody counts on them
        before = self._study.best()
        counts = self._study.finish(trial.claim, trial.run.best_value)
        best = self._study.best()
        is_best = best is not None and best.number == trial.claim.number
        if is_best and before is not None and not self._job.keep_all:
            drop_checkpoints(folder(self._job.workdir, before.number))
        self._leave(trial, "complete" if counts else LOST, keep=is_best)

    def _leave(self, trial: Trial, outcome: str, keep: bool = False) -> None:
        """Closes a trial's folder, without states that nobody will go on with."""
        trial.run.close()
        if outcome != LOST and not self._job.keep_all:
            for number in trial.claim.earlier:
                drop_checkpoints(folder(self._job.workdir, number))
            if not keep:
                drop_checkpoints(trial.workdir)
        done, value = trial.run.epochs_done, trial.run.best_value
        epochs = "1 epoch" if done == 1 else f"{done} epochs"
        self._shown.ended(trial.claim, f"{outcome} after {epochs}, best {value:.4f}")


def _finite(values: Sequence[float] | np.ndarray) -> bool:
    return bool(np.isfinite(values).all())
