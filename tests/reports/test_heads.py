import pytest

from mrm_jax.reports import caveats
from mrm_jax.reports import heads as heads_lib


@pytest.mark.parametrize("head", ["high", "low", "mean"])
def test_the_head_that_selected_the_epoch_is_primary(head):
    assert heads_lib.primary({"selection": f"val/macro_auc_{head}"}) == head


@pytest.mark.parametrize("facts", [{}, {"selection": None}])
def test_without_a_selection_the_mean_is_primary(facts):
    assert heads_lib.primary(facts) == "mean"


@pytest.mark.parametrize(
    "high, low, heads, caveat",
    [
        (1.0, 0.5, (), ""),
        (
            0.0,
            1.0,
            ("high",),
            "the high head was not trained (weight 0 in the loss): read only the low "
            "head",
        ),
        (
            1.0,
            0,
            ("low",),
            "the low head was not trained (weight 0 in the loss): read only the high "
            "head",
        ),
        (
            0,
            0,
            ("high", "low"),
            "neither head was trained (weight 0 in the loss): ignore all scores",
        ),
    ],
)
def test_a_head_with_zero_weight_is_untrained(high, low, heads, caveat):
    facts = {"config": {"hparams": {"high_weight": high, "low_weight": low}}}
    assert heads_lib.untrained(facts) == heads
    assert caveats.untrained(heads) == caveat


@pytest.mark.parametrize("facts", [{}, {"config": None}, {"config": {"name": "x"}}])
def test_without_weights_all_heads_count_as_trained(facts):
    assert heads_lib.untrained(facts) == ()
