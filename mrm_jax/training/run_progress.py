"""Progress of a run in training: the loss, the rate and the time left of the run."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from mrm_jax.metrics import scores
from mrm_jax.runtime import pace as pace_lib
from mrm_jax.runtime import progress
from mrm_jax.training import epoch as epoch_lib

COMPILING = "compiling (once; a minute or two)"
COMPILING_LINE = "compiling the network (once; it can take a minute or two)"
REPORT_SCORINGS = 2  # of val and test after the last epoch


class RunProgress:
    """Shows how far a run is, while its epochs are trained: a context manager.

    The pace is that of the steps after the first one, which is compiled. The losses are
    those that `train_epoch` has already read from the devices: nothing waits for them.
    """

    def __init__(
        self, num_epochs: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Creates the display.

        Args:
            num_epochs: number of epochs of the whole run.
            clock: function that returns the time in seconds.
        """
        self._num_epochs, self._num_records = num_epochs, 0
        self._bar = progress.Bar("starting", facts=(COMPILING,))
        self._display = progress.Display(self._bar)
        self._pace = pace_lib.Pace(clock)  # in records
        self._between = pace_lib.Pace(clock)  # in epochs: validation and checkpoints
        self._compiled: set[tuple[str, tuple[int, ...]]] = set()  # program, shape
        self._first = 0  # epoch trained here, after which much happens only once
        self._number = 0  # of the running epoch
        self._records_done = 0  # of the running epoch

    def __enter__(self) -> "RunProgress":
        """Shows the bar, and says that the first state and step are compiled."""
        self._display.__enter__()
        if not self._display.is_redrawn:
            self._display.say(COMPILING_LINE)
        return self

    def __exit__(self, *stopped_by: object) -> None:
        """Removes the bar."""
        self._display.__exit__(*stopped_by)

    def training(self, number: int, epoch: epoch_lib.Epoch) -> progress.Track:
        """Returns a function that shows the calls of an epoch, as `train_epoch` takes.

        Args:
            number: number of the epoch, from 1.
            epoch: progress of the epoch, which is read only.
        """

        def track(calls: Iterable[Any], _: int) -> Iterator[Any]:
            """Yields the calls, and updates the bar after each."""
            self._begin(number, epoch)
            for call in calls:
                compiles = self._is_new("training", call)
                if compiles:
                    self._bar.facts = (COMPILING,)
                yield call
                self._count_records(epoch, skip=compiles)
                self._display.update()

        return track

    def scoring(self, epoch: epoch_lib.Epoch) -> progress.Track:
        """Returns a function that shows the calls that score the validation split.

        Args:
            epoch: the trained epoch.
        """

        def track(calls: Iterable[Any], total: int) -> Iterator[Any]:
            """Yields the calls, and updates the bar after each."""
            self._count_records(epoch, skip=False)
            self._between.skip()
            bar = self._bar
            bar.title = f"epoch {self._number}/{self._num_epochs}, scoring val"
            bar.done, bar.total, bar.unit = 0, total, ""
            for call in calls:
                compiles = self._is_new("scoring", call)
                bar.facts = (COMPILING,) if compiles else self._time_left(scorings=1)
                yield call
                bar.done += 1
                self._display.update()

        return track

    def end_epoch(self, values: Mapping[str, float]) -> None:
        """Prints a line with the metrics of an epoch.

        Args:
            values: metrics by name, from `run_folder.epoch_values`.
        """
        title = f"epoch {self._number}/{self._num_epochs}"
        is_last = self._number == self._num_epochs
        left = () if is_last else self._time_left(scorings=0)
        self._display.say_facts(title, (*_metrics(values), *left))

    def _begin(self, number: int, epoch: epoch_lib.Epoch) -> None:
        if self._number > self._first:
            self._between.lap(1)
        self._first = self._first or number
        self._number, self._records_done = number, epoch.records_done
        self._num_records = int(np.sum(epoch.rows >= 0))
        bar = self._bar
        bar.title = f"epoch {number}/{self._num_epochs}"
        bar.done, bar.total, bar.unit = self._records_done, self._num_records, "records"
        bar.facts = self._time_left(scorings=1)
        self._pace.age()
        self._pace.skip()

    def _count_records(self, epoch: epoch_lib.Epoch, *, skip: bool) -> None:
        """Measures the records whose losses were read since the last call."""
        before, self._records_done = self._records_done, epoch.records_done
        if skip:
            self._pace.skip()
        else:
            self._pace.lap(self._records_done - before)
        loss = [f"loss {epoch.means()['loss']:.4f}"] if epoch.steps_done else []
        rate = self._pace.rate()
        shown_rate = [] if rate is None else [f"{rate:,.1f} records/s"]
        self._bar.done = self._records_done
        self._bar.facts = (*loss, *self._time_left(scorings=1), *shown_rate)

    def _time_left(self, *, scorings: int) -> tuple[str, ...]:
        """Returns the time left of the whole run, unless it is unknown.

        Args:
            scorings: number of times that the running epoch is still to be scored.
        """
        epochs = self._num_epochs - self._number
        records = (epochs + 1) * self._num_records - self._records_done
        training_s = self._pace.seconds_for(records)
        if training_s is None:
            return ()
        scorings += epochs + REPORT_SCORINGS
        between_s = self._between.seconds_for(scorings) or 0.0
        return pace_lib.time_left(training_s + between_s)

    def _is_new(self, program: str, call: tuple[Any, Any]) -> bool:
        """Returns whether a call is the first of its program and shape."""
        _, rows = call
        key = (program, rows.shape)
        is_new = key not in self._compiled
        self._compiled.add(key)
        return is_new


def _metrics(values: Mapping[str, float]) -> Iterator[str]:
    yield f"loss {values['train/loss']:.4f}"
    aucs = {h: values.get(f"val/macro_auc_{h}") for h in scores.HEADS}
    shown = {h: f"{h} {auc:.4f}" for h, auc in aucs.items() if auc is not None}
    if len(shown) == 1:  # the mean of one branch needs no name
        shown = {scores.MEAN: f"{aucs[scores.MEAN]:.4f}"}
    first, *others = shown.values()
    yield f"val macro AUC {first}"
    yield from others
    yield f"{values['train/records_per_second']:.1f} records/s"
