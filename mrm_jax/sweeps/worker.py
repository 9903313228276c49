"""A worker of a sweep: trains several trials at once until all have ended."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import ml_collections
import numpy as np

from mrm_jax.runtime import devices, preemption
from mrm_jax.sweeps import population, vectorised
from mrm_jax.sweeps import progress as progress_lib
from mrm_jax.sweeps.leases import Lease
from mrm_jax.sweeps.study import Progress, Study, Verdict
from mrm_jax.sweeps.trial_run import TrialRun, drop_checkpoints, folder
from mrm_jax.training import run_spec, scoring

LOST = "lost to another worker"  # which resumes from its checkpoints
SHARES = 4  # by default a worker trains at most a quarter of all trials at once


@dataclasses.dataclass(frozen=True)
class Job:
    """The configuration of a worker, in addition to the study."""

    config: ml_collections.ConfigDict  # configuration of the sweep, locked
    arguments: Sequence[str]  # of mrm_jax.train: module, --config and overrides
    workdir: Path
    slots: int | None  # most trials to train at once; None: as many as fit
    batching: str | None  # how they are batched on a device, see population.Population
    handler: preemption.PreemptionHandler
    keep_all: bool = False  # keep the checkpoints of all trials, not only the best
    poll_s: float = 5.0  # wait between two requests when no trial is open


class Worker:
    """Trains trials of one study until all of them have ended."""

    def __init__(
        self, job: Job, study: Study, shown: progress_lib.SweepProgress
    ) -> None:
        """Puts the training and validation records on the devices.

        The test fold is not opened, as a sweep must not depend on it.
        """
        self._job, self._study, self._shown = job, study, shown
        spec = run_spec.build_run_spec(job.config)
        self._train = scoring.loader(spec, "train")
        taken = self._train.signal_bytes() if self._train.resident else 0
        self._val = scoring.loader(spec, "val", taken)

    def work(self) -> None:
        """Trains until every trial has ended, on this worker or another.

        Raises:
            ConnectionError: if the storage does not answer in time.
            preemption.Preempted: if the worker was preempted.
        """
        while not (progress := self._study.progress()).done:
            lease = self._study.acquire()
            if lease is None:  # other workers train the rest, and may die
                self._show()
                self._job.handler.raise_if_signalled()
                time.sleep(self._job.poll_s)
            else:
                self._train_program(lease, progress)
        self._show()

    def _show(self) -> None:
        self._shown.update(self._study.progress(), self._study.best())

    def _train_program(self, lease: Lease, progress: Progress) -> None:
        """Trains trials that share the lease's program until none is open."""
        live: dict[int, TrialRun] = {}
        first = self._open(lease)
        # The open trials were counted before this one was leased.
        slots = self._num_slots(
            first.spec, max(1, progress.open[lease.program]), progress
        )
        runs = population.Population(_program(first.spec, self._job.batching), slots)
        self._fill_slot(runs, live, 0, first)
        try:
            while True:
                self._fill(runs, live, lease.program, slots)
                if not live:
                    return
                self._show()
                self._train_epoch(runs, live)
        finally:
            for trial in live.values():
                trial.run.close()

    def _num_slots(
        self, spec: run_spec.RunSpec, wanted: int, progress: Progress
    ) -> int:
        """Returns how many trials to train at once, at most `wanted`.

        Unless the user set the number, it is at most a share of all trials, so that the
        sampler can learn from ended trials and other workers get some too.
        """
        if self._job.slots is not None:
            return min(self._job.slots, wanted)
        share = max(devices.device_count(), -(-progress.total // SHARES))
        return population.largest(
            _program(spec, self._job.batching), self._train, min(wanted, share)
        )

    def _open(self, lease: Lease) -> TrialRun:
        return TrialRun(lease, self._job.config, self._job.arguments, self._job.workdir)

    def _fill(
        self,
        runs: population.Population,
        live: dict[int, TrialRun],
        program: int,
        slots: int,
    ) -> None:
        """Fills the free slots with open trials."""
        for slot in range(slots):
            while slot not in live:
                lease = self._study.acquire(program)
                if lease is None:
                    return
                self._fill_slot(runs, live, slot, self._open(lease))

    def _fill_slot(
        self,
        runs: population.Population,
        live: dict[int, TrialRun],
        slot: int,
        trial: TrialRun,
    ) -> None:
        """Starts a trial, or ends it if all its epochs are already trained."""
        value = trial.unreported
        if value is not None:
            has_ended = self._report(trial, value)
        elif has_ended := trial.trained:
            self._finish(trial)
        if not has_ended:
            runs.put(slot, trial.run.state(), trial.spec.hparams)
            live[slot] = trial

    def _train_epoch(
        self, runs: population.Population, live: dict[int, TrialRun]
    ) -> None:
        """Trains an epoch, evaluates every run, and frees the slots of ended runs."""
        start = time.perf_counter()
        rows = {slot: trial.rows(len(self._train)) for slot, trial in live.items()}
        means = runs.train(self._train, rows, self._tracker("training"))
        rate = len(self._train) / (time.perf_counter() - start)
        sound = [p for p, terms in means.items() if _finite(list(terms.values()))]
        scores = runs.predict(self._val, sound, self._tracker("scoring"))
        sound = [p for p in sound if _finite(scores[p].mean)]
        states = runs.states(sound)
        for slot, trial in list(live.items()):
            if slot not in sound:
                self._study.diverge(trial.lease, trial.run.epochs_done + 1)
                self._leave(trial, "diverged")
                runs.clear(slot)
            else:
                terms = means[slot] | {"records_per_second": rate}
                values = trial.run.record(terms, scores[slot], states[slot])
                if not self._report(trial, values[trial.spec.selection]):
                    continue
            del live[slot]

    def _tracker(self, description: str) -> preemption.Track:
        return self._job.handler.raise_when_preempted(self._shown.tracker(description))

    def _report(self, trial: TrialRun, value: float) -> bool:
        """Reports a metric, acts on the verdict, and returns whether it ended."""
        match self._study.report(trial.lease, trial.run.epochs_done, value):
            case Verdict.GO_ON if not trial.trained:
                return False
            case Verdict.GO_ON:
                self._finish(trial)
            case Verdict.PRUNE:
                self._study.prune(trial.lease)
                self._leave(trial, "pruned")
            case Verdict.DIVERGED:
                self._study.diverge(trial.lease, trial.run.epochs_done)
                self._leave(trial, "diverged")
            case Verdict.LOST:
                self._leave(trial, LOST)
        return True

    def _finish(self, trial: TrialRun) -> None:
        trial.run.wait()  # the checkpoints must be complete before the trial counts
        before = self._study.best()
        counts = self._study.finish(trial.lease, trial.run.best_value)
        best = self._study.best()
        is_best = best is not None and best.number == trial.lease.number
        if is_best and before is not None and not self._job.keep_all:
            drop_checkpoints(folder(self._job.workdir, before.number))
        self._leave(trial, "complete" if counts else LOST, keep=is_best)

    def _leave(self, trial: TrialRun, outcome: str, keep: bool = False) -> None:
        """Closes a trial's folder and removes checkpoints that will not be resumed."""
        done, value = trial.run.epochs_done, trial.run.best_value
        trial.run.close()
        if outcome != LOST and not self._job.keep_all:
            for number in trial.lease.earlier:
                drop_checkpoints(folder(self._job.workdir, number))
            if not keep:
                drop_checkpoints(trial.workdir)
        epochs = "1 epoch" if done == 1 else f"{done} epochs"
        self._shown.ended(trial.lease, f"{outcome} after {epochs}, best {value:.4f}")


def _program(spec: run_spec.RunSpec, batching: str | None) -> vectorised.Program:
    return vectorised.Program(
        spec.model,
        spec.batch_size,
        batching,
        spec.augment,
        spec.average_weights,
        spec.num_leads,
    )


def _finite(values: Sequence[float] | np.ndarray) -> bool:
    return bool(np.isfinite(values).all())
