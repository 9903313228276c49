import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.models import crops, networks
from mrm_jax.runtime import devices as devices_lib
from tests.helpers import baselines, numpy_reference

BATCH, SAMPLES, LENGTH, LEADS = 8, 50, 20, 12
# Sample t of record r is 100 r + t on every lead.
SIGNAL = jnp.broadcast_to(
    100.0 * jnp.arange(BATCH)[:, None, None] + jnp.arange(SAMPLES)[None, :, None],
    (BATCH, SAMPLES, LEADS),
)
OPTIONS = {
    "resnet1d_wang": {"width": 8, "head_width": 6},
    "s4": {"width": 6, "state_size": 2, "num_layers": 2},
}


def take(signal=SIGNAL, length=LENGTH, train=True, key=3, axis_name=None):
    mask = jnp.ones(len(signal)) if train else None
    crop = crops.Crop(length, axis_name)
    return crop.apply({}, signal, mask, rngs={"dropout": jax.random.key(key)})


def first_samples(signal):
    return np.asarray(signal[:, 0, 0]) % 100


def build(name, **options):
    given = {"num_labels": 3, "num_samples": SAMPLES}
    return networks.build(name, OPTIONS[name] | options, **given)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("length", [0, SAMPLES])
def test_without_crops_the_whole_signal_is_seen(length, train):
    found = take(length=length, train=train)
    assert found.signal is SIGNAL and found.per_record == 1


def test_a_training_crop_is_one_contiguous_part_of_its_record():
    found = take()
    assert found.signal.shape == (BATCH, LENGTH, LEADS) and found.per_record == 1
    assert (np.diff(found.signal, axis=1) == 1).all()
    np.testing.assert_array_equal(found.signal[:, 0, 0] // 100, np.arange(BATCH))


def test_training_crops_can_start_anywhere():
    many = jnp.broadcast_to(SIGNAL[:1], (2000, SAMPLES, LEADS))
    places, counts = np.unique(first_samples(take(many).signal), return_counts=True)
    np.testing.assert_array_equal(places, np.arange(SAMPLES - LENGTH + 1))
    assert counts.min() > 2000 / len(places) / 2


def test_each_key_has_its_own_crops():
    places = [first_samples(take(key=key).signal) for key in range(4)]
    assert len({place.tobytes() for place in places}) == 4


@pytest.mark.parametrize("devices", [2, 4])
def test_training_crops_do_not_depend_on_the_number_of_devices(devices):
    shares = SIGNAL.reshape(devices, -1, *SIGNAL.shape[1:])

    def share(signal):
        return take(signal, axis_name=devices_lib.AXIS).signal

    found = devices_lib.map_devices(share)(shares)
    expected = take().signal
    np.testing.assert_array_equal(np.reshape(found, expected.shape), expected)


def test_crops_for_scoring_cover_the_whole_signal():
    found = take(train=False)
    assert found.per_record == 4
    starts = first_samples(found.signal).reshape(BATCH, 4)
    np.testing.assert_array_equal(starts, np.tile([0, 10, 20, 30], (BATCH, 1)))


def test_a_record_of_10_s_has_seven_crops_of_2_5_s():
    assert crops.starts(1000, 250) == [0, 125, 250, 375, 500, 625, 750]


def test_the_last_crop_ends_with_the_signal():
    assert crops.starts(47, 20) == [0, 10, 20, 27]


def test_mean_score_is_the_mean_of_the_scores():
    logits = jax.random.normal(jax.random.key(0), (5, 7, 3)) * 4
    found = jax.nn.sigmoid(crops.mean_score(logits))
    expected = jax.nn.sigmoid(logits).mean(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_mean_score_of_extreme_logits_is_finite():
    logits = jnp.asarray([[[300.0], [-300.0]], [[-300.0], [-300.0]]])
    np.testing.assert_allclose(crops.mean_score(logits)[:, 0], [0, -300], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "combined"), [("resnet1d_wang", np.max), ("s4", np.mean)]
)
def test_scores_of_a_record_combine_those_of_its_crops(name, combined):
    model = build(name, crop_samples=LENGTH)
    alone = build(name).clone(num_samples=LENGTH)
    variables, signal, logits = baselines.random_inference(model)
    found = jax.nn.sigmoid(logits)
    score = jax.jit(functools.partial(alone.apply, train=False))
    crop_scores = [
        jax.nn.sigmoid(score(variables, np.asarray(signal)[:, s : s + LENGTH]).logits)
        for s in crops.starts(SAMPLES, LENGTH)
    ]
    np.testing.assert_allclose(found, combined(crop_scores, axis=0), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_training_sees_one_crop(name):
    model = build(name, crop_samples=LENGTH)
    variables = numpy_reference.random_variables(model, SIGNAL, train=False)
    rng = np.random.default_rng(0)
    signal = jnp.asarray(rng.standard_normal(SIGNAL.shape), jnp.float32)

    @functools.partial(jax.jit, static_argnums=0)
    def changed_by(model, signal):
        """Returns for each time step of each record whether the logits depend on it."""

        def logits(signal):
            return model.apply(
                variables,
                signal,
                train=True,
                mask=jnp.ones(BATCH),
                dropout_rate=0.0,
                rngs={"dropout": jax.random.key(0)},
                mutable=["batch_stats"],
            )[0].logits.sum()

        return jnp.abs(jax.grad(logits)(signal)).max(axis=-1) > 0

    seen = np.asarray(changed_by(model, signal))
    assert (seen.sum(axis=1) <= LENGTH).all() and seen.any(axis=1).all()


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("length", [-1, SAMPLES + 1])
def test_crops_of_impossible_lengths_are_refused(name, length):
    with pytest.raises(ValueError, match=rf"crop_samples: .* to 50, .*got {length}"):
        build(name, crop_samples=length)
