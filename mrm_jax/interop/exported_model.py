"""The function that every export format contains: millivolts in, scores out."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from mrm_jax.models.mrm_net import network as mrm_net
from mrm_jax.models.outputs import Outputs
from mrm_jax.runs import weights_file

INPUT = "signal_mv"
OUTPUTS = ("scores_mean", "scores_high", "scores_low")

Score = Callable[[np.ndarray], Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Network:
    """A trained network with metadata that describes its input and outputs."""

    model: mrm_net.MRMNet
    variables: Mapping[str, Any]  # "params" and "batch_stats", NumPy arrays
    metadata: Mapping[str, Any]  # JSON, as metadata.describe makes it
    precision: str = weights_file.FLOAT32  # of the parameters in the file

    @property
    def mean_std_mv(self) -> tuple[np.float32, np.float32]:
        """Mean and standard deviation of the training records, in mV."""
        found = self.metadata["mean_mv"], self.metadata["std_mv"]
        return np.float32(found[0]), np.float32(found[1])

    @property
    def record_shape(self) -> tuple[int, int]:
        """Number of samples and number of leads in one record."""
        return self.model.num_samples, len(self.metadata["leads"])


def function(network: Network) -> Callable[[jax.Array], dict[str, jax.Array]]:
    """Returns the pure function that is exported, including standardisation.

    The function takes float32 [batch, time, lead] in mV and returns OUTPUTS by name,
    each [batch, label] from 0 to 1. Matrix products use full float32 precision on every
    backend; by default, accelerators would round their operands.

    The function does not round the signal to whole microvolts as shards do, because
    rounding is not differentiable. Signals with a finer resolution, such as resampled
    ones, give scores that differ by up to 1e-3 from those of their shards. If they are
    rounded to three decimals first, the scores are the same.

    Args:
        network: trained network to export.
    """
    mean_mv, std_mv = network.mean_std_mv
    variables = jax.tree.map(jnp.asarray, network.variables)

    def scores(signal_mv: jax.Array) -> dict[str, jax.Array]:
        """Scores a batch of signals in millivolts."""
        with jax.default_matmul_precision("highest"):
            signal = (signal_mv - mean_mv) / std_mv
            outputs = network.model.apply(variables, signal, train=False)
        outputs = cast(Outputs, outputs)
        high = jax.nn.sigmoid(outputs.high_logits)
        low = jax.nn.sigmoid(outputs.low_logits)
        return dict(zip(OUTPUTS, ((high + low) / 2, high, low), strict=True))

    return scores
