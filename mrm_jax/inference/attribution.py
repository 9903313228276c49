"""What in an ECG a score rests on: integrated gradients, and the network's gates."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mrm_jax.models.mrm_net import attention, mutual, network
from mrm_jax.models.outputs import Outputs

# head -> what it is of the logits of the high and of the low branch
HEADS = {"high": (1.0, 0.0), "low": (0.0, 1.0), "mean": (0.5, 0.5)}
STEPS = 64
POINTS_PER_CALL = 22  # bounds the memory; 64 steps and both ends are three calls

Signal = Float[np.ndarray, "time lead"]


@dataclasses.dataclass(frozen=True)
class Target:
    """The logit that is to be explained."""

    label: int  # its place among the network's outputs
    head: str = "mean"  # high, low, or the mean of both heads' logits

    def __post_init__(self) -> None:
        """Refuses a head that does not exist.

        Raises:
            ValueError: naming the heads.
        """
        if self.head not in HEADS:
            raise ValueError(f"head: expected one of {tuple(HEADS)}, got {self.head!r}")


@dataclasses.dataclass(frozen=True)
class Attribution:
    """Parts of a logit, one for every sample of every lead."""

    values: Signal  # they sum to logit - baseline_logit, but for the gap
    logit: float
    baseline_logit: float

    @property
    def gap(self) -> float:
        """How much more the parts sum to than they should: the error of the sum."""
        return float(self.values.sum()) - (self.logit - self.baseline_logit)


def integrated_gradients(
    model: network.MRMNet,
    variables: Mapping[str, Any],
    signal: Signal,
    baseline: Signal,
    target: Target,
    steps: int = STEPS,
) -> Attribution:
    """Returns what every sample adds to a logit on the way from a baseline.

    (signal - baseline) times the mean gradient on the straight line between the two.

    The mean head's logit is the mean of both logits, so its parts are the means of the
    two heads' parts. The logit of the mean score, which is what is reported, would
    leave the parts of a head out wherever the other is sure.

    Args:
        model: for one device (axis_name is None).
        variables: what model.apply takes.
        signal: standardised, as the network takes it.
        baseline: of the same shape; `zero_millivolts` is the one to take.
        target: the logit.
        steps: gradients on the line; the gap of the result falls with their number.

    Raises:
        ValueError: if the shapes differ, or there is no such label, or no step.

    References:
        Sundararajan et al., 2017, arXiv 1703.01365.
    """
    _check(model, signal, baseline, target, steps)
    # Both ends count nothing in the mean; they give the logits. The midpoint rule's gap
    # was smaller than that of Gauss and Legendre (0.022 against 0.034 at 64 steps, nine
    # records of the demo): the gradient jumps where a ReLU or a maximum changes sides.
    places = np.concatenate([[0, 1], (np.arange(steps) + 0.5) / steps])
    weights = np.concatenate([[0, 0], np.full(steps, 1 / steps)])
    logits, gradient = [], np.zeros(signal.shape)
    for start in range(0, len(places), POINTS_PER_CALL):
        chosen = places[start : start + POINTS_PER_CALL]
        of_call, gradients = _logits_and_gradients(
            variables,
            _line(baseline, signal, chosen),
            target.label,
            HEADS[target.head],
            model=model,
        )
        logits.extend(np.asarray(of_call).tolist())
        weight = weights[start : start + POINTS_PER_CALL]
        gradient += np.tensordot(weight, np.asarray(gradients)[: len(chosen)], 1)
    return Attribution((signal - baseline) * gradient, logits[1], logits[0])


def zero_millivolts(signal: Signal, mean_mv: float, std_mv: float) -> Signal:
    """Returns what a standardised ECG without any voltage is, shaped as `signal`.

    The baseline of `integrated_gradients`: a record in which no heart beats. What a
    deflection adds to a score is then counted from the line that it rises from, where
    zeros of the standardised signal would be a voltage in every lead.

    Args:
        signal: whose shape and precision the result has.
        mean_mv: of the standardisation, in any unit that std_mv has as well.
        std_mv: likewise.
    """
    return np.full_like(signal, -mean_mv / std_mv)


def time_gates(
    model: network.MRMNet, variables: Mapping[str, Any], signal: Signal
) -> dict[str, Float[np.ndarray, " time"]]:
    """Returns the time gate of each branch, in (0, 1), for every sample of a signal.

    A gate is a factor of the branch's map at each of its steps, but of one of two
    copies of it: the other is weighed by channel, and has every moment. So where a gate
    is 0, the branch still sees the record. Between the steps a gate is interpolated. A
    step sees some sixty samples and more, and stands for the one in their middle (see
    `step_places`).

    Args:
        model: for one device (axis_name is None).
        variables: what model.apply takes.
        signal: standardised, as the network takes it.
    """
    samples = np.arange(len(signal))
    return {
        head: np.interp(samples, places, gate)
        for (head, places), gate in zip(
            step_places(len(signal)).items(),
            jax.device_get(_gates(variables, signal[None], model)),
            strict=True,
        )
    }


def step_places(num_samples: int) -> dict[str, Float[np.ndarray, " step"]]:
    """Returns the sample in the middle of what each step of a branch's map sees.

    Each of the stem's four poolings of width 2 adds half a sample before the first:
    step s of its map is centred at sample s - 2. The multi-scale block's convolutions
    are centred; the high branch's pooling joins the stem's steps 2 t and 2 t + 1, that
    of the low branch, after a stride of 2, 4 t and 4 t + 2. All later convolutions are
    centred and keep the length.
    """
    num_high, num_low = mutual.branch_lengths(num_samples)
    high = 2 * np.arange(num_high) + 0.5 - 2
    return {"high": high, "low": 4 * np.arange(num_low) + 1.0 - 2}


def _line(start: Signal, stop: Signal, places: np.ndarray) -> np.ndarray:
    """Returns points [point, time, lead] of a line, as many as a call takes.

    The last call is filled up, since one of another size is compiled for itself.
    """
    places = np.resize(places, POINTS_PER_CALL)[:, None, None]
    return (start + places * (stop - start)).astype(stop.dtype)


@functools.partial(jax.jit, static_argnames="model")
def _logits_and_gradients(
    variables: Mapping[str, Any],
    points: Float[Array, "point time lead"],
    label: int,
    head: tuple[float, float],
    *,
    model: network.MRMNet,
) -> tuple[Float[Array, " point"], Float[Array, "point time lead"]]:
    """Returns a label's logit at every point, and its gradient there.

    Traced in label and head: a network is compiled once for all of them.
    One call for all points: XLA's CPU backend is slow at convolutions in a loop.
    """

    def total(points):
        """Returns the sum, whose gradient is each point's own: none sees another."""
        outputs = cast(Outputs, model.apply(variables, points, train=False))
        high, low = outputs.high_logits[:, label], outputs.low_logits[:, label]
        logits = head[0] * high + head[1] * low
        return jnp.sum(logits), logits

    (_, logits), gradients = jax.value_and_grad(total, has_aux=True)(points)
    return logits, gradients


@functools.partial(jax.jit, static_argnames="model")
def _gates(variables, signal, model):
    """Returns the gate [step] of the high and of the low branch for one record."""
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


def _check(
    model: network.MRMNet,
    signal: Signal,
    baseline: Signal,
    target: Target,
    steps: int,
) -> None:
    if signal.ndim != 2 or signal.shape != baseline.shape:
        raise ValueError(
            "expected signal and baseline of one shape [time, lead], found "
            f"{list(signal.shape)} and {list(baseline.shape)}"
        )
    if not 0 <= target.label < model.num_labels:
        raise ValueError(
            f"label: expected 0 to {model.num_labels - 1}, got {target.label}"
        )
    if steps < 1:
        raise ValueError(f"steps: expected 1 or more, got {steps}")
