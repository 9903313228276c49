import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.data import shards
from mrm_jax.models import backends
from mrm_jax.runtime import devices, processes
from mrm_jax.training import input_pipeline
from tests.helpers import small_runs

pytestmark = pytest.mark.slow


def records(signals_uv, mean_uv=2.0, std_uv=4.0):
    return input_pipeline.Records.of(
        signals_uv=jnp.asarray(signals_uv, jnp.int16),
        labels=jnp.asarray([[1, 0], [0, 1], [1, 1]], jnp.uint8),
        mean_uv=jnp.asarray(mean_uv, float),
        std_uv=jnp.asarray(std_uv, float),
    )


@pytest.fixture(params=["cpu", "tpu"])
def backend(request, monkeypatch):
    """Takes records as each backend does."""
    monkeypatch.setattr(backends, "name", lambda: request.param)


def test_take_standardises_signals(backend):
    one_lead = records([[[10], [-2]], [[2], [6]], [[32767], [-32768]]])
    batch = input_pipeline.take(one_lead, jnp.array([1, 0]))
    expected = [[[(2 - 2) / 4], [(6 - 2) / 4]], [[(10 - 2) / 4], [(-2 - 2) / 4]]]
    np.testing.assert_array_equal(batch.signal, expected)
    np.testing.assert_array_equal(batch.labels, [[0, 1], [1, 0]])
    np.testing.assert_array_equal(batch.mask, [1, 1])
    assert {x.dtype for x in jax.tree.leaves(batch)} == {jnp.dtype("float32")}


def test_take_supports_the_whole_int16_range(backend):
    extremes = records([[[0]], [[0]], [[-32768]]], mean_uv=32767.0, std_uv=1.0)
    batch = input_pipeline.take(extremes, jnp.array([2]))
    np.testing.assert_array_equal(batch.signal, [[[-65535.0]]])


def test_take_masks_padding_and_keeps_it_finite(backend):
    batch = input_pipeline.take(
        records(np.ones((3, 2, 1))), jnp.array([2, devices.PADDING])
    )
    np.testing.assert_array_equal(batch.mask, [1, 0])
    assert np.isfinite(batch.signal).all()


@pytest.mark.parametrize(("num_records", "batch_size"), [(10, 4), (12, 4), (3, 8)])
def test_an_epoch_has_every_record_once(num_records, batch_size):
    rows = input_pipeline.shuffled_batches(num_records, batch_size, seed=1, epoch=1)
    assert rows.shape == (-(-num_records // batch_size), batch_size)
    assert rows.dtype == np.int32
    assert sorted(rows[rows >= 0]) == list(range(num_records))
    padding = rows.size - num_records
    np.testing.assert_array_equal(rows.ravel()[num_records:], padding * [-1])


def test_order_depends_only_on_seed_and_epoch():
    def order(seed, epoch):
        return input_pipeline.shuffled_batches(50, 8, seed, epoch)

    np.testing.assert_array_equal(order(1, 2), order(1, 2))
    distinct = {order(seed, epoch).tobytes() for seed in (1, 2) for epoch in (1, 2, 3)}
    assert len(distinct) == 6


def test_sequential_batches_keep_the_stored_order():
    found = input_pipeline.sequential_batches(5, 3)
    np.testing.assert_array_equal(found, [[0, 1, 2], [3, 4, -1]])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shards"
    return shards.load(small_runs.write_shards(folder))


def loader(data, resident_bytes=None):
    split = data.split("waves", "train")
    return input_pipeline.SplitLoader(
        data, split, data.label_set("waves"), resident_bytes
    )


def batches(data, rows, resident_bytes):
    """Returns every device's batches, taken on the devices: [device, step, ...]."""
    take_all = devices.map_devices(
        lambda records, rows: jax.vmap(
            lambda of_step: input_pipeline.take(records, of_step)
        )(rows)
    )
    return [
        jax.device_get(take_all(*call))
        for call in loader(data, resident_bytes).calls(rows)
    ]


def test_a_small_split_is_resident_on_every_device(data):
    small = loader(data)
    assert len(small) == 32
    assert small.signal_bytes() == 32 * 40 * 12 * 2
    assert small.resident
    (first, rows), *_ = small.calls(np.arange(8).reshape(1, 8))
    assert first.signals_uv.shape == (4, 32, 40 * 12)
    assert first.signals_uv.dtype == np.int16
    assert len(first.signals_uv.sharding.device_set) == 4
    np.testing.assert_array_equal(rows[:, 0], np.arange(8).reshape(4, 2))


def test_a_large_split_is_streamed(data):
    large = loader(data, resident_bytes=32 * 40 * 12 * 2 - 1)
    assert not large.resident
    for given, rows in large.calls(np.arange(8).reshape(1, 8)):
        assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(given))
        assert given.signals_uv.shape == (4, 2, 40 * 12)
        np.testing.assert_array_equal(rows, [[[0, 1]]] * 4)


def test_streamed_batches_are_bit_identical_to_resident_ones(data):
    rows = input_pipeline.shuffled_batches(
        32, 6, seed=0, epoch=1
    )  # 6 steps, padded twice
    resident, streamed = batches(data, rows, None), batches(data, rows, 0)
    assert len(resident) == len(streamed) == 6
    for one, other in zip(resident, streamed, strict=True):
        np.testing.assert_array_equal(one.mask, other.mask)
        present = one.mask > 0
        np.testing.assert_array_equal(one.signal[present], other.signal[present])
        np.testing.assert_array_equal(one.labels[present], other.labels[present])


def test_batches_are_standardised_records_of_the_shards(data):
    rows = np.array([[3, 31, 0, 8]])
    (batch,) = batches(data, rows, None)
    split, moments = data.split("waves", "train"), data.label_set("waves")
    signals_uv = data.signals_uv(split.rows[rows[0]]).astype(np.float64)
    expected = (signals_uv - moments.mean_uv) / moments.std_uv
    np.testing.assert_allclose(batch.signal[:, 0, 0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(batch.labels[:, 0, 0], split.labels[rows[0]])


def test_one_call_has_several_steps_if_loops_are_scanned(data, monkeypatch):
    monkeypatch.setattr(devices, "steps_per_call", lambda: 4)
    rows = input_pipeline.shuffled_batches(32, 6, seed=0, epoch=1)
    # Six steps go as 3 + 3: a call of 4 and one of 2 would be compiled twice.
    calls = list(loader(data).calls(rows))
    assert [shares.shape for _, shares in calls] == [(4, 3, 2), (4, 3, 2)]
    found = [batch.signal for batch in batches(data, rows, 0)]
    expected = [batch.signal for batch in batches(data, rows, None)]
    present = devices.shard_batch(rows) >= 0
    np.testing.assert_array_equal(
        np.concatenate(found, axis=1)[present],
        np.concatenate(expected, axis=1)[present],
    )


def test_remaining_rows_use_calls_of_the_same_length(data, monkeypatch):
    monkeypatch.setattr(devices, "steps_per_call", lambda: 4)
    rows = input_pipeline.shuffled_batches(32, 5, seed=0, epoch=1)  # 7 steps: 4 + 3
    whole, left = list(loader(data).calls(rows)), list(loader(data).calls(rows, 4))
    assert [shares.shape[1] for _, shares in whole] == [4, 3]
    assert len(left) == loader(data).num_calls(rows, 4) == 1
    np.testing.assert_array_equal(left[0][1], whole[1][1])
    assert loader(data).num_calls(rows, 7) == 0 and not list(
        loader(data).calls(rows, 7)
    )


@pytest.mark.parametrize("process", [0, 1])
def test_each_process_reads_only_its_own_records(data, monkeypatch, process):
    rows = np.arange(16).reshape(2, 8)
    whole = loader(data, resident_bytes=0)
    expected = [next(iter(whole.calls(rows[i : i + 1])))[0] for i in range(2)]
    monkeypatch.setattr(processes, "count", lambda: 2)
    monkeypatch.setattr(processes, "index", lambda: process)
    read = []
    load = input_pipeline.SplitLoader._load
    monkeypatch.setattr(
        input_pipeline.SplitLoader,
        "_load",
        lambda self, numbers: read.extend(numbers) or load(self, numbers),
    )
    own = loader(data, resident_bytes=2**30)
    assert not own.resident  # it would need all records
    own_devices = slice(2 * process, 2 * process + 2)
    for i, (records, shares) in enumerate(own.calls(rows)):
        assert shares.shape == (2, 1, 2)
        np.testing.assert_array_equal(
            records.signals_uv, expected[i].signals_uv[own_devices]
        )
    assert sorted(read) == sorted(rows[:, 4 * process : 4 * process + 4].ravel())


def test_a_streamed_call_stays_within_its_memory(data, monkeypatch):
    monkeypatch.setattr(devices, "steps_per_call", lambda: 256)
    rows = input_pipeline.shuffled_batches(32, 6, seed=0, epoch=1)
    record_bytes = small_runs.NUM_SAMPLES * 12 * 2
    step_bytes = 6 * record_bytes
    for budget, steps in [(0, 1), (2 * step_bytes, 1), (4 * step_bytes, 2)]:
        streamed = loader(data, budget)
        assert streamed.num_calls(rows) == 6 // steps
        for records, shares in streamed.calls(rows):
            assert shares.shape[1] == steps
            # Six records, filled up to eight for four devices.
            assert records.signals_uv.nbytes == steps * 8 * record_bytes
