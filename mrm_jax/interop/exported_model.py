"""The function that every export format contains: millivolts in, scores out."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from mrm_jax.metrics import scores as scores_lib
from mrm_jax.models import networks
from mrm_jax.runs import weights_file

INPUT = "signal_mv"
PREFIX = "scores_"  # of the outputs, before the head

Score = Callable[[np.ndarray], Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Network:
    """A trained network with metadata that describes its input and outputs."""

    model: networks.Network
    variables: Mapping[str, Any]  # "params" and "batch_stats", NumPy arrays
    metadata: Mapping[str, Any]  # JSON, as metadata.describe makes it
    precision: str = weights_file.FLOAT32  # of the parameters in the file

    @property
    def mean_std_mv(self) -> tuple[np.float32, np.float32]:
        """Mean and standard deviation of the training records, in mV."""
        found = self.metadata["mean_mv"], self.metadata["std_mv"]
        return np.float32(found[0]), np.float32(found[1])

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs, one for each head."""
        return outputs_of(self.model)

    @property
    def record_shape(self) -> tuple[int, int]:
        """Number of samples and number of leads in one record."""
        return self.model.num_samples, len(self.metadata["leads"])


def outputs_of(model: networks.Network) -> tuple[str, ...]:
    """Returns the names of an exported network's outputs, the mean first."""
    branches = networks.branches(model)
    others = branches if len(branches) > 1 else ()
    return tuple(f"{PREFIX}{head}" for head in (scores_lib.MEAN, *others))


def named_scores(
    model: networks.Network, branches: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the scores of each output, [record, label].

    Args:
        model: the network.
        branches: scores of each branch.
    """
    heads = scores_lib.of_heads(branches)
    return {name: heads[name.removeprefix(PREFIX)] for name in outputs_of(model)}


def function(network: Network) -> Callable[[jax.Array], dict[str, jax.Array]]:
    """Returns the pure function that is exported, including standardisation.

    The function takes float32 [batch, time, lead] in mV and returns its outputs by
    name, each [batch, label] from 0 to 1. Matrix products use full float32 precision on
    every backend; by default, accelerators would round their operands.

    The function does not round the signal to whole microvolts as shards do, because
    rounding is not differentiable. Signals with a finer resolution, such as resampled
    ones, give scores that differ by up to 1e-3 from those of their shards. If they are
    rounded to three decimals first, the scores are the same.

    Args:
        network: trained network to export.
    """
    mean_mv, std_mv = network.mean_std_mv
    # jnp.asarray would compile a program for each shape.
    variables = jax.device_put(network.variables)

    def scores(signal_mv: jax.Array) -> dict[str, jax.Array]:
        """Scores a batch of signals in millivolts."""
        with jax.default_matmul_precision("highest"):
            signal = (signal_mv - mean_mv) / std_mv
            outputs = network.model.apply(variables, signal, train=False)
        branches = jax.tree.map(jax.nn.sigmoid, outputs.by_branch)
        return named_scores(network.model, branches)

    return scores
