import math

import matplotlib.image
import numpy as np
import pytest

from mrm_jax.plotting import training_curves

pytestmark = pytest.mark.slow

BAND = "#cccccc"


def history(num_epochs, **changes):
    """Returns epochs 1, 2, ... of curves that fall and rise."""
    lines = []
    for epoch in range(1, num_epochs + 1):
        line = {"epoch": epoch, "train/records_per_second": 30.0}
        line |= {key: (i + 1) / epoch for i, key in enumerate(training_curves.LOSSES)}
        line |= {
            key: 0.9 - 0.1 * (i + 1) / epoch
            for i, key in enumerate(training_curves.AUCS)
        }
        lines.append(line | changes)
    return lines


def draw(tmp_path, lines, best_epoch=1, title="a run"):
    """Returns the pixels [row, column, 3] of the picture, as bytes."""
    path = tmp_path / "curves.png"
    training_curves.draw(lines, path, best_epoch, title)
    assert list(tmp_path.iterdir()) == [path]
    return (matplotlib.image.imread(path)[..., :3] * 255).round().astype(np.uint8)


def columns_with_colour(image, colour):
    """Returns which columns of the picture hold a colour such as "#cccccc"."""
    wanted = np.frombuffer(bytes.fromhex(colour[1:]), np.uint8)
    return np.flatnonzero((image == wanted).all(axis=-1).any(axis=0))


def halves(image, colour):
    """Returns how many columns of the left and of the right panel hold a colour."""
    columns = columns_with_colour(image, colour)
    middle = image.shape[1] / 2
    return int((columns < middle).sum()), int((columns >= middle).sum())


def test_every_curve_is_drawn_in_its_panel(tmp_path):
    image = draw(tmp_path, history(12))
    assert image.shape[1] > 1000
    for key, (_, colour, *_) in training_curves.LOSSES.items():
        assert halves(image, colour)[0] > 50, key
    for key, (_, colour, *_) in training_curves.AUCS.items():
        assert halves(image, colour)[1] > 50, key


def test_curves_differ_by_more_than_colour():
    for styles in (training_curves.LOSSES, training_curves.AUCS):
        markers = [marker for _, _, marker, _ in styles.values()]
        assert len(set(markers)) == len(markers)


@pytest.mark.parametrize("absent", [0.0, math.nan])
def test_a_disabled_term_is_not_drawn(tmp_path, absent):
    lines = history(5, **{"train/feature_kl": absent})
    image = draw(tmp_path, lines)
    assert halves(image, training_curves.LOSSES["train/feature_kl"][1]) == (0, 0)
    for line in lines:
        del line["train/feature_kl"]
    np.testing.assert_array_equal(draw(tmp_path, lines), image)


def test_the_best_epoch_is_marked_in_both_panels(tmp_path):
    early, late = (draw(tmp_path, history(20), best_epoch=epoch) for epoch in (4, 16))
    for side in (0, 1):
        assert halves(early, BAND)[side] and halves(late, BAND)[side]
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


def test_a_title_with_a_dollar_is_plain_text(tmp_path):
    draw(tmp_path, history(2), title="cost $5 of $\\frac{1$")


def test_an_empty_history_raises(tmp_path):
    with pytest.raises(ValueError, match="at least one epoch, found none"):
        training_curves.draw([], tmp_path / "curves.png", 1, "a run")
