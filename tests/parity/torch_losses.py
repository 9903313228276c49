"""The loss of MRM-Net in PyTorch, for the outputs of the PyTorch network."""

import torch
from torch.nn import functional


def flatten(feature_map, pairing):
    """Returns [batch, feature] channel by channel, or step by step."""
    if pairing == "time_aligned":
        feature_map = feature_map.transpose(1, 2)
    return feature_map.flatten(1)


def symmetric_kl(a, b, temperature=4.0):
    """Returns KL(b || a) + KL(a || b) of softened softmaxes, per record, times T²."""
    log_a = functional.log_softmax(a / temperature, dim=1)
    log_b = functional.log_softmax(b / temperature, dim=1)
    kl_ba = functional.kl_div(log_a, log_b, reduction="sum", log_target=True)
    kl_ab = functional.kl_div(log_b, log_a, reduction="sum", log_target=True)
    return (kl_ba + kl_ab) * temperature**2 / len(a)


def symmetric_bernoulli_kl(a, b, temperature=4.0):
    """Returns the same for one coin a label: a softmax over (z, 0) each."""
    pairs = (torch.stack([z, torch.zeros_like(z)], dim=2) for z in (a, b))
    flat_a, flat_b = (pair.reshape(-1, 2) for pair in pairs)
    return symmetric_kl(flat_a, flat_b, temperature) * a.shape[1]


def loss_terms(
    logits,
    stages,
    labels,
    mutual_stages=("attention",),
    pairing="channel_major",
    divergence="softmax",
):
    """Returns the weighted total and its unweighted terms, by the names of mrm_loss."""
    high, low = logits
    bce = functional.binary_cross_entropy_with_logits
    logit_kl = symmetric_kl if divergence == "softmax" else symmetric_bernoulli_kl
    terms = {
        "bce_high": bce(high, labels),
        "bce_low": bce(low, labels),
        "feature_kl": sum(
            (
                symmetric_kl(*(flatten(part, pairing) for part in stages[stage]))
                for stage in mutual_stages
            ),
            start=torch.zeros((), dtype=high.dtype),
        ),
        "logit_kl": logit_kl(high, low),
    }
    total = terms["bce_high"] + terms["bce_low"]
    total = total + 0.01 * terms["feature_kl"] + 0.1 * terms["logit_kl"]
    return total, terms
