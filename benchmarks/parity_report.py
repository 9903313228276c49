"""Contents of the report of `parity_training`: metadata and differences.

"curves" are the fields of parity_runs.Curves as JSON values.
"""

import os
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np

from benchmarks import harness
from mrm_jax.metrics import scores, seeds
from mrm_jax.runtime import devices
from mrm_jax.training import metadata as metadata_lib
from mrm_jax.training import run_spec

DATA_KEYS = (
    "data_set",
    "data_set_version",
    "label_set",
    "labels",
    "records",
    "sampling_rate",
    "num_samples",
    "mean_uv",
    "std_uv",
    "sha256",
)
Curves = Mapping[str, Any]
Summary = dict[str, dict[str, float]]  # side or "difference" -> mean, sd -> AUC


def facts(
    spec: run_spec.RunSpec, mode: str, torch_device: str, command: str
) -> dict[str, Any]:
    """Returns the metadata of the report: machine, versions, data and config."""
    return {
        "mode": mode,
        "command": command,
        "machine": {
            "platform": platform.platform(),
            "cpu": harness.processor(),
            "cores": os.cpu_count(),
            "jax_devices": devices.describe(),
            "torch_device": torch_device,
        },
        "versions": metadata_lib.versions() | {"torch": metadata.version("torch")},
        "data": {name: spec.metadata["data"][name] for name in DATA_KEYS},
        "config": spec.metadata["config"],
    }


def differences(curves: Curves, base: Curves) -> dict[str, Any]:
    """Returns |curves - base| for every epoch, and for the test split at the end."""
    return {
        "loss": _distance(curves["loss"], base["loss"]),
        "val_macro_auc": {
            head: _distance(curves["val_macro_auc"][head], base["val_macro_auc"][head])
            for head in scores.HEADS
        },
        "test_macro_auc": {
            head: abs(curves["test_macro_auc"][head] - base["test_macro_auc"][head])
            for head in scores.HEADS
        },
    }


def final_aucs(curves: Sequence[Curves]) -> dict[str, list[float]]:
    """Returns split -> macro AUC of the mean score after the last epoch, [seed]."""
    return {
        "val": [run["val_macro_auc"]["mean"][-1] for run in curves],
        "test": [run["test_macro_auc"]["mean"] for run in curves],
    }


def summary(found: Sequence[float], base: Sequence[float]) -> Summary:
    """Returns mean and sample standard deviation of both sides and their differences.

    Args:
        found: AUCs of mrm_jax, [seed].
        base: AUCs of PyTorch for the same seeds, [seed]; at least two.
    """
    columns: dict[str, Any] = {
        "mrm_jax": found,
        "pytorch": base,
        "difference": np.subtract(found, base),
    }
    return {name: seeds.mean_sd(list(values)) for name, values in columns.items()}


def difference_line(name: str, found: Mapping[str, Any]) -> str:
    """Formats the largest differences as one line."""
    return (
        f"|{name} - pytorch|: loss at most {max(found['loss']):.2g} nats and val macro "
        f"AUC at most {max(found['val_macro_auc']['mean']):.2g} in any epoch, "
        f"final test macro AUC {found['test_macro_auc']['mean']:.2g}"
    )


def summary_line(split: str, found: Summary) -> str:
    """Formats the mean ± sd of a split as one line."""
    columns = (f"{n} {seeds.text(v, 4)}" for n, v in found.items())
    return f"{split} macro AUC, mean ± sd over seeds: {', '.join(columns)}"


def _distance(found: Sequence[float], base: Sequence[float]) -> list[float]:
    return np.abs(np.subtract(found, base)).tolist()
