"""What the convolutional baselines of the PTB-XL benchmark have in common.

Each of them is a `PooledClassifier`: a feature extractor of its own, built from
`ConvNorm` and `max_pool_centred`, and the same `PooledHead`.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mrm_jax.models import crops, inputs, layers, pooling
from mrm_jax.models.mrm_net import mutual, network
from mrm_jax.models.outputs import SingleOutput


class PooledClassifier(nn.Module):
    """A classifier of whole signals: feature maps, pooled over time, and a head.

    Subclasses compute the feature maps in `extract`.

    Convolutions and linear layers start from `layers.he_normal`, biases from 0 and
    batch norms from scale 1 and bias 0, as in the benchmark's code. The benchmark
    trains on crops of 2.5 s (crop_samples = 250) and takes the maximum of the scores of
    a record's crops.

    Attributes:
        num_labels: number of labels.
        num_samples: number of time points of a signal, 1000 for 10 s at 100 Hz.
        crop_samples: number of time points of the crops that the network sees, see
            `crops`. The logits of a record are the largest of its crops. 0 shows the
            network the whole signal.
        head_width: features of the hidden layer of the head.
        compute_dtype: precision of the feature maps between layers. "float32" keeps the
            precision of the signal; "bfloat16" halves their memory and is faster on
            accelerators. Parameters, statistics and the head always keep the precision
            of the signal.
        axis_name: mapped axis over which batch norm computes its statistics.

    Raises:
        ValueError: if an attribute is out of range.

    References:
        Strodthoff et al., 2021, arXiv 2004.13701; code:
        github.com/helme/ecg_ptbxl_benchmarking.
    """

    num_labels: int
    num_samples: int = 1000
    crop_samples: int = 0
    head_width: int = 128
    compute_dtype: str = "float32"
    axis_name: str | None = None

    def __post_init__(self):
        """Checks the attributes."""
        super().__post_init__()
        mutual.check_choice("compute_dtype", self.compute_dtype, network.COMPUTE_DTYPES)
        self.check_sizes("num_labels", "num_samples", "head_width")
        crops.check(self.crop_samples, self.num_samples)

    def check_sizes(self, *names: str) -> None:
        """Checks that attributes, or all elements of a tuple, are positive.

        Raises:
            ValueError: if one is not, or a tuple is empty.
        """
        for name in names:
            if min(self._values(name), default=0) < 1:
                value = getattr(self, name)
                raise ValueError(f"{name}: expected 1 or more, got {value}")

    def check_taps(self, *names: str) -> None:
        """Checks that attributes, or all elements of a tuple, are positive and odd.

        An even number of taps would change the number of time points.

        Raises:
            ValueError: if one is not, or a tuple is empty.
        """
        self.check_sizes(*names)
        for name in names:
            if any(taps % 2 == 0 for taps in self._values(name)):
                value = getattr(self, name)
                raise ValueError(f"{name}: expected odd numbers, got {value}")

    def _values(self, name):
        value = getattr(self, name)
        return value if isinstance(value, tuple) else (value,)

    def extract(
        self, signal: Float[Array, "batch time lead"], mask: layers.Mask
    ) -> Float[Array, "batch time_out channel"]:
        """Returns the feature maps; a method of the subclass."""
        raise NotImplementedError

    @nn.compact
    def __call__(
        self,
        signal: Float[Array, "batch time lead"],
        *,
        train: bool,
        mask: layers.Mask = None,
        dropout_rate: jax.Array | float = 0.5,
    ) -> SingleOutput:
        """Returns logits.

        Args:
            signal: standardised signal of num_samples time points, without unit.
            train: whether to use batch statistics, update the running averages (make
                "batch_stats" mutable) and apply dropout (needs the rng "dropout", as
                do random crops).
            mask: [batch], 1. for a record, 0. for padding, which is excluded from the
                batch statistics. None means no padding. Ignored unless `train`.
            dropout_rate: rate before the last layer, and half of it before the hidden
                layer of the head; 0. needs no rng.

        Raises:
            ValueError: if the length of signal is not num_samples.
        """
        dtype = signal.dtype
        signal, mask = inputs.prepare(
            signal,
            mask,
            train=train,
            num_samples=self.num_samples,
            compute_dtype=self.compute_dtype,
        )
        seen = crops.Crop(self.crop_samples, self.axis_name, name="crop")(signal, mask)
        features = self.extract(seen.signal, mask).astype(dtype)
        head = PooledHead(self.num_labels, self.head_width, self.axis_name, name="head")
        logits = seen.by_record(head(features, mask, dropout_rate))
        return SingleOutput(logits=crops.maximum(logits))


class PooledHead(nn.Module):
    """Maximum and mean over time, then two linear layers.

    Batch norm and dropout precede either linear layer, and a ReLU follows the first.
    """

    num_labels: int
    width: int = 128
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        features: layers.FeatureMap,
        mask: layers.Mask,
        dropout_rate: jax.Array | float,
    ) -> Float[Array, "batch label"]:
        """Returns logits; the first dropout has half of the rate."""
        pooled = [pooling.maximum(features, axis=1), features.mean(axis=1)]
        hidden = jnp.concatenate(pooled, axis=-1)
        hidden = self._linear(1, self.width, hidden, mask, dropout_rate / 2)
        hidden = nn.relu(hidden)
        return self._linear(2, self.num_labels, hidden, mask, dropout_rate)

    def _linear(self, number, outputs, inputs, mask, rate):
        """Returns a linear layer's outputs, after batch norm and dropout."""
        inputs = layers.BatchNorm(self.axis_name, name=f"norm{number}")(inputs, mask)
        dropout = layers.Dropout(self.axis_name, name=f"dropout{number}")
        linear = layers.Linear(
            outputs,
            kernel_init=layers.he_normal,
            bias_init=layers.zeros,
            name=f"linear{number}",
        )
        return linear(dropout(inputs, mask, rate))


CONV_NORM: Mapping[str, tuple[str, ...]] = {"norm": ("conv",)}  # see `folding.fold`


class ConvNorm(nn.Module):
    """A convolution over time without bias, and batch norm.

    A convolution of one tap is computed as a matrix product; its kernel is
    [channel, channel_out]. XLA's CPU backend takes about half as long for a training
    step of XResNet1d101 this way.
    """

    channels: int
    taps: int
    stride: int = 1
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, signal: layers.FeatureMap, mask: layers.Mask
    ) -> Float[Array, "batch time_out channel_out"]:
        """Returns [batch, ⌈time / stride⌉, channels] for an odd number of taps."""
        if self.taps == 1:
            signal = pointwise(self.channels, "conv")(signal[:, :: self.stride])
        else:
            signal = layers.Conv(
                self.channels,
                self.taps,
                self.stride,
                kernel_init=layers.he_normal,
                name="conv",
            )(signal)
        return layers.BatchNorm(self.axis_name, name="norm")(signal, mask)


def pointwise(channels: int, name: str) -> layers.Linear:
    """Returns a convolution of one tap without bias, as a linear layer."""
    return layers.Linear(
        channels, use_bias=False, kernel_init=layers.he_normal, name=name
    )


def max_pool_centred(
    signal: layers.FeatureMap, stride: int = 1
) -> Float[Array, "batch time_out channel"]:
    """Returns the maximum of width 3, with one −∞ on either side.

    It is a maximum of slices for the reason given in `pooling.max_pool`.
    """
    length = signal.shape[1]
    padded = jnp.pad(signal, ((0, 0), (1, 1), (0, 0)), constant_values=-jnp.inf)
    before, here, after = (
        padded[:, start : start + length : stride] for start in range(3)
    )
    return pooling.larger(pooling.larger(before, here), after)
