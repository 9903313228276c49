import io

import pytest
import rich.console

from mrm_jax.reports import tables

NUMBERS = ("0.000123456", "1e-4", "0.984 [0.123, 0.456]", "-0.034", "12,345")
HEADINGS = ("learning_rate", "decay", "AUC", "difference", "records")
NAMES = ("macro average precision", "AF", "label-with-a-long-name")


def made():
    table = tables.new("PTB-XL, version 1.0.3: test split", "95 % intervals")
    table.add_column("")
    tables.add_numbers(table, *HEADINGS)
    for name in NAMES:
        table.add_row(name, *NUMBERS)
    return table


def shown(width, is_terminal, table=None):
    console = rich.console.Console(
        file=io.StringIO(), width=width, force_terminal=is_terminal, color_system=None
    )
    tables.show(table or made(), console)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [20, 60, 80, 200])
def test_a_file_has_whole_rows_whatever_the_width(width):
    text = shown(width, is_terminal=False)
    assert "…" not in text
    for name in NAMES:
        (row,) = (line for line in text.splitlines() if name in line)
        assert row.split("  ")[0].strip() == name
        assert all(number in row for number in NUMBERS)


@pytest.mark.parametrize("width", [50, 60, 80, 100, 200])
def test_no_cell_is_cut_on_a_terminal(width):
    text = shown(width, is_terminal=True)
    assert "…" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    for cell in (*NUMBERS, *HEADINGS):
        assert cell in text
    for number in NUMBERS:
        assert text.count(number) == len(NAMES)
    assert text.count("1.0.3") == text.count("95 % intervals") == 1


def test_narrow_terminals_show_the_remaining_columns_below():
    below = shown(60, is_terminal=True)
    assert below.count("AF") > shown(100, is_terminal=True).count("AF") == 1


def test_the_caption_below_several_parts_has_the_width_of_the_terminal():
    table = made()
    table.caption = rich.text.Text("word " * 30)
    *_, longest, _, last = shown(60, is_terminal=True, table=table).splitlines()
    assert longest.split() == ["word"] * 12
    assert last.split() == ["word"] * 6


def test_lines_beside_tables_continue_between_words():
    for is_terminal, expected in ((True, 2), (False, 1)):
        console = rich.console.Console(
            file=io.StringIO(), width=40, force_terminal=is_terminal, color_system=None
        )
        tables.say("seed 1: epoch 12,345 of a run in [bold] 2,345,678", console)
        lines = console.file.getvalue().splitlines()
        assert len(lines) == expected
        assert "2,345,678" in lines[-1] and "[bold]" in "".join(lines)


def test_sections_stay_apart():
    table = tables.new()
    table.add_column("")
    tables.add_numbers(table, "a", "b")
    table.add_row("first", "1", "2", end_section=True)
    table.add_row("second", "3", "4")
    text = shown(80, is_terminal=True, table=table)
    first, between, second = text.rstrip().splitlines()[-3:]
    assert "first" in first and not between.strip() and "second" in second
