import jax.numpy as jnp
import numpy as np
import pytest

from mrm_jax.models import xresnet1d
from tests.helpers import baselines, numpy_baselines, numpy_reference

SMALL = xresnet1d.XResNet1d101(
    3, num_samples=45, head_width=6, width=8, stage_blocks=(2, 2, 1)
)


# Stem 5 · (12 · 32 + 32² + 32 · 64) + 2 · 128 = 17,536. A block 256 · 64 + 5 · 64² +
# 64 · 256 + 2 · 384 = 54,016; the first has 64 channels to begin with, and a skip,
# 58,624. 32 blocks more make 1,787,136. Head 1,024 + 512 · 128 + 128 + 256 = 66,944,
# and 129 weights for each label.
@pytest.mark.parametrize(("num_labels", "count"), [(5, 1_872_261), (71, 1_880_775)])
def test_number_of_parameters(num_labels, count):
    outputs, variables = baselines.shapes_of(xresnet1d.XResNet1d101(num_labels))
    assert outputs.logits.shape == (2, num_labels)
    assert baselines.size(variables["params"]) == count


def test_shapes_match_the_documented_stages():
    shapes = baselines.feature_map_shapes(xresnet1d.XResNet1d101(5))
    assert shapes.pop("stem") == (2, 250, 64)
    for stage, (blocks, length) in enumerate([(3, 250), (4, 125), (23, 63), (3, 32)]):
        for number in range(1, blocks + 1):
            name = f"stage{stage + 1}_block{number}"
            assert shapes.pop(name) == (2, length, 256)
    assert not shapes


def test_inference_equals_the_numpy_reference():
    variables, signal, logits = baselines.random_inference(SMALL)
    expected = numpy_baselines.xresnet1d(
        np.float64(signal), numpy_reference.on_host(variables), SMALL.stage_blocks
    )
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("values", "expected"),
    [((1, 3, 5, 6), (2, 5.5)), ((1, 3, 5), (2, 5)), ((7,), (7,))],
)
def test_mean_pool_matches_values_by_hand(values, expected):
    signal = jnp.array(values, float)[None, :, None]
    np.testing.assert_array_equal(xresnet1d.mean_pool(signal)[0, :, 0], expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width: expected a multiple of 2, got 0"),
        ({"width": 3}, "width: expected a multiple of 2, got 3"),
        ({"stage_blocks": ()}, r"stage_blocks: expected 1 or more, got \(\)"),
        ({"stage_blocks": (3, 0)}, r"stage_blocks: expected 1 or more, got \(3, 0\)"),
        ({"taps": 4}, "taps: expected odd numbers, got 4"),
    ],
)
def test_invalid_options_raise_at_construction(options, message):
    with pytest.raises(ValueError, match=message):
        xresnet1d.XResNet1d101(num_labels=3, **options)
