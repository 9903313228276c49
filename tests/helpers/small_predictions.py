"""A run of a few kilobytes that was never trained, and raw records it can score."""

from pathlib import Path

import numpy as np

from mrm_jax.interop import conversion
from mrm_jax.training import run_spec
from tests.helpers import raw_records, small_runs, small_states

SOURCE_RATE = 500  # Hz; windows are small_runs.NUM_SAMPLES at 100 Hz
WINDOW = small_runs.NUM_SAMPLES * SOURCE_RATE // 100  # samples of a raw record


def write_run(folder: Path) -> Path:
    """Writes a run of small shards with the state that training begins with."""
    shards_dir = small_runs.write_shards(folder / "shards")
    facts = run_spec.build_run_spec(small_runs.config(shards_dir)).metadata
    conversion.write_run(folder / "run", small_states.create(), facts, epoch=7)
    return folder / "run"


def ecg_mv(num_samples: int = WINDOW, seed: int = 0) -> np.ndarray:
    """Returns noise [time, lead] of an ECG's size whose limb leads belong together."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, 0.05, (num_samples, len(raw_records.LEADS))), axis=0)
    signal_mv = 0.2 * (walk - walk.mean(axis=0)) / walk.std(axis=0)
    one, two = signal_mv[:, 0].copy(), signal_mv[:, 1].copy()
    limb = (one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2)
    signal_mv[:, :6] = np.stack(limb, axis=1)
    return np.round(signal_mv, 3)  # whole microvolts


def scores(model) -> dict[str, float]:
    """Returns a model's scores of `ecg_mv`."""
    return model.predict(ecg_mv(), SOURCE_RATE).scores


def write_record(path: Path, num_samples: int = WINDOW, seed: int = 0) -> Path:
    """Writes a WFDB record of `ecg_mv`; returns its header's path."""
    values = np.rint(1000 * ecg_mv(num_samples, seed)).astype(np.int16)
    return raw_records.write_wfdb(path, values, SOURCE_RATE)
