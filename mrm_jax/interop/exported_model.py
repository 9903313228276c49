"""What every file holds: millivolts in, scores out, and all that has to be known."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from mrm_jax.models.mrm_net import network as mrm_net
from mrm_jax.models.outputs import Outputs

INPUT = "signal_mv"
OUTPUTS = ("scores_mean", "scores_high", "scores_low")

Score = Callable[[np.ndarray], Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Network:
    """A trained network, and what its input and its outputs mean."""

    model: mrm_net.MRMNet
    variables: Mapping[str, Any]  # "params" and "batch_stats", NumPy arrays
    metadata: Mapping[str, Any]  # JSON, as metadata.describe makes it

    @property
    def mean_std_mv(self) -> tuple[np.float32, np.float32]:
        """Mean and standard deviation of the training records, in mV."""
        found = self.metadata["mean_mv"], self.metadata["std_mv"]
        return np.float32(found[0]), np.float32(found[1])

    @property
    def record_shape(self) -> tuple[int, int]:
        """Time points and leads of one record."""
        return self.model.num_samples, len(self.metadata["leads"])


def function(network: Network) -> Callable[[jax.Array], dict[str, jax.Array]]:
    """Returns the pure function that is exported: it standardises, too.

    It takes float32 [batch, time, lead] in mV and returns OUTPUTS by name, each
    [batch, label] from 0 to 1. Products are computed in whole float32 wherever it runs:
    accelerators would else round their factors.

    It does not round the signal to whole microvolts, as shards do, since nothing could
    be differentiated through that. Signals of a finer resolution (resampled ones) give
    scores up to 1e-3 from those of their shards; rounded to three decimals, the same.
    """
    mean_mv, std_mv = network.mean_std_mv
    variables = jax.tree.map(jnp.asarray, network.variables)

    def scores(signal_mv: jax.Array) -> dict[str, jax.Array]:
        """Returns the scores of a batch."""
        with jax.default_matmul_precision("highest"):
            signal = (signal_mv - mean_mv) / std_mv
            outputs = network.model.apply(variables, signal, train=False)
        outputs = cast(Outputs, outputs)
        high = jax.nn.sigmoid(outputs.high_logits)
        low = jax.nn.sigmoid(outputs.low_logits)
        return dict(zip(OUTPUTS, ((high + low) / 2, high, low), strict=True))

    return scores
