import contextlib
import io

import pytest

from mrm_jax.runtime import console

FACTS = ("loss 1.1862", "val macro AUC high 0.6269", "low 0.6109", "3.2 records/s")
LINE = "epoch 1/3: loss 1.1862, val macro AUC high 0.6269, low 0.6109, 3.2 records/s"


class Terminal(io.StringIO):
    """A file that claims to be a terminal."""

    def isatty(self):
        return True


@contextlib.contextmanager
def terminal(columns):
    """Yields the standard output, a terminal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        patch.setenv("TERM", "xterm")
        console.console.cache_clear()
        with contextlib.redirect_stdout(Terminal()) as output:
            yield output
    console.console.cache_clear()


def test_facts_are_one_line_where_there_is_no_width():
    assert console.facts_line("epoch 1/3", FACTS) == LINE


@pytest.mark.parametrize("width", range(27, 90))
def test_facts_are_never_broken(width):
    lines = console.facts_line("epoch 1/3", FACTS, width).split("\n")
    assert max(map(len, lines)) <= max(width, len("  val macro AUC high 0.6269,"))
    assert " ".join(line.strip() for line in lines) == LINE
    assert all(any(fact in line for line in lines) for fact in FACTS)
    assert all(line.startswith("  ") for line in lines[1:])


def test_facts_fill_the_lines_of_a_width():
    assert console.facts_line("epoch 1/3", FACTS, 60) == (
        "epoch 1/3: loss 1.1862, val macro AUC high 0.6269,\n"
        "  low 0.6109, 3.2 records/s"
    )


def test_lines_of_a_log_stay_as_they_are(capsys):
    console.say("720 / 90 / 90 records " * 20)
    console.say_facts("epoch 1/3", FACTS * 5)
    assert capsys.readouterr().out.count("\n") == 2


def test_lines_on_a_terminal_continue_between_words():
    command = "python -m mrm_jax.train --config cpsc2018 --workdir runs/a"
    with terminal(columns=40) as output:
        console.say("12,345 records / 1,234,567 steps of 1,000 samples -> runs/first")
        console.say(command, wrap=False)
    assert output.getvalue().splitlines() == [
        "12,345 records / 1,234,567 steps of",
        "  1,000 samples -> runs/first",
        command,
    ]


def test_facts_on_a_terminal_fit_its_width():
    with terminal(columns=40) as output:
        console.say_facts("epoch 1/3", FACTS)
    assert output.getvalue() == console.facts_line("epoch 1/3", FACTS, 40) + "\n"
