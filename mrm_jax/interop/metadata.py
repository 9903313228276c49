"""What travels inside every exported file, as JSON: labels, units, where it is from."""

import math
from typing import Any

from mrm_jax import version
from mrm_jax.metrics import thresholds
from mrm_jax.models.mrm_net import network
from mrm_jax.runs import trained_run
from mrm_jax.training import metadata

FORMAT = "mrm_jax export 1"
MV_PER_UV = 1e-3
INTENDED_USE = (
    "Research on ECG classification. No medical device: not for diagnosis, nor for "
    "decisions about patients."
)
LICENSE = (
    "The software is under Apache-2.0; weights are bound by the terms of the data that "
    "they were trained on."
)
# Arguments of MRMNet that scoring depends on.
MODEL = ("num_labels", "num_samples", "width", "exchange", "eca_conv")


def describe(run: trained_run.TrainedRun) -> dict[str, Any]:
    """Returns what has to be known to use a run's scores, as JSON.

    Args:
        run: its data are known.
    """
    data, facts = run.data, run.metadata
    return {
        "format": FORMAT,
        "labels": list(run.labels),
        "descriptions": list(data["descriptions"]),
        "leads": list(data["leads"]),
        "unit": "mV",
        "sampling_rate": data["sampling_rate"],
        "num_samples": data["num_samples"],
        "length_rule": data["length_rule"],
        "resolution_mv": MV_PER_UV,  # shards hold whole microvolts
        # Subtracted and divided by inside the file; here for who wants to know.
        "mean_mv": data["mean_uv"] * MV_PER_UV,
        "std_mv": data["std_uv"] * MV_PER_UV,
        "thresholds": {
            head: _thresholds(run.labels, chosen)
            for head, chosen in run.thresholds.items()
        },
        "model": model_arguments(run.model),
        "run": {
            "epoch": run.epoch,
            "seed": facts["config"]["seed"],
            "command": facts["command"],
            "config": facts["config"],
            "versions": facts["versions"],
            **{name: data[name] for name in _ORIGIN},
        },
        "exported_by": metadata.versions(),
        "software": f"mrm_jax {version.VERSION}",
        "license": LICENSE,
        "intended_use": INTENDED_USE,
    }


_ORIGIN = ("data_set", "data_set_version", "label_set", "records", "sha256")


def model_arguments(model: network.MRMNet) -> dict[str, Any]:
    """Returns the arguments of MRMNet that make a network of the same scores."""
    return {name: getattr(model, name) for name in MODEL}


def _thresholds(
    labels: tuple[str, ...], chosen: thresholds.Thresholds
) -> dict[str, Any]:
    """Returns one head's: a score that reaches its threshold is a finding.

    The temperature divides logits, log(score / (1 - score)), so that their sigmoid is a
    probability; the scores of the file, which thresholds are for, are without it.
    """
    return {
        "overall": _number(chosen.overall),
        "by_label": dict(zip(labels, map(_number, chosen.by_label), strict=True)),
        "temperature": _number(chosen.temperature),
        "source": chosen.source,
    }


def _number(value: float) -> float | None:
    """Returns a number as JSON has it: None for NaN."""
    return None if math.isnan(value) else value
