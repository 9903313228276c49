r"""Tables for a paper: LaTeX to \input into a document that uses booktabs.

report.tex       metrics of a split, by head and per label
comparison.tex   differences between runs
seeds.tex        mean and standard deviation over seeds

A table with more rows than fit on a page is a longtable and needs that package.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mrm_jax.metrics import names, seeds
from mrm_jax.reports import caveats
from mrm_jax.reports import heads as heads_lib
from mrm_jax.runtime import atomic

REPORT_FILE = "report.tex"
COMPARISON_FILE = "comparison.tex"
SEEDS_FILE = "seeds.tex"
PRIMARY_HEAD = "mean"  # first in a comparison, and the only one for its labels
LABEL_METRICS = ("auc", "average_precision", "f1_at_threshold")
UNDEFINED = "--"
MAX_ROWS = 30  # longer tables become a longtable
ESCAPED = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",  # after a row's end it would begin an argument
    "]": "{]}",
    "±": r"$\pm$",
}


class Table(NamedTuple):
    """One table. Columns and rows are LaTeX; the other texts are plain."""

    short: str  # for the list of tables
    caption: str
    command: str
    columns: Sequence[str]  # the first one is aligned left, the others right
    rows: Sequence[Sequence[str]]


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Writes report.tex from the content of report.json."""
    tables = [_overall(report)]
    if report.get("labels"):
        tables.append(_by_label(report))
    write(folder / REPORT_FILE, tables)


def write_comparison(folder: Path, result: Mapping[str, Any]) -> None:
    """Writes comparison.tex from the content of comparison.json."""
    tables = []
    for number, other in enumerate(result["others"]):
        letter = chr(ord("B") + number)
        tables += [
            _differences(result, other, letter),
            _label_differences(result, other, letter),
        ]
    write(folder / COMPARISON_FILE, tables)


def write_seeds(folder: Path, summary: Mapping[str, Any]) -> None:
    """Writes seeds.tex from the content of seeds.json."""
    facts, heads = summary["facts"], summary["heads"]
    listed = ", ".join(str(run["seed"]) for run in summary["runs"])
    rows = [
        [escape(title), *(_mean_sd(of_head[metric]) for of_head in heads.values())]
        for metric, title in names.compared(next(iter(heads.values()))).items()
    ]
    caption = (
        f"Mean and standard deviation (n - 1) over seeds {listed}. {_origin(facts)}"
    )
    table = Table("Metrics over seeds", caption, facts["command"], ["", *heads], rows)
    write(folder / SEEDS_FILE, [table])


def _overall(report: Mapping[str, Any]) -> Table:
    facts = report["facts"]
    split = facts.get("split", "test")
    heads = report[split]
    intervals = report.get("intervals") or {"heads": {}}
    rows = [
        [
            escape(title),
            *(
                _value(of_head[metric], _at(intervals["heads"], head, metric))
                for head, of_head in heads.items()
            ),
        ]
        for metric, title in names.compared(heads["mean"]).items()
    ]
    short = f"Metrics on the {split} split"
    unlabelled = caveats.unlabelled(report)
    caption = (
        f"{short}, {_describe_intervals(intervals)}. "
        f"{f'{unlabelled}. ' if unlabelled else ''}"
        f"{_origin(facts)} {_origin_of_run(facts)}"
    )
    return Table(short, caption, _command(facts), ["", *heads], rows)


def _by_label(report: Mapping[str, Any]) -> Table:
    facts = report["facts"]
    split = facts.get("split", "test")
    head, rows = heads_lib.primary(facts), []
    for entry in report["labels"]:
        found = entry["heads"][head]
        cells = (
            _value(found.get(name), found.get(f"{name}_interval"))
            for name in LABEL_METRICS
        )
        rows.append([escape(entry["label"]), str(entry["positive_records"]), *cells])
    rare = caveats.rare_labels(report, head)
    short = f"Metrics per label on the {split} split"
    caption = (
        f"{short}, {head} score, {_describe_intervals(report.get('intervals') or {})}. "
        f"{f'{rare}. ' if rare else ''}{_origin(facts)} {_origin_of_run(facts)}"
    )
    columns = ["label", "records", *(names.LABEL[name] for name in LABEL_METRICS)]
    return Table(short, caption, _command(facts), columns, rows)


def _differences(
    result: Mapping[str, Any], other: Mapping[str, Any], letter: str
) -> Table:
    rows = [
        [escape(f"{title}, {head}"), *_compared(of_head[metric])]
        for head, of_head in sorted(
            other["heads"].items(), key=lambda item: item[0] != PRIMARY_HEAD
        )
        for metric, title in names.compared(of_head).items()
    ]
    columns = ["", "A", letter, f"{letter} $-$ A", "interval", "$p$"]
    caption = _describe_pair(result, other, letter)
    return Table("Differences", caption, result["facts"]["command"], columns, rows)


def _label_differences(
    result: Mapping[str, Any], other: Mapping[str, Any], letter: str
) -> Table:
    rows = []
    for entry in other["labels"]:
        found = entry["heads"][PRIMARY_HEAD]["auc"]
        name, count = escape(entry["label"]), str(entry["positive_records"])
        rows.append([name, count, *_compared(found), _p(found["p_holm"])])
    columns = ["label", "records", "A", letter, f"{letter} $-$ A", "interval", "$p$"]
    notes = [
        note[0].upper() + note[1:] for note in caveats.p_values(result["intervals"])
    ]
    caption = (
        f"AUC per label, {PRIMARY_HEAD} score; the last column is adjusted for "
        f"{result['intervals']['num_adjusted']} labels by Holm's method. "
        + "".join(f"{note}. " for note in notes)
        + _describe_pair(result, other, letter)
    )
    return Table(
        "Differences per label",
        caption,
        result["facts"]["command"],
        [*columns, "$p$ (Holm)"],
        rows,
    )


def _describe_pair(
    result: Mapping[str, Any], other: Mapping[str, Any], letter: str
) -> str:
    runs = " ".join(
        f"{name}: {run['workdir']}, seed {run['seed']}, epoch {run['epoch']}."
        f"{_describe_untrained(run.get('untrained', ()))}"
        for name, run in (("A", result["a"]), (letter, other["b"]))
    )
    return (
        f"{runs} Differences {_describe_intervals(result['intervals'])}; positive ones "
        f"favour {letter}. The p-values are two-sided. "
        f"{_origin(result['facts'])}"
    )


def _describe_intervals(intervals: Mapping[str, Any]) -> str:
    if not intervals.get("resamples") or intervals.get("note"):
        return "without intervals"
    return (
        f"with {100 * intervals['level']:g} % bootstrap intervals of "
        f"{intervals['resamples']:,} resamples"
    )


def _origin(facts: Mapping[str, Any]) -> str:
    """Returns a description of the data on which the numbers were measured."""
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
    text = f"Seed {facts['seed']}, epoch {facts['epoch']}"
    if facts.get("evaluated_on"):
        text += f"; trained on {facts['data_set']}, version {facts['data_set_version']}"
    chosen = _after(caveats.thresholds(facts))
    return f"{text}.{_describe_untrained(heads_lib.untrained(facts))}{chosen}"


def _describe_untrained(heads: Sequence[str]) -> str:
    return _after(caveats.untrained(heads))


def _after(caveat: str) -> str:
    """Returns a sentence after a space, or an empty text."""
    return f" {caveat[0].upper()}{caveat[1:]}." if caveat else ""


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


def _mean_sd(found: Mapping[str, Any]) -> str:
    if found["mean"] is None:
        return UNDEFINED
    return f"${seeds.text(found)}$".replace("±", "\\pm")


def escape(text: str) -> str:
    """Returns plain text escaped for LaTeX; two hyphens stay two hyphens."""
    escaped = "".join(ESCAPED.get(sign, sign) for sign in text)
    return escaped.replace("--", "-{}-")


def write(path: Path, tables: Sequence[Table]) -> None:
    """Writes all tables into one file."""
    with atomic.replacing(path) as temporary:
        temporary.write_text("\n".join(map(_to_text, tables)), encoding="utf-8")


def _to_text(table: Table) -> str:
    columns = "l" + "r" * (len(table.columns) - 1)
    head = _line(table.columns)
    body = "\n".join(map(_line, table.rows))
    caption = (
        f"\\caption[{escape(table.short)}]{{{escape(table.caption)} "
        f"Command: {_typewriter(table.command)}}}"
    )
    small = "\\footnotesize\\setlength{\\tabcolsep}{4pt}"
    if len(table.rows) > MAX_ROWS:
        return (
            f"{{{small}\n\\begin{{longtable}}{{{columns}}}\n{caption}\\\\\n"
            f"\\toprule\n{head}\n\\midrule\n\\endfirsthead\n"
            f"\\toprule\n{head}\n\\midrule\n\\endhead\n\\bottomrule\n\\endfoot\n"
            f"{body}\n\\end{{longtable}}}}\n"
        )
    return (
        f"\\begin{{table}}[htbp]\n\\centering\n{caption}\n\\medskip\n{small}\n"
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{head}\n\\midrule\n{body}\n"
        "\\bottomrule\n\\end{tabular}\n\\end{table}\n"
    )


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _typewriter(command: str) -> str:
    """Returns a command in typewriter type that may break within paths."""
    text = escape(command)
    for sign in ("/", "=", "\\_"):
        text = text.replace(sign, sign + "\\allowbreak{}")
    return f"\\texttt{{{text}}}"
