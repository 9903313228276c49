"""The cases to compare: networks, inputs and weights, from seeded NumPy alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from mrm_jax.interop import torch_weights
from mrm_jax.models.mrm_net import network

LEADS = 12
ADAM_STEPS = 5
LEARNING_RATE = 1e-3


@dataclasses.dataclass(frozen=True)
class Case:
    """One network with its options, and the size of its input."""

    num_labels: int = 9
    num_samples: int = 1000
    batch: int = 6
    width: int = 16
    mutual_stages: tuple[str, ...] = ("attention",)
    feature_pairing: str = "channel_major"
    logit_divergence: str = "softmax"
    exchange: bool = False
    eca_conv: bool = False
    seed: int = 0

    def model(self) -> network.MRMNet:
        """The network of the case."""
        return network.MRMNet(
            num_labels=self.num_labels,
            num_samples=self.num_samples,
            width=self.width,
            mutual_stages=self.mutual_stages,
            feature_pairing=self.feature_pairing,
            logit_divergence=self.logit_divergence,
            exchange=self.exchange,
            eca_conv=self.eca_conv,
        )

    def is_large(self) -> bool:
        """Whether float32 sums are long enough for their order to matter."""
        return self.num_samples >= 400


SMALL = {"width": 4, "num_samples": 200}
# Every option that both implementations have, at sizes where float64 takes seconds.
OPTIONS = {
    "defaults": Case(**SMALL),
    "71 labels": Case(num_labels=71, **SMALL),
    "every stage, time aligned, bernoulli": Case(
        mutual_stages=("multi_scale", "extractor", "attention"),
        feature_pairing="time_aligned",
        logit_divergence="bernoulli",
        **SMALL,
    ),
    "exchange": Case(exchange=True, **SMALL),
    "the paper's ECA": Case(eca_conv=True, mutual_stages=("extractor",), **SMALL),
    "no mutual features": Case(mutual_stages=(), width=4, num_samples=199),
}
SIZES = {
    "1000 samples, 71 labels, full width": Case(num_labels=71),
    "5000 samples, 9 labels, half the width": Case(num_samples=5000, width=8),
}
# In float64, where each side takes twice the time. The longest first.
DOUBLE = {
    name: dataclasses.replace(case, batch=3) for name, case in SIZES.items()
} | OPTIONS
ONE_RECORD = Case(batch=1)
# What tests without torch compare with, from a file.
KEPT = {
    "defaults": Case(num_labels=71, **SMALL),
    "options": Case(
        mutual_stages=("multi_scale", "attention"),
        feature_pairing="time_aligned",
        logit_divergence="bernoulli",
        exchange=True,
        eca_conv=True,
        **SMALL,
    ),
    "full width": Case(batch=2, num_samples=400),
}


def given(case: Case) -> tuple[Case, dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Returns the case, its weights, signals and labels."""
    return case, state_dict(case), *inputs(case)


def inputs(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Returns signals [batch, lead, time] and labels [batch, label], float64."""
    rng = np.random.default_rng([case.seed, 1])
    signal = rng.normal(size=(case.batch, LEADS, case.num_samples))
    labels = rng.integers(0, 2, (case.batch, case.num_labels))
    # Exact in float32, so that both precisions are given the same numbers.
    return signal.astype(np.float32).astype(np.float64), labels.astype(np.float64)


def state_dict(case: Case) -> dict[str, np.ndarray]:
    """Returns weights in PyTorch's layout, float64, every one of its own."""
    shape = (1, case.num_samples, LEADS)
    shapes = jax.eval_shape(
        lambda: case.model().init(jax.random.PRNGKey(0), jnp.zeros(shape), train=False)
    )
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), dict(shapes))
    rng = np.random.default_rng([case.seed, 2])
    return {
        name: _draw(rng, name, array.shape).astype(np.float32).astype(np.float64)
        for name, array in sorted(torch_weights.to_torch(zeros).items())
    }


def _draw(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns values as a trained network has them: norms differ, nothing is zero."""
    if name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
        return rng.uniform(0.5, 1.5, shape)
    if len(shape) == 1:
        return rng.uniform(-0.2, 0.2, shape)
    return rng.uniform(-1, 1, shape) * np.sqrt(2 / np.prod(shape[1:]))
