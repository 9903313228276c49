"""Metadata stored in every exported file: labels, units, thresholds and provenance."""

import math
from typing import Any

from mrm_jax import version
from mrm_jax.metrics import thresholds
from mrm_jax.models.mrm_net import network
from mrm_jax.reports import run_report
from mrm_jax.runs import trained_run
from mrm_jax.training import metadata

FORMAT = "mrm_jax export 1"
MV_PER_UV = 1e-3
INTENDED_USE = (
    "Research on ECG classification. This is not a medical device. Do not use it for "
    "diagnosis or for decisions about patients."
)
LICENSE = (
    "The software is licensed under Apache-2.0. The weights are subject to the terms "
    "of the data on which they were trained."
)
# Arguments of MRMNet on which the scores depend.
MODEL = ("num_labels", "num_samples", "width", "exchange", "eca_conv")


def describe(run: trained_run.TrainedRun) -> dict[str, Any]:
    """Returns the metadata needed to use a run's scores, as JSON.

    Args:
        run: trained run whose dataset is known.
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
        # The file standardises its input itself; these are for information only.
        "mean_mv": data["mean_uv"] * MV_PER_UV,
        "std_mv": data["std_uv"] * MV_PER_UV,
        "thresholds": {
            head: _thresholds(run.labels, chosen)
            for head, chosen in run.thresholds.items()
        },
        "model": model_arguments(run),
        "run": {
            "epoch": run.epoch,
            "epochs_trained": run.epochs_trained,
            "metrics": facts["metrics"],
            "test": _test_auc(run),
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


# With the rest of the description, these are all of training.metadata.DATA_KEYS.
_ORIGIN = tuple(
    "data_set data_set_version label_set records sha256 unit mean_uv std_uv".split()
)


def model_arguments(run: trained_run.TrainedRun) -> dict[str, Any]:
    """Returns the arguments that reproduce the scores of a run's network.

    Those of other networks than MRM-Net have the "name" of the network beside them.
    """
    if isinstance(run.model, network.MRMNet):
        return {name: getattr(run.model, name) for name in MODEL}
    model = run.metadata["config"]["model"]
    return {
        "name": model["name"],
        "num_labels": run.model.num_labels,
        "num_samples": run.model.num_samples,
        **model.get("options", {}),
    }


def _test_auc(run: trained_run.TrainedRun) -> dict[str, Any] | None:
    """Returns the macro AUC of the mean score on the test fold, with its interval.

    None: the run has no report of this epoch.
    """
    if not run_report.exists(run.workdir):
        return None
    report = run_report.read(run.workdir)
    facts = report["facts"]
    same = (facts["epoch"], facts["sha256"]) == (run.epoch, run.data["sha256"])
    if not same or "test" not in report:
        return None
    interval = report["intervals"]["heads"]["mean"]["macro_auc"]
    return {"macro_auc": report["test"]["mean"]["macro_auc"], "interval": interval}


def _thresholds(
    labels: tuple[str, ...], chosen: thresholds.Thresholds
) -> dict[str, Any]:
    """Returns one head's thresholds; a score at or above its threshold is a finding.

    Dividing the logits, log(score / (1 - score)), by the temperature makes their
    sigmoid a probability. The scores in the file, to which the thresholds apply, are
    not scaled by the temperature.
    """
    return {
        "overall": _number(chosen.overall),
        "by_label": dict(zip(labels, map(_number, chosen.by_label), strict=True)),
        "temperature": _number(chosen.temperature),
        "source": chosen.source,
    }


def _number(value: float) -> float | None:
    """Returns a number as a JSON value, with None for NaN."""
    return None if math.isnan(value) else value
