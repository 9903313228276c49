import numpy as np
import pytest

from mrm_jax import ecg_paper


def test_refuses_missing_samples():
    signal_mv = np.zeros((1000, 2))
    signal_mv[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite samples in II;"):
        ecg_paper.draw(signal_mv, 100, ["I", "II"], "record")
