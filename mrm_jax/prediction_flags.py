"""The flags of `mrm_jax.predict`."""

import argparse
from pathlib import Path

from mrm_jax import prediction


def parser(description: str) -> argparse.ArgumentParser:
    """Returns what reads the command's flags.

    Args:
        description: of the command, for --help.
    """
    flags = argparse.ArgumentParser(
        prog="mrm_jax.predict",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    flags.add_argument(
        "records", metavar="RECORD", nargs="+", type=Path, help="file or folder"
    )
    flags.add_argument(
        "--workdir", type=Path, required=True, help="folder of a trained run"
    )
    _add_table_flags(flags.add_argument_group("of .npy and .csv"))
    flags.add_argument(
        "--aggregate",
        choices=tuple(prediction.AGGREGATES),
        default="mean",
        help="of several windows' scores; first: only the first window is read, as in "
        "training and evaluation (default: %(default)s)",
    )
    flags.add_argument(
        "--windows", action="store_true", help="give each window's scores as well"
    )
    _add_finding_flags(flags)
    flags.add_argument(
        "--top",
        metavar="N",
        type=int,
        default=5,
        help="show the N highest scores beside the findings (default: %(default)s)",
    )
    flags.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help="write all scores, as .csv or .json (default: only the terminal)",
    )
    _add_picture_flags(flags.add_argument_group("pictures"))
    return flags


def _add_table_flags(flags: argparse._ArgumentGroup) -> None:
    flags.add_argument(
        "--sampling_rate", metavar="HZ", type=float, help="required for them"
    )
    flags.add_argument(
        "--unit", default="mV", help="mV, uV or V (default: %(default)s)"
    )
    flags.add_argument(
        "--leads",
        metavar="I,II,...",
        help="names of the columns without the one of times (default: the header "
        "row's, or the standard order I, II, III, aVR, aVL, aVF, V1 to V6)",
    )


def _add_finding_flags(flags: argparse.ArgumentParser) -> None:
    flags.add_argument(
        "--head",
        choices=prediction.HEADS,
        default="mean",
        help="whose scores count: the high- or the low-resolution branch's, or their "
        "mean (default: %(default)s)",
    )
    flags.add_argument(
        "--threshold",
        metavar="X",
        type=float,
        help="a score that reaches it is a finding, 0 to 1 (default: each label's own, "
        "chosen on the validation records)",
    )
    flags.add_argument(
        "--shards",
        metavar="FOLDER",
        type=Path,
        help="the data that weights imported from PyTorch were trained on, which do "
        "not know them (default: the run knows)",
    )


def _add_picture_flags(flags: argparse._ArgumentGroup) -> None:
    flags.add_argument(
        "--plot",
        metavar="FOLDER",
        type=Path,
        help="draw each record on ECG paper into this folder (default: no pictures)",
    )
    flags.add_argument(
        "--explain",
        metavar="LABEL",
        action="append",
        default=[],
        help="draw why this label has its score, found or not; may be repeated; found: "
        "every label that is found in a record (default: none)",
    )
    flags.add_argument(
        "--plot_format",
        choices=("png", "svg", "pdf"),
        default="png",
        help="of the pictures (default: %(default)s)",
    )
