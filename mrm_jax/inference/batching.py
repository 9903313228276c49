"""Scores a stream of recordings in full batches on the devices."""

import collections
import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from mrm_jax.data import windows
from mrm_jax.models import networks
from mrm_jax.runtime import devices
from mrm_jax.training import input_pipeline, scoring, train_state

BATCH = 32  # windows scored at once on the CPU, over all devices
ACCELERATOR_BATCH = 256  # on accelerators, where larger batches cost little


class Scorer:
    """A network on the devices, compiled for a single batch size."""

    def __init__(
        self,
        model: networks.Network,
        state: train_state.TrainState,
        mean_uv: float,
        std_uv: float,
    ):
        """Puts the network on the devices.

        Args:
            model: the network.
            state: training state on the host.
            mean_uv: mean of the training records, microvolts.
            std_uv: standard deviation of the training records, microvolts.
        """
        self._model = model
        self._state = devices.replicate(state)
        batch = ACCELERATOR_BATCH if devices.supports_scan() else BATCH
        self._batch = devices.shard_batch(np.arange(batch)[None]).size
        self._shares = devices.shard_batch(np.arange(self._batch)[None])
        self._mean_std = [
            np.full(len(self._shares), value, np.float32) for value in (mean_uv, std_uv)
        ]

    def score(
        self, cuts: Iterable[windows.Windowed]
    ) -> Iterator[tuple[windows.Windowed, np.ndarray]]:
        """Yields each recording with its scores [branch, window, label].

        A batch may hold windows of several recordings. Errors pass through in order,
        without scores.
        """
        waiting: collections.deque[windows.Windowed] = collections.deque()
        signals_uv: list[np.ndarray] = []  # of waiting windows that are not scored yet
        scores: list[np.ndarray] = []  # of waiting windows, [branch, label] each
        for cut in itertools.chain(cuts, [None]):
            if cut is not None:
                waiting.append(cut)
                signals_uv.extend(_signals_uv(cut))
            while len(signals_uv) >= (1 if cut is None else self._batch):
                scores.extend(self._score_batch(signals_uv[: self._batch]))
                del signals_uv[: self._batch]
            while waiting and len(scores) >= len(_signals_uv(waiting[0])):
                done = waiting.popleft()
                own = scores[: len(_signals_uv(done))]
                del scores[: len(own)]
                yield done, np.stack(own, axis=1) if own else np.empty(0)

    def _score_batch(self, signals_uv: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the scores [window, branch, label] of at most one batch."""
        filled = np.zeros((self._batch, *signals_uv[0].shape), np.int16)
        filled[: len(signals_uv)] = signals_uv
        own = self._shares[:, 0]  # [device, window]
        mean_uv, std_uv = self._mean_std
        records = input_pipeline.Records.of(
            signals_uv=filled[own],
            labels=np.zeros((*own.shape, self._model.num_labels), np.uint8),
            mean_uv=mean_uv,
            std_uv=std_uv,
        )
        rows = self._shares - self._shares[:, :, :1]  # indices on the device
        branches = scoring.mapped(self._model)(self._state, records, rows)
        joined = [
            devices.gather_batch(branches[name], self._batch)[0]
            for name in networks.branches(self._model)
        ]
        return np.stack(joined, axis=1)[: len(signals_uv)]


def _signals_uv(cut: windows.Windowed) -> Sequence[np.ndarray] | np.ndarray:
    return () if isinstance(cut, ValueError) else cut.signals_uv
