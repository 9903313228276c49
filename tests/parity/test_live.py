"""Both implementations side by side, on the same random weights and signals.

In float64 every quantity of `torch_side.quantities` agrees to 1e-9.
"""

import numpy as np
import pytest

from tests.parity import cases, jax_side

torch = pytest.importorskip(
    "torch", reason="the live comparison needs torch: make parity", exc_type=ImportError
)

from tests.parity import torch_side  # noqa: E402  (it imports torch)

DOUBLE = 1e-9
SMALL = {"width": 4, "num_samples": 200}
OPTIONS = {
    "defaults": cases.Case(**SMALL),
    "71 labels": cases.Case(num_labels=71, **SMALL),
    "every stage, time aligned, bernoulli": cases.Case(
        mutual_stages=("multi_scale", "extractor", "attention"),
        feature_pairing="time_aligned",
        logit_divergence="bernoulli",
        **SMALL,
    ),
    "exchange": cases.Case(exchange=True, **SMALL),
    "the paper's ECA": cases.Case(eca_conv=True, mutual_stages=("extractor",), **SMALL),
    "no mutual features": cases.Case(mutual_stages=(), width=4, num_samples=199),
}


def relative_error(found, exact):
    """The largest difference over the largest exact value."""
    assert found.shape == exact.shape, (found.shape, exact.shape)
    scale = np.max(np.abs(exact))
    difference = np.max(np.abs(np.float64(found) - exact))
    return difference / scale if scale else difference


@pytest.fixture(scope="module", params=OPTIONS.values(), ids=OPTIONS.keys())
def case(request):
    return request.param


@pytest.fixture(scope="module")
def given(case):
    return cases.state_dict(case), *cases.inputs(case)


@pytest.fixture(scope="module")
def exact(case, given):
    """PyTorch's quantities in float64."""
    return torch_side.quantities(case, *given, np.float64)


def test_float64_agrees_everywhere(case, given, exact):
    found = jax_side.quantities(case, *given, np.float64)
    assert found.keys() == exact.keys()
    errors = {name: relative_error(found[name], exact[name]) for name in exact}
    worst = max(errors, key=lambda name: errors[name])
    assert errors[worst] <= DOUBLE, (worst, errors[worst])
