"""The common style of tables in the terminal, and how they are printed whole."""

from collections.abc import Iterator, Sequence

import rich.box
import rich.console
import rich.measure
import rich.table
import rich.text

from mrm_jax.runtime import text

UNLIMITED = 10_000  # characters; wider than any table


def new(title: str = "", caption: str = "") -> rich.table.Table:
    """Returns an empty table; names in its title and caption are never markup."""
    return rich.table.Table(
        title=rich.text.Text(title, style="bold") if title else None,
        caption=rich.text.Text(caption) if caption else None,
        title_justify="left",
        caption_justify="left",
        box=rich.box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )


def add_numbers(table: rich.table.Table, *headings: str) -> None:
    """Adds columns of numbers, whose cells are never cut or continued on a line."""
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)


def say(line: str, console: rich.console.Console, style: str = "") -> None:
    """Prints a line beside tables; on a terminal a long one continues between words.

    Args:
        line: text without markup.
        console: console to print on.
        style: style of rich, such as "bold".
    """
    if console.is_terminal:
        line = text.wrap(line, console.width)
    console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def show(table: rich.table.Table, console: rich.console.Console) -> None:
    """Prints a table without cutting a cell.

    In a file or a pipe it is as wide as its content. On a terminal that is too narrow
    for all columns, the remaining ones follow below, each time with the first column.
    """
    if console.is_terminal:
        parts = list(_parts(table, console))
        if len(parts) == 1:
            parts[0].caption = table.caption
        for part in parts:
            console.print(part)
        if len(parts) > 1 and table.caption:  # the last part may be narrow
            console.print(table.caption)
        return
    needed = _measure(table, console).maximum
    wide = rich.console.Console(file=console.file, width=max(needed, console.width))
    wide.print(table)


def _parts(
    table: rich.table.Table, console: rich.console.Console
) -> Iterator[rich.table.Table]:
    """Yields tables that fit the width of a terminal and have all columns together."""
    chosen, title = [0], table.title
    for number in range(1, len(table.columns)):
        wider = _with_columns(table, [*chosen, number], console)
        if len(chosen) > 1 and _measure(wider, console).minimum > console.width:
            part = _with_columns(table, chosen, console)
            part.title, title = title, None
            yield part
            chosen = [0]
        chosen.append(number)
    part = _with_columns(table, chosen, console)
    part.title = title
    yield part


def _with_columns(
    table: rich.table.Table, numbers: Sequence[int], console: rich.console.Console
) -> rich.table.Table:
    """Returns a table with some of the columns, without title and caption."""
    part, columns = new(), [table.columns[number] for number in numbers]
    for column in columns:
        whole = _measure((column.header, *column.cells), console).maximum
        part.add_column(
            column.header,
            justify=column.justify,
            no_wrap=column.no_wrap,
            min_width=whole if column.no_wrap else None,
        )
    cells = zip(*(column.cells for column in columns), strict=True)
    for row, values in zip(table.rows, cells, strict=True):
        part.add_row(*values, end_section=row.end_section)
    return part


def _measure(
    shown: rich.table.Table | Sequence[rich.console.RenderableType],
    console: rich.console.Console,
) -> rich.measure.Measurement:
    """Returns the widths of a table or of cells: without a cut word, and whole."""
    options = console.options.update(width=UNLIMITED)
    cells = [shown] if isinstance(shown, rich.table.Table) else shown
    return rich.measure.measure_renderables(console, options, cells)
