"""Attributes a score to the samples of an ECG: integrated gradients and time gates."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mrm_jax.metrics import scores
from mrm_jax.models import networks
from mrm_jax.models.mrm_net import attention, mutual, network

STEPS = 64
POINTS_PER_CALL = 22  # bounds the memory; 64 steps and both ends are three calls

Signal = Float[np.ndarray, "time lead"]


@dataclasses.dataclass(frozen=True)
class Target:
    """The logit to explain."""

    label: int  # index among the network's outputs
    head: str = scores.MEAN  # a branch, or the mean of all branches' logits


@dataclasses.dataclass(frozen=True)
class Attribution:
    """The contributions of every sample of every lead to a logit."""

    values: Signal  # sum to logit - baseline_logit, except for the gap
    logit: float
    baseline_logit: float

    @property
    def gap(self) -> float:
        """The error of the sum: the values' sum minus the difference of the logits."""
        return float(self.values.sum()) - (self.logit - self.baseline_logit)


def integrated_gradients(
    model: networks.Network,
    variables: Mapping[str, Any],
    signal: Signal,
    baseline: Signal,
    target: Target,
    steps: int = STEPS,
) -> Attribution:
    """Returns the integrated gradients of a logit, one value for every sample.

    They are (signal - baseline) times the mean gradient on the line between the two.

    The logit of the mean head is the mean of both logits, so its values are the means
    of the values of both heads. The logit of the mean score, which is what is reported,
    would hide the values of one head wherever the other is certain.

    Args:
        model: network for one device (axis_name is None).
        variables: variables of the network.
        signal: [time, lead], standardised.
        baseline: [time, lead]; see `zero_millivolts`.
        target: logit to explain.
        steps: number of gradients on the line; the gap decreases with it.

    Raises:
        ValueError: if the shapes differ, the label or the head is unknown, or steps is
            below 1.

    References:
        Sundararajan et al., 2017, arXiv 1703.01365.
    """
    _check(model, signal, baseline, target, steps)
    of_branches = _branch_weights(model, target.head)
    # Both ends have no weight in the mean; they give the logits. The gap of the
    # midpoint rule was smaller than that of Gauss-Legendre (0.022 against 0.034 at 64
    # steps, nine records of the demo): the gradient jumps where a ReLU switches.
    points = np.concatenate([[0, 1], (np.arange(steps) + 0.5) / steps])
    weights = np.concatenate([[0, 0], np.full(steps, 1 / steps)])
    logits, gradient = [], np.zeros(signal.shape)
    for start in range(0, len(points), POINTS_PER_CALL):
        chosen = points[start : start + POINTS_PER_CALL]
        of_call, gradients = _logits_and_gradients(
            variables,
            _line(baseline, signal, chosen),
            target.label,
            of_branches,
            model=model,
        )
        logits.extend(np.asarray(of_call).tolist())
        weight = weights[start : start + POINTS_PER_CALL]
        gradient += np.tensordot(weight, np.asarray(gradients)[: len(chosen)], 1)
    return Attribution((signal - baseline) * gradient, logits[1], logits[0])


def zero_millivolts(signal: Signal, mean_mv: float, std_mv: float) -> Signal:
    """Returns a standardised ECG without any voltage, shaped as `signal`.

    It is the baseline of `integrated_gradients`: a record without a heartbeat. The
    contribution of a deflection is then measured from the isoelectric line. Zeros of
    the standardised signal would be a voltage in every lead.

    Args:
        signal: array with the shape and the precision of the result.
        mean_mv: mean of the standardisation, in the unit of std_mv.
        std_mv: standard deviation of the standardisation.
    """
    return np.full_like(signal, -mean_mv / std_mv)


def time_gates(
    model: networks.Network, variables: Mapping[str, Any], signal: Signal
) -> dict[str, Float[np.ndarray, " time"]]:
    """Returns the time gate of each branch, in (0, 1), for every sample of a signal.

    Networks other than MRM-Net have none.

    A gate multiplies the branch's feature map at each time step, but only in one of two
    copies. The other copy is weighted by channel and keeps every time step, so the
    branch still sees the record where a gate is 0. Gates are interpolated between time
    steps. The receptive field of a time step is sixty samples or more; the step is
    placed at its centre (see `step_centres`).

    Args:
        model: network for one device (axis_name is None).
        variables: variables of the network.
        signal: [time, lead], standardised.
    """
    samples = np.arange(len(signal))
    if not isinstance(model, network.MRMNet):
        return {}
    return {
        head: np.interp(samples, centres, gate)
        for (head, centres), gate in zip(
            step_centres(len(signal)).items(),
            jax.device_get(_gates(variables, signal[None], model)),
            strict=True,
        )
    }


def step_centres(num_samples: int) -> dict[str, Float[np.ndarray, " step"]]:
    """Returns the centre of the receptive field of each time step of both branches.

    Each of the stem's four poolings of width 2 shifts by half a sample, so step s of
    its feature map is centred at sample s - 2. The convolutions of the multi-scale
    block are centred. The high branch's pooling joins steps 2 t and 2 t + 1 of the
    stem; that of the low branch, after a stride of 2, joins 4 t and 4 t + 2. All later
    convolutions are centred and keep the length.
    """
    num_high, num_low = mutual.branch_lengths(num_samples)
    high = 2 * np.arange(num_high) + 0.5 - 2
    return {"high": high, "low": 4 * np.arange(num_low) + 1.0 - 2}


def _line(start: Signal, stop: Signal, positions: np.ndarray) -> np.ndarray:
    """Returns points [point, time, lead] of a line, as many as a call takes.

    The last call is padded, as another size would be compiled separately.
    """
    positions = np.resize(positions, POINTS_PER_CALL)[:, None, None]
    return (start + positions * (stop - start)).astype(stop.dtype)


@functools.partial(jax.jit, static_argnames="model")
def _logits_and_gradients(
    variables: Mapping[str, Any],
    points: Float[Array, "point time lead"],
    label: int,
    of_branches: tuple[float, ...],
    *,
    model: networks.Network,
) -> tuple[Float[Array, " point"], Float[Array, "point time lead"]]:
    """Returns a label's logit and its gradient at every point.

    Label and weights of the branches are traced, so a network is compiled once for all
    of them. All points are one call, as XLA's CPU backend is slow at convolutions in a
    loop.
    """

    def total(points):
        """Returns the sum of the logits: points are independent, so are gradients."""
        outputs = model.apply(variables, points, train=False)
        logits = sum(
            weight * outputs.by_branch[branch][:, label]
            for branch, weight in zip(
                networks.branches(model), of_branches, strict=True
            )
        )
        return jnp.sum(logits), logits

    (_, logits), gradients = jax.value_and_grad(total, has_aux=True)(points)
    return logits, gradients


@functools.partial(jax.jit, static_argnames="model")
def _gates(variables, signal, model):
    """Returns the time gates [step] of the high and the low branch for one record."""
    _, captured = model.apply(
        variables,
        signal,
        train=False,
        capture_intermediates=lambda module, _: isinstance(module, attention.TimeGate),
        mutable=["intermediates"],
    )
    branches = captured["intermediates"]
    return [
        branches[head]["attention"]["time_gate"]["__call__"][0][0].astype(signal.dtype)
        for head in ("high", "low")
    ]


def _branch_weights(model: networks.Network, head: str) -> tuple[float, ...]:
    """Returns the weight of each branch's logit in that of a head."""
    branches = networks.branches(model)
    heads = scores.heads_of(branches)
    if head not in heads:
        raise ValueError(f"head: expected one of {heads}, got {head!r}")
    if head == scores.MEAN:
        return (1 / len(branches),) * len(branches)
    return tuple(float(branch == head) for branch in branches)


def _check(
    model: networks.Network,
    signal: Signal,
    baseline: Signal,
    target: Target,
    steps: int,
) -> None:
    if signal.ndim != 2 or signal.shape != baseline.shape:
        raise ValueError(
            "expected signal and baseline of the same shape [time, lead], found "
            f"{list(signal.shape)} and {list(baseline.shape)}"
        )
    if not 0 <= target.label < model.num_labels:
        raise ValueError(
            f"label: expected 0 to {model.num_labels - 1}, got {target.label}"
        )
    if steps < 1:
        raise ValueError(f"steps: expected 1 or more, got {steps}")
