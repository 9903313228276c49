import re

import numpy as np
import pytest

from mrm_jax.metrics import significance


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
def test_p_value_matches_values_by_hand(differences, expected):
    assert significance.two_sided(np.array(differences)) == pytest.approx(expected)


def test_holm_matches_values_by_hand():
    assert significance.holm([0.01, None, 0.04, 0.03]) == [
        pytest.approx(0.03),
        None,
        pytest.approx(0.06),
        pytest.approx(0.06),
    ]
    assert significance.holm([0.6, 0.7]) == [1.0, 1.0]
    assert significance.holm([]) == []


def test_no_p_value_is_below_the_smallest():
    clear = np.ones(99)
    assert significance.two_sided(clear) == significance.smallest(99)
    adjusted = significance.holm([significance.two_sided(clear)] * 3)
    assert adjusted == [significance.limits(99, 3)["smallest_p_holm"]] * 3


@pytest.mark.parametrize("num_labels", [26, 44, 71, 294])
def test_the_suggested_number_of_resamples_is_sufficient(num_labels):
    found = significance.limits(1000, num_labels)
    assert found["smallest_p_holm"] == pytest.approx(num_labels * 2 / 1001)
    said = re.search(r"draw ([\d,]+) or more \(--resamples\)", found["holm_note"])
    enough = int(said[1].replace(",", ""))
    assert significance.limits(enough, num_labels)["smallest_p_holm"] <= 0.01


@pytest.mark.parametrize("num_labels", [0, 1, 25])
def test_no_note_if_p_values_can_be_small(num_labels):
    assert significance.limits(1000, num_labels)["holm_note"] is None
