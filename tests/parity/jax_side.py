"""The quantities of a case, by `mrm_jax`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mrm_jax.interop import torch_weights
from mrm_jax.models.mrm_net import branches
from mrm_jax.training import losses, steps, train_state
from mrm_jax.training.hparams import HParams
from mrm_jax.training.input_pipeline import Batch
from tests.parity import cases

TERMS = ("bce_high", "bce_low", "feature_kl", "logit_kl", "loss")


def quantities(case, state_dict, signal, labels, dtype):
    """Returns name -> array in PyTorch's layout; see `torch_side.quantities`."""
    with jax.enable_x64(dtype == np.float64):
        model = case.model()
        variables = jax.tree.map(
            lambda array: np.asarray(array, dtype), torch_weights.from_torch(state_dict)
        )
        signal = signal.swapaxes(1, 2).astype(dtype)
        labels = labels.astype(dtype)
        # In float32, long sums are rounded as users have it. Otherwise compiling takes
        # longer than the few steps.
        as_users = dtype == np.float32 and case.is_large()
        score, step, init, update = _compiled(model, 3 if as_users else 0)
        found = _outputs("eval", jax.device_get(score(variables, signal)))
        opt_state, adam_losses = init(variables["params"]), []
        for number in range(cases.ADAM_STEPS):
            grads, (terms, outputs, moved) = step(variables, signal, labels)
            adam_losses.append(terms["loss"])
            if number == 0:
                first = jax.device_get((grads, terms, outputs, moved))
                found |= _first_step(*first)
            params, opt_state = update(grads, opt_state, variables["params"])
            variables = {"params": params, "batch_stats": moved}
        found["adam_losses"] = np.stack(adam_losses)
        after = jax.device_get(score(variables, signal))
        found |= _outputs("after_adam", after, stages=())
        return {name: np.asarray(value) for name, value in found.items()}


@functools.lru_cache(maxsize=2)  # the draws of a case have the same programs
def _compiled(model, optimization_level):
    """Returns score, step, and Adam's init and update, compiled at a level of XLA."""
    optimizer = train_state.optimizer(HParams())
    functions = (
        functools.partial(model.apply, train=False),
        functools.partial(_step, model),
        optimizer.init,
        functools.partial(_update, optimizer),
    )
    options = {"xla_backend_optimization_level": optimization_level}
    return [jax.jit(function, compiler_options=options) for function in functions]


def go_on(case, state, signal, labels, num_steps):
    """Returns the losses of the next training steps from a state, without dropout."""
    model = case.model()
    step = jax.jit(functools.partial(steps.train_step, model=model))
    batch = Batch(
        signal=jnp.asarray(signal.swapaxes(1, 2), jnp.float32),
        labels=jnp.asarray(labels, jnp.float32),
        mask=jnp.ones(len(labels)),
    )
    found = []
    for _ in range(num_steps):
        state, terms = step(state, batch, HParams(dropout_rate=0.0))
        found.append(float(terms["loss"]))
    return found


def _step(model, variables, signal, labels):
    def loss_fn(params):
        outputs, moved = model.apply(
            {"params": params, "batch_stats": variables["batch_stats"]},
            signal,
            train=True,
            dropout_rate=0.0,
            mutable=["batch_stats"],
        )
        total, terms = losses.mrm_loss(
            outputs, labels, HParams(), logit_divergence=model.logit_divergence
        )
        means = jax.tree.map(jnp.mean, terms | {"loss": total})
        return means["loss"], (means, outputs, moved["batch_stats"])

    return jax.grad(loss_fn, has_aux=True)(variables["params"])


def _update(optimizer, grads, opt_state, params):
    updates, opt_state = optimizer.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state


def _first_step(grads, terms, outputs, moved):
    found = {f"terms/{name}": terms[name] for name in TERMS}
    found |= _outputs("train", outputs, stages=())
    by_name = torch_weights.to_torch({"params": grads})
    found |= {f"grad/{name}": value for name, value in by_name.items()}
    by_name = torch_weights.to_torch({"batch_stats": moved})
    return found | {f"running/{name}": value for name, value in by_name.items()}


def _outputs(prefix, outputs, stages=branches.STAGES):
    found = {
        f"{prefix}/high_logits": outputs.high_logits,
        f"{prefix}/low_logits": outputs.low_logits,
    }
    for stage in stages:
        for branch in ("high", "low"):
            features = getattr(outputs, f"{branch}_features")[stage]
            found[f"{prefix}/{stage}_{branch}"] = features.swapaxes(1, 2)
    return found
