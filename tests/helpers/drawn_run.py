"""A run to export: random weights of the narrowest network, and its shards."""

import dataclasses
from pathlib import Path

import jax
import numpy as np

from mrm_jax.interop import conversion, torch_weights
from mrm_jax.runs import trained_run
from mrm_jax.training import run_spec
from tests.helpers import small_runs, small_states
from tests.parity import cases

OPTIONS = {"exchange": True, "eca_conv": True}


def write_run(folder: Path, records_per_fold: int, **options) -> trained_run.TrainedRun:
    """Writes shards and a run of them below folder, and reads the run."""
    shards_dir = small_runs.write_shards(folder / "shards", records_per_fold)
    config = small_runs.config(shards_dir)
    config.model.update(options)
    spec = run_spec.build_run_spec(config, "python -m mrm_jax.train")
    case = cases.Case(
        num_labels=len(small_runs.LABELS),
        num_samples=small_runs.NUM_SAMPLES,
        width=config.model.width,
        **options,
    )
    # Weights as after training: scores of fresh ones hardly depend on the signal.
    drawn = torch_weights.from_torch(cases.state_dict(case))
    drawn = jax.tree.map(lambda array: array.astype(np.float32), drawn)
    state = dataclasses.replace(small_states.create(case.model()), **drawn)
    conversion.write_run(folder / "run", state, spec.metadata, epoch=3)
    return trained_run.read(folder / "run")
