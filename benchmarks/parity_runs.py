"""The runs that `parity_training` compares: mrm_jax and a plain PyTorch loop.

PyTorch trains the reference network in the loop that most people would write. Both
sides share only the records, their order and the metrics.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, cast

import jax
import numpy as np
import torch

from mrm_jax.interop import torch_model, torch_weights
from mrm_jax.metrics import classification, scores
from mrm_jax.metrics.scores import SplitScores
from mrm_jax.models.mrm_net import network as mrm_net
from mrm_jax.runtime import console, devices, progress
from mrm_jax.training import epoch as epoch_lib
from mrm_jax.training import input_pipeline, run_spec, scoring, train_state
from tests.parity import torch_losses

JAX, TORCH, MOVED = "mrm_jax", "pytorch", "pytorch_moved"
SPLITS = ("train", "val", "test")

Track = Callable[[Iterable[Any], int], Iterable[Any]]
Weights = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Curves:
    """Losses and metrics of one run."""

    loss: list[float]  # [epoch], mean over the epoch's records, nats
    val_macro_auc: dict[str, list[float]]  # head -> [epoch]
    test_macro_auc: dict[str, float]  # head -> value after the last epoch
    seconds: float  # wall time, including compilation and scoring


class Side(Protocol):
    """Interface of an implementation that trains and scores."""

    def train_epoch(self, rows: np.ndarray, track: Track) -> float:
        """Trains on rows [step, batch]; returns the mean loss of their records."""

    def score(self, split: str) -> SplitScores:
        """Returns the scores of a split in its stored order."""


class JaxSide:
    """Training as in mrm_jax.train, without checkpoints."""

    def __init__(self, spec: run_spec.RunSpec, state: train_state.TrainState):
        """Puts the records and the state on the devices."""
        self._model, self._batch_size = spec.model, spec.batch_size
        self._state = devices.replicate(state)
        self._hparams = devices.replicate(spec.hparams)
        self._loaders = {
            name: input_pipeline.SplitLoader(
                spec.data,
                spec.data.split(spec.label_set, name),
                spec.described_labels,
                spec.resident_bytes,
            )
            for name in SPLITS
        }

    def train_epoch(self, rows: np.ndarray, track: Track) -> float:
        """Trains on rows [step, batch]; returns the mean loss of their records."""
        self._state, terms = epoch_lib.train_epoch(
            epoch_lib.mapped(self._model),
            self._state,
            self._loaders["train"],
            epoch_lib.Epoch(rows),
            self._hparams,
            track,
        )
        return terms["loss"]

    def score(self, split: str) -> SplitScores:
        """Returns the scores of a split in its stored order."""
        loader = self._loaders[split]
        return scoring.predict(self._model, self._state, loader, self._batch_size)


class TorchSide:
    """The reference network, torch.optim.Adam and a loop over batches."""

    def __init__(
        self, spec: run_spec.RunSpec, device: str, weights: Weights | None = None
    ):
        """Starts from `weights`, or from PyTorch's initialisation with spec.seed."""
        torch.manual_seed(spec.seed)
        self._model = cast(mrm_net.MRMNet, spec.model)
        self._batch_size = spec.batch_size
        self._net = torch_model.TorchMRMNet(
            self._model.num_labels,
            self._model.width,
            exchange=self._model.exchange,
            eca_conv=self._model.eca_conv,
            dropout=float(spec.hparams.dropout_rate),
        )
        if weights is not None:
            _load_weights(self._net, weights)
        self._net.to(device)
        learning_rate = float(spec.hparams.learning_rate)
        self._optimizer = torch.optim.Adam(self._net.parameters(), lr=learning_rate)
        self._splits = {name: spec.data.split(spec.label_set, name) for name in SPLITS}
        self._signals = {
            name: torch.from_numpy(_standardised(spec, split.rows)).to(device)
            for name, split in self._splits.items()
        }
        self._labels = torch.from_numpy(self._splits["train"].labels).float().to(device)

    def train_epoch(self, rows: np.ndarray, track: Track) -> float:
        """Trains on rows [step, batch]; returns the mean loss of their records.

        Raises:
            FloatingPointError: if the loss is not finite.
        """
        self._net.train()
        total = 0.0
        for batch in track(rows, len(rows)):
            chosen = torch.from_numpy(batch[batch != devices.PADDING])
            self._optimizer.zero_grad()
            loss = self._loss(self._signals["train"][chosen], self._labels[chosen])
            loss.backward()
            self._optimizer.step()
            total += loss.item() * len(chosen)
        if not math.isfinite(total):
            raise FloatingPointError(f"PyTorch: the loss of the epoch is {total}.")
        return total / int(np.sum(rows != devices.PADDING))

    def score(self, split: str) -> SplitScores:
        """Returns the scores of a split in its stored order."""
        self._net.eval()
        with torch.no_grad():
            parts = [
                torch.sigmoid(torch.stack(self._net(signals)[0])).cpu().numpy()
                for signals in self._signals[split].split(self._batch_size)
            ]
        high, low = np.concatenate(parts, axis=1)
        stored = self._splits[split]
        return SplitScores.of_two(stored.names, stored.labels, high, low)

    def _loss(self, signals: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        logits, stages = self._net(signals)
        total, _ = torch_losses.loss_terms(
            logits,
            stages,
            labels,
            self._model.mutual_stages,
            self._model.feature_pairing,
            self._model.logit_divergence,
        )
        return total


def same_weights(spec: run_spec.RunSpec, device: str) -> dict[str, Curves]:
    """Trains both sides from the same weights, and PyTorch again from perturbed ones.

    In the perturbed run, MOVED, every weight is the next larger float32. The distance
    of its curves from those of PyTorch is the effect of rounding on this training.
    """
    state = _initial_state(spec)
    weights = torch_weights.to_torch(
        {"params": state.params, "batch_stats": state.batch_stats}
    )
    moved = {
        name: np.nextafter(array, np.float32(np.inf)) for name, array in weights.items()
    }
    return {
        JAX: train(JAX, JaxSide(spec, state), spec),
        TORCH: train(TORCH, TorchSide(spec, device, weights), spec),
        MOVED: train(MOVED, TorchSide(spec, device, moved), spec),
    }


def own_weights(spec: run_spec.RunSpec, device: str) -> dict[str, Curves]:
    """Trains both sides with their own initial weights and dropout, from spec.seed."""
    return {
        JAX: train(JAX, JaxSide(spec, _initial_state(spec)), spec),
        TORCH: train(TORCH, TorchSide(spec, device), spec),
    }


def train(name: str, side: Side, spec: run_spec.RunSpec) -> Curves:
    """Trains one side for spec.num_epochs epochs, on the batches of spec.seed."""
    start = time.perf_counter()
    num_records = spec.described_labels.records["train"]
    curves = Curves([], {head: [] for head in scores.HEADS}, {}, 0.0)
    for epoch in range(1, spec.num_epochs + 1):
        rows = input_pipeline.shuffled_batches(
            num_records, spec.batch_size, spec.seed, epoch
        )
        shown = f"{name}, seed {spec.seed}, epoch {epoch}/{spec.num_epochs}"
        curves.loss.append(side.train_epoch(rows, progress.tracker(shown)))
        for head, auc in _macro_aucs(side.score("val")).items():
            curves.val_macro_auc[head].append(auc)
        console.say(
            f"{shown}: loss {curves.loss[-1]:.6f}, "
            f"val macro AUC {curves.val_macro_auc['mean'][-1]:.4f}"
        )
    return dataclasses.replace(
        curves,
        test_macro_auc=_macro_aucs(side.score("test")),
        seconds=time.perf_counter() - start,
    )


def _macro_aucs(scores: SplitScores) -> dict[str, float]:
    return {
        head: float(classification.evaluate(values, scores.labels)["macro_auc"])
        for head, values in scores.heads.items()
    }


def _initial_state(spec: run_spec.RunSpec) -> train_state.TrainState:
    return train_state.create(jax.random.PRNGKey(spec.seed), spec.model)


def _load_weights(net: torch.nn.Module, weights: Weights) -> None:
    """Loads weights; load_state_dict raises an error for missing or extra names."""
    counts = {
        name: value
        for name, value in net.state_dict().items()
        if name.endswith("num_batches_tracked")  # mrm_jax has no such count
    }
    tensors = {name: torch.tensor(array) for name, array in weights.items()}
    net.load_state_dict(counts | tensors)


def _standardised(spec: run_spec.RunSpec, rows: np.ndarray) -> np.ndarray:
    """Returns standardised signals [record, lead, time], float32, without a unit."""
    moments = spec.described_labels
    signals = spec.data.signals_uv(rows).astype(np.float32)
    signals = (signals - np.float32(moments.mean_uv)) / np.float32(moments.std_uv)
    return np.ascontiguousarray(signals.swapaxes(1, 2))
