"""The differences between two implementations, by quantity and group of quantities."""

import numpy as np

DOUBLE = 1e-9  # the largest relative error in float64
ROUNDED_ZERO = 1e-12  # what is left of gradients that vanish, in float64
FACTOR = 3  # of PyTorch's own float32 error, in float32


def summary(quantities):
    """Returns what a small file keeps: sums of gradients, every 97th feature.

    A gradient g becomes [norm, Σ g·cos k, Σ g·sin 0.7k], k = 0, 1, ... over its
    flattened entries: an exchange of any two would show.
    """
    return {name: _kept(name, np.asarray(array)) for name, array in quantities.items()}


def _kept(name, array):
    if name.startswith("grad/"):
        flat = array.astype(np.float64).ravel()
        k = np.arange(flat.size)
        return np.array(
            [np.linalg.norm(flat), flat @ np.cos(k), flat @ np.sin(0.7 * k)]
        )
    if name.startswith("eval/") and not name.endswith("logits"):
        return array.reshape(len(array), -1)[:, ::97]
    return array


def relative_errors(found, exact):
    """Returns name -> largest difference over largest exact value."""
    assert found.keys() == exact.keys(), found.keys() ^ exact.keys()
    return {name: _relative_error(found[name], exact[name]) for name in exact}


def _relative_error(found, exact):
    assert found.shape == exact.shape, (found.shape, exact.shape)
    scale = np.max(np.abs(exact))
    difference = np.max(np.abs(np.float64(found) - exact))
    return float(difference / scale if scale > ROUNDED_ZERO else difference)


def assert_double(errors):
    """Every relative error is below 1e-9; names those that are not."""
    # Written so that NaN is not below.
    beyond = {name: error for name, error in errors.items() if not error < DOUBLE}
    assert errors and not beyond, beyond


def assert_no_further(draws):
    """In every group our float32 errors are, in the mean, at most 3 times PyTorch's."""
    # Written so that NaN is not below.
    beyond = {
        g: ratio for g, ratio in mean_ratios(draws).items() if not ratio <= FACTOR
    }
    assert not beyond, beyond


def mean_ratios(draws):
    """Returns group -> how many times further from the truth we are than PyTorch.

    A maximum or a ReLU that rounding turns the other way moves single gradients by
    parts in a hundred, now in PyTorch and now here; and single numbers are now and then
    right by luck, a loss to 5e-9. So what is compared are geometric means over all
    quantities of a group ("grad", "running", ...) and over several draws of weights.

    Args:
        draws: pairs of our and PyTorch's `relative_errors`.
    """
    groups = dict.fromkeys(name.partition("/")[0] for name in draws[0][0])
    return {group: _mean_ratio(draws, group) for group in groups}


def _mean_ratio(draws, group):
    # Exact results count as a quarter of a rounding error.
    least = np.finfo(np.float32).eps / 4
    logs = [
        np.log(max(ours[name], least)) - np.log(max(pytorch[name], least))
        for ours, pytorch in draws
        for name in ours
        if name.partition("/")[0] == group
    ]
    return float(np.exp(np.mean(logs)))
