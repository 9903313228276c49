"""The work that both sides of a benchmark get: records of noise, in batches."""

import dataclasses

import numpy as np

MEAN_UV, STD_UV = 0.0, 250.0


@dataclasses.dataclass(frozen=True)
class Load:
    """Records of noise and the size of the work."""

    batch: int
    labels: int = 71
    samples: int = 1000
    batches: int = 1  # of one round

    @property
    def records(self) -> int:
        """Records of one round."""
        return self.batch * self.batches

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns signals [record, time, lead], int16, and labels, uint8."""
        rng = np.random.default_rng(0)
        shape = (self.records, self.samples, 12)
        signals = rng.normal(MEAN_UV, STD_UV, shape).astype(np.int16)
        return signals, (rng.random((self.records, self.labels)) < 0.05).astype("u1")
