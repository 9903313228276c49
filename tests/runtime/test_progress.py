import io

import pytest
import rich.console
import rich.text

from mrm_jax.runtime import progress

FACTS = ("loss 0.6276", "12 min left", "5,293.1 records/s")


def bar(**changes):
    given = {"total": 17418, "done": 4608, "unit": "records", "facts": FACTS}
    return progress.Bar("epoch 3/40", **(given | changes))


def drawn(shown, width):
    """Returns what a terminal of a width shows."""
    console = rich.console.Console(
        file=io.StringIO(), width=width, force_terminal=True, no_color=True
    )
    console.print(rich.console.Group(shown))
    return rich.text.Text.from_ansi(console.file.getvalue()).plain


def test_a_log_has_whole_facts():
    assert bar().plain() == (
        "epoch 3/40: 4,608 of 17,418 records, loss 0.6276, 12 min left, "
        "5,293.1 records/s"
    )
    assert progress.Bar("resampling", 10, 3).plain() == "resampling: 3 of 10"
    assert progress.Bar("trials").plain() == "trials: "


@pytest.mark.parametrize("width", range(12, 130))
def test_a_line_of_a_terminal_has_whole_facts(width):
    line = drawn(bar(), width)
    assert "\n" not in line.rstrip("\n")
    pieces = [piece for piece in line.strip().split("  ") if piece]
    pieces = [piece for piece in pieces if not set(piece) <= set("━╸╺ ")]
    whole = ["epoch 3/40", "4,608/17,418", *FACTS]
    assert pieces == whole[: len(pieces)]
    assert len(line.rstrip()) < width


def test_wide_terminals_show_all_facts_and_a_bar():
    line = drawn(bar(), 80)
    assert "4,608/17,418  loss 0.6276  12 min left  5,293.1 records/s" in line
    assert "━" not in line  # no room
    assert "━" * 8 in drawn(bar(done=17418), 100)


def test_narrow_terminals_show_the_most_important_facts():
    assert drawn(bar(), 60).strip() == (
        "epoch 3/40  4,608/17,418  loss 0.6276  12 min left"
    )


def test_the_bar_grows_with_what_is_done():
    # Without colours, the rest of the bar is blank.
    full = [drawn(bar(done=n, facts=()), 80).count("━") for n in (0, 8709, 17418)]
    assert full == [0, 20, 40]


def test_short_work_prints_no_lines(capsys):
    assert list(progress.tracker("scoring")("abc", 3)) == ["a", "b", "c"]
    assert capsys.readouterr().out == ""


def test_long_work_prints_whole_lines(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PLAIN_EVERY_S", -1)
    assert list(progress.tracker("scoring")("abc", 3)) == ["a", "b", "c"]
    assert capsys.readouterr().out.splitlines() == [
        "scoring: 1 of 3",
        "scoring: 2 of 3",
        "scoring: 3 of 3",
    ]


def test_items_may_end_early(capsys):
    assert list(progress.tracker("scoring")("a", 3)) == ["a"]


def test_the_end_of_a_count_is_a_line_of_a_log(capsys):
    with progress.Counter("reading records", 12, "records") as counter:
        counter.advance(5)
        counter.advance(7)
    counter.say_end()
    assert capsys.readouterr().out == "reading records: 12 of 12 records\n"
