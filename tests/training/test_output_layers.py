import jax
import numpy as np
import pytest

from mrm_jax.models import networks
from mrm_jax.training import output_layers
from tests.helpers import small_states


def test_only_the_heads_have_an_axis_of_labels():
    axes = output_layers.label_axes(small_states.TINY)
    assert set(axes) == {
        ("params", layer, name)
        for layer in ("high_logits", "low_logits")
        for name in ("kernel", "bias")
    }


@pytest.mark.slow
def test_selected_outputs_are_those_of_the_whole_network():
    model = small_states.TINY
    state = small_states.create(model, 1)
    signal = jax.random.normal(jax.random.key(0), (2, model.num_samples, 12))
    whole = model.apply(state.raw_variables, signal, train=False)
    chosen = output_layers.select(model, state.raw_variables, [2, 0])
    part = model.clone(num_labels=2).apply(chosen, signal, train=False)
    np.testing.assert_allclose(
        part.high_logits, whole.high_logits[:, [2, 0]], rtol=1e-5
    )
    np.testing.assert_allclose(part.low_logits, whole.low_logits[:, [2, 0]], rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "layer"), [("resnet1d_wang", ("head", "linear2")), ("s4", ("decoder",))]
)
def test_baselines_have_one_output_layer(name, layer):
    model = networks.build(name, {}, num_labels=5, num_samples=100, axis_name=None)
    axes = output_layers.label_axes(model)
    assert set(axes) == {("params", *layer, part) for part in ("kernel", "bias")}
