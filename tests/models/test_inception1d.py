import numpy as np
import pytest

from mrm_jax.models import inception1d
from tests.helpers import baselines, numpy_baselines, numpy_reference

SMALL = inception1d.Inception1d(
    3, num_samples=30, head_width=6, branch_width=4, bottleneck_width=3, taps=(9, 5)
)


# The first block 2 · 12 · 32 + (39 + 19 + 9) · 32² + 256 = 69,632; the others have 128
# channels instead of 12 to begin with, 77,056. Skips 12 · 128 + 256 = 1,792 and 128² +
# 256 = 16,640. Head 512 + 256 · 128 + 128 + 256 = 33,664, and 129 weights for each
# label.
@pytest.mark.parametrize(("num_labels", "count"), [(5, 507_653), (71, 516_167)])
def test_number_of_parameters(num_labels, count):
    outputs, variables = baselines.shapes_of(inception1d.Inception1d(num_labels))
    assert outputs.logits.shape == (2, num_labels)
    assert baselines.size(variables["params"]) == count


def test_all_feature_maps_have_128_channels_and_all_time_points():
    shapes = baselines.feature_map_shapes(inception1d.Inception1d(5))
    blocks = {f"block{number}" for number in range(1, 7)}
    assert shapes == dict.fromkeys(blocks | {"skip1", "skip2"}, (2, 1000, 128))


def test_inference_equals_the_numpy_reference():
    variables, signal, logits = baselines.random_inference(SMALL)
    expected = numpy_baselines.inception1d(
        np.float64(signal),
        numpy_reference.on_host(variables),
        SMALL.taps,
        SMALL.num_blocks,
    )
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_blocks": 0}, "num_blocks: expected a multiple of 3, got 0"),
        ({"num_blocks": 4}, "num_blocks: expected a multiple of 3, got 4"),
        ({"branch_width": 0}, "branch_width: expected 1 or more, got 0"),
        ({"bottleneck_width": 0}, "bottleneck_width: expected 1 or more, got 0"),
        ({"taps": (40, 20)}, r"taps: expected odd numbers, got \(40, 20\)"),
    ],
)
def test_invalid_options_raise_at_construction(options, message):
    with pytest.raises(ValueError, match=message):
        inception1d.Inception1d(num_labels=3, **options)
