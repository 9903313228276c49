import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mrm_jax.models.mrm_net import network
from mrm_jax.models.outputs import Outputs
from mrm_jax.runtime import devices
from mrm_jax.training import losses
from mrm_jax.training.hparams import HParams

pytestmark = pytest.mark.slow

LN3 = np.log(3)
RNG = np.random.default_rng(0)
A = jnp.asarray(RNG.normal(0, 2, (3, 5)), float)
B = jnp.asarray(RNG.normal(0, 2, (3, 5)), float)


def test_cross_entropy_matches_values_by_hand():
    # sigmoid(ln 3) = 3/4, so the costs are ln 4/3 if the label holds and ln 4 if not.
    logits = jnp.array([[LN3, LN3], [0, 0]])
    labels = jnp.array([[1.0, 0], [1, 0]])
    found = losses.binary_cross_entropy(logits, labels)
    by_hand = [(np.log(4 / 3) + np.log(4)) / 2, np.log(2)]
    np.testing.assert_allclose(found, by_hand, rtol=1e-6)


def test_cross_entropy_of_smoothed_labels_matches_values_by_hand():
    # Smoothed by 0.2, the label 1 is 0.9 and the label 0 is 0.1.
    logits, labels = jnp.array([[LN3, LN3]]), jnp.array([[1.0, 0]])
    found = losses.binary_cross_entropy(logits, labels, 0.2)
    costs = [0.9 * np.log(4 / 3) + 0.1 * np.log(4)]
    costs += [0.1 * np.log(4 / 3) + 0.9 * np.log(4)]
    np.testing.assert_allclose(found, [np.mean(costs)], rtol=1e-6)


def test_cross_entropy_stays_finite():
    logits = jnp.array([[1e4, -1e4]])
    labels = jnp.array([[0.0, 1]])
    np.testing.assert_allclose(losses.binary_cross_entropy(logits, labels), 1e4)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_default_weighting_is_plain_cross_entropy(smoothing):
    labels = (B > 0).astype(float)
    hparams = HParams(label_smoothing=smoothing)
    found, grads = jax.value_and_grad(
        lambda logits: losses.weighted_cross_entropy(logits, labels, hparams).sum()
    )(A)
    expected, expected_grads = jax.value_and_grad(
        lambda logits: losses.binary_cross_entropy(logits, labels, smoothing).sum()
    )(A)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(grads, expected_grads, rtol=1e-5, atol=1e-7)


def test_weights_and_focuses_match_values_by_hand():
    # The score is 3/4: a positive label costs 5 (1/4)² ln 4/3, a negative (3/4)³ ln 4.
    logits, labels = jnp.array([[LN3, LN3]]), jnp.array([[1.0, 0]])
    hparams = HParams(positive_weight=5.0, positive_focus=2.0, negative_focus=3.0)
    found = losses.weighted_cross_entropy(logits, labels, hparams)
    by_hand = (5 / 16 * np.log(4 / 3) + 27 / 64 * np.log(4)) / 2
    np.testing.assert_allclose(found, [by_hand], rtol=1e-6)


def test_equal_focuses_are_the_focal_loss_of_optax():
    labels = (B > 0).astype(float)
    hparams = HParams(positive_focus=2.0, negative_focus=2.0)
    expected = optax.losses.sigmoid_focal_loss(A, labels, gamma=2.0).mean(axis=-1)
    found = losses.weighted_cross_entropy(A, labels, hparams)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("focus", [0.0, 1.0, 4.0])
def test_a_margin_matches_values_by_hand(focus):
    """A score of 3/4 counts as 3/4 - m where the label is absent, and not below 0."""
    logits, absent = jnp.array([[LN3, -8.0, LN3]]), jnp.array([[0.0, 0, 1]])
    hparams = HParams(negative_margin=0.25, negative_focus=focus)
    found = losses.weighted_cross_entropy(logits, absent, hparams)
    by_hand = (0.5**focus * np.log(2) + 0 + np.log(4 / 3)) / 3
    np.testing.assert_allclose(found, [by_hand], rtol=1e-6)


@pytest.mark.parametrize("margin", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("focus", [0.0, 0.5, 2.0])
def test_weighted_losses_and_gradients_stay_finite(focus, margin):
    logits, labels = jnp.array([[1e4, -1e4, 0.0]]), jnp.array([[0.0, 1, 1]])
    hparams = HParams(
        positive_focus=focus, negative_focus=focus, negative_margin=margin
    )
    found, grads = jax.value_and_grad(
        lambda logits: losses.weighted_cross_entropy(logits, labels, hparams).sum()
    )(logits)
    assert np.isfinite(found) and np.isfinite(grads).all()


def test_distill_kl_matches_values_by_hand():
    # The teacher says (3/4, 1/4), the student (1/2, 1/2).
    teacher, student = jnp.array([[LN3, 0]]), jnp.array([[7.0, 7]])
    by_hand = 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5)
    found = losses.distill_kl(student, teacher, 1.0)
    np.testing.assert_allclose(found, [by_hand], rtol=1e-5)
    reverse = 0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25)
    found = losses.distill_kl(teacher, student, 1.0)
    np.testing.assert_allclose(found, [reverse], rtol=1e-5)


@pytest.mark.parametrize("kl", [losses.distill_kl, losses.bernoulli_kl])
def test_divergences_are_zero_only_for_equal_logits(kl):
    np.testing.assert_allclose(kl(A, A, 4.0), 0, atol=1e-6)
    assert (kl(A, B, 4.0) > 0).all()


@pytest.mark.parametrize("kl", [losses.distill_kl, losses.bernoulli_kl])
def test_temperature_softens_and_scales_by_its_square(kl):
    found, softened = kl(A, B, 4.0), kl(A / 4, B / 4, 1.0)
    np.testing.assert_allclose(found, 16 * softened, rtol=1e-5)


def test_a_shift_of_all_logits_changes_softmax_only():
    softmax, bernoulli = losses.distill_kl, losses.bernoulli_kl
    np.testing.assert_allclose(softmax(A + 3, B, 1.0), softmax(A, B, 1.0), rtol=1e-4)
    assert not np.allclose(bernoulli(A + 3, B, 1.0), bernoulli(A, B, 1.0), rtol=0.1)


def test_bernoulli_kl_is_a_sum_of_two_way_softmaxes():
    expected = np.zeros(3)
    for label in range(5):
        student, teacher = (
            jnp.stack([logits[:, label], jnp.zeros(3)], axis=-1) for logits in (A, B)
        )
        # Both logits are over the temperature, 0 among them.
        expected += losses.distill_kl(student, teacher, 2.0)
    np.testing.assert_allclose(losses.bernoulli_kl(A, B, 2.0), expected, rtol=1e-5)


def test_bernoulli_kl_matches_values_by_hand():
    teacher, student = jnp.array([[LN3]]), jnp.array([[0.0]])
    by_hand = 0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5)
    found = losses.bernoulli_kl(student, teacher, 1.0)
    np.testing.assert_allclose(found, [by_hand], rtol=1e-5)


@pytest.mark.parametrize("divergence", network.DIVERGENCES)
def test_symmetric_kl_is_the_sum_of_both_directions(divergence):
    kl = {"softmax": losses.distill_kl, "bernoulli": losses.bernoulli_kl}[divergence]
    found = losses.symmetric_kl(A, B, 4.0, divergence)
    np.testing.assert_allclose(
        found, losses.symmetric_kl(B, A, 4.0, divergence), rtol=1e-6
    )
    np.testing.assert_allclose(found, kl(A, B, 4.0) + kl(B, A, 4.0), rtol=1e-6)


def test_an_unknown_divergence_raises():
    with pytest.raises(ValueError, match="divergence.*softmax.*bernoulli.*'js'"):
        losses.symmetric_kl(A, B, 4.0, "js")


def softmax(scores):
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_gradients_reach_student_and_teacher():
    def total(student, teacher):
        return jnp.sum(losses.distill_kl(student, teacher, 2.0))

    of_student, of_teacher = jax.grad(total, argnums=(0, 1))(A, B)
    p, q = softmax(np.float64(B) / 2), softmax(np.float64(A) / 2)
    log_ratio = np.log(p / q)
    kl = np.sum(p * log_ratio, axis=-1, keepdims=True)
    np.testing.assert_allclose(of_student, 2 * (q - p), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        of_teacher, 2 * p * (log_ratio - kl), rtol=1e-4, atol=1e-5
    )


def outputs(pairs=1):
    feature = jnp.asarray(RNG.normal(size=(2 * pairs, 3, 8)), float)
    return Outputs(
        high_logits=A,
        low_logits=B,
        high_features={},
        low_features={},
        mutual_pairs=tuple((feature[2 * i], feature[2 * i + 1]) for i in range(pairs)),
    )


LABELS = jnp.asarray(RNG.integers(0, 2, (3, 5)), float)


def test_terms_equal_their_own_functions():
    given = outputs()
    _, terms = losses.mrm_loss(given, LABELS, HParams())
    expected = {
        "bce_high": losses.binary_cross_entropy(A, LABELS),
        "bce_low": losses.binary_cross_entropy(B, LABELS),
        "feature_kl": losses.symmetric_kl(*given.mutual_pairs[0], 4.0),
        "logit_kl": losses.symmetric_kl(A, B, 4.0),
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-6, err_msg=name)


def test_default_weights_are_those_of_the_authors_code():
    total, terms = losses.mrm_loss(outputs(), LABELS, HParams())
    expected = terms["bce_high"] + terms["bce_low"]
    expected += 0.01 * terms["feature_kl"] + 0.1 * terms["logit_kl"]
    np.testing.assert_allclose(total, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("weight", "term"),
    [
        ("high_weight", "bce_high"),
        ("low_weight", "bce_low"),
        ("feature_weight", "feature_kl"),
        ("logit_weight", "logit_kl"),
    ],
)
def test_each_weight_scales_its_own_term(weight, term):
    nothing = HParams(
        high_weight=0.0, low_weight=0.0, feature_weight=0.0, logit_weight=0.0
    )
    hparams = dataclasses.replace(nothing, **{weight: 3.0})
    total, terms = losses.mrm_loss(outputs(), LABELS, hparams)
    np.testing.assert_allclose(total, 3 * terms[term], rtol=1e-6)


def test_hyperparameters_and_divergence_reach_the_terms():
    hparams = HParams(temperature=2.0, label_smoothing=0.2)
    given = outputs()
    _, terms = losses.mrm_loss(given, LABELS, hparams, logit_divergence="bernoulli")
    expected = {
        "bce_high": losses.binary_cross_entropy(A, LABELS, 0.2),
        "bce_low": losses.binary_cross_entropy(B, LABELS, 0.2),
        "feature_kl": losses.symmetric_kl(*given.mutual_pairs[0], 2.0),
        "logit_kl": losses.symmetric_kl(A, B, 2.0, "bernoulli"),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("pairs", [0, 3])
def test_stages_add_up_in_the_feature_term(pairs):
    given = outputs(pairs)
    _, terms = losses.mrm_loss(given, LABELS, HParams())
    expected = sum(
        (losses.symmetric_kl(*pair, 4.0) for pair in given.mutual_pairs), np.zeros(3)
    )
    np.testing.assert_allclose(terms["feature_kl"], expected, rtol=1e-6)


def test_masked_mean_matches_values_by_hand():
    values, mask = jnp.array([1.0, 2, 99, 6]), jnp.array([1.0, 1, 0, 1])
    np.testing.assert_allclose(losses.masked_mean(values, mask), 3)


def test_parts_of_uneven_devices_average_to_the_mean():
    values = jnp.array([[1.0, 2], [6, 99], [99, 99], [99, 3]])
    mask = jnp.array([[1.0, 1], [1, 0], [0, 0], [0, 1]])

    def share(values, mask):
        part = losses.masked_mean(values, mask, devices.AXIS)
        return jax.lax.pmean(part, devices.AXIS)

    found = devices.map_devices(share)(values, mask)
    np.testing.assert_allclose(found, 4 * [(1 + 2 + 6 + 3) / 4], rtol=1e-6)
