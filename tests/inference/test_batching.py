import numpy as np
import pytest

from mrm_jax.data import recording, windows
from mrm_jax.inference import batching
from tests.helpers import small_predictions, small_states

EXPECTED = windows.InputSpec(100, 40, "exact")
MEAN_UV, STD_UV = 3.0, 200.0


@pytest.fixture(scope="module")
def scorer():
    state = small_states.create()
    return batching.Scorer(small_states.MODEL, state, MEAN_UV, STD_UV)


def cut(num_windows, seed):
    signal_mv = small_predictions.ecg_mv(40 * num_windows, seed)
    names = recording.lead_names.LEADS
    given = recording.Recording(f"r{seed}", signal_mv, names, 100)
    return windows.cut(given, EXPECTED)


def test_scores_do_not_depend_on_batch_boundaries(scorer):
    counts = (1, 3, 40, 1, 70, 2)  # a batch is 32
    cuts = [cut(count, seed) for seed, count in enumerate(counts)]
    together = list(scorer.score(iter(cuts)))
    assert [one for one, _ in together] == cuts
    for one, scores in together:
        assert scores.shape == (2, len(one.start_s), 3)
        ((_, alone),) = scorer.score([one])
        np.testing.assert_allclose(scores, alone, atol=1e-6)


def test_errors_keep_their_position(scorer):
    first, second = ValueError("first"), ValueError("second")
    one = cut(2, seed=0)
    found = [given for given, _ in scorer.score([first, one, second, second])]
    assert found == [first, one, second, second]
    assert [given for given, _ in scorer.score([first])] == [first]
    assert list(scorer.score([])) == []


def test_reads_no_more_records_than_a_batch_needs(scorer):
    taken = []

    def cuts():
        for seed in range(200):
            taken.append(seed)
            yield cut(1, seed)

    next(scorer.score(cuts()))
    assert len(taken) == batching.BATCH
