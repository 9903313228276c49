import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.models.mrm_net import attention
from tests.helpers import numpy_reference

pytestmark = pytest.mark.slow

SIGNAL = jnp.array(np.random.default_rng(0).standard_normal((3, 9, 16)), float)


@pytest.mark.parametrize(
    ("module", "reference", "shape"),
    [
        (attention.ChannelGate(), numpy_reference.channel_gate, (3, 16)),
        (attention.TimeGate(), numpy_reference.time_gate, (3, 9)),
        (attention.AttentionStage(), numpy_reference.attention, (3, 9, 16)),
        (attention.AttentionStage(True), numpy_reference.attention, (3, 9, 16)),
    ],
)
def test_inference_equals_the_numpy_reference(module, reference, shape):
    variables = numpy_reference.random_variables(module, SIGNAL, None)
    found = jax.jit(lambda v: module.apply(v, SIGNAL, None))(variables)
    assert found.shape == shape
    expected = reference(np.float64(SIGNAL), numpy_reference.on_host(variables))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_channel_gate_normalises_each_call_separately():
    gate = attention.ChannelGate()
    variables = numpy_reference.random_variables(gate, SIGNAL, None)
    found, moved = gate.apply(variables, SIGNAL, jnp.ones(3), mutable=["batch_stats"])
    variables = numpy_reference.on_host(variables)
    params, norm = variables["params"], numpy_reference.part(variables, "norm")
    mean, var = norm["batch_stats"]["mean"], norm["batch_stats"]["var"]
    total = 0.0
    for pooled in (np.float64(SIGNAL).max(axis=1), np.float64(SIGNAL).mean(axis=1)):
        call = pooled @ params["reduce"]["kernel"] @ params["expand"]["kernel"]
        own = {"mean": call.mean(0), "var": call.var(0)}
        total = total + numpy_reference.batch_norm(
            call, {"params": norm["params"], "batch_stats": own}
        )
        mean = 0.9 * mean + 0.1 * call.mean(0)
        var = 0.9 * var + 0.1 * call.var(0, ddof=1)
    np.testing.assert_allclose(found, numpy_reference.sigmoid(total), rtol=1e-4)
    moved = moved["batch_stats"]["norm"]
    np.testing.assert_allclose(moved["mean"], mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(moved["var"], var, rtol=1e-4)
