"""The scores that each branch of the network gives the records of a split."""

import dataclasses

import numpy as np

BRANCHES = ("high", "low")
HEADS = (*BRANCHES, "mean")  # whose scores are reported; "mean" is of both branches
MEAN_FIRST = ("mean", *BRANCHES)  # the order in which readers see them


@dataclasses.dataclass(frozen=True)
class SplitScores:
    """The records of a split with their labels and the scores of both branches."""

    names: np.ndarray  # [record], text
    labels: np.ndarray  # [record, label], 0 or 1
    high: np.ndarray  # [record, label], scores from 0 to 1
    low: np.ndarray  # [record, label], scores from 0 to 1
    first_label: np.ndarray | None = None  # [record], -1 where unknown; CPSC2018 only

    def __post_init__(self) -> None:
        """Checks that the arrays belong together.

        Raises:
            ValueError: if their shapes differ.
        """
        shapes = {array.shape for array in (self.labels, self.high, self.low)}
        lengths = {len(self.names), len(self.labels)}
        if len(shapes) > 1 or len(lengths) > 1:
            raise ValueError(
                "expected labels, high and low of one shape [record, label] and a name "
                f"per record, found {sorted(shapes)} and lengths "
                f"{sorted(lengths)}; pass arrays of the same records"
            )

    @property
    def mean(self) -> np.ndarray:
        """The mean score of both branches, [record, label]."""
        return (self.high + self.low) / 2

    @property
    def heads(self) -> dict[str, np.ndarray]:
        """The scores of each head, in the order of HEADS."""
        return {head: getattr(self, head) for head in HEADS}
