"""One number that makes scores probabilities: the temperature that divides logits.

It keeps the order of records and the finding at 0.5. It has nothing to do with the
temperature of the mutual loss.

References:
    Guo et al., 2017, arXiv 1706.04599, section 4.2.
"""

import numpy as np
import scipy.optimize
import scipy.special
from jaxtyping import Float

from mrm_jax.ranking import Labels, Scores

# Half of float32's step below 1: keeps the logit of a score of 0 or 1 finite.
MARGIN = 2.0**-24
RANGE = (0.05, 20.0)  # that is searched; logits beyond carry no information


def fit(scores: Scores, labels: Labels) -> float:
    """Returns the temperature within RANGE of the least mean cross-entropy.

    The mean is over all cells, record by label. Logits are those of the scores, so the
    mean of two heads has a temperature as well.
    """
    logits = _logits(scores)
    low, high = np.log(RANGE)
    found = scipy.optimize.minimize_scalar(
        lambda log: _cross_entropy(logits / np.exp(log), labels).mean(),
        bounds=(low, high),
        method="bounded",
    )
    return float(np.exp(found.x))


def scale(scores: Scores, temperature: float) -> Float[np.ndarray, "record label"]:
    """Returns sigmoid(logit(score) / temperature), in float64."""
    return scipy.special.expit(_logits(scores) / temperature)


def cross_entropy(scores: Scores, labels: Labels) -> Float[np.ndarray, "record label"]:
    """Returns the cross-entropy of each cell, in nats; MARGIN bounds it by 16.7."""
    return _cross_entropy(_logits(scores), labels)


def _logits(scores: np.ndarray) -> np.ndarray:
    wide = scores.astype(np.float64)
    return scipy.special.logit(np.clip(wide, MARGIN, 1 - MARGIN))


def _cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, np.where(labels == 1, -logits, logits))
