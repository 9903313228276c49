"""Imports what commands need, once for all processes of `tests.helpers.commands`."""

import importlib

from tests import conftest  # noqa: F401  (sets the flags of XLA)

for module in (
    "data_prep.cpsc2018",
    "matplotlib.backends.backend_svg",
    "mrm_jax.evaluate",
    "mrm_jax.export",
    "mrm_jax.predict",
    "mrm_jax.reports.html",
    "mrm_jax.reports.model_card",
    "mrm_jax.sweep",
    "mrm_jax.sweeps.search",
    "mrm_jax.train",
    "mrm_jax.training.tensorboard_events",
    "scipy.optimize",
    "scipy.signal",
    "tests.helpers.tiny_network",
):
    importlib.import_module(module)
