"""The one table of metrics: the key of each in files, and its title for readers.

Keys are those of report.json, metrics.csv and report.csv. The console tables,
report.html, the model card, the LaTeX tables, the comparison and the summary over seeds
all take their titles, and the order of their rows, from here.
"""

from collections.abc import Container

# Of a whole split. The titles fit the first column of a table of 80 characters.
SPLIT = {
    "macro_auc": "macro AUC",
    "macro_ap": "macro average precision",
    "macro_f1": "macro F1 at 0.5",
    "tpr": "recall per record (TPR) at 0.5",
    "f1": "F1 per record at 0.5",
    "accuracy": "accuracy at 0.5",
    "share_of_zeros": "all-negative baseline accuracy",
    "f_at_val_threshold": "F at validation threshold",
    "val_threshold": "validation threshold",
    "fmax": "Fmax (oracle threshold)",
    "cpsc_f1": "CPSC2018 score",
    "cpsc_f_af": "CPSC2018, AF",
    "cpsc_f_block": "CPSC2018, block",
    "cpsc_f_pc": "CPSC2018, premature contraction",
    "cpsc_f_st": "CPSC2018, ST change",
}
NOT_COMPARED = ("share_of_zeros", "val_threshold")  # more does not mean better

# Of one label; all but the threshold have a bootstrap interval.
LABEL = {
    "auc": "AUC",
    "average_precision": "average precision",
    "f1": "F1 at 0.5",
    "f1_at_threshold": "F1 at threshold",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "precision (PPV)",
    "threshold": "threshold",
}

# Of the calibration of a split's scores. With SCALED at its end, a key stands for the
# same metric after temperature scaling.
CALIBRATION = {
    "ece": "calibration error (ECE)",
    "brier": "Brier score",
    "nll": "log loss (NLL)",
}
SCALED = "_scaled"


def of_split(metrics: Container[str]) -> dict[str, str]:
    """Returns the key and title of every entry of SPLIT that is among metrics."""
    return {key: title for key, title in SPLIT.items() if key in metrics}


def compared(metrics: Container[str]) -> dict[str, str]:
    """Returns the entries of `of_split` that compare models: more is better."""
    found = of_split(metrics)
    return {key: found[key] for key in found if key not in NOT_COMPARED}
