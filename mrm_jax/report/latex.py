r"""Tables for a paper: LaTeX to \input into a document that uses booktabs.

report.tex       the metrics of a split by head and by label
comparison.tex   differences of runs
seeds.tex        mean and standard deviation over seeds

More rows than fit on a page make a longtable, of the package of that name.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mrm_jax.report import metric_names, p_values, resampling, shown_head, tex

REPORT_FILE = "report.tex"
COMPARISON_FILE = "comparison.tex"
SEEDS_FILE = "seeds.tex"
LABEL_HEAD = "mean"  # of the labels of a comparison, and first in it
LABEL_METRICS = {
    "auc": "AUC",
    "average_precision": "average precision",
    "f1_at_threshold": "F1 at its threshold",
}
UNDEFINED = "--"


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Writes report.tex of what report.json holds."""
    tables = [_overall(report)]
    if report.get("labels"):
        tables.append(_by_label(report))
    tex.write(folder / REPORT_FILE, tables)


def write_comparison(folder: Path, result: Mapping[str, Any]) -> None:
    """Writes comparison.tex of what comparison.json holds."""
    tables = []
    for number, other in enumerate(result["others"]):
        letter = chr(ord("B") + number)
        tables += [
            _differences(result, other, letter),
            _label_differences(result, other, letter),
        ]
    tex.write(folder / COMPARISON_FILE, tables)


def write_seeds(folder: Path, summary: Mapping[str, Any]) -> None:
    """Writes seeds.tex of what seeds.json holds."""
    facts, heads = summary["facts"], summary["heads"]
    seeds = ", ".join(str(run["seed"]) for run in summary["runs"])
    rows = [
        [tex.escape(name), *(_spread(of_head[metric]) for of_head in heads.values())]
        for metric, name in metric_names.known(next(iter(heads.values())))
    ]
    said = f"Mean and standard deviation (n - 1) of seeds {seeds}. {_origin(facts)}"
    table = tex.Table("Metrics over seeds", said, facts["command"], ["", *heads], rows)
    tex.write(folder / SEEDS_FILE, [table])


def _overall(report: Mapping[str, Any]) -> tex.Table:
    facts = report["facts"]
    split = facts.get("split", "test")
    heads = report[split]
    intervals = report.get("intervals") or {"heads": {}}
    rows = [
        [
            tex.escape(name),
            *(
                _value(of_head[metric], _at(intervals["heads"], head, metric))
                for head, of_head in heads.items()
            ),
        ]
        for metric, name in metric_names.known(heads["mean"])
    ]
    said = (
        f"Metrics of the {split} records{_said_of(intervals)}. "
        f"{_origin(facts)} {_origin_of_run(facts)}"
    )
    short = f"Metrics of the {split} records"
    return tex.Table(short, said, _command(facts), ["", *heads], rows)


def _by_label(report: Mapping[str, Any]) -> tex.Table:
    facts = report["facts"]
    split = facts.get("split", "test")
    head, rows = shown_head.shown(facts), []
    for entry in report["labels"]:
        found = entry["heads"][head]
        cells = (
            _value(found.get(name), found.get(f"{name}_interval"))
            for name in LABEL_METRICS
        )
        rows.append(
            [tex.escape(entry["label"]), str(entry["positive_records"]), *cells]
        )
    rare = resampling.warn_of_rare(report["labels"], head)
    said = (
        f"Metrics by label of the {split} records, {head} score"
        f"{_said_of(report.get('intervals') or {})}{'; ' if rare else ''}{rare}. "
        f"{_origin(facts)} {_origin_of_run(facts)}"
    )
    short = f"Metrics by label of the {split} records"
    columns = ["label", "records", *LABEL_METRICS.values()]
    return tex.Table(short, said, _command(facts), columns, rows)


def _differences(
    result: Mapping[str, Any], other: Mapping[str, Any], letter: str
) -> tex.Table:
    rows = [
        [tex.escape(f"{name}, {head}"), *_compared(of_head[metric])]
        for head, of_head in sorted(
            other["heads"].items(), key=lambda item: item[0] != LABEL_HEAD
        )
        for metric, name in metric_names.known(of_head)
    ]
    columns = ["", "A", letter, f"{letter} $-$ A", "interval", "$p$"]
    said = _said_of_pair(result, other, letter)
    return tex.Table("Differences", said, result["facts"]["command"], columns, rows)


def _label_differences(
    result: Mapping[str, Any], other: Mapping[str, Any], letter: str
) -> tex.Table:
    rows = []
    for entry in other["labels"]:
        found = entry["heads"][LABEL_HEAD]["auc"]
        name, count = tex.escape(entry["label"]), str(entry["positive_records"])
        rows.append([name, count, *_compared(found), _p(found["p_holm"])])
    columns = ["label", "records", "A", letter, f"{letter} $-$ A", "interval", "$p$"]
    notes = [note[0].upper() + note[1:] for note in p_values.notes(result["intervals"])]
    said = (
        f"AUC by label, {LABEL_HEAD} score; the last column is adjusted for "
        f"{result['intervals']['num_adjusted']} labels by Holm's method. "
        + "".join(f"{note}. " for note in notes)
        + _said_of_pair(result, other, letter)
    )
    return tex.Table(
        "Differences by label",
        said,
        result["facts"]["command"],
        [*columns, "$p$ (Holm)"],
        rows,
    )


def _said_of_pair(
    result: Mapping[str, Any], other: Mapping[str, Any], letter: str
) -> str:
    runs = " ".join(
        f"{name}: {run['workdir']}, seed {run['seed']}, epoch {run['epoch']}."
        f"{_said_of_untrained(run.get('untrained', ()))}"
        for name, run in (("A", result["a"]), (letter, other["b"]))
    )
    said = result["intervals"]
    return (
        f"{runs} Above 0, {letter} is the better one{_said_of(said)}; p is two-sided. "
        f"{_origin(result['facts'])}"
    )


def _said_of(intervals: Mapping[str, Any]) -> str:
    if not intervals.get("resamples") or intervals.get("note"):
        return ", without intervals"
    return (
        f", with {100 * intervals['level']:g} % bootstrap intervals of "
        f"{intervals['resamples']:,} resamples"
    )


def _origin(facts: Mapping[str, Any]) -> str:
    """Returns what the numbers were measured on."""
    data = facts.get("evaluated_on") or facts
    records = facts["records"]
    if isinstance(records, Mapping):  # of a report: by split
        counted = (data["records"] or {}).items()
        records = ", ".join(f"{count:,} {split}" for split, count in counted)
    else:
        records = f"{records:,} {facts['split']}"
    return (
        f"{data['data_set']}, version {data['data_set_version']}, label set "
        f"{data['label_set']}; records: {records}."
    )


def _origin_of_run(facts: Mapping[str, Any]) -> str:
    said = f"Seed {facts['seed']}, epoch {facts['epoch']}"
    if facts.get("evaluated_on"):
        said += f"; trained on {facts['data_set']}, version {facts['data_set_version']}"
    return f"{said}.{_said_of_untrained(shown_head.untrained(facts))}"


def _said_of_untrained(heads: Sequence[str]) -> str:
    """Returns a sentence with a blank before it, or an empty text."""
    notice = shown_head.notice(heads)
    return f" {notice.capitalize()}." if notice else ""


def _command(facts: Mapping[str, Any]) -> str:
    return facts.get("evaluated_by") or facts["command"]


def _at(tree: Mapping[str, Any], head: str, metric: str) -> Any:
    return tree.get(head, {}).get(metric)


def _value(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None:
        return UNDEFINED
    if interval is None or None in interval:
        return f"{value:.3f}"
    low, high = interval
    return f"{value:.3f} {{\\scriptsize [{low:.3f}, {high:.3f}]}}"


def _compared(found: Mapping[str, Any]) -> list[str]:
    interval = found["interval"]
    return [
        *(_value(found[name], None) for name in ("a", "b")),
        _signed(found["difference"]),
        UNDEFINED if interval is None else f"[{', '.join(map(_signed, interval))}]",
        _p(found["p_value"]),
    ]


def _signed(value: float | None) -> str:
    return UNDEFINED if value is None else f"${value:+.3f}$"


def _p(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.3f}"


def _spread(found: Mapping[str, Any]) -> str:
    if found["mean"] is None:
        return UNDEFINED
    return f"${found['mean']:.3f} \\pm {found['sd']:.3f}$"
