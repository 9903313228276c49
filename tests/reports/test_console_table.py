import io

import pytest
import rich.console

from mrm_jax.metrics import names as metric_names
from mrm_jax.metrics import summary, thresholds
from mrm_jax.reports import caveats, console_table
from tests.helpers import small_reports
from tests.helpers.small_reports import DESCRIPTIONS, FACTS, HEADS, NAMES

pytestmark = pytest.mark.slow


def make(num_labels=3, names=NAMES, descriptions=DESCRIPTIONS, first_labels=False):
    test, val = (
        small_reports.split(seed, 60, num_labels, first_labels) for seed in (0, 1)
    )
    evaluated = summary.Evaluated(test, thresholds.choose(val), val=val)
    numbers = summary.summarise(evaluated, names, descriptions)
    return {"facts": FACTS | {"split": "test"}, "num_labels": num_labels, **numbers}


@pytest.fixture(scope="module")
def report():
    return make()


def printed(report, width=80):
    console = rich.console.Console(file=io.StringIO(), width=width)
    console_table.print_table(report, console)
    return console.file.getvalue()


def row_of(text, name):
    """Returns what stands in the first row that begins with a name."""
    lines = (line.strip() for line in text.splitlines())
    return next(line for line in lines if line.startswith(name))[len(name) :].split()


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_title_names_the_data_and_fits_the_width(report, width):
    *lines, command = printed(report, width).splitlines()
    text = "\n".join(lines)
    for part in ("PTB-XL", "subset", "superdiagnostic", "seed 7", "epoch 18"):
        assert part in text
    assert "12,345 train, 30 val, 40 test" in text
    assert "3 of 3 labels" in text
    assert "95 % bootstrap interval, 1,000 resamples, seed 0" in text
    assert max(map(len, lines)) <= width
    assert command == f"command: {FACTS['command']}"  # whole, to be copied


def test_the_evaluation_command_follows_the_training_command(report):
    by = "python -m mrm_jax.evaluate --workdir runs/a --split val " + 80 * "x"
    facts = report["facts"] | {"evaluated_by": by}
    *_, trained, evaluated = printed(report | {"facts": facts}).splitlines()
    assert trained == f"command: {FACTS['command']}"
    assert evaluated == f"evaluated by: {by}"
    of_training = report | {"facts": report["facts"] | {"evaluated_by": ""}}
    assert "evaluated by" not in printed(of_training)


@pytest.mark.parametrize("width", [80, 100])
def test_no_row_wraps(width):
    report = make(9, "123456789", "123456789", first_labels=True)
    text = printed(report, width)
    titles = (*metric_names.SPLIT.values(), *console_table.CALIBRATION_ROWS.values())
    for title in titles:
        assert row_of(text, title)


def test_a_wide_terminal_has_every_interval(report):
    text = printed(report, 100)
    assert row_of(text, "high") == ["low", "mean"]
    expected = []
    for head in HEADS:
        low, high = report["intervals"]["heads"][head]["macro_auc"]
        expected += [f"{report['test'][head]['macro_auc']:.3f}"]
        expected += [f"[{low:.3f},", f"{high:.3f}]"]
    assert row_of(text, "macro AUC") == expected


def test_a_narrow_terminal_has_only_intervals_of_the_mean(report):
    text = printed(report, 80)
    values = [f"{report['test'][head]['macro_auc']:.3f}" for head in HEADS]
    low, high = report["intervals"]["heads"]["mean"]["macro_auc"]
    expected = [*values, f"[{low:.3f},", f"{high:.3f}]"]
    assert row_of(text, "macro AUC") == expected
    assert "for high and low see metrics.csv" in " ".join(text.split())


LOW_ONLY = {
    "selection": "val/macro_auc_low",
    "config": {"hparams": {"high_weight": 0.0, "low_weight": 1.0}},
}
NOTICE = "the high head was not trained (weight 0 in the loss): read only the low head"


def test_a_run_with_one_trained_head_shows_that_head(report):
    low_only = report | {"facts": report["facts"] | LOW_ONLY}
    text = printed(low_only, 80)
    assert NOTICE in text.splitlines() and NOTICE not in printed(report)
    high, low, mean = (f"{report['test'][head]['macro_auc']:.3f}" for head in HEADS)
    start, end = report["intervals"]["heads"]["low"]["macro_auc"]
    expected = [high, low, f"[{start:.3f},", f"{end:.3f}]", mean]
    assert row_of(text, "macro AUC") == expected
    assert "for high and mean see metrics.csv" in " ".join(text.split())
    assert "per label, low score" in text
    for label in report["labels"]:
        auc = f"{label['heads']['low']['auc']:.3f}"
        assert row_of(text, label["label"])[1] == auc


def test_accuracy_is_shown_next_to_the_all_negative_baseline(report):
    lines = printed(report).splitlines()
    (place,) = (i for i, line in enumerate(lines) if "accuracy at 0.5" in line)
    share = f"{report['test']['mean']['share_of_zeros']:.3f}"
    title = ["all-negative", "baseline", "accuracy"]
    assert lines[place + 1].split() == [*title, *3 * [share]]


def test_calibration_has_rows(report):
    text = printed(report, 120)
    for row, name in (
        ("calibration error (ECE)", "ece"),
        ("ECE after temperature scaling", "ece_scaled"),
    ):
        value = report["calibration"]["mean"][name]
        low, high = report["calibration"]["mean"][f"{name}_interval"]
        cells = [f"{value:.3f}", f"[{low:.3f},", f"{high:.3f}]"]
        assert row_of(text, row)[-3:] == cells
    temperatures = [
        f"{report['calibration'][head]['temperature']:.3f}" for head in HEADS
    ]
    assert row_of(text, "temperature") == temperatures


def test_each_label_has_a_row(report):
    text = printed(report)
    for label in report["labels"]:
        values = label["heads"]["mean"]
        low, high = values["auc_interval"]
        cells = [str(label["positive_records"]), f"{values['auc']:.3f}"]
        cells += [f"[{low:.3f},", f"{high:.3f}]"]
        cells += [
            f"{values[name]:.3f}"
            for name in ("average_precision", "f1_at_threshold", "threshold")
        ]
        assert row_of(text, label["label"]) == cells
    assert "more in report.csv" not in text


def test_only_the_first_of_many_labels_are_shown(report):
    many = [
        report["labels"][i % 3] | {"label": f"label-{i:02d}"}
        for i in range(console_table.SHOWN_LABELS + 2)
    ]
    text = printed(report | {"labels": many})
    assert "label-29" in text and "label-30" not in text
    assert "… and 2 more in report.csv" in text
    assert "more in report.csv" not in printed(report | {"labels": many[:30]})


def test_undefined_values_are_dashes(report):
    test = {
        head: values | {"macro_auc": None} for head, values in report["test"].items()
    }
    ends = {head: dict.fromkeys(report["test"]["mean"]) for head in HEADS}
    note = "a single record cannot be resampled"
    none = report["intervals"] | {"heads": ends, "note": note}
    text = printed(report | {"test": test, "intervals": none})
    assert row_of(text, "macro AUC") == ["-", "-", "-"]
    assert f"no intervals: {note}" in text
    assert "bootstrap" not in text


def test_another_split_of_other_data_is_named(report):
    other = FACTS | {"data_set": "CPSC2018", "data_set_version": "2"}
    facts = report["facts"] | {"split": "val", "evaluated_on": other}
    text = " ".join(printed(report | {"facts": facts}, 120).split())
    assert "CPSC2018, version 2, label set superdiagnostic: val split" in text
    assert "trained on PTB-XL, version subset" in text
    assert "both classes in the val split" in text


def test_a_report_without_intervals_is_still_shown(report):
    old = {name: report[name] for name in ("facts", "num_labels", "test", "val")}
    text = printed(old | {"facts": FACTS})
    values = [f"{report['test'][head]['macro_auc']:.3f}" for head in HEADS]
    assert row_of(text, "macro AUC") == values


def test_names_in_brackets_are_not_markup(report):
    facts = report["facts"] | {"data_set": "mine [red]"}
    labels = [report["labels"][0] | {"label": "AF [bold]"}]
    text = printed(report | {"facts": facts, "labels": labels})
    assert "mine [red], version subset" in text
    assert row_of(text, "AF [bold]")


def test_records_without_any_label_are_counted(report):
    assert "none of the labels" not in printed(report)
    text = printed(report | {"num_records": 60, "num_unlabelled": 1})
    assert "1 of 60 records has none of the labels; its recall" in " ".join(
        text.split()
    )


def test_labels_with_too_narrow_intervals_are_counted(report):
    first, second, *others = report["labels"]
    rare = [label | {"positive_records": 9} for label in (first, second)]
    assert "too narrow" not in printed(report)
    text = " ".join(printed(report | {"labels": [*rare, *others]}).split())
    assert "2 labels have fewer than 10 positive records, so their intervals" in text
    assert "are too narrow" in text


@pytest.mark.parametrize("head", HEADS)
def test_labels_that_nearly_all_records_have_are_rare_too(report, head):
    first, second, *others = report["labels"]
    total = report["num_records"]
    frequent = first | {"positive_records": total - 9}
    for labels, expected in (
        ([frequent, second, *others], "1 label has fewer than 10 negative records"),
        (
            [frequent, second | {"positive_records": 9}, *others],
            "2 labels have fewer than 10 positive or negative records",
        ),
    ):
        found = caveats.rare_labels(report | {"labels": labels}, head)
        assert found.startswith(expected)
