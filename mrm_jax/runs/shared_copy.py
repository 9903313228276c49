"""Copies of runs for other people: no local paths, nothing about single records.

A copy is a run of its own: its best and newest epoch, the numbers of its report, and
its model card as README.md. Left out are the page and the scores of the report, which
show single records of the test fold, and logs, locks and unfinished epochs.
"""

import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mrm_jax.metrics import thresholds
from mrm_jax.reports import latex, model_card, run_report, thresholds_file
from mrm_jax.runs import reporting, trained_run
from mrm_jax.runs.trained_run import TrainedRun
from mrm_jax.training import checkpoints, metrics_log, train_state

CARD = "README.md"
COMMANDS = ("command", "evaluated_by")  # of the metadata
TREES = ("config", "init")  # of the metadata, with texts anywhere in them
COPIED = (
    thresholds_file.FILE,
    run_report.CSV_FILE,
    run_report.METRICS_FILE,
    latex.REPORT_FILE,
    reporting.CURVES_FILE,
    metrics_log.FILE,
)
# Of all files in a copy, as patterns of fnmatch, whose * also matches slashes.
PATTERNS = (f"{checkpoints.FOLDER}/*", run_report.JSON_FILE, CARD, *COPIED)
# An absolute path, one below a home folder, or a URL: at the start of a word, or after
# what separates the values of a flag.
_LOCATION = re.compile(r"(?<![^=,'\"(\[ ])(?:[a-z][\w+.-]*:/|~[^/,]*)?/[^,'\"\])]*")


def write(run: TrainedRun, folder: Path, repo_id: str) -> None:
    """Writes a copy of a run to an empty folder, and verifies it.

    Args:
        run: a run, read with `trained_run.read`.
        folder: existing, empty folder.
        repo_id: repository on the Hugging Face Hub that the copy is for.

    Raises:
        ValueError: if the run is damaged, or has no report of its best epoch.
    """
    if run.given is not None:
        raise ValueError(
            f"{run.workdir}: this run is one file. Share the folder of a run, which "
            "has its report and its model card."
        )
    report, run = _read_report(run), run.with_reported_data()
    newest = trained_run.read(run.workdir, newest=True)
    params, _ = run.state.params, newest.state  # reading verifies them
    for epoch in {run.epoch, newest.epoch}:
        _copy_checkpoint(run, epoch, folder)
    for name in COPIED:
        if (run.workdir / name).is_file():
            shutil.copyfile(run.workdir / name, folder / name)
    report["facts"] = without_locations(report["facts"])
    run_report.write_json(folder, report)
    num_parameters = train_state.num_parameters(params)
    card = model_card.render(folder, report, num_parameters, repo_id)
    (folder / CARD).write_text(card, encoding="utf-8")
    trained_run.read(folder)


def without_locations(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Returns metadata with file names in place of absolute paths and URLs.

    They may tell the names of users, machines and customers. Relative paths stay.

    Args:
        metadata: metadata of a checkpoint, or the facts of a report.
    """
    commands = {name: metadata[name] for name in COMMANDS if name in metadata}
    return {
        **metadata,
        **{key: _shortened(metadata[key]) for key in TREES if key in metadata},
        **{name: _shorten_command(command) for name, command in commands.items()},
    }


def _read_report(run: TrainedRun) -> dict[str, Any]:
    """Returns the report of a run, if it and the thresholds are of its best epoch."""
    report = run_report.read(run.workdir)
    described = {name: report["facts"][name] for name in ("epoch", "epochs_trained")}
    is_current = described == {
        "epoch": run.epoch,
        "epochs_trained": run.epochs_trained,
    }
    if not is_current or run.thresholds["mean"].source != thresholds.OF_LABELS:
        raise ValueError(
            f"{run.workdir}: the report or the thresholds of this run do not belong to "
            f"its best epoch, {run.epoch} of {run.epochs_trained}. Write them again "
            f"with `python -m mrm_jax.evaluate --run {shlex.quote(str(run.workdir))}`."
        )
    return report


def _copy_checkpoint(run: TrainedRun, epoch: int, folder: Path) -> None:
    name = f"{checkpoints.FOLDER}/epoch_{epoch}"
    shutil.copytree(run.workdir / name, folder / name)
    # A run that was imported without its data set has it from its report.
    checkpoints.change_metadata(
        folder / name, lambda saved: without_locations(saved | {"data": run.data})
    )


def _shortened(value: Any) -> Any:
    """Returns part of a configuration with all its texts shortened."""
    if isinstance(value, Mapping):
        return {name: _shortened(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shortened(item) for item in value]
    return _shorten(value) if isinstance(value, str) else value


def _shorten_command(command: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError:  # any text with an apostrophe
        return _shorten(command)
    return shlex.join(map(_shorten, words))


def _shorten(word: str) -> str:
    return _LOCATION.sub(lambda found: PurePosixPath(found[0]).name, word)
