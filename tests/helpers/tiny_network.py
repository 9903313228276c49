"""A network that compiles in two seconds, for tests of the code around a network.

It is built from MRM-Net's layers and has its interface: two heads, a mutual pair, batch
norm over devices, and dropout with a key for each record.
"""

from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
import pytest

from mrm_jax.models import layers
from mrm_jax.models.outputs import Outputs
from mrm_jax.runtime import devices
from mrm_jax.training import run_spec


class TinyNetwork(nn.Module):
    """One convolution for each of the two heads."""

    BRANCHES: ClassVar = ("high", "low")

    num_labels: int
    num_samples: int
    width: int = 4
    axis_name: str | None = None
    logit_divergence: str = "softmax"

    @nn.compact
    def __call__(self, signal, *, train, mask=None, dropout_rate=0.2):
        """Returns logits and feature maps, as `MRMNet` does."""
        if not train:
            mask = None
        elif mask is None:
            mask = jnp.ones(signal.shape[0], signal.dtype)
        maps, logits = {}, {}
        for head, stride in (("high", 1), ("low", 2)):
            hidden = layers.Conv(stride * self.width, 3, stride, name=f"{head}_conv")(
                signal
            )
            hidden = layers.BatchNorm(self.axis_name, name=f"{head}_norm")(hidden, mask)
            hidden = nn.relu(hidden)
            drop = layers.Dropout(self.axis_name, name=f"{head}_drop")
            maps[head] = drop(hidden, mask, dropout_rate)
            # The second moment tells waves of different periods and heights apart.
            pooled = jnp.concatenate([hidden.mean(1), (hidden**2).mean(1)], axis=-1)
            pooled = pooled + maps[head].mean(1).sum(-1, keepdims=True)
            logits[head] = layers.Linear(self.num_labels, name=f"{head}_logits")(pooled)
        pair = tuple(maps[head].reshape(len(signal), -1) for head in ("high", "low"))
        return Outputs(
            high_logits=logits["high"],
            low_logits=logits["low"],
            high_features={"attention": maps["high"]},
            low_features={"attention": maps["low"]},
            mutual_pairs=(pair,),
        )


_network_of = run_spec.network


def build(config, num_labels, num_samples):
    """Returns the tiny network, if the configuration's own is valid."""
    _network_of(config, num_labels, num_samples)
    return TinyNetwork(num_labels, num_samples, config.model.width, devices.AXIS)


def install():
    """Makes this process train the tiny network from now on."""
    run_spec.network = build


@pytest.fixture(scope="module")
def tiny_network():
    """Makes every run of a module train the tiny network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_spec, "network", build)
        yield
