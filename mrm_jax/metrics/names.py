"""The metrics that are shown of a split, in their order, with their names in words."""

from collections.abc import Container, Iterator

NAMES = {
    "macro_auc": "macro AUC",
    "macro_ap": "macro average precision",
    "macro_f1": "macro F1 at 0.5",
    "tpr": "TPR per record at 0.5",
    "f1": "F1 per record at 0.5",
    "accuracy": "accuracy at 0.5",
    "f_at_val_threshold": "F, threshold from val.",
    "fmax": "Fmax, threshold picked here",
    "cpsc_f1": "CPSC2018 score",
    "cpsc_f_af": "CPSC2018, AF",
    "cpsc_f_block": "CPSC2018, block",
    "cpsc_f_pc": "CPSC2018, premature",
    "cpsc_f_st": "CPSC2018, ST change",
}


def known(metrics: Container[str]) -> Iterator[tuple[str, str]]:
    """Yields key and name of those that are among metrics."""
    return ((key, name) for key, name in NAMES.items() if key in metrics)
