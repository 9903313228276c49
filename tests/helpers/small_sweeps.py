"""Sweeps that take seconds: an experiment file, and the options to run it."""

import textwrap
from pathlib import Path

from mrm_jax.sweeps import search

SPACE = """
    "hparams.learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
    "batch_size": CategoricalDistribution([12, 16]),
"""


def write(
    folder: Path,
    shards_dir: Path,
    space: str = SPACE,
    num_epochs: int = 2,
    *,
    change: str = "pass",
    own_process: bool = False,
) -> Path:
    """Writes the file of a sweep of small runs.

    `change` is a statement that changes `config`, the configuration of the runs.
    With `own_process` it makes the process that reads it train the tiny network.
    """
    path = folder / "sweep_file.py"
    path.write_text(
        textwrap.dedent(
            f"""
            from optuna.distributions import *
            from tests.helpers import small_runs, tiny_network

            if {own_process}:
                tiny_network.install()


            def get_config():
                config = small_runs.config({str(shards_dir)!r}, num_epochs={num_epochs})
                {change}
                return config


            def get_space():
                return {{SPACE}}
            """
        ).replace("SPACE", space)
    )
    return path


def options(config_file: Path, workdir: Path, **given) -> search.Options:
    """Returns the options of a small sweep, some of them given."""
    usual = {"trials": 6, "slots": 4, "seeds": 2, "pruner": "none", "sampler": "sobol"}
    return search.Options(str(config_file), [], workdir, **(usual | given))
