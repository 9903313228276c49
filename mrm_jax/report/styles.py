"""How the heads and terms look in every figure.

Colours of Okabe and Ito (2008), which people with a colour vision deficiency can tell
apart; marker and line do for a print in grey.
"""

from typing import Any, NamedTuple


class Style(NamedTuple):
    """How one curve looks."""

    name: str
    colour: str
    marker: str
    line: str


HEADS = {
    "mean": Style("mean", "#000000", "o", "-"),
    "high": Style("high", "#0072B2", "^", "--"),
    "low": Style("low", "#D55E00", "v", "-."),
}
LOSSES = {
    "train/loss": Style("total", "#000000", "o", "-"),
    "train/bce_high": Style("cross-entropy, high", "#0072B2", "^", "--"),
    "train/bce_low": Style("cross-entropy, low", "#D55E00", "v", "-."),
    "train/feature_kl": Style("mutual, features", "#009E73", "s", ":"),
    "train/logit_kl": Style("mutual, logits", "#CC79A7", "D", ":"),
}
AVERAGES = {
    "micro": Style("micro", "#000000", "", "-"),
    "macro": Style("macro", "#0072B2", "", "--"),
}
TEMPERATURES = {
    "reliability": Style("as trained", "#D55E00", "^", "--"),
    "reliability_scaled": Style("with temperature", "#000000", "o", "-"),
}
CHANCE: dict[str, Any] = {"color": "0.6", "linestyle": ":", "linewidth": 1.2}
