"""The quantities of a case, by the reference in PyTorch."""

from unittest import mock

import numpy as np
import torch
from torch.nn import functional

from mrm_jax.interop import torch_model
from tests.parity import cases, torch_losses


def network(case, state_dict, dtype=torch.float64):
    """Returns the reference network with these weights, without dropout."""
    net = torch_model.TorchMRMNet(
        case.num_labels,
        case.width,
        exchange=case.exchange,
        eca_conv=case.eca_conv,
        dropout=0.0,
    ).to(dtype)
    tensors = {
        name: torch.tensor(array, dtype=dtype) for name, array in state_dict.items()
    }
    found = net.load_state_dict(tensors, strict=False)
    left = [n for n in found.missing_keys if not n.endswith("num_batches_tracked")]
    assert not left and not found.unexpected_keys, found
    return net


def quantities(case, state_dict, signal, labels, dtype):
    """Returns name -> array: what a comparison of two implementations looks at.

    eval/ and after_adam/: logits, and before training the maps of all stages.
    train/, terms/, grad/, running/: logits, loss and terms, every parameter's gradient
    and every running average of the first step. adam_losses: the losses of five steps.

    PyTorch refuses to normalise a batch by a single value, as the channel gate does
    with one record. Its refusal is taken out: the single value becomes the norm's bias.
    Its running variance is then 0 / 0, and scores after training with it.
    """
    net = network(
        case, state_dict, torch.float64 if dtype == np.float64 else torch.float32
    )
    like = next(net.parameters())
    signal, labels = (torch.tensor(x, dtype=like.dtype) for x in (signal, labels))
    found = _score(net, signal, "eval", stages=True)
    optimizer = torch.optim.Adam(net.parameters(), lr=cases.LEARNING_RATE)
    adam_losses = []
    net.train()
    for number in range(cases.ADAM_STEPS):
        optimizer.zero_grad()
        with mock.patch.object(functional, "_verify_batch_size", lambda size: None):
            logits, stages = net(signal)
        total, terms = torch_losses.loss_terms(
            logits,
            stages,
            labels,
            case.mutual_stages,
            case.feature_pairing,
            case.logit_divergence,
        )
        total.backward()
        adam_losses.append(total.item())
        if number == 0:
            found |= _first_step(net, logits, terms | {"loss": total})
        optimizer.step()
    found["adam_losses"] = np.array(adam_losses)
    return found | _score(net, signal, "after_adam", stages=False)


def _score(net, signal, prefix, stages):
    net.eval()
    with torch.no_grad():
        logits, maps = net(signal)
    found = {
        f"{prefix}/{b}_logits": z for b, z in zip(("high", "low"), logits, strict=True)
    }
    for stage, pair in maps.items() if stages else ():
        found |= {
            f"{prefix}/{stage}_{b}": m
            for b, m in zip(("high", "low"), pair, strict=True)
        }
    return {name: value.numpy() for name, value in found.items()}


def _first_step(net, logits, terms):
    found = {"train/high_logits": logits[0], "train/low_logits": logits[1]}
    found |= {f"terms/{name}": value for name, value in terms.items()}
    found |= {f"grad/{name}": value.grad for name, value in net.named_parameters()}
    for name, value in net.named_buffers():
        if not name.endswith("num_batches_tracked"):
            found[f"running/{name}"] = value.clone()
    return {name: value.detach().numpy() for name, value in found.items()}
