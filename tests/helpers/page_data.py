"""Scores made without training, and a matching report.json."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mrm_jax.data import leads
from mrm_jax.metrics import classification, cpsc2018
from mrm_jax.metrics.scores import SplitScores

SAMPLING_RATE, NUM_SAMPLES = 100, 1000
THRESHOLD = 0.4
NUM_BINS = 15
WEIGHTS = {
    "high_weight": 1.0,
    "low_weight": 1.0,
    "feature_weight": 0.01,
    "logit_weight": 0.1,
}
FACTS: dict[str, Any] = {
    "data_set": "waves",
    "data_set_version": "1",
    "label_set": "shapes",
    "records": {"train": 1200, "val": 150, "test": 150},
    "leads": list(leads.LEADS),
    "sampling_rate": SAMPLING_RATE,
    "num_samples": NUM_SAMPLES,
    "sha256": "0123456789abcdef",
    "seed": 7,
    "epoch": 3,
    "epochs_trained": 5,
    "selection": "val/macro_auc_mean",
    "devices": "1 x cpu",
    "command": "python -m mrm_jax.train --config experiments/waves.py",
    "config": {"name": "first waves", "seed": 7, "hparams": WEIGHTS},
    "versions": {"mrm_jax": "0.1.0", "jax": "0.10.2"},
    "split": "test",
    "evaluated_on": None,
}


def split_of(num_records: int, num_labels: int, seed: int = 0) -> SplitScores:
    """Returns scores that are worse for rarer labels."""
    rng = np.random.default_rng(seed)
    share = np.geomspace(0.4, 0.02, num_labels)
    labels = (rng.random((num_records, num_labels)) < share).astype(np.uint8)
    skill = np.linspace(5, 1.3, num_labels)
    high, low = (
        1 / (1 + np.exp(3 - skill * labels - rng.normal(0, 1.2, labels.shape)))
        for _ in range(2)
    )
    names = np.array([f"records100/00000/{i:05d}_lr" for i in range(num_records)])
    return SplitScores.of_two(names, labels, high, low)


def read_signal_mv(rows: np.ndarray) -> np.ndarray:
    """Returns waves [row, time, lead], another height for each row and lead."""
    time = np.arange(NUM_SAMPLES)[:, np.newaxis] / SAMPLING_RATE
    waves = np.sin(2.4 * np.pi * time) ** 15 * np.linspace(-0.5, 1.5, 12)
    return waves * (1 + rows % 3)[:, np.newaxis, np.newaxis] / 2


def history(num_epochs: int = 5) -> list[dict[str, Any]]:
    """Returns lines of metrics.jsonl of a run that overfits in the end."""
    return [_epoch(number, number / num_epochs) for number in range(1, num_epochs + 1)]


def _epoch(number: int, done: float) -> dict[str, Any]:
    """Returns the line of one epoch, at which this share of the training is done."""
    terms = {"bce_high": 0.3 / number, "bce_low": 0.4 / number}
    terms |= {"feature_kl": 3 / number, "logit_kl": 0.2 * done}
    loss = terms["bce_high"] + terms["bce_low"]
    loss += 0.01 * terms["feature_kl"] + 0.1 * terms["logit_kl"]
    auc = {"mean": 1 - 0.3 / number, "high": 0.98 - 0.3 / number}
    return {
        "epoch": number,
        "train/loss": loss,
        **{f"train/{name}": value for name, value in terms.items()},
        **{f"val/macro_auc_{head}": value for head, value in auc.items()},
        "val/bce_high": 0.25 / number + 0.1 * done**2,
        "val/bce_low": 0.3 / number + 0.1 * done**2,
    }


def report_of(
    scores: SplitScores, names: Sequence[str], **facts: Any
) -> dict[str, Any]:
    """Returns a report with made-up intervals and calibration."""
    found = {
        head: classification.evaluate(of_head, scores.labels, 0.3)
        for head, of_head in scores.heads.items()
    }
    if scores.first_label is not None:
        for head, of_head in scores.heads.items():
            first = scores.first_label
            found[head] |= cpsc2018.evaluate(of_head, scores.labels, first)
    calibration = {
        head: _calibration(of_head, scores.labels)
        for head, of_head in scores.heads.items()
    }
    intervals = {
        head: {name: _about(value) for name, value in of_head.items()}
        for head, of_head in found.items()
    }
    return _without_nan(
        {
            "facts": FACTS | {"labels": list(names)} | facts,
            "num_labels": len(names),
            "test": found,
            "val": found,
            "intervals": {"level": 0.95, "resamples": 1000, "seed": 0, "note": None}
            | {"heads": intervals},
            "labels": _rows(scores, names),
            "calibration": calibration,
        }
    )


def _rows(scores: SplitScores, names: Sequence[str]) -> list[dict[str, Any]]:
    by_label = {
        head: _label_metrics(of_head, scores.labels)
        for head, of_head in scores.heads.items()
    }
    return [
        {
            "label": name,
            "description": f"{name} in plain words",
            "positive_records": int(scores.labels[:, i].sum()),
            "heads": {
                head: _row({metric: float(of[metric][i]) for metric in of})
                for head, of in by_label.items()
            },
        }
        for i, name in enumerate(names)
    ]


def _label_metrics(scores: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the metrics of each label, [label]."""
    of_label = classification.evaluate_labels(scores, labels)
    found, there = scores >= THRESHOLD, labels == 1
    hits = (found & there).sum(axis=0)
    return {
        "auc": of_label.auc,
        "average_precision": of_label.average_precision,
        "f1": of_label.f1,
        "sensitivity": classification.ratio(hits, there.sum(axis=0)),
        "specificity": classification.ratio(
            (~found & ~there).sum(axis=0), (~there).sum(0)
        ),
        "ppv": classification.ratio(hits, found.sum(axis=0)),
        "f1_at_threshold": classification.ratio(2 * hits, found.sum(0) + there.sum(0)),
    }


def _row(values: dict[str, float]) -> dict[str, Any]:
    about = {f"{metric}_interval": _about(value) for metric, value in values.items()}
    return values | about | {"threshold": THRESHOLD}


def _about(value: float) -> list[float]:
    return [value - 0.03, value + 0.02]


def _calibration(scores: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    numbers = {"temperature": 1.3, "ece": 0.031, "brier": 0.06, "nll": 0.21}
    numbers |= {"ece_scaled": 0.02, "brier_scaled": 0.05, "nll_scaled": 0.2}
    bins = {
        "reliability": _bins(scores, labels),
        "reliability_scaled": _bins(scores**1.3, labels),
    }
    return numbers | {"ece_interval": [0.02, 0.04]} | bins


def _bins(scores: np.ndarray, labels: np.ndarray) -> list[dict[str, Any]]:
    bins = []
    for start in range(NUM_BINS):
        here = np.minimum((scores * NUM_BINS).astype(int), NUM_BINS - 1) == start
        score, share = (
            float(values[here].mean()) if here.any() else None
            for values in (scores, labels)
        )
        ends = {"from": start / NUM_BINS, "to": (start + 1) / NUM_BINS}
        bins.append(ends | {"cells": int(here.sum()), "score": score, "share": share})
    return bins


def _without_nan(value: Any) -> Any:
    """Returns the value as JSON holds it."""
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
