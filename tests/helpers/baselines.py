"""Shapes and random scores of the convolutional baselines."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from tests.helpers import numpy_reference

LEADS = 12


def shapes_of(model):
    """Returns the shapes of the outputs and of the variables, without computing."""
    signal = jax.ShapeDtypeStruct((2, model.num_samples, LEADS), jnp.float32)
    init = functools.partial(model.init_with_output, train=False)
    return jax.eval_shape(init, jax.random.key(0), signal)


def size(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def feature_map_shapes(model):
    """Returns name -> shape of the feature maps of the parts between crop and head."""
    shapes = jax.eval_shape(
        lambda signal: model.init_with_output(
            jax.random.key(0), signal, train=False, capture_intermediates=True
        )[1]["intermediates"],
        jax.ShapeDtypeStruct((2, model.num_samples, LEADS), jnp.float32),
    )
    del shapes["crop"], shapes["head"], shapes["__call__"]
    return {name: part["__call__"][0].shape for name, part in shapes.items()}


def random_inference(model, batch=2):
    """Returns random variables, a random signal and the logits."""
    rng = np.random.default_rng(1)
    signal = rng.standard_normal((batch, model.num_samples, LEADS))
    signal = jnp.asarray(signal, float)
    variables = numpy_reference.random_variables(model, signal, train=False)
    score = jax.jit(functools.partial(model.apply, train=False))
    logits = score(variables, signal).logits
    assert_records_differ(logits)
    return variables, signal, logits


def assert_records_differ(outputs):
    """Fails if any array says the same of all records, to a thousandth.

    With random weights, a narrow network may have no ReLU left that is ever active.
    Comparing its outputs would show nothing.
    """
    for array in jax.tree.leaves(outputs):
        assert np.std(array, axis=0).max() > 1e-3 * np.abs(array).max() > 0
