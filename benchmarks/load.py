"""Workload shared by both sides of a benchmark: batches of noise records."""

import dataclasses

import numpy as np

MEAN_UV, STD_UV = 0.0, 250.0


@dataclasses.dataclass(frozen=True)
class Load:
    """Number and size of noise records, in batches."""

    batch: int
    labels: int = 71
    samples: int = 1000
    batches: int = 1  # in one round

    @property
    def records(self) -> int:
        """Number of records in one round."""
        return self.batch * self.batches

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns signals [record, time, lead], int16, and labels, uint8."""
        rng = np.random.default_rng(0)
        shape = (self.records, self.samples, 12)
        signals = rng.normal(MEAN_UV, STD_UV, shape).astype(np.int16)
        return signals, (rng.random((self.records, self.labels)) < 0.05).astype("u1")
