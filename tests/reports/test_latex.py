import re
import shutil
import subprocess

import pytest

from mrm_jax.reports import latex
from tests.reports import test_comparison, test_seed_summary

HEADS = ("high", "low", "mean")
COMMAND = (
    "python -m mrm_jax.train --config experiments/ptbxl_form.py --workdir runs/a_b"
)


def report(num_labels=3, note=None, **facts):
    """The content of a report.json, made by hand."""
    of_label = {
        "auc": 0.9,
        "auc_interval": [0.8, 0.95],
        "average_precision": 0.5,
        "average_precision_interval": [None, None],
        "f1_at_threshold": None,
        "f1_at_threshold_interval": None,
    }
    return {
        "facts": {
            "data_set": "PTB-XL",
            "data_set_version": "1.0.3",
            "label_set": "form",
            "records": {"train": 7202, "val": 904, "test": 882},
            "seed": 1,
            "epoch": 18,
            "command": COMMAND,
            "split": "test",
            "evaluated_on": None,
        }
        | facts,
        "num_labels": num_labels,
        "test": dict.fromkeys(HEADS, {"macro_auc": 0.98765, "accuracy": None}),
        "intervals": {
            "level": 0.95,
            "resamples": 1000,
            "seed": 0,
            "note": note,
            "heads": dict.fromkeys(
                HEADS, {"macro_auc": None if note else [0.9712, 0.9934]}
            ),
        },
        "labels": [
            {
                "label": f"A_{number}%#&[x]",
                "description": "",
                "positive_records": number,
                "heads": dict.fromkeys(HEADS, of_label),
            }
            for number in range(num_labels)
        ],
    }


def written(folder, *args, **kwargs):
    latex.write_report(folder, report(*args, **kwargs))
    return (folder / "report.tex").read_text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b & 5 % #1 $", r"a\_b \& 5 \% \#1 \$"),
        ("{x}^2~y\\z", r"\{x\}\textasciicircum{}2\textasciitilde{}y\textbackslash{}z"),
        ("a<b>c", r"a\textless{}b\textgreater{}c"),
        ("[AF]", "{[}AF{]}"),
    ],
)
def test_special_characters_are_escaped(text, expected):
    assert latex.escape(text) == expected


def test_metrics_of_all_heads_have_intervals(tmp_path):
    cell = r"0.988 {\scriptsize [0.971, 0.993]}"
    assert f"macro AUC & {cell} & {cell} & {cell} \\\\" in written(tmp_path)
    assert r"accuracy at 0.5 & -- & -- & -- \\" in written(tmp_path)


def test_every_label_has_a_row(tmp_path):
    text = written(tmp_path)
    row = r"A\_1\%\#\&{[}x{]} & 1 & 0.900 {\scriptsize [0.800, 0.950]} & 0.500 & -- \\"
    assert row in text
    assert text.count("A\\_") == 3


def test_captions_name_the_data_and_the_command(tmp_path):
    captions = re.findall(r"\\caption\[.*?\]\{(.*)\}$", written(tmp_path), re.MULTILINE)
    assert len(captions) == 2
    for caption in captions:
        for part in (
            "PTB-XL, version 1.0.3, label set form",
            "7,202 train, 904 val, 882 test",
            "Seed 1, epoch 18",
            r"95 \% bootstrap intervals of 1,000 resamples",
            "-{}-workdir runs/\\allowbreak{}a\\_\\allowbreak{}b",
        ):
            assert part in caption


def test_captions_name_training_and_evaluation_data(tmp_path):
    other = {
        "data_set": "Mine",
        "data_set_version": "2",
        "label_set": "mine",
        "records": {"test": 5},
    }
    text = written(tmp_path, evaluated_on=other, evaluated_by="evaluate it")
    assert "Mine, version 2, label set mine; records: 5 test." in text
    assert "trained on PTB-XL, version 1.0.3" in text
    assert r"\texttt{evaluate it}" in text


def test_an_untrained_head_is_reported(tmp_path):
    facts = {
        "selection": "val/macro_auc_low",
        "config": {"hparams": {"high_weight": 0.0, "low_weight": 1.0}},
    }
    text = written(tmp_path, **facts)
    caveat = "The high head was not trained (weight 0 in the loss)"
    assert text.count(f"{caveat}: read only the low head.") == 2
    assert "Metrics per label on the test split, low score" in text
    assert "not trained" not in written(tmp_path)


def test_missing_intervals_are_reported(tmp_path):
    text = written(tmp_path, note="too rare")
    assert "macro AUC & 0.988 & 0.988 & 0.988" in text
    assert "without intervals" in text


def test_many_labels_make_a_longtable(tmp_path):
    assert "longtable" not in written(tmp_path, num_labels=latex.MAX_ROWS)
    text = written(tmp_path, num_labels=71)
    assert text.count(r"\begin{longtable}") == text.count(r"\end{longtable}") == 1
    assert text.count("A\\_") == 71


def test_differences_have_a_sign(tmp_path):
    latex.write_comparison(tmp_path, test_comparison.result())
    text = (tmp_path / "comparison.tex").read_text()
    row = "macro AUC, mean & 0.750 & 0.500 & $-0.250$ & [$-0.375$, $-0.125$] & 0.002"
    assert row in text
    assert "positive ones favour B" in text
    assert text.count(r"\begin{table}") == 2


def test_seed_means_have_standard_deviations(tmp_path):
    latex.write_seeds(tmp_path, test_seed_summary.summary())
    text = (tmp_path / "seeds.tex").read_text()
    assert r"macro AUC & $0.900 \pm 0.100$ &" in text
    assert "over seeds 1, 2, 3" in text


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs LaTeX")
@pytest.mark.parametrize("num_labels", [3, 71])
def test_all_tables_compile(tmp_path, num_labels):
    written(tmp_path, num_labels)
    latex.write_comparison(tmp_path, test_comparison.result(num_labels))
    latex.write_seeds(tmp_path, test_seed_summary.summary())
    lines = [
        r"\documentclass{article}",
        r"\usepackage{booktabs,longtable}",
        r"\begin{document}",
        r"\listoftables",
        *(rf"\input{{{name}}}" for name in ("report", "comparison", "seeds")),
        r"\end{document}",
    ]
    (tmp_path / "paper.tex").write_text("\n".join(lines))
    command = ["pdflatex", "-halt-on-error", "-interaction=batchmode", "paper"]
    for _ in range(3):  # until longtable knows its columns
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    log = (tmp_path / "paper.log").read_text(errors="replace")
    tables = [
        line for line in log.splitlines() if "Overfull" in line and "hbox" in line
    ]
    assert not tables


def test_labels_with_too_narrow_intervals_are_counted(tmp_path):
    text = " ".join(written(tmp_path, 12).split())
    assert "10 labels have fewer than 10 positive records, so their intervals" in text
    assert "are too narrow" in text


def test_records_without_any_label_are_counted(tmp_path):
    counts = {"num_records": 882, "num_unlabelled": 441}
    latex.write_report(tmp_path, report() | counts)
    text = (tmp_path / "report.tex").read_text()
    assert "441 of 882 records have none of the labels; their recall and F1" in text


def test_a_note_warns_of_p_values_that_cannot_be_small(tmp_path):
    latex.write_comparison(tmp_path, test_comparison.result(71, rare_note="3 are rare"))
    text = " ".join((tmp_path / "comparison.tex").read_text().split())
    assert (
        "3 are rare. With 1,000 resamples, no Holm-adjusted p-value of 71 labels can"
        in text
    )
    assert "below 0.142" in text and "-{}-resamples" in text
