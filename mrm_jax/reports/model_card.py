"""The model card of a run: what the network is, its results, and its limitations.

The card is Markdown, rendered from report.json, with the front matter that the Hugging
Face Hub reads.

References:
    Mitchell et al., 2019, Model Cards for Model Reporting, arXiv 1810.03993.
"""

import functools
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import yaml

from mrm_jax.data import manifest, preprocessing, splits
from mrm_jax.metrics import names, significance
from mrm_jax.models import networks
from mrm_jax.reports import caveats, dataset_info, heads, model_card_rows
from mrm_jax.runtime import atomic

FILE = "MODEL_CARD.md"
UNKNOWN = "unknown"
MRM_NET = "MRM-Net"
TASK = "multi-label-classification"
TAGS = ("ecg", "electrocardiogram", "12-lead", TASK, "mrm-net", "jax", "flax")
HUB_METRICS = {  # key of the report -> the Hub's name of that metric
    "macro_auc": "roc_auc",
    "macro_ap": "average_precision",
    "macro_f1": "f1",
    "tpr": "recall",
    "f1": "f1",
    "accuracy": "accuracy",
    "f_at_val_threshold": "f1",
    "cpsc_f1": "f1",
}
LENGTH_RULES = {
    preprocessing.EXACT: "records of another length were skipped",
    preprocessing.STRETCH_OR_CUT: (
        "longer records were cut to their beginning and shorter ones stretched"
    ),
}


def write(
    workdir: Path | str, report: Mapping[str, Any], num_parameters: int | None = None
) -> Path:
    """Writes the model card of a run and returns its path.

    Args:
        workdir: folder of the run.
        report: content of report.json. The card says "unknown" or "not measured" for
            parts that are missing or None.
        num_parameters: number of the network's parameters; None if unknown.
    """
    path = Path(workdir) / FILE
    with atomic.replacing(path) as temporary:
        temporary.write_text(render(workdir, report, num_parameters), encoding="utf-8")
    return path


def render(
    workdir: Path | str,
    report: Mapping[str, Any],
    num_parameters: int | None = None,
    repo_id: str | None = None,
) -> str:
    """Returns the model card of a run as Markdown.

    Args:
        workdir: as in `write`.
        report: as in `write`.
        num_parameters: as in `write`.
        repo_id: repository on the Hugging Face Hub whose README.md the card becomes.
            Its example loads the run from there.
    """
    facts = model_card_rows.Known(report["facts"])
    head = heads.primary(facts)
    template = _environment().get_template("model_card.md.j2")
    return template.render(
        workdir=Path(workdir).as_posix(),
        repo_id=repo_id,
        facts=facts,
        network=_network(facts["config"] or {}),
        versions=model_card_rows.Known(facts["versions"] or {}),
        config=yaml.safe_dump(facts["config"] or {}, sort_keys=False),
        num_parameters=num_parameters,
        is_imported=_is_imported(facts),
        untrained=" and ".join(heads.untrained(facts)),
        init=_describe_init(facts),
        front_matter=_front_matter(
            (repo_id or Path(workdir).resolve().name).split("/")[-1], report, head
        ),
        **_describe_data(facts),
        **_describe_input(facts),
        **_describe_results(report, head),
    )


def _network(config: Mapping[str, Any]) -> str:
    name = (config.get("model") or {}).get("name", networks.MRM_NET)
    return MRM_NET if name == networks.MRM_NET else name.rpartition(":")[2]


def _describe_init(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns how the run used the weights of another one, if it did."""
    if not facts["init"]:
        return None
    wanted, rate = facts["config"]["init"], facts["config"]["hparams"]["inherited_rate"]
    frozen = ", ".join(wanted["freeze"])
    how = f"Frozen modules: {frozen}. " if frozen else "No module was frozen. "
    if rate != 1:
        how += (
            f"Other weights of that run changed at {rate:g} times the learning rate. "
        )
    whose = "that run" if wanted["statistics"] == "run" else "these data"
    how += f"Signals are standardised with the statistics of {whose}."
    return {**facts["init"], "how": how}


def _describe_data(facts: Mapping[str, Any]) -> dict[str, Any]:
    measured = model_card_rows.Known(facts["evaluated_on"] or facts)
    data_set = dataset_info.of(facts["data_set"])
    return {
        "data_set": data_set,
        "part": _part(facts["records"] or {}, data_set.num_records),
        "measured": measured,
        "is_synthetic": any(
            dataset_info.of(of["data_set"]).is_synthetic for of in (facts, measured)
        ),
        "records": _counts(facts["records"] or {}),
        "folds": ", ".join(
            f"{_span(folds)} {split}" for split, folds in _folds(facts).items()
        ),
    }


def _part(records: Mapping[str, int], whole: int | None) -> str:
    """Returns the share of the training records in a data set, such as "11 %"."""
    if not whole or "train" not in records:
        return UNKNOWN
    return f"{100 * records['train'] / whole:.0f} %"


def _describe_input(facts: Mapping[str, Any]) -> dict[str, str]:
    rate, num_samples = facts["sampling_rate"], facts["num_samples"]
    of_length, length = "", UNKNOWN
    if rate and num_samples:
        of_length = f" of {num_samples / rate:g} s"
        length = f"{num_samples:,} samples"
    if facts["length_rule"]:
        rule = facts["length_rule"]
        length += f"; in preparation, {LENGTH_RULES.get(rule, rule)}"
    normalisation = UNKNOWN
    if facts["std_uv"]:
        normalisation = (
            f"subtract the mean, {facts['mean_uv']:.4f} µV, and divide by the standard "
            f"deviation, {facts['std_uv']:.4f} µV; both are shared by all leads"
        )
    return {
        "of_length": of_length,
        "length": length,
        "sampling_rate": f"{rate} Hz" if rate else UNKNOWN,
        "normalisation": normalisation,
    }


def _describe_results(report: Mapping[str, Any], head: str) -> dict[str, Any]:
    facts = model_card_rows.Known(report["facts"])
    intervals = model_card_rows.Known(report.get("intervals") or {})
    labels = model_card_rows.of_labels(report, head)
    rare = caveats.rare_classes(labels, report.get("num_records"))
    split = _split(facts)
    return {
        "split": split,
        "head": head,
        "heads": model_card_rows.heads_of(report[split]),
        "metrics": model_card_rows.of_metrics(report[split], intervals["heads"] or {}),
        "num_macro": report[split][head].get("macro_labels"),
        "num_unlabelled": _num_unlabelled(report),
        "unlabelled": caveats.unlabelled(report),
        "intervals": intervals,
        "labels": labels,
        "label_columns": [names.LABEL[key] for key in model_card_rows.LABEL_COLUMNS],
        "calibration_columns": list(names.CALIBRATION.values()),
        "has_labels": bool(report.get("labels")),
        "rare": significance.RARE,
        "num_rare": len(rare),
        "rare_class": caveats.either(rare),
        "calibration": model_card_rows.of_calibration(report.get("calibration") or {}),
    }


def _num_unlabelled(report: Mapping[str, Any]) -> int | None:
    """Returns the number of evaluated records with none of the labels; None: unknown.

    Reports did not count them once. The data sets of that time had none.
    """
    known = dataset_info.of(report["facts"].get("data_set")).num_records is not None
    return report.get("num_unlabelled", 0 if known else None)


def _front_matter(name: str, report: Mapping[str, Any], head: str) -> str:
    """Returns the metadata that the Hub reads, as YAML.

    References:
        https://github.com/huggingface/hub-docs/blob/main/modelcard.md
    """
    facts = model_card_rows.Known(report["facts"])
    result = _hub_result(report, head)
    fields = {
        "language": "en",
        "license": "apache-2.0",
        "library_name": "mrm_jax",
        "tags": list(TAGS),
        "datasets": [dataset_info.of(facts["data_set"]).slug],
        "metrics": sorted({metric["type"] for metric in result["metrics"]}),
        "model-index": [{"name": name, "results": [result]}],
    }
    if _is_imported(facts):
        fields["license"] = UNKNOWN
        del fields["datasets"]
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def _hub_result(report: Mapping[str, Any], head: str) -> dict[str, Any]:
    facts = model_card_rows.Known(report["facts"])
    split, measured = (
        _split(facts),
        model_card_rows.Known(facts["evaluated_on"] or facts),
    )
    return {
        "task": {"type": TASK, "name": "multi-label classification of 12-lead ECGs"},
        "dataset": {
            "type": dataset_info.of(measured["data_set"]).slug,
            "name": _data_name(measured),
            "config": facts["label_set"] or UNKNOWN,
            "split": split,
            "revision": measured["data_set_version"] or UNKNOWN,
        },
        "metrics": [
            {
                "type": kind,
                "name": f"{names.SPLIT[key]}, {head} head",
                "value": float(value),
            }
            for key, kind in HUB_METRICS.items()
            if (value := report[split][head].get(key)) is not None
        ],
    }


def _is_imported(facts: Mapping[str, Any]) -> bool:
    """Returns whether the weights came from PyTorch, with unknown training data."""
    return "mrm_jax.convert" in (facts["command"] or "")


def _data_name(facts: Mapping[str, Any]) -> str:
    """Returns the data set's name, followed by "subset" if it is only a part."""
    name = facts["data_set"] or UNKNOWN
    return f"{name} subset" if facts["data_set_version"] == "subset" else name


def _split(facts: Mapping[str, Any]) -> str:
    return facts["split"] or "test"


def _counts(records: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {split}" for split, count in records.items())


def _folds(facts: Mapping[str, Any]) -> splits.SplitFolds:
    asked = ((facts.get("config") or {}).get("data") or {}).get("folds") or {}
    return splits.complete(asked, manifest.SPLIT_FOLDS)


def _span(folds: Sequence[int]) -> str:
    """Returns folds as text, such as "1–3 and 6"."""
    spans: list[list[int]] = []
    for fold in sorted(folds):
        if spans and fold == spans[-1][-1] + 1:
            spans[-1].append(fold)
        else:
            spans.append([fold])
    return " and ".join(
        f"{span[0]}–{span[-1]}" if len(span) > 1 else str(span[0]) for span in spans
    )


def _text(value: Any) -> str:
    """Returns plain text escaped for Markdown, also within a table."""
    if value is None or value == "":
        return UNKNOWN
    one_line = " ".join(str(value).split())
    escaped = re.sub(r"([\\`*_\[\]|#~])", r"\\\1", one_line.replace("&", "&amp;"))
    return escaped.replace("<", "&lt;").replace(">", "&gt;")


def _count(value: int | None) -> str:
    return model_card_rows.NOT_MEASURED if value is None else f"{value:,}"


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mrm_jax.reports"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        text=_text, count=_count, data_name=_data_name, shell=shlex.quote
    )
    return environment
