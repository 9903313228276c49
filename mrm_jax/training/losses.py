"""Losses of MRM-Net, as pure functions that return one value per record.

The mean over records is taken last, by `masked_mean`. A batch that is padded with
masked records or split over devices therefore has exactly the loss of its records.
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from mrm_jax.models import networks
from mrm_jax.models.mrm_net import network
from mrm_jax.models.outputs import Outputs, SingleOutput
from mrm_jax.training.hparams import HParams

Scalar = Float[Array, ""] | float


def binary_cross_entropy(
    logits: Float[Array, "batch label"],
    labels: Float[Array, "batch label"],
    label_smoothing: Scalar = 0.0,
) -> Float[Array, " batch"]:
    """Returns each record's sigmoid cross-entropy, averaged over labels, in nats.

    Args:
        logits: outputs before the sigmoid.
        labels: labels, 0. or 1.
        label_smoothing: smoothing s, which replaces a label y by (1 - s) y + s / 2.
    """
    smooth = (1 - label_smoothing) * labels + label_smoothing / 2
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, smooth), axis=-1)


def weighted_cross_entropy(
    logits: Float[Array, "batch label"],
    labels: Float[Array, "batch label"],
    hparams: HParams,
) -> Float[Array, " batch"]:
    """Returns the cross-entropy of the recipe, averaged over labels, in nats.

    With p the score and y the smoothed label, the term of each label is

        -positive_weight · y · (1 - p)^positive_focus · log p
        - (1 - y) · q^negative_focus · log(1 - q),    q = max(p - negative_margin, 0)

    The defaults (1, 0, 0, 0) are `binary_cross_entropy`. Equal focuses are the focal
    loss, unequal ones with a margin the asymmetric loss.

    References:
        Lin et al., 2017, arXiv 1708.02002 (focal loss); Ridnik et al., 2021, arXiv
        2009.14119 (asymmetric loss).
    """
    smoothing = hparams.label_smoothing
    smooth = (1 - smoothing) * labels + smoothing / 2
    log_p, log_not_p = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    # Powers as exponentials: the gradient of x**0 is not finite at 0.
    positive = hparams.positive_weight * jnp.exp(hparams.positive_focus * log_not_p)
    log_q, log_not_q = _with_margin(log_p, log_not_p, hparams.negative_margin)
    negative = jnp.exp(hparams.negative_focus * log_q)
    terms = -positive * smooth * log_p - negative * (1 - smooth) * log_not_q
    return jnp.mean(terms, axis=-1)


def _with_margin(
    log_p: Float[Array, "batch label"],
    log_not_p: Float[Array, "batch label"],
    margin: Scalar,
) -> tuple[Float[Array, "batch label"], Float[Array, "batch label"]]:
    """Returns log q and log(1 - q) with q = max(p - margin, 0).

    Where q is 0, the first is 0 instead of -∞: the second, by which it is multiplied
    after `exp`, is 0 as well.
    """
    q = jnp.exp(log_p) - margin
    inside = (margin > 0) & (q > 0)
    q = jnp.where(inside, q, 0.5)  # elsewhere gradients would not be finite
    without = margin == 0
    log_q = jnp.where(without, log_p, jnp.where(inside, jnp.log(q), 0))
    log_not_q = jnp.where(without, log_not_p, jnp.where(inside, jnp.log1p(-q), 0))
    return log_q, log_not_q


def distill_kl(
    student: Float[Array, "batch score"],
    teacher: Float[Array, "batch score"],
    temperature: Scalar,
) -> Float[Array, " batch"]:
    """Returns KL(teacher || student) of softened scores, times temperature², in nats.

    Gradients reach both arguments: in MRM-Net each branch is the other's teacher.

    References:
        Hinton et al., 2015, arXiv 1503.02531.
    """
    log_student = jax.nn.log_softmax(student / temperature, axis=-1)
    log_teacher = jax.nn.log_softmax(teacher / temperature, axis=-1)
    kl = jnp.sum(jnp.exp(log_teacher) * (log_teacher - log_student), axis=-1)
    return kl * temperature**2


def bernoulli_kl(
    student: Float[Array, "batch label"],
    teacher: Float[Array, "batch label"],
    temperature: Scalar,
) -> Float[Array, " batch"]:
    """Returns KL(teacher || student) summed over labels, times temperature², in nats.

    Each label is an independent Bernoulli variable with probability
    sigmoid(logit / temperature). This suits labels that may be present together; a
    softmax makes them compete.
    """
    student, teacher = student / temperature, teacher / temperature
    kl = jax.nn.sigmoid(teacher) * (
        jax.nn.log_sigmoid(teacher) - jax.nn.log_sigmoid(student)
    ) + jax.nn.sigmoid(-teacher) * (
        jax.nn.log_sigmoid(-teacher) - jax.nn.log_sigmoid(-student)
    )
    return jnp.sum(kl, axis=-1) * temperature**2


def symmetric_kl(
    a: Float[Array, "batch score"],
    b: Float[Array, "batch score"],
    temperature: Scalar,
    divergence: str = "softmax",
) -> Float[Array, " batch"]:
    """Returns KL(b || a) + KL(a || b) of softened scores, times temperature², in nats.

    Raises:
        ValueError: if divergence is neither "softmax" nor "bernoulli".
    """
    if divergence not in network.DIVERGENCES:
        raise ValueError(
            f"divergence: expected one of {network.DIVERGENCES}, got {divergence!r}"
        )
    kl = distill_kl if divergence == "softmax" else bernoulli_kl
    return kl(a, b, temperature) + kl(b, a, temperature)


def training_loss(
    outputs: Outputs | SingleOutput,
    labels: Float[Array, "batch label"],
    hparams: HParams,
    model: networks.Network,
) -> tuple[Float[Array, " batch"], dict[str, Float[Array, " batch"]]]:
    """Returns each record's training loss and its named terms, in nats.

    It is `mrm_loss` for a network with two branches, and otherwise the cross-entropy
    alone, "bce".
    """
    if isinstance(outputs, SingleOutput):
        bce = weighted_cross_entropy(outputs.logits, labels, hparams)
        return bce, {"bce": bce}
    divergence = getattr(model, "logit_divergence", "softmax")
    return mrm_loss(outputs, labels, hparams, logit_divergence=divergence)


def mrm_loss(
    outputs: Outputs,
    labels: Float[Array, "batch label"],
    hparams: HParams,
    *,
    logit_divergence: str = "softmax",
) -> tuple[Float[Array, " batch"], dict[str, Float[Array, " batch"]]]:
    """Returns each record's training loss and its named, unweighted terms, in nats.

    total = high_weight · bce_high + low_weight · bce_low
            + feature_weight · feature_kl + logit_weight · logit_kl

    The feature term is summed over the stages with mutual learning, and is 0 if there
    are none.

    References:
        Huang et al., 2024, arXiv 2406.16928.
    """
    temperature = hparams.temperature
    high, low = outputs.high_logits, outputs.low_logits
    terms = {
        "bce_high": weighted_cross_entropy(high, labels, hparams),
        "bce_low": weighted_cross_entropy(low, labels, hparams),
        "feature_kl": sum(
            (symmetric_kl(*pair, temperature) for pair in outputs.mutual_pairs),
            start=jnp.zeros(len(high), high.dtype),
        ),
        "logit_kl": symmetric_kl(high, low, temperature, logit_divergence),
    }
    total = (
        hparams.high_weight * terms["bce_high"]
        + hparams.low_weight * terms["bce_low"]
        + hparams.feature_weight * terms["feature_kl"]
        + hparams.logit_weight * terms["logit_kl"]
    )
    return total, terms


def masked_mean(
    values: Float[Array, " batch"],
    mask: Float[Array, " batch"],
    axis_name: str | None = None,
) -> Float[Array, ""]:
    """Returns this device's part of the mean over all unmasked records.

    The mean of the parts over `axis_name` (their pmean) is the mean over the whole
    batch, however unevenly the padding is distributed over the devices.
    """
    count = jnp.sum(mask)
    if axis_name is not None:
        count = jax.lax.pmean(count, axis_name)
    return jnp.sum(values * mask) / count
