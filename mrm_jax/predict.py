"""Scores ECGs in files with a trained run.

  python -m mrm_jax.predict --run ptbxl-subset-superdiagnostic ptbxl-example
  python -m mrm_jax.predict --run runs/cpsc2018 A0001.hea
  python -m mrm_jax.predict --run runs/cpsc2018 FOLDER --out scores.csv
  python -m mrm_jax.predict --run runs/cpsc2018 ecg.csv --sampling_rate 250

RECORD is a WFDB record (.hea, .dat, .mat, or its name without a suffix), an original
.mat file of CPSC2018, an EDF, DICOM, GE MUSE, HL7 aECG or SCP-ECG file, a .npy file
[time, lead] or [lead, time], a .csv file with one row per sample, or a folder that
contains such files. ptbxl-example is a real ECG that comes with mrm_jax. If the file
names its leads, they may be in any order. Any two limb leads suffice to compute the
other four. Signals are resampled from any sampling rate. A record longer than the
network's window is cut into adjacent windows, whose scores are combined (--aggregate).
Records with missing or flat leads, missing samples or implausible amplitudes are not
scored. They are listed at the end with the reason and do not stop the others.

--out writes one row (CSV) or entry (JSON) per record: its name, file, length in
seconds, number of windows, labels found, score of each label, notes on preprocessing,
and the error if it was not scored. With --windows, it also contains the start and the
scores of each window.

--plot draws each scored record as NAME.png: its twelve leads on ECG paper, with the
labels found. --explain adds NAME--LABEL.png: the contribution of each sample of each
lead to the label's logit (integrated gradients), and the temporal attention gates of
both branches. Of a longer record, all plots show the same window: the one in which the
labels found have the highest mean score. If none is found, it is the window in which
the label with the highest score of the record scores highest.

Scores are for research. They are not a diagnosis; this is not a medical device.

Exit status: 0 all records scored; 1 some records not scored or not drawn; 2 no record
scored, or an error in the flags; 130 interrupted.
"""

import argparse
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mrm_jax import version
from mrm_jax.data import example_record, files, leads, recording, windows
from mrm_jax.inference import prediction, prediction_files, predictor
from mrm_jax.metrics import thresholds
from mrm_jax.runs import trained_run
from mrm_jax.runtime import cli, compiler, console, locks, progress

if TYPE_CHECKING:
    from mrm_jax.inference import plots

PLOT_FORMATS = ("png", "svg", "pdf")


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the flags and predicts; returns the exit status."""
    given = sys.argv[1:] if argv is None else argv
    renamed = {"--workdir": "--run", "--shards": "--data"}
    args = parser(__doc__).parse_args(cli.rename_flags(given, renamed))
    return cli.run(lambda: _run(args), interrupted=_interrupted(args))


def _interrupted(args: argparse.Namespace) -> str:
    """Returns the message after Ctrl-C: what is kept, and how to go on."""
    kept = "No table was written."
    if args.plot is not None:
        kept += f" The plots drawn so far are in {args.plot}."
    return f"Interrupted. {kept} Run the same command again to start over."


def _run(args: argparse.Namespace) -> int:
    if args.out is None:
        return _predict(args)
    prediction_files.check_suffix(args.out)
    with locks.writing_file(args.out):
        return _predict(args)


def _predict(args: argparse.Namespace) -> int:
    form = _table_form(args)
    found = files.find([example_record.resolve(path) for path in args.records])
    _check_apart(args.out, found.records)
    compiler.set_up()
    model = predictor.load(
        args.run, head=args.head, threshold=args.threshold, data=args.data
    )
    plot_writer = None if args.plot is None else _album(model, found.records, args)
    console.say(_headline(model, found, args))
    first_only = prediction.first_only(args.aggregate)
    cuts = windows.cuts(found.records, form, model.expected, first_only)
    scored = model.predict_windows(cuts, args.aggregate)
    track = progress.tracker("scoring" if plot_writer is None else "scoring, plotting")
    shown = track(scored, len(found.records))
    results, warnings, plot_failures = _kept(
        zip(found.records, shown, strict=True), plot_writer
    )
    if args.out is not None:
        about = _about(model, args.aggregate)
        prediction_files.write(args.out, results, about, args.windows)
    for line in prediction.lines(results, args.top, args.windows):
        console.say(line)
    for warning in warnings:
        console.say(f"warning: {warning}")
    console.say(prediction.RESEARCH)
    for what, place in (("results", args.out), ("plots", args.plot)):
        if place is not None:
            console.say(f"{what}: {place}")
    failed = sum(isinstance(result, ValueError) for _, result in results)
    return 2 if failed == len(results) else int(failed + plot_failures > 0)


def _kept(
    scored: Iterable[tuple[Path, tuple[windows.Windowed, predictor.Result]]],
    plot_writer: "plots.PlotWriter | None",
) -> tuple[list[tuple[Path, predictor.Result]], list[str], int]:
    """Collects the results and draws the scored records.

    Returns:
        The results, the warnings and the number of records that could not be drawn.
    """
    results, warnings, plot_failures = [], [], 0
    for path, (cut, result) in scored:
        results.append((path, result))
        if isinstance(cut, ValueError) or isinstance(result, ValueError):
            continue
        if plot_writer is None:
            continue
        try:
            warnings += plot_writer.add(path, cut, result)
        except (OSError, ValueError) as error:  # the scores are still valid
            warnings.append(f"{path}: could not be drawn: {error}")
            plot_failures += 1
    return results, warnings, plot_failures


def _check_apart(out: Path | None, records: Sequence[Path]) -> None:
    """Raises an error if the results would overwrite a record."""
    if out is not None and out.exists() and out.resolve() in map(Path.resolve, records):
        raise ValueError(f"{out} is one of the records. Choose another --out.")


def _album(
    model: predictor.Predictor, paths: Sequence[Path], args: argparse.Namespace
) -> "plots.PlotWriter":
    from mrm_jax.inference import plots  # loads matplotlib

    suffix = f".{args.plot_format or PLOT_FORMATS[0]}"
    return plots.PlotWriter(args.plot, suffix, paths, model.run, args.explain)


def _headline(
    model: predictor.Predictor, found: files.Found, args: argparse.Namespace
) -> str:
    count = len(found.records)
    places = [str(place) for place in (args.out, args.plot) if place is not None]
    text = (
        f"{args.run}, epoch {model.run.epoch}: scores of {len(model.labels)} "
        f"labels for {count:,} record{'s'[: count != 1]}, in windows of "
        f"{model.duration_s:g} s at {model.sampling_rate} Hz, {args.head} head"
        + (f" -> {', '.join(places)}" if places else "")
    )
    if model.thresholds_are in thresholds.SOURCES[1:]:
        shown = f"{model.thresholds_are}, {model.thresholds[model.labels[0]]:g}"
        text += f"\nthresholds: {shown}; to choose one per label"
        command = f": python -m mrm_jax.evaluate --run {shlex.quote(str(args.run))}"
        again = ", evaluate the run of this file, and export it again"
        text += command if model.run.given is None else again
    if found.skipped():
        text += f"\nskipped: {found.skipped()}"
    return text


def _about(model: predictor.Predictor, aggregate: str) -> dict[str, Any]:
    """Returns the metadata of the results file."""
    return {
        "workdir": str(model.run.workdir),
        "epoch": model.run.epoch,
        "mrm_jax": version.VERSION,
        "labels": list(model.labels),
        "descriptions": list(model.descriptions),
        "head": model.head,
        "thresholds": model.thresholds,
        "thresholds_are": model.thresholds_are,
        "aggregate": aggregate,
        "window_s": model.duration_s,
        "note": prediction.RESEARCH,
    }


def _table_form(args: argparse.Namespace) -> files.TableForm:
    """Validates the flags and returns the description of .npy and .csv files."""
    if args.top < 1:
        raise ValueError(f"--top: expected 1 or more, got {args.top}.")
    if args.threshold is not None and not 0 <= args.threshold <= 1:
        raise ValueError(
            f"--threshold: expected a number from 0 to 1, got {args.threshold:g}."
        )
    if args.plot is None:
        for flag in ("explain", "plot_format"):
            if getattr(args, flag):
                raise ValueError(
                    f"--{flag} is for plots. Pass a folder for them with --plot FOLDER."
                )
    names = None if args.leads is None else leads.standard_names(args.leads.split(","))
    return files.TableForm(args.sampling_rate, recording.unit_name(args.unit), names)


def parser(description: str) -> argparse.ArgumentParser:
    """Returns the parser of the command's flags.

    Args:
        description: description of the command, for --help.
    """
    flags = argparse.ArgumentParser(
        prog="python -m mrm_jax.predict",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    cli.add_version(flags)
    flags.add_argument(
        "records", metavar="RECORD", nargs="+", type=Path, help="file or folder"
    )
    flags.add_argument("--run", type=Path, required=True, help=trained_run.HELP)
    _add_table_flags(flags.add_argument_group("for .npy and .csv files"))
    flags.add_argument(
        "--aggregate",
        choices=tuple(prediction.AGGREGATES),
        default="mean",
        help="how the scores of several windows are combined; first reads only the "
        "first window, as in training and evaluation (default: %(default)s)",
    )
    flags.add_argument(
        "--windows", action="store_true", help="also report the scores of each window"
    )
    _add_finding_flags(flags)
    flags.add_argument(
        "--top",
        metavar="N",
        type=int,
        default=5,
        help="also show the N highest scores (default: %(default)s)",
    )
    flags.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help="write all scores to a .csv or .json file (default: print only)",
    )
    _add_picture_flags(flags.add_argument_group("plots"))
    return flags


def _add_table_flags(flags: argparse._ArgumentGroup) -> None:
    flags.add_argument(
        "--sampling_rate", metavar="HZ", type=float, help="required for these files"
    )
    flags.add_argument(
        "--unit", default="mV", help="mV, uV or V (default: %(default)s)"
    )
    flags.add_argument(
        "--leads",
        metavar="I,II,...",
        help="names of the columns, without the time column (default: the names in the "
        "header row, or the standard order I, II, III, aVR, aVL, aVF, V1 to V6)",
    )


def _add_finding_flags(flags: argparse.ArgumentParser) -> None:
    flags.add_argument(
        "--head",
        choices=prediction.HEADS,
        default="mean",
        help="scores to use: those of the high- or the low-resolution branch, or their "
        "mean (default: %(default)s)",
    )
    flags.add_argument(
        "--threshold",
        metavar="X",
        type=float,
        help="score from 0 to 1 at which a label counts as found (default: one "
        "threshold per label, chosen on the validation records)",
    )
    flags.add_argument(
        "--data",
        metavar="FOLDER",
        type=Path,
        help="training shards, needed if the run was imported from PyTorch without "
        "dataset information (default: the dataset stored in the run)",
    )


def _add_picture_flags(flags: argparse._ArgumentGroup) -> None:
    flags.add_argument(
        "--plot",
        metavar="FOLDER",
        type=Path,
        help="draw each record on ECG paper into this folder; of a longer record, the "
        "window with the highest mean score of the labels found (default: no plots)",
    )
    flags.add_argument(
        "--explain",
        metavar="LABEL",
        action="append",
        default=[],
        help="explain the score of this label, whether it is found or not, or of every "
        "label found in a record (found), in the window that --plot shows; may be "
        "repeated (default: none)",
    )
    flags.add_argument(
        "--plot_format",
        choices=PLOT_FORMATS,
        help=f"file format of the plots (default: {PLOT_FORMATS[0]})",
    )


if __name__ == "__main__":
    sys.exit(main())
