"""MRM-Net: classifies a signal at two temporal resolutions.

`MRMNet` connects the stem, the two branches and their mutual learning, and returns the
logits and feature maps of both branches.
"""

from typing import ClassVar

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from mrm_jax.models import inputs, layers
from mrm_jax.models.mrm_net import branches, mutual, stem
from mrm_jax.models.outputs import Outputs

DIVERGENCES = ("softmax", "bernoulli")
COMPUTE_DTYPES = ("float32", "bfloat16")


class MRMNet(nn.Module):
    """The multi-resolution mutual learning network.

    With the defaults, it computes what the authors' code computes.

    Attributes:
        num_labels: number of labels.
        num_samples: number of time points of a signal, 1000 for 10 s at 100 Hz.
        width: channels of the first convolution; a multiple of 4. The high branch has
            4 · width channels, the low one 8 · width.
        mutual_stages: stages whose feature maps the loss compares; none, some or all of
            "multi_scale", "extractor", "attention".
        feature_pairing: how features are paired, see `mutual.flatten_pair`.
        logit_divergence: "softmax" over labels (the authors' code) or "bernoulli".
        exchange: whether the branches exchange features after the extractor.
        eca_conv: whether to use the published ECA block's convolution over channels.
        compute_dtype: precision of the feature maps between layers. "float32" keeps the
            precision of the signal; "bfloat16" halves their memory and is faster on
            accelerators. Parameters, statistics, heads and losses always keep the
            precision of the signal.
        axis_name: mapped axis over which batch norm computes its statistics.

    Raises:
        ValueError: if an attribute is out of range, or num_samples does not fit the
            mutual stages or the exchange.

    References:
        Huang et al., 2024, arXiv 2406.16928.
    """

    BRANCHES: ClassVar = ("high", "low")
    NORMALISED: ClassVar = {  # see `folding.fold`
        "norm": ("conv", "expand"),
        **{f"norm{i}": (f"conv{i}",) for i in range(1, 5)},
        "norm_a": tuple(f"kernel{taps}" for taps in stem.SCALES),
        "norm_b": ("conv_b",),
        **{f"{part}_norm": (f"{part}_conv",) for part in ("skip", "up", "down")},
    }

    num_labels: int
    num_samples: int = 1000
    width: int = 16
    mutual_stages: tuple[str, ...] = ("attention",)
    feature_pairing: str = "channel_major"
    logit_divergence: str = "softmax"
    exchange: bool = False
    eca_conv: bool = False
    compute_dtype: str = "float32"
    axis_name: str | None = None

    def __post_init__(self):
        """Checks the attributes."""
        super().__post_init__()
        mutual.check_choice("feature_pairing", self.feature_pairing, branches.PAIRINGS)
        mutual.check_choice("logit_divergence", self.logit_divergence, DIVERGENCES)
        mutual.check_choice("compute_dtype", self.compute_dtype, COMPUTE_DTYPES)
        mutual.check_stages(self.mutual_stages)
        sizes = {"num_labels": self.num_labels, "num_samples": self.num_samples}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name}: expected 1 or more, got {size}")
        if self.width < 4 or self.width % 4:
            raise ValueError(f"width: expected a multiple of 4, got {self.width}")
        if self.mutual_stages:
            mutual.check_length(self.num_samples, "the mutual loss of the features")
        if self.exchange:
            mutual.check_length(self.num_samples, "the exchange of features")

    def setup(self):
        """Builds the parts."""
        axis_name, eca_conv = self.axis_name, self.eca_conv
        high_channels, low_channels = 4 * self.width, 8 * self.width
        self.stem = stem.Stem(self.width, axis_name)
        self.high_scale = stem.MultiScale(high_channels, 1, axis_name)
        self.low_scale = stem.MultiScale(low_channels, 2, axis_name)
        self.high = branches.HighResolutionBranch(
            self.num_labels, high_channels, eca_conv, axis_name
        )
        self.low = branches.LowResolutionBranch(
            self.num_labels, low_channels, eca_conv, axis_name
        )
        if self.exchange:
            self.mutual_exchange = mutual.Exchange(axis_name)

    def __call__(
        self,
        signal: Float[Array, "batch time lead"],
        *,
        train: bool,
        mask: layers.Mask = None,
        dropout_rate: jax.Array | float = 0.2,
    ) -> Outputs:
        """Returns logits and feature maps.

        Args:
            signal: standardised signal of num_samples time points, without unit.
            train: whether to use batch statistics, update the running averages (make
                "batch_stats" mutable) and apply dropout (needs the rng "dropout").
            mask: [batch], 1. for a record, 0. for padding, which is excluded from the
                batch statistics. None means no padding. Ignored unless `train`.
            dropout_rate: rate in the multi-scale blocks; 0. needs no rng.

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
        common = self.stem(signal, mask)
        high, low = {}, {}
        high["multi_scale"] = self.high_scale(common, mask, dropout_rate)
        low["multi_scale"] = self.low_scale(common, mask, dropout_rate)
        high["extractor"] = self.high.extract(high["multi_scale"], mask)
        low["extractor"] = self.low.extract(low["multi_scale"], mask)
        given = high["extractor"], low["extractor"]
        if self.exchange:
            given = self.mutual_exchange(*given, mask)
        high["attention"] = self.high.attend(given[0], mask)
        low["attention"] = self.low.attend(given[1], mask)
        high, low = jax.tree.map(lambda part: part.astype(dtype), (high, low))
        return Outputs(
            high_logits=self.high.classify(high["attention"]),
            low_logits=self.low.classify(low["attention"]),
            high_features=high,
            low_features=low,
            mutual_pairs=tuple(
                mutual.flatten_pair(high[stage], low[stage], self.feature_pairing)
                for stage in self.mutual_stages
            ),
        )
