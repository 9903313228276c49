import dataclasses
import functools
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.inference import attribution
from mrm_jax.metrics import scores
from mrm_jax.models.mrm_net import stem
from mrm_jax.models.outputs import Outputs, SingleOutput
from mrm_jax.training import train_state
from tests.helpers import small_runs, small_states

pytestmark = pytest.mark.slow

NUM_LEADS = 12


@dataclasses.dataclass(frozen=True)
class Linear:
    """A network whose logits are weighted sums of the signal."""

    BRANCHES: ClassVar = ("high", "low")

    num_labels: int = 2

    def apply(self, variables, signal, train):
        assert not train
        high = jnp.einsum("btc,tcl->bl", signal, variables["high"])
        low = jnp.einsum("btc,tcl->bl", signal, variables["low"])
        return Outputs(high + 7, low, {}, {}, ())


@dataclasses.dataclass(frozen=True)
class Cubic:
    """A network of one label whose logit is the sum of the signal's cubes."""

    num_labels: int = 1

    def apply(self, variables, signal, train):
        logits = jnp.sum(signal**3, axis=(1, 2))[:, None]
        return SingleOutput(logits)


@functools.cache
def small():
    """Returns the variables of the small network, and a random signal."""
    state = train_state.create(jax.random.PRNGKey(0), small_states.MODEL)
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    rng = np.random.default_rng(0)
    signal = rng.normal(0, 1, (small_runs.NUM_SAMPLES, NUM_LEADS)).astype(np.float32)
    return variables, signal


@jax.jit
def outputs_and_intermediates(variables, signals):
    """Returns the small network's outputs, and what its modules returned."""
    return small_states.MODEL.apply(
        variables,
        signals,
        train=False,
        capture_intermediates=True,
        mutable=["intermediates"],
    )


def explain(variables, signal, baseline, label=0, head="mean", steps=64):
    return attribution.integrated_gradients(
        small_states.MODEL,
        variables,
        signal,
        baseline,
        attribution.Target(label, head),
        steps,
    )


@pytest.mark.parametrize(
    ("head", "share"), [("high", (1, 0)), ("low", (0, 1)), ("mean", (0.5, 0.5))]
)
def test_attribution_of_a_linear_network_is_weight_times_signal(head, share):
    rng = np.random.default_rng(0)
    variables = {name: rng.normal(size=(5, 3, 2)) for name in ("high", "low")}
    signal, baseline = rng.normal(size=(2, 5, 3))
    found = attribution.integrated_gradients(
        Linear(), variables, signal, baseline, attribution.Target(1, head), steps=3
    )
    weights = share[0] * variables["high"] + share[1] * variables["low"]
    expected = weights[..., 1] * (signal - baseline)
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-6)
    shift = 7 * share[0]
    assert found.logit == pytest.approx(np.sum(weights[..., 1] * signal) + shift, 1e-5)
    assert found.baseline_logit == pytest.approx(
        np.sum(weights[..., 1] * baseline) + shift, 1e-5
    )
    assert found.gap == pytest.approx(0, abs=1e-4)


def test_gap_matches_the_midpoint_rule():
    # The integral of 3 x² over [0, 1] in n steps lacks 1 / (4 n²) of 1.
    for steps in (1, 2, 30):
        found = attribution.integrated_gradients(
            Cubic(),
            {},
            np.ones((2, 3), np.float32),
            np.zeros((2, 3), np.float32),
            attribution.Target(0),
            steps,
        )
        np.testing.assert_allclose(found.values, 1 - 1 / (4 * steps**2), rtol=1e-5)
        assert found.gap == pytest.approx(-6 / (4 * steps**2), abs=1e-4)
        assert (found.logit, found.baseline_logit) == (6, 0)


@pytest.mark.parametrize("head", scores.HEADS)
def test_attributions_sum_to_the_change_in_the_logit(head):
    variables, signal = small()
    baseline = attribution.zero_millivolts(signal, 0.1, 0.5)
    found = explain(variables, signal, baseline, label=2, head=head, steps=1000)
    outputs, _ = outputs_and_intermediates(variables, np.stack([signal, baseline]))
    high, low = outputs.high_logits[:, 2], outputs.low_logits[:, 2]
    logits = {"high": high, "low": low, "mean": (high + low) / 2}[head]
    assert found.logit == pytest.approx(float(logits[0]), abs=1e-5)
    assert found.baseline_logit == pytest.approx(float(logits[1]), abs=1e-5)
    assert found.values.shape == signal.shape
    added = found.logit - found.baseline_logit
    assert found.gap == pytest.approx(found.values.sum() - added)
    # The parts themselves add up to much more, for and against.
    assert abs(found.gap) < 1e-3 * np.abs(found.values).sum()


def test_mean_attribution_is_the_mean_of_both_heads():
    variables, signal = small()
    values = {
        head: explain(variables, signal, np.zeros_like(signal), head=head).values
        for head in scores.HEADS
    }
    mean = (values["high"] + values["low"]) / 2
    np.testing.assert_allclose(values["mean"], mean, atol=1e-6)
    assert np.abs(values["high"] - values["low"]).max() > 1e-3


def test_an_unused_lead_has_zero_attribution():
    variables, signal = small()
    kernel = variables["params"]["stem"]["conv1"]["kernel"]
    params = variables["params"] | {
        "stem": variables["params"]["stem"]
        | {"conv1": {"kernel": kernel.at[:, 4].set(0)}}
    }
    found = explain(variables | {"params": params}, signal, np.zeros_like(signal))
    parts = np.abs(found.values).sum(axis=0)
    assert parts[4] == 0
    assert (np.delete(parts, 4) > 0).all()


def test_a_sample_equal_to_the_baseline_has_zero_attribution():
    variables, signal = small()
    baseline = np.zeros_like(signal)
    baseline[7, 3] = signal[7, 3]
    found = explain(variables, signal, baseline)
    assert found.values[7, 3] == 0


def test_batching_does_not_change_the_number_of_steps():
    variables, signal = small()
    few, many = (
        explain(variables, signal, np.zeros_like(signal), steps=steps).values.sum()
        for steps in (attribution.POINTS_PER_CALL - 2, attribution.POINTS_PER_CALL - 1)
    )
    assert few == pytest.approx(many, rel=0.02)


def test_the_baseline_is_zero_volts():
    signal = np.ones((4, 2), np.float32)
    baseline = attribution.zero_millivolts(signal, mean_mv=0.3, std_mv=0.2)
    assert baseline.dtype == signal.dtype
    np.testing.assert_allclose(baseline * 0.2 + 0.3, 0, atol=1e-7)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"label": 3}, "label: expected 0 to 2, got 3"),
        ({"label": -1}, "label: expected 0 to 2, got -1"),
        ({"head": "both"}, "head: expected one of .*got 'both'"),
        ({"steps": 0}, "steps: expected 1 or more, got 0"),
        (
            {"baseline": np.zeros((3, 12))},
            r"same shape.*found \[40, 12\] and \[3, 12\]",
        ),
    ],
)
def test_invalid_arguments_raise(changes, match):
    variables, signal = small()
    arguments = {"baseline": np.zeros_like(signal)} | changes
    with pytest.raises(ValueError, match=match):
        explain(variables, signal, **arguments)


def test_gates_equal_those_of_the_network():
    variables, signal = small()
    found = attribution.time_gates(small_states.MODEL, variables, signal)
    _, captured = outputs_and_intermediates(variables, np.stack([signal, signal]))
    for head, offset, step in (("high", -1.5, 2), ("low", -1.0, 4)):
        stage = captured["intermediates"][head]["attention"]
        gate = np.asarray(stage["time_gate"]["__call__"][0][0])
        places = offset + step * np.arange(len(gate))
        assert ((found[head] > 0) & (found[head] < 1)).all()
        assert found[head].shape == (small_runs.NUM_SAMPLES,)
        for sample in (0, 1, 17, small_runs.NUM_SAMPLES - 1):
            after = int(np.searchsorted(places, sample))
            share = (sample - places[after - 1]) / step
            by_hand = (1 - share) * gate[after - 1] + share * gate[after]
            assert found[head][sample] == pytest.approx(by_hand, abs=1e-5)


class FirstMap(nn.Module):
    """The network from the signal to the point where the branches split."""

    stride: int

    @nn.compact
    def __call__(self, signals):
        common = stem.Stem(width=4)(signals, None)
        return stem.MultiScale(16, self.stride)(common, None, 0.0)


@pytest.mark.parametrize(("head", "stride"), [("high", 1), ("low", 2)])
def test_a_time_step_is_centred_on_its_receptive_field(head, stride):
    """All that follows the first map is centred and keeps its length."""
    model = FirstMap(stride)
    signals = jax.random.normal(jax.random.key(0), (32, 200, 2))
    variables = jax.jit(model.init)(jax.random.key(1), signals)
    places = attribution.step_centres(200)[head]
    assert len(places) == jax.eval_shape(model.apply, variables, signals).shape[1]

    @jax.jit
    @jax.grad
    def reached(signals, step):
        return jnp.sum(model.apply(variables, signals)[:, step])

    for step in (len(places) // 3, len(places) // 2):
        seen = np.asarray(reached(signals, step) != 0).any(axis=(0, 2))
        samples = np.flatnonzero(seen)
        assert (samples.min() + samples.max()) / 2 == places[step]
        assert len(samples) > 50
