import collections
import copy
import dataclasses
import html.parser
import re

import numpy as np
import pytest

from mrm_jax.metrics.scores import SplitScores
from mrm_jax.plotting import label_figures
from mrm_jax.reports import html as html_lib
from mrm_jax.reports import html_figures
from tests.helpers import page_data

pytestmark = pytest.mark.slow

NAMES = ("slow", "fast", "<b>loud & clear</b>")
VOID = ("meta", "br", "hr", "img", "input", "link")


class Page(html.parser.HTMLParser):
    """A parser that collects a page's elements and checks that tags are closed."""

    def __init__(self, text):
        super().__init__()
        self.text, self.words, self.open = text, [], []
        self.tags = collections.defaultdict(list)
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags[tag].append(dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags[tag].append(dict(attrs))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, attribute):
        found = (each.get(attribute) for tag in self.tags.values() for each in tag)
        return [value for value in found if value is not None]

    def says(self, text):
        return text in re.sub(r"\s+", " ", "".join(self.words))


@pytest.fixture(scope="module")
def scores():
    return page_data.split_of(150, len(NAMES))


@pytest.fixture(scope="module")
def usual(scores):
    return page_data.report_of(scores, NAMES)


@pytest.fixture
def report(usual):
    """A report that tests may change."""
    return copy.deepcopy(usual)


def write(folder, report, scores, history=(), read=page_data.read_signal_mv):
    path = html_lib.write(folder, report, scores, history, read)
    assert path == folder / "report.html" and list(folder.iterdir()) == [path]
    found = Page(path.read_text("utf-8"))
    assert not found.open
    return found


@pytest.fixture(scope="module")
def asked():
    """The rows whose signals the default page requested."""
    return []


@pytest.fixture(scope="module")
def found(tmp_path_factory, usual, scores, asked):
    """The default page, parsed."""

    def read(rows):
        asked.extend(rows.tolist())
        return page_data.read_signal_mv(rows)

    folder = tmp_path_factory.mktemp("run")
    return write(folder, usual, scores, page_data.history(), read)


def test_the_page_describes_the_run(found):
    for part in (
        "first waves",
        "waves, version 1",
        "1,200 train, 150 val, 150 test",
        "3 of 5, the best by val/macro_auc_mean",
        "mrm_jax 0.1.0, jax 0.10.2",
        "python -m mrm_jax.train --config experiments/waves.py",
        "not a medical device",
        '"seed": 7',
    ):
        assert found.says(part), part
    assert found.says("Fmax (oracle threshold)")
    assert not found.says("Evaluated on external data")
    assert not found.says("Evaluation command")


def test_other_data_are_named(tmp_path, report, scores):
    other = {"data_set": "tides", "data_set_version": "9", "sampling_rate": 500}
    by = "python -m mrm_jax.evaluate --data tides"
    report["facts"] |= {"evaluated_on": page_data.FACTS | other, "evaluated_by": by}
    found = write(tmp_path, report, scores)
    assert found.says(
        "Evaluated on external data: tides, version 9. The model was trained on waves"
    )
    assert found.says("500 Hz")  # of the ECGs
    assert found.says(f"Evaluation command {by}")


def test_a_run_with_one_trained_head_shows_that_head(tmp_path, report, scores, found):
    notice = (
        "The high head was not trained (weight 0 in the loss): read only the low head."
    )
    assert not found.says("not trained")
    report["facts"] |= {
        "selection": "val/macro_auc_low",
        "config": {"hparams": {"high_weight": 0.0, "low_weight": 1.0}},
    }
    low_only = write(tmp_path, report, scores)
    assert low_only.says(notice)
    low, high = report["intervals"]["heads"]["low"]["macro_auc"]
    value = report["test"]["low"]["macro_auc"]
    assert low_only.says(f"macro AUC {value:.3f} {low:.3f} to {high:.3f}")  # a tile
    for words in (
        "low, validation",
        "sorted by the AUC of the low scores. Bars: low scores",
        "circles: mean of both branches; upright triangles: high-resolution branch.",
        "First panel: all labels pooled, low scores",
        "Table of reliability bins, low scores",
        "where the low score reaches",
        "between the low score and the true label",
    ):
        assert low_only.says(words), words
    assert re.search(
        r"<details open>\s*<summary>Table of all labels, low", low_only.text
    )
    worst = np.abs(scores.heads["low"] - scores.labels).max(axis=1).argmax()
    label = np.abs(scores.heads["low"] - scores.labels)[worst].argmax()
    score = scores.heads["low"][worst, label]
    assert low_only.says(f"score {score:.3f}")
    assert low_only.says(f"{scores.names[worst]}; true labels")


def test_every_number_has_its_interval(found, usual):
    for head in ("high", "low", "mean"):
        value = usual["test"][head]["macro_auc"]
        low, high = usual["intervals"]["heads"][head]["macro_auc"]
        assert found.says(f"{value:.3f} {low:.3f} to {high:.3f}")
        for row in usual["labels"]:
            low, high = row["heads"][head]["sensitivity_interval"]
            assert found.says(f"{row['heads'][head]['sensitivity']:.3f} {low:.3f} to")


def test_reliability_bins_have_distinct_edges(found, usual):
    first, second = usual["calibration"]["mean"]["reliability"][:2]
    assert found.says(f"0.000 to 0.067{first['cells']:,}{first['score']:.3f}")
    assert found.says(f"0.067 to 0.133{second['cells']:,}{second['score']:.3f}")


def test_labels_with_too_narrow_intervals_are_counted(tmp_path, report, scores):
    for row, count in zip(report["labels"], (10, 9, 1), strict=True):
        row["positive_records"] = count
    found = write(tmp_path, report, scores)
    assert found.says(
        "2 labels have fewer than 10 positive records, so their intervals are too"
    )


def test_records_without_any_label_are_counted(tmp_path, report, scores):
    report |= {"num_records": 150, "num_unlabelled": 15}
    found = write(tmp_path, report, scores)
    assert found.says("15 of 150 records have none of the labels; their recall and F1")


def test_text_from_data_is_escaped(tmp_path, report, scores):
    names = np.array([f"<i>{name}&" for name in scores.names])
    strange = dataclasses.replace(scores, names=names)
    report["labels"][0]["description"] = "a < b & <script>alert(1)</script>"
    report["facts"] |= {"data_set": "<u>", "command": "a && b <c>"}
    found = write(tmp_path, report, strange)
    assert not {"b", "i", "u", "c", "script"} & set(found.tags)
    for text in ("<b>loud & clear</b>", "a < b & <script>", "<i>records", "a && b <c>"):
        assert found.says(text)


def test_nothing_is_loaded(found):
    assert not {"script", "link", "iframe", "object", "base"} & set(found.tags)
    policy = next(m["content"] for m in found.tags["meta"] if "http-equiv" in m)
    assert policy.startswith("default-src 'none';")
    addresses = found.all("href") + found.all("src") + found.all("xlink:href")
    assert all(address.startswith(("#", "data:image/png")) for address in addresses)
    assert "://" not in found.text and "@import" not in found.text
    outside = re.findall(r"url\((?!#)", found.text)
    assert not outside


def test_ids_are_unique_and_all_references_resolve(found):
    ids = found.all("id")
    assert len(ids) == len(set(ids))
    referred = {href[1:] for href in found.all("href") if href.startswith("#")}
    referred |= set(re.findall(r"url\(#([^)]+)\)", found.text))
    assert referred <= set(ids)


def test_every_figure_has_a_description(found):
    assert len(found.tags["figure"]) == len(found.tags["figcaption"]) > 5
    for drawn in found.tags["svg"]:
        assert drawn["role"] == "img" and len(drawn["aria-label"]) > 10
    labels = [drawn["aria-label"] for drawn in found.tags["svg"]]
    assert len(labels) == len(set(labels))


def test_the_page_is_reproducible(found, tmp_path, usual, scores):
    assert write(tmp_path, usual, scores, page_data.history()).text == found.text


def test_errors_are_listed_with_their_records(found, asked, scores):
    distance = np.abs(scores.mean - scores.labels)
    expected = np.argsort(-distance.max(axis=1), kind="stable")[: len(asked)]
    assert asked == expected.tolist() and len(asked) == html_figures.NUM_ERRORS
    record = asked[0]
    label = distance[record].argmax()
    verdict = "false negative" if scores.labels[record, label] else "false positive"
    score = scores.mean[record, label]
    assert found.says(f"1. {NAMES[label]}: {verdict}, score {score:.3f}")
    truth = ", ".join(np.array(NAMES)[scores.labels[record] == 1]) or "none"
    assert found.says(f"{scores.names[record]}; true labels: {truth}.")


def test_a_model_without_errors_says_so(tmp_path):
    labels = np.array([[1, 0], [0, 1], [1, 0]] * 5, np.uint8)
    perfect = SplitScores.of_two(
        np.arange(15).astype(str), labels, labels * 0.8 + 0.1, labels * 0.8 + 0.1
    )
    found = write(tmp_path, page_data.report_of(perfect, ["A", "B"]), perfect)
    assert found.says("No mean score of this split is on the wrong side")
    assert not found.says("Most frequent false positives")


def test_unknown_metadata_is_omitted(tmp_path, scores):
    one_class = SplitScores.of_two(
        scores.names[:4],
        np.eye(3, dtype=np.uint8)[[0] * 4],
        *[np.full((4, 3), 0.3)] * 2,
    )
    report = page_data.report_of(one_class, NAMES)
    report["intervals"] |= {"heads": None, "note": "too few records for intervals"}
    report["calibration"] = None
    del report["val"], report["facts"]["config"], report["facts"]["versions"]
    found = write(tmp_path, report, one_class)
    assert found.says("too few records for intervals")
    assert found.says("No label has both classes")
    assert found.says(tmp_path.name)
    assert not found.says("Calibration") and not found.says("Training curves")


def test_only_the_best_and_worst_of_many_labels_have_curves():
    scores = page_data.split_of(300, 30)
    names = [f"L{i:02d}" for i in range(30)]
    rows = page_data.report_of(scores, names)["labels"]
    aucs = [row["heads"]["mean"]["auc"] for row in rows]
    order = np.argsort(-np.array(aucs), kind="stable")
    expected = [names[i] for i in [*order[:4], *order[-4:]]]
    assert len(names) > label_figures.FEW_LABELS
    drawn = html_figures.score_curves(rows, scores, "mean")
    assert len(drawn) == 1 + len(expected)
    for markup, name in zip(drawn[1:], expected, strict=True):
        assert f"curves: {name}" in markup


def test_each_head_predicts_by_its_own_scores_and_thresholds():
    labels = np.array([[1, 0], [0, 1]], np.uint8)
    high, low = np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([[0.3, 0.6], [0.6, 0.3]])
    split = SplitScores.of_two(np.array(["a", "b"]), labels, high, low)
    rows = page_data.report_of(split, ["A", "B"])["labels"]
    rows[0]["heads"]["low"]["threshold"] = 0.2
    found = html_figures.predicted(rows, split, 0.5, "low")
    np.testing.assert_array_equal(found, [[True, True], [True, False]])
    found = html_figures.predicted(rows, split, 0.5, "high")
    np.testing.assert_array_equal(found, [[True, False], [False, True]])


def test_pairs_match_values_by_hand():
    labels = np.array([[1, 0], [1, 0], [1, 1], [0, 1]], np.uint8)
    scores = np.array([[0.9, 0.9], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]])
    split = SplitScores.of_two(np.array(list("abcd")), labels, scores, scores)
    rows = page_data.report_of(split, ["A", "B"])["labels"]
    rows[1]["heads"]["mean"]["threshold"] = None
    assert html_figures.false_positive_pairs(rows, split, 0.5, "mean") == [
        ("A", "B", 2, 1)
    ]
    assert html_figures.false_positive_pairs(rows, split, 0.95, "mean") == []
