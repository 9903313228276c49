"""Tests against quantities that PyTorch computed once (make_expected.py)."""

import pathlib

import numpy as np
import pytest

from tests.parity import cases, compare, jax_side

pytestmark = pytest.mark.slow

FILE = pathlib.Path(__file__).with_name("expected.npz")


def expected(case_name):
    with np.load(FILE) as file:
        names = [name for name in file if name.startswith(f"{case_name}/")]
        return {name.removeprefix(f"{case_name}/"): file[name] for name in names}


@pytest.mark.parametrize("case_name", cases.KEPT)
def test_float64_agrees_with_stored_pytorch_results(case_name):
    case = cases.KEPT[case_name]
    given = cases.given(case)
    found = compare.summary(jax_side.quantities(*given, np.float64))
    compare.assert_double(compare.relative_errors(found, expected(case_name)))
