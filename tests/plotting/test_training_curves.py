import math

import matplotlib.image
import numpy as np
import pytest

from mrm_jax.plotting import training_curves

pytestmark = pytest.mark.slow

BAND = "#cccccc"
WEIGHTS = {
    "high_weight": 1.0,
    "low_weight": 1.0,
    "feature_weight": 0.01,
    "logit_weight": 0.1,
}
VAL_LOSSES = ("val/bce_high", "val/bce_low")


def history(num_epochs, **changes):
    """Returns epochs 1, 2, ... of curves that fall and rise; None removes a metric."""
    lines = []
    for epoch in range(1, num_epochs + 1):
        line = {"epoch": epoch, "train/records_per_second": 30.0}
        line |= {key: (i + 1) / epoch for i, key in enumerate(training_curves.LOSSES)}
        line |= {
            key: 0.9 - 0.1 * (i + 1) / epoch
            for i, key in enumerate(training_curves.AUCS)
        }
        line |= {key: 0.5 + (i + 1) / epoch for i, key in enumerate(VAL_LOSSES)}
        found = (line | changes).items()
        lines.append({key: value for key, value in found if value is not None})
    return lines


def draw(tmp_path, lines, best_epoch=1, title="a run"):
    """Returns the pixels [row, column, 3] of the picture, as bytes."""
    path = tmp_path / "curves.png"
    training_curves.draw(lines, path, best_epoch, title, WEIGHTS)
    assert list(tmp_path.iterdir()) == [path]
    return (matplotlib.image.imread(path)[..., :3] * 255).round().astype(np.uint8)


def columns_with_colour(image, colour):
    """Returns which columns of the picture hold a colour such as "#cccccc"."""
    wanted = np.frombuffer(bytes.fromhex(colour[1:]), np.uint8)
    return np.flatnonzero((image == wanted).all(axis=-1).any(axis=0))


def panels(image, colour, count=3):
    """Returns how many columns of each panel hold a colour."""
    columns = columns_with_colour(image, colour)
    return np.histogram(columns, count, (0, image.shape[1]))[0].tolist()


def drawn_curves(lines, weights=WEIGHTS):
    """Returns the curves of report.html: title -> name in the legend -> values."""
    return {
        title: {
            line.get_label(): list(line.get_ydata())
            for line in figure.axes[0].lines
            if "best epoch" not in line.get_label()
        }
        for title, figure in training_curves.figures(lines, 1, weights).items()
    }


def test_every_curve_is_drawn_in_its_panel(tmp_path):
    image = draw(tmp_path, history(12))
    assert image.shape[1] > 1500
    styles = (training_curves.LOSSES, training_curves.SPLITS, training_curves.AUCS)
    for panel, of_panel in enumerate(styles):
        for key, (_, colour, *_) in of_panel.items():
            assert panels(image, colour)[panel] > 50, key


def test_terms_are_drawn_weighted_so_that_they_add_up_to_the_total():
    lines = history(4)
    for line in lines:
        line["train/loss"] = (
            line["train/bce_high"]
            + line["train/bce_low"]
            + 0.01 * line["train/feature_kl"]
            + 0.1 * line["train/logit_kl"]
        )
    curves = drawn_curves(lines)["training loss and its weighted terms"]
    total = curves.pop("total")
    assert list(curves) == [
        "1 × cross-entropy, high",
        "1 × cross-entropy, low",
        "0.01 × mutual, features",
        "0.1 × mutual, logits",
    ]
    np.testing.assert_allclose(np.sum(list(curves.values()), axis=0), total)


def test_the_validation_loss_is_beside_the_cross_entropies_of_training():
    lines, weights = history(3), WEIGHTS | {"high_weight": 0.5, "low_weight": 2.0}
    curves = drawn_curves(lines, weights)["weighted cross-entropy of both branches"]
    for split, name in (("train", "training"), ("val", "validation")):
        expected = [
            0.5 * line[f"{split}/bce_high"] + 2.0 * line[f"{split}/bce_low"]
            for line in lines
        ]
        np.testing.assert_allclose(curves.pop(name), expected)
    assert not curves


def test_a_run_without_a_validation_loss_has_no_panel_of_it(tmp_path):
    old = history(5, **dict.fromkeys(VAL_LOSSES))
    assert list(drawn_curves(old)) == [
        "training loss and its weighted terms",
        "validation macro AUC",
    ]
    image = draw(tmp_path, old)
    for key, (_, colour, *_) in training_curves.AUCS.items():
        assert panels(image, colour, 2)[1] > 50, key


def test_a_run_that_was_resumed_by_this_version_has_a_gap():
    lines = [*history(2, **dict.fromkeys(VAL_LOSSES)), *history(4)[2:]]
    curves = drawn_curves(lines)["weighted cross-entropy of both branches"]
    assert np.isnan(curves["validation"]).tolist() == [True, True, False, False]
    assert np.isfinite(curves["training"]).all()


def test_a_term_of_unknown_weight_is_not_drawn():
    curves = drawn_curves(history(3), {})
    assert list(curves["training loss and its weighted terms"]) == ["total"]
    assert "weighted cross-entropy of both branches" not in curves


def test_curves_differ_by_more_than_colour():
    for styles in (
        training_curves.LOSSES,
        training_curves.SPLITS,
        training_curves.AUCS,
    ):
        markers = [marker for _, _, marker, _ in styles.values()]
        assert len(set(markers)) == len(markers)


@pytest.mark.parametrize("absent", [0.0, math.nan])
def test_a_disabled_term_is_not_drawn(tmp_path, absent):
    lines = history(5, **{"train/feature_kl": absent})
    image = draw(tmp_path, lines)
    colour = training_curves.LOSSES["train/feature_kl"].colour
    assert panels(image, colour) == [0, 0, 0]
    for line in lines:
        del line["train/feature_kl"]
    np.testing.assert_array_equal(draw(tmp_path, lines), image)


def test_the_best_epoch_is_marked_in_every_panel(tmp_path):
    early, late = (draw(tmp_path, history(20), best_epoch=epoch) for epoch in (4, 16))
    assert all(panels(early, BAND)) and all(panels(late, BAND))
    # The band, high up in the panel; the sample in the legend stays where it is.
    upper = slice(0, early.shape[0] // 2)
    assert (
        columns_with_colour(early[upper], BAND).mean()
        < columns_with_colour(late[upper], BAND).mean()
    )


@pytest.mark.parametrize("num_epochs", [1, 2, 150])
def test_draws_short_and_long_runs(tmp_path, num_epochs):
    draw(tmp_path, history(num_epochs), best_epoch=num_epochs)


def test_draws_gaps_and_epochs_without_metrics(tmp_path):
    draw(tmp_path, [*history(3), {"epoch": 4, "val/macro_auc_mean": math.nan}])
    draw(tmp_path, [{"epoch": 1}])


def test_names_of_small_values_stay_within_the_picture(tmp_path):
    lines = history(30)
    for line in lines:
        line["train/feature_kl"] /= 1000  # its ticks have the longest names
    image = draw(tmp_path, lines)
    assert (image[:, :8] == 255).all()


def test_a_title_with_a_dollar_is_plain_text(tmp_path):
    draw(tmp_path, history(2), title="cost $5 of $\\frac{1$")


def test_an_empty_history_raises(tmp_path):
    with pytest.raises(ValueError, match="at least one epoch, found none"):
        training_curves.draw([], tmp_path / "curves.png", 1, "a run", WEIGHTS)
