import json

import pytest

from mrm_jax.metrics import scores, thresholds
from mrm_jax.reports import thresholds_file

LABELS = ("AF", "RBBB")
CHOSEN = {
    head: thresholds.Thresholds(0.4, (0.3, 0.6), temperature=1.5)
    for head in ("high", "low", "mean")
}


def read(folder, labels=LABELS, epoch=3):
    metrics = {"val/fmax_threshold_mean": 0.2}
    saved = {"data": {"labels": labels}, "metrics": metrics}
    return thresholds_file.read(folder, saved, epoch, scores.HEADS)


def rewrite(folder, change):
    path = folder / thresholds_file.FILE
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_thresholds_round_trip(tmp_path):
    thresholds_file.write(tmp_path, LABELS, CHOSEN, epoch=3)
    assert read(tmp_path) == CHOSEN


def test_thresholds_of_another_epoch_or_labels_are_ignored(tmp_path):
    thresholds_file.write(tmp_path, LABELS, CHOSEN, epoch=3)
    for found in (read(tmp_path, epoch=4), read(tmp_path, labels=("RBBB", "AF"))):
        assert found["mean"].by_label == (0.2, 0.2)
        assert found["mean"].source == thresholds.OF_ALL
        assert found["high"].source == thresholds.NOT_CHOSEN


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("heads"), "missing required field `heads`"),
        (lambda c: c.update(epoch="3"), r"Expected `int`, got `str` - at `\$.epoch`"),
        (lambda c: c.update(labels="AF"), "Expected `array`, got `str`"),
        (lambda c: c["heads"].pop("low"), "expected the heads"),
        (lambda c: c["heads"].update(low=[]), "Expected `object`, got `array`"),
        (lambda c: c["heads"]["low"].update(by_label=[0.1]), "expected 2 numbers"),
        (lambda c: c["heads"]["low"].update(by_label=[0.1, None]), "Expected `float`"),
        (lambda c: c["heads"]["low"].update(overall=float("nan")), "expected numbers"),
        (lambda c: c["heads"]["low"].update(temperature=0), "a positive number"),
    ],
)
def test_files_of_another_shape_are_named(tmp_path, change, message):
    thresholds_file.write(tmp_path, LABELS, CHOSEN, epoch=3)
    rewrite(tmp_path, change)
    with pytest.raises(
        ValueError, match=f"thresholds.json is damaged .*{message}.*Delete it"
    ):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b'"x"', b"null", b"{", b"\xff\xfe"])
def test_files_that_are_no_json_object_are_named(tmp_path, content):
    (tmp_path / thresholds_file.FILE).write_bytes(content)
    with pytest.raises(ValueError, match=r"thresholds.json is damaged .*Delete it"):
        read(tmp_path)
