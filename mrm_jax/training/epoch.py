"""One epoch of training, with the training step mapped over devices."""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np

from mrm_jax.models import networks
from mrm_jax.runtime import devices, kept_programs
from mrm_jax.training import inherited as inherited_lib
from mrm_jax.training import input_pipeline, steps, train_state
from mrm_jax.training.hparams import HParams

TrainCall = Callable[..., tuple[train_state.TrainState, steps.Terms]]
Track = Callable[[Iterable[Any], int], Iterable[Any]]


def train_steps(
    state: train_state.TrainState,
    records: input_pipeline.Records,
    rows: jax.Array,
    hparams: HParams,
    **options: Any,
) -> tuple[train_state.TrainState, steps.Terms]:
    """Makes one update for each row and returns the state and the terms of the loss.

    This is a pure function of one device's share. Records are gathered, converted and
    standardised here, on the device.

    Args:
        state: state before the first update.
        records: records that `rows` index.
        rows: [step, batch], record numbers or padding.
        hparams: hyperparameters.
        options: model, augment and inherited, as in `steps.packed_step`.

    Returns:
        The state after the last update, and the terms, each [step].
    """

    def body(packed, batch_rows):
        """Makes one update."""
        batch = input_pipeline.take(records, batch_rows)
        return steps.packed_step(packed, batch, hparams, **options)

    packed = train_state.PackedState.pack(state, as_vector=devices.is_gpu())
    packed, terms = devices.loop(body, packed, rows)
    return packed.unpack(), terms


@functools.lru_cache(maxsize=8)
def mapped(
    model: networks.Network,
    augment: bool = False,
    inherited: inherited_lib.Inherited | None = None,
) -> kept_programs.KeptCall:
    """Returns `train_steps` mapped over the devices; it reuses the state's memory."""
    call = functools.partial(
        train_steps, model=model, augment=augment, inherited=inherited
    )
    identity = "train", model, augment, inherited
    return devices.map_and_keep(call, identity, donate_argnums=(0,))


@dataclasses.dataclass
class Epoch:
    """One pass over the training records, which can stop after any call and resume."""

    rows: np.ndarray  # [step, batch], record numbers or padding
    steps_done: int = 0
    sums: dict[str, float] = dataclasses.field(default_factory=dict)  # over records
    # For the rate. Epochs that version 0.1.0 left unfinished do not have them.
    seconds: float = 0.0
    records_timed: int = 0

    def add(self, terms: Mapping[str, np.ndarray]) -> None:
        """Adds the terms [step] of the next steps to the sums.

        They are added step by step, so that the sums do not depend on the number of
        steps per call.
        """
        first, self.steps_done = self.steps_done, self.steps_done + len(terms["loss"])
        records = np.sum(self.rows[first : self.steps_done] >= 0, axis=1).tolist()
        for name, values in terms.items():
            for value, weight in zip(values.tolist(), records, strict=True):
                self.sums[name] = self.sums.get(name, 0.0) + value * weight

    @property
    def progress(self) -> dict[str, Any]:
        """The arguments, besides rows, of an epoch that resumes here; JSON values."""
        names = ("steps_done", "sums", "seconds", "records_timed")
        return {name: getattr(self, name) for name in names}

    @property
    def records_done(self) -> int:
        """The number of records trained on so far."""
        return int(np.sum(self.rows[: self.steps_done] >= 0))

    @property
    def rate(self) -> float:
        """The records trained on in a second, also before the epoch was resumed."""
        return self.records_timed / self.seconds if self.records_timed else 0.0

    def means(self) -> dict[str, float]:
        """Returns the means of the terms over the records trained on so far."""
        records = self.records_done
        return {name: total / records for name, total in self.sums.items()}


def train_epoch(
    call: TrainCall,
    state: train_state.TrainState,
    loader: input_pipeline.SplitLoader,
    epoch: Epoch,
    hparams: HParams,
    track: Track,
) -> tuple[train_state.TrainState, dict[str, float]]:
    """Trains on the remaining rows of an epoch and records its progress.

    Args:
        call: result of `mapped`.
        state: replicated state, whose memory is reused.
        loader: loader of the training split.
        epoch: new epoch, or one that stopped early; it is updated.
        hparams: replicated hyperparameters.
        track: function of the calls and their number that yields the calls and shows
            progress. It may yield fewer. When it goes on after a call, `epoch` has the
            losses of all calls but that one, which may still run.

    Returns:
        The state, and the means of the loss and its terms over the epoch's records so
        far, with "records_per_second".

    Raises:
        FloatingPointError: if the loss, a term or the gradient norm is NaN or infinite;
            names the step and the terms.
    """
    start = time.perf_counter()
    begin, rows, done_before = epoch.steps_done, epoch.rows, epoch.records_done
    step_before = int(devices.unreplicate(state.step)) - begin
    pending: steps.Terms = {}
    for records, shares in track(
        loader.calls(rows, begin), loader.num_calls(rows, begin)
    ):
        state, terms = call(state, records, shares, hparams)
        # Read one call late, so that the host prepares the next while this one runs.
        if pending:
            epoch.add(_read_finite(pending, step_before + epoch.steps_done))
        pending = terms
    if pending:
        epoch.add(_read_finite(pending, step_before + epoch.steps_done))
    epoch.seconds += time.perf_counter() - start
    epoch.records_timed += epoch.records_done - done_before
    return state, epoch.means() | {"records_per_second": epoch.rate}


def _read_finite(terms: steps.Terms, first_step: int) -> dict[str, np.ndarray]:
    """Returns the terms [step] on the host; raises if one is not finite."""
    values: dict[str, Any] = devices.unreplicate(terms)
    finite = np.all([np.isfinite(value) for value in values.values()], axis=0)
    bad = np.flatnonzero(~finite)
    if len(bad):
        shown = ", ".join(f"{name} {value[bad[0]]:g}" for name, value in values.items())
        raise FloatingPointError(
            f"step {first_step + int(bad[0])}: the loss or its gradient is not finite: "
            f"{shown}"
        )
    return values
