import numpy as np
import pytest

from mrm_jax.data import shards
from mrm_jax.interop import verify

pytestmark = pytest.mark.slow

NAMES, LABELS = np.array(["A1", "A2"]), ("AF", "PVC", "STD")


def outputs(**changes):
    scores = np.full((2, 3), 0.5, np.float32)
    found = {name: scores for name in ("scores_mean", "scores_high", "scores_low")}
    return found | changes


def test_reports_the_largest_difference_of_all_outputs():
    own = outputs()
    low = own["scores_low"] + np.array([[0, 0, 0], [0, 4e-6, -8e-6]], np.float32)
    found = verify.compare(outputs(scores_low=low), own, NAMES, LABELS)
    assert found == pytest.approx(8e-6, rel=0.02)


def test_a_difference_is_named_with_its_record_and_label():
    high = outputs()["scores_high"].copy()
    high[0, 0], high[1, 2] = 0.50002, 0.75
    expected = (
        "scores_high of A2, STD: the run gives 0.5000000, but the file gives "
        "0.7500000. 2 of 6"
    )
    with pytest.raises(ValueError, match=expected):
        verify.compare(outputs(scores_high=high), outputs(), NAMES, LABELS)


def test_nan_never_compares_equal():
    mean = outputs()["scores_mean"].copy()
    mean[1, 0] = np.nan
    with pytest.raises(ValueError, match="scores_mean of A2, AF.* the file gives nan"):
        verify.compare(outputs(scores_mean=mean), outputs(), NAMES, LABELS)


def test_missing_records_raise():
    expected = r"expected scores of shape \[2, 3\], found \[1, 3\]"
    with pytest.raises(ValueError, match=expected):
        short = outputs(scores_high=np.full((1, 3), 0.5))
        verify.compare(short, outputs(), NAMES, LABELS)


@pytest.mark.parametrize(
    ("num_records", "sizes"),
    [(64, [1, 3, 60]), (4, [1, 3]), (3, [1, 2]), (1, [1])],
)
def test_every_record_is_scored_once_in_several_batches(num_records, sizes):
    assert verify.batch_sizes(num_records) == sizes
    asked = []

    def score(batch):
        asked.append(len(batch))
        return dict.fromkeys(outputs(), batch)

    signals = np.arange(num_records, dtype=np.float32)[:, None]
    found = verify.scores(score, signals)
    assert asked == sizes
    for name in outputs():
        np.testing.assert_array_equal(found[name], signals)


def test_uses_records_of_the_test_fold(shards_dir):
    data = shards.load(shards_dir)
    records = verify.of_shards(data)
    split = data.split("waves", "test")
    assert records.names.tolist() == split.names.tolist()
    assert records.source == f"6 records of {shards_dir}"
    np.testing.assert_allclose(
        records.signals_mv, data.signals_uv(split.rows) / 1000, rtol=1e-6
    )
    assert records.signals_mv.dtype == np.float32


def test_noise_has_the_scale_of_the_training_records(run):
    signals = verify.of_noise(run).signals_uv
    assert signals.shape == (64, 40, 12)
    assert signals.mean() == pytest.approx(run.data["mean_uv"], abs=10)
    assert signals.std() == pytest.approx(run.data["std_uv"], rel=0.02)
