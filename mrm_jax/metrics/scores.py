"""TODO mrm_jax.metrics.scores."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class SplitScores:
    """What both branches say of every record of a split."""

    names: np.ndarray  # [record], text
    labels: np.ndarray  # [record, label], 0 or 1
    high: np.ndarray  # [record, label], scores from 0 to 1
    low: np.ndarray  # [record, label], likewise
    first_label: np.ndarray | None = None  # [record], -1 where unknown; CPSC2018 only

    def __post_init__(self) -> None:
        """Refuses arrays that do not belong together."""
        shapes = {array.shape for array in (self.labels, self.high, self.low)}
        lengths = {len(self.names), len(self.labels)}
        if len(shapes) > 1 or len(lengths) > 1:
            raise ValueError(
                "expected labels, high and low of one shape [record, label] and a name "
                f"per record, found {sorted(shapes)} and lengths {sorted(lengths)}"
            )

    @property
    def mean(self) -> np.ndarray:
        """The mean score of both branches, [record, label]."""
        return (self.high + self.low) / 2

    @property
    def heads(self) -> dict[str, np.ndarray]:
        """The scores that are reported, by name."""
        return {"high": self.high, "low": self.low, "mean": self.mean}
