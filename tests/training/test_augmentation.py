import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.runtime import devices as devices_lib
from mrm_jax.training import augmentation, steps
from mrm_jax.training.hparams import AUGMENTATION, HParams
from mrm_jax.training.input_pipeline import Batch
from tests.helpers import small_states

SIZE, LENGTH, LEADS = 8, 200, 12
OFF = HParams(**dict.fromkeys(AUGMENTATION, 0.0))
KEY = jax.random.PRNGKey(3)


def make_batch(signal=None):
    rng = np.random.default_rng(0)
    if signal is None:
        signal = rng.standard_normal((SIZE, LENGTH, LEADS)).astype(np.float32)
    labels = np.eye(SIZE, 3, dtype=np.float32)
    return Batch(signal=signal, labels=labels, mask=np.ones(SIZE, np.float32))


augment = jax.jit(augmentation.augment, static_argnames="axis_name")


def changed(signal=None, key=KEY, **values):
    """Returns an augmented batch on the host; what is not named is off."""
    hparams = dataclasses.replace(OFF, **values)
    return jax.device_get(augment(make_batch(signal), key, hparams))


def test_all_changes_are_off_at_zero():
    found, batch = changed(), make_batch()
    np.testing.assert_array_equal(found.signal, batch.signal)
    np.testing.assert_array_equal(found.labels, batch.labels)


@pytest.mark.parametrize("name", AUGMENTATION)
def test_each_value_changes_each_record_in_its_own_way(name):
    ones = np.ones((SIZE, LENGTH, LEADS), np.float32)
    ones[1::2] = 2  # so that mixup shows
    found = changed(ones, **{name: 0.5}).signal / ones
    first = 1 if name == "mixup" else 0  # which has no record before it
    assert len({record.tobytes() for record in found[first:]}) == SIZE - first
    other = changed(ones, KEY + 1, **{name: 0.5}).signal / ones
    assert not np.array_equal(found, other)


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_changes_do_not_depend_on_the_number_of_devices(devices):
    hparams = HParams(mixup=0.5)
    batch = make_batch()
    shares = jax.tree.map(lambda x: x.reshape(devices, -1, *x.shape[1:]), batch)

    def share(batch):
        return augmentation.augment(batch, KEY, hparams, devices_lib.AXIS)

    found = devices_lib.map_devices(share)(shares)
    expected = augment(batch, KEY, hparams)
    for name in ("signal", "labels", "mask"):
        joined = np.reshape(getattr(found, name), getattr(batch, name).shape)
        np.testing.assert_allclose(joined, getattr(expected, name), atol=1e-6)


def test_a_shift_moves_all_leads_of_a_record_by_one_offset():
    pulse = np.zeros((SIZE, LENGTH, LEADS), np.float32)
    pulse[:, 100] = 1 + np.arange(LEADS)
    found = changed(pulse, shift=0.3).signal
    places = found.argmax(1)
    assert (places == places[:, :1]).all()
    np.testing.assert_array_equal(found.max(1), pulse.max(1))
    offsets = places[:, 0] - 100
    assert np.abs(offsets).max() <= 60 and len(set(offsets)) > 4
    assert offsets.min() < 0 < offsets.max()


def test_a_crop_keeps_one_part_and_at_least_its_share():
    ones = np.ones((SIZE, LENGTH, LEADS), np.float32)
    kept = changed(ones, crop=0.5).signal[..., 0]
    assert set(np.unique(kept)) == {0, 1}
    assert (np.abs(np.diff(kept, axis=1)).sum(1) <= 2).all()
    lengths = kept.sum(1)
    assert lengths.min() >= 99 and lengths.max() < 200


def test_an_amplitude_is_one_positive_factor_for_the_record():
    batch = make_batch()
    ratio = changed(amplitude=0.3).signal / batch.signal
    np.testing.assert_allclose(
        ratio, ratio[:, :1, :1].repeat(LENGTH, 1).repeat(LEADS, 2), rtol=1e-4
    )
    assert (ratio > 0).all() and np.ptp(ratio) > 0.1


def test_wander_is_slow_and_has_its_amplitude():
    zeros = np.zeros((SIZE, LENGTH, LEADS), np.float32)
    found = changed(zeros, wander=0.5).signal
    spectrum = np.abs(np.fft.rfft(found, axis=1)) ** 2
    assert spectrum[:, :8].sum() > 0.95 * spectrum.sum()
    np.testing.assert_allclose(np.sqrt((found**2).mean()), 0.5 / np.sqrt(2), rtol=0.25)


def test_noise_is_white_with_at_most_its_deviation():
    zeros = np.zeros((SIZE, LENGTH, LEADS), np.float32)
    found = changed(zeros, noise=0.5).signal
    deviations = found.std((1, 2))
    assert deviations.max() < 0.52 and np.ptp(deviations) > 0.05
    neighbours = (found[:, 1:] * found[:, :-1]).mean() / (found**2).mean()
    assert abs(neighbours) < 0.05


def test_a_dropped_lead_is_zero_for_the_whole_record():
    ones = np.ones((SIZE, LENGTH, LEADS), np.float32)
    kept = changed(ones, lead_dropout=0.25).signal
    assert (kept == kept[:, :1]).all()
    assert 0.6 < kept.mean() < 0.9


def test_mixup_mixes_signals_and_labels_at_the_same_weight():
    batch, found = make_batch(), changed(mixup=0.5)
    for i in range(1, SIZE):
        apart = batch.signal[i - 1] - batch.signal[i]
        weights = (found.signal[i] - batch.signal[i]) / apart
        weight = float(np.median(weights))
        assert 0 < weight < 0.5
        mixed = (1 - weight) * batch.labels[i] + weight * batch.labels[i - 1]
        np.testing.assert_allclose(found.labels[i], mixed, atol=1e-4)
    np.testing.assert_array_equal(found.signal[0], batch.signal[0])
    np.testing.assert_array_equal(found.labels[0], batch.labels[0])


def test_a_step_draws_anew_and_repeats_its_draws():
    model = small_states.TINY
    length = model.num_samples
    batch = make_batch(np.ones((SIZE, length, LEADS), np.float32))
    step = jax.jit(
        lambda state, batch, hparams: steps.train_step(
            state, batch, hparams, model=model, augment=True
        )[1]["loss"]
    )
    hparams = HParams(dropout_rate=0.0)
    state = small_states.create(model)
    later = dataclasses.replace(state, step=jnp.ones_like(state.step))
    other = dataclasses.replace(state, rng=state.rng + 1)
    losses = [float(step(s, batch, hparams)) for s in (state, state, later, other)]
    assert losses[0] == losses[1]
    assert len(set(losses)) == 3
    plain = [
        float(step(s, batch, dataclasses.replace(OFF, dropout_rate=0.0)))
        for s in (state, later)
    ]
    assert plain[0] == plain[1]
