"""Tables as LaTeX of booktabs, and plain text in it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mrm_jax import atomic

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


class Table(NamedTuple):
    """One table; all texts but caption, command and short are LaTeX."""

    short: str  # for the list of tables
    caption: str
    command: str
    columns: Sequence[str]  # the first one is set left, the others right
    rows: Sequence[Sequence[str]]


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
