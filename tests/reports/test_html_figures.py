import numpy as np

from mrm_jax.data import leads
from mrm_jax.reports import html_figures


def test_text_is_large_enough_for_a_screen():
    signal_mv = np.zeros((200, 12))
    page = html_figures.picture(signal_mv, 100, leads.LEADS, "a record")
    texts = page.axes[0].texts
    assert "a record" in [text.get_text() for text in texts]
    assert min(text.get_fontsize() for text in texts) * 96 / 72 >= 11
