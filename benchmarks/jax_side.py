"""Training and scoring with mrm_jax.

As in torch_side, the records are on the device as int16 microvolts. A batch is gathered
by its record indices and standardised there, and then used for training or scoring.
"""

from typing import Any

import jax
import numpy as np

from benchmarks import load as loads
from mrm_jax.models.mrm_net import network
from mrm_jax.runtime import devices
from mrm_jax.training import epoch, input_pipeline, scoring, train_state
from mrm_jax.training.hparams import HParams


class JaxSide:
    """The mapped calls of `mrm_jax.train`, with records that are on the device."""

    def __init__(self, load: loads.Load, **options: Any):
        """Puts the state and the records on the devices."""
        self._model = network.MRMNet(
            load.labels, load.samples, axis_name=devices.AXIS, **options
        )
        epoch.mapped(self._model).load_ahead()  # as in `trainer.train`
        state = train_state.create(jax.random.PRNGKey(0), self._model)
        self._state = devices.replicate(state)
        signals, labels = load.arrays()
        records = input_pipeline.Records.of(
            signals, labels, np.float32(loads.MEAN_UV), np.float32(loads.STD_UV)
        )
        self._records = devices.replicate(records)
        self._hparams = devices.replicate(HParams())
        rows = input_pipeline.sequential_batches(load.records, load.batch)
        limit = min(devices.steps_per_call(), len(rows))
        self._rows = [
            devices.shard_batch(rows[i : i + limit]) for i in range(0, len(rows), limit)
        ]

    def train(self) -> None:
        """Makes one update per batch."""
        call = epoch.mapped(self._model)
        for rows in self._rows:
            self._state, terms = call(self._state, self._records, rows, self._hparams)
        jax.block_until_ready((self._state, terms))

    def score(self) -> None:
        """Scores every record and copies the scores to the host."""
        call = scoring.mapped(self._model)
        found = [call(self._state, self._records, rows) for rows in self._rows]
        jax.device_get(found)

    def cost(self, work: str) -> tuple[float, float]:
        """Returns the operations and bytes that XLA counts for a round of work."""
        counted = self._compiled(work).cost_analysis()
        calls = len(self._rows)
        return calls * counted["flops"], calls * counted["bytes accessed"]

    def program(self, work: str) -> str:
        """Returns the compiled program of a call as text."""
        return self._compiled(work).as_text()

    def _compiled(self, work: str) -> Any:
        """Returns the compiled call of "training" or "scoring"."""
        arguments: tuple[Any, ...] = (self._state, self._records, self._rows[0])
        call: Any = scoring.mapped(self._model)
        if work == "training":
            call, arguments = epoch.mapped(self._model), (*arguments, self._hparams)
        return call.lower(*arguments).compile()
