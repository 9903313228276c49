import numpy as np
import pytest

from mrm_jax.report import p_values


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([1.0] * 99, 2 / 100),
        ([-1.0] * 99, 2 / 100),
        ([-1.0] * 2 + [1.0] * 97, 6 / 100),
        ([0.0] * 99, 1.0),
        ([-1.0, 1.0], 1.0),
    ],
)
def test_p_value_by_hand(differences, expected):
    assert p_values.two_sided(np.array(differences)) == pytest.approx(expected)


def test_holm_by_hand():
    assert p_values.holm([0.01, None, 0.04, 0.03]) == [
        pytest.approx(0.03),
        None,
        pytest.approx(0.06),
        pytest.approx(0.06),
    ]
    assert p_values.holm([0.6, 0.7]) == [1.0, 1.0]
    assert p_values.holm([]) == []
