"""The scores that a network gives the records of a split."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

BRANCHES = ("high", "low")  # of MRM-Net
MEAN = "mean"
HEADS = (*BRANCHES, MEAN)  # whose scores MRM-Net reports
MEAN_FIRST = (MEAN, *BRANCHES)  # the order in which readers see them


def heads_of(branches: Sequence[str]) -> tuple[str, ...]:
    """Returns the heads whose scores are reported: the branches and their mean.

    A network with one branch has the mean head only, which is that branch.
    """
    return (*branches, MEAN) if len(branches) > 1 else (MEAN,)


def of_heads(branches: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the scores of each head, in the order of `heads_of`.

    Args:
        branches: scores of each branch, of one shape.
    """
    first, *others = branches.values()
    mean = sum(others, start=first) / len(branches)
    return {**(branches if others else {}), MEAN: mean}


@dataclasses.dataclass(frozen=True)
class SplitScores:
    """The records of a split with their labels and the scores of each branch."""

    names: np.ndarray  # [record], text
    labels: np.ndarray  # [record, label], 0 or 1
    branches: Mapping[str, np.ndarray]  # branch -> [record, label], scores from 0 to 1
    first_label: np.ndarray | None = None  # [record], -1 where unknown; CPSC2018 only

    def __post_init__(self) -> None:
        """Checks that the arrays belong together.

        Raises:
            ValueError: if their shapes differ.
        """
        shapes = {array.shape for array in (self.labels, *self.branches.values())}
        lengths = {len(self.names), len(self.labels)}
        if len(shapes) > 1 or len(lengths) > 1:
            raise ValueError(
                "expected labels and scores of one shape [record, label] and a name "
                f"per record, found {sorted(shapes)} and lengths "
                f"{sorted(lengths)}; pass arrays of the same records"
            )

    @classmethod
    def of_two(
        cls,
        names: np.ndarray,
        labels: np.ndarray,
        high: np.ndarray,
        low: np.ndarray,
        first_label: np.ndarray | None = None,
    ) -> "SplitScores":
        """Returns the scores of MRM-Net's branches; arguments as the attributes."""
        return cls(names, labels, {"high": high, "low": low}, first_label)

    @property
    def mean(self) -> np.ndarray:
        """The mean score of all branches, [record, label]."""
        return self.heads[MEAN]

    @property
    def heads(self) -> dict[str, np.ndarray]:
        """The scores of each head, in the order of `heads_of`."""
        return of_heads(self.branches)
