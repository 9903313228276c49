import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.runtime import devices as devices_lib


@pytest.fixture(params=[1, 2, 4])
def devices(request, monkeypatch):
    monkeypatch.setattr(devices_lib, "device_count", lambda: request.param)
    return request.param


def test_four_cpu_devices_are_simulated():
    assert devices_lib.device_count() == 4
    assert devices_lib.describe() == "4 x cpu"


def test_rows_are_sharded_in_order(devices):
    rows = np.arange(16).reshape(2, 8)
    shares = devices_lib.shard_batch(rows)
    assert shares.shape == (devices, 2, 8 // devices)
    assert shares.dtype == np.int32
    np.testing.assert_array_equal(shares[0, 1], rows[1, : 8 // devices])
    np.testing.assert_array_equal(shares[-1, 0], rows[0, -8 // devices :])


def test_an_uneven_batch_is_padded():
    shares = devices_lib.shard_batch(np.array([[5, 6, 7, 8, 9]]))
    np.testing.assert_array_equal(shares[:, 0], [[5, 6], [7, 8], [9, -1], [-1, -1]])


@pytest.mark.parametrize("batch_size", [1, 4, 5, 8])
@pytest.mark.parametrize("tail", [(), (3,)])
def test_gather_inverts_shard(devices, batch_size, tail):
    rows = np.arange(2 * batch_size).reshape(2, batch_size)
    values = np.random.default_rng(0).random((2 * batch_size + 1, *tail))
    shares = values[devices_lib.shard_batch(rows)]
    found = devices_lib.gather_batch(shares, batch_size)
    np.testing.assert_array_equal(found, values[rows])


def test_unreplicate_inverts_replicate(devices):
    tree = {"a": np.arange(3.0, dtype=np.float32), "b": (np.int32(7), 2.5)}
    copies = devices_lib.replicate(tree)
    assert copies["a"].shape == (devices, 3)
    assert len(copies["a"].sharding.device_set) == devices
    np.testing.assert_array_equal(copies["b"][0], devices * [7])
    first = devices_lib.unreplicate(copies)
    assert isinstance(first["a"], np.ndarray)
    jax.tree.map(np.testing.assert_array_equal, first, tree)


def test_an_unreplicated_state_outlives_the_donated_original():
    # A checkpoint may still be written from it while the next epoch trains.
    double = devices_lib.map_devices(lambda x: 2 * x, donate_argnums=(0,))
    copies = devices_lib.replicate(np.arange(3.0, dtype=np.float32))
    taken = devices_lib.unreplicate(copies)
    for _ in range(3):
        copies = double(copies)
    np.testing.assert_array_equal(taken, [0, 1, 2])
    np.testing.assert_array_equal(devices_lib.unreplicate(copies), [0, 8, 16])


def test_mapped_devices_share_an_axis(devices):
    def share_of_sum(x):
        return x / jax.lax.psum(x, devices_lib.AXIS)

    found = devices_lib.map_devices(share_of_sum)(np.arange(1.0, 1 + devices))
    total = devices * (devices + 1) / 2
    np.testing.assert_allclose(found, np.arange(1, 1 + devices) / total, rtol=1e-6)


def running_sum(carry, row):
    total = carry + row["x"].sum()
    return total, {"total": total, "last": row["x"][-1]}


@pytest.mark.parametrize("backend", ["cpu", "gpu", "tpu"])
def test_scanned_and_unrolled_loops_agree(backend, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    inputs = {"x": jnp.arange(6.0).reshape(3, 2)}
    carry, outputs = devices_lib.loop(running_sum, jnp.zeros(()), inputs)
    assert carry == 15
    np.testing.assert_array_equal(outputs["total"], [1, 6, 15])
    np.testing.assert_array_equal(outputs["last"], [1, 3, 5])


@pytest.mark.parametrize(("backend", "rolled"), [("cpu", 0), ("gpu", 1), ("tpu", 1)])
def test_loops_are_scanned_only_off_the_cpu(backend, rolled, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    jaxpr = jax.make_jaxpr(
        lambda x: devices_lib.loop(running_sum, jnp.zeros(()), {"x": x})
    )(jnp.zeros((3, 2)))
    assert str(jaxpr).count("scan[") == rolled
    assert (devices_lib.steps_per_call() > 1) == rolled


def test_resident_bytes_on_the_cpu():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    share = memory * devices_lib.RESIDENT_MEMORY_SHARE
    assert devices_lib.resident_bytes() == pytest.approx(share / 4, abs=1)
