import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.models.mrm_net import mutual
from tests.helpers import numpy_reference

pytestmark = pytest.mark.slow

TIME, CHANNELS = 6, 2  # of the high map; the low one has 3 and 4
HIGH = jnp.arange(24.0).reshape(2, TIME, CHANNELS)
LOW = 100 + jnp.arange(24.0).reshape(2, TIME // 2, 2 * CHANNELS)


def test_channel_major_index():
    high, low = mutual.flatten_pair(HIGH, LOW, "channel_major")
    assert high.shape == low.shape == (2, 12)
    for flat, features in ((high, HIGH), (low, LOW)):
        _, time, channels = features.shape
        for record, t, channel in np.ndindex(2, time, channels):
            assert flat[record, channel * time + t] == features[record, t, channel]


def test_channel_major_pairs_different_times():
    # The first half of high channel c meets the whole of low channel 2c.
    high, low = mutual.flatten_pair(HIGH, LOW, "channel_major")
    np.testing.assert_array_equal(high[0, TIME : TIME + 3], HIGH[0, :3, 1])
    np.testing.assert_array_equal(low[0, TIME : TIME + 3], LOW[0, :, 2])


def test_time_aligned_index():
    high, low = mutual.flatten_pair(HIGH, LOW, "time_aligned")
    for flat, features in ((high, HIGH), (low, LOW)):
        _, time, channels = features.shape
        for record, t, channel in np.ndindex(2, time, channels):
            assert flat[record, t * channels + channel] == features[record, t, channel]


def test_time_aligned_pairs_the_same_times():
    high, low = mutual.flatten_pair(HIGH, LOW, "time_aligned")
    for t in range(TIME // 2):
        where = np.isin(low[0], LOW[0, t])
        met = [*HIGH[0, 2 * t], *HIGH[0, 2 * t + 1]]
        np.testing.assert_array_equal(high[0, where], met)


def test_an_unknown_pairing_raises():
    with pytest.raises(ValueError, match="channel_major.*time_aligned.*'diagonal'"):
        mutual.flatten_pair(HIGH, LOW, "diagonal")


def exchange_by_hand(down_taps):
    """Exchanges with convolutions that copy channel 0 of each map to all."""
    up, down = np.zeros((3, 4, 2), np.float32), np.zeros((3, 2, 4), np.float32)
    up[1, 0], down[:, 0] = 1, np.array(down_taps)[:, None]

    def norm(channels):
        ones, zeros = jnp.ones(channels), jnp.zeros(channels)
        exact = {"mean": zeros, "var": ones - 1e-5}
        return {"scale": ones, "bias": zeros}, exact

    up_norm, down_norm = norm(2), norm(4)
    variables = {
        "params": {
            "up_conv": {"kernel": jnp.asarray(up)},
            "up_norm": up_norm[0],
            "down_conv": {"kernel": jnp.asarray(down)},
            "down_norm": down_norm[0],
        },
        "batch_stats": {"up_norm": up_norm[1], "down_norm": down_norm[1]},
    }
    return mutual.Exchange().apply(variables, HIGH, LOW, None)


def test_exchange_repeats_low_in_time():
    high, _ = exchange_by_hand([0, 1, 0])
    given = np.asarray(LOW[0, [0, 0, 1, 1, 2, 2], 0])
    np.testing.assert_allclose(high[0], HIGH[0] + given[:, None], rtol=1e-5)


@pytest.mark.parametrize(
    ("taps", "given"),
    [
        ([0, 1, 0], [0, 4, 8]),  # every second step of 0, 2, 4, 6, 8, 10
        ([1, 0, 0], [0, 2, 6]),  # the step before it, zero before the first
        ([0, -1, 0], [0, 0, 0]),  # ReLU
    ],
)
def test_exchange_halves_high(taps, given):
    _, low = exchange_by_hand(taps)
    np.testing.assert_allclose(low[0], LOW[0] + np.array(given)[:, None], rtol=1e-5)


def test_exchange_equals_the_numpy_reference():
    module, rng = mutual.Exchange(), np.random.default_rng(0)
    high = jnp.asarray(rng.standard_normal((2, 10, 3)), float)
    low = jnp.asarray(rng.standard_normal((2, 5, 6)), float)
    variables = numpy_reference.random_variables(module, high, low, None)
    found = jax.jit(lambda v: module.apply(v, high, low, None))(variables)
    expected = numpy_reference.exchange(
        np.float64(high), np.float64(low), numpy_reference.on_host(variables)
    )
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("num_samples", "lengths"),
    [(1000, (502, 251)), (5000, (2502, 1251)), (999, (501, 251)), (1, (2, 1))],
)
def test_branch_lengths(num_samples, lengths):
    assert mutual.branch_lengths(num_samples) == lengths


@pytest.mark.parametrize("num_samples", [1, 4, 5, 1000, 1001, 5000])
def test_valid_lengths_pass(num_samples):
    mutual.check_length(num_samples, "a test")


@pytest.mark.parametrize("num_samples", [2, 3, 999, 1002, 1003])
def test_invalid_lengths_raise(num_samples):
    below = num_samples // 4 * 4
    near = f"for example {below}, {below + 1}, {below + 4}"
    with pytest.raises(ValueError, match=f"{num_samples} gives.*a test needs.*{near}"):
        mutual.check_length(num_samples, "a test")


@pytest.mark.parametrize("stages", [("stem",), ("attention", "attention"), "attention"])
def test_invalid_stages_raise(stages):
    with pytest.raises(ValueError, match="mutual_stages.*multi_scale.*extractor"):
        mutual.check_stages(stages)


@pytest.mark.parametrize("stages", [(), ("attention", "multi_scale"), ["extractor"]])
def test_valid_stages_pass(stages):
    mutual.check_stages(stages)
