r"""Tables for a paper: LaTeX to \input into a document that uses booktabs.

report.tex       the metrics of a split by head and by label
comparison.tex   differences of runs
seeds.tex        mean and standard deviation over seeds

More rows than fit on a page make a longtable, of the package of that name.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mrm_jax.metrics import names, significance
from mrm_jax.reports import heads as heads_lib
from mrm_jax.runtime import atomic

MAX_ROWS = 30  # more make a longtable
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


class Table(NamedTuple):
    """One table; all texts but caption, command and short are LaTeX."""

    short: str  # for the list of tables
    caption: str
    command: str
    columns: Sequence[str]  # the first one is set left, the others right
    rows: Sequence[Sequence[str]]


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Writes report.tex of what report.json holds."""
    tables = [_overall(report)]
    if report.get("labels"):
        tables.append(_by_label(report))
    write(folder / REPORT_FILE, tables)


def write_comparison(folder: Path, result: Mapping[str, Any]) -> None:
    """Writes comparison.tex of what comparison.json holds."""
    tables = []
    for number, other in enumerate(result["others"]):
        letter = chr(ord("B") + number)
        tables += [
            _differences(result, other, letter),
            _label_differences(result, other, letter),
        ]
    write(folder / COMPARISON_FILE, tables)


def write_seeds(folder: Path, summary: Mapping[str, Any]) -> None:
    """Writes seeds.tex of what seeds.json holds."""
    facts, heads = summary["facts"], summary["heads"]
    seeds = ", ".join(str(run["seed"]) for run in summary["runs"])
    rows = [
        [escape(name), *(_spread(of_head[metric]) for of_head in heads.values())]
        for metric, name in names.known(next(iter(heads.values())))
    ]
    said = f"Mean and standard deviation (n - 1) of seeds {seeds}. {_origin(facts)}"
    table = Table("Metrics over seeds", said, facts["command"], ["", *heads], rows)
    write(folder / SEEDS_FILE, [table])


def _overall(report: Mapping[str, Any]) -> Table:
    facts = report["facts"]
    split = facts.get("split", "test")
    heads = report[split]
    intervals = report.get("intervals") or {"heads": {}}
    rows = [
        [
            escape(name),
            *(
                _value(of_head[metric], _at(intervals["heads"], head, metric))
                for head, of_head in heads.items()
            ),
        ]
        for metric, name in names.known(heads["mean"])
    ]
    said = (
        f"Metrics of the {split} records{_said_of(intervals)}. "
        f"{_origin(facts)} {_origin_of_run(facts)}"
    )
    short = f"Metrics of the {split} records"
    return Table(short, said, _command(facts), ["", *heads], rows)


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
    rare = significance.warn_of_rare(report["labels"], head)
    said = (
        f"Metrics by label of the {split} records, {head} score"
        f"{_said_of(report.get('intervals') or {})}{'; ' if rare else ''}{rare}. "
        f"{_origin(facts)} {_origin_of_run(facts)}"
    )
    short = f"Metrics by label of the {split} records"
    columns = ["label", "records", *LABEL_METRICS.values()]
    return Table(short, said, _command(facts), columns, rows)


def _differences(
    result: Mapping[str, Any], other: Mapping[str, Any], letter: str
) -> Table:
    rows = [
        [escape(f"{name}, {head}"), *_compared(of_head[metric])]
        for head, of_head in sorted(
            other["heads"].items(), key=lambda item: item[0] != LABEL_HEAD
        )
        for metric, name in names.known(of_head)
    ]
    columns = ["", "A", letter, f"{letter} $-$ A", "interval", "$p$"]
    said = _said_of_pair(result, other, letter)
    return Table("Differences", said, result["facts"]["command"], columns, rows)


def _label_differences(
    result: Mapping[str, Any], other: Mapping[str, Any], letter: str
) -> Table:
    rows = []
    for entry in other["labels"]:
        found = entry["heads"][LABEL_HEAD]["auc"]
        name, count = escape(entry["label"]), str(entry["positive_records"])
        rows.append([name, count, *_compared(found), _p(found["p_holm"])])
    columns = ["label", "records", "A", letter, f"{letter} $-$ A", "interval", "$p$"]
    notes = [
        note[0].upper() + note[1:] for note in significance.notes(result["intervals"])
    ]
    said = (
        f"AUC by label, {LABEL_HEAD} score; the last column is adjusted for "
        f"{result['intervals']['num_adjusted']} labels by Holm's method. "
        + "".join(f"{note}. " for note in notes)
        + _said_of_pair(result, other, letter)
    )
    return Table(
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
    return f"{said}.{_said_of_untrained(heads_lib.untrained(facts))}"


def _said_of_untrained(heads: Sequence[str]) -> str:
    """Returns a sentence with a blank before it, or an empty text."""
    notice = heads_lib.notice(heads)
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


def escape(text: str) -> str:
    """Returns plain text as LaTeX that prints it, two dashes as two."""
    escaped = "".join(ESCAPED.get(sign, sign) for sign in text)
    return escaped.replace("--", "-{}-")


def write(path: Path, tables: Sequence[Table]) -> None:
    """Writes tables into one file."""
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
    """Returns a command that breaks where a path does."""
    text = escape(command)
    for sign in ("/", "=", "\\_"):
        text = text.replace(sign, sign + "\\allowbreak{}")
    return f"\\texttt{{{text}}}"
