"""One training step and one scoring step, as pure functions of one device's share."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from mrm_jax.models import networks
from mrm_jax.training import augmentation, losses, train_state
from mrm_jax.training import inherited as inherited_lib
from mrm_jax.training.hparams import HParams
from mrm_jax.training.input_pipeline import Batch

Terms = dict[str, jax.Array]


def train_step(
    state: train_state.TrainState, batch: Batch, hparams: HParams, **options: Any
) -> tuple[train_state.TrainState, Terms]:
    """Makes one update of a state, as `packed_step` does."""
    packed = train_state.PackedState.pack(state, as_vector=False)
    packed, terms = packed_step(packed, batch, hparams, **options)
    return packed.unpack(), terms


def packed_step(
    packed: train_state.PackedState,
    batch: Batch,
    hparams: HParams,
    *,
    model: networks.Network,
    augment: bool = False,
    inherited: inherited_lib.Inherited | None = None,
) -> tuple[train_state.PackedState, Terms]:
    """Makes one update; returns the state and the mean loss, its terms and "grad_norm".

    With `augment` the records are changed at random first, see `augmentation`. If
    model.axis_name is set, the batch is this device's share. Batch statistics, losses
    and gradients are then those of the whole batch, on every device. With `inherited`,
    weights of another run are frozen or change more slowly.
    """
    state = packed.state
    if augment:
        key = augmentation.key_of(state.rng, state.step)
        batch = augmentation.augment(batch, key, hparams, model.axis_name)
    by_param, (terms, batch_stats) = _gradient(packed, batch, hparams, model)
    grads = packed.ravelled(by_param)
    if model.axis_name is not None:
        grads, terms = jax.lax.pmean((grads, terms), model.axis_name)
    terms["grad_norm"] = optax.tree.norm(grads)
    grads = _clipped(grads, terms["grad_norm"], hparams.clip_norm)
    updates, opt_state = train_state.optimizer(hparams, state.step).update(
        grads, state.opt_state, state.params
    )
    if inherited is not None:
        by_param = packed.unravelled(updates)
        by_param = inherited_lib.scale_updates(by_param, inherited, hparams)
        updates = packed.ravelled(by_param)
    state = dataclasses.replace(
        state,
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        opt_state=opt_state,
        batch_stats=batch_stats,
    )
    state = train_state.with_averages(state, hparams)
    return dataclasses.replace(packed, state=state), terms


def _gradient(packed, batch, hparams, model):
    """Returns the gradient, and the terms of the loss with new running averages."""
    state = packed.state

    def loss_fn(params):
        """Returns the mean loss, and its terms with the updated running averages."""
        outputs, updated = model.apply(
            {"params": params, "batch_stats": state.batch_stats},
            batch.signal,
            train=True,
            mask=batch.mask,
            dropout_rate=hparams.dropout_rate,
            rngs={"dropout": jax.random.fold_in(state.rng, state.step)},
            mutable=["batch_stats"],
        )
        total, terms = losses.training_loss(outputs, batch.labels, hparams, model)
        means = jax.tree.map(
            lambda term: losses.masked_mean(term, batch.mask, model.axis_name),
            {"loss": total, **terms},
        )
        return means["loss"], (means, updated["batch_stats"])

    return jax.grad(loss_fn, has_aux=True)(packed.params)


def _clipped(grads, norm, clip_norm):
    """Scales the gradient down to a norm of `clip_norm`; 0 leaves it as it is."""
    is_large = (clip_norm > 0) & (norm > clip_norm)
    scale = jnp.where(is_large, clip_norm / jnp.where(is_large, norm, 1), 1)
    return jax.tree.map(lambda grad: grad * scale.astype(grad.dtype), grads)


def predict_step(
    variables: Mapping[str, Any], batch: Batch, *, model: networks.Network
) -> dict[str, jax.Array]:
    """Returns the scores [batch, label] in (0, 1) of each branch, by its name."""
    outputs = model.apply(variables, batch.signal, train=False)
    return jax.tree.map(jax.nn.sigmoid, outputs.by_branch)
