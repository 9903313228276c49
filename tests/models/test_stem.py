import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.models.mrm_net import stem
from tests.helpers import numpy_reference

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
SIGNAL = jnp.array(RNG.standard_normal((2, 30, 12)), float)


def test_stem_equals_the_numpy_reference():
    module = stem.Stem(width=4)
    variables = numpy_reference.random_variables(module, SIGNAL, None)
    found = jax.jit(lambda v: module.apply(v, SIGNAL, None))(variables)
    assert found.shape == (2, 34, 16)
    expected = numpy_reference.stem(
        np.float64(SIGNAL), numpy_reference.on_host(variables)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_each_convolution_adds_one_time_step():
    signal = jax.ShapeDtypeStruct((1, 1000, 12), jnp.float32)
    found, variables = jax.eval_shape(
        lambda x: stem.Stem().init_with_output(jax.random.key(0), x, None), signal
    )
    assert found.shape == (1, 1004, 64)
    kernels = [variables["params"][f"conv{i}"]["kernel"].shape for i in (1, 2, 3, 4)]
    assert kernels == [(11, 12, 16), (7, 16, 32), (5, 32, 64), (3, 64, 64)]


@pytest.mark.parametrize(("stride", "length"), [(1, 15), (2, 7)])
def test_the_merged_kernel_equals_four_convolutions(stride, length):
    module = stem.MultiScale(8, stride)
    variables = numpy_reference.random_variables(module, SIGNAL, None, 0.0)
    found = jax.jit(lambda v: module.apply(v, SIGNAL, None, 0.0))(variables)
    assert found.shape == (2, length, 8)
    expected = numpy_reference.multi_scale(
        np.float64(SIGNAL), numpy_reference.on_host(variables), stride
    )
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_four_kernels_are_kept_and_initialised_by_their_own_size():
    module = stem.MultiScale(8, 1)
    params = module.init(jax.random.key(0), SIGNAL, None, 0.0)["params"]
    for taps in (3, 13, 23, 33):
        bound = (taps * 12) ** -0.5
        assert params[f"kernel{taps}"].shape == (taps, 12, 8)
        assert 0.95 * bound < np.abs(params[f"kernel{taps}"]).max() <= bound


@pytest.mark.parametrize(
    ("ones_on", "values", "share"), [("a", {0, 2}, 0.5), ("b", {1}, 0)]
)
def test_dropout_applies_only_to_path_a_after_its_pool(ones_on, values, share):
    module = stem.MultiScale(16, 1)
    variables = numpy_reference.random_variables(module, SIGNAL, None, 0.0)
    for path in "ab":
        constant = jnp.full(16, float(path == ones_on))
        norm = {"scale": jnp.zeros(16), "bias": constant}
        variables["params"][f"norm_{path}"] = norm
    rngs = {"dropout": jax.random.key(0)}
    found, _ = module.apply(
        variables, SIGNAL, jnp.ones(2), 0.5, rngs=rngs, mutable=["batch_stats"]
    )
    assert set(np.unique(found)) == values
    # Dropped before the pool, only a quarter of the pairs would be zeros.
    np.testing.assert_allclose(np.mean(found == 0), share, atol=0.1)
