"""Training in float64, for comparisons of programs that sum in different orders.

In float32 their rounding differences grow from step to step.
"""

import jax
import numpy as np

from mrm_jax.training import input_pipeline


def widen(tree):
    """Returns a tree with its floats in float64."""
    return jax.tree.map(
        lambda x: x.astype(float) if np.issubdtype(x.dtype, np.floating) else x, tree
    )


class SplitLoader(input_pipeline.SplitLoader):
    """A loader of float64 records."""

    def records(self, shares):
        """Returns what `input_pipeline.SplitLoader.records` does."""
        records, rows = super().records(shares)
        return widen(jax.device_get(records)), rows
