import numpy as np

from mrm_jax.data import leads
from mrm_jax.reports import html_figures


def test_the_most_confident_errors_by_hand():
    scores = np.array([[0.9, 0.2], [0.1, 0.95], [0.4, 0.6], [0.3, 0.2]])
    labels = np.array([[1, 1], [1, 0], [1, 0], [0, 0]])
    assert html_figures.most_confident(scores, labels, 10) == [
        html_figures.Error(record=1, label=1, score=0.95, missed=False),
        html_figures.Error(record=0, label=1, score=0.2, missed=True),
        html_figures.Error(record=2, label=0, score=0.4, missed=True),
    ]
    assert len(html_figures.most_confident(scores, labels, 2)) == 2


def test_a_model_without_errors_has_none():
    labels = np.array([[1, 0], [0, 1]])
    assert html_figures.most_confident(labels * 0.4 + 0.3, labels, 10) == []


def test_no_text_of_the_picture_is_too_small_for_a_screen():
    signal_mv = np.zeros((200, 12))
    page = html_figures.picture(signal_mv, 100, leads.LEADS, "a record")
    texts = page.axes[0].texts
    assert "a record" in [text.get_text() for text in texts]
    assert min(text.get_fontsize() for text in texts) * 96 / 72 >= 11
