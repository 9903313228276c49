"""S4: classifies a signal with a stack of structured state space layers."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mrm_jax.models import crops, inputs, layers, state_space
from mrm_jax.models.mrm_net import mutual, network
from mrm_jax.models.outputs import SingleOutput

TORCH_LAYER_NORM_EPSILON = 1e-5


class S4(nn.Module):
    """The S4 classifier of 12-lead ECGs.

    A linear encoder of the leads, `num_layers` residual blocks, the mean over time and
    a linear decoder; see `S4Block`. The structure, the defaults and the initialisation
    are those of the authors' code, whose state spaces have fixed dynamics: of Δ, A, B,
    C and D it trains C and D only. `train_dynamics` trains all, as Gu et al. do.

    The authors train on crops of 2.5 s (crop_samples = 250) and average the scores of
    the crops of a record.

    There is no batch norm. "batch_stats" holds the fixed step sizes of the state
    spaces; with `train_dynamics` it is empty, and linen leaves it out of the variables.

    Attributes:
        num_labels: number of labels.
        num_samples: number of time points of a signal, 1000 for 10 s at 100 Hz.
        crop_samples: number of time points of the crops that the network sees, see
            `crops`. The scores of a record are the means of its crops' scores. 0 shows
            the network the whole signal.
        width: channels of the feature maps.
        state_size: size of the state of each channel, even.
        num_layers: number of blocks.
        bidirectional: whether state spaces also run backwards in time. Without it,
            feature maps depend on the past only.
        train_dynamics: whether the step sizes and the matrices A and B are trained.
        compute_dtype: precision of the feature maps between layers. "float32" keeps the
            precision of the signal; with "bfloat16", the state spaces, norms and the
            decoder still compute in the precision of the parameters or the signal.
        axis_name: mapped axis of the devices, which dropout needs.

    Raises:
        ValueError: if an attribute is out of range.

    References:
        Mehari and Strodthoff, 2022, arXiv 2211.07579; code: github.com/tmehari/ssm_ecg.
        Gu et al., 2022, arXiv 2111.00396.
    """

    num_labels: int
    num_samples: int = 1000
    crop_samples: int = 0
    width: int = 512
    state_size: int = 8
    num_layers: int = 4
    bidirectional: bool = True
    train_dynamics: bool = False
    compute_dtype: str = "float32"
    axis_name: str | None = None

    def __post_init__(self):
        """Checks the attributes."""
        super().__post_init__()
        mutual.check_choice("compute_dtype", self.compute_dtype, network.COMPUTE_DTYPES)
        sizes = {
            "num_labels": self.num_labels,
            "num_samples": self.num_samples,
            "width": self.width,
            "num_layers": self.num_layers,
        }
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name}: expected 1 or more, got {size}")
        if self.state_size < 2 or self.state_size % 2:
            raise ValueError(
                f"state_size: expected a multiple of 2, got {self.state_size}"
            )
        crops.check(self.crop_samples, self.num_samples)

    @property
    def bound_samples(self) -> int:
        """The length of the state spaces, to which their parameters belong."""
        return self.crop_samples or self.num_samples

    @nn.compact
    def __call__(
        self,
        signal: Float[Array, "batch time lead"],
        *,
        train: bool,
        mask: layers.Mask = None,
        dropout_rate: jax.Array | float = 0.2,
    ) -> SingleOutput:
        """Returns logits.

        Args:
            signal: standardised signal of num_samples time points, without unit.
            train: whether to apply dropout (needs the rng "dropout", as do random
                crops).
            mask: [batch], 1. for a record, 0. for padding. Records do not influence
                each other, so it changes nothing. Ignored unless `train`.
            dropout_rate: rate of both dropouts of all blocks; 0. needs no rng.

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
        features = layers.Linear(self.width, name="encoder")(seen.signal)
        for number in range(1, self.num_layers + 1):
            block = S4Block(
                self.state_size,
                self.bidirectional,
                self.train_dynamics,
                self.axis_name,
                name=f"block_{number}",
            )
            features = block(features, mask, dropout_rate)
        pooled = features.astype(dtype).mean(axis=1)
        logits = layers.Linear(self.num_labels, name="decoder")(pooled)
        return SingleOutput(logits=crops.mean_score(seen.by_record(logits)))


class S4Block(nn.Module):
    """A residual block: state spaces along time, then a layer that mixes channels.

    GELU and dropout follow the state spaces. A linear layer to twice the channels and a
    gated linear unit (GLU) mix them. Dropout, the residual connection and layer norm
    come last. Dropout sets whole channels of a record to 0.

    Attributes: see `S4`.
    """

    state_size: int
    bidirectional: bool = True
    train_dynamics: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        signal: layers.FeatureMap,
        mask: layers.Mask,
        dropout_rate: jax.Array | float,
    ) -> layers.FeatureMap:
        """Returns a feature map of the same shape and precision."""
        hidden = state_space.StateSpace(
            self.state_size, self.bidirectional, self.train_dynamics, name="state_space"
        )(signal)
        hidden = nn.gelu(hidden, approximate=False)
        hidden = ChannelDropout(self.axis_name)(hidden, mask, dropout_rate)
        hidden = layers.Linear(2 * signal.shape[-1], name="mix")(hidden)
        hidden = nn.glu(hidden)
        hidden = ChannelDropout(self.axis_name)(hidden, mask, dropout_rate)
        norm = layers.LayerNorm(TORCH_LAYER_NORM_EPSILON, name="norm")
        return norm(signal + hidden)


class ChannelDropout(nn.Module):
    """Dropout of whole channels of a record, at all time steps, as in `layers.Dropout`.

    That is what PyTorch's Dropout2d does to feature maps [batch, channel, time].
    """

    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, signal: layers.FeatureMap, mask: layers.Mask, rate: jax.Array | float
    ) -> layers.FeatureMap:
        """Returns signal with a share `rate` of its channels set to 0."""
        ones = jnp.ones((signal.shape[0], 1, signal.shape[2]), signal.dtype)
        return signal * layers.Dropout(self.axis_name, name="drop")(ones, mask, rate)
