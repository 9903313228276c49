import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.models import layers
from mrm_jax.runtime import devices as devices_lib

ONES = jnp.ones((8, 500, 2))
KEY = jax.random.PRNGKey(3)


def drop(signal=ONES, mask=True, rate=0.2, key=KEY, axis_name=None):
    mask = jnp.ones(len(signal)) if mask else None
    rngs = {"dropout": key}
    return layers.Dropout(axis_name).apply({}, signal, mask, rate, rngs=rngs)


@pytest.mark.parametrize("arguments", [{"mask": False}, {"rate": 0.0}])
def test_inactive_dropout_needs_no_key(arguments):
    mask = jnp.ones(8) if arguments.get("mask", True) else None
    found = layers.Dropout().apply({}, ONES, mask, arguments.get("rate", 0.2))
    assert found is ONES


def test_kept_values_are_scaled_up():
    found = np.asarray(drop())
    assert set(np.unique(found)) == {0, np.float32(1.25)}
    np.testing.assert_allclose(np.mean(found == 0), 0.2, atol=0.02)


def test_a_traced_rate_of_zero_drops_nothing():
    found = jax.jit(lambda rate: drop(rate=rate))(0.0)
    np.testing.assert_array_equal(found, ONES)


def test_each_record_and_each_key_has_its_own_mask():
    found = np.asarray(drop())
    distinct = {record.tobytes() for record in found}
    distinct |= {record.tobytes() for record in np.asarray(drop(key=KEY + 1))}
    assert len(distinct) == 16


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_masks_do_not_depend_on_the_number_of_devices(devices):
    shares = ONES.reshape(devices, -1, *ONES.shape[1:])

    def share(signal):
        return drop(signal, axis_name=devices_lib.AXIS)

    found = devices_lib.map_devices(share)(shares)
    np.testing.assert_array_equal(np.reshape(found, ONES.shape), drop())
