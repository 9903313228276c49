import jax
import numpy as np
import pytest

from mrm_jax.models import resnet1d_wang
from tests.helpers import baselines, numpy_baselines, numpy_reference

SMALL = resnet1d_wang.ResNet1dWang(3, 45, head_width=6, width=8)


# Stem 12 · 7 · 128 + 256 = 11,008. Three blocks with (5 + 3) · 128² + 2 · 256 = 131,584
# each; two skips with 128² + 256 = 16,640 each. Head 512 + 256 · 128 + 128 + 256 =
# 33,664, and 129 weights for each label.
@pytest.mark.parametrize(("num_labels", "count"), [(5, 473_349), (71, 481_863)])
def test_number_of_parameters(num_labels, count):
    outputs, variables = baselines.shapes_of(resnet1d_wang.ResNet1dWang(num_labels))
    assert outputs.logits.shape == (2, num_labels)
    assert baselines.size(variables["params"]) == count


def test_feature_maps_are_halved_by_the_second_and_third_block():
    shapes = baselines.feature_map_shapes(resnet1d_wang.ResNet1dWang(5))
    assert shapes == {
        "stem": (2, 1000, 128),
        "block1": (2, 1000, 128),
        "block2": (2, 500, 128),
        "block3": (2, 250, 128),
    }


def test_inference_equals_the_numpy_reference():
    variables, signal, logits = baselines.random_inference(SMALL)
    expected = numpy_baselines.resnet1d_wang(
        np.float64(signal), numpy_reference.on_host(variables)
    )
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)


def test_a_block_that_keeps_the_shape_has_no_skip_convolution():
    shapes = baselines.shapes_of(SMALL)[1]["params"]
    skips = {name for name, block in shapes.items() if "skip" in block}
    assert skips == {"block2", "block3"}


def test_a_block_that_widens_has_a_skip_convolution():
    block = resnet1d_wang.BasicBlock(channels=8, taps=(5, 3))
    signal = jax.ShapeDtypeStruct((2, 10, 4), np.float32)
    found = jax.eval_shape(lambda x: block.init(jax.random.key(0), x, None), signal)
    assert found["params"]["skip"]["conv"]["kernel"].shape == (4, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width: expected 1 or more, got 0"),
        ({"stem_taps": 0}, "stem_taps: expected 1 or more, got 0"),
        ({"stem_taps": 8}, "stem_taps: expected odd numbers, got 8"),
        ({"block_taps": (5, 0)}, r"block_taps: expected 1 or more, got \(5, 0\)"),
    ],
)
def test_invalid_options_raise_at_construction(options, message):
    with pytest.raises(ValueError, match=message):
        resnet1d_wang.ResNet1dWang(num_labels=3, **options)
