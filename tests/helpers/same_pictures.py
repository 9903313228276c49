"""Reports whose pictures are drawn once: drawing takes most of a small run's time."""

import pytest

from mrm_jax.plotting import training_curves
from mrm_jax.reports import heads, html


@pytest.fixture(scope="module")
def same_pictures():
    """Makes the reports of a module repeat the pictures of the first of their kind."""
    draw_page, draw_curves = html._figures, training_curves.draw
    pages, curves = {}, {}

    def of_page(report, split, history, read_signal_mv):
        kind = len(report["labels"]), heads.primary(report["facts"]), bool(history)
        if kind not in pages:
            pages[kind] = draw_page(report, split, history, read_signal_mv)
        return pages[kind]

    def of_curves(history, path, *arguments):
        if not curves:
            draw_curves(history, path, *arguments)
            curves["png"] = path.read_bytes()
        path.write_bytes(curves["png"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(html, "_figures", of_page)
        patch.setattr(training_curves, "draw", of_curves)
        yield
