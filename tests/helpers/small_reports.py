"""Small splits and metadata for reports on them."""

import numpy as np

from mrm_jax.metrics.scores import SplitScores

NAMES = ("CD", "HYP", "MI")
DESCRIPTIONS = ("Conduction disturbance", "Hypertrophy", "Infarction, [any]")
FACTS = {
    "data_set": "PTB-XL",
    "data_set_version": "subset",
    "label_set": "superdiagnostic",
    "records": {"train": 12345, "val": 30, "test": 40},
    "seed": 7,
    "epoch": 18,
    "command": "python -m mrm_jax.train --config experiments/ptbxl.py --workdir "
    "runs/a-folder-that-makes-the-line-longer-than-eighty-columns",
}
HEADS = ("high", "low", "mean")


def split(
    seed: int, num_records: int, num_labels: int = 3, first_labels: bool = False
) -> SplitScores:
    """Returns informative scores for labels of which each record has one."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, num_labels, num_records).astype(np.int16)
    labels = np.eye(num_labels, dtype=np.uint8)[first]
    labels[:, 0] = labels[:, 0] | (rng.random(num_records) < 0.2)
    high, low = (
        np.clip(labels * 0.3 + rng.random(labels.shape) * 0.7, 0, 1, dtype=np.float32)
        for _ in range(2)
    )
    names = np.array([f"records100/{i:05d}_lr" for i in range(num_records)])
    return SplitScores.of_two(names, labels, high, low, first if first_labels else None)
