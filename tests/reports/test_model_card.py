import copy
import re

import huggingface_hub
import pytest
import yaml
from markdown_it import MarkdownIt

from mrm_jax.reports import dataset_info, model_card

HEADS = ("high", "low", "mean")
LABELS = ("AF|L", "STD_", "<b>*I-AVB*</b>")
FACTS = {
    "data_set": "PTB-XL",
    "data_set_version": "1.0.3",
    "label_set": "rhythm",
    "labels": list(LABELS),
    "descriptions": [
        "atrial flutter (SCP-ECG AF|L, rhythm statement)",
        "ST depression (SNOMED CT 429622005)",
        "block, <b>first</b> degree",
    ],
    "records": {"train": 16832, "val": 2100, "test": 2098},
    "leads": ["I", "II", "III", "AVR", "AVL", "AVF"] + [f"V{i}" for i in range(1, 7)],
    "sampling_rate": 100,
    "num_samples": 1000,
    "unit": "uV",
    "length_rule": "exact",
    "mean_uv": -1.25,
    "std_uv": 238.5,
    "sha256": "0123abcd",
    "seed": 7,
    "epoch": 18,
    "epochs_trained": 40,
    "selection": "val/macro_auc_mean",
    "devices": "1 x cpu",
    "command": "python -m mrm_jax.train --config experiments/x.py --workdir 'a run'",
    "config": {"name": "x", "hparams": {"high_weight": 1.0, "low_weight": 1.0}},
    "versions": {"mrm_jax": "0.1.0", "jax": "0.10.2"},
    "split": "test",
    "evaluated_on": None,
}
METRICS = {"macro_auc": 0.91234, "macro_labels": 3, "accuracy": 0.00001234, "fmax": 0.8}


def of_label(auc):
    numbers = {"auc": auc, "sensitivity": 0.75, "specificity": 0.5, "ppv": None}
    return numbers | {"auc_interval": [auc - 0.1, auc + 0.05], "threshold": 0.31}


@pytest.fixture
def report():
    """A report whose heads differ: low, mean and high by 0, 0.01 and 0.02."""
    shift = {"low": 0.0, "mean": 0.01, "high": 0.02}
    by_head = {h: METRICS | {"macro_auc": 0.91234 + shift[h]} for h in HEADS}
    return {
        "facts": copy.deepcopy(FACTS),
        "num_labels": 3,
        "test": by_head,
        "val": by_head,
        "intervals": {
            "level": 0.95,
            "resamples": 1000,
            "seed": 4,
            "note": None,
            "heads": {h: {"macro_auc": [0.88, 0.94], "fmax": None} for h in HEADS},
        },
        "labels": [
            {
                "label": label,
                "description": "as in the facts",
                "positive_records": count,
                "heads": {h: of_label(0.6 + i / 10 + shift[h]) for h in HEADS},
            }
            for i, (label, count) in enumerate(zip(LABELS, (1234, 9, 10), strict=True))
        ],
        "calibration": {
            head: {
                "temperature": 1.5,
                "ece": 0.04,
                "ece_interval": [0.03, 0.06],
                "ece_scaled": 0.02,
                "brier": 0.1,
                "brier_scaled": 0.09,
                "nll": None,
                "nll_scaled": None,
            }
            for head in HEADS
        },
    }


def load(workdir, report, num_parameters=1792526):
    """Returns the card as huggingface_hub reads it, without a network."""
    path = model_card.write(workdir, report, num_parameters)
    assert list(workdir.iterdir()) == [path]
    return huggingface_hub.ModelCard.load(path)


def tables(text):
    """Returns the cells of each table as a reader of GitHub's Markdown sees them."""
    found, rows = [], []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows:
            shown = [part for part in token.children if part.type.startswith("text")]
            rows[-1].append("".join(part.content for part in shown))
        elif token.type == "table_close":
            found.append(rows)
            rows = []
    return found


def table_of(card, first_cell):
    (table,) = (table for table in tables(card.text) if table[0][0] == first_cell)
    return table[1:]


def test_the_hub_can_read_the_front_matter(tmp_path, report):
    data = load(tmp_path, report).data
    said = data.to_dict()
    assert (said["license"], said["library_name"]) == ("apache-2.0", "mrm_jax")
    assert data.datasets == ["ptb-xl"]
    assert {"ecg", "jax", "flax", "multi-label-classification"} <= set(data.tags)
    assert data.model_name == tmp_path.name
    result = data.eval_results[0]
    assert (result.dataset_name, result.dataset_split) == ("PTB-XL", "test")
    assert (result.dataset_config, result.dataset_revision) == ("rhythm", "1.0.3")
    values = {result.metric_name: result.metric_value for result in data.eval_results}
    assert values == {
        "macro AUC, mean head": report["test"]["mean"]["macro_auc"],
        "accuracy at 0.5, mean head": 0.00001234,  # a number, in YAML 1.1 too
    }


def test_metrics_equal_those_of_the_report(tmp_path, report):
    assert table_of(load(tmp_path, report), "metric") == [
        [
            "macro AUC",
            "0.922 (0.880–0.940)",
            "0.932 (0.880–0.940)",
            "0.912 (0.880–0.940)",
        ],
        ["accuracy at 0.5", *["0.000"] * 3],
        ["Fmax (oracle threshold)", *["0.800"] * 3],
    ]


def test_label_names_are_preserved(tmp_path, report):
    card = load(tmp_path, report)
    assert table_of(card, "label")[0] == [
        "AF|L",
        "1,234",
        "0.610 (0.510–0.660)",
        "0.750",
        "0.500",
        "not measured",
        "0.310",
    ]
    assert [row[0] for row in table_of(card, "label")] == list(LABELS)
    assert table_of(card, "output") == [
        ["0", "AF|L", "atrial flutter", "SCP-ECG AF|L, rhythm statement"],
        ["1", "STD_", "ST depression", "SNOMED CT 429622005"],
        ["2", "<b>*I-AVB*</b>", "block, <b>first</b> degree", "unknown"],
    ]
    assert "1 of the labels has fewer than 10 positive records" in card.text


def test_calibration_is_shown_before_and_after_scaling(tmp_path, report):
    rows = table_of(load(tmp_path, report), "head")
    assert [row[0] for row in rows] == ["mean", "high", "low"]
    assert rows[0][1:] == [
        "1.500",
        "0.040 (0.030–0.060) → 0.020",
        "0.100 → 0.090",
        "not measured → not measured",
    ]


def test_input_is_complete(tmp_path, report):
    text = load(tmp_path, report).text
    assert "| I, II, III, AVR, AVL, AVF, V1, V2, V3, V4, V5, V6 |" in text
    assert "| 100 Hz |" in text
    assert "| 1,000 samples; in preparation, records of another length" in text
    assert "-1.2500 µV" in text and "238.5000 µV" in text
    assert "1,792,526 parameters" in text


def test_card_has_the_command_and_the_citation(tmp_path, report):
    text = load(tmp_path, report).text
    config = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1]
    assert yaml.safe_load(config) == FACTS["config"]
    assert FACTS["command"] in text
    assert "seed 7" in text and "jax 0.10.2" in text and "`0123abcd`" in text
    assert "arXiv:2406.16928" in text and "10.1038/s41597-020-0495-6" in text
    bibtex = re.search(r"```bibtex\n(.*?)```", text, re.DOTALL)[1]
    assert bibtex.count("{") == bibtex.count("}")


@pytest.mark.parametrize(
    ("data_set", "doi"),
    [
        ("PTB-XL", "10.1038/s41597-020-0495-6"),
        ("CPSC2018", "10.1166/jmihi.2018.2442"),
    ],
)
def test_data_sets_are_cited_if_required(tmp_path, report, data_set, doi):
    report["facts"]["data_set"] = data_set
    text = load(tmp_path, report).text
    assert text.count(doi) == 3  # as a link, its text and in BibTeX
    assert "CC BY 4.0" in text and dataset_info.of(data_set).people[0] in text


def test_a_card_on_synthetic_data_says_so_first(tmp_path, report):
    report["facts"]["data_set"] = "synthetic (CPSC2018 layout)"
    card = load(tmp_path, report)
    title, first, *_ = [line for line in card.text.split("\n\n") if line.strip()]
    assert title.strip().startswith("# ") and "not patients" in first
    assert "say nothing about patients" in first.replace("\n> ", " ")
    assert "CC BY" not in card.text


def test_a_subset_is_always_called_a_subset(tmp_path, report):
    report["facts"]["data_set_version"] = "subset"
    card = load(tmp_path, report)
    assert card.data.eval_results[0].dataset_name == "PTB-XL subset"
    assert "# MRM-Net for 12-lead ECGs: PTB-XL subset," in card.text
    assert "Do not compare these numbers" in card.text


def test_evaluation_data_are_distinguished_from_training_data(tmp_path, report):
    other = FACTS | {"data_set": "CPSC2018", "records": {"test": 12}}
    report["facts"] |= {"evaluated_on": other}
    card = load(tmp_path, report)
    assert card.data.datasets == ["ptb-xl"]
    assert card.data.eval_results[0].dataset_name == "CPSC2018"
    assert (
        "CPSC2018, version 1.0.3, test split, 12 records: **external data" in card.text
    )
    assert "16,832 train" in card.text
    assert "tested only on the data set" not in card.text


def test_a_card_says_how_many_records_have_no_label(tmp_path, report):
    claim = "the test split contains no record without any of the labels"
    assert claim in load(tmp_path, report).text  # PTB-XL, in a report without counts
    report["facts"]["data_set"] = "mine"
    assert claim not in load(tmp_path, report).text
    report |= {"num_records": 2098, "num_unlabelled": 0}
    assert claim in load(tmp_path, report).text
    report["num_unlabelled"] = 1049
    text = load(tmp_path, report).text
    assert claim not in text
    assert "1,049 of 2,098 records have none of the labels" in text


def test_renders_a_card_from_an_old_report(tmp_path, report):
    for part in ("intervals", "labels", "calibration"):
        del report[part]
    for fact in ("split", "evaluated_on"):
        del report["facts"][fact]
    card = load(tmp_path, report, num_parameters=None)
    assert table_of(card, "metric")[0] == ["macro AUC", "0.922", "0.932", "0.912"]
    assert "Intervals were not measured." in card.text
    assert card.text.count("\nNot measured.\n") == 2


def test_missing_intervals_are_explained(tmp_path, report):
    report["intervals"] |= {"heads": None, "note": "one record is too few"}
    assert (
        "There are no intervals: one record is too few.\n"
        in load(tmp_path, report).text
    )


def test_imported_weights_have_unknown_training_data(tmp_path, report):
    for fact in FACTS.keys() - {"labels", "config", "versions", "split"}:
        report["facts"][fact] = None
    report["facts"]["command"] = "python -m mrm_jax.convert --torch x.pth"
    card = load(tmp_path, report)
    assert (card.data.license, card.data.datasets) == ("unknown", None)
    assert "without a record of their training data" in card.text
    assert "None" not in card.text
    assert [row[2:] for row in table_of(card, "output")] == [["unknown"] * 2] * 3


def test_the_selected_head_is_shown(tmp_path, report):
    report["facts"]["selection"] = "val/macro_auc_high"
    report["facts"]["config"]["hparams"]["low_weight"] = 0.0
    card = load(tmp_path, report)
    assert card.data.eval_results[0].metric_value == pytest.approx(0.93234)
    assert table_of(card, "label")[0][2] == "0.620 (0.520–0.670)"
    assert "**The low head was not trained**" in card.text


def test_card_says_it_is_not_a_medical_device(tmp_path, report):
    text = load(tmp_path, report).text
    assert "not a medical device" in text.split("##")[0]


def test_commands_work_for_a_folder_with_spaces(tmp_path, report):
    folder = tmp_path / "a run"
    folder.mkdir()
    text = load(folder, report).text
    assert f"--run '{folder.as_posix()}' RECORD" in text
    assert f'mrm_jax.load("{folder.as_posix()}")' in text


def test_the_card_of_a_repository_loads_the_run_from_there(tmp_path, report):
    text = model_card.render(tmp_path / "a run", report, None, "me/ptbxl-rhythm")
    card = huggingface_hub.ModelCard(text)
    assert card.data.model_name == "ptbxl-rhythm"
    assert 'mrm_jax.from_hub("me/ptbxl-rhythm")' in card.text
    assert "a run" not in card.text.split("## Reproducing")[0]
